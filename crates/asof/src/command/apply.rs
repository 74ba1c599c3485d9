//! `asof apply`.

use std::time::Instant;

use asof_server::beside::client::Client;
use clap::Args;

use super::plan;
use crate::arguments::{Format, FormatOption};
use crate::failure::Failure;
use crate::{Everywhere, Outcome, output};

/// What to apply.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// Remove an object that the files define no more; a view's name without version means all of them
    #[arg(long, value_name = "NAME")]
    remove: Vec<String>,
    #[command(flatten)]
    format: FormatOption,
}

impl Apply {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let started = Instant::now();
        let store = everywhere.store("asof apply")?;
        let applied = store.apply(&self.remove, &user()).await?;
        if let Ok(Some(mut server)) = Client::connect(store.project()).await {
            // A server follows by itself within a second or so. Told, it does before this command is done.
            server.follow().await;
        }
        output::warn(&applied.warnings, everywhere);
        match self.format.format {
            Format::Json => {
                output::print_json(&plan::json(&applied.plan, applied.revision, &applied.warnings))?
            }
            Format::Text => {
                let revision = format!("(registry revision {})", applied.revision);
                let last = match applied.plan.changes().count() as u64 {
                    0 => format!("nothing to change {revision}"),
                    n => {
                        let took = output::seconds(started.elapsed().as_secs_f64());
                        format!("{} applied in {took} {revision}", output::counted(n, "change"))
                    }
                };
                output::print(&format!("{}{last}\n", plan::text(&applied.plan)))?;
            }
        }
        Ok(Outcome::Done)
    }
}

/// Who applies, for the registry's log.
fn user() -> String {
    let named = ["USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
