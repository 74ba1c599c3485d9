//! `asof verify`.

use asof_store::get::ENTITY_ROWS_MAX;
use asof_store::verify::{VerifyReport, VerifyRequest};
use clap::{Args, value_parser};

use crate::arguments::{Format, FormatOption};
use crate::failure::Failure;
use crate::output::{Table, count, counted};
use crate::{Everywhere, Outcome, output};

/// What to verify.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Views and services. By default every view
    #[arg(value_name = "VIEW|SERVICE")]
    names: Vec<String>,
    /// The most keys of each view that are compared
    #[arg(long, value_name = "KEYS", default_value_t = 1000, value_parser = value_parser!(u64).range(1..=ENTITY_ROWS_MAX as u64))]
    sample: u64,
    /// Compare with the oracle too, which is slow and too simple to be wrong
    #[arg(long)]
    oracle: bool,
    #[command(flatten)]
    format: FormatOption,
}

impl Verify {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let request = VerifyRequest {
            names: self.names.clone(),
            sample: usize::try_from(self.sample).unwrap_or(ENTITY_ROWS_MAX),
            oracle: self.oracle,
        };
        let mut session = everywhere.session("asof verify").await?;
        let report = session.run(&request, &everywhere.progress()).await?;
        match self.format.format {
            Format::Json => output::print_json(&report)?,
            Format::Text => output::print(&text(&report))?,
        }
        let same = report.identical == report.values;
        Ok(if same { Outcome::Done } else { Outcome::Differs })
    }
}

fn text(report: &VerifyReport) -> String {
    let mut table = Table::new(&["view", "answers", "#keys", "#values", "#identical", "#differing"]);
    for view in &report.views {
        let mut row = |answers: &str, keys: String, values: u64, identical: u64| {
            let numbers = [count(values), count(identical), count(values.saturating_sub(identical))];
            table.row([view.view.clone(), answers.to_owned(), keys].into_iter().chain(numbers));
        };
        row("asked now", count(view.keys), view.values, view.identical);
        if view.recorded_values > 0 {
            row("recorded by the server", "-".to_owned(), view.recorded_values, view.recorded_identical);
        }
    }
    let mut text = format!("{table}\n");
    for view in &report.views {
        for each in &view.differences {
            text.push_str(&format!(
                "`{}` {}, feature `{}`: {} was served, {} says {}\n",
                view.view, each.key, each.feature, each.served, each.by, each.computed
            ));
        }
        let differing = (view.values + view.recorded_values) - (view.identical + view.recorded_identical);
        let unshown = differing.saturating_sub(view.differences.len() as u64);
        if unshown > 0 {
            text.push_str(&format!("`{}`: {} more\n", view.view, counted(unshown, "difference")));
        }
        if view.keys == 0 && report.values > 0 {
            text.push_str(&format!("`{0}` has no row yet: run `asof materialize {0}`\n", view.view));
        }
    }
    for view in &report.past_sunset {
        text.push_str(&format!("`{view}` is past its sunset and answers nobody: left out\n"));
    }
    for view in &report.in_place {
        text.push_str(&format!("`{view}` reads its source in place and is not served: left out\n"));
    }
    if report.values == 0 && report.views.is_empty() && !report.in_place.is_empty() {
        return text;
    }
    if report.values == 0 {
        text.push_str("nothing to verify: run `asof materialize`\n");
        return text;
    }
    let checked = if report.oracle { ", checked by the oracle too" } else { "" };
    let (identical, values) = (count(report.identical), count(report.values));
    text.push_str(&format!("{identical} of {values} values are byte-identical{checked}\n"));
    text
}
