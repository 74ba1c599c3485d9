//! What goes into the log and comes out of it, and how large it may be.

use asof_model::{Duration, Instant};
use bytes::Bytes;

use crate::error::LogError;

/// Entries in one batch.
pub const BATCH_ENTRIES_MAX: usize = 100_000;
/// Bytes of all entries of one batch together.
pub const BATCH_BYTES_MAX: usize = 64 << 20;
/// Bytes of a topic.
pub const TOPIC_BYTES_MAX: usize = 1_024;
/// Bytes of a key.
pub const KEY_BYTES_MAX: usize = 1_024;

/// How a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// Bytes of a segment after which the next one begins. One group of batches is never cut, so a segment may be
    /// as large as a group. Only whole segments are reclaimed.
    pub segment_bytes: u64,
    /// Bytes that may wait to be folded. When they would be more, [`Log::append`](crate::Log::append) refuses.
    pub unfolded_bytes_max: u64,
    /// How long a key is remembered after its segment was reclaimed: while no batch in the log was admitted more
    /// than this after it.
    pub key_keep: Duration,
    /// Keys of reclaimed segments that are remembered; past it the oldest are forgotten. Each needs about 100 bytes
    /// of memory.
    pub keys_max: usize,
    /// Whether segments are archived when they are reclaimed, so that they can still be read.
    pub archive: bool,
}

impl Default for LogOptions {
    /// Segments of 64 MiB, 1 GiB that may wait, and a million keys for 7 days.
    fn default() -> Self {
        const DAY_MICROS: i64 = 86_400_000_000;
        Self {
            segment_bytes: 64 << 20,
            unfolded_bytes_max: 1 << 30,
            key_keep: Duration::from_micros(7 * DAY_MICROS),
            keys_max: 1_000_000,
            archive: false,
        }
    }
}

/// Entries that are appended together, or not at all.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// What the entries belong to. Keys of different topics have nothing to do with each other.
    pub topic: &'a str,
    /// The idempotency key. Without one the batch is appended as often as it is sent.
    pub key: Option<&'a [u8]>,
    /// When it was admitted, by the clock of the caller.
    pub admitted: Instant,
    /// The entries, at least one.
    pub entries: &'a [Bytes],
}

impl Batch<'_> {
    /// Refuses what has no entry, or is larger than a bound.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        if self.entries.is_empty() {
            return Err(LogError::Empty { topic: self.topic.to_owned() });
        }
        let bytes: usize = self.entries.iter().map(Bytes::len).sum();
        within("a batch", "entries", self.entries.len(), BATCH_ENTRIES_MAX)?;
        within("a batch", "bytes", bytes, BATCH_BYTES_MAX)?;
        within("a topic", "bytes", self.topic.len(), TOPIC_BYTES_MAX)?;
        within("a key", "bytes", self.key.map_or(0, <[u8]>::len), KEY_BYTES_MAX)
    }
}

fn within(what: &'static str, unit: &'static str, found: usize, max: usize) -> Result<(), LogError> {
    if found <= max {
        return Ok(());
    }
    Err(LogError::TooLarge { what, unit, found: found as u64, max: max as u64 })
}

/// Where a batch is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The position of its first entry.
    pub first: u64,
    /// The position of its last entry.
    pub last: u64,
    /// When it was admitted. For a repeat: when it was admitted first.
    pub admitted: Instant,
    /// The batch was there before, and nothing was appended.
    pub repeat: bool,
}

/// One batch as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The position of its first entry. The others follow without a gap.
    pub first: u64,
    /// What the entries belong to.
    pub topic: String,
    /// The idempotency key, if it has one.
    pub key: Option<Bytes>,
    /// When it was admitted.
    pub admitted: Instant,
    /// The entries. They share one allocation.
    pub entries: Vec<Bytes>,
}

impl Record {
    /// The position of its last entry.
    pub fn last(&self) -> u64 {
        // A batch has at least one entry.
        self.first + (self.entries.len() as u64).saturating_sub(1)
    }
}
