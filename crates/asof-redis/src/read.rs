//! Reading: one `t` for the whole request, and what every key held at it.
//!
//! There is no snapshot over several nodes, and none is needed: `t` is drawn first, with the numbers of the calls that were
//! acknowledged by then; each value says from when on it answers; and what it replaced is kept aside until the unit is
//! readable. So a read is one round trip to each node. A second one is made for keys of a unit that is just being written,
//! and another `t` is drawn where that unit became readable meanwhile.

use asof_model::Instant;
use asof_online::entry::{StoredRowRef, better, overflow_from, row_at};
use asof_online::stamps::asked_frontiers;
use asof_online::{AnswerRow, KEY_BYTES_MAX, OnlineAnswer, OnlineError, RowBytes, ViewHandle};

use crate::events::{self, Found, Reader};
use crate::fetch::{Fetched, Which};
use crate::keys::Name;
use crate::link::Lane;
use crate::store::Inner;
use crate::value::{self, Head, Kind};

/// How many times `t` is drawn for one request: each time more than one unit became readable within a round trip.
const DRAWS_MAX: usize = 64;

/// What a value says at `t`.
enum At {
    Row(Option<AnswerRow>),
    /// It answers for later instants only: what it replaced is to be asked.
    Before,
    /// Another `t` is to be drawn.
    Again,
}

impl Inner {
    pub(crate) async fn read_now(
        &self,
        keys: &[(ViewHandle, &[u8])],
        now: Option<Instant>,
    ) -> Result<OnlineAnswer, OnlineError> {
        self.check_whole()?;
        let mut replica = self.link.reads_replicas();
        // A key too long to have been written is not there.
        let names: Vec<Name> = keys
            .iter()
            .map(|(view, key)| Name::row(*view, if key.len() > KEY_BYTES_MAX { &[] } else { key }))
            .collect();
        let too_long = |at: usize| keys[at].1.len() > KEY_BYTES_MAX;
        for _ in 0..DRAWS_MAX {
            let cache = self.cache();
            let forgotten = cache.forgotten();
            let drawn = self.stamps.draw(self.clock.now(), now, || self.committed.lock().clone())?;
            let frontiers = asked_frontiers(&drawn.frontiers, keys)?;
            let last = frontiers.iter().filter_map(|each| each.last_visible).max();
            if let (Some(now), Some(last_visible)) = (now, last)
                && now < last_visible
            {
                return Err(OnlineError::NowBehind { now, last_visible });
            }
            let values =
                match self.fetch(Lane::Read, &drawn.snapshot, &names, Which::Current, replica).await? {
                    Fetched::Values(values) => values,
                    Fetched::Behind(buckets) => {
                        // A replica that follows later, or a server that lost calls.
                        match replica {
                            true => replica = false,
                            false => self.heal_in_time(&buckets).await?,
                        }
                        continue;
                    }
                };
            let at = |place: usize, value: Option<Vec<u8>>, before: bool| {
                let (view, key) = keys[place];
                let reader = Reader { cache: &cache, forgotten, view, key };
                self.at(value, drawn.t, &reader, before).map_err(|error| error.at(view, key))
            };
            let (mut rows, mut aside, mut again) = (vec![None; keys.len()], Vec::new(), false);
            for (place, value) in values.into_iter().enumerate() {
                match at(place, value.filter(|_| !too_long(place)), false)? {
                    At::Row(row) => rows[place] = row,
                    At::Before => aside.push(place),
                    At::Again => again = true,
                }
            }
            if !aside.is_empty() && !again {
                let of: Vec<Name> = aside.iter().map(|place| names[*place].clone()).collect();
                let values =
                    match self.fetch(Lane::Read, &drawn.snapshot, &of, Which::Previous, false).await? {
                        Fetched::Values(values) => values,
                        Fetched::Behind(_) => continue,
                    };
                for (place, value) in aside.into_iter().zip(values) {
                    match at(place, value, true)? {
                        At::Row(row) => rows[place] = row,
                        At::Before | At::Again => again = true,
                    }
                }
            }
            if !again {
                return Ok(OnlineAnswer { t: drawn.t, rows, frontiers });
            }
        }
        let source = "units became readable faster than they could be read".into();
        let waited = self.link.settings().read_patience;
        Err(OnlineError::Unreachable { store: self.link.address().to_owned(), waited, source })
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
    fn at(
        &self,
        value: Option<Vec<u8>>,
        t: Instant,
        reader: &Reader<'_>,
        before: bool,
    ) -> Result<At, OnlineError> {
        let Some(value) = value else {
            // What was kept aside has gone: the unit is readable now.
            return Ok(if before { At::Again } else { At::Row(None) });
        };
        let head = Head::read(&value)?;
        if t < head.stamp {
            return Ok(match (head.first, before) {
                (true, _) if t >= head.floor => At::Row(None),
                (true, _) | (false, true) => At::Again,
                (false, false) => At::Before,
            });
        }
        match head.kind {
            Kind::Nothing => Ok(At::Row(None)),
            Kind::Rows => {
                let (entry, overflow) = value::read_rows(&value)?;
                let row = row_at(entry, t)?;
                let row = match overflow {
                    Some(overflow) if overflow_from(entry)?.is_some_and(|from| from <= t) => {
                        better(row, row_at(overflow, t)?)
                    }
                    _ => row,
                };
                Ok(At::Row(row.map(|row| answer_row(&row))))
            }
            Kind::Events => Ok(match events::at(&value, t, reader)? {
                Found::Later => At::Again,
                Found::Events(events) => At::Row(events.map(|events| AnswerRow {
                    event: t,
                    created: t,
                    visible: t,
                    position: 0,
                    row: RowBytes::default(),
                    events: Some(events),
                })),
            }),
            Kind::Remembered => Err(OnlineError::Damaged {
                what: "value",
                problem: "it holds no rows, but what is remembered",
            }),
        }
    }
}

fn answer_row(row: &StoredRowRef<'_>) -> AnswerRow {
    AnswerRow {
        event: row.event,
        created: row.created,
        visible: row.visible,
        position: row.position,
        row: RowBytes::from(row.row),
        events: None,
    }
}
