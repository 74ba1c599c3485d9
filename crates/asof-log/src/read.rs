//! Reading: whole batches, in order, durable ones only.
//!
//! The lock is held to find the file, not to read it. What is durable never changes, so the file needs no lock.

use std::fs::File;
use std::path::PathBuf;

use crate::batch::Record;
use crate::error::LogError;
use crate::folder;
use crate::format;
use crate::frames::{Frames, Next};
use crate::log::Log;
use crate::segment;

/// What is to be read of one segment.
struct Part {
    path: PathBuf,
    /// The segment's first position.
    segment: u64,
    /// The byte at which to begin.
    offset: u64,
    /// The byte at which the durable part ends.
    end: u64,
    /// The position after the last entry.
    next: u64,
}

impl Log {
    /// The batches from the one that holds `from` on.
    ///
    /// - `from`: a position. The batch that holds it comes whole, with the entries before `from`
    /// - `bytes_max`: about the most bytes to return; one batch comes whatever its size
    /// - returns batches in the order of positions without a gap; none where `from` is past [`Log::durable`]
    ///
    /// What was reclaimed comes from the archive, one segment at a time whatever its size, where it was archived.
    ///
    /// # Errors
    /// [`LogError::Reclaimed`] where `from` is before [`Log::first`] and not archived, which is also the case for 0.
    /// [`LogError::Damaged`] where stored bytes have changed since the log was opened; or a failure of the file system.
    pub fn read(&self, from: u64, bytes_max: usize) -> Result<Vec<Record>, LogError> {
        let mut reading = Reading { records: Vec::new(), position: from, bytes_left: bytes_max as u64 };
        loop {
            let read = self.part(reading.position).and_then(|part| match part {
                Some(part) => reading.read(&part),
                None => Ok(false),
            });
            match read {
                Ok(true) => {}
                Ok(false) => return Ok(reading.records),
                // Reclaimed while this read the segments before it. What was read is right.
                Err(_) if reading.position < self.first() && !reading.records.is_empty() => {
                    return Ok(reading.records);
                }
                Err(_) if reading.position < self.first() => {
                    if let Some(records) = self.archived(reading.position)? {
                        return Ok(records);
                    }
                    return Err(LogError::Reclaimed { from: reading.position, first: self.first() });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Where to read from `position` on. `None` past the durable part.
    fn part(&self, position: u64) -> Result<Option<Part>, LogError> {
        let state = self.state.lock();
        if position > state.durable {
            return Ok(None);
        }
        let Some(segment) = state.segment_of(position) else {
            return Err(LogError::Reclaimed { from: position, first: state.first() });
        };
        Ok(Some(Part {
            path: segment::path(&self.folder, segment.first),
            segment: segment.first,
            offset: segment.offset_before(position),
            end: segment.length,
            next: segment.next,
        }))
    }
}

/// A read under way.
struct Reading {
    records: Vec<Record>,
    /// The position to go on with.
    position: u64,
    bytes_left: u64,
}

impl Reading {
    /// Reads one segment. `true` when there is room for batches of the next one.
    fn read(&mut self, part: &Part) -> Result<bool, LogError> {
        let file = File::open(&part.path).map_err(|source| folder::explain(&part.path, source))?;
        let mut frames = Frames::new(file, &part.path, part.segment, part.offset, part.end)?;
        let mut expected = None;
        while self.position < part.next {
            let header = match frames.next(expected)? {
                Next::Frame(header) => header,
                Next::Broken(problem) => return Err(frames.damaged(problem)),
                Next::End => return Err(frames.damaged("the segment ends before its last batch")),
            };
            expected = Some(header.next());
            if header.next() <= self.position {
                frames.skip(&header)?;
                continue;
            }
            if !self.records.is_empty() && u64::from(header.length) > self.bytes_left {
                return Ok(false);
            }
            self.bytes_left = self.bytes_left.saturating_sub(u64::from(header.length));
            let offset = frames.offset();
            let damaged = |problem| LogError::Damaged { file: part.path.clone(), offset, problem };
            let payload = frames.payload(&header)?.ok_or_else(|| damaged("a batch has another checksum"))?;
            let record = format::decode_record(&header, payload);
            self.records.push(record.ok_or_else(|| damaged("a batch is whole and can't be read"))?);
            self.position = header.next();
        }
        Ok(true)
    }
}
