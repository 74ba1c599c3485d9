//! What a server looks at now and then rather than for each request: the newest event of each view, and the size of the
//! online store.

use std::collections::BTreeMap;
use std::time::Duration;

use asof_model::plan::Catalog;
use asof_model::{Instant, ViewId};
use asof_store::Store;
use parking_lot::RwLock;

/// How often the views and the online store are looked at. After a load they are at once.
pub const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What was seen last.
#[derive(Default)]
pub(crate) struct Watch {
    newest: RwLock<BTreeMap<ViewId, Instant>>,
    online_bytes: RwLock<u64>,
}

impl Watch {
    /// Looks. A view that can't be looked at keeps what was seen of it before.
    pub async fn look(&self, store: &Store, catalog: &Catalog) {
        for view in catalog.definitions.views.keys() {
            match store.newest_event(catalog, view).await {
                Ok(Some(newest)) => drop(self.newest.write().insert(view.clone(), newest)),
                Ok(None) => drop(self.newest.write().remove(view)),
                Err(error) => tracing::debug!(%view, %error, "the newest event of a view is not known"),
            }
        }
        self.newest.write().retain(|view, _| catalog.definitions.views.contains_key(view));
        match store.online_bytes().await {
            Ok(bytes) => *self.online_bytes.write() = bytes,
            Err(error) => tracing::debug!(%error, "the size of the online store is not known"),
        }
    }

    /// For each view with rows how old its newest event is, in seconds.
    pub fn freshness_seconds(&self, now: Instant) -> Vec<(ViewId, f64)> {
        let age = |newest: Instant| (now.micros() - newest.micros()) as f64 / 1e6;
        self.newest.read().iter().map(|(view, newest)| (view.clone(), age(*newest))).collect()
    }

    /// Bytes of the online store, as far as it was seen.
    pub fn online_bytes(&self) -> u64 {
        *self.online_bytes.read()
    }

    /// The newest event of a view, as far as it was seen.
    pub fn newest(&self, view: &ViewId) -> Option<Instant> {
        self.newest.read().get(view).copied()
    }
}
