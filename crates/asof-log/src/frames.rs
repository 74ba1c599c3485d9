//! The frames of one segment, one after the other, as they are on the disk.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::LogError;
use crate::folder;
use crate::format::{FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader};

/// Bytes that are read from the file at once.
const READ_BYTES: usize = 64 << 10;
/// Bytes that are looked through at once behind a broken frame.
const SEARCH_BYTES: usize = 1 << 20;

/// What comes next in a segment.
#[derive(Debug)]
pub(crate) enum Next {
    /// A frame. Its payload is read by [`Frames::payload`] or passed by [`Frames::skip`], before anything else.
    Frame(FrameHeader),
    /// Nothing: the part that is read ends here.
    End,
    /// Something that is no whole frame.
    Broken(&'static str),
}

/// Reads the frames of a segment from a place to an end.
pub(crate) struct Frames<R = File> {
    file: BufReader<R>,
    path: PathBuf,
    /// The segment's first position.
    segment: u64,
    /// The byte at which the frame begins that comes next, or whose payload does.
    offset: u64,
    end: u64,
}

impl<R: Read + Seek> Frames<R> {
    /// Reads `file` from byte `offset`, where a frame begins, to byte `end`.
    pub(crate) fn new(file: R, path: &Path, segment: u64, offset: u64, end: u64) -> Result<Self, LogError> {
        let mut file = BufReader::with_capacity(READ_BYTES, file);
        file.seek(SeekFrom::Start(offset)).map_err(|source| folder::explain(path, source))?;
        Ok(Self { file, path: path.to_owned(), segment, offset, end })
    }

    /// The byte at which the frame begins that comes next, or that was read last and is not yet passed.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// What comes next. Where it is known, `position` is the one that must follow.
    pub(crate) fn next(&mut self, position: Option<u64>) -> Result<Next, LogError> {
        let left = self.end - self.offset;
        if left == 0 {
            return Ok(Next::End);
        }
        if left < FRAME_HEADER_BYTES as u64 {
            return Ok(Next::Broken("the header of a batch is cut short"));
        }
        let mut bytes = [0; FRAME_HEADER_BYTES];
        self.file.read_exact(&mut bytes).map_err(|source| self.failed(source))?;
        let Some(header) = FrameHeader::decode(&bytes, self.segment, self.offset) else {
            return Ok(Next::Broken("the header of a batch has another checksum"));
        };
        if !header.possible() || position.is_some_and(|position| position != header.first) {
            return Ok(Next::Broken("the header of a batch does not follow the one before"));
        }
        if left < header.frame_bytes() {
            return Ok(Next::Broken("a batch is cut short"));
        }
        Ok(Next::Frame(header))
    }

    /// The payload of the frame that came last. `None` where it has another checksum.
    pub(crate) fn payload(&mut self, header: &FrameHeader) -> Result<Option<Vec<u8>>, LogError> {
        let length = u64::from(header.length);
        let mut payload = Vec::with_capacity(header.length as usize);
        let read = self.file.by_ref().take(length).read_to_end(&mut payload);
        let read = read.map_err(|source| self.failed(source))?;
        if read as u64 != length {
            return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        if crc32fast::hash(&payload) != header.checksum {
            return Ok(None);
        }
        self.offset += header.frame_bytes();
        Ok(Some(payload))
    }

    /// Passes over the payload of the frame that came last.
    pub(crate) fn skip(&mut self, header: &FrameHeader) -> Result<(), LogError> {
        self.file.seek_relative(i64::from(header.length)).map_err(|source| self.failed(source))?;
        self.offset += header.frame_bytes();
        Ok(())
    }

    /// The damage at the frame that comes next.
    pub(crate) fn damaged(&self, problem: &'static str) -> LogError {
        LogError::Damaged { file: self.path.clone(), offset: self.offset, problem }
    }

    /// A frame somewhere behind the broken one says that the broken one was synced. So it is damage: a write that was
    /// torn has nothing behind it but parts of its own group.
    pub(crate) fn synced_beyond(&mut self) -> Result<bool, LogError> {
        let broken = self.offset;
        let mut at = broken + 1;
        self.file.seek(SeekFrom::Start(at)).map_err(|source| self.failed(source))?;
        // The bytes that were read and not yet looked through: a header may lie across two reads.
        let mut window = Vec::new();
        loop {
            let read = self.file.by_ref().take(SEARCH_BYTES as u64).read_to_end(&mut window);
            let last = read.map_err(|source| self.failed(source))? < SEARCH_BYTES;
            for candidate in window.windows(FRAME_HEADER_BYTES) {
                if candidate.starts_with(FRAME_MAGIC)
                    && let Some(bytes) = candidate.first_chunk()
                    && FrameHeader::decode(bytes, self.segment, at).is_some_and(|found| found.group > broken)
                {
                    return Ok(true);
                }
                at += 1;
            }
            if last {
                return Ok(false);
            }
            let looked_through = window.len().saturating_sub(FRAME_HEADER_BYTES - 1);
            window.drain(..looked_through);
        }
    }

    fn failed(&self, source: io::Error) -> LogError {
        folder::explain(&self.path, source)
    }
}
