//! `asof`: the command line, a thin face over the feature store and the server.
//!
//! It **must not know** what a value is or how it is computed: a command turns arguments into a request of
//! `asof-store`, and the answer into text or JSON. What a command found goes to stdout; how it is going, warnings
//! and errors go to stderr.
//!
//! Reading order: [`arguments`] (what commands share), [`command`] (one file for each), [`output`] (text, tables,
//! JSON), [`failure`] (errors), [`progress`] (bars).

mod arguments;
mod command;
mod failure;
mod output;
mod progress;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use asof_store::{Project, Store, SystemClock};
use clap::Parser;

use command::Command;
use failure::Failure;
use progress::Bars;

/// A feature store: what a model trains on is, byte for byte, what it is served
#[derive(Debug, Parser)]
#[command(name = "asof", version)]
struct Cli {
    #[command(flatten)]
    everywhere: Everywhere,
    #[command(subcommand)]
    command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Everywhere {
    /// The project's folder. By default the nearest one above that holds `asof.toml`
    #[arg(long, global = true, value_name = "DIR")]
    project: Option<PathBuf>,
    /// Say nothing on stderr but errors
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Say more on stderr; twice for still more
    #[arg(long, short, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
}

impl Everywhere {
    /// The store of the project that is meant. `holder` is the command, for whoever finds the online store held.
    fn store(&self, holder: &str) -> Result<Store, Failure> {
        let project = match &self.project {
            Some(folder) => Project::open(folder)?,
            None => {
                let here = std::env::current_dir()
                    .map_err(|error| Failure::new(format!("cannot find the current folder: {error}")))?;
                Project::find(&here)?
            }
        };
        Ok(Store::new(project, Arc::new(SystemClock), holder))
    }

    /// Shows how long work is going.
    fn progress(&self) -> Bars {
        Bars::new(self.quiet, self.verbose > 0)
    }
}

/// What a command found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It did what was asked.
    Done,
    /// It did what was asked, and what it compared differs.
    Differs,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Differs) => ExitCode::FAILURE,
        Err(failure) => {
            failure.print();
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<Outcome, Failure> {
    output::start_log(&cli.everywhere, matches!(cli.command, Command::Serve(_)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the threads of the program: {error}")))?;
    runtime.block_on(cli.command.run(&cli.everywhere))
}
