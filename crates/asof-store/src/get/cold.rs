//! Keys that a view left to history, and that somebody asked for: their rows are put back online, some at a time, so that the
//! next one who asks is answered at once.

use std::collections::{BTreeMap, HashSet};

use asof_model::plan::Catalog;
use asof_model::{EncodedKey, ViewId};
use asof_online::StoredRow;
use parking_lot::Mutex;

use crate::materialize::ViewRows;
use crate::push::Flush;
use crate::{Store, StoreError};

/// The most keys of a view that wait to be put back. Further ones wait for who asks next.
pub const COLD_KEYS_MAX: usize = 10_000;

/// Keys of views for which history answered.
#[derive(Debug, Default)]
pub(crate) struct ColdKeys(Mutex<BTreeMap<ViewId, HashSet<EncodedKey>>>);

impl ColdKeys {
    /// History answered for a key.
    pub fn note(&self, view: &ViewId, key: EncodedKey) {
        let mut all = self.0.lock();
        let keys = all.entry(view.clone()).or_default();
        if keys.len() < COLD_KEYS_MAX {
            keys.insert(key);
        }
    }
}

impl Store {
    /// Whether history answered for keys that may be put back.
    pub fn has_cold_keys(&self) -> bool {
        !self.cold().0.lock().is_empty()
    }

    /// Puts the rows of keys that history answered for back into the online store; answers how many keys. Each view's
    /// history is read once, whole. No answer changes by it.
    ///
    /// # Errors
    /// Those of the stores. The keys are forgotten then, until somebody asks again.
    pub async fn bring_back(&self, catalog: &Catalog) -> Result<u64, StoreError> {
        let cold = std::mem::take(&mut *self.cold().0.lock());
        let mut restored = 0;
        for (id, keys) in cold {
            // Of a view of events all that may count is online.
            let view = catalog.definitions.views.get(&id).filter(|view| view.active_within.is_some());
            let Some(view) = view else { continue };
            let of = ViewRows::new(catalog, view)?;
            let online = self.online().await?;
            let Some(handle) = online.find(&of.table_name).await?.filter(|_| !of.holds_events()) else {
                continue;
            };
            // From here on the store takes note of what comes for them; what came before has to be in history, which is
            // therefore opened behind it.
            online.await_restored(handle, keys.clone());
            self.flush_pushed(Flush::All).await?;
            let target = self.open_target(catalog, view).await?;
            let mut rows: BTreeMap<EncodedKey, Vec<StoredRow>> = BTreeMap::new();
            for (key, row) in target.standing_rows(&keys).await? {
                rows.entry(key).or_default().push(row);
            }
            restored += online.restore(handle, rows.into_iter().collect()).await?;
        }
        Ok(restored)
    }
}
