//! Rows of a batch to the shards of their keys, and from there to the slots of labels, or aside for later.

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;

use arrow::array::ArrayRef;
use asof_model::ValueType;

use super::finish;
use super::index::shard_of;
use super::keys::{KeyValues, Keys};
use super::offer::Offer;
use super::scan::{Counts, Pad, Probe, Scan, Scanning, Target};
use super::stage::{Stage, StagedRow};
use crate::TrainingError;
use crate::history::Instants;

/// Of so many rows one is looked at to know how many have a key of a label.
const SAMPLED_EACH: usize = 64;

/// Rows after which it is known how many are near enough to a label.
const NEAR_MEASURED_ROWS: u64 = 262_144;

impl Counts {
    /// Whether it pays to ask if rows are near to a label: not where most are.
    fn near_pays(&self) -> bool {
        let asked = self.near_asked.load(Ordering::Relaxed);
        asked < NEAR_MEASURED_ROWS || self.near_passed.load(Ordering::Relaxed) * 2 <= asked
    }
}

/// Where rows are handed on to: a lookup, and the piece of the rows.
#[derive(Clone, Copy)]
struct Lookup<'p> {
    place: usize,
    probe: &'p Probe,
    history: usize,
    piece: usize,
}

impl Scanning<'_, '_> {
    /// Takes in rows of a view. Those whose features come with them are handed on at once, others wait for more of their
    /// shard: [`Scanning::hand_on_all`].
    pub(super) fn take(
        &self,
        pad: &mut Pad,
        (history, view, piece): (usize, usize, usize),
        some: Instants,
    ) -> Result<(), TrainingError> {
        let Scan { run, probes, .. } = *self.scan;
        // Until all is where it can be found again, what ties is not ranked.
        let _offering = self.ranking.read();
        let rows = some.rows.len();
        let Some(first) = probes.iter().find(|probe| probe.is_of(history, view)) else { return Ok(()) };
        let types = &run.spec.keys[first.keys];
        let columns: Vec<(&ArrayRef, ValueType)> =
            some.keys.iter().zip(types.iter().map(|(_, of)| *of)).collect();
        let keys = Keys::new(&columns, rows);
        let kept = self.scan.kept[history][view].as_ref();
        // Of rows that are kept, the batch and the place in it tell which one a row is.
        let batch = kept.map(|kept| kept.reserve());
        pad.taken.clear();
        pad.taken.resize(if kept.is_some() { rows } else { 0 }, false);
        for (place, probe) in probes.iter().enumerate().filter(|(_, probe)| probe.is_of(history, view)) {
            let lookup = Lookup { place, probe, history, piece: batch.unwrap_or(piece) };
            self.stage(pad, lookup, &keys, &some)?;
            if batch.is_some() {
                self.hand_on_each(pad, lookup)?;
            }
        }
        if let (Some(kept), Some(batch), Some(columns)) = (kept, batch, &some.features) {
            let rows: Vec<u32> = (0..rows as u32).filter(|row| pad.taken[*row as usize]).collect();
            kept.fill(batch, rows, columns, &some.units)?;
        }
        Ok(())
    }

    /// Hands on all rows of a piece that wait.
    pub(super) fn hand_on_all(
        &self,
        pad: &mut Pad,
        history: usize,
        piece: usize,
    ) -> Result<(), TrainingError> {
        let _offering = self.ranking.read();
        let probes = self.scan.probes.iter().enumerate();
        for (place, probe) in probes.filter(|(_, probe)| probe.history == history) {
            self.hand_on_each(pad, Lookup { place, probe, history, piece })?;
        }
        Ok(())
    }

    /// Puts rows with the others of their shards; a shard with many hands on what it has.
    fn stage(
        &self,
        pad: &mut Pad,
        lookup: Lookup<'_>,
        keys: &Keys,
        some: &Instants,
    ) -> Result<(), TrainingError> {
        let Scan { pass, kept, target, .. } = *self.scan;
        let probe = lookup.probe;
        let (first_time, last_time) = pass.times;
        let reach = probe.lanes.iter().map(|lane| lane.reach).max().unwrap_or(i64::MAX);
        let (oldest, shards) = (first_time.saturating_sub(reach), pass.keyed[probe.keys].shards());
        let by_place = kept[lookup.history][probe.view].is_some();
        keys.hashes(&mut pad.hashes);
        let near = self.select(pad, lookup, some, oldest..=last_time);
        // Who is near to a label has the key of one.
        let by_key = match target {
            Target::Aside { filters, .. } if !near => Some(&filters[probe.keys]),
            _ => None,
        };
        let mut left_out = 0;
        for at in 0..pad.selected.len() {
            let place = pad.selected[at] as usize;
            let hash = pad.hashes[place];
            if by_key.is_some_and(|keys| !keys.may_hold(hash)) {
                left_out += 1;
                continue;
            }
            let (key, bytes) = match &keys.values {
                KeyValues::Numbers(numbers) => (numbers[place] as u64, None),
                values => (hash, Some(values.bytes_at(place))),
            };
            let row = if by_place { place as u32 } else { some.rows[place] };
            let (event, created) = (some.events[place], some.createds[place]);
            let row = StagedRow { key, event, created, row, unit: some.units.at(place) };
            let shard = shard_of(hash, shards);
            if pad.stages[lookup.place].push(shard, row, bytes) {
                self.hand_on(pad, lookup, shard)?;
            }
        }
        self.counts[lookup.history].keys_asked.fetch_add(left_out, Ordering::Relaxed);
        Ok(())
    }

    /// Selects the rows that can matter by their events and, where that is known and pays, by which labels are near to
    /// them. Returns whether it was looked at the latter.
    fn select(
        &self,
        pad: &mut Pad,
        lookup: Lookup<'_>,
        some: &Instants,
        events: RangeInclusive<i64>,
    ) -> bool {
        let counts = &self.counts[lookup.history];
        let Pad { hashes, selected, .. } = pad;
        let (oldest, last) = events.into_inner();
        let in_time = |event: i64| (oldest <= event) & (event <= last);
        selected.clear();
        selected.resize(hashes.len(), 0);
        let mut count = 0;
        // Each row is written, and the next one over it where it was not wanted: whether it is can't be foreseen, and a
        // processor that guesses wrong would lose what it has begun to look up for the rows behind.
        let Some(near) = self.near[lookup.place].as_deref().filter(|_| counts.near_pays()) else {
            for (place, event) in some.events.iter().enumerate() {
                selected[count] = place as u32;
                count += usize::from(in_time(*event));
            }
            selected.truncate(count);
            return false;
        };
        for (place, (hash, event)) in hashes.iter().zip(some.events.iter()).enumerate() {
            selected[count] = place as u32;
            count += usize::from(in_time(*event) & near.may_matter(*hash, *event));
        }
        selected.truncate(count);
        counts.near_asked.fetch_add(hashes.len() as u64, Ordering::Relaxed);
        counts.near_passed.fetch_add(count as u64, Ordering::Relaxed);
        // Whether keys are few is found out from some rows, since of others it is not asked.
        if let Some(keys) = self.filter(lookup.probe.keys) {
            let sampled = hashes.iter().step_by(SAMPLED_EACH);
            let known = sampled.clone().filter(|hash| keys.may_hold(**hash)).count();
            counts.keys_asked.fetch_add((sampled.len() * SAMPLED_EACH) as u64, Ordering::Relaxed);
            counts.keys_known.fetch_add((known * SAMPLED_EACH) as u64, Ordering::Relaxed);
        }
        true
    }

    fn hand_on_each(&self, pad: &mut Pad, lookup: Lookup<'_>) -> Result<(), TrainingError> {
        let shards = pad.stages.get(lookup.place).map_or(0, Stage::shards);
        (0..shards).try_for_each(|shard| self.hand_on(pad, lookup, shard))
    }

    /// Hands on the rows of a shard.
    fn hand_on(&self, pad: &mut Pad, lookup: Lookup<'_>, shard: usize) -> Result<(), TrainingError> {
        let Lookup { place, probe, history, piece } = lookup;
        let counts = &self.counts[history];
        let Pad { stages, taken, record, .. } = pad;
        let taken = (!taken.is_empty()).then_some(taken.as_mut_slice());
        let form = self.scan.pass.keyed[probe.keys].form;
        stages[place].hand_on(shard, |rows| {
            let known = match self.scan.target {
                Target::Resident(indexes) => {
                    let offer = Offer { form, lanes: &probe.lanes, units: &probe.units };
                    let (known, ties) = indexes[probe.keys].offer(shard, &offer, rows, piece, taken);
                    self.ties.fetch_add(ties, Ordering::Relaxed);
                    known
                }
                Target::Aside { candidates, .. } => {
                    record.clear();
                    record.extend((place as u32).to_le_bytes());
                    record.extend((piece as u32).to_le_bytes());
                    rows.write(record);
                    candidates[probe.keys].append(shard, record, rows.rows.len() as u64)?;
                    // Which of them is the greatest is known later.
                    if let Some(taken) = taken {
                        rows.rows.iter().for_each(|row| taken[row.row as usize] = true);
                    }
                    rows.rows.len() as u64
                }
            };
            if self.near[place].is_none() {
                counts.keys_asked.fetch_add(rows.rows.len() as u64, Ordering::Relaxed);
                counts.keys_known.fetch_add(known, Ordering::Relaxed);
            }
            counts.candidates.fetch_add(known, Ordering::Relaxed);
            Ok(())
        })
    }

    /// Ranks what ties once there is so much of it that memory says so.
    pub(super) fn rank_ties(&self) -> Result<(), TrainingError> {
        let Target::Resident(indexes) = self.scan.target else { return Ok(()) };
        let run = self.scan.run;
        if self.ties.load(Ordering::Relaxed) <= run.ties_max() {
            return Ok(());
        }
        let _alone = self.ranking.write();
        // Another thread may have done it while this one waited.
        if self.ties.load(Ordering::Relaxed) > run.ties_max() {
            finish::settle_all(run, self.scan.layout, indexes, &self.stores)?;
            self.ties.store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}
