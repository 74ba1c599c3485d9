//! `asof status`.

use asof_server::beside::verb::GetStatus;
use asof_store::NoProgress;
use asof_store::status::{StatusReport, ViewStatus};
use clap::Args;

use crate::arguments::{Format, FormatOption};
use crate::failure::Failure;
use crate::output::{Table, count, counted, size};
use crate::{Everywhere, Outcome, output};

/// Whose status.
#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Views, with or without version. By default every one
    #[arg(value_name = "VIEW")]
    views: Vec<String>,
    #[command(flatten)]
    format: FormatOption,
}

impl Status {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let mut session = everywhere.session("asof status").await?;
        let report = session.run(&GetStatus { views: self.views.clone() }, &NoProgress).await?;
        match self.format.format {
            Format::Json => output::print_json(&report)?,
            Format::Text => output::print(&text(&report))?,
        }
        output::remark(report.views.iter().flat_map(remarks), everywhere);
        Ok(Outcome::Done)
    }
}

fn text(report: &StatusReport) -> String {
    let columns = [
        "view",
        "#rows",
        "#files",
        "#bytes",
        "#units",
        "#bad",
        "#online",
        "newest event",
        "last load",
        "fresh",
    ];
    let mut table = Table::new(&columns);
    let or_none = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let entries = |entries: Option<u64>| entries.map_or_else(|| "?".to_owned(), count);
    for view in &report.views {
        let fresh = match (view.freshness_seconds.filter(|_| !view.in_place), view.behind) {
            (None, _) => "-",
            (Some(_), false) => "yes",
            (Some(_), true) => "behind",
        };
        table.row([
            view.view.clone(),
            count(view.rows),
            count(view.files),
            size(view.bytes),
            count(view.units),
            count(view.quarantined),
            entries(view.online_entries),
            or_none(view.newest_event.as_deref()),
            match view.in_place {
                true => "read in place".to_owned(),
                false => or_none(view.last_run.as_ref().map(|run| run.at.as_str())),
            },
            fresh.to_owned(),
        ]);
    }
    let totals = &report.totals;
    format!(
        "{table}\n{} in {} of history ({}), {} keys online ({})\n",
        counted(totals.rows, "row"),
        counted(totals.files, "file"),
        size(totals.bytes),
        entries(totals.online_entries),
        size(report.online_bytes),
    )
}

/// What a reader should know beyond the counts, a sentence each.
fn remarks(view: &ViewStatus) -> Vec<String> {
    let mut all = Vec::new();
    let name = &view.view;
    if view.last_run.is_none() && !view.in_place {
        all.push(format!("`{name}` was never loaded to the end: run `asof materialize {name}`"));
    }
    if !view.backfilling.is_empty() {
        let features = view.backfilling.iter().map(|each| format!("`{each}`")).collect::<Vec<_>>().join(", ");
        all.push(format!("`{name}`: {features} will answer once backfilled: run `asof materialize {name}`"));
    }
    if let (Some(promise), true) = (view.freshness_seconds, view.behind) {
        let age = view
            .age_seconds
            .map_or_else(|| "there is none".to_owned(), |age| format!("it is {age:.0} s old"));
        all.push(format!("`{name}` is behind its promise of a newest row of at most {promise:.0} s: {age}"));
    }
    if view.compact {
        all.push(format!(
            "`{name}` has {}: run `asof compact {name}`",
            counted(view.small_files, "small file")
        ));
    }
    all
}
