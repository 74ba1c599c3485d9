//! The head of a key's events: what stands under the key itself (version 130).
//!
//! Numbers are of variable length but for the generation.
//!
//! | part | bytes |
//! | --- | --- |
//! | version | `u8` 130 |
//! | flags | `u8`: 1 there are segments, 2 there is a bound, 4 there is a tail |
//! | generation | `i64` little-endian |
//! | bound | with flag 2, from the generation |
//! | segments | with flag 1: epoch from the generation; events; bytes; where the tail begins; newest event from the generation; bound of the first to go from the newest |
//! | tail | with flag 4: events; newest from the generation; oldest and last from the newest; inputs |
//! | events of the tail | see [`super::stream`] |
//!
//! A small key is a head with a tail and nothing else.

use super::stream::Chunk;
use crate::error::OnlineError;
use crate::varint::{Input, number, signed};

/// The first byte of a head.
const HEAD_VERSION: u8 = 130;
/// The first byte of an entry that held all events in one value. It is no longer read.
const WHOLE_VERSION: u8 = 129;

const FLAG_SEGMENTS: u8 = 1;
const FLAG_BOUND: u8 = 2;
const FLAG_TAIL: u8 = 4;
const FLAGS: u8 = FLAG_SEGMENTS | FLAG_BOUND | FLAG_TAIL;

const WHAT: &str = "entry of events";

/// Whether these are the bytes of a head of events, of this or another version.
pub fn is_events(entry: &[u8]) -> bool {
    entry.first().is_some_and(|version| *version >= WHOLE_VERSION)
}

/// A head, read.
#[derive(Debug, Clone)]
pub struct Head<'b> {
    /// Another one after every write: never one that the key had before.
    pub generation: i64,
    /// Events before it are no longer held, though some may still stand in the bytes; microseconds.
    pub bound: Option<i64>,
    /// What the segments hold. `None`: there are none.
    pub sealed: Option<Sealed>,
    /// The newest bytes of the stream.
    pub tail: Tail<'b>,
}

/// What the head says of the segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// The generation since which bytes were only added behind.
    pub epoch: i64,
    /// Events in segments.
    pub count: u64,
    /// Bytes in segments.
    pub bytes: u64,
    /// Where the tail begins in the stream of the epoch, in bytes.
    pub end: u64,
    /// The newest event in a segment.
    pub newest: i64,
    /// The least among the newest events of the segments: once the bound has passed it, a segment can go.
    pub first_to_go: i64,
}

/// The events that stand in the head itself.
#[derive(Debug, Clone, Copy)]
pub struct Tail<'b> {
    /// How many events.
    pub count: u64,
    /// The least event instant, microseconds.
    pub oldest: i64,
    /// The greatest, microseconds.
    pub newest: i64,
    /// The instant of the last event in the bytes.
    pub last: i64,
    /// How many inputs the last event has.
    pub inputs: usize,
    /// The events ([`super::stream`]).
    pub bytes: &'b [u8],
}

impl Tail<'_> {
    const EMPTY: Tail<'static> =
        Tail { count: 0, oldest: i64::MAX, newest: i64::MIN, last: 0, inputs: 0, bytes: &[] };

    /// The same, to be added to.
    pub fn to_chunk(self) -> Chunk {
        let Self { count, oldest, newest, last, inputs, bytes } = self;
        Chunk { bytes: bytes.to_vec(), count, oldest, newest, last, inputs }
    }
}

impl<'b> Head<'b> {
    /// # Errors
    /// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`], [`OnlineError::RetiredVersion`].
    pub fn read(bytes: &'b [u8]) -> Result<Self, OnlineError> {
        let mut input = Input::new(WHAT, bytes);
        match input.byte()? {
            HEAD_VERSION => {}
            found if found < HEAD_VERSION => {
                return Err(OnlineError::RetiredVersion { what: WHAT, found, oldest: HEAD_VERSION });
            }
            found => return Err(OnlineError::UnknownVersion { what: WHAT, found, newest: HEAD_VERSION }),
        }
        let flags = input.byte()?;
        if flags & !FLAGS != 0 {
            return Err(input.fields.damaged("it carries flags that this version does not have"));
        }
        let generation = i64::from_le_bytes(input.array()?);
        let bound = match flags & FLAG_BOUND {
            0 => None,
            _ => Some(generation.wrapping_add(input.signed()?)),
        };
        let sealed = match flags & FLAG_SEGMENTS {
            0 => None,
            _ => {
                let epoch = generation.wrapping_add(input.signed()?);
                let (count, bytes, end) = (input.number()?, input.number()?, input.number()?);
                let newest = generation.wrapping_add(input.signed()?);
                let first_to_go = newest.wrapping_add(input.signed()?);
                Some(Sealed { epoch, count, bytes, end, newest, first_to_go })
            }
        };
        let tail = match flags & FLAG_TAIL {
            0 => Tail::EMPTY,
            _ => {
                let count = input.number()?;
                let newest = generation.wrapping_add(input.signed()?);
                let oldest = newest.wrapping_add(input.signed()?);
                let last = newest.wrapping_add(input.signed()?);
                let inputs = input.size()?;
                Tail { count, oldest, newest, last, inputs, bytes: input.rest() }
            }
        };
        Ok(Self { generation, bound, sealed, tail })
    }

    /// The newest event. There is one.
    pub fn newest(&self) -> i64 {
        self.sealed.map_or(self.tail.newest, |sealed| sealed.newest.max(self.tail.newest))
    }

    /// How many events it holds, with those before the bound that still stand in the bytes.
    pub fn count(&self) -> u64 {
        self.sealed.map_or(0, |sealed| sealed.count).saturating_add(self.tail.count)
    }

    /// Where the stream of the epoch ends, in bytes.
    pub fn end(&self) -> u64 {
        self.sealed.map_or(0, |sealed| sealed.end).saturating_add(self.tail.bytes.len() as u64)
    }
}

/// The bytes of a head.
pub fn write(generation: i64, bound: Option<i64>, sealed: Option<Sealed>, tail: &Chunk) -> Vec<u8> {
    let mut flags = 0;
    let mut out = Vec::with_capacity(64 + tail.bytes.len());
    out.extend([HEAD_VERSION, 0]);
    out.extend(generation.to_le_bytes());
    if let Some(bound) = bound {
        flags |= FLAG_BOUND;
        signed(&mut out, bound.wrapping_sub(generation));
    }
    if let Some(sealed) = sealed {
        flags |= FLAG_SEGMENTS;
        signed(&mut out, sealed.epoch.wrapping_sub(generation));
        for each in [sealed.count, sealed.bytes, sealed.end] {
            number(&mut out, each);
        }
        signed(&mut out, sealed.newest.wrapping_sub(generation));
        signed(&mut out, sealed.first_to_go.wrapping_sub(sealed.newest));
    }
    if tail.count > 0 {
        flags |= FLAG_TAIL;
        number(&mut out, tail.count);
        signed(&mut out, tail.newest.wrapping_sub(generation));
        signed(&mut out, tail.oldest.wrapping_sub(tail.newest));
        signed(&mut out, tail.last.wrapping_sub(tail.newest));
        number(&mut out, tail.inputs as u64);
        out.extend_from_slice(&tail.bytes);
    }
    out[1] = flags;
    out
}
