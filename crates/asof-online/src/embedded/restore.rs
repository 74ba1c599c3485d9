//! Putting rows back that were left to history, once somebody has asked for them.

use fjall::PersistMode;

use super::{EmbeddedStore, records};
use crate::entry::{StoredRow, encode_entry};
use crate::error::OnlineError;
use crate::store::ViewHandle;

impl EmbeddedStore {
    pub(super) fn restore_now(
        &self,
        view: ViewHandle,
        rows: Vec<(Vec<u8>, Vec<StoredRow>)>,
    ) -> Result<u64, OnlineError> {
        let _writer = self.writer.lock();
        self.stamps.frontier(view)?;
        if self.stamps.frozen() {
            return Err(OnlineError::Poisoned { path: self.path.clone() });
        }
        let awaited = self.awaited.end(view);
        let mut restored: Vec<Vec<u8>> = Vec::new();
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (key, rows) in rows.into_iter().filter(|(key, rows)| awaited.contains(key) && !rows.is_empty()) {
            let stored_key = records::row_key(view, &key);
            if self.rows.contains_key(&stored_key).map_err(|error| self.failed(error))? {
                continue;
            }
            let records = encode_entry(&rows).map_err(|error| error.at(view, &key))?;
            if let Some(overflow) = records.overflow {
                batch.insert(&self.waiting, stored_key.clone(), overflow);
            }
            batch.insert(&self.rows, stored_key.clone(), records.entry);
            restored.push(stored_key);
        }
        if restored.is_empty() {
            return Ok(0);
        }
        batch.commit().map_err(|error| self.failed(error))?;
        self.entries.change(self.stamps.coming(), restored.iter().map(Vec::as_slice));
        self.stamps.pass();
        Ok(restored.len() as u64)
    }
}
