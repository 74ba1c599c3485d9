//! The sealed segments of a key's events, and the directory that lists them.
//!
//! Segments have numbers from 1 on, in the order of their bytes in the stream; under the number 0 stands the directory.
//! It is apart from the head so that one more event does not rewrite it: it changes when a tail is sealed.
//!
//! Version 1 of the directory; numbers are of variable length.
//!
//! | part | bytes |
//! | --- | --- |
//! | head | version `u8` = 1, next number, segments |
//! | per segment | number and start, each from the one before; events; bytes; oldest event from the one before; newest from the oldest |

use crate::error::OnlineError;
use crate::varint::{Input, number, signed};

/// The number under which the directory stands.
pub const DIRECTORY: u32 = 0;

const DIRECTORY_VERSION: u8 = 1;
const WHAT: &str = "directory of segments";

/// Where the segments of one key are read from.
pub trait Segments {
    /// The bytes of a record.
    type Record: AsRef<[u8]>;

    /// The segment of that number, or the directory.
    ///
    /// # Errors
    /// Failures of the store.
    fn record(&self, number: u32) -> Result<Option<Self::Record>, OnlineError>;

    /// The directory.
    ///
    /// # Errors
    /// [`OnlineError::Damaged`] where it is missing too; failures of the store.
    fn directory(&self) -> Result<Directory, OnlineError> {
        match self.record(DIRECTORY)? {
            Some(record) => Directory::read(record.as_ref()),
            None => Err(OnlineError::Damaged { what: WHAT, problem: "it is missing" }),
        }
    }

    /// A segment that the directory lists.
    ///
    /// # Errors
    /// As of the directory.
    fn segment(&self, of: &Segment) -> Result<Self::Record, OnlineError> {
        let damaged = |problem| OnlineError::Damaged { what: "segment of events", problem };
        let record = self.record(of.number)?.ok_or_else(|| damaged("it is missing"))?;
        if record.as_ref().len() as u64 != of.bytes {
            return Err(damaged("it has another length than its directory says"));
        }
        Ok(record)
    }
}

/// One segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its number, from 1 on.
    pub number: u32,
    /// Where it begins in the stream, in bytes.
    pub start: u64,
    /// Events in it.
    pub count: u64,
    /// Its length.
    pub bytes: u64,
    /// The least event instant in it, microseconds.
    pub oldest: i64,
    /// The greatest.
    pub newest: i64,
}

/// All segments of a key, in the order of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// The number of the next segment.
    pub next: u32,
    /// In the order of the stream.
    pub segments: Vec<Segment>,
}

impl Default for Directory {
    fn default() -> Self {
        Self::new()
    }
}

impl Directory {
    /// Without segments.
    pub fn new() -> Self {
        Self { next: DIRECTORY + 1, segments: Vec::new() }
    }

    /// # Errors
    /// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
    pub fn read(bytes: &[u8]) -> Result<Self, OnlineError> {
        let mut input = Input::new(WHAT, bytes);
        input.fields.check_version(DIRECTORY_VERSION)?;
        input.byte()?;
        let next = input.size()?;
        let count = input.size()?;
        // Each takes six bytes at least.
        if count > bytes.len() {
            return Err(input.fields.damaged("it says that it lists more segments than fit into it"));
        }
        let mut segments = Vec::with_capacity(count);
        let mut before = Segment { number: 0, start: 0, count: 0, bytes: 0, oldest: 0, newest: 0 };
        for _ in 0..count {
            let number = u64::from(before.number).saturating_add(input.number()?);
            let start = before.start.saturating_add(input.number()?);
            let (count, bytes) = (input.number()?, input.number()?);
            let oldest = before.oldest.wrapping_add(input.signed()?);
            let newest = oldest.wrapping_add(input.signed()?);
            let number = u32::try_from(number).map_err(|_| input.fields.damaged("a number is too large"))?;
            before = Segment { number, start, count, bytes, oldest, newest };
            segments.push(before);
        }
        let next = u32::try_from(next).map_err(|_| input.fields.damaged("a number is too large"))?;
        Ok(Self { next, segments })
    }

    /// The bytes of the directory.
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(16 + self.segments.len() * 24);
        out.push(DIRECTORY_VERSION);
        number(&mut out, self.next.into());
        number(&mut out, self.segments.len() as u64);
        let mut before = Segment { number: 0, start: 0, count: 0, bytes: 0, oldest: 0, newest: 0 };
        for each in &self.segments {
            number(&mut out, u64::from(each.number - before.number));
            number(&mut out, each.start - before.start);
            number(&mut out, each.count);
            number(&mut out, each.bytes);
            signed(&mut out, each.oldest.wrapping_sub(before.oldest));
            signed(&mut out, each.newest.wrapping_sub(each.oldest));
            before = *each;
        }
        out
    }
}
