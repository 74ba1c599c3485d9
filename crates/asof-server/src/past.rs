//! Instants before the last update of a view, which history alone can answer (SEMANTICS 1).
//!
//! That reads files, so over HTTP it is done within bounds, and on threads apart from those that answer requests.

use std::sync::Arc;
use std::time::Duration;

use asof_store::get::{Answer, GetRequest};
use asof_store::{Store, StoreError};
use tokio::sync::Semaphore;

use crate::serving::{Compiled, Planned};
use crate::workers::Workers;

/// The most entity rows of a request that history answers.
pub const PAST_ROWS_MAX: usize = 100;
/// The most features of a request that history answers.
pub const PAST_FEATURES_MAX: usize = 200;
/// The most requests that history answers at a time. Further ones are answered 503 at once and may try again.
pub const PAST_ANSWERS_MAX: usize = 4;
/// How long history may take for one request.
pub const PAST_WAIT: Duration = Duration::from_secs(10);

const COMMAND: &str = "ask on the command line (`asof get --now`), which takes its time";

/// Why a request is not answered from the present store or from history.
#[derive(Debug)]
pub(crate) enum GetError {
    /// The store says why.
    Store(StoreError),
    /// [`PAST_ANSWERS_MAX`] are at work.
    Busy,
}

impl From<StoreError> for GetError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Answers from history, a few at a time.
pub(crate) struct Past {
    free: Arc<Semaphore>,
}

impl Past {
    pub fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(PAST_ANSWERS_MAX)) }
    }

    /// Answers a request that needs history; `why` says what for.
    pub async fn answer(
        &self,
        workers: &Workers,
        store: Arc<Store>,
        compiled: Arc<Compiled>,
        plan: Arc<Planned>,
        request: GetRequest,
        why: &str,
    ) -> Result<Answer, GetError> {
        let features = plan.online.plan.columns.len();
        for (what, found, max) in
            [("entity rows", request.rows, PAST_ROWS_MAX), ("features", features, PAST_FEATURES_MAX)]
        {
            if found > max {
                let message = format!(
                    "{why}; history answers at most {max} {what} at once, and the request has {found}"
                );
                let hint = Some("cut the request into several".to_owned());
                return Err(StoreError::Request { message, hint }.into());
            }
        }
        let held = self.free.clone().try_acquire_owned().map_err(|_| GetError::Busy)?;
        let work = workers.spawn(async move {
            let _held = held;
            let request = GetRequest { from_history: true, ..request };
            store.get(&compiled.catalog, &plan.online, &request).await
        });
        let Some(mut work) = work else { return Err(GetError::Busy) };
        match tokio::time::timeout(PAST_WAIT, &mut work).await {
            Ok(Ok(answer)) => Ok(answer?),
            Ok(Err(failed)) => Err(StoreError::Corrupt(format!("reading history failed: {failed}")).into()),
            Err(_) => {
                work.abort();
                let message = format!("history did not answer within {} seconds", PAST_WAIT.as_secs());
                Err(StoreError::Request { message, hint: Some(COMMAND.to_owned()) }.into())
            }
        }
    }
}
