//! Reading: one `t` for the whole request, and what every key held at it.
//!
//! There is no snapshot over several nodes, and none is needed: `t` is drawn first, with the numbers of the calls that were
//! acknowledged by then; each value says from when on it answers; and what it replaced is kept aside until the unit is
//! readable. So a read is one round trip to each node. A second one is made for keys of a unit that is just being written,
//! and another `t` is drawn where that unit became readable meanwhile.
//!
//! What was read is kept in memory, and dropped by the units that change it, all of which this process writes; so the same
//! key is not asked for again ([`asof_online::entry_cache`]). Once this process can't be sure any more that it is the only
//! one that writes, nothing is answered from memory.

use asof_model::Instant;
use asof_online::answer_rows::AnswerRows;
use asof_online::entry::{StoredRowRef, better, overflow_from, row_at};
use asof_online::entry_cache::StoredKeys;
use asof_online::events::StoredEvents;
use asof_online::stamps::{Drawn, asked_frontiers};
use asof_online::{KEY_BYTES_MAX, OnlineAnswer, OnlineError, ViewHandle};

use crate::events::{self, Found, Reader};
use crate::fetch::{Fetched, Which};
use crate::keys::Name;
use crate::link::Lane;
use crate::loading;
use crate::store::Inner;
use crate::value::{self, Head, Kind};

/// How many times `t` is drawn for one request: each time more than one unit became readable within a round trip.
const DRAWS_MAX: usize = 64;

/// What a value says at `t`.
enum At<'v> {
    Row(Option<StoredRowRef<'v>>),
    Events(Option<StoredEvents>),
    /// It answers for later instants only: what it replaced is to be asked.
    Before,
    /// Another `t` is to be drawn.
    Again,
}

/// A read: what it looks at.
struct Reading<'a> {
    asked: &'a [(ViewHandle, &'a [u8])],
    stored: StoredKeys,
    drawn: Drawn<std::sync::Arc<Vec<u64>>>,
    rows: AnswerRows,
}

/// How reading some keys ended.
enum Ended {
    Whole,
    Again,
    /// These buckets lack calls.
    Behind(Vec<usize>),
}

impl Inner {
    pub(crate) async fn read_now(
        &self,
        keys: &[(ViewHandle, &[u8])],
        now: Option<Instant>,
    ) -> Result<OnlineAnswer, OnlineError> {
        self.check_whole()?;
        let mut replica = self.link.reads_replicas();
        for _ in 0..DRAWS_MAX {
            let drawn = self.stamps.draw(self.clock.now(), now, || self.committed.lock().clone())?;
            let frontiers = asked_frontiers(&drawn.frontiers, keys)?;
            let last = frontiers.iter().filter_map(|each| each.last_visible).max();
            if let (Some(now), Some(last_visible)) = (now, last)
                && now < last_visible
            {
                return Err(OnlineError::NowBehind { now, last_visible });
            }
            let stored = self.entries.keys(keys.len(), |place, out| {
                let (view, key) = keys[place];
                out.extend_from_slice(&view.number().to_be_bytes());
                out.extend_from_slice(key);
            });
            let mut reading = Reading { asked: keys, stored, drawn, rows: AnswerRows::new(keys.len()) };
            match self.read_all(&mut reading, replica).await? {
                Ended::Whole => {
                    let (t, rows) = (reading.drawn.t, reading.rows.finish());
                    return Ok(OnlineAnswer { t, rows, frontiers });
                }
                Ended::Again => {}
                // A replica that follows later, or a server that lost calls.
                Ended::Behind(_) if replica => replica = false,
                Ended::Behind(buckets) => self.heal_in_time(&buckets).await?,
            }
        }
        let source = "units became readable faster than they could be read".into();
        let waited = self.link.settings().read_patience;
        Err(OnlineError::Unreachable { store: self.link.address().to_owned(), waited, source })
    }

    /// Reads all keys: from memory, by waiting for others that read them, and from the servers.
    async fn read_all(&self, reading: &mut Reading<'_>, replica: bool) -> Result<Ended, OnlineError> {
        // A key too long to have been written is not there.
        let asked = reading.asked;
        let there = |place: &usize| asked[*place].1.len() <= KEY_BYTES_MAX;
        if !self.is_surely_held() {
            let places = (0..asked.len()).filter(there).collect();
            return self.read_below(reading, places, replica).await;
        }
        let missing: Vec<usize> = self.read_kept(reading, None)?.into_iter().filter(there).collect();
        if missing.is_empty() {
            return Ok(Ended::Whole);
        }
        let hashes: Vec<(usize, u64)> =
            missing.into_iter().map(|place| (place, reading.stored.hash(place))).collect();
        let (load, own, others) = self.loading.begin(hashes.into_iter());
        if !own.is_empty() {
            match self.read_below(reading, own, replica).await? {
                Ended::Whole => {}
                ended => return Ok(ended),
            }
        }
        drop(load);
        let mut missing = Vec::new();
        for (place, other) in others {
            loading::wait(&other).await;
            missing.extend(self.read_kept(reading, Some(place))?);
        }
        self.read_below(reading, missing, replica).await
    }

    /// Puts what is kept in memory of all keys, or of one. Answers the places of those of which nothing is.
    fn read_kept(&self, reading: &mut Reading<'_>, one: Option<usize>) -> Result<Vec<usize>, OnlineError> {
        let mut values: Vec<(usize, Vec<u8>)> = Vec::new();
        let mut failed = None;
        let Reading { asked, stored, drawn, rows } = reading;
        let show = |place: usize, value: &[u8]| match rows_at(value, drawn.t) {
            Ok(Some(At::Row(row))) => rows.put(place, row),
            // Events are opened without keeping others from memory.
            Ok(_) => values.push((place, value.to_vec())),
            Err(error) => failed = Some(error.at(asked[place].0, asked[place].1)),
        };
        let mut missing = match one {
            None => self.entries.find(stored, drawn.finished, show),
            Some(place) => match self.entries.look(stored, place, drawn.finished, show) {
                true => Vec::new(),
                false => vec![place],
            },
        };
        if let Some(error) = failed {
            return Err(error);
        }
        for (place, value) in values {
            if !self.put(reading, place, Some(&value), false)? {
                missing.push(place);
            }
        }
        Ok(missing)
    }

    /// Reads some keys from the servers.
    async fn read_below(
        &self,
        reading: &mut Reading<'_>,
        places: Vec<usize>,
        replica: bool,
    ) -> Result<Ended, OnlineError> {
        if places.is_empty() {
            return Ok(Ended::Whole);
        }
        let name = |place: &usize| Name::row(reading.asked[*place].0, reading.asked[*place].1);
        let names: Vec<Name> = places.iter().map(name).collect();
        let marks = reading.drawn.snapshot.clone();
        let values = match self.fetch(Lane::Read, &marks, &names, Which::Current, replica).await? {
            Fetched::Values(values) => values,
            Fetched::Behind(buckets) => return Ok(Ended::Behind(buckets)),
        };
        let (mut aside, mut again) = (Vec::new(), false);
        for (place, value) in places.iter().zip(&values) {
            let value = value.as_deref();
            match self.at(reading, *place, value, false)? {
                At::Row(row) => reading.rows.put(*place, row),
                At::Events(events) => reading.put_events(*place, events),
                At::Before => {
                    aside.push(*place);
                    continue;
                }
                At::Again => {
                    again = true;
                    continue;
                }
            }
            if value.is_none_or(|value| is_settled(value, reading.drawn.t)) {
                let (stored, finished) = (&reading.stored, reading.drawn.finished);
                self.entries.put(stored, *place, value.unwrap_or_default(), finished);
            }
        }
        if aside.is_empty() || again {
            return Ok(if again { Ended::Again } else { Ended::Whole });
        }
        let of: Vec<Name> = aside.iter().map(name).collect();
        let values = match self.fetch(Lane::Read, &marks, &of, Which::Previous, false).await? {
            Fetched::Values(values) => values,
            Fetched::Behind(_) => return Ok(Ended::Again),
        };
        for (place, value) in aside.into_iter().zip(values) {
            again |= !self.put(reading, place, value.as_deref(), true)?;
        }
        Ok(if again { Ended::Again } else { Ended::Whole })
    }

    /// Puts what a value says. False where it does not say it for this `t`.
    fn put(
        &self,
        reading: &mut Reading<'_>,
        place: usize,
        value: Option<&[u8]>,
        before: bool,
    ) -> Result<bool, OnlineError> {
        match self.at(reading, place, value, before)? {
            At::Row(row) => reading.rows.put(place, row),
            At::Events(events) => reading.put_events(place, events),
            At::Before | At::Again => return Ok(false),
        }
        Ok(true)
    }

    /// Looks after servers that lack calls, unless a writer that waits for one of them is in the way for too long.
    async fn heal_in_time(&self, buckets: &[usize]) -> Result<(), OnlineError> {
        let waited = self.link.settings().read_patience;
        match tokio::time::timeout(waited, self.heal_all(buckets)).await {
            Ok(healed) => healed,
            Err(_) => {
                let source = "its servers lost calls, which are being sent again".into();
                Err(OnlineError::Unreachable { store: self.link.address().to_owned(), waited, source })
            }
        }
    }

    /// What a value says at `t`. `before`: it was kept aside.
    fn at<'v>(
        &self,
        reading: &Reading<'_>,
        place: usize,
        value: Option<&'v [u8]>,
        before: bool,
    ) -> Result<At<'v>, OnlineError> {
        let (view, key) = reading.asked[place];
        let said = || {
            let Some(value) = value else {
                // What was kept aside has gone: the unit is readable now.
                return Ok(if before { At::Again } else { At::Row(None) });
            };
            if let Some(at) = rows_at(value, reading.drawn.t)? {
                return Ok(match at {
                    At::Before if before => At::Again,
                    at => at,
                });
            }
            let cache = self.cache();
            let forgotten = cache.forgotten();
            let reader = Reader { cache: &cache, forgotten, view, key };
            Ok(match events::at(value, reading.drawn.t, &reader)? {
                Found::Later => At::Again,
                Found::Events(events) => At::Events(events),
            })
        };
        said().map_err(|error: OnlineError| error.at(view, key))
    }
}

impl Reading<'_> {
    fn put_events(&mut self, place: usize, events: Option<StoredEvents>) {
        if let Some(events) = events {
            self.rows.put_events(place, self.drawn.t, events);
        }
    }
}

/// What a value says at `t`, an empty one that nothing stands under the key. `None`: it holds events.
fn rows_at(value: &[u8], t: Instant) -> Result<Option<At<'_>>, OnlineError> {
    if value.is_empty() {
        return Ok(Some(At::Row(None)));
    }
    let head = Head::read(value)?;
    if t < head.stamp {
        return Ok(Some(match head.first {
            true if t >= head.floor => At::Row(None),
            true => At::Again,
            false => At::Before,
        }));
    }
    match head.kind {
        Kind::Nothing => Ok(Some(At::Row(None))),
        Kind::Rows => {
            let (entry, overflow) = value::read_rows(value)?;
            let row = row_at(entry, t)?;
            Ok(Some(At::Row(match overflow {
                Some(overflow) if overflow_from(entry)?.is_some_and(|from| from <= t) => {
                    better(row, row_at(overflow, t)?)
                }
                _ => row,
            })))
        }
        Kind::Events => Ok(None),
        Kind::Remembered => {
            Err(OnlineError::Damaged { what: "value", problem: "it holds no rows, but what is remembered" })
        }
    }
}

/// Whether all that a value holds was readable at `t`: nothing of a unit that is still on its way.
fn is_settled(value: &[u8], t: Instant) -> bool {
    let Ok(head) = Head::read(value) else { return false };
    let frames = || events::frames(value).is_ok_and(|frames| frames.iter().all(|frame| frame.stamp <= t));
    head.stamp <= t && (head.kind != Kind::Events || frames())
}
