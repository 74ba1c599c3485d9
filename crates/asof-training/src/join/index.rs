//! All labels by one choice of key columns: shards by the hash of their key, each behind a lock of its own.
//!
//! A batch of rows is put in order of shards first, so that a lock is taken once for many rows, and what they touch is
//! still in the cache.

use asof_model::KnownAt;
use parking_lot::Mutex;

use super::keys::{KeyValues, Keys};
use super::lane::{Address, Candidate};
use super::shard::{Found, Seen, Shard};
use super::units::Units;

/// Rows that are looked up together: so many cache misses are under way at a time.
const LOOKED_UP: usize = 64;

/// Labels for each shard, about: what a shard takes then fits the cache of a core.
const SHARD_LABELS: u64 = 8_192;

/// The most shards.
const SHARDS_MAX: u64 = 1_024;

/// How many shards so many labels make: a power of two.
pub(crate) fn shard_count(labels: u64) -> usize {
    // Locks are to be held by one thread at a time for a short while, however few labels there are.
    (labels / SHARD_LABELS).clamp(16, SHARDS_MAX).next_power_of_two() as usize
}

/// The shard of a key's hash, of so many shards.
pub(crate) fn shard_of(hash: u64, shards: usize) -> usize {
    // There are at least two.
    (hash >> (64 - shards.ilog2())) as usize
}

/// Some shards of all.
pub(crate) struct Index {
    /// By their numbers; only those that are worked on now are there.
    shards: Vec<Mutex<Option<Shard>>>,
}

/// How rows are offered in one lane.
#[derive(Debug, Clone)]
pub(crate) struct LaneUse {
    /// Its place among the lanes of each shard.
    pub lane: usize,
    /// What may hide a row.
    pub known_at: KnownAt,
    /// Rows that are older than so much at a label's time, in microseconds, are of no use.
    pub reach: i64,
}

/// Rows with their keys and instants.
pub(crate) struct Offered<'a> {
    pub keys: &'a Keys,
    pub hashes: &'a [u64],
    /// Microseconds.
    pub events: &'a [i64],
    /// Microseconds.
    pub createds: &'a [i64],
    pub units: UnitsOf<'a>,
    /// Where each row stands.
    pub addresses: &'a [Address],
}

/// The publication units of rows, as numbers of [`Units`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum UnitsOf<'a> {
    All(u32),
    Each(&'a [u32]),
}

/// What rows are put in order in; kept from batch to batch.
#[derive(Default)]
pub(crate) struct Order {
    starts: Vec<u32>,
    rows: Vec<u32>,
}

impl UnitsOf<'_> {
    pub fn at(self, row: usize) -> u32 {
        match self {
            Self::All(unit) => unit,
            Self::Each(units) => units[row],
        }
    }
}

impl Order {
    /// Puts rows in order of their shards; those that `wanted` refuses are left out.
    pub fn sort(&mut self, hashes: &[u64], shards: usize, wanted: impl Fn(usize) -> bool) {
        self.starts.clear();
        self.starts.resize(shards + 1, 0);
        let mut count = 0;
        for (row, hash) in hashes.iter().enumerate() {
            if wanted(row) {
                self.starts[shard_of(*hash, shards) + 1] += 1;
                count += 1;
            }
        }
        for shard in 0..shards {
            self.starts[shard + 1] += self.starts[shard];
        }
        self.rows.clear();
        self.rows.resize(count, 0);
        for (row, hash) in hashes.iter().enumerate() {
            if wanted(row) {
                let place = &mut self.starts[shard_of(*hash, shards)];
                self.rows[*place as usize] = row as u32;
                *place += 1;
            }
        }
        // Each start has moved to the end of its shard, which is where the next one begins.
        self.starts.rotate_right(1);
        self.starts[0] = 0;
    }

    /// The rows of a shard.
    pub fn of(&self, shard: usize) -> &[u32] {
        &self.rows[self.starts[shard] as usize..self.starts[shard + 1] as usize]
    }
}

impl Index {
    /// No shard of so many.
    pub fn new(shards: usize) -> Self {
        Self { shards: (0..shards).map(|_| Mutex::new(None)).collect() }
    }

    /// How many shards there are in all.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Puts a shard in.
    pub fn put(&self, number: usize, shard: Shard) {
        *self.shards[number].lock() = Some(shard);
    }

    /// Takes a shard out.
    pub fn take(&self, number: usize) -> Option<Shard> {
        self.shards[number].lock().take()
    }

    /// Calls `with` for each shard that is there.
    pub fn each(&self, mut with: impl FnMut(&Shard)) {
        self.shards.iter().for_each(|shard| shard.lock().as_ref().into_iter().for_each(&mut with));
    }

    /// Offers the rows of `order` to the shards that are there. Returns how many had a key that a label has, and how many
    /// ties that made. `taken` is told which rows may be the greatest for some label.
    pub fn offer(
        &self,
        rows: &Offered<'_>,
        order: &Order,
        lanes: &[LaneUse],
        units: &Units,
        mut taken: Option<&mut [bool]>,
    ) -> (u64, usize) {
        let (mut known, mut ties) = (0, 0);
        for number in 0..self.shards.len() {
            let of_shard = order.of(number);
            if of_shard.is_empty() {
                continue;
            }
            let mut guard = self.shards[number].lock();
            let Some(shard) = guard.as_mut() else { continue };
            let before = shard.ties();
            for some in of_shard.chunks(LOOKED_UP) {
                known += offer_some(shard, rows, some, lanes, units, taken.as_deref_mut());
            }
            ties += shard.ties() - before;
        }
        (known, ties)
    }
}

/// Offers a few rows of one shard; returns how many had a known key.
fn offer_some(
    shard: &mut Shard,
    rows: &Offered<'_>,
    some: &[u32],
    lanes: &[LaneUse],
    units: &Units,
    mut taken: Option<&mut [bool]>,
) -> u64 {
    // All are looked up before the first is offered: the processor waits for many at a time.
    let mut found: [Option<Found>; LOOKED_UP] = [None; LOOKED_UP];
    match &rows.keys.values {
        KeyValues::Numbers(numbers) => {
            for (found, row) in found.iter_mut().zip(some) {
                *found = shard.find_number(rows.hashes[*row as usize], numbers[*row as usize]);
            }
        }
        KeyValues::Bytes { .. } => {
            for (found, row) in found.iter_mut().zip(some) {
                let row = *row as usize;
                *found = shard.find_bytes(rows.hashes[row], rows.keys.values.bytes_at(row));
            }
        }
    }
    let mut known = 0;
    for (found, row) in found.iter().zip(some) {
        let (Some(found), row) = (found, *row as usize) else { continue };
        known += 1;
        let (event, created) = (rows.events[row], rows.createds[row]);
        let candidate = Candidate { event, created, address: rows.addresses[row] };
        let facts = units.facts(rows.units.at(row));
        for lane in lanes {
            if let Some(seen) = Seen::of(lane.known_at, event, created, facts)
                && shard.offer(*found, lane.lane, seen, lane.reach, candidate)
                && let Some(taken) = taken.as_deref_mut()
            {
                taken[row] = true;
            }
        }
    }
    known
}
