//! Reading: one snapshot and one `t` for the whole request.

use asof_model::Instant;
use fjall::{Readable, Snapshot};

use super::entries::Record;
use super::events::Reader;
use super::{EmbeddedStore, records};
use crate::entry::{StoredRowRef, better, overflow_from, row_at};
use crate::error::OnlineError;
use crate::events::is_events;
use crate::fields::Fields;
use crate::row_bytes::RowBytes;
use crate::stamps::{Drawn, asked_frontiers};
use crate::store::{AnswerRow, KEY_BYTES_MAX, OnlineAnswer, ViewHandle};

/// A read: what it looks at.
struct Reading {
    drawn: Drawn<Snapshot>,
    reader: Reader,
    /// The stored key that is looked up, a buffer for all of them.
    stored_key: Vec<u8>,
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
        let mut reading = Reading { drawn, reader, stored_key: Vec::new() };
        let mut rows = Vec::with_capacity(keys.len());
        for (view, key) in keys {
            rows.push(self.row(&mut reading, *view, key)?);
        }
        Ok(OnlineAnswer { t: reading.drawn.t, rows, frontiers })
    }

    fn row(
        &self,
        reading: &mut Reading,
        view: ViewHandle,
        key: &[u8],
    ) -> Result<Option<AnswerRow>, OnlineError> {
        if key.len() > KEY_BYTES_MAX {
            // The engine panics on it; no such key was ever taken, so it holds no row.
            return Ok(None);
        }
        records::write_row_key(&mut reading.stored_key, view, key);
        let Reading { drawn: Drawn { t, snapshot, finished, .. }, reader, stored_key } = reading;
        let record = match self.entries.get(stored_key, *finished) {
            Some(record) => record,
            None => {
                let entry = snapshot.get(&self.rows, &*stored_key).map_err(|error| self.failed(error))?;
                let record = Record::new(stored_key, entry.as_deref());
                self.entries.put(record.clone(), *finished);
                record
            }
        };
        let Some(entry) = record.entry() else { return Ok(None) };
        let (t, damaged) = (*t, |error: OnlineError| error.at(view, key));
        if is_events(entry) {
            // Which of them count is for whoever closes their windows to say.
            let events = self.stored_events(snapshot, reader, view, stored_key, entry).map_err(damaged)?;
            let (row, events) = (RowBytes::default(), Some(events));
            return Ok(Some(AnswerRow { event: t, created: t, visible: t, position: 0, row, events }));
        }
        let row = row_at(entry, t).map_err(damaged)?;
        if overflow_from(entry).map_err(damaged)?.is_none_or(|from| from > t) {
            return Ok(row.map(|row| shared_row(&record, &row)));
        }
        let overflow = snapshot.get(&self.waiting, &*stored_key).map_err(|error| self.failed(error))?;
        let missing = || Fields::new("entry", entry).damaged("its overflow record is missing");
        let overflow = overflow.ok_or_else(missing).map_err(damaged)?;
        Ok(better(row, row_at(&overflow, t).map_err(damaged)?).map(|row| {
            let bytes = RowBytes::from(row.row);
            answer_row(&row, bytes)
        }))
    }
}

/// A row of a record's entry, which shares its bytes.
fn shared_row(record: &Record, row: &StoredRowRef<'_>) -> AnswerRow {
    let (bytes, entry_at) = record.shared();
    let from = entry_at + row.at;
    answer_row(row, RowBytes::part(bytes.clone(), from..from + row.row.len()))
}

fn answer_row(row: &StoredRowRef<'_>, bytes: RowBytes) -> AnswerRow {
    AnswerRow {
        event: row.event,
        created: row.created,
        visible: row.visible,
        position: row.position,
        row: bytes,
        events: None,
    }
}
