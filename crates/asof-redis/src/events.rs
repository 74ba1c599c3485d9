//! The events of a key: behind the head of its value stand frames, one for each unit, to which the server appends.
//!
//! | part | bytes |
//! | --- | --- |
//! | epoch | `i64` LE: another one after every rewrite, never one that the key had before |
//! | base | `u32` LE: bytes of the value after the last rewrite |
//! | per frame | length of its events `u32`, stamp `i64`, bound `i64`, newest event `i64`, count `u32`, all LE; its events ([`asof_online::events::stream`]) |
//!
//! A frame says from when on it is readable, so that a value answers for every `t` from its own stamp on, also while a unit
//! is being written behind. Events before the bound of a frame have left retention and are not held. A value that has grown
//! to twice its base, and some, is rewritten by compare-and-set: one frame in place of all, without what has left retention.
//! So a value has at most about twice the bytes of what is held, and each event is rewritten a bounded number of times.

use std::sync::Arc;

use asof_model::{Instant, ValueType};
use asof_online::events::cache::{CACHED_EVENTS_MIN, EventCache};
use asof_online::events::head::{self, Sealed};
use asof_online::events::segments::{DIRECTORY, Directory, Segment, Segments};
use asof_online::events::stream::{Chunk, Decoded, Resume};
use asof_online::events::{EventSource, HeldEvents, StoredEvents};
use asof_online::fields::Fields;
use asof_online::{OnlineError, ViewHandle};
use bytes::Bytes;

use crate::value::{HEAD_BYTES, Head};

/// Bytes before the first frame.
pub(crate) const PREFIX_BYTES: usize = HEAD_BYTES + 12;
const FRAME_HEAD_BYTES: usize = 32;
/// How much a value may grow beyond twice its base before it is rewritten.
const SLACK_BYTES: usize = 4 << 10;

const WHAT: &str = "value of events";

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'v> {
    pub(crate) stamp: Instant,
    /// Microseconds; `i64::MIN`: none.
    pub(crate) bound: i64,
    pub(crate) newest: i64,
    pub(crate) count: u32,
    pub(crate) events: &'v [u8],
    /// Where it begins in the value.
    pub(crate) at: usize,
}

/// The bytes before the first frame. `base` is set by [`finish`].
pub(crate) fn begin(head: Head, epoch: i64) -> Vec<u8> {
    let mut out = head.write();
    out.extend(epoch.to_le_bytes());
    out.extend(0_u32.to_le_bytes());
    out
}

/// Notes how long the value is by now.
pub(crate) fn finish(value: &mut [u8]) {
    // Values are bounded far below 4 GiB.
    let base = (value.len() as u32).to_le_bytes();
    if let Some(place) = value.get_mut(HEAD_BYTES + 8..PREFIX_BYTES) {
        place.copy_from_slice(&base);
    }
}

/// Adds a frame.
pub(crate) fn push_frame(out: &mut Vec<u8>, stamp: Instant, bound: i64, chunk: &Chunk) {
    out.extend((chunk.bytes.len() as u32).to_le_bytes());
    out.extend(stamp.micros().to_le_bytes());
    out.extend(bound.to_le_bytes());
    out.extend(chunk.newest.to_le_bytes());
    // A publication holds fewer events than that.
    out.extend((chunk.count as u32).to_le_bytes());
    out.extend_from_slice(&chunk.bytes);
}

/// The epoch of a value.
///
/// # Errors
/// [`OnlineError::Damaged`].
pub(crate) fn epoch(prefix: &[u8]) -> Result<i64, OnlineError> {
    Ok(Fields::new(WHAT, prefix).u64(HEAD_BYTES)? as i64)
}

/// Whether a value of that length, which begins so, is to be rewritten.
///
/// # Errors
/// [`OnlineError::Damaged`].
pub(crate) fn is_due(prefix: &[u8], bytes: usize) -> Result<bool, OnlineError> {
    let base = Fields::new(WHAT, prefix).u32(HEAD_BYTES + 8)? as usize;
    Ok(bytes > 2 * base + SLACK_BYTES)
}

/// The epoch that follows on a value.
pub(crate) fn next_epoch(epoch: i64, bytes: usize, stamp: Instant) -> i64 {
    // Generations of an epoch are its number and how many bytes there are.
    stamp.micros().max(epoch.saturating_add(bytes as i64).saturating_add(1))
}

/// The frames of a value, in the order in which they came.
///
/// # Errors
/// [`OnlineError::Damaged`].
pub(crate) fn frames(value: &[u8]) -> Result<Vec<Frame<'_>>, OnlineError> {
    let fields = Fields::new(WHAT, value);
    let (mut frames, mut at) = (Vec::new(), PREFIX_BYTES);
    if value.len() < PREFIX_BYTES {
        return Err(fields.damaged("it ends too early"));
    }
    while at < value.len() {
        let begin = at + FRAME_HEAD_BYTES;
        let end = begin.saturating_add(fields.u32(at)? as usize);
        frames.push(Frame {
            stamp: fields.instant(at + 4)?,
            bound: fields.u64(at + 12)? as i64,
            newest: fields.u64(at + 20)? as i64,
            count: fields.u32(at + 28)?,
            events: fields.slice(begin, end)?,
            at,
        });
        at = end;
    }
    Ok(frames)
}

/// All events of frames.
///
/// # Errors
/// [`OnlineError::Damaged`].
pub(crate) fn decode(frames: &[Frame<'_>], types: &[ValueType]) -> Result<Decoded, OnlineError> {
    let mut all = Decoded::new(types, None);
    for frame in frames {
        all.read(frame.events, &mut Resume::default())?;
    }
    Ok(all)
}

/// What a value answers at `t`.
pub(crate) enum Found {
    /// These events. `None`: none is readable yet.
    Events(Option<StoredEvents>),
    /// It has changed otherwise since `t` was drawn.
    Later,
}

/// For whom events are kept in memory between reads.
pub(crate) struct Reader<'r> {
    pub(crate) cache: &'r Arc<EventCache>,
    pub(crate) forgotten: u64,
    pub(crate) view: ViewHandle,
    pub(crate) key: &'r [u8],
}

/// The events of a value at `t`, which is not before its stamp.
///
/// # Errors
/// [`OnlineError::Damaged`].
pub(crate) fn at(value: &[u8], t: Instant, reader: &Reader<'_>) -> Result<Found, OnlineError> {
    let frames = frames(value)?;
    let included = frames.iter().take_while(|frame| frame.stamp <= t).count();
    if frames[included..].iter().any(|frame| frame.stamp <= t) {
        // Units were replayed out of order behind one that `t` does not know.
        return Ok(Found::Later);
    }
    let included = &frames[..included];
    if included.is_empty() {
        return Ok(Found::Events(None));
    }
    let count: u64 = included.iter().map(|frame| u64::from(frame.count)).sum();
    let newest = included.iter().map(|frame| frame.newest).max().unwrap_or(i64::MIN);
    let bound = included.iter().map(|frame| frame.bound).max().filter(|bound| *bound > i64::MIN);
    let stream: Bytes = included.iter().flat_map(|frame| frame.events).copied().collect::<Vec<u8>>().into();
    let (epoch, bytes) = (epoch(value)?, stream.len() as u64);
    let generation = epoch.saturating_add(stream.len() as i64);
    if count < CACHED_EVENTS_MIN {
        let tail = Chunk { bytes: stream.into(), count, oldest: newest, newest, last: newest, inputs: 0 };
        let head = head::write(generation, bound, None, &tail);
        return Ok(Found::Events(Some(StoredEvents::new(head.into(), None))));
    }
    let sealed = Sealed { epoch, count, bytes, end: bytes, newest, first_to_go: newest };
    let head = head::write(generation, bound, Some(sealed), &Chunk::new());
    let source = FoundEvents {
        cache: reader.cache.clone(),
        forgotten: reader.forgotten,
        view: reader.view,
        key: reader.key.to_vec(),
        stream: Stream { bytes: stream, count, newest },
    };
    Ok(Found::Events(Some(StoredEvents::new(head.into(), Some(Arc::new(source))))))
}

/// The bytes of an answer as the one segment of their key.
struct Stream {
    bytes: Bytes,
    count: u64,
    newest: i64,
}

impl Segments for Stream {
    type Record = Bytes;

    fn record(&self, number: u32) -> Result<Option<Bytes>, OnlineError> {
        Ok(Some(match number {
            DIRECTORY => {
                let bytes = self.bytes.len() as u64;
                let (count, newest) = (self.count, self.newest);
                let segment =
                    Segment { number: DIRECTORY + 1, start: 0, count, bytes, oldest: newest, newest };
                Directory { next: DIRECTORY + 2, segments: vec![segment] }.write().into()
            }
            _ => self.bytes.clone(),
        }))
    }
}

struct FoundEvents {
    cache: Arc<EventCache>,
    forgotten: u64,
    view: ViewHandle,
    key: Vec<u8>,
    stream: Stream,
}

/// The key under which events are kept in memory.
pub(crate) fn cache_key(view: ViewHandle, key: &[u8]) -> Vec<u8> {
    [&view.number().to_be_bytes()[..], key].concat()
}

impl EventSource for FoundEvents {
    fn held(
        &self,
        head: &[u8],
        types: &[ValueType],
        identity: Option<usize>,
    ) -> Result<Arc<HeldEvents>, OnlineError> {
        let key = cache_key(self.view, &self.key);
        let held = head::Head::read(head)
            .and_then(|head| self.cache.held(&key, self.forgotten, &head, (types, identity), &self.stream));
        held.map_err(|error| error.at(self.view, &self.key))
    }
}

#[cfg(test)]
mod tests {
    use asof_model::{Cell, Value};
    use asof_online::events::stream::StreamEvent;

    use super::*;
    use crate::value::Kind;

    const TYPES: [ValueType; 1] = [ValueType::Int64];

    fn at_micros(micros: i64) -> Instant {
        Instant::from_micros_clamped(micros)
    }

    fn chunk(events: &[i64]) -> Chunk {
        let mut chunk = Chunk::new();
        for event in events {
            let cells = [Cell::Value(Value::Int64(*event))];
            chunk.push(&StreamEvent {
                event: *event,
                created: *event,
                known: *event,
                pushed: true,
                cells: &cells,
            });
        }
        chunk
    }

    fn value(frames: &[(i64, i64, Vec<i64>)]) -> Vec<u8> {
        let head = Head { kind: Kind::Events, first: true, stamp: at_micros(10), floor: at_micros(0) };
        let mut value = begin(head, 10);
        for (stamp, bound, events) in frames {
            push_frame(&mut value, at_micros(*stamp), *bound, &chunk(events));
        }
        finish(&mut value);
        value
    }

    fn seen(value: &[u8], t: i64, cache: &Arc<EventCache>) -> Option<Vec<i64>> {
        let reader =
            Reader { cache, forgotten: cache.forgotten(), view: ViewHandle::from_number(1), key: b"k" };
        match at(value, at_micros(t), &reader).unwrap() {
            Found::Events(None) => Some(Vec::new()),
            Found::Events(Some(events)) => {
                let held = events.held(&TYPES, None).unwrap();
                Some(held.within().map(|place| held.events.instants[place]).collect())
            }
            Found::Later => None,
        }
    }

    /// Goal: a reader sees the frames whose stamp its `t` has reached, less what left retention; small values and large ones
    /// that are kept in memory alike; and a frame behind one that is not readable yet asks for another `t`.
    #[test]
    fn frames_by_stamp() {
        let cache = Arc::new(EventCache::new(1 << 20));
        let many: Vec<i64> = (100..300).collect();
        let value = value(&[(10, i64::MIN, vec![1, 2]), (20, 2, vec![3]), (30, 120, many)]);
        assert_eq!(seen(&value, 9, &cache), Some(vec![]));
        assert_eq!(seen(&value, 10, &cache), Some(vec![1, 2]));
        assert_eq!(seen(&value, 29, &cache), Some(vec![2, 3]));
        for _ in 0..2 {
            assert_eq!(seen(&value, 30, &cache), Some((120..300).collect()));
        }
        let replayed = super::tests::value(&[(30, i64::MIN, vec![1]), (15, i64::MIN, vec![2])]);
        assert_eq!((seen(&replayed, 20, &cache), seen(&replayed, 30, &cache)), (None, Some(vec![1, 2])));
    }

    /// Goal: bytes that are cut anywhere are refused or hold fewer frames, without a panic.
    #[test]
    fn damaged() {
        let value = value(&[(10, i64::MIN, vec![1, 2]), (20, 2, vec![3])]);
        assert_eq!(frames(&value).unwrap().len(), 2);
        let whole: Vec<usize> = (0..value.len()).filter(|end| frames(&value[..*end]).is_ok()).collect();
        assert_eq!(whole, [PREFIX_BYTES, frames(&value).unwrap()[1].at]);
        assert!(!is_due(&value, 2 * value.len() + SLACK_BYTES).unwrap());
        assert!(is_due(&value, 2 * value.len() + SLACK_BYTES + 1).unwrap());
    }
}
