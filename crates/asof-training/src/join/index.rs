//! All labels by one choice of key columns: shards by the hash of their key, each behind a lock of its own.

use parking_lot::Mutex;

use super::offer::Offer;
use super::shard::Shard;
use super::stage::StagedRows;

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
#[inline]
pub(crate) fn shard_of(hash: u64, shards: usize) -> usize {
    // There are at least two.
    (hash >> (64 - shards.ilog2())) as usize
}

/// Some shards of all.
pub(crate) struct Index {
    /// By their numbers; only those that are worked on now are there.
    shards: Vec<Mutex<Option<Shard>>>,
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

    /// Calls `with` for a shard, if it is there.
    pub fn with(&self, number: usize, with: impl FnOnce(&Shard)) {
        if let Some(shard) = self.shards[number].lock().as_ref() {
            with(shard);
        }
    }

    /// Offers rows of a piece to a shard, if it is there. Returns how many had a key that a label has, and how many ties
    /// that made. `taken` is told which rows may be the greatest for some label.
    pub fn offer(
        &self,
        number: usize,
        offer: &Offer<'_>,
        rows: StagedRows<'_>,
        piece: usize,
        taken: Option<&mut [bool]>,
    ) -> (u64, usize) {
        let mut guard = self.shards[number].lock();
        let Some(shard) = guard.as_mut() else { return (0, 0) };
        let before = shard.ties();
        let known = offer.rows(shard, rows, piece, taken);
        (known, shard.ties() - before)
    }
}
