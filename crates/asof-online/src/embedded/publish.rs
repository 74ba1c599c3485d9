//! Publishing: read what is there, draw the stamp, fold in memory, write all in one batch.

use std::collections::BTreeMap;
use std::ops::Bound;

use asof_model::Instant;
use fjall::{OwnedWriteBatch, PersistMode, Readable, Slice, Snapshot};

use super::heads::Heads;
use super::{EmbeddedStore, records};
use crate::entry::{StoredRow, decode_entry, encode_entry, overflow_from};
use crate::error::OnlineError;
use crate::events::is_events;
use crate::fields::Fields;
use crate::fold::{FoldRow, FoldUnit, fold};
use crate::store::{
    EventRange, Frontier, KEY_BYTES_MAX, NAME_BYTES_MAX, NOTE_BYTES_MAX, PUBLICATION_BYTES_MAX,
    PUBLICATION_ROWS_MAX, Publication, Published, REPLACEMENT_ROWS_MAX, UnitStamp, ViewHandle,
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

/// What comes for one key.
#[derive(Default)]
struct Coming {
    rows: Vec<FoldRow>,
    restored: Vec<StoredRow>,
}

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
        Ok(Some(Published {
            visible: Fields::new("unit", &value).instant(0)?,
            already: true,
            rows_added: 0,
            rows_repeated: 0,
            rows_beaten: 0,
            rows_inactive: 0,
            rows_removed: 0,
            conflicts: 0,
            waiting: 0,
            overflowed: 0,
        }))
    }

    /// The rows by key, in key order (as the tree likes them), with what is stored under each.
    fn touched(&self, publication: &mut Publication<'_>, heads: &Heads) -> Result<Vec<Touched>, OnlineError> {
        let mut by_key: BTreeMap<Vec<u8>, Coming> = BTreeMap::new();
        for row in publication.rows.drain(..) {
            let fold_row = FoldRow { event: row.event, created: row.created, row: row.row };
            by_key.entry(row.key).or_default().rows.push(fold_row);
        }
        let view = publication.view;
        if let Some(replaces) = &mut publication.replaces {
            for (key, row) in replaces.restored.drain(..) {
                by_key.entry(key).or_default().restored.push(row);
            }
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
        let unit = FoldUnit {
            visible,
            position: publication.position,
            layout: publication.layout,
            created_declared: publication.created_declared,
        };
        let mut published = Published {
            visible,
            already: false,
            rows_added: 0,
            rows_repeated: 0,
            rows_beaten: 0,
            rows_inactive: 0,
            rows_removed: 0,
            conflicts: 0,
            waiting: 0,
            overflowed: 0,
        };
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
            let mut stored: Vec<StoredRow> = match &entry {
                Some(entry) => {
                    decode_entry(entry, overflow.as_deref()).map_err(|error| error.at(view, &key))?
                }
                None => Vec::new(),
            };
            let before = stored.len();
            if let Some(replaces) = &publication.replaces {
                stored.retain(|row| !replaces.events.contains(row.event));
            }
            let removed = before - stored.len();
            let restored = !coming.restored.is_empty();
            stored.extend(coming.restored);
            let served = stored.iter().any(|row| row.in_force() <= visible);
            let mut folded = fold(stored, coming.rows, unit).map_err(|error| error.at(view, &key))?;
            if !served && folded.leave_inactive(publication.active_within, visible) {
                published.rows_inactive += 1;
            }
            published.rows_added += folded.added;
            published.rows_repeated += folded.repeated;
            published.rows_beaten += folded.beaten;
            published.rows_removed += removed as u64;
            published.conflicts += folded.conflicts;
            published.waiting += folded.waiting;
            let encoded = encode_entry(&folded.rows)?;
            published.overflowed += encoded.overflowed as u64;
            if !folded.changed && removed == 0 && !restored {
                continue;
            }
            let stored_key = records::row_key(view, &key);
            if folded.rows.is_empty() {
                if entry.is_none() {
                    continue;
                }
                if overflow.is_some() {
                    batch.remove(&self.waiting, stored_key.clone());
                }
                batch.remove(&self.rows, stored_key.clone());
                written.push((stored_key, None));
                continue;
            }
            match (encoded.overflow, overflow) {
                (Some(record), _) => batch.insert(&self.waiting, stored_key.clone(), record),
                (None, Some(_)) => batch.remove(&self.waiting, stored_key.clone()),
                (None, None) => {}
            }
            batch.insert(&self.rows, stored_key.clone(), encoded.entry);
            written.push((stored_key, None));
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

/// Refuses what is past a bound, and rows that could not be read again.
fn check(publication: &Publication<'_>) -> Result<(), OnlineError> {
    let restored = publication.replaces.as_ref().map_or(&[][..], |replaces| &replaces.restored);
    let (what, rows_max) = match publication.replaces {
        Some(_) => ("a replacement", REPLACEMENT_ROWS_MAX),
        None => ("a publication", PUBLICATION_ROWS_MAX),
    };
    check_size(what, "rows", publication.rows.len() + restored.len(), rows_max)?;
    check_size("the name of a unit", "bytes", publication.unit.len(), NAME_BYTES_MAX)?;
    check_size("the note of a unit", "bytes", publication.note.len(), NOTE_BYTES_MAX)?;
    let mut bytes = 0;
    let rows = publication.rows.iter().map(|row| (&row.key, &row.row));
    for (key, row) in rows.chain(restored.iter().map(|(key, stored)| (key, &stored.row))) {
        check_size("an encoded key", "bytes", key.len(), KEY_BYTES_MAX)?;
        publication.layout.check(row).map_err(|error| error.at(publication.view, key))?;
        bytes += key.len() + row.len();
    }
    check_size(what, "bytes", bytes, PUBLICATION_BYTES_MAX)
}

pub(super) fn check_size(
    what: &'static str,
    unit: &'static str,
    found: usize,
    max: usize,
) -> Result<(), OnlineError> {
    if found > max {
        return Err(OnlineError::TooLarge { what, unit, found: found as u64, max: max as u64 });
    }
    Ok(())
}
