//! `asof vacuum`.

use asof_model::Duration;
use asof_store::vacuum::{RETENTION_DEFAULT, VacuumReport, VacuumRequest};
use clap::Args;

use crate::arguments::{Format, FormatOption, duration};
use crate::failure::Failure;
use crate::output::{Table, count, size};
use crate::{Everywhere, Outcome, output};

/// What to remove.
#[derive(Debug, Args)]
pub(crate) struct Vacuum {
    /// Only files that were replaced at least so long ago, at most 30d: a reader that has begun since is safe. By
    /// default 7d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    older_than: Option<Duration>,
    /// Only say what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: FormatOption,
}

impl Vacuum {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let older_than = self.older_than.unwrap_or(RETENTION_DEFAULT);
        let request = VacuumRequest { older_than, dry_run: self.dry_run };
        let report = everywhere.store("asof vacuum")?.vacuum(&request).await?;
        match self.format.format {
            Format::Json => output::print_json(&report)?,
            Format::Text => output::print(&text(&report))?,
        }
        let remark = report.dry_run.then(|| "nothing was removed: this was a dry run".to_owned());
        output::remark(remark, everywhere);
        Ok(Outcome::Done)
    }
}

fn text(report: &VacuumReport) -> String {
    let mut table = Table::new(&["table of history", "#files", "#bytes"]);
    for each in &report.tables {
        table.row([each.table.clone(), count(each.files), size(each.bytes)]);
    }
    table.to_string()
}
