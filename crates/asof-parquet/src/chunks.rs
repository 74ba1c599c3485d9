//! The bytes of a file by ranges: of a file of this machine, or of an object by requests.
//!
//! Of an object, blocks are fetched and a bounded number of them is kept: a decoder goes through several columns at a
//! time, each from its beginning to its end, in pieces much smaller than a request should be.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::sync::Arc;

use asof_objects::ObjectFile;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::error::{ParquetFailure, carried};

/// Bytes of an object that are kept for a decoder of several columns.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of one request: large, so that few are made, unless many columns share what is kept.
const BLOCK_BYTES_MAX: usize = 4 * 1024 * 1024;
const BLOCK_BYTES_MIN: usize = 128 * 1024;

/// Bytes that a reader of headers takes from a file of this machine at once.
const HEADER_BYTES: usize = 4 * 1024;

/// A file that is read in pieces, from any number of threads. Cheap to clone; clones share what they keep.
#[derive(Clone)]
pub struct Chunks {
    place: Place,
    /// Why bytes did not come, if that was so. Decoders lose it on the way.
    failure: Arc<Mutex<Option<io::Error>>>,
}

#[derive(Clone)]
enum Place {
    Local { file: Arc<File>, size: u64 },
    Object { object: ObjectFile, kept: Arc<Mutex<Kept>> },
}

/// Blocks of an object.
struct Kept {
    block_bytes: usize,
    /// By the byte where each begins; the one that was used last stands last.
    blocks: VecDeque<(u64, Bytes)>,
}

impl Chunks {
    /// A file of this machine, as long as it is now.
    ///
    /// # Errors
    /// What the system says.
    pub fn local(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Self::new(Place::Local { file: Arc::new(file), size }))
    }

    /// An object. Nothing is read yet.
    pub fn object(object: ObjectFile) -> Self {
        let kept = Kept { block_bytes: BLOCK_BYTES_MIN, blocks: VecDeque::new() };
        Self::new(Place::Object { object, kept: Arc::new(Mutex::new(kept)) })
    }

    fn new(place: Place) -> Self {
        Self { place, failure: Arc::default() }
    }

    /// The length of the file, in bytes.
    pub fn size(&self) -> u64 {
        match &self.place {
            Place::Local { size, .. } => *size,
            Place::Object { object, .. } => object.size,
        }
    }

    /// Whether a piece costs a request.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self.place, Place::Object { .. })
    }

    /// Exactly the bytes in `range`. Blocks.
    ///
    /// # Errors
    /// What the system or the object store says; `UnexpectedEof` past the end.
    pub fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let read = self.read_now(range);
        if let Err(error) = &read {
            self.keep(error);
        }
        read
    }

    fn read_now(&self, range: Range<u64>) -> io::Result<Bytes> {
        if range.end > self.size() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match &self.place {
            Place::Local { file, .. } => {
                let length =
                    usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
                let mut bytes = BytesMut::zeroed(length);
                read_exact_at(file, &mut bytes, range.start)?;
                Ok(bytes.freeze())
            }
            Place::Object { object, .. } => object.read(range).map_err(io::Error::other),
        }
    }

    /// Says how many columns a decoder will read side by side: two blocks of each shall be kept.
    pub fn expect_columns(&self, count: usize) {
        if let Place::Object { kept, .. } = &self.place {
            let mut kept = kept.lock();
            kept.blocks.clear();
            kept.block_bytes = (KEPT_BYTES / (2 * count.max(1))).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
        }
    }

    /// Why bytes did not come, if that was so and was not asked before.
    pub fn failure(&self) -> Option<ParquetFailure> {
        self.failure.lock().take().map(ParquetFailure::of_io)
    }

    /// What an error of a decoder over these bytes means.
    pub fn explain(&self, error: &dyn std::error::Error) -> ParquetFailure {
        self.failure().unwrap_or_else(|| {
            ParquetFailure::Damaged(error.to_string().trim_start_matches("Parquet error: ").to_owned())
        })
    }

    fn keep(&self, error: &io::Error) {
        // A cut file is told as damage, by whoever finds it.
        if error.kind() != io::ErrorKind::UnexpectedEof {
            let error =
                match error.get_ref().and_then(|inner| inner.downcast_ref::<asof_objects::ObjectsError>()) {
                    Some(inner) => io::Error::other(inner.clone()),
                    None => io::Error::new(error.kind(), error.to_string()),
                };
            self.failure.lock().get_or_insert(error);
        }
    }

    /// The bytes from `start` on, up to the end of their block or `length`.
    fn piece(&self, object: &ObjectFile, kept: &Mutex<Kept>, start: u64, length: usize) -> io::Result<Bytes> {
        let mut kept = kept.lock();
        let size = kept.block_bytes as u64;
        let first = start / size * size;
        let block = match kept.blocks.iter().position(|(at, _)| *at == first) {
            Some(place) => kept.blocks.remove(place).map(|(_, block)| block).unwrap_or_default(),
            None => self.read(first..object.size.min(first + size))?,
        };
        while kept.blocks.len() >= (KEPT_BYTES / kept.block_bytes).max(1) {
            kept.blocks.pop_front();
        }
        kept.blocks.push_back((first, block.clone()));
        let from = usize::try_from(start - first).unwrap_or(usize::MAX).min(block.len());
        Ok(block.slice(from..block.len().min(from.saturating_add(length))))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size()
    }
}

impl ChunkReader for Chunks {
    type T = ChunkRead;

    fn get_read(&self, start: u64) -> Result<ChunkRead, ParquetError> {
        let from = Positioned { chunks: self.clone(), at: start };
        Ok(ChunkRead(BufReader::with_capacity(HEADER_BYTES, from)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.saturating_add(length as u64);
        if end > self.size() {
            return Err(ParquetError::EOF(format!("it has {} bytes, {end} were expected", self.size())));
        }
        let Place::Object { object, kept } = &self.place else {
            return self.read(start..end).map_err(carried);
        };
        let first = self.piece(object, kept, start, length).map_err(carried)?;
        if first.len() == length {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(length);
        whole.extend_from_slice(&first);
        while whole.len() < length {
            let at = start + whole.len() as u64;
            whole.extend_from_slice(&self.piece(object, kept, at, length - whole.len()).map_err(carried)?);
        }
        Ok(whole.freeze())
    }
}

/// A reader from some byte on.
pub struct ChunkRead(BufReader<Positioned>);

impl Read for ChunkRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

struct Positioned {
    chunks: Chunks,
    at: u64,
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.chunks.size().saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        if wanted == 0 {
            return Ok(0);
        }
        let count = match &self.chunks.place {
            Place::Local { file, .. } => {
                read_exact_at(file, &mut buffer[..wanted], self.at)
                    .inspect_err(|error| self.chunks.keep(error))?;
                wanted
            }
            Place::Object { object, kept } => {
                let piece = self.chunks.piece(object, kept, self.at, wanted)?;
                buffer[..piece.len()].copy_from_slice(&piece);
                piece.len()
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

/// Reads at a place without moving anything that another thread would notice.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                buffer = &mut buffer[count..];
                at += count as u64;
            }
        }
    }
    Ok(())
}
