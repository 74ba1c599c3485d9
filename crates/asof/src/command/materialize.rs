//! `asof materialize`.

use std::num::NonZeroUsize;

use asof_model::Instant;
use asof_store::materialize::{MaterializeReport, MaterializeRequest, Mode, Totals, ViewLoad};
use clap::Args;

use crate::arguments::{Format, FormatOption, instant};
use crate::failure::Failure;
use crate::output::{Table, count, counted};
use crate::{Everywhere, Outcome, output};

/// What to load.
#[derive(Debug, Args)]
pub(crate) struct Materialize {
    /// Views, with or without version. By default every one
    #[arg(value_name = "VIEW")]
    views: Vec<String>,
    /// Only rows whose event is at this instant or later
    #[arg(long, value_name = "T", value_parser = instant)]
    start: Option<Instant>,
    /// Only rows whose event is before this instant
    #[arg(long, value_name = "T", value_parser = instant)]
    end: Option<Instant>,
    /// Only what is new since the last load: new and changed files, in the ranges loaded before and behind them
    #[arg(long, conflicts_with_all = ["start", "end", "replace"])]
    since_last: bool,
    /// Replace the rows of the range, or all, by those that the source holds now, as one commit
    #[arg(long)]
    replace: bool,
    /// How many views to load at a time. By default one for each core
    #[arg(long, short, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    #[command(flatten)]
    format: FormatOption,
}

impl Materialize {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let request = MaterializeRequest {
            views: self.views.clone(),
            start: self.start,
            end: self.end,
            mode: match (self.since_last, self.replace) {
                (true, _) => Mode::SinceLast,
                (false, true) => Mode::Replace,
                (false, false) => Mode::Add,
            },
            jobs: self.jobs,
        };
        let mut session = everywhere.session("asof materialize").await?;
        let progress = everywhere.progress();
        let report = session.run(&request, &progress).await?;
        drop(progress);
        match self.format.format {
            Format::Json => output::print_json(&report)?,
            Format::Text if report.views.is_empty() => {}
            Format::Text => output::print(&text(&report))?,
        }
        let in_place = report.in_place.iter().map(|view| {
            format!(
                "`{view}` reads its source in place, for training only: left out, there is nothing to load"
            )
        });
        output::remark(report.views.iter().flat_map(remarks).chain(in_place), everywhere);
        if report.failures.is_empty() {
            return Ok(Outcome::Done);
        }
        let alone = report.views.len() + report.failures.len() == 1;
        Err(Failure::of_views(&report.failures, alone))
    }
}

/// A line for each view, and where there are several, one for all.
fn text(report: &MaterializeReport) -> String {
    let columns = [
        "view",
        "state",
        "#rows read",
        "#added",
        "#already there",
        "#bad",
        "#errors",
        "#conflicts",
        "#bytes",
        "#units",
        "#rows/s",
        "#seconds",
    ];
    let mut table = Table::new(&columns);
    for load in &report.views {
        let state = match (load.unchanged, load.replaced) {
            (true, _) => "unchanged",
            (false, true) => "replaced",
            (false, false) => "loaded",
        };
        table.row(cells(&load.view, state, &Totals::of(load)));
    }
    for failure in &report.failures {
        let mut cells = vec![failure.view.clone(), "failed".to_owned()];
        cells.resize(columns.len(), "-".to_owned());
        table.row(cells);
    }
    if report.views.len() + report.failures.len() > 1 {
        table.row(cells("total", "", &report.totals));
    }
    table.to_string()
}

fn cells(name: &str, state: &str, sums: &Totals) -> Vec<String> {
    let rate = if sums.seconds > 0.0 { sums.rows_read as f64 / sums.seconds } else { 0.0 };
    let counts = [
        sums.rows_read,
        sums.rows_added,
        sums.rows_repeated,
        sums.rows_bad,
        sums.value_errors,
        sums.conflicts,
    ];
    let mut cells = vec![name.to_owned(), state.to_owned()];
    cells.extend(counts.map(count));
    cells.extend([output::size(sums.bytes), count(sums.units_published), count(rate as u64)]);
    cells.push(format!("{:.1}", sums.seconds));
    cells
}

/// What a reader should know beyond the counts, a sentence each.
fn remarks(load: &ViewLoad) -> Vec<String> {
    let mut all = Vec::new();
    let mut say = |text: String| all.push(format!("`{}`: {text}", load.view));
    if load.unchanged {
        say(match load.files {
            0 => "its rows are pushed, and all that were acknowledged are there".to_owned(),
            _ => "nothing to do, these very files were loaded before".to_owned(),
        });
    }
    if load.files_vanished > 0 {
        let named: Vec<String> = load.vanished.iter().map(|path| format!("`{path}`")).collect();
        let more = if load.files_vanished > named.len() as u64 { " and others" } else { "" };
        let files = counted(load.files_vanished, "file");
        say(format!("{files} loaded before and gone now, whose rows stay: {}{more}", named.join(", ")));
    }
    if load.rows_inactive > 0 {
        let keys = counted(load.rows_inactive, "key");
        say(format!("{keys} not active within the view's `active_within`: history answers for them"));
    }
    if load.rows_removed > 0 {
        say(format!("{} served until now replaced", counted(load.rows_removed, "row")));
    }
    if load.files_known > 0 && !load.unchanged {
        say(format!("{} loaded before and not read again", counted(load.files_known, "file")));
    }
    if load.units_recovered > 0 {
        say(format!("finished {} that an earlier run left half done", counted(load.units_recovered, "unit")));
    }
    if load.units_already > 0 {
        say(format!("{} found done by an earlier run", counted(load.units_already, "unit")));
    }
    if load.rows_outside > 0 {
        say(format!("{} outside the asked range left out", counted(load.rows_outside, "row")));
    }
    if load.rows_erased > 0 {
        say(format!("{} of forgotten keys left out", counted(load.rows_erased, "row")));
    }
    if load.rows_filtered > 0 {
        say(format!("{} left out by the sql of the source", counted(load.rows_filtered, "row")));
    }
    if let Some(folder) = &load.quarantine {
        let folder = folder.display();
        say(format!(
            "{} set aside in `{folder}`, with file, row and reason",
            counted(load.rows_bad, "bad row")
        ));
    }
    for (column, lacking) in &load.lacking_columns {
        let files = counted(lacking.files, "file");
        say(format!("column `{column}` is not in {files} and is null there; first: {}", lacking.first));
    }
    for (feature, errors) in &load.feature_errors {
        let rows = counted(errors.count, "row");
        say(format!(
            "feature `{feature}` could not be read in {rows} and is ERROR there; first: {}",
            errors.first
        ));
    }
    if load.conflicts > 0 {
        say(format!(
            "{} with the key and event time of another row and other values; name a `created` column to say which \
             is right",
            counted(load.conflicts, "row")
        ));
    }
    if load.waiting > 0 {
        let overflowed = match load.waiting_overflowed {
            0 => String::new(),
            n => format!(" ({} of them apart from their key's own record)", count(n)),
        };
        say(format!("{} in the future, served from then on{overflowed}", counted(load.waiting, "row")));
    }
    all
}
