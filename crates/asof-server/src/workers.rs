//! Threads for long work, apart from those that answer requests: a load or a read of history must not make a request
//! wait.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::ServerError;

/// The threads. What still runs on them when this is dropped is left to itself; the end of the process ends it.
pub(crate) struct Workers(Option<Runtime>);

impl Workers {
    pub fn start() -> Result<Self, ServerError> {
        let runtime = Builder::new_multi_thread().thread_name("asof-work").enable_all().build();
        Ok(Self(Some(runtime.map_err(|source| ServerError::Threads { source })?)))
    }

    /// Begins a piece of work.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        // There until this is dropped.
        self.0.as_ref().map(|runtime| runtime.spawn(work))
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Not waited for: this may run on a thread that must not block.
            runtime.shutdown_background();
        }
    }
}
