//! A segment: its file, and where in it positions are.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::LogError;
use crate::folder;
use crate::format::{FrameHeader, SEGMENT_HEADER_BYTES, encode_segment_header};

const EXTENSION: &str = "segment";
/// Digits of the first position in a name, so that the order of names is that of positions.
const NAME_DIGITS: usize = 20;
/// Bytes between two places that are held in memory. A reader skips at most as much.
const PLACES_STRIDE_BYTES: u64 = 4 << 10;

/// What is known of the durable part of a segment.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its first position.
    pub(crate) first: u64,
    /// The byte of the whole log at which the file begins, counted from the log's start as it was opened.
    pub(crate) start: u64,
    /// Bytes of the file that are durable.
    pub(crate) length: u64,
    /// The position after the last entry.
    pub(crate) next: u64,
    /// First position and offset of some frames, in order; the first frame is always one of them.
    places: Vec<(u64, u64)>,
}

impl Segment {
    /// A segment without frames, whose file begins at byte `start` of the log.
    pub(crate) fn new(first: u64, start: u64) -> Self {
        Self { first, start, length: SEGMENT_HEADER_BYTES as u64, next: first, places: Vec::new() }
    }

    /// The same without what only readers need.
    pub(crate) fn without_places(&self) -> Self {
        let Self { first, start, length, next, .. } = *self;
        Self { first, start, length, next, places: Vec::new() }
    }

    /// Takes the frame that follows.
    pub(crate) fn push(&mut self, header: &FrameHeader) {
        let far = |(_, offset): &(u64, u64)| self.length - offset >= PLACES_STRIDE_BYTES;
        if header.entries > 0 && self.places.last().is_none_or(far) {
            self.places.push((header.first, self.length));
        }
        self.length += header.frame_bytes();
        self.next = header.next();
    }

    /// The byte of the whole log at which the durable part ends.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.length
    }

    /// A byte at which a frame begins, at or a little before the frame with `position`.
    pub(crate) fn offset_before(&self, position: u64) -> u64 {
        let after = self.places.partition_point(|(first, _)| *first <= position);
        let place = after.checked_sub(1).and_then(|at| self.places.get(at));
        place.map_or(SEGMENT_HEADER_BYTES as u64, |(_, offset)| *offset)
    }
}

/// The file of the segment that begins with `first`.
pub(crate) fn path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:0NAME_DIGITS$}.{EXTENSION}"))
}

/// The first positions of the segments in the folder, in order.
///
/// # Errors
/// [`LogError::Damaged`] for a segment whose name is none, or a failure of the file system.
pub(crate) fn list(folder: &Path) -> Result<Vec<u64>, LogError> {
    let failed = |source| folder::explain(folder, source);
    let mut firsts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let first = stem.parse().ok().filter(|first| path(folder, *first) == file);
        firsts.push(first.ok_or(LogError::Damaged {
            file,
            offset: 0,
            problem: "its name is no position",
        })?);
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Makes the file of an empty segment, or makes an unfinished one anew, durable with its name.
pub(crate) fn create(folder: &Path, first: u64) -> Result<File, LogError> {
    let path = path(folder, first);
    let make = || -> io::Result<File> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
        file.write_all(&encode_segment_header(first))?;
        file.sync_all()?;
        Ok(file)
    };
    let file = make().map_err(|source| folder::explain(&path, source))?;
    folder::sync(folder)?;
    Ok(file)
}

/// Removes the file of a segment. The name is gone for good when the folder is synced.
pub(crate) fn remove(folder: &Path, first: u64) -> Result<(), LogError> {
    let path = path(folder, first);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(folder::explain(&path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u64, entries: u32, length: u32) -> FrameHeader {
        FrameHeader { length, first, entries, group: 0, checksum: 0 }
    }

    /// Goal: a position leads to its frame or one before it, and never more than a stride and a frame before.
    #[test]
    fn places_lead_to_positions() {
        let mut segment = Segment::new(10, 0);
        let mut offsets = Vec::new();
        for n in 0..200 {
            offsets.push(segment.length);
            segment.push(&frame(10 + 3 * n, 3, 100));
        }
        assert_eq!((segment.next, segment.length), (610, 24 + 200 * 136));
        for position in 10..610 {
            let own = offsets[(position as usize - 10) / 3];
            let found = segment.offset_before(position);
            assert!(found <= own && own - found < PLACES_STRIDE_BYTES + 136, "{position}: {found}, {own}");
            assert!(offsets.contains(&found));
        }
        assert!(segment.places.len() < 10);
    }

    /// Goal: names order as positions do, and what only looks like one is damage.
    #[test]
    fn names_of_segments() {
        let folder = tempfile::tempdir().unwrap();
        for first in [100, 9, u64::from(u32::MAX)] {
            create(folder.path(), first).unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "").unwrap();
        assert_eq!(list(folder.path()).unwrap(), [9, 100, u64::from(u32::MAX)]);
        std::fs::write(folder.path().join("7.segment"), "").unwrap();
        assert!(list(folder.path()).unwrap_err().to_string().ends_with("its name is no position"));
    }
}
