//! The bytes of one column chunk, for a decoder that goes from its beginning to its end.
//!
//! Small pages come many at a time out of one read; a large one is read by itself, exactly. Of an object, each read is a
//! request, so it is as large as memory allows.

use std::io::{self, Read};
use std::ops::Range;

use bytes::Bytes;
use parking_lot::Mutex;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::chunks::Chunks;
use crate::error::carried;

/// Bytes that are read ahead in a file of this machine.
const LOCAL_BYTES: u64 = 128 * 1024;

/// Bytes that are read of a header when its page is likely to be large.
const HEADER_BYTES: u64 = 4 * 1024;

/// A range of a file.
pub(crate) struct Window {
    chunks: Chunks,
    end: u64,
    ahead_bytes: u64,
    held: Mutex<Held>,
}

struct Held {
    start: u64,
    bytes: Bytes,
    /// Whether the last piece was larger than what is read ahead.
    large: bool,
}

impl Window {
    /// The bytes in `range`. `remote_bytes`: how much may be asked of an object store at once.
    pub fn new(chunks: Chunks, range: Range<u64>, remote_bytes: usize) -> Self {
        let ahead_bytes = if chunks.is_remote() { remote_bytes as u64 } else { LOCAL_BYTES };
        let held = Held { start: range.start, bytes: Bytes::new(), large: false };
        Self { chunks, end: range.end, ahead_bytes, held: Mutex::new(held) }
    }

    /// At least one byte from `start` on; none at the end.
    fn some(&self, start: u64) -> io::Result<Bytes> {
        let mut held = self.held.lock();
        if let Some(bytes) = held.from(start).filter(|bytes| !bytes.is_empty()) {
            return Ok(bytes);
        }
        let remote = self.chunks.is_remote();
        let ahead = if held.large && !remote { HEADER_BYTES } else { self.ahead_bytes };
        held.bytes = self.chunks.read(start..self.end.min(start + ahead).max(start))?;
        held.start = start;
        Ok(held.bytes.clone())
    }

    fn exactly(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let mut held = self.held.lock();
        let end = start + length as u64;
        if let Some(bytes) = held.from(start).filter(|bytes| bytes.len() >= length) {
            return Ok(bytes.slice(..length));
        }
        if end > self.end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        held.large = length as u64 > self.ahead_bytes / 2;
        if held.large && !self.chunks.is_remote() {
            return self.chunks.read(start..end);
        }
        held.bytes = self.chunks.read(start..self.end.min(start + self.ahead_bytes).max(end))?;
        held.start = start;
        Ok(held.bytes.slice(..length))
    }
}

impl Held {
    /// What is held from `start` on. `None`: nothing is known of that place.
    fn from(&self, start: u64) -> Option<Bytes> {
        let skip = usize::try_from(start.checked_sub(self.start)?).ok()?;
        (skip <= self.bytes.len()).then(|| self.bytes.slice(skip..))
    }
}

impl Length for Window {
    fn len(&self) -> u64 {
        self.end
    }
}

impl ChunkReader for Window {
    type T = WindowRead;

    fn get_read(&self, start: u64) -> Result<WindowRead, ParquetError> {
        let bytes = self.some(start).map_err(carried)?;
        Ok(WindowRead { chunks: self.chunks.clone(), end: self.end, next: start + bytes.len() as u64, bytes })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.exactly(start, length).map_err(carried)
    }
}

/// A reader of a header, from some byte on.
pub(crate) struct WindowRead {
    chunks: Chunks,
    end: u64,
    next: u64,
    bytes: Bytes,
}

impl Read for WindowRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            // A header across the end of what is held.
            let end = self.end.min(self.next + HEADER_BYTES).max(self.next);
            self.bytes = self.chunks.read(self.next..end)?;
            self.next = end;
        }
        let count = buffer.len().min(self.bytes.len());
        buffer[..count].copy_from_slice(&self.bytes.split_to(count));
        Ok(count)
    }
}
