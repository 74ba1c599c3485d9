//! What became of each label: the row that it met, and how that compares with what could have been served.

use std::sync::atomic::{AtomicU64, Ordering};

use asof_model::{Age, Instant, Rule};

use super::lane::Address;
use super::spec::ViewSpec;
use crate::TrainingError;
use crate::buckets::{Buckets, Record};
use crate::scratch::Scratch;

/// The most buckets of winners; pieces that follow each other share one where there are more.
const BUCKETS_MAX: usize = 4_096;

/// Marks an address whose row is past its ttl.
const EXPIRED: u64 = 1 << 63;

/// The winners of one view.
pub(crate) struct Winners<'a> {
    /// Labels with the rows that they met.
    pub met: Met<'a>,
    /// Labels with the rows that could have been served, where these may be others.
    pub served: Option<Met<'a>>,
    /// Labels whose answers have to be compared with what was served.
    pub differing: Option<Bits>,
    pub counts: Counts,
    pub with_events: bool,
}

/// Labels with rows, by the piece of the row.
pub(crate) struct Met<'a> {
    buckets: Buckets<'a>,
    /// How many pieces share a bucket.
    pieces_each: usize,
    with_events: bool,
}

/// A label with the row that it met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meeting {
    pub address: Address,
    pub label: u32,
    pub expired: bool,
    /// Microseconds; 0 where events are not kept.
    pub event: i64,
}

/// Counts of labels.
#[derive(Default)]
pub(crate) struct Counts {
    matched: AtomicU64,
    expired: AtomicU64,
    differing: AtomicU64,
    bulk: AtomicU64,
}

/// A bit for each label.
pub(crate) struct Bits(Vec<AtomicU64>);

impl Counts {
    pub fn matched(&self) -> u64 {
        self.matched.load(Ordering::Relaxed)
    }

    pub fn expired(&self) -> u64 {
        self.expired.load(Ordering::Relaxed)
    }

    /// Labels that differ whatever their values are.
    pub fn differing(&self) -> u64 {
        self.differing.load(Ordering::Relaxed)
    }

    pub fn bulk(&self) -> u64 {
        self.bulk.load(Ordering::Relaxed)
    }
}

impl Bits {
    pub fn new(labels: u64) -> Self {
        Self((0..labels.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    pub fn insert(&self, label: u32) {
        self.0[label as usize / 64].fetch_or(1 << (label % 64), Ordering::Relaxed);
    }

    pub fn contains(&self, label: u64) -> bool {
        self.0[(label / 64) as usize].load(Ordering::Relaxed) >> (label % 64) & 1 == 1
    }
}

impl<'a> Met<'a> {
    /// Nothing yet, of rows in so many pieces. `held_max`: bytes that may be in memory.
    pub fn new(scratch: &'a Scratch, pieces: usize, with_events: bool, held_max: u64) -> Self {
        let pieces_each = pieces.div_ceil(BUCKETS_MAX).max(1);
        let buckets = Buckets::new(scratch, pieces.div_ceil(pieces_each), held_max);
        Self { buckets, pieces_each, with_events }
    }

    /// How many buckets there are.
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// How many labels there are in a bucket.
    pub fn labels(&self, bucket: usize) -> u64 {
        self.buckets.records(bucket)
    }

    /// Takes the labels of a bucket out, in order of addresses.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn drain(&self, bucket: usize) -> Result<Vec<Meeting>, TrainingError> {
        let mut all = Vec::with_capacity(usize::try_from(self.labels(bucket)).unwrap_or(0));
        self.buckets.drain(bucket, |block| {
            let mut record = Record(block);
            while !record.is_empty() {
                let (address, label) = (record.u64(), record.u32());
                let event = if self.with_events { record.i64() } else { 0 };
                let expired = address & EXPIRED != 0;
                all.push(Meeting { address: address & !EXPIRED, label, expired, event });
            }
            Ok(())
        })?;
        all.sort_unstable_by_key(|meeting| meeting.address);
        Ok(all)
    }
}

/// Meetings of one shard on their way into [`Met`].
#[derive(Default)]
pub(crate) struct Staged {
    /// By the bucket.
    records: Vec<(usize, Meeting)>,
}

impl Staged {
    pub fn push(&mut self, met: &Met<'_>, meeting: Meeting) {
        self.records.push(((meeting.address >> 32) as usize / met.pieces_each, meeting));
    }

    /// Moves all into their buckets.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn flush(&mut self, met: &Met<'_>) -> Result<(), TrainingError> {
        self.records.sort_unstable_by_key(|(bucket, _)| *bucket);
        let mut bytes = Vec::new();
        for of_bucket in self.records.chunk_by(|one, other| one.0 == other.0) {
            bytes.clear();
            for (_, meeting) in of_bucket {
                let expired = if meeting.expired { EXPIRED } else { 0 };
                bytes.extend((meeting.address | expired).to_le_bytes());
                bytes.extend(meeting.label.to_le_bytes());
                if met.with_events {
                    bytes.extend(meeting.event.to_le_bytes());
                }
            }
            let Some((bucket, _)) = of_bucket.first() else { continue };
            met.buckets.append(*bucket, &bytes, of_bucket.len() as u64)?;
        }
        self.records.clear();
        Ok(())
    }
}

/// How old a row was at the time of a label, as far as it makes a difference. `None`: as if there were none.
pub(crate) fn judged(rule: &Rule, event: i64, time: i64, tells_expired: bool) -> Option<Age> {
    let age = rule.age(Instant::from_micros_clamped(event), Instant::from_micros_clamped(time));
    match age {
        Age::Valid => Some(age),
        Age::Expired if tells_expired => Some(age),
        Age::Expired | Age::Forgotten => None,
    }
}

impl Winners<'_> {
    /// Counts a label that met a row of such an age.
    pub fn count(&self, age: Age) {
        let count = if age == Age::Valid { &self.counts.matched } else { &self.counts.expired };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a label for which nothing could have been served, whatever it met, of a view whose units are all alike.
    pub fn count_unserved(&self, view: &ViewSpec, event: i64) {
        if view.units.is_empty() {
            return;
        }
        let facts = view.units.facts(0);
        // A row that is older than all features asked for answers MISSING too.
        if view.asked.iter().all(|place| *place >= facts.features) {
            return;
        }
        self.counts.differing.fetch_add(1, Ordering::Relaxed);
        if facts.bulk.iter().any(|range| range.contains(event)) {
            self.counts.bulk.fetch_add(1, Ordering::Relaxed);
        }
    }
}
