//! The events of large keys, kept in memory between reads.
//!
//! What is kept is told by the generation in the head, which is read every time, so an answer never sees events of another
//! snapshot. The key that was asked for least recently goes first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asof_model::ValueType;
use parking_lot::Mutex;

use super::head::Head;
use super::held::HeldEvents;
use super::segments::Segments;
use crate::error::OnlineError;

/// The most bytes of events that are kept. A key that takes more alone is read every time.
pub const CACHED_BYTES_MAX: usize = 256 << 20;
/// The fewest events of a key that are kept: fewer are read as fast as they are found here.
pub const CACHED_EVENTS_MIN: u64 = 64;
/// What a key takes beside its events and its name, in bytes.
const KEY_OVERHEAD_BYTES: usize = 256;

/// The events of one key, read by one caller while others wait for them.
type Slot = Arc<Mutex<Option<Arc<HeldEvents>>>>;

/// The events that are kept, by stored key.
pub struct EventCache {
    bytes_max: usize,
    kept: Mutex<Kept>,
    /// How many times a key was forgotten. Changed under the lock.
    forgotten: AtomicU64,
}

#[derive(Default)]
struct Kept {
    keys: HashMap<Arc<[u8]>, KeptKey>,
    /// The keys by when they were asked for, the least recent first.
    asked: BTreeMap<u64, Arc<[u8]>>,
    asks: u64,
    bytes: usize,
}

struct KeptKey {
    slot: Slot,
    asked: u64,
    bytes: usize,
}

impl EventCache {
    /// Without any; it keeps at most so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, kept: Mutex::default(), forgotten: AtomicU64::new(0) }
    }

    /// Where forgetting stands: to be asked together with a snapshot, before it is read.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// Forgets a key. What is read from a snapshot of before is not kept any more.
    pub fn forget(&self, key: &[u8]) {
        let mut kept = self.kept.lock();
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        kept.remove(key);
    }

    /// The events of a head: those that are kept, brought up to it, or all read anew.
    ///
    /// # Errors
    /// Damaged records; failures of the store.
    pub fn held(
        &self,
        key: &[u8],
        forgotten: u64,
        head: &Head<'_>,
        (types, identity): (&[ValueType], Option<usize>),
        segments: &impl Segments,
    ) -> Result<Arc<HeldEvents>, OnlineError> {
        let read = || HeldEvents::read(head, types, identity, segments).map(Arc::new);
        let Some(slot) = self.slot(key, forgotten) else { return read() };
        let mut place = slot.lock();
        let held = match place.take().filter(|held| held.is_of(types, identity)) {
            Some(held) if held.generation() == head.generation => {
                *place = Some(held.clone());
                held
            }
            Some(newer) if newer.generation() > head.generation => {
                // Of a snapshot from before the last write; the next caller asks for what is kept.
                *place = Some(newer);
                return read();
            }
            Some(held) if held.begins(head) => Arc::new(held.follow(head, segments)?),
            _ => read()?,
        };
        *place = Some(held.clone());
        drop(place);
        if let Some(bytes) = held.weigh() {
            self.kept.lock().weigh(key, &slot, bytes, self.bytes_max);
        }
        Ok(held)
    }

    /// The slot of a key. `None`: some key was forgotten since.
    fn slot(&self, key: &[u8], forgotten: u64) -> Option<Slot> {
        let mut kept = self.kept.lock();
        (forgotten == self.forgotten()).then(|| kept.slot(key))
    }
}

impl Kept {
    /// The slot of a key, made where there is none.
    fn slot(&mut self, key: &[u8]) -> Slot {
        self.asks += 1;
        if let Some(known) = self.keys.get_mut(key) {
            if let Some(name) = self.asked.remove(&known.asked) {
                self.asked.insert(self.asks, name);
            }
            known.asked = self.asks;
            return known.slot.clone();
        }
        let name: Arc<[u8]> = key.into();
        let bytes = KEY_OVERHEAD_BYTES + 2 * key.len();
        let slot = Slot::default();
        self.bytes += bytes;
        self.asked.insert(self.asks, name.clone());
        self.keys.insert(name, KeptKey { slot: slot.clone(), asked: self.asks, bytes });
        slot
    }

    /// Notes what a key takes, and lets others go where that is too much.
    fn weigh(&mut self, key: &[u8], slot: &Slot, events: usize, bytes_max: usize) {
        match self.keys.get_mut(key) {
            Some(known) if Arc::ptr_eq(&known.slot, slot) => {
                let bytes = events.saturating_add(KEY_OVERHEAD_BYTES + 2 * key.len());
                self.bytes = self.bytes.saturating_sub(known.bytes).saturating_add(bytes);
                known.bytes = bytes;
            }
            // It was forgotten, or has gone, while it was read.
            _ => {}
        }
        while self.bytes > bytes_max {
            let Some((_, least)) = self.asked.pop_first() else { return };
            self.remove(&least);
        }
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(gone) = self.keys.remove(key) {
            self.asked.remove(&gone.asked);
            self.bytes = self.bytes.saturating_sub(gone.bytes);
        }
    }
}
