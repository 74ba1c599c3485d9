//! `asof`: the command line, a thin face over the feature store and the server.
//!
//! It **must not know** what a value is or how it is computed: a command turns arguments into a request of
//! `asof-store`, and the answer into text or JSON. What a command found goes to stdout; how it is going, warnings
//! and errors go to stderr.
//!
//! Reading order: [`arguments`] (what commands share), [`command`] (one file for each), [`session`] (here, or in the
//! server beside), [`output`] (text, tables, JSON), [`failure`] (errors), [`progress`] (bars).

mod arguments;
mod command;
mod failure;
mod output;
mod progress;
mod session;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use asof_store::{Project, Store, SystemClock};
use clap::Parser;

use command::Command;
use failure::Failure;
use progress::Bars;
use session::Session;

/// Many small allocations on all cores are this program's way of life: measured, a push takes a fifth less with it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
    /// The project that is meant.
    fn project(&self) -> Result<Project, Failure> {
        match &self.project {
            Some(folder) => Ok(Project::open(folder)?),
            None => {
                let here = std::env::current_dir()
                    .map_err(|error| Failure::new(format!("cannot find the current folder: {error}")))?;
                Ok(Project::find(&here)?)
            }
        }
    }

    /// The store of the project that is meant. `holder` is the command, for whoever finds the online store held.
    fn store(&self, holder: &str) -> Result<Store, Failure> {
        Ok(Store::new(self.project()?, Arc::new(SystemClock), holder))
    }

    /// Where verbs that need the online store run: here, or in the server of the project that is meant.
    async fn session(&self, holder: &str) -> Result<Session, Failure> {
        Session::open(self.project()?, holder).await
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
    let outcome = runtime.block_on(cli.command.run(&cli.everywhere));
    // What a server still does for others must not keep it from ending.
    runtime.shutdown_background();
    outcome
}
