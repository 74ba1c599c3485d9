//! `asof serve`.

use std::sync::Arc;

use clap::Args;

use crate::failure::Failure;
use crate::{Everywhere, Outcome};

/// Where to serve.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen. By default what `asof.toml` says
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

impl Serve {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let store = Arc::new(everywhere.store("asof serve")?);
        let listen = self.listen.clone().unwrap_or_else(|| store.project().settings.listen.clone());
        asof_server::serve(store, &listen).await?;
        Ok(Outcome::Done)
    }
}
