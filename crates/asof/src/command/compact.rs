//! `asof compact`.

use asof_store::compact::CompactReport;
use clap::Args;

use crate::arguments::{Format, FormatOption};
use crate::failure::Failure;
use crate::output::{Table, count, counted, size};
use crate::{Everywhere, Outcome, output};

/// What to compact.
#[derive(Debug, Args)]
pub(crate) struct Compact {
    /// Views, with or without version. By default every one
    #[arg(value_name = "VIEW")]
    views: Vec<String>,
    #[command(flatten)]
    format: FormatOption,
}

impl Compact {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let store = everywhere.store("asof compact")?;
        let report = store.compact(&self.views, &everywhere.progress()).await?;
        match self.format.format {
            Format::Json => output::print_json(&report)?,
            Format::Text => output::print(&text(&report))?,
        }
        let freed: u64 = report.views.iter().map(|view| view.bytes_before).sum();
        let remark =
            format!("`asof vacuum` frees {} of replaced files once no reader needs them", size(freed));
        output::remark((freed > 0).then_some(remark), everywhere);
        Ok(Outcome::Done)
    }
}

fn text(report: &CompactReport) -> String {
    let mut table = Table::new(&[
        "view",
        "#files before",
        "#after",
        "#bytes before",
        "#after",
        "#rows folded",
        "#rows cut",
    ]);
    for view in &report.views {
        table.row([
            view.view.clone(),
            count(view.files_before),
            count(view.files_after),
            size(view.bytes_before),
            size(view.bytes_after),
            count(view.rows_folded),
            count(view.rows_cut),
        ]);
    }
    match report.journal_files {
        0 => table.to_string(),
        files => format!("{table}\n{} of the journal brought together\n", counted(files, "file")),
    }
}
