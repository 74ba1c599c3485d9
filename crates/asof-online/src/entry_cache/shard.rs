//! One shard: records one after the other in segments, which are filled in turn, and an index of where each begins.
//!
//! A segment that is to be filled again loses its records, the oldest there are. What is read of the older half of the
//! segments is written anew behind all others. That is nearly "least recently used", and reading what is young writes
//! nothing.
//!
//! | part of a record | bytes |
//! | --- | --- |
//! | since | how many publications were finished when it was read, `u64` |
//! | tag | the lower bits of the hash of its key, `u32` |
//! | lengths | of the entry and of the key, `u16` each |
//! | key, entry | and nothing, up to a multiple of 8 |
//!
//! The index is a table of open addresses with 8 bytes a place: 32 bits of the hash, and where the record begins.

use super::StoredKeys;

/// The bytes of a segment, but where there is little room.
const SEGMENT_BYTES: usize = 256 << 10;
const SEGMENT_BYTES_MIN: usize = 1 << 10;
/// The room is cut into at least so many segments, or a record that is read would be the oldest at once.
const SEGMENTS_MIN: usize = 4;
const HEAD_BYTES: usize = 16;
/// Records begin at multiples of it, in bytes.
const UNIT: usize = 8;
/// How many keys are looked up side by side: more than waits for memory that a processor can have at a time.
const SIDE_BY_SIDE: usize = 32;
/// The share of the room that the index may take: one in so many bytes.
const INDEX_SHARE: usize = 6;
const PLACES_MIN: usize = 32;

pub(super) struct Shard {
    segments: Vec<Vec<u8>>,
    /// The segment that is being filled, and how many records it got.
    filling: usize,
    filled: usize,
    segment_bytes: usize,
    /// The most records of a segment, so that there are several of them also where records are short.
    segment_records: usize,
    segments_max: usize,
    index: Vec<Place>,
    places_max: usize,
    len: usize,
    /// The last publication that changed a key of this shard.
    changed: u64,
}

/// A place of the index.
#[derive(Clone, Copy, Default)]
struct Place {
    /// The lower bits of the hash.
    tag: u32,
    /// The number of the record's first unit, from 1 on; 0: nothing is here.
    unit: u32,
}

/// What is kept of a key.
#[derive(Clone, Copy)]
pub(super) struct Found<'s> {
    /// Empty: nothing stands under the key.
    pub entry: &'s [u8],
    /// Whether it will have to go soon.
    pub old: bool,
}

impl Shard {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        let index_bytes = bytes_max / INDEX_SHARE;
        let room = bytes_max - index_bytes;
        let segment_bytes = (room / SEGMENTS_MIN).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES) / UNIT * UNIT;
        // Units are numbered by 32 bits: 32 GiB, far beyond any room there is.
        let numbered = u32::MAX as usize / (segment_bytes / UNIT) - 1;
        let places = (index_bytes / size_of::<Place>()).max(PLACES_MIN);
        // The greatest power of two that is not above.
        let places_max = 1 << places.ilog2();
        Self {
            segments: Vec::new(),
            filling: 0,
            filled: 0,
            segment_bytes,
            segment_records: places_max * 3 / 4 / SEGMENTS_MIN,
            segments_max: (room / segment_bytes).clamp(SEGMENTS_MIN, numbered),
            index: Vec::new(),
            places_max,
            len: 0,
            changed: 0,
        }
    }

    /// The bytes that are taken from the system.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        let segments: usize = self.segments.iter().map(Vec::capacity).sum();
        segments + self.index.capacity() * size_of::<Place>()
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a record fits in without another one having to go.
    pub fn has_room(&self) -> bool {
        let segment = self.segments.len() < self.segments_max;
        segment && ((self.len + 1) * 4 <= self.index.len() * 3 || self.index.len() < self.places_max)
    }

    /// Notes that publication `number` changes keys of this shard.
    pub fn mark(&mut self, number: u64) {
        self.changed = number;
    }

    /// What is kept of a key for a reader whose snapshot has `finished` publications.
    pub fn find(&self, hash: u64, stored_key: &[u8], finished: u64) -> Option<Found<'_>> {
        let at = self.place_of(hash, stored_key)?;
        self.read(self.index[at], finished)
    }

    /// As [`Shard::find`] for several of the keys, by their places, which `show` is given.
    pub fn find_all(
        &self,
        keys: &StoredKeys,
        places: &[u32],
        finished: u64,
        mut show: impl FnMut(u32, Option<Found<'_>>),
    ) {
        for some in places.chunks(SIDE_BY_SIDE) {
            if let Some(mask) = self.index.len().checked_sub(1) {
                // Two passes that only touch memory: first where the keys are expected, then what stands there.
                let mut homes = [Place::default(); SIDE_BY_SIDE];
                for (home, place) in homes.iter_mut().zip(some) {
                    *home = self.index[keys.hashes[*place as usize] as usize & mask];
                }
                let touched = homes.iter().fold(0_u8, |all, home| all ^ self.first_byte(*home));
                std::hint::black_box(touched);
            }
            for place in some {
                let (hash, stored_key) = (keys.hashes[*place as usize], keys.get(*place as usize));
                show(*place, self.find(hash, stored_key, finished));
            }
        }
    }

    /// Takes in an entry, unless it may have changed since, or is there.
    pub fn put(&mut self, hash: u64, stored_key: &[u8], entry: &[u8], finished: u64) {
        if self.changed <= finished && self.place_of(hash, stored_key).is_none() {
            self.add(hash, stored_key, entry, finished);
        }
    }

    /// Writes an entry anew behind all others, if it is still there.
    pub fn renew(&mut self, hash: u64, stored_key: &[u8]) {
        let Some(at) = self.place_of(hash, stored_key) else { return };
        let Some((since, _, entry)) = self.record(self.index[at]) else { return };
        let entry = entry.to_vec();
        self.remove(at);
        self.add(hash, stored_key, &entry, since);
    }

    pub fn drop_key(&mut self, hash: u64, stored_key: &[u8]) {
        if let Some(at) = self.place_of(hash, stored_key) {
            self.remove(at);
        }
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        (self.segments, self.index) = (Vec::new(), Vec::new());
        (self.filling, self.filled, self.len) = (0, 0, 0);
    }

    fn read(&self, place: Place, finished: u64) -> Option<Found<'_>> {
        let (since, _, entry) = self.record(place)?;
        // While there is room for more, nothing has to go.
        let full = self.segments.len() == self.segments_max || self.index.len() == self.places_max;
        let age = (self.filling + self.segments.len() - self.segment_of(place)) % self.segments.len();
        let old = full && age * 2 >= self.segments.len();
        (since <= finished).then_some(Found { entry, old })
    }

    /// The place of a key in the index.
    fn place_of(&self, hash: u64, stored_key: &[u8]) -> Option<usize> {
        let mask = self.index.len().checked_sub(1)?;
        let mut at = hash as usize & mask;
        // There is always an empty place, as the table is never full.
        loop {
            let place = self.index[at];
            if place.unit == 0 {
                return None;
            }
            if place.tag == hash as u32 && self.record(place).is_some_and(|(_, key, _)| key == stored_key) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    fn segment_of(&self, place: Place) -> usize {
        (place.unit as usize - 1) / (self.segment_bytes / UNIT)
    }

    /// The segment of a place and where in it the record begins.
    fn position(&self, place: Place) -> Option<(&[u8], usize)> {
        let unit = (place.unit as usize).checked_sub(1)?;
        let of_segment = self.segment_bytes / UNIT;
        Some((self.segments.get(unit / of_segment)?, unit % of_segment * UNIT))
    }

    fn first_byte(&self, place: Place) -> u8 {
        self.position(place)
            .and_then(|(segment, at)| segment.get(at + HEAD_BYTES))
            .copied()
            .unwrap_or_default()
    }

    /// A record: since when it is known, its key and its entry.
    fn record(&self, place: Place) -> Option<(u64, &[u8], &[u8])> {
        let (segment, at) = self.position(place)?;
        record_at(segment, at)
    }

    fn add(&mut self, hash: u64, stored_key: &[u8], entry: &[u8], since: u64) {
        let bytes = record_bytes(stored_key.len(), entry.len());
        let (Ok(key_bytes), Ok(entry_bytes)) = (u16::try_from(stored_key.len()), u16::try_from(entry.len()))
        else {
            return;
        };
        if bytes > self.segment_bytes {
            return;
        }
        self.make_place();
        if self.segments.is_empty() {
            self.segments.push(Vec::with_capacity(self.segment_bytes));
        }
        if self.segments[self.filling].len() + bytes > self.segment_bytes
            || self.filled >= self.segment_records
        {
            self.turn();
        }
        self.filled += 1;
        let unit = self.filling * (self.segment_bytes / UNIT) + self.segments[self.filling].len() / UNIT;
        let segment = &mut self.segments[self.filling];
        let end = segment.len() + bytes;
        segment.extend_from_slice(&since.to_le_bytes());
        segment.extend_from_slice(&(hash as u32).to_le_bytes());
        segment.extend_from_slice(&entry_bytes.to_le_bytes());
        segment.extend_from_slice(&key_bytes.to_le_bytes());
        segment.extend_from_slice(stored_key);
        segment.extend_from_slice(entry);
        segment.resize(end, 0);
        insert(&mut self.index, Place { tag: hash as u32, unit: unit as u32 + 1 });
        self.len += 1;
    }

    /// Sees to it that the index has a place for one more, and stays a quarter empty.
    fn make_place(&mut self) {
        while (self.len + 1) * 4 > self.index.len() * 3 {
            if self.index.len() >= self.places_max {
                // Its records are short: the oldest go although there would be room for bytes.
                self.turn();
                continue;
            }
            let places = (self.index.len() * 2).max(PLACES_MIN);
            let old = std::mem::replace(&mut self.index, vec![Place::default(); places]);
            old.into_iter().filter(|place| place.unit != 0).for_each(|place| insert(&mut self.index, place));
        }
    }

    /// Goes on to the next segment: a new one as long as there is room and need, or the oldest, whose records go.
    fn turn(&mut self) {
        self.filled = 0;
        let whole = self.segments.len() == self.segments_max || self.segments.is_empty();
        let full_index = (self.len + 1) * 4 > self.index.len() * 3;
        if !whole && !full_index {
            self.segments.push(Vec::with_capacity(self.segment_bytes));
            self.filling = self.segments.len() - 1;
            return;
        }
        self.filling = (self.filling + 1) % self.segments.len().max(1);
        let Some(segment) = self.segments.get_mut(self.filling) else { return };
        let mut emptied = std::mem::take(segment);
        let mut at = 0;
        while let Some((tag, bytes)) = tag_at(&emptied, at) {
            let unit = (self.filling * (self.segment_bytes / UNIT) + at / UNIT) as u32 + 1;
            if let Some(place) = self.place_of_unit(tag, unit) {
                self.remove(place);
            }
            at += bytes;
        }
        emptied.clear();
        self.segments[self.filling] = emptied;
    }

    /// The place of a record in the index, unless it was dropped.
    fn place_of_unit(&self, tag: u32, unit: u32) -> Option<usize> {
        let mask = self.index.len().checked_sub(1)?;
        let mut at = tag as usize & mask;
        while self.index[at].unit != 0 {
            if self.index[at].unit == unit {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// Empties a place of the index. What stands behind it moves up, so that no search ends too early.
    fn remove(&mut self, at: usize) {
        let mask = self.index.len() - 1;
        let (mut hole, mut next) = (at, (at + 1) & mask);
        while self.index[next].unit != 0 {
            let home = self.index[next].tag as usize & mask;
            // Whether its home is not behind the hole: then it may stand in it.
            if next.wrapping_sub(home) & mask >= next.wrapping_sub(hole) & mask {
                self.index[hole] = self.index[next];
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.index[hole] = Place::default();
        self.len -= 1;
    }
}

/// Puts a place into a table that has room.
fn insert(index: &mut [Place], place: Place) {
    let mask = index.len() - 1;
    let mut at = place.tag as usize & mask;
    while index[at].unit != 0 {
        at = (at + 1) & mask;
    }
    index[at] = place;
}

/// The bytes of a record.
fn record_bytes(key: usize, entry: usize) -> usize {
    (HEAD_BYTES + key + entry).next_multiple_of(UNIT)
}

/// The head of a record: since when it is known, its tag, the lengths of its entry and of its key.
fn head_at(segment: &[u8], at: usize) -> Option<(u64, u32, usize, usize)> {
    let head = segment.get(at..)?.first_chunk::<HEAD_BYTES>()?;
    let [s0, s1, s2, s3, s4, s5, s6, s7, t0, t1, t2, t3, e0, e1, k0, k1] = *head;
    let since = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    let tag = u32::from_le_bytes([t0, t1, t2, t3]);
    Some((since, tag, usize::from(u16::from_le_bytes([e0, e1])), usize::from(u16::from_le_bytes([k0, k1]))))
}

/// The tag and the length of a record.
fn tag_at(segment: &[u8], at: usize) -> Option<(u32, usize)> {
    let (_, tag, entry, key) = head_at(segment, at)?;
    Some((tag, record_bytes(key, entry)))
}

/// A record: since when it is known, its key and its entry.
fn record_at(segment: &[u8], at: usize) -> Option<(u64, &[u8], &[u8])> {
    let (since, _, entry, key) = head_at(segment, at)?;
    let (key, rest) = segment.get(at + HEAD_BYTES..)?.split_at_checked(key)?;
    Some((since, key, rest.get(..entry)?))
}
