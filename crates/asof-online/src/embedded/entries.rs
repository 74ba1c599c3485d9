//! Entries kept in memory, in front of the tree: what most reads find.
//!
//! A kept entry must be what the reader's snapshot holds. Publications have numbers: a reader knows how many were finished
//! in its snapshot, and an entry carries the number at which it was read. Three rules, each under the lock of a shard:
//!
//! - A publication drops the entries that it changes, and marks their shards with its number, before anybody can have a
//!   snapshot with it.
//! - An entry is used by readers whose number is not below its own: nothing has changed it since, or it would be gone.
//! - An entry is taken in only where the shard's mark is not above the reader's number: it may have changed else.
//!
//! Two generations bound the memory: entries are taken into the young one; once that is full it becomes the old one, and
//! the old one goes. What is read of the old one goes to the young one. That is nearly "least recently used", and costs
//! nothing where an entry is found young.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use parking_lot::RwLock;

/// The number of shards, a power of two. Readers of one shard share its lock; writers hold it for a few entries.
const SHARDS: usize = 64;
/// What an entry costs beside its bytes: its place in a table that is three quarters full, the counters of its record, and
/// what the allocator rounds up.
const ENTRY_OVERHEAD_BYTES: usize = 88;
/// The longest entry that is kept, in bytes. Longer ones would push out thousands of others.
const ENTRY_BYTES_MAX: usize = 256 << 10;

/// Entries in memory.
pub(super) struct Entries {
    shards: Box<[RwLock<Shard>]>,
    hasher: FixedState,
    /// The most bytes of one generation of one shard.
    generation_bytes_max: usize,
}

#[derive(Default)]
struct Shard {
    young: HashTable<Kept>,
    old: HashTable<Kept>,
    young_bytes: usize,
    /// The last publication that changed a key of this shard.
    changed: u64,
}

struct Kept {
    /// How many publications were finished when it was read.
    since: u64,
    record: Record,
}

/// A stored key and the entry under it, in one piece.
#[derive(Clone)]
pub(super) struct Record {
    bytes: Arc<[u8]>,
    key_bytes: u32,
}

impl Record {
    /// The record of an entry; `None`: nothing stands under the key.
    pub(super) fn new(stored_key: &[u8], entry: Option<&[u8]>) -> Self {
        let bytes = [stored_key, entry.unwrap_or_default()].concat();
        // A key has at most 65,531 bytes with its view.
        Self { bytes: bytes.into(), key_bytes: stored_key.len() as u32 }
    }

    /// The entry; `None`: nothing stands under the key. An entry is never empty.
    pub(super) fn entry(&self) -> Option<&[u8]> {
        Some(&self.bytes[self.key_bytes as usize..]).filter(|entry| !entry.is_empty())
    }

    /// All of it, and where the entry begins in it.
    pub(super) fn shared(&self) -> (&Arc<[u8]>, usize) {
        (&self.bytes, self.key_bytes as usize)
    }

    fn stored_key(&self) -> &[u8] {
        &self.bytes[..self.key_bytes as usize]
    }

    fn cost(&self) -> usize {
        self.bytes.len() + ENTRY_OVERHEAD_BYTES
    }
}

impl Entries {
    /// Room for about `bytes_max` bytes.
    pub(super) fn new(bytes_max: u64) -> Self {
        let per_generation = bytes_max / (2 * SHARDS as u64);
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: FixedState::default(),
            generation_bytes_max: usize::try_from(per_generation).unwrap_or(usize::MAX),
        }
    }

    /// What is kept of a key for a reader whose snapshot has `finished` publications.
    pub(super) fn get(&self, stored_key: &[u8], finished: u64) -> Option<Record> {
        let hash = self.hasher.hash_one(stored_key);
        let lock = self.shard(hash);
        {
            let shard = lock.read();
            let is_it = |kept: &Kept| kept.record.stored_key() == stored_key;
            if let Some(kept) = shard.young.find(hash, is_it) {
                return (kept.since <= finished).then(|| kept.record.clone());
            }
            shard.old.find(hash, is_it).filter(|kept| kept.since <= finished)?;
        }
        self.renew(lock, hash, stored_key, finished)
    }

    /// Takes in what a reader whose snapshot has `finished` publications found under a key.
    pub(super) fn put(&self, record: Record, finished: u64) {
        if record.bytes.len() > ENTRY_BYTES_MAX {
            return;
        }
        let hash = self.hasher.hash_one(record.stored_key());
        let mut shard = self.shard(hash).write();
        if shard.changed <= finished && !shard.holds(hash, record.stored_key()) {
            shard.add(hash, Kept { since: finished, record }, self.generation_bytes_max, &self.hasher);
        }
    }

    /// Drops what publication `number` changes. To be called before it is finished.
    pub(super) fn change<'k>(&self, number: u64, stored_keys: impl Iterator<Item = &'k [u8]>) {
        let mut holding = [false; SHARDS];
        let mut any = false;
        for (lock, holding) in self.shards.iter().zip(&mut holding) {
            let mut shard = lock.write();
            shard.changed = number;
            *holding = !(shard.young.is_empty() && shard.old.is_empty());
            any |= *holding;
        }
        // A store that is filled for the first time has nothing to look for.
        for stored_key in stored_keys.take_while(|_| any) {
            let hash = self.hasher.hash_one(stored_key);
            if holding[place(hash)] {
                self.shard(hash).write().drop_key(hash, stored_key);
            }
        }
    }

    /// Drops everything.
    pub(super) fn clear(&self) {
        for lock in &self.shards {
            let mut shard = lock.write();
            let changed = shard.changed;
            *shard = Shard { changed, ..Shard::default() };
        }
    }

    /// Moves an old entry to the young ones.
    fn renew(&self, lock: &RwLock<Shard>, hash: u64, stored_key: &[u8], finished: u64) -> Option<Record> {
        let mut shard = lock.write();
        let is_it = |kept: &Kept| kept.record.stored_key() == stored_key;
        // It may have been dropped or moved between the two locks.
        if let Some(kept) = shard.young.find(hash, is_it) {
            return (kept.since <= finished).then(|| kept.record.clone());
        }
        let (kept, _) = shard.old.find_entry(hash, is_it).ok()?.remove();
        let found = (kept.since <= finished).then(|| kept.record.clone());
        shard.add(hash, kept, self.generation_bytes_max, &self.hasher);
        found
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        &self.shards[place(hash)]
    }
}

impl Shard {
    fn holds(&self, hash: u64, stored_key: &[u8]) -> bool {
        let is_it = |kept: &Kept| kept.record.stored_key() == stored_key;
        self.young.find(hash, is_it).is_some() || self.old.find(hash, is_it).is_some()
    }

    fn add(&mut self, hash: u64, kept: Kept, bytes_max: usize, hasher: &FixedState) {
        let cost = kept.record.cost();
        if self.young_bytes + cost > bytes_max {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
            if cost > bytes_max {
                return;
            }
        }
        self.young_bytes += cost;
        self.young.insert_unique(hash, kept, |kept| hasher.hash_one(kept.record.stored_key()));
    }

    fn drop_key(&mut self, hash: u64, stored_key: &[u8]) {
        let is_it = |kept: &Kept| kept.record.stored_key() == stored_key;
        if let Ok(found) = self.young.find_entry(hash, is_it) {
            self.young_bytes -= found.remove().0.record.cost();
        } else if let Ok(found) = self.old.find_entry(hash, is_it) {
            found.remove();
        }
    }
}

/// The shard of a hash: by its upper middle bits, as tables use the others.
fn place(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: u64 = 1 << 20;

    fn entry_of(entries: &Entries, key: &[u8], finished: u64) -> Option<Option<Vec<u8>>> {
        entries.get(key, finished).map(|record| record.entry().map(<[u8]>::to_vec))
    }

    /// Goal: an entry serves readers from the number at which it was read on, until a publication changes it.
    #[test]
    fn between_two_changes() {
        let entries = Entries::new(ROOM);
        entries.put(Record::new(b"k", Some(b"one")), 5);
        assert_eq!(entry_of(&entries, b"k", 4), None);
        assert_eq!(entry_of(&entries, b"k", 5), Some(Some(b"one".to_vec())));
        assert_eq!(entry_of(&entries, b"k", 9), Some(Some(b"one".to_vec())));
        entries.change(10, [&b"k"[..]].into_iter());
        assert_eq!(entry_of(&entries, b"k", 10), None);
    }

    /// Goal: what a slow reader found in a snapshot from before a change is not taken in after it.
    #[test]
    fn a_slow_reader() {
        let entries = Entries::new(ROOM);
        entries.change(6, [&b"k"[..]].into_iter());
        entries.put(Record::new(b"k", Some(b"old")), 5);
        assert_eq!(entry_of(&entries, b"k", 6), None);
        entries.put(Record::new(b"k", None), 6);
        assert_eq!(entry_of(&entries, b"k", 6), Some(None));
    }

    /// Goal: memory stays within its bound, and what is read again and again outlives what is not.
    #[test]
    fn generations() {
        let entries = Entries::new(ROOM);
        entries.put(Record::new(b"hot", Some(b"x")), 1);
        for number in 0..100_000_u32 {
            entries.put(Record::new(&number.to_be_bytes(), Some(&[7; 100])), 1);
            assert!(entries.get(b"hot", 1).is_some(), "after {number}");
        }
        let shards = entries.shards.iter().map(|shard| shard.read());
        let kept: usize = shards
            .flat_map(|shard| {
                shard.young.iter().chain(&shard.old).map(|kept| kept.record.cost()).collect::<Vec<_>>()
            })
            .sum();
        assert!((ROOM as usize / 3..=ROOM as usize).contains(&kept), "{kept}");
    }

    /// Goal: an entry too long to keep is not kept, and the rest stays.
    #[test]
    fn long_entries() {
        let entries = Entries::new(64 * ROOM);
        entries.put(Record::new(b"a", Some(b"x")), 1);
        entries.put(Record::new(b"long", Some(&vec![1; ENTRY_BYTES_MAX])), 1);
        assert!(entries.get(b"a", 1).is_some());
        assert!(entries.get(b"long", 1).is_none());
        entries.clear();
        assert!(entries.get(b"a", 1).is_none());
    }
}
