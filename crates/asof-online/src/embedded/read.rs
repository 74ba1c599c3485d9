//! Reading: one snapshot and one `t` for the whole request.

use asof_model::Instant;
use fjall::{Readable, Snapshot};

use super::events::Reader;
use super::{EmbeddedStore, records};
use crate::answer_rows::AnswerRows;
use crate::entry::{StoredRowRef, better, overflow_from, row_at};
use crate::entry_cache::StoredKeys;
use crate::error::OnlineError;
use crate::events::is_events;
use crate::fields::Fields;
use crate::stamps::{Drawn, asked_frontiers};
use crate::store::{AnswerRow, KEY_BYTES_MAX, OnlineAnswer, ViewHandle};

/// A read: what it looks at.
struct Reading<'a> {
    asked: &'a [(ViewHandle, &'a [u8])],
    stored: StoredKeys,
    drawn: Drawn<Snapshot>,
    reader: Reader,
}

/// What an entry says at the instant of a read.
enum At<'e> {
    Row(Option<StoredRowRef<'e>>),
    /// More than the entry has to be asked.
    More,
}

impl EmbeddedStore {
    pub(super) fn read_now(
        &self,
        keys: &[(ViewHandle, &[u8])],
        now: Option<Instant>,
    ) -> Result<OnlineAnswer, OnlineError> {
        let reader = Reader { token: self.readers.lock().clone(), forgotten: self.cache.forgotten() };
        let drawn = self.stamps.draw(self.clock.now(), now, || self.database.snapshot())?;
        let frontiers = asked_frontiers(&drawn.frontiers, keys)?;
        let last = frontiers.iter().filter_map(|each| each.last_visible).max();
        if let (Some(now), Some(last_visible)) = (now, last)
            && now < last_visible
        {
            return Err(OnlineError::NowBehind { now, last_visible });
        }
        let stored = self.entries.keys(keys.len(), |place, out| {
            let (view, key) = keys[place];
            // The engine panics on a longer one; no such key was ever taken, so it holds no row.
            if key.len() <= KEY_BYTES_MAX {
                records::write_row_key(out, view, key);
            }
        });
        let reading = Reading { asked: keys, stored, drawn, reader };
        let rows = self.rows(&reading)?;
        Ok(OnlineAnswer { t: reading.drawn.t, rows, frontiers })
    }

    fn rows(&self, reading: &Reading<'_>) -> Result<Vec<Option<AnswerRow>>, OnlineError> {
        let Reading { asked, stored, drawn: Drawn { t, snapshot, finished, .. }, .. } = reading;
        let mut rows = AnswerRows::new(asked.len());
        let mut failed: Option<(usize, OnlineError)> = None;
        // Entries of which more has to be asked than they hold.
        let mut more: Vec<(usize, Vec<u8>)> = Vec::new();
        let missing = self.entries.find(stored, *finished, |place, entry| match at(entry, *t) {
            Ok(At::Row(row)) => rows.put(place, row),
            Ok(At::More) => more.push((place, entry.to_vec())),
            Err(error) => failed = Some((place, error)),
        });
        let damaged = |place: usize, error: OnlineError| {
            let (view, key) = asked[place];
            error.at(view, key)
        };
        if let Some((place, error)) = failed {
            return Err(damaged(place, error));
        }
        for place in missing {
            let stored_key = stored.get(place);
            if stored_key.is_empty() {
                continue;
            }
            let entry = snapshot.get(&self.rows, stored_key).map_err(|error| self.failed(error))?;
            let entry = entry.as_deref().unwrap_or_default();
            self.entries.put(stored, place, entry, *finished);
            match at(entry, *t).map_err(|error| damaged(place, error))? {
                At::Row(row) => rows.put(place, row),
                At::More => more.push((place, entry.to_vec())),
            }
        }
        for (place, entry) in more {
            self.ask_more(reading, place, &entry, &mut rows).map_err(|error| damaged(place, error))?;
        }
        Ok(rows.finish())
    }

    /// Reads what belongs to an entry beside it: its overflow record, or its events.
    fn ask_more(
        &self,
        reading: &Reading<'_>,
        place: usize,
        entry: &[u8],
        rows: &mut AnswerRows,
    ) -> Result<(), OnlineError> {
        let (stored_key, t, snapshot) = (reading.stored.get(place), reading.drawn.t, &reading.drawn.snapshot);
        if is_events(entry) {
            let view = reading.asked[place].0;
            let events = self.stored_events(snapshot, &reading.reader, view, stored_key, entry)?;
            rows.put_events(place, t, events);
            return Ok(());
        }
        let overflow = snapshot.get(&self.waiting, stored_key).map_err(|error| self.failed(error))?;
        let missing = || Fields::new("entry", entry).damaged("its overflow record is missing");
        let overflow = overflow.ok_or_else(missing)?;
        rows.put(place, better(row_at(entry, t)?, row_at(&overflow, t)?));
        Ok(())
    }
}

/// What an entry says at `t`; an empty one stands for nothing.
fn at(entry: &[u8], t: Instant) -> Result<At<'_>, OnlineError> {
    if entry.is_empty() {
        return Ok(At::Row(None));
    }
    if is_events(entry) || overflow_from(entry)?.is_some_and(|from| from <= t) {
        return Ok(At::More);
    }
    row_at(entry, t).map(At::Row)
}
