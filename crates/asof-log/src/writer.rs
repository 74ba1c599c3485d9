//! The end of the log on the disk: one write and one sync for a group of batches.

use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::LogError;
use crate::folder;
use crate::format::{FRAME_HEADER_BYTES, FrameHeader, SEGMENT_HEADER_BYTES};
use crate::segment;

/// Bytes of the buffer of a group that are kept from one group to the next.
const BUFFER_BYTES_KEPT: usize = 4 << 20;

/// A batch that has its position and waits to be written.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Position of the first entry.
    pub(crate) first: u64,
    /// Entries, at least one.
    pub(crate) entries: u32,
    /// CRC-32 of the payload.
    pub(crate) checksum: u32,
    /// The payload, within its bounds.
    pub(crate) payload: Vec<u8>,
}

impl Staged {
    /// Bytes that it takes in the log.
    pub(crate) fn frame_bytes(&self) -> u64 {
        (FRAME_HEADER_BYTES + self.payload.len()) as u64
    }

    /// The position of the last entry.
    pub(crate) fn last(&self) -> u64 {
        self.first + u64::from(self.entries) - 1
    }

    fn header(&self, group: u64) -> FrameHeader {
        FrameHeader {
            // The bounds of a batch fit 32 bits.
            length: self.payload.len() as u32,
            first: self.first,
            entries: self.entries,
            group,
            checksum: self.checksum,
        }
    }
}

/// What a group became.
pub(crate) struct Written {
    /// The group began a new segment, with its first batch.
    pub(crate) rotated: bool,
    /// The headers of its frames, in order.
    pub(crate) frames: Vec<FrameHeader>,
}

/// Where the log ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// The first position of the last segment.
    pub(crate) segment: u64,
    /// The byte of it at which the next frame begins.
    pub(crate) length: u64,
    /// The position that comes next.
    pub(crate) next: u64,
    /// The last frame is a mark, or there is none: everything is known to be synced.
    pub(crate) marked: bool,
}

/// Who may write at the end of the log. There is one, and who has it leads.
#[derive(Debug)]
pub(crate) struct Writer {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    segment_bytes: u64,
    end: End,
    buffer: Vec<u8>,
}

impl Writer {
    /// A writer at the end of the last segment, whose file holds nothing more.
    pub(crate) fn open(folder: &Path, end: End, segment_bytes: u64) -> Result<Self, LogError> {
        let path = segment::path(folder, end.segment);
        let open = || {
            let mut file = OpenOptions::new().write(true).open(&path)?;
            file.seek(SeekFrom::Start(end.length))?;
            Ok(file)
        };
        let file = open().map_err(|source| folder::explain(&path, source))?;
        Ok(Self { folder: folder.to_owned(), path, file, segment_bytes, end, buffer: Vec::new() })
    }

    /// Writes a group and syncs it. When this returns, all of it is durable.
    ///
    /// After an error the writer must not be used again: what is in the file is not known.
    ///
    /// # Errors
    /// [`LogError::DiskFull`] and other failures of the file system.
    pub(crate) fn commit(&mut self, group: &[Staged]) -> Result<Written, LogError> {
        let bytes: u64 = group.iter().map(Staged::frame_bytes).sum();
        let full = self.end.length.saturating_add(bytes) > self.segment_bytes;
        // A segment without entries has the name that the next one would have.
        let rotated = full && self.end.next > self.end.segment;
        if rotated {
            // The old segment was synced with its last group. So only the last segment can end in a torn write.
            self.begin(self.end.next)?;
        }
        let start = self.end.length;
        let mut frames = Vec::with_capacity(group.len());
        let mut buffer = std::mem::take(&mut self.buffer);
        for staged in group {
            let header = staged.header(start);
            buffer.extend(header.encode(self.end.segment, start + buffer.len() as u64));
            buffer.extend(&staged.payload);
            frames.push(header);
        }
        self.write(&buffer)?;
        self.end.next = group.last().map_or(self.end.next, |staged| staged.last() + 1);
        self.end.marked = false;
        buffer.clear();
        buffer.shrink_to(BUFFER_BYTES_KEPT);
        self.buffer = buffer;
        Ok(Written { rotated, frames })
    }

    /// Writes that everything was synced, so that damage to the last group can be told from a torn write.
    pub(crate) fn mark(&mut self) -> Result<(), LogError> {
        if self.end.marked {
            return Ok(());
        }
        let header =
            FrameHeader { length: 0, first: self.end.next, entries: 0, group: self.end.length, checksum: 0 };
        self.write(&header.encode(self.end.segment, self.end.length))?;
        self.end.marked = true;
        Ok(())
    }

    /// Begins a new segment, unless the last one holds no entry. Says whether it did.
    ///
    /// # Errors
    /// As [`Writer::commit`].
    pub(crate) fn seal(&mut self) -> Result<bool, LogError> {
        if self.end.next == self.end.segment {
            return Ok(false);
        }
        self.begin(self.end.next)?;
        self.end.marked = true;
        Ok(true)
    }

    fn begin(&mut self, first: u64) -> Result<(), LogError> {
        self.file = segment::create(&self.folder, first)?;
        self.path = segment::path(&self.folder, first);
        (self.end.segment, self.end.length) = (first, SEGMENT_HEADER_BYTES as u64);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        written.map_err(|source| folder::explain(&self.path, source))?;
        self.end.length += bytes.len() as u64;
        Ok(())
    }

    /// Writes into `file` from now on, as a disk that fails would.
    #[cfg(test)]
    pub(crate) fn replace_file(&mut self, file: File) {
        self.file = file;
    }
}
