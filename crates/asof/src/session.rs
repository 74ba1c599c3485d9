//! Where a verb that needs the online store runs: in this process, or in the server that holds the store.
//!
//! The one place that decides. A verb is the same code either way, so a command prints the same.

use std::sync::Arc;
use std::time::Duration;

use asof_server::beside::client::Client;
use asof_server::beside::verb::Verb;
use asof_store::{Progress, Project, Store, SystemClock};

use crate::failure::Failure;

/// How often a server is looked for whose online store is held already: it may be just starting.
const STARTING_LOOKS: u32 = 10;
/// The pause between two looks.
const STARTING_PAUSE: Duration = Duration::from_millis(100);

/// A place for verbs to run.
pub(crate) enum Session {
    /// This process. Nothing is opened yet.
    Here(Arc<Store>),
    /// The server of the project.
    Beside(Client),
}

impl Session {
    /// Beside the server of a project, where there is one, else here. `holder` is the command.
    pub(crate) async fn open(project: Project, holder: &str) -> Result<Self, Failure> {
        match Client::connect(&project).await? {
            Some(client) => Ok(Self::Beside(client)),
            None => Ok(Self::Here(Arc::new(Store::new(project, Arc::new(SystemClock), holder)))),
        }
    }

    /// Runs a verb.
    pub(crate) async fn run<V: Verb>(
        &mut self,
        verb: &V,
        progress: &dyn Progress,
    ) -> Result<V::Report, Failure> {
        let store = match self {
            Self::Here(store) => store,
            Self::Beside(client) => return Ok(client.run(verb, progress).await?),
        };
        match verb.run(store, progress).await {
            // A server may have started since, or hold the store and not listen yet.
            Err(error) if error.is_held() => {
                for look in 0..STARTING_LOOKS {
                    if let Some(mut client) = Client::connect(store.project()).await? {
                        let report = client.run(verb, progress).await?;
                        *self = Self::Beside(client);
                        return Ok(report);
                    }
                    if look + 1 < STARTING_LOOKS {
                        tokio::time::sleep(STARTING_PAUSE).await;
                    }
                }
                Err(error.into())
            }
            outcome => Ok(outcome?),
        }
    }
}
