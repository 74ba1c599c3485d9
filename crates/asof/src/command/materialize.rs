//! `asof materialize`.

use asof_model::Instant;
use asof_store::materialize::{MaterializeRequest, ViewLoad};
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
    #[command(flatten)]
    format: FormatOption,
}

impl Materialize {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let request = MaterializeRequest { views: self.views.clone(), start: self.start, end: self.end };
        let store = everywhere.store("asof materialize")?;
        let loads = store.materialize(&request, &everywhere.progress()).await?;
        match self.format.format {
            Format::Json => output::print_json(&loads)?,
            Format::Text => output::print(&text(&loads))?,
        }
        output::remark(loads.iter().flat_map(remarks), everywhere);
        Ok(Outcome::Done)
    }
}

fn text(loads: &[ViewLoad]) -> String {
    let columns =
        ["view", "#rows read", "#written", "#online", "#bad", "#errors", "#units", "#rows/s", "#seconds"];
    let mut table = Table::new(&columns);
    for load in loads {
        let errors = load.feature_errors.values().map(|errors| errors.count).sum();
        let rate = if load.seconds > 0.0 { load.rows_read as f64 / load.seconds } else { 0.0 };
        let mut cells = vec![load.view.clone()];
        let counts = [
            load.rows_read,
            load.rows_written,
            load.rows_online,
            load.rows_bad,
            errors,
            load.units_published,
        ];
        cells.extend(counts.map(count));
        cells.extend([count(rate as u64), format!("{:.1}", load.seconds)]);
        table.row(cells);
    }
    table.to_string()
}

/// What a reader should know beyond the counts, a sentence each.
fn remarks(load: &ViewLoad) -> Vec<String> {
    let mut all = Vec::new();
    let mut say = |text: String| all.push(format!("`{}`: {text}", load.view));
    if load.unchanged {
        say("nothing to do, these very files were loaded before".to_owned());
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
    if let Some(folder) = &load.quarantine {
        let folder = folder.display();
        say(format!(
            "{} set aside in `{folder}`, with file, row and reason",
            counted(load.rows_bad, "bad row")
        ));
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
