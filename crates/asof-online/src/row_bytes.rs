//! The bytes of a row in an answer.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// The bytes of a row, a part of a record that others may hold too: answering copies nothing.
#[derive(Clone)]
pub struct RowBytes {
    record: Arc<[u8]>,
    // A record has at most 256 MiB (`entry::RECORD_BYTES_MAX`).
    from: u32,
    to: u32,
}

impl RowBytes {
    /// A part of a record. What lies outside of the record is left out.
    pub fn part(record: Arc<[u8]>, part: Range<usize>) -> Self {
        let to = part.end.min(record.len());
        let from = part.start.min(to);
        // A record past 4 GiB does not exist; its rows would be cut, never read out of bounds.
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { record, from: narrow(from), to: narrow(to) }
    }
}

impl Default for RowBytes {
    fn default() -> Self {
        Self { record: Arc::from([]), from: 0, to: 0 }
    }
}

impl From<&[u8]> for RowBytes {
    fn from(bytes: &[u8]) -> Self {
        Self::part(Arc::from(bytes), 0..bytes.len())
    }
}

impl Deref for RowBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.record.get(self.from as usize..self.to as usize).unwrap_or_default()
    }
}

impl PartialEq for RowBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for RowBytes {}

impl fmt::Debug for RowBytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "RowBytes({:02x?})", &**self)
    }
}
