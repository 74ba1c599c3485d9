//! The events of a key in memory, in the order of their places.
//!
//! As long as bytes are only added behind (an epoch of the key), what was read before is kept, and only what came since
//! is read.

use std::any::Any;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use asof_model::{Instant, ValueType};
use asof_window::Events;
use bytes::Bytes;
use parking_lot::Mutex;

use super::KeyEvents;
use super::head::Head;
use super::segments::Segments;
use super::stream::{Decoded, Resume};
use crate::error::OnlineError;

/// Bytes of an event in memory, beside its inputs: event, created, known, whether it was pushed.
const EVENT_BYTES: usize = 25;
/// Bytes of one of its inputs: a number and its mark.
const INPUT_BYTES: usize = 9;
/// How much larger than their stored bytes values in a dictionary may be.
const DICTIONARY_FACTOR: usize = 2;
/// The events that left retention are dropped from memory when they are this part of all.
const EXPIRED_PARTS: usize = 4;

/// Where the events of one key are found: whatever an implementation needs to read them.
pub trait EventSource: Send + Sync {
    /// The events of a head, read or kept from an earlier time.
    ///
    /// # Errors
    /// As [`StoredEvents::held`].
    fn held(
        &self,
        head: &[u8],
        types: &[ValueType],
        identity: Option<usize>,
    ) -> Result<Arc<HeldEvents>, OnlineError>;
}

/// The events of a key as an answer names them: its head, and where the rest is. What they were in the snapshot of the
/// answer, also when they are read later. It holds that snapshot, so it should not be kept.
#[derive(Clone)]
pub struct StoredEvents {
    head: Bytes,
    source: Option<Arc<dyn EventSource>>,
}

impl StoredEvents {
    /// The events of a head. `source`: where its segments are; it may be left out where it has none.
    pub fn new(head: Bytes, source: Option<Arc<dyn EventSource>>) -> Self {
        Self { head, source }
    }

    /// The events, of inputs of these types. `identity`: which of them tells events apart. Inputs that an event does not
    /// have hold nothing. Those of a large key are kept between calls, so they are shared.
    ///
    /// # Errors
    /// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`], [`OnlineError::RetiredVersion`]; failures of the store.
    pub fn held(&self, types: &[ValueType], identity: Option<usize>) -> Result<Arc<HeldEvents>, OnlineError> {
        match &self.source {
            Some(source) => source.held(&self.head, types, identity),
            None => HeldEvents::read(&Head::read(&self.head)?, types, identity, &Nowhere).map(Arc::new),
        }
    }

    /// How many events are stored, with those that have left retention and were not dropped yet. The head alone is read.
    ///
    /// # Errors
    /// As [`StoredEvents::held`].
    pub fn count(&self) -> Result<u64, OnlineError> {
        Ok(Head::read(&self.head)?.count())
    }

    /// How many bytes are stored under the key, but for the directory of its segments. The head alone is read.
    ///
    /// # Errors
    /// As [`StoredEvents::held`].
    pub fn bytes(&self) -> Result<u64, OnlineError> {
        let sealed = Head::read(&self.head)?.sealed;
        Ok(self.head.len() as u64 + sealed.map_or(0, |sealed| sealed.bytes))
    }

    /// The newest event. The head alone is read.
    ///
    /// # Errors
    /// As [`StoredEvents::held`].
    pub fn newest(&self) -> Result<Instant, OnlineError> {
        Ok(Instant::from_micros_clamped(Head::read(&self.head)?.newest()))
    }
}

impl PartialEq for StoredEvents {
    /// By the heads: each write of a key makes another one.
    fn eq(&self, other: &Self) -> bool {
        self.head == other.head
    }
}

impl Eq for StoredEvents {}

impl fmt::Debug for StoredEvents {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("StoredEvents").field("head", &self.head).finish_non_exhaustive()
    }
}

/// Where a key without segments has them.
struct Nowhere;

impl Segments for Nowhere {
    type Record = Vec<u8>;

    fn record(&self, _: u32) -> Result<Option<Self::Record>, OnlineError> {
        Ok(None)
    }
}

/// The events of a key in memory.
pub struct HeldEvents {
    key: KeyEvents,
    /// How many of the first events have left retention.
    expired: usize,
    types: Vec<ValueType>,
    generation: i64,
    epoch: Option<i64>,
    /// How far the stream of the epoch was read, in bytes.
    position: u64,
    resume: Resume,
    attached: Mutex<Option<Attached>>,
    /// The bytes of memory by which they were weighed last.
    weighed: AtomicUsize,
}

/// What a caller made of events, and how many bytes it takes by now.
struct Attached {
    made: Arc<dyn Any + Send + Sync>,
    bytes: Box<dyn Fn() -> usize + Send + Sync>,
}

impl Deref for HeldEvents {
    type Target = KeyEvents;

    fn deref(&self) -> &KeyEvents {
        &self.key
    }
}

impl fmt::Debug for HeldEvents {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = out.debug_struct("HeldEvents");
        out.field("key", &self.key).field("expired", &self.expired).finish_non_exhaustive()
    }
}

impl HeldEvents {
    /// The events that are held: all but the first ones, where these have left retention at the last write of the key and
    /// are only still in memory.
    pub fn within(&self) -> Range<usize> {
        self.expired..self.key.events.len()
    }

    /// What a caller made of these events, kept with them for as long as they do not change. `make` is called where nothing
    /// is kept, by one caller at a time. One thing is kept: that of another type is made again at each call.
    ///
    /// `bytes`: about how much memory it takes, which may grow. It is asked when the events are read again.
    pub fn attached<T: Any + Send + Sync>(
        &self,
        make: impl FnOnce(&Self) -> T,
        bytes: fn(&T) -> usize,
    ) -> Arc<T> {
        let mut attached = self.attached.lock();
        if let Some(kept) = attached.as_ref() {
            let kept = Arc::downcast::<T>(kept.made.clone());
            drop(attached);
            return kept.unwrap_or_else(|_| Arc::new(make(self)));
        }
        let made = Arc::new(make(self));
        let weighed = made.clone();
        *attached = Some(Attached { made: made.clone(), bytes: Box::new(move || bytes(&weighed)) });
        made
    }

    /// A copy of the events that are held, for whoever keeps them.
    pub fn to_events(&self) -> Events {
        let events = &self.key.events;
        if self.expired == 0 {
            return events.clone();
        }
        let within: Vec<usize> = self.within().collect();
        let knowns = events.knowns.get(self.expired..).unwrap_or_default().to_vec();
        Events { knowns, ..events.picked(&within) }
    }

    /// Reads all events of a head.
    ///
    /// # Errors
    /// Damaged records; failures of the store.
    pub fn read(
        head: &Head<'_>,
        types: &[ValueType],
        identity: Option<usize>,
        segments: &impl Segments,
    ) -> Result<Self, OnlineError> {
        let mut all = Decoded::new(types, identity);
        let mut resume = Resume::default();
        read_from(0, head, segments, &mut all, &mut resume)?;
        Ok(Self {
            key: all.finish(head.bound.unwrap_or(i64::MIN)),
            expired: 0,
            types: types.to_vec(),
            generation: head.generation,
            epoch: head.sealed.map(|sealed| sealed.epoch),
            position: head.end(),
            resume,
            attached: Mutex::new(None),
            weighed: AtomicUsize::new(0),
        })
    }

    /// Of which write of the key they are.
    pub fn generation(&self) -> i64 {
        self.generation
    }

    /// Whether they were read with these inputs.
    pub fn is_of(&self, types: &[ValueType], identity: Option<usize>) -> bool {
        self.types == types && self.key.events.identity == identity
    }

    /// Whether a head only has bytes behind those that were read here.
    pub fn begins(&self, head: &Head<'_>) -> bool {
        self.epoch.is_some()
            && self.epoch == head.sealed.map(|sealed| sealed.epoch)
            && self.generation <= head.generation
            && self.position <= head.end()
    }

    /// The events of a head which these begin: only what is behind them is read. Where nobody else has them, they are not
    /// copied.
    ///
    /// # Errors
    /// As [`HeldEvents::read`].
    pub fn follow(self: Arc<Self>, head: &Head<'_>, segments: &impl Segments) -> Result<Self, OnlineError> {
        let identity = self.key.events.identity;
        let mut more = Decoded::new(&self.types, identity);
        let mut resume = self.resume;
        read_from(self.position, head, segments, &mut more, &mut resume)?;
        let knew_all = !self.key.events.knowns.is_empty();
        if more.late && !knew_all && identity.is_some() {
            // When each was known was not kept while none was late.
            return Self::read(head, &self.types.clone(), identity, segments);
        }
        let mut held = Arc::try_unwrap(self).unwrap_or_else(|shared| shared.copied());
        let before = held.key.events.len();
        if more.late && !knew_all {
            held.key.events.knowns.clone_from(&held.key.events.createds);
        }
        if more.late || knew_all {
            held.key.events.knowns.extend(&more.knowns);
        }
        held.key.extend(&more.events);
        (held.generation, held.position, held.resume) = (head.generation, head.end(), resume);
        (held.attached, held.weighed) = (Mutex::new(None), AtomicUsize::new(0));
        let bound = head.bound.unwrap_or(i64::MIN);
        if !held.key.is_ordered_from(before.max(1)) {
            held.key.settle_from(bound);
        }
        held.expired = held.key.events.instants.partition_point(|event| *event < bound);
        if held.expired > held.key.events.len() / EXPIRED_PARTS {
            held.key.settle_from(bound);
            held.expired = 0;
        }
        Ok(held)
    }

    /// The same events, with nothing attached.
    fn copied(&self) -> Self {
        Self {
            key: self.key.clone(),
            expired: self.expired,
            types: self.types.clone(),
            generation: self.generation,
            epoch: self.epoch,
            position: self.position,
            resume: self.resume,
            attached: Mutex::new(None),
            weighed: AtomicUsize::new(0),
        }
    }

    /// How many bytes of memory they take, where that is another number than when this was asked before.
    pub fn weigh(&self) -> Option<usize> {
        let bytes = self.memory_bytes()?;
        (self.weighed.swap(bytes, Ordering::Relaxed) != bytes).then_some(bytes)
    }

    /// About how many bytes of memory they take, with what is attached. `None`: that is being made.
    pub fn memory_bytes(&self) -> Option<usize> {
        let attached = self.attached.try_lock()?.as_ref().map_or(0, |attached| (attached.bytes)());
        let events = self.key.events.len() * (EVENT_BYTES + INPUT_BYTES * self.types.len());
        let coded = |of: &ValueType| {
            !matches!(of, ValueType::Int32 | ValueType::Int64 | ValueType::Float32 | ValueType::Float64)
        };
        let dictionaries = match self.types.iter().any(coded) {
            true => usize::try_from(self.position).unwrap_or(usize::MAX).saturating_mul(DICTIONARY_FACTOR),
            false => 0,
        };
        Some(events.saturating_add(dictionaries).saturating_add(attached))
    }
}

/// Reads the events behind a position of the stream. Segments that have gone are left out.
fn read_from(
    position: u64,
    head: &Head<'_>,
    segments: &impl Segments,
    into: &mut Decoded,
    resume: &mut Resume,
) -> Result<(), OnlineError> {
    let behind = |start: u64, bytes: usize| {
        usize::try_from(position.saturating_sub(start)).map_or(bytes, |from| from.min(bytes))
    };
    let tail_start = head.sealed.map_or(0, |sealed| sealed.end);
    if position < tail_start {
        for segment in &segments.directory()?.segments {
            if segment.start.saturating_add(segment.bytes) > position {
                let record = segments.segment(segment)?;
                let bytes = record.as_ref();
                into.read(&bytes[behind(segment.start, bytes.len())..], resume)?;
            }
        }
    }
    let tail = head.tail.bytes;
    into.read(&tail[behind(tail_start, tail.len())..], resume)
}
