//! The commands, one file each.

mod apply;
mod bench;
mod compact;
mod completions;
pub(crate) mod explain;
mod forget;
mod get;
mod init;
mod list;
mod materialize;
mod plan;
mod push;
mod schema;
mod serve;
mod show;
mod status;
mod train;
mod vacuum;
mod verify;

use clap::Subcommand;

use crate::failure::Failure;
use crate::{Everywhere, Outcome};

/// What the program can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Begin a project: a folder with settings, a small working example and its data
    Init(init::Init),
    /// Show what `apply` would do, and do nothing
    Plan(plan::Plan),
    /// Make the definitions of the files those of the store
    Apply(apply::Apply),
    /// List what was applied
    List(list::List),
    /// Show what was applied under a name
    Show(show::Show),
    /// Load the rows of sources into history and the online store
    Materialize(materialize::Materialize),
    /// Push rows to a source: durable at once, and from there in every view over it
    Push(push::Push),
    /// Make a training set: features as of the time of each label
    Train(Box<train::Train>),
    /// Get the values of features for one entity key
    Get(get::Get),
    /// Serve features over HTTP
    Serve(serve::Serve),
    /// Compare what is served with what history says, byte for byte
    Verify(verify::Verify),
    /// Show how each view is, in history and online
    Status(status::Status),
    /// Bring the small files of history together
    Compact(compact::Compact),
    /// Remove files of history that no reader needs any more
    Vacuum(vacuum::Vacuum),
    /// Forget an entity key: history, online store and records, for good
    Forget(forget::Forget),
    /// Measure: make data, drive a server
    Bench(bench::Bench),
    /// Print the JSON Schema of definition files, for editors
    Schema(schema::Schema),
    /// Print the completions of a shell
    Completions(completions::Completions),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// What went wrong, in words.
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        // Boxed, since the work behind a command keeps much in hand while it waits.
        match self {
            Self::Init(command) => command.run(),
            Self::Plan(command) => Box::pin(command.run(everywhere)).await,
            Self::Apply(command) => Box::pin(command.run(everywhere)).await,
            Self::List(command) => Box::pin(command.run(everywhere)).await,
            Self::Show(command) => Box::pin(command.run(everywhere)).await,
            Self::Materialize(command) => Box::pin(command.run(everywhere)).await,
            Self::Push(command) => Box::pin(command.run(everywhere)).await,
            Self::Train(command) => Box::pin(command.run(everywhere)).await,
            Self::Get(command) => Box::pin(command.run(everywhere)).await,
            Self::Serve(command) => Box::pin(command.run(everywhere)).await,
            Self::Verify(command) => Box::pin(command.run(everywhere)).await,
            Self::Status(command) => Box::pin(command.run(everywhere)).await,
            Self::Compact(command) => Box::pin(command.run(everywhere)).await,
            Self::Vacuum(command) => Box::pin(command.run(everywhere)).await,
            Self::Forget(command) => Box::pin(command.run(everywhere)).await,
            Self::Bench(command) => command.run(everywhere),
            Self::Schema(command) => command.run(),
            Self::Completions(command) => command.run(),
        }
    }
}
