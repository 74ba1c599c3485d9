//! Some of the labels as slots: those whose keys have a hash of one range. For each key its label times, in order.

use std::ops::Range;

use asof_model::KnownAt;

use super::key_table::KeyTable;
use super::keys::{KeyForm, hash_bytes, hash_number};
use super::lane::{Candidate, Lane};
use super::units::UnitFacts;
use crate::buckets::Record;

/// The labels of some keys, a slot for each, and what was found for them.
pub(crate) struct Shard {
    pub keys: KeyTable,
    /// The slots of each key or, with instants of knowledge, its chains.
    runs: Vec<Range<u32>>,
    /// Where labels have an instant of knowledge of their own: runs of slots in which both instants ascend.
    chains: Vec<Range<u32>>,
    /// The time of each slot, microseconds.
    times: Vec<i64>,
    /// The instant of knowledge of each slot; empty where it is the time.
    knowns: Vec<i64>,
    /// The label row of each slot.
    labels: Vec<u32>,
    pub lanes: Vec<Lane>,
}

/// A label on its way into a shard.
struct Label {
    key: u32,
    row: u32,
    time: i64,
    known: i64,
}

/// When a row may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// By labels of this time and later ones.
    pub event: i64,
    /// By labels that know as of this instant, or later.
    pub known: i64,
    /// By labels that know as of before this instant. `i64::MAX`: there is no end.
    pub until: i64,
}

impl Seen {
    /// When a row with these instants may be seen. `None`: it does not stand any more, for whoever does not ask what was
    /// served then.
    #[inline]
    pub fn of(known_at: KnownAt, event: i64, created: i64, facts: &UnitFacts) -> Option<Self> {
        let replaced = facts.replaced_at(event);
        let (known, until) = match (known_at, replaced) {
            (KnownAt::Event, None) => (i64::MIN, i64::MAX),
            (KnownAt::Created, None) => (created, i64::MAX),
            (KnownAt::Served, until) => {
                (created.max(facts.visible.micros()), until.map_or(i64::MAX, |until| until.micros()))
            }
            (KnownAt::Event | KnownAt::Created, Some(_)) => return None,
        };
        Some(Self { event, known, until })
    }
}

impl Shard {
    /// Bytes for each label, without its key and without lanes.
    pub const LABEL_BYTES: u64 = 8 + 4;

    /// Bytes for each key, without lanes.
    pub const KEY_BYTES: u64 = KeyTable::KEY_BYTES + size_of::<Range<u32>>() as u64;

    /// Writes a label as a record for [`Shard::new`]. `key`: its bytes, where keys are bytes.
    pub fn write_label(
        out: &mut Vec<u8>,
        number: i64,
        key: Option<&[u8]>,
        row: u32,
        time: i64,
        known: Option<i64>,
    ) {
        out.extend(row.to_le_bytes());
        out.extend(time.to_le_bytes());
        out.extend(known.iter().flat_map(|known| known.to_le_bytes()));
        match key {
            None => out.extend(number.to_le_bytes()),
            Some(key) => {
                out.extend((key.len() as u32).to_le_bytes());
                out.extend_from_slice(key);
            }
        }
    }

    /// Passes a label that was written. Returns the hash of its key, and its time.
    pub fn pass_label(record: &mut Record<'_>, form: KeyForm, knows: bool) -> (u64, i64) {
        record.u32();
        let time = record.i64();
        record.bytes(if knows { 8 } else { 0 });
        let hash = match form {
            KeyForm::Number => hash_number(record.i64()),
            KeyForm::Bytes => {
                let length = record.u32() as usize;
                hash_bytes(record.bytes(length))
            }
        };
        (hash, time)
    }

    /// A shard of labels that were written as records. `knows`: whether they have instants of knowledge; `lanes`: for each
    /// lane whether rows may be offered to spans.
    pub fn new(form: KeyForm, knows: bool, lanes: &[bool], blocks: &[Vec<u8>]) -> Self {
        let mut shard = Self {
            keys: KeyTable::new(form),
            runs: Vec::new(),
            chains: Vec::new(),
            times: Vec::new(),
            knowns: Vec::new(),
            labels: Vec::new(),
            lanes: Vec::new(),
        };
        let mut labels = Vec::new();
        for block in blocks {
            let mut record = Record(block);
            while !record.is_empty() {
                let (row, time) = (record.u32(), record.i64());
                let known = if knows { record.i64() } else { time };
                let key = match form {
                    KeyForm::Number => shard.keys.number(record.i64()),
                    KeyForm::Bytes => {
                        let length = record.u32() as usize;
                        let key = record.bytes(length);
                        shard.keys.number_of_bytes(hash_bytes(key), key)
                    }
                };
                labels.push(Label { key, row, time, known });
            }
        }
        labels.sort_unstable_by_key(|label| (label.key, label.time, label.known, label.row));
        shard.cut(labels, knows);
        let runs = if knows { &[] } else { shard.runs.as_slice() };
        shard.lanes = lanes.iter().map(|spans| Lane::new(&shard.times, runs, *spans)).collect();
        shard
    }

    /// The number of slots.
    pub fn slots(&self) -> usize {
        self.times.len()
    }

    /// How many rows wait to be told apart, over all lanes.
    pub fn ties(&self) -> usize {
        self.lanes.iter().map(Lane::ties).sum()
    }

    /// The slots in which a row is carried forward, each run by itself.
    pub fn runs(&self) -> Vec<Range<u32>> {
        if self.knowns.is_empty() { self.runs.clone() } else { self.chains.clone() }
    }

    /// The hash of the key and the time of each label.
    pub fn each_label(&self, mut with: impl FnMut(u64, i64)) {
        for (key, hash) in self.keys.numbered() {
            let run = self.runs[key as usize].clone();
            let slots = match self.knowns.is_empty() {
                true => run,
                // The chains of a key lie one after the other.
                false => self.chains[run.start as usize].start..self.chains[run.end as usize - 1].end,
            };
            self.times[slots.start as usize..slots.end as usize].iter().for_each(|time| with(hash, *time));
        }
    }

    /// The label row and the time of a slot.
    pub fn label(&self, slot: usize) -> (u32, i64) {
        (self.labels[slot], self.times[slot])
    }

    /// [`Lane::touch_next`] of a lane.
    #[inline]
    pub fn touch_next(&self, lane: usize, rows: impl Iterator<Item = (u32, i64)>) {
        self.lanes[lane].touch_next(rows, &self.times);
    }

    /// Offers a row to every label of a key, by its number, that may see it, in one lane. `reach`: rows that are older than
    /// so much at a label's time are of no use to it. True: it may be the greatest for one of them.
    #[inline]
    pub fn offer(&mut self, key: u32, lane: usize, seen: Seen, reach: i64, row: Candidate) -> bool {
        if self.knowns.is_empty() {
            let from = seen.event.max(seen.known);
            if seen.until == i64::MAX {
                return self.lanes[lane].offer(key, &self.times, from, reach, row);
            }
            let Range { start, end } = self.runs[key as usize];
            let slot = first(&self.times, start, end, start, from);
            return self.offer_from(slot, end, lane, seen.until, reach, row);
        }
        let mut taken = false;
        for chain in self.runs[key as usize].clone() {
            let Range { start, end } = self.chains[chain as usize];
            let slot = first(&self.times, start, end, start, seen.event);
            let slot = first(&self.knowns, slot, end, slot, seen.known);
            taken |= self.offer_from(slot, end, lane, seen.until, reach, row);
        }
        taken
    }

    fn offer_from(
        &mut self,
        slot: u32,
        end: u32,
        lane: usize,
        until: i64,
        reach: i64,
        row: Candidate,
    ) -> bool {
        if slot >= end || self.times[slot as usize].saturating_sub(row.event) > reach {
            return false;
        }
        if until == i64::MAX {
            return self.lanes[lane].offer_slot(slot, row);
        }
        let knowns = if self.knowns.is_empty() { &self.times } else { &self.knowns };
        let past = first(knowns, slot, end, slot, until);
        self.lanes[lane].offer_span(slot..past, row)
    }

    /// Makes slots of labels that are sorted by group, time and instant of knowledge.
    fn cut(&mut self, labels: Vec<Label>, knows: bool) {
        for of_key in labels.chunk_by(|one, other| one.key == other.key) {
            let (slots, chains) = (self.times.len() as u32, self.chains.len() as u32);
            if knows {
                self.add_chains(of_key);
                self.runs.push(chains..self.chains.len() as u32);
            } else {
                self.times.extend(of_key.iter().map(|label| label.time));
                self.labels.extend(of_key.iter().map(|label| label.row));
                self.runs.push(slots..self.times.len() as u32);
            }
        }
    }

    /// Cuts the labels of a key, which ascend in time, into as few chains as there can be in which the instants of
    /// knowledge ascend too. Where labels know a while after their time, that is one.
    fn add_chains(&mut self, labels: &[Label]) {
        // Each label goes on the chain with the latest end that is not past it; ends descend from chain to chain.
        let mut chains: Vec<Vec<&Label>> = Vec::new();
        for label in labels {
            let ends_later = |chain: &Vec<&Label>| chain.last().is_some_and(|last| last.known > label.known);
            let place = chains.partition_point(ends_later);
            match chains.get_mut(place) {
                Some(chain) => chain.push(label),
                None => chains.push(vec![label]),
            }
        }
        for chain in chains {
            let start = self.times.len() as u32;
            self.times.extend(chain.iter().map(|label| label.time));
            self.knowns.extend(chain.iter().map(|label| label.known));
            self.labels.extend(chain.iter().map(|label| label.row));
            self.chains.push(start..self.times.len() as u32);
        }
    }
}

/// The first of the ascending `instants` in `start..end` that is not before `from`; `end` where all are. The search goes
/// out from `cursor`, which lies within.
#[inline]
pub(super) fn first(instants: &[i64], start: u32, end: u32, cursor: u32, from: i64) -> u32 {
    let before = |place: u32| instants[place as usize] < from;
    let (mut low, mut high) = (start, end);
    // Most rows fall where the one before fell, or next to it.
    if cursor < end && before(cursor) {
        low = cursor + 1;
        let mut step = 1;
        while low < high {
            let probe = (low + step - 1).min(high - 1);
            if !before(probe) {
                high = probe;
                break;
            }
            (low, step) = (probe + 1, step * 2);
        }
    } else {
        high = cursor;
        let mut step = 1;
        while low < high {
            let probe = high - step.min(high - low);
            if before(probe) {
                low = probe + 1;
                break;
            }
            (high, step) = (probe, step * 2);
        }
    }
    low + instants[low as usize..high as usize].partition_point(|instant| *instant < from) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Goal: the search from a cursor finds what a search through everything finds.
        #[test]
        fn search_from_a_cursor(
            mut instants in proptest::collection::vec(-5_i64..20, 0..40),
            cursor in any::<proptest::sample::Index>(),
            from in -6_i64..21,
        ) {
            instants.sort_unstable();
            let end = instants.len() as u32;
            let cursor = cursor.index(instants.len() + 1) as u32;
            let right = instants.iter().filter(|instant| **instant < from).count() as u32;
            prop_assert_eq!(first(&instants, 0, end, cursor, from), right);
        }

        /// Goal: both instants ascend in each chain, every label is in one, and there are no more chains than the longest
        /// run of labels that descend needs.
        #[test]
        fn chains_ascend(labels in proptest::collection::vec((0_i64..6, 0_i64..6), 1..30)) {
            let mut block = Vec::new();
            for (row, (time, known)) in labels.iter().enumerate() {
                Shard::write_label(&mut block, 7, None, row as u32, *time, Some(*known));
            }
            let shard = Shard::new(KeyForm::Number, true, &[], &[block]);
            let mut rows: Vec<u32> = shard.labels.clone();
            rows.sort_unstable();
            prop_assert_eq!(rows, (0..labels.len() as u32).collect::<Vec<_>>());
            for run in shard.runs() {
                let slots: Vec<usize> = run.map(|slot| slot as usize).collect();
                for pair in slots.windows(2) {
                    prop_assert!(shard.times[pair[0]] <= shard.times[pair[1]]);
                    prop_assert!(shard.knowns[pair[0]] <= shard.knowns[pair[1]]);
                }
            }
            let mut sorted = labels.clone();
            sorted.sort_unstable();
            let mut longest = vec![1; sorted.len()];
            for at in 0..sorted.len() {
                for before in (0..at).filter(|before| sorted[*before].1 > sorted[at].1) {
                    longest[at] = longest[at].max(longest[before] + 1);
                }
            }
            prop_assert_eq!(shard.chains.len(), longest.into_iter().max().unwrap());
        }
    }
}
