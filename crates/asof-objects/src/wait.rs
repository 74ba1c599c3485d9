//! The threads that speak to object stores, and how another thread waits for them.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, sync_channel};

use tokio::runtime::{Builder, Runtime};

use crate::ObjectsError;

/// Threads that make requests; they wait for the network nearly all the time.
const THREADS: usize = 2;

static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(THREADS).thread_name("asof-objects").enable_all().build()
});

/// Runs a future on the threads of this crate, and blocks this one until it is done.
///
/// Works on every thread, also on one that drives other futures: those wait meanwhile.
///
/// # Errors
/// [`ObjectsError::NoThreads`] where the system gives no thread, or the future panicked.
pub fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> Result<T, ObjectsError> {
    start(future)?.result()
}

/// A future that runs, and its result to come.
pub(crate) struct Pending<T>(Receiver<T>);

impl<T> Pending<T> {
    /// Blocks until the result is there.
    pub(crate) fn result(self) -> Result<T, ObjectsError> {
        let reason = |_| ObjectsError::NoThreads { reason: "a request was given up".to_owned() };
        self.0.recv().map_err(reason)
    }
}

/// Runs a future without waiting for it.
pub(crate) fn start<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<Pending<T>, ObjectsError> {
    let runtime = RUNTIME.as_ref().map_err(|error| ObjectsError::NoThreads { reason: error.to_string() })?;
    let (sender, receiver) = sync_channel(1);
    runtime.spawn(async move {
        // Nobody listening: the reader was dropped before its next block came.
        let _ = sender.send(future.await);
    });
    Ok(Pending(receiver))
}
