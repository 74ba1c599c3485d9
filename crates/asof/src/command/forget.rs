//! `asof forget`.

use std::io::{IsTerminal, Write};

use asof_store::forget::{ForgetReport, ForgetRequest};
use clap::Args;

use crate::arguments::{Format, FormatOption, pair};
use crate::failure::Failure;
use crate::output::{Table, count, counted};
use crate::{Everywhere, Outcome, output};

/// What to forget.
#[derive(Debug, Args)]
pub(crate) struct Forget {
    /// The entity
    #[arg(value_name = "ENTITY")]
    entity: String,
    /// Its join keys, each as `key=value`
    #[arg(value_name = "KEY=VALUE", required = true, value_parser = pair)]
    keys: Vec<(String, String)>,
    /// Don't ask, which is asked only at a terminal. There is no way back
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    format: FormatOption,
}

impl Forget {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        if !self.yes {
            self.ask()?;
        }
        let request = ForgetRequest { entity: self.entity.clone(), keys: self.keys.clone() };
        let mut session = everywhere.session("asof forget").await?;
        let progress = everywhere.progress();
        let report = session.run(&request, &progress).await?;
        drop(progress);
        match self.format.format {
            Format::Json => output::print_json(&report)?,
            Format::Text => output::print(&text(&report))?,
        }
        output::remark(remarks(&report), everywhere);
        Ok(Outcome::Done)
    }

    fn ask(&self) -> Result<(), Failure> {
        // A program that calls this has nobody to ask: what it wrote is what it wants.
        if !std::io::stdin().is_terminal() {
            return Ok(());
        }
        let refused = || Failure::new("nothing was forgotten: it takes a yes").hint("add `--yes`");
        let key = self.keys.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ");
        let mut out = std::io::stderr().lock();
        // A question that nobody can read is not answered with yes.
        let _ = write!(out, "Forget {} {key} for good? Type `yes`: ", self.entity);
        let _ = out.flush();
        let mut answer = String::new();
        let read = std::io::stdin().read_line(&mut answer);
        if read.is_ok() && answer.trim() == "yes" { Ok(()) } else { Err(refused()) }
    }
}

fn text(report: &ForgetReport) -> String {
    let columns =
        ["view", "#rows", "#files rewritten", "#files removed", "#online keys", "#set aside", "#answers"];
    let mut table = Table::new(&columns);
    for view in &report.views {
        let counts = [
            view.rows,
            view.files_rewritten,
            view.files_removed,
            view.online_entries,
            view.quarantined,
            view.answers,
        ];
        table.row(std::iter::once(view.view.clone()).chain(counts.map(count)));
    }
    format!("{table}\nforgotten up to {}\n", report.at)
}

/// What a reader should know beyond the counts, a sentence each.
fn remarks(report: &ForgetReport) -> Vec<String> {
    let mut all = vec![
        "loads leave the key out of the source's files from now on; the files themselves are not changed"
            .to_owned(),
        "training sets that were written before are not changed: make them again, or delete them".to_owned(),
    ];
    if report.log_entries > 0 {
        let entries = if report.log_entries == 1 { "entry" } else { "entries" };
        all.push(format!("{} {entries} of the admission log were emptied", report.log_entries));
    }
    if report.training_sets > 0 {
        let records = counted(report.training_sets, "record");
        all.push(format!("{records} of training sets now say that they can't be made again as they were"));
    }
    if !report.not_covered.is_empty() {
        let views = report.not_covered.iter().map(|view| format!("`{view}`")).collect::<Vec<_>>().join(", ");
        all.push(format!("not covered, since they carry it as a value under other keys: {views}"));
    }
    if !report.in_place.is_empty() {
        let views = report.in_place.iter().map(|view| format!("`{view}`")).collect::<Vec<_>>().join(", ");
        all.push(format!(
            "not covered, since they read their source's files in place, which are yours to change: {views}"
        ));
    }
    all
}
