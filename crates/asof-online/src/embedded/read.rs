//! Reading: one snapshot and one `t` for the whole request.

use asof_model::Instant;
use bytes::Bytes;
use fjall::{Readable, Snapshot};

use super::events::Reader;
use super::{EmbeddedStore, records};
use crate::entry::{StoredRowRef, better, overflow_from, row_at};
use crate::error::OnlineError;
use crate::events::is_events;
use crate::fields::Fields;
use crate::stamps::Frontiers;
use crate::store::{AnswerRow, Frontier, KEY_BYTES_MAX, OnlineAnswer, ViewHandle};

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
        let rows = keys
            .iter()
            .map(|(view, key)| self.row((&drawn.snapshot, &reader), *view, key, drawn.t))
            .collect::<Result<_, _>>()?;
        Ok(OnlineAnswer { t: drawn.t, rows, frontiers })
    }

    fn row(
        &self,
        (snapshot, reader): (&Snapshot, &Reader),
        view: ViewHandle,
        key: &[u8],
        t: Instant,
    ) -> Result<Option<AnswerRow>, OnlineError> {
        if key.len() > KEY_BYTES_MAX {
            // The engine panics on it; no such key was ever taken, so it holds no row.
            return Ok(None);
        }
        let stored_key = records::row_key(view, key);
        let Some(entry) = snapshot.get(&self.rows, &stored_key).map_err(|error| self.failed(error))? else {
            return Ok(None);
        };
        let damaged = |error: OnlineError| error.at(view, key);
        if is_events(&entry) {
            // Which of them count is for whoever closes their windows to say.
            let events = self.stored_events(snapshot, reader, view, stored_key, &entry).map_err(damaged)?;
            let (row, events) = (Bytes::new(), Some(events));
            return Ok(Some(AnswerRow { event: t, created: t, visible: t, position: 0, row, events }));
        }
        let row = row_at(&entry, t).map_err(damaged)?;
        if overflow_from(&entry).map_err(damaged)?.is_none_or(|from| from > t) {
            return Ok(row.map(answer_row));
        }
        let overflow = snapshot.get(&self.waiting, &stored_key).map_err(|error| self.failed(error))?;
        let missing = || Fields::new("entry", &entry).damaged("its overflow record is missing");
        let overflow = overflow.ok_or_else(missing).map_err(damaged)?;
        Ok(better(row, row_at(&overflow, t).map_err(damaged)?).map(answer_row))
    }
}

/// The frontiers of the asked views, once each. A request asks few views, so a scan beats a set.
fn asked_frontiers(
    frontiers: &Frontiers,
    keys: &[(ViewHandle, &[u8])],
) -> Result<Vec<Frontier>, OnlineError> {
    let mut asked: Vec<Frontier> = Vec::new();
    for (view, _) in keys {
        if asked.iter().all(|each| each.view != *view) {
            let (frontier, _) = frontiers.get(view).ok_or(OnlineError::UnknownView { view: *view })?;
            asked.push(*frontier);
        }
    }
    Ok(asked)
}

/// Copied out of its block: an answer that is kept (in a cache) must not keep 4 KiB for a row.
fn answer_row(row: StoredRowRef<'_>) -> AnswerRow {
    AnswerRow {
        event: row.event,
        created: row.created,
        visible: row.visible,
        position: row.position,
        row: Bytes::copy_from_slice(row.row),
        events: None,
    }
}
