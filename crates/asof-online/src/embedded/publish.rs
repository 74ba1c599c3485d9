//! Publishing: read what is there, draw the stamp, fold in memory, write all in one batch.

use std::ops::Bound;

use asof_model::Instant;
use fjall::{OwnedWriteBatch, PersistMode, Readable, Slice, Snapshot};

use super::heads::Heads;
use super::{EmbeddedStore, records};
use crate::change::{self, Change, Coming, check, check_size};
use crate::entry::{decode_entry, overflow_from};
use crate::error::OnlineError;
use crate::events::is_events;
use crate::fields::Fields;
use crate::store::{
    EventRange, Frontier, KEY_BYTES_MAX, Publication, Published, REPLACEMENT_ROWS_MAX, UnitStamp, ViewHandle,
};

/// One key that the unit touches: what is stored and what comes.
struct Touched {
    key: Vec<u8>,
    entry: Option<Slice>,
    overflow: Option<Slice>,
    coming: Coming,
}

/// A stored key that changes, with the head that is written under it where it is one of events.
pub(super) type WrittenHead = (Vec<u8>, Option<Slice>);

impl EmbeddedStore {
    pub(super) fn publish_now(&self, mut publication: Publication<'_>) -> Result<Published, OnlineError> {
        let mut writer = self.writer.lock();
        let view = publication.view;
        let (before, units) = self.stamps.frontier(view)?;
        check(&publication)?;
        if let Some(published) = self.published_before(&publication)? {
            return Ok(published);
        }
        if self.stamps.frozen() {
            return Err(OnlineError::Poisoned { path: self.path.clone() });
        }
        if let (Some(visible), Some(last_visible)) = (publication.visible, before.last_visible)
            && visible <= last_visible
            && !publication.waits
        {
            return Err(OnlineError::ReplayOrder {
                unit: publication.unit.to_owned(),
                visible,
                last_visible,
            });
        }
        self.awaited.touched_by(&publication);
        let rows_given = publication.rows.len() as u64;
        let versions = self.coming_versions(&publication)?;
        let touched = self.touched(&mut publication, &writer)?;

        // From here on readers are held just before the stamp, so the slow part, reading, is behind us: all but the
        // last segment of a key of events whose tail is full.
        let visible =
            self.stamps.begin(self.clock.now(), publication.visible, || self.database.snapshot())?;
        let after = Frontier {
            view,
            position: before.position.max(Some(publication.position)),
            // A unit that waits may be replayed behind a later one.
            last_visible: before.last_visible.max(Some(visible)),
        };
        let units = units + u64::from(!publication.waits);
        let prepared =
            self.prepare(&publication, touched, visible).and_then(|(mut batch, published, written)| {
                self.remember(&publication, versions, visible, &mut batch)?;
                let stamp = UnitStamp {
                    unit: publication.unit.to_owned(),
                    visible,
                    position: publication.position,
                    rows: rows_given,
                    note: publication.note.to_owned(),
                };
                let key = match publication.waits {
                    true => records::waiting_key(view, visible),
                    false => records::stamp_key(view, visible),
                };
                batch.insert(&self.journal, key, records::encode_stamp(&stamp));
                batch.insert(
                    &self.journal,
                    records::unit_key(view, publication.unit),
                    visible.micros().to_le_bytes(),
                );
                batch.insert(
                    &self.meta,
                    records::frontier_key(view),
                    records::encode_frontier(&after, units),
                );
                Ok((batch, published, written))
            });
        let (batch, published, written) = prepared.inspect_err(|_| self.stamps.abandon())?;
        match batch.commit() {
            Ok(()) => {
                let changed = written.iter().map(|(stored_key, _)| &stored_key[..]);
                self.entries.change(self.stamps.coming(), changed);
                self.stamps.finish(visible, after, units);
                for (stored_key, head) in written.into_iter().filter(|_| publication.events.is_some()) {
                    if head.is_none() {
                        self.cache.forget(&stored_key);
                    }
                    writer.put(stored_key, head);
                }
            }
            Err(error) => {
                writer.clear();
                // Refused before a byte was written, or failed midway: only then is the outcome unknown.
                match error {
                    fjall::Error::Poisoned => self.stamps.abandon(),
                    _ => self.stamps.freeze(),
                }
                return Err(self.failed(error));
            }
        }
        Ok(published)
    }

    /// The first stamp of the unit, if it was journaled.
    fn published_before(&self, publication: &Publication<'_>) -> Result<Option<Published>, OnlineError> {
        let key = records::unit_key(publication.view, publication.unit);
        let Some(value) = self.journal.get(key).map_err(|error| self.failed(error))? else {
            return Ok(None);
        };
        Ok(Some(Published::nothing(Fields::new("unit", &value).instant(0)?, true)))
    }

    /// The rows by key, in key order (as the tree likes them), with what is stored under each.
    fn touched(&self, publication: &mut Publication<'_>, heads: &Heads) -> Result<Vec<Touched>, OnlineError> {
        let mut by_key = change::by_key(publication);
        let view = publication.view;
        if let Some(replaces) = &publication.replaces {
            let events = replaces.events;
            let snapshot = self.database.snapshot();
            self.each_entry(&snapshot, view, None, |key, entry, overflow| {
                let replaced = match &publication.events {
                    Some(_) => {
                        let stored_key = records::row_key(view, key);
                        self.any_loaded_in(publication, &stored_key, entry, &micros_of(events))?
                    }
                    None => decode_entry(entry, overflow)?.iter().any(|row| events.contains(row.event)),
                };
                if replaced && !by_key.contains_key(key) {
                    by_key.insert(key.to_vec(), Coming::default());
                }
                check_size("a replacement", "keys", by_key.len(), REPLACEMENT_ROWS_MAX)?;
                Ok(true)
            })?;
        }
        by_key
            .into_iter()
            .map(|(key, coming)| {
                let stored_key = records::row_key(view, &key);
                let entry = match heads.get(&stored_key) {
                    Some(head) => Some(head),
                    None => self.rows.get(&stored_key).map_err(|error| self.failed(error))?,
                };
                let overflow = match &entry {
                    Some(entry) => {
                        let get = || self.waiting.get(&stored_key);
                        self.overflow_of(entry, get).map_err(|error| error.at(view, &key))?
                    }
                    None => None,
                };
                Ok(Touched { key, entry, overflow, coming })
            })
            .collect()
    }

    /// The overflow record of an entry, if it has one.
    fn overflow_of(
        &self,
        entry: &[u8],
        get: impl FnOnce() -> fjall::Result<Option<Slice>>,
    ) -> Result<Option<Slice>, OnlineError> {
        if is_events(entry) || overflow_from(entry)?.is_none() {
            return Ok(None);
        }
        let overflow = get().map_err(|error| self.failed(error))?;
        let missing = || Fields::new("entry", entry).damaged("its overflow record is missing");
        overflow.map(Some).ok_or_else(missing)
    }

    /// Shows the entries of a view in key order, strictly behind `after`, each with its overflow record, until `show`
    /// answers false.
    pub(super) fn each_entry(
        &self,
        snapshot: &Snapshot,
        view: ViewHandle,
        after: Option<&[u8]>,
        mut show: impl FnMut(&[u8], &[u8], Option<&[u8]>) -> Result<bool, OnlineError>,
    ) -> Result<(), OnlineError> {
        let prefix = view.number().to_be_bytes();
        for each in snapshot.range(&self.rows, (behind(view, after), Bound::Unbounded)) {
            let (stored_key, entry) = each.into_inner().map_err(|error| self.failed(error))?;
            let Some(key) = stored_key.strip_prefix(&prefix) else { break };
            let get = || snapshot.get(&self.waiting, &stored_key);
            let shown =
                self.overflow_of(&entry, get).and_then(|overflow| show(key, &entry, overflow.as_deref()));
            if !shown.map_err(|error| error.at(view, key))? {
                break;
            }
        }
        Ok(())
    }

    /// Folds every touched key and puts what changed into a batch. With it the stored keys that change, and of keys of
    /// events their heads; `None` for one that holds no event any more.
    fn prepare(
        &self,
        publication: &Publication<'_>,
        touched: Vec<Touched>,
        visible: asof_model::Instant,
    ) -> Result<(OwnedWriteBatch, Published, Vec<WrittenHead>), OnlineError> {
        let view = publication.view;
        let mut published = Published::nothing(visible, false);
        let mut written = Vec::new();
        let mut batch = OwnedWriteBatch::with_capacity(self.database.clone(), touched.len() + 3)
            .durability(Some(PersistMode::SyncAll));
        for Touched { key, entry, overflow, coming } in touched {
            if let Some(rule) = publication.events {
                let stored = (&key[..], entry.as_deref());
                let outcome = (&mut batch, &mut published);
                let changed = self.fold_events(publication, rule, stored, coming.rows, outcome);
                written.extend(changed.map_err(|error| error.at(view, &key))?);
                continue;
            }
            let stored = entry.as_ref().map(|entry| (&entry[..], overflow.as_deref()));
            let changed = change::change(publication, stored, coming, &mut published)
                .map_err(|error| error.at(view, &key))?;
            let stored_key = records::row_key(view, &key);
            match changed {
                Change::Nothing => {}
                Change::Remove => {
                    if overflow.is_some() {
                        batch.remove(&self.waiting, stored_key.clone());
                    }
                    batch.remove(&self.rows, stored_key.clone());
                    written.push((stored_key, None));
                }
                Change::Put(encoded) => {
                    match (encoded.overflow, overflow) {
                        (Some(record), _) => batch.insert(&self.waiting, stored_key.clone(), record),
                        (None, Some(_)) => batch.remove(&self.waiting, stored_key.clone()),
                        (None, None) => {}
                    }
                    batch.insert(&self.rows, stored_key.clone(), encoded.entry);
                    written.push((stored_key, None));
                }
            }
        }
        Ok((batch, published, written))
    }
}

pub(super) fn micros_of(events: EventRange) -> std::ops::Range<i64> {
    events.from.micros()..events.until.map_or(i64::MAX, Instant::micros)
}

/// The keys of a view that stand behind `after`, or all, and those of later views.
pub(super) fn behind(view: ViewHandle, after: Option<&[u8]>) -> Bound<Vec<u8>> {
    match after {
        // Cut to the longest key there can be, which the engine insists on: what is behind stays the same.
        Some(after) => Bound::Excluded(records::row_key(view, &after[..after.len().min(KEY_BYTES_MAX)])),
        None => Bound::Included(records::row_key(view, &[])),
    }
}
