//! Publishing: read what is there, draw the stamp, fold in memory, write all in one batch.

use std::collections::BTreeMap;

use fjall::{OwnedWriteBatch, PersistMode, Slice};

use super::{EmbeddedStore, records};
use crate::entry::{StoredRow, decode_entry, encode_entry, overflow_from};
use crate::error::OnlineError;
use crate::fields::Fields;
use crate::fold::{FoldRow, FoldUnit, fold};
use crate::store::{
    Frontier, KEY_BYTES_MAX, NAME_BYTES_MAX, NOTE_BYTES_MAX, PUBLICATION_BYTES_MAX, PUBLICATION_ROWS_MAX,
    Publication, Published, UnitStamp,
};

/// One key that the unit touches: what is stored and what comes.
struct Touched {
    key: Vec<u8>,
    entry: Option<Slice>,
    overflow: Option<Slice>,
    incoming: Vec<FoldRow>,
}

impl EmbeddedStore {
    pub(super) fn publish_now(&self, mut publication: Publication<'_>) -> Result<Published, OnlineError> {
        let _writer = self.writer.lock();
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
        {
            return Err(OnlineError::ReplayOrder {
                unit: publication.unit.to_owned(),
                visible,
                last_visible,
            });
        }
        let rows_given = publication.rows.len() as u64;
        let touched = self.touched(&mut publication)?;

        // From here on readers are held just before the stamp, so the slow part, reading, is behind us.
        let visible =
            self.stamps.begin(self.clock.now(), publication.visible, || self.database.snapshot())?;
        let after = Frontier {
            view,
            position: before.position.max(Some(publication.position)),
            last_visible: Some(visible),
        };
        let prepared = self.prepare(&publication, touched, visible).map(|(mut batch, published)| {
            let stamp = UnitStamp {
                unit: publication.unit.to_owned(),
                visible,
                position: publication.position,
                rows: rows_given,
                note: publication.note.to_owned(),
            };
            batch.insert(&self.journal, records::stamp_key(view, visible), records::encode_stamp(&stamp));
            batch.insert(
                &self.journal,
                records::unit_key(view, publication.unit),
                visible.micros().to_le_bytes(),
            );
            batch.insert(
                &self.meta,
                records::frontier_key(view),
                records::encode_frontier(&after, units + 1),
            );
            (batch, published)
        });
        let (batch, published) = prepared.inspect_err(|_| self.stamps.abandon())?;
        match batch.commit() {
            Ok(()) => self.stamps.finish(visible, after, units + 1),
            Err(error) => {
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
            conflicts: 0,
            waiting: 0,
            overflowed: 0,
        }))
    }

    /// The rows by key, in key order (as the tree likes them), with what is stored under each.
    fn touched(&self, publication: &mut Publication<'_>) -> Result<Vec<Touched>, OnlineError> {
        let mut by_key: BTreeMap<Vec<u8>, Vec<FoldRow>> = BTreeMap::new();
        for row in publication.rows.drain(..) {
            let fold_row = FoldRow { event: row.event, created: row.created, row: row.row };
            by_key.entry(row.key).or_default().push(fold_row);
        }
        let view = publication.view;
        by_key
            .into_iter()
            .map(|(key, incoming)| {
                let stored_key = records::row_key(view, &key);
                let entry = self.rows.get(&stored_key).map_err(|error| self.failed(error))?;
                let overflows = match &entry {
                    Some(entry) => overflow_from(entry).map_err(|error| error.at(view, &key))?.is_some(),
                    None => false,
                };
                let overflow = match overflows {
                    true => self.waiting.get(&stored_key).map_err(|error| self.failed(error))?,
                    false => None,
                };
                if overflows && overflow.is_none() {
                    let missing = Fields::new("entry", &[]).damaged("its overflow record is missing");
                    return Err(missing.at(view, &key));
                }
                Ok(Touched { key, entry, overflow, incoming })
            })
            .collect()
    }

    /// Folds every touched key and puts what changed into a batch.
    fn prepare(
        &self,
        publication: &Publication<'_>,
        touched: Vec<Touched>,
        visible: asof_model::Instant,
    ) -> Result<(OwnedWriteBatch, Published), OnlineError> {
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
            conflicts: 0,
            waiting: 0,
            overflowed: 0,
        };
        let mut batch = OwnedWriteBatch::with_capacity(self.database.clone(), touched.len() + 3)
            .durability(Some(PersistMode::SyncAll));
        for Touched { key, entry, overflow, incoming } in touched {
            let stored: Vec<StoredRow> = match &entry {
                Some(entry) => {
                    decode_entry(entry, overflow.as_deref()).map_err(|error| error.at(view, &key))?
                }
                None => Vec::new(),
            };
            let folded = fold(stored, incoming, unit).map_err(|error| error.at(view, &key))?;
            published.rows_added += folded.added;
            published.rows_repeated += folded.repeated;
            published.rows_beaten += folded.beaten;
            published.conflicts += folded.conflicts;
            published.waiting += folded.waiting;
            let encoded = encode_entry(&folded.rows)?;
            published.overflowed += encoded.overflowed as u64;
            if !folded.changed {
                continue;
            }
            let stored_key = records::row_key(view, &key);
            match (encoded.overflow, overflow) {
                (Some(record), _) => batch.insert(&self.waiting, stored_key.clone(), record),
                (None, Some(_)) => batch.remove(&self.waiting, stored_key.clone()),
                (None, None) => {}
            }
            batch.insert(&self.rows, stored_key, encoded.entry);
        }
        Ok((batch, published))
    }
}

/// Refuses what is past a bound, and rows that could not be read again.
fn check(publication: &Publication<'_>) -> Result<(), OnlineError> {
    check_size("a publication", "rows", publication.rows.len(), PUBLICATION_ROWS_MAX)?;
    check_size("the name of a unit", "bytes", publication.unit.len(), NAME_BYTES_MAX)?;
    check_size("the note of a unit", "bytes", publication.note.len(), NOTE_BYTES_MAX)?;
    let mut bytes = 0;
    for row in &publication.rows {
        check_size("an encoded key", "bytes", row.key.len(), KEY_BYTES_MAX)?;
        publication.layout.check(&row.row).map_err(|error| error.at(publication.view, &row.key))?;
        bytes += row.key.len() + row.row.len();
    }
    check_size("a publication", "bytes", bytes, PUBLICATION_BYTES_MAX)
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
