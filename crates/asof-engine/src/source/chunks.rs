//! Pieces of a Parquet file, wherever in it: from a file of this machine, or from an object by ranged requests.
//!
//! Of an object, blocks are fetched and a bounded number of them is kept: the decoder goes through several columns at a
//! time, each from its beginning to its end, in pieces much smaller than a request should be.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::Arc;

use asof_objects::{ObjectFile, ObjectsError};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use super::files::SourceFile;
use crate::EngineError;

/// Bytes of an object that are kept.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// Bytes of one request: large, so that few are made, unless many columns share what is kept.
const BLOCK_BYTES_MAX: usize = 4 * 1024 * 1024;
const BLOCK_BYTES_MIN: usize = 128 * 1024;

/// A file that is read in pieces. Cheap to clone; clones share what they keep.
#[derive(Clone)]
pub(crate) enum Chunks {
    Local(Arc<File>),
    Object(Arc<Blocks>),
}

/// An object, and the blocks of it that are kept.
pub(crate) struct Blocks {
    object: ObjectFile,
    kept: Mutex<Kept>,
}

struct Kept {
    block_bytes: usize,
    /// By the byte where each begins; the one that was used last stands last.
    blocks: VecDeque<(u64, Bytes)>,
    failure: Option<ObjectsError>,
}

impl Chunks {
    /// Opens a file. Of an object nothing is read yet.
    pub(super) fn open(file: &SourceFile) -> Result<Self, EngineError> {
        let Some(object) = &file.object else {
            let handle = File::open(&file.path).map_err(|error| EngineError::reading(&file.path, error))?;
            return Ok(Self::Local(Arc::new(handle)));
        };
        let kept = Kept { block_bytes: BLOCK_BYTES_MIN, blocks: VecDeque::new(), failure: None };
        Ok(Self::Object(Arc::new(Blocks { object: object.clone(), kept: Mutex::new(kept) })))
    }

    /// Says how many columns will be read side by side: two blocks of each shall be kept.
    pub(super) fn expect_columns(&self, count: usize) {
        if let Self::Object(blocks) = self {
            let mut kept = blocks.kept.lock();
            kept.blocks.clear();
            kept.block_bytes = (KEPT_BYTES / (2 * count.max(1))).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
        }
    }

    /// Why bytes of an object did not come, if that was so.
    pub(super) fn failure(&self) -> Option<EngineError> {
        match self {
            Self::Local(_) => None,
            Self::Object(blocks) => blocks.kept.lock().failure.take().map(EngineError::Objects),
        }
    }
}

impl Blocks {
    /// The bytes from `start` on, up to the end of their block or `length`.
    fn piece(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let mut kept = self.kept.lock();
        let size = kept.block_bytes as u64;
        let first = start / size * size;
        let block = match kept.blocks.iter().position(|(at, _)| *at == first) {
            Some(place) => kept.blocks.remove(place).map(|(_, block)| block).unwrap_or_default(),
            None => {
                let end = self.object.size.min(first + size);
                self.object.read(first..end).map_err(|error| {
                    let text = error.to_string();
                    kept.failure = Some(error);
                    ParquetError::General(text)
                })?
            }
        };
        while kept.blocks.len() >= (KEPT_BYTES / kept.block_bytes).max(1) {
            kept.blocks.pop_front();
        }
        kept.blocks.push_back((first, block.clone()));
        let from = usize::try_from(start - first).unwrap_or(usize::MAX).min(block.len());
        Ok(block.slice(from..block.len().min(from.saturating_add(length))))
    }

    fn bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.saturating_add(length as u64);
        if end > self.object.size {
            return Err(ParquetError::EOF(format!("it has {} bytes, {end} were expected", self.object.size)));
        }
        let first = self.piece(start, length)?;
        if first.len() == length {
            return Ok(first);
        }
        let mut whole = BytesMut::with_capacity(length);
        whole.extend_from_slice(&first);
        while whole.len() < length {
            whole.extend_from_slice(&self.piece(start + whole.len() as u64, length - whole.len())?);
        }
        Ok(whole.freeze())
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        match self {
            Self::Local(file) => file.len(),
            Self::Object(blocks) => blocks.object.size,
        }
    }
}

impl ChunkReader for Chunks {
    type T = ChunkRead;

    fn get_read(&self, start: u64) -> Result<ChunkRead, ParquetError> {
        Ok(match self {
            Self::Local(file) => ChunkRead::Local(file.get_read(start)?),
            Self::Object(blocks) => ChunkRead::Object { blocks: blocks.clone(), at: start },
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        match self {
            Self::Local(file) => file.get_bytes(start, length),
            Self::Object(blocks) => blocks.bytes(start, length),
        }
    }
}

/// A reader from some byte on.
pub(crate) enum ChunkRead {
    Local(BufReader<File>),
    Object { blocks: Arc<Blocks>, at: u64 },
}

impl Read for ChunkRead {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Local(file) => file.read(buffer),
            Self::Object { blocks, at } => {
                let left = usize::try_from(blocks.object.size.saturating_sub(*at)).unwrap_or(usize::MAX);
                let wanted = buffer.len().min(left);
                if wanted == 0 {
                    return Ok(0);
                }
                let piece = blocks.piece(*at, wanted).map_err(std::io::Error::other)?;
                buffer[..piece.len()].copy_from_slice(&piece);
                *at += piece.len() as u64;
                Ok(piece.len())
            }
        }
    }
}
