//! Units that wait for history, and how they stop waiting.

use asof_model::Instant;
use fjall::{PersistMode, Readable};

use super::{EmbeddedStore, records};
use crate::change::check_size;
use crate::error::OnlineError;
use crate::store::{Frontier, NAME_BYTES_MAX, NOTE_BYTES_MAX, UnitStamp, ViewHandle};

impl EmbeddedStore {
    pub(super) fn waiting_now(&self, view: ViewHandle) -> Result<Vec<UnitStamp>, OnlineError> {
        self.stamps.frontier(view)?;
        let drawn = self.stamps.draw(self.clock.now(), None, || self.database.snapshot())?;
        let mut units = Vec::new();
        for each in drawn.snapshot.prefix(&self.journal, records::waiting_prefix(view)) {
            let (key, value) = each.into_inner().map_err(|error| self.failed(error))?;
            units.push(records::decode_stamp(&key, &value)?);
        }
        Ok(units)
    }

    pub(super) fn settle_now(&self, view: ViewHandle, unit: &UnitStamp) -> Result<(), OnlineError> {
        let _writer = self.writer.lock();
        let (before, units) = self.stamps.frontier(view)?;
        check_size("the name of a unit", "bytes", unit.unit.len(), NAME_BYTES_MAX)?;
        check_size("the note of a unit", "bytes", unit.note.len(), NOTE_BYTES_MAX)?;
        if self.stamps.frozen() {
            return Err(OnlineError::Poisoned { path: self.path.clone() });
        }
        let name = records::unit_key(view, &unit.unit);
        let mut known = self.journal.contains_key(&name).map_err(|error| self.failed(error))?;
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for each in self.database.snapshot().prefix(&self.journal, records::waiting_prefix(view)) {
            let (key, value) = each.into_inner().map_err(|error| self.failed(error))?;
            let waiting = records::decode_stamp(&key, &value)?;
            if waiting.visible > unit.visible {
                break;
            }
            batch.remove(&self.journal, key);
            batch.remove(&self.journal, records::unit_key(view, &waiting.unit));
            // One that waited under the name of what takes its place.
            known &= waiting.unit != unit.unit;
        }
        let after = Frontier {
            view,
            position: before.position.max(Some(unit.position)),
            last_visible: before.last_visible.max(Some(unit.visible)),
        };
        let units = units + u64::from(!known);
        if !known {
            let stamp = records::encode_stamp(unit);
            batch.insert(&self.journal, records::stamp_key(view, unit.visible), stamp);
            batch.insert(&self.journal, name, Instant::micros(unit.visible).to_le_bytes());
        }
        batch.insert(&self.meta, records::frontier_key(view), records::encode_frontier(&after, units));
        if let Err(error) = batch.commit() {
            // As of a publication: failed midway, its outcome shows when the store is opened again.
            if !matches!(error, fjall::Error::Poisoned) {
                self.stamps.freeze();
            }
            return Err(self.failed(error));
        }
        self.stamps.settle(after, units);
        Ok(())
    }
}
