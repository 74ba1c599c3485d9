//! Entries kept in memory, in front of what is slower: what most reads find.
//!
//! A kept entry must be what the reader's snapshot holds. Publications have numbers: a reader knows how many were finished
//! in its snapshot, and an entry carries the number at which it was read. Three rules, each under the lock of a shard:
//!
//! - A publication drops the entries that it changes, and marks their shards with its number, before anybody can have a
//!   snapshot with it.
//! - An entry is used by readers whose number is not below its own: nothing has changed it since, or it would be gone.
//! - An entry is taken in only where the shard's mark is not above the reader's number: it may have changed else.
//!
//! So what is found is exact, however old it is: no time to live is needed, nor allowed to hide a change.
//!
//! A request looks up all its keys together. Most of the time of one look is waiting for memory, three times: for the place
//! of the key, for the entry, for its bytes. The first two are asked for for all keys of a shard before anything is compared,
//! so that the waits of different keys overlap.

mod shard;

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::FixedState;
use parking_lot::RwLock;

use shard::Shard;

/// The number of shards, a power of two. Readers of one shard share its lock; writers hold it for a few entries. More of
/// them would leave less to overlap.
const SHARDS: usize = 8;
/// With less room than this nothing is kept.
const ROOM_MIN: u64 = 64 << 10;
/// How many keys a publication drops before it lets readers in.
const DROPPED_AT_ONCE: usize = 64;
/// The longest entry that is kept, in bytes, with its key. Longer ones would push out thousands of others.
const ENTRY_BYTES_MAX: usize = 32 << 10;

/// Entries in memory.
pub struct EntryCache {
    shards: Box<[RwLock<Shard>]>,
    hasher: FixedState,
    keeps: bool,
    found: AtomicU64,
    missed: AtomicU64,
}

/// How often keys were looked up in memory, since the store was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Keys that were found.
    pub found: u64,
    /// Keys that had to be read below.
    pub missed: u64,
}

/// The stored keys of a request.
#[derive(Default)]
pub struct StoredKeys {
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
    hashes: Vec<u64>,
}

impl StoredKeys {
    /// The hash of the key at a place.
    pub fn hash(&self, place: usize) -> u64 {
        self.hashes[place]
    }

    /// The key at a place.
    pub fn get(&self, place: usize) -> &[u8] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        &self.bytes[start..self.ends[place]]
    }
}

impl EntryCache {
    /// Room for about `bytes_max` bytes, with all that it takes to find them. Below 64 KiB nothing is kept.
    pub fn new(bytes_max: u64) -> Self {
        let of_shard = usize::try_from(bytes_max / SHARDS as u64).unwrap_or(usize::MAX);
        Self {
            shards: (0..SHARDS).map(|_| RwLock::new(Shard::new(of_shard))).collect(),
            hasher: FixedState::default(),
            keeps: bytes_max >= ROOM_MIN,
            found: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        }
    }

    /// How often keys were found so far.
    pub fn counts(&self) -> CacheCounts {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        CacheCounts { found: of(&self.found), missed: of(&self.missed) }
    }

    /// Keys to look up; `write` appends the one at each place.
    pub fn keys(&self, count: usize, mut write: impl FnMut(usize, &mut Vec<u8>)) -> StoredKeys {
        let mut keys = StoredKeys { ends: Vec::with_capacity(count), ..StoredKeys::default() };
        for place in 0..count {
            write(place, &mut keys.bytes);
            keys.ends.push(keys.bytes.len());
        }
        keys.hashes = (0..count).map(|place| self.hasher.hash_one(keys.get(place))).collect();
        keys
    }

    /// Shows what is kept of keys for a reader whose snapshot has `finished` publications: the place of the key, and its
    /// entry, empty where nothing stands under the key. Answers the places of the others, in order.
    pub fn find(&self, keys: &StoredKeys, finished: u64, mut show: impl FnMut(usize, &[u8])) -> Vec<usize> {
        let mut missing = Vec::new();
        if let [hash] = keys.hashes[..] {
            // The way of most requests for one view.
            let lock = &self.shards[shard_of(hash)];
            let shard = lock.read();
            let found = shard.find(hash, keys.get(0), finished);
            match found {
                Some(found) => show(0, found.entry),
                None => missing.push(0),
            }
            let renew = found.is_some_and(|found| found.old);
            drop(shard);
            if renew {
                lock.write().renew(hash, keys.get(0));
            }
        } else {
            let (order, ends) = by_shard(&keys.hashes);
            let mut start = 0;
            for (lock, end) in self.shards.iter().zip(ends) {
                let places = &order[start..end];
                start = end;
                if places.is_empty() {
                    continue;
                }
                let mut renew = Vec::new();
                lock.read().find_all(keys, places, finished, |place, found| match found {
                    Some(found) => {
                        show(place as usize, found.entry);
                        if found.old {
                            renew.push(place as usize);
                        }
                    }
                    None => missing.push(place as usize),
                });
                if !renew.is_empty() {
                    let mut shard = lock.write();
                    renew.into_iter().for_each(|place| shard.renew(keys.hashes[place], keys.get(place)));
                }
            }
            missing.sort_unstable();
        }
        self.found.fetch_add((keys.hashes.len() - missing.len()) as u64, Ordering::Relaxed);
        if !missing.is_empty() {
            self.missed.fetch_add(missing.len() as u64, Ordering::Relaxed);
        }
        missing
    }

    /// As [`EntryCache::find`] for the key at one place, without being counted. Whether something is kept of it.
    pub fn look(
        &self,
        keys: &StoredKeys,
        place: usize,
        finished: u64,
        show: impl FnOnce(usize, &[u8]),
    ) -> bool {
        let shard = self.shards[shard_of(keys.hashes[place])].read();
        let found = shard.find(keys.hashes[place], keys.get(place), finished);
        found.map(|found| show(place, found.entry)).is_some()
    }

    /// Takes in what a reader whose snapshot has `finished` publications found under the key at a place: an entry, or
    /// nothing, which is empty.
    pub fn put(&self, keys: &StoredKeys, place: usize, entry: &[u8], finished: u64) {
        let (hash, stored_key) = (keys.hashes[place], keys.get(place));
        if self.keeps && stored_key.len() + entry.len() <= ENTRY_BYTES_MAX {
            self.shards[shard_of(hash)].write().put(hash, stored_key, entry, finished);
        }
    }

    /// As [`EntryCache::put`] for a key that nobody asked for yet. False where nothing more fits in without pushing out
    /// what is there.
    pub fn put_ahead(&self, stored_key: &[u8], entry: &[u8], finished: u64) -> bool {
        let hash = self.hasher.hash_one(stored_key);
        let mut shard = self.shards[shard_of(hash)].write();
        let room = self.keeps && shard.has_room();
        if room && stored_key.len() + entry.len() <= ENTRY_BYTES_MAX {
            shard.put(hash, stored_key, entry, finished);
        }
        room
    }

    /// Drops what publication `number` changes. To be called before it is finished.
    pub fn change<'k>(&self, number: u64, stored_keys: impl Iterator<Item = &'k [u8]>) {
        let mut by_shard: [Vec<(u64, &[u8])>; SHARDS] = Default::default();
        let mut any = false;
        for lock in &self.shards {
            let mut shard = lock.write();
            shard.mark(number);
            any |= !shard.is_empty();
        }
        // A store that is filled for the first time has nothing to look for.
        for stored_key in stored_keys.take_while(|_| any) {
            let hash = self.hasher.hash_one(stored_key);
            by_shard[shard_of(hash)].push((hash, stored_key));
        }
        for (lock, keys) in self.shards.iter().zip(&by_shard) {
            for some in keys.chunks(DROPPED_AT_ONCE) {
                let mut shard = lock.write();
                some.iter().for_each(|(hash, stored_key)| shard.drop_key(*hash, stored_key));
            }
        }
    }

    /// Drops everything.
    pub fn clear(&self) {
        self.shards.iter().for_each(|lock| lock.write().clear());
    }

    /// Drops everything, where nobody knows what publication `number` changes. To be called before it is finished.
    pub fn change_all(&self, number: u64) {
        for lock in &self.shards {
            let mut shard = lock.write();
            shard.mark(number);
            shard.clear();
        }
    }
}

/// The shard of a hash: by its upper bits, as places within a shard use the lower ones.
fn shard_of(hash: u64) -> usize {
    (hash >> 61) as usize % SHARDS
}

/// The places of hashes in order of their shards, and where each shard ends among them.
fn by_shard(hashes: &[u64]) -> (Vec<u32>, [usize; SHARDS]) {
    let mut starts = [0; SHARDS];
    hashes.iter().for_each(|hash| starts[shard_of(*hash)] += 1);
    let mut before = 0;
    for start in &mut starts {
        before += std::mem::replace(start, before);
    }
    let mut order = vec![0; hashes.len()];
    for (place, hash) in hashes.iter().enumerate() {
        let next = &mut starts[shard_of(*hash)];
        // A request has far fewer keys than that.
        order[*next] = place as u32;
        *next += 1;
    }
    // Each start has moved on to its end.
    (order, starts)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    const ROOM: u64 = 1 << 20;

    fn keys(cache: &EntryCache, keys: &[&[u8]]) -> StoredKeys {
        cache.keys(keys.len(), |place, out| out.extend_from_slice(keys[place]))
    }

    fn get(cache: &EntryCache, key: &[u8], finished: u64) -> Option<Vec<u8>> {
        let mut found = None;
        cache.find(&keys(cache, &[key]), finished, |_, entry| found = Some(entry.to_vec()));
        found
    }

    fn put(cache: &EntryCache, key: &[u8], entry: &[u8], finished: u64) {
        cache.put(&keys(cache, &[key]), 0, entry, finished);
    }

    /// Goal: an entry serves readers from the number at which it was read on, until a publication changes it.
    #[test]
    fn between_two_changes() {
        let cache = EntryCache::new(ROOM);
        put(&cache, b"k", b"one", 5);
        assert_eq!(get(&cache, b"k", 4), None);
        assert_eq!(get(&cache, b"k", 5), Some(b"one".to_vec()));
        assert_eq!(get(&cache, b"k", 9), Some(b"one".to_vec()));
        cache.change(10, [&b"k"[..]].into_iter());
        assert_eq!(get(&cache, b"k", 10), None);
        assert_eq!(cache.counts(), CacheCounts { found: 2, missed: 2 });
    }

    /// Goal: what a slow reader found in a snapshot from before a change is not taken in after it.
    #[test]
    fn a_slow_reader() {
        let cache = EntryCache::new(ROOM);
        cache.change(6, [&b"k"[..]].into_iter());
        put(&cache, b"k", b"old", 5);
        assert_eq!(get(&cache, b"k", 6), None);
        put(&cache, b"k", b"", 6);
        assert_eq!(get(&cache, b"k", 6), Some(Vec::new()));
    }

    /// Goal: memory stays within its bound, and what is read again and again outlives what is not.
    #[test]
    fn bounded() {
        for entry in [&[7_u8; 100][..], b""] {
            let cache = EntryCache::new(ROOM);
            put(&cache, b"hot", b"x", 1);
            for number in 0..100_000_u32 {
                put(&cache, &number.to_be_bytes(), entry, 1);
                assert!(get(&cache, b"hot", 1).is_some(), "after {number}");
            }
            let bytes: usize = cache.shards.iter().map(|shard| shard.read().bytes()).sum();
            assert!((ROOM as usize / 4..=ROOM as usize).contains(&bytes), "{bytes}");
        }
    }

    /// Goal: an entry too long to keep is not kept, and the rest stays; without room nothing is.
    #[test]
    fn long_entries() {
        let none = EntryCache::new(0);
        put(&none, b"a", b"x", 1);
        assert!(get(&none, b"a", 1).is_none());
        let cache = EntryCache::new(64 * ROOM);
        put(&cache, b"a", b"x", 1);
        put(&cache, b"long", &vec![1; ENTRY_BYTES_MAX], 1);
        assert!(get(&cache, b"a", 1).is_some());
        assert!(get(&cache, b"long", 1).is_none());
        cache.clear();
        assert!(get(&cache, b"a", 1).is_none());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Put(u16, u8),
        Change(Vec<u16>),
        Find(Vec<u16>),
        Clear,
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = || 0_u16..300;
        prop_oneof![
            8 => (key(), any::<u8>()).prop_map(|(key, bytes)| Step::Put(key, bytes)),
            1 => prop::collection::vec(key(), 0..20).prop_map(Step::Change),
            8 => prop::collection::vec(key(), 0..30).prop_map(Step::Find),
            1 => Just(Step::Clear),
        ]
    }

    proptest! {
        /// Goal: whatever is found is what was put last, in a cache that is far too small for all.
        #[test]
        fn as_a_map(steps in prop::collection::vec(step(), 1..400), room in ROOM_MIN..200_000) {
            let cache = EntryCache::new(room);
            let mut last: HashMap<u16, Vec<u8>> = HashMap::new();
            let mut finished = 1;
            for step in steps {
                match step {
                    Step::Put(key, byte) => {
                        // What a store holds does not change without a publication.
                        let entry = last.entry(key).or_insert_with(|| vec![byte; usize::from(byte)]);
                        put(&cache, &key.to_be_bytes(), entry, finished);
                    }
                    Step::Change(changed) => {
                        finished += 1;
                        let changed: Vec<[u8; 2]> = changed.iter().map(|key| key.to_be_bytes()).collect();
                        changed.iter().for_each(|key| { last.remove(&u16::from_be_bytes(*key)); });
                        cache.change(finished, changed.iter().map(|key| &key[..]));
                    }
                    Step::Find(asked) => {
                        let bytes: Vec<[u8; 2]> = asked.iter().map(|key| key.to_be_bytes()).collect();
                        let asked_keys = keys(&cache, &bytes.iter().map(|key| &key[..]).collect::<Vec<_>>());
                        let mut found = HashMap::new();
                        let missing = cache.find(&asked_keys, finished, |place, entry| {
                            found.insert(place, entry.to_vec());
                        });
                        prop_assert_eq!(found.len() + missing.len(), asked.len());
                        prop_assert!(missing.iter().all(|place| !found.contains_key(place)));
                        for (place, entry) in found {
                            prop_assert_eq!(Some(&entry), last.get(&asked[place]));
                        }
                    }
                    Step::Clear => cache.clear(),
                }
                let bytes: usize = cache.shards.iter().map(|shard| shard.read().bytes()).sum();
                prop_assert!(bytes as u64 <= room, "{} bytes", bytes);
            }
        }
    }
}
