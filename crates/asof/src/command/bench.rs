//! `asof bench`.

mod serve;

use std::path::PathBuf;

use asof_bench::{Generated, Workload, generate};
use clap::{Args, Subcommand};

use crate::arguments::{Format, FormatOption, quantity};
use crate::failure::Failure;
use crate::output::{Table, count, size};
use crate::{Everywhere, Outcome, output};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write history and labels of any size, as a project that trains on them at once
    Generate(Generate),
    /// Drive a server with a mix of requests, and tell throughput and latencies
    Serve(Box<serve::Serve>),
}

/// What to write.
#[derive(Debug, Args)]
struct Generate {
    /// A folder that is not there yet, or empty
    folder: PathBuf,
    /// Rows of history, such as `25M` or `1B`
    #[arg(long, value_name = "ROWS", default_value = "10M", value_parser = quantity)]
    rows: u64,
    /// Label rows
    #[arg(long, value_name = "ROWS", default_value = "100k", value_parser = quantity)]
    labels: u64,
    /// Entity keys that have history. By default one for each hundred rows
    #[arg(long, value_name = "KEYS", value_parser = quantity)]
    entities: Option<u64>,
    /// Days that history spans
    #[arg(long, value_name = "DAYS", default_value_t = 90)]
    days: u32,
    /// Files of history. By default one for each 25 million rows
    #[arg(long, value_name = "FILES")]
    files: Option<u32>,
    /// What all of it is drawn from: the same seed makes the same files
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    format: FormatOption,
}

impl Bench {
    pub(crate) fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        match &self.what {
            What::Generate(command) => command.run(everywhere),
            What::Serve(command) => command.run(everywhere),
        }
    }
}

impl Generate {
    fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let default = Workload::new(self.rows, self.labels);
        let workload = Workload {
            entities: self.entities.unwrap_or(default.entities),
            days: self.days,
            files: self.files.unwrap_or(default.files),
            seed: self.seed,
            ..default
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let made = generate(&self.folder, &workload, threads, &everywhere.progress().until_told())?;
        match self.format.format {
            Format::Json => output::print_json(&made)?,
            Format::Text => output::print(&text(&made))?,
        }
        let folder = self.folder.display();
        let next = format!(
            "next: `asof apply --project {folder}`, then `asof train --project {folder} --labels {} --service all -o \
             training.parquet --explain`",
            made.labels.display()
        );
        output::remark([next], everywhere);
        Ok(Outcome::Done)
    }
}

fn text(made: &Generated) -> String {
    let mut table = Table::new(&["table", "#rows", "#files", "#bytes"]);
    let history = [made.history_rows, made.history_files.into()].map(count);
    table.row(["history".to_owned()].into_iter().chain(history).chain([size(made.history_bytes)]));
    let labels = [made.label_rows, 1].map(count);
    table.row(["labels".to_owned()].into_iter().chain(labels).chain([size(made.label_bytes)]));
    table.to_string()
}
