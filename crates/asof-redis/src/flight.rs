//! A unit on its way: noted in the journal, written to its buckets, committed by one call to the journal.
//!
//! Until the commit readers see what was there before: every value says from which instant on it answers, and what stood
//! there is kept aside. So writing may stop anywhere. If it stopped because a server did not answer, the same calls are made
//! again later, each once by its number; if this process ended, the next one finds the note and takes back what was written.

use std::collections::BTreeSet;
use std::sync::Arc;

use asof_online::events::cache::EventCache;
use asof_online::{Frontier, OnlineError};
use redis::Value;
use tokio::time::Instant;

use crate::calls::{Call, Change, Letter};
use crate::events;
use crate::journal;
use crate::keys::{Name, Space};
use crate::link::{Lane, Request};
use crate::store::Inner;
use crate::value::{Head, Kind};
use crate::writer::{Failure, Writer};

/// How long what says that nothing is left stays, in milliseconds: longer than any read takes.
const NOTHING_MILLIS: u64 = 120_000;

/// A unit that is being written.
pub(crate) struct Flight {
    /// Its number and stamp.
    pub(crate) title: String,
    pub(crate) number: u64,
    pub(crate) visible: asof_model::Instant,
    pub(crate) after: Frontier,
    pub(crate) units: u64,
    pub(crate) begin: Arc<Call>,
    pub(crate) calls: Vec<Arc<Call>>,
    pub(crate) commit: Arc<Call>,
    pub(crate) changed: Vec<(Letter, Name)>,
}

impl Inner {
    /// Writes a unit, from wherever it stopped before.
    pub(crate) async fn fly(&self, writer: &mut Writer, flight: &Flight) -> Result<(), Failure> {
        self.drive(writer, std::slice::from_ref(&flight.begin)).await?;
        self.drive(writer, &flight.calls).await?;
        self.wait_replicas(self.link.settings().wait_replicas).await?;
        self.drive(writer, std::slice::from_ref(&flight.commit)).await
    }

    /// The unit is readable; what was kept aside for it goes.
    pub(crate) async fn land(&self, writer: &mut Writer, flight: &Flight) {
        writer.unit = flight.number;
        for (_, name) in flight.changed.iter().filter(|(letter, _)| *letter == Letter::Nothing) {
            self.cache().forget(&events::cache_key(name.view, &name.member));
        }
        self.note_marks(writer);
        let rows = flight.changed.iter().filter(|(_, name)| name.space == Space::Rows);
        let rows: Vec<Vec<u8>> = rows.map(|(_, name)| events::cache_key(name.view, &name.member)).collect();
        self.entries.change(self.stamps.coming(), rows.iter().map(Vec::as_slice));
        self.stamps.finish(flight.visible, flight.after, flight.units);
        writer.flight = None;
        // What stays aside after a failure goes with the next unit that changes its key.
        if let Err(error) = self.clean(writer.epoch, &flight.changed).await {
            tracing::debug!(store = self.link.address(), %error, "what was kept aside stays for now");
        }
    }

    /// Finishes what was begun before: nothing else is written until then. A unit whose publication ended in an error becomes
    /// readable here, unless a value changed on its server.
    ///
    /// # Errors
    /// Failures of the store.
    pub(crate) async fn resume(&self, writer: &mut Writer) -> Result<(), OnlineError> {
        self.check_writable()?;
        if !writer.unsure.is_empty() {
            let unsure = writer.unsure.clone();
            self.drive_alone(writer, unsure).await?;
            if !writer.back {
                self.take_up().await?;
            }
            self.note_marks(writer);
        }
        let Some(flight) = writer.flight.clone() else { return Ok(()) };
        if writer.back {
            return self.take_back(writer, &flight).await;
        }
        match self.fly(writer, &flight).await {
            Ok(()) => {
                // Who looked into history meanwhile did not see it there.
                self.awaited.touch_all(flight.after.view);
                self.land(writer, &flight).await;
                Ok(())
            }
            Err(Failure::Store(error)) => Err(error),
            Err(Failure::Conflict) => self.take_back(writer, &flight).await,
        }
    }

    /// Takes up from the journal what calls changed whose outcome nobody waited for.
    async fn take_up(&self) -> Result<(), OnlineError> {
        let loaded = self.load().await?;
        for (frontier, units) in loaded.frontiers.into_values() {
            self.stamps.settle(frontier, units);
        }
        *self.views.write() = loaded.views;
        self.forget_entries();
        Ok(())
    }

    /// The unit is not written: what it wrote goes.
    pub(crate) async fn take_back(&self, writer: &mut Writer, flight: &Flight) -> Result<(), OnlineError> {
        writer.back = true;
        let buckets: BTreeSet<usize> = flight.calls.iter().map(|call| call.bucket).collect();
        self.undo(writer, buckets.into_iter().collect(), &flight.title).await?;
        writer.unit = flight.number;
        (writer.flight, writer.back) = (None, false);
        self.stamps.abandon();
        Ok(())
    }

    /// The marks that readers expect from now on.
    pub(crate) fn note_marks(&self, writer: &Writer) {
        *self.committed.lock() = Arc::new(writer.marks.clone());
    }

    /// Waits until so many replicas hold what was written.
    ///
    /// # Errors
    /// [`OnlineError::Unreachable`] where they do not in time.
    pub(crate) async fn wait_replicas(&self, count: u32) -> Result<(), OnlineError> {
        if count == 0 {
            return Ok(());
        }
        let each = self.link.settings().response_timeout / 2;
        let mut command = redis::cmd("WAIT");
        command.arg(count).arg(each.as_millis().max(1) as u64);
        let begun = Instant::now();
        loop {
            let answers = self.link.each_primary(Lane::Write, &command).await?;
            if answers.iter().all(|answer| matches!(answer, Value::Int(held) if *held >= i64::from(count))) {
                return Ok(());
            }
            let waited = begun.elapsed();
            if waited >= self.link.settings().write_patience {
                let source = format!("fewer than {count} replicas have acknowledged what was written");
                let store = self.link.address().to_owned();
                return Err(OnlineError::Unreachable { store, waited, source: source.into() });
            }
        }
    }

    /// Lets go of what was kept aside.
    pub(crate) async fn clean(&self, epoch: u64, changed: &[(Letter, Name)]) -> Result<(), OnlineError> {
        let mut by_bucket: std::collections::BTreeMap<usize, Vec<&(Letter, Name)>> =
            std::collections::BTreeMap::new();
        for each in changed {
            by_bucket.entry(each.1.bucket()).or_default().push(each);
        }
        let mut requests = Vec::new();
        for (bucket, changed) in by_bucket {
            let aside = |each: &&&(Letter, Name)| matches!(each.0, Letter::Version | Letter::Nothing);
            let aside: Vec<_> = changed.iter().filter(aside).collect();
            let pieces: Vec<_> = if aside.is_empty() { vec![&[][..]] } else { aside.chunks(1_000).collect() };
            for piece in pieces {
                let mut command = redis::cmd("EVALSHA");
                command.arg(self.scripts.clean.get_hash()).arg(2 + 3 * piece.len());
                command.arg(self.keys.of(bucket, "fence")).arg(self.keys.of(bucket, "undo"));
                for (_, name) in piece {
                    command.arg(self.keys.value(name)).arg(self.keys.previous(name));
                    command.arg(self.keys.index(name.space, name.view, bucket));
                }
                command.arg(epoch).arg(NOTHING_MILLIS);
                for (letter, name) in piece {
                    command.arg(letter.text()).arg(&name.member[..]);
                }
                requests.push(Request::new(self.keys.slot(bucket), command));
            }
        }
        self.link.send(Lane::Write, requests).await?;
        Ok(())
    }

    /// Lets go of the notes about a unit in buckets.
    pub(crate) async fn clean_notes(&self, epoch: u64, buckets: &[usize]) -> Result<(), OnlineError> {
        let mut requests = Vec::new();
        for bucket in buckets {
            let mut command = redis::cmd("EVALSHA");
            command.arg(self.scripts.clean.get_hash()).arg(2);
            command.arg(self.keys.of(*bucket, "fence")).arg(self.keys.of(*bucket, "undo"));
            command.arg(epoch).arg(NOTHING_MILLIS);
            requests.push(Request::new(self.keys.slot(*bucket), command));
        }
        self.link.send(Lane::Write, requests).await?;
        Ok(())
    }

    /// What a unit changed in a bucket, by its notes.
    pub(crate) async fn noted(&self, bucket: usize) -> Result<Vec<(Letter, Name)>, OnlineError> {
        let mut command = redis::cmd("LRANGE");
        command.arg(self.keys.of(bucket, "undo")).arg(1).arg(-1);
        let answer = self.link.send(Lane::Write, vec![Request::new(self.keys.slot(bucket), command)]).await?;
        let damaged = |problem| OnlineError::Damaged { what: "note of what was written", problem };
        let items: Vec<Vec<u8>> = answer
            .into_iter()
            .next()
            .and_then(|answer| redis::from_redis_value(answer).ok())
            .ok_or_else(|| damaged("it is no list"))?;
        let read = |item: Vec<u8>| {
            let (letter, key) = item.split_first()?;
            let letter = match letter {
                b'V' => Letter::Version,
                b'T' => Letter::Nothing,
                b'S' => Letter::First,
                b'A' => Letter::Append,
                b'R' => Letter::Rewrite,
                b'D' => Letter::Delete,
                _ => return None,
            };
            Some((letter, self.keys.parse_value(bucket, key)?))
        };
        items.into_iter().map(|item| read(item).ok_or_else(|| damaged("it names nothing"))).collect()
    }

    /// Takes back what the unit of that title wrote to buckets, and notes that it is not being written any more. Done again it
    /// goes on where it stopped.
    ///
    /// # Errors
    /// Failures of the store, damaged values.
    pub(crate) async fn undo(
        &self,
        writer: &mut Writer,
        buckets: Vec<usize>,
        title: &str,
    ) -> Result<(), OnlineError> {
        let stamp = title
            .split_once(' ')
            .and_then(|(_, stamp)| asof_model::Instant::from_micros(stamp.parse().ok()?));
        let stamp =
            stamp.ok_or(OnlineError::Damaged { what: "title of a unit", problem: "it has another form" })?;
        let claimed = self.claim(writer.epoch, &buckets).await?;
        for (bucket, each) in &claimed {
            if each.mark < writer.marks[*bucket] {
                self.heal(writer, *bucket).await?;
            }
        }
        let touched: Vec<usize> = buckets
            .into_iter()
            .filter(|bucket| claimed.get(bucket).and_then(|each| each.title.as_deref()) == Some(title))
            .collect();
        let mut calls = Vec::new();
        for bucket in &touched {
            let noted = self.noted(*bucket).await?;
            let names: Vec<Name> = noted.iter().map(|(_, name)| name.clone()).collect();
            let values = self.values(&names).await?;
            let mut changes = Vec::new();
            for ((letter, name), value) in noted.into_iter().zip(values) {
                let change = value.map(|value| undone(letter, name.clone(), &value, stamp)).transpose();
                changes.extend(change.map_err(|error| error.at(name.view, &name.member))?.flatten());
            }
            // A server that is full refuses what adds, and must have done nothing by then.
            changes.sort_by_key(|change| change.letter != Letter::Rewrite);
            // Calls of which nobody knew have come through, or not.
            let mark = claimed.get(bucket).map_or(0, |each| each.mark).max(writer.marks[*bucket]);
            writer.marks[*bucket] = mark;
            // Without a title: the notes stay until all is taken back.
            calls.extend(Call::changes(&self.keys, *bucket, mark, "", &changes).into_iter().map(Arc::new));
        }
        self.drive_alone(writer, calls).await?;
        let mut commands = journal::set_marks(touched.iter().map(|bucket| (*bucket, writer.marks[*bucket])));
        commands.push(journal::clear_pending());
        self.write_journal(writer, commands).await?;
        self.note_marks(writer);
        self.clean_notes(writer.epoch, &touched).await
    }

    /// Forgets all events that are kept in memory.
    pub(crate) fn forget_events(&self) {
        *self.cache.write() = Arc::new(EventCache::new(asof_online::events::cache::CACHED_BYTES_MAX));
    }
}

/// How a change is taken back that a unit of that stamp made. `None`: it was not made, or was taken back before.
fn undone(
    letter: Letter,
    name: Name,
    value: &[u8],
    stamp: asof_model::Instant,
) -> Result<Option<Change>, OnlineError> {
    let head = Head::read(value)?;
    let begins = |bytes: usize| value.get(..bytes).unwrap_or(value).to_vec();
    let change = |letter, expected, payload| {
        Some(Change { letter, name: name.clone(), expected, length: None, payload, live_millis: 0 })
    };
    Ok(match letter {
        Letter::Version | Letter::Nothing if head.stamp == stamp => {
            change(Letter::Undo, begins(crate::value::HEAD_BYTES), Vec::new())
        }
        Letter::First if head.stamp == stamp => change(Letter::Delete, Vec::new(), Vec::new()),
        Letter::Append | Letter::Rewrite if head.kind == Kind::Events => {
            let frames = events::frames(value)?;
            let cut = frames.iter().find(|frame| frame.stamp == stamp);
            cut.and_then(|frame| change(Letter::Rewrite, begins(events::PREFIX_BYTES), begins(frame.at)))
        }
        _ => None,
    })
}
