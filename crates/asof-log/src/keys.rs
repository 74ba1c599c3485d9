//! The keys that were appended, by which a repeat is told.
//!
//! Keys of batches that are in the log are all known. Those of reclaimed segments are known for a while, and up to a
//! number: the oldest go first.

use std::collections::{HashMap, VecDeque};

use asof_model::{Duration, Instant};

use crate::batch::Appended;
use crate::format::Digest;

/// A key that was appended, with all that its repeat needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    /// The digest of topic and key.
    pub(crate) name: Digest,
    /// The digest of the entries.
    pub(crate) digest: Digest,
    /// The position of the first entry.
    pub(crate) first: u64,
    /// Entries, at least one.
    pub(crate) entries: u32,
    /// When the batch was admitted.
    pub(crate) admitted: Instant,
}

impl KeyRecord {
    /// What a repeat of the batch is answered.
    pub(crate) fn repeated(&self) -> Appended {
        let last = self.first + u64::from(self.entries) - 1;
        Appended { first: self.first, last, admitted: self.admitted, repeat: true }
    }
}

/// The keys that are remembered.
#[derive(Debug)]
pub(crate) struct Keys {
    keep: Duration,
    max: usize,
    /// In order of positions.
    records: VecDeque<KeyRecord>,
    /// Records that left `records` at its front.
    forgotten: u64,
    /// Name to its newest record, counted from the first one ever.
    places: HashMap<Digest, u64>,
    /// The last position that was reclaimed.
    reclaimed: u64,
    /// The latest admitted of all batches.
    newest: Instant,
}

impl Keys {
    /// No keys, after a log that was reclaimed up to a position.
    ///
    /// - `keep`: how long keys of reclaimed segments are known, measured by admitted
    /// - `max`: the most keys of reclaimed segments
    pub(crate) fn new(keep: Duration, max: usize, reclaimed: u64, newest: Instant) -> Self {
        let (records, places) = (VecDeque::new(), HashMap::new());
        Self { keep, max, records, forgotten: 0, places, reclaimed, newest }
    }

    /// Takes note of a batch, with or without a key.
    pub(crate) fn admit(&mut self, admitted: Instant) {
        self.newest = self.newest.max(admitted);
    }

    /// Takes the key of the batch that comes last. A key that came before and was forgotten is now this one.
    pub(crate) fn push(&mut self, record: KeyRecord) {
        self.places.insert(record.name, self.forgotten + self.records.len() as u64);
        self.records.push_back(record);
    }

    /// The batch that was appended under a name, as far as it is remembered.
    pub(crate) fn find(&self, name: &Digest) -> Option<&KeyRecord> {
        let place = self.places.get(name)?.checked_sub(self.forgotten)?;
        let record = self.records.get(usize::try_from(place).ok()?)?;
        (record.first > self.reclaimed || self.in_time(record)).then_some(record)
    }

    /// The latest admitted of all batches.
    pub(crate) fn newest(&self) -> Instant {
        self.newest
    }

    /// The records that would stay known when all up to `position` is reclaimed, from number `from` on and at most
    /// `max`, and the number to go on with. `None` when there are no more.
    ///
    /// Numbers stay right while batches are appended, until [`Keys::reclaim`].
    pub(crate) fn staying(&self, position: u64, from: usize, max: usize) -> Option<(Vec<KeyRecord>, usize)> {
        let (start, end) = self.bounds(position);
        let from = from.max(start);
        let until = from.saturating_add(max).min(end);
        if from >= end {
            return None;
        }
        let staying = self.records.range(from..until).filter(|record| self.in_time(record));
        Some((staying.copied().collect(), until))
    }

    /// Forgets what does not stay known when all up to `position` is reclaimed.
    pub(crate) fn reclaim(&mut self, position: u64) {
        let (start, end) = self.bounds(position);
        self.reclaimed = self.reclaimed.max(position);
        for at in 0..end {
            if at >= start && self.records.front().is_none_or(|record| self.in_time(record)) {
                break;
            }
            self.forget_front();
        }
    }

    /// The records of positions up to `position`, less those past the bound.
    fn bounds(&self, position: u64) -> (usize, usize) {
        let end = self.records.partition_point(|record| record.first <= position);
        (end.saturating_sub(self.max), end)
    }

    fn in_time(&self, record: &KeyRecord) -> bool {
        self.newest.since(record.admitted) <= self.keep
    }

    fn forget_front(&mut self) {
        let Some(record) = self.records.pop_front() else { return };
        // The name may have come again since, after it was out of time.
        if self.places.get(&record.name) == Some(&self.forgotten) {
            self.places.remove(&record.name);
        }
        self.forgotten += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Instant {
        Instant::from_micros_clamped(micros)
    }

    fn record(name: u8, first: u64, admitted: i64) -> KeyRecord {
        KeyRecord { name: [name; 16], digest: [0; 16], first, entries: 1, admitted: at(admitted) }
    }

    fn keys(max: usize) -> Keys {
        let mut keys = Keys::new(Duration::from_micros(10), max, 0, Instant::MIN);
        for n in 1..=5_u8 {
            keys.push(record(n, u64::from(n), i64::from(n)));
            keys.admit(at(i64::from(n)));
        }
        keys
    }

    fn known(keys: &Keys) -> Vec<u8> {
        (1..=9).filter(|name| keys.find(&[*name; 16]).is_some()).collect()
    }

    /// Goal: a key in the log is known whatever its age; a reclaimed one exactly as long as `keep`.
    #[test]
    fn time_counts_for_reclaimed_keys_only() {
        let mut keys = keys(9);
        keys.reclaim(2);
        keys.admit(at(12));
        assert_eq!(known(&keys), [2, 3, 4, 5]);
        keys.admit(at(100));
        assert_eq!(known(&keys), [3, 4, 5]);
        keys.reclaim(4);
        assert_eq!((known(&keys), keys.records.len()), (vec![5], 1));
    }

    /// Goal: past the bound the oldest reclaimed keys go, and what is written is what stays known.
    #[test]
    fn the_oldest_go() {
        let mut keys = keys(2);
        let mut staying = Vec::new();
        let mut from = 0;
        while let Some((some, next)) = keys.staying(4, from, 1) {
            staying.extend(some.iter().map(|record| record.first));
            from = next;
        }
        assert_eq!(staying, [3, 4]);
        keys.reclaim(4);
        assert_eq!(known(&keys), [3, 4, 5]);
    }

    /// Goal: a key that came again after its time is the new one, also when the old record leaves.
    #[test]
    fn a_key_that_comes_again() {
        let mut keys = keys(9);
        keys.reclaim(3);
        keys.admit(at(50));
        assert!(keys.find(&[1; 16]).is_none());
        keys.push(record(1, 6, 50));
        keys.reclaim(4);
        assert_eq!(keys.find(&[1; 16]).unwrap().first, 6);
    }
}
