//! Opening a log: what a crash left, and what is damage.
//!
//! A crash can leave three things behind, and each is finished here:
//!
//! - segments that are reclaimed by the keys file and not yet removed: they are removed;
//! - a last segment that was made and not finished: it is made anew;
//! - a torn write at the end of the last segment: it is cut off. None of it was acknowledged.
//!
//! Anything else that is not whole is [`LogError::Damaged`]. A broken frame in the last segment is damage too where a
//! later frame says that it was synced. What is left and whole is synced before anybody reads it, as the process that
//! wrote it may have been killed before its own sync.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use asof_model::Instant;

use crate::batch::LogOptions;
use crate::error::LogError;
use crate::folder;
use crate::format::{self, FrameHeader, Payload, SEGMENT_HEADER_BYTES};
use crate::frames::{Frames, Next};
use crate::keys::{KeyRecord, Keys};
use crate::keys_file;
use crate::segment::{self, Segment};
use crate::writer::{End, Writer};

/// A log as it was found.
pub(crate) struct Opened {
    /// At least one, in order.
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) keys: Keys,
    pub(crate) writer: Writer,
}

/// Opens the log in a folder that this process holds, or begins one where there is none.
///
/// # Errors
/// [`LogError::Damaged`], [`LogError::UnknownVersion`], or a failure of the file system.
pub(crate) fn open(folder: &Path, options: &LogOptions) -> Result<Opened, LogError> {
    let kept = keys_file::read(folder)?;
    // Names that a killed process left may not be durable yet, and what is removed next relies on them.
    folder::sync(folder)?;
    let reclaimed = kept.as_ref().map_or(0, |kept| kept.reclaimed);
    let newest = kept.as_ref().map_or(Instant::MIN, |kept| kept.newest);
    let mut keys = Keys::new(options.key_keep, options.keys_max, reclaimed, newest);
    let begun = kept.is_some();
    kept.into_iter().flat_map(|kept| kept.records).for_each(|record| keys.push(record));
    let mut firsts = segment::list(folder)?;
    remove_reclaimed(folder, &mut firsts, reclaimed)?;
    if firsts.is_empty() && !begun {
        segment::create(folder, 1)?;
        firsts.push(1);
    }
    let Some(&last) = firsts.last() else {
        let problem = "it is missing, and segments before it were reclaimed";
        return Err(LogError::Damaged { file: segment::path(folder, reclaimed + 1), offset: 0, problem });
    };
    let mut segments = VecDeque::with_capacity(firsts.len());
    let (mut next, mut start, mut marked) = (reclaimed + 1, 0, true);
    for first in firsts {
        let mut scan = Scan { path: segment::path(folder, first), last: first == last, keys: &mut keys };
        if first != next {
            return Err(scan.damaged(0, "it does not follow the end of the one before"));
        }
        let segment;
        (segment, marked) = scan.run(folder, first, start)?;
        (next, start) = (segment.next, segment.end());
        segments.push_back(segment);
    }
    let length = start - segments.back().map_or(0, |segment: &Segment| segment.start);
    let writer = Writer::open(folder, End { segment: last, length, next, marked }, options.segment_bytes)?;
    Ok(Opened { segments, keys, writer })
}

fn remove_reclaimed(folder: &Path, firsts: &mut Vec<u64>, reclaimed: u64) -> Result<(), LogError> {
    let staying = firsts.partition_point(|first| *first <= reclaimed);
    if staying == 0 {
        return Ok(());
    }
    for first in firsts.drain(..staying) {
        segment::remove(folder, first)?;
    }
    folder::sync(folder)
}

/// One segment, read through.
struct Scan<'a> {
    path: PathBuf,
    /// It is the last one, so its end may be a torn write.
    last: bool,
    keys: &'a mut Keys,
}

impl Scan<'_> {
    /// The segment, and whether everything in it is known to be synced.
    fn run(&mut self, folder: &Path, first: u64, start: u64) -> Result<(Segment, bool), LogError> {
        let opened = OpenOptions::new().read(true).write(self.last).open(&self.path);
        let mut file = opened.map_err(|source| self.failed(source))?;
        let length = file.metadata().map_err(|source| self.failed(source))?.len();
        let segment = Segment::new(first, start);
        if !self.check_header(&mut file, first, length)? {
            segment::create(folder, first)?;
            return Ok((segment, true));
        }
        let reading = file.try_clone().map_err(|source| self.failed(source))?;
        let frames = Frames::new(reading, &self.path, first, segment.length, length)?;
        let (segment, marked) = self.frames(frames, segment)?;
        if self.last {
            let cut = if segment.length < length { file.set_len(segment.length) } else { Ok(()) };
            cut.and_then(|()| file.sync_all()).map_err(|source| self.failed(source))?;
        }
        Ok((segment, marked))
    }

    /// `false` for a last segment that was not finished when it was made: nothing can be in it.
    fn check_header(&self, file: &mut File, first: u64, length: u64) -> Result<bool, LogError> {
        const HEADER_BYTES: u64 = SEGMENT_HEADER_BYTES as u64;
        let mut bytes = Vec::with_capacity(SEGMENT_HEADER_BYTES);
        file.take(HEADER_BYTES).read_to_end(&mut bytes).map_err(|source| self.failed(source))?;
        match format::decode_segment_header(&bytes) {
            // The header was synced before the first frame was written.
            None if self.last && length <= HEADER_BYTES => Ok(false),
            None => Err(self.damaged(0, "the header of the segment has another checksum")),
            Some((found, _)) if found != format::VERSION => {
                let file = self.path.clone();
                Err(LogError::UnknownVersion { file, found, newest: format::VERSION })
            }
            Some((_, found)) if found != first => Err(self.damaged(0, "it is another segment by its header")),
            Some(_) => Ok(true),
        }
    }

    fn frames(&mut self, mut frames: Frames, mut segment: Segment) -> Result<(Segment, bool), LogError> {
        let mut marked = true;
        let problem = loop {
            match frames.next(Some(segment.next))? {
                Next::End => return Ok((segment, marked)),
                Next::Broken(problem) => break problem,
                Next::Frame(header) => {
                    let Some(payload) = frames.payload(&header)? else {
                        break "a batch has another checksum";
                    };
                    marked = header.entries == 0;
                    if !marked {
                        self.note(&header, &payload, segment.length)?;
                    }
                    segment.push(&header);
                }
            }
        };
        if !self.last || frames.synced_beyond()? {
            return Err(frames.damaged(problem));
        }
        Ok((segment, marked))
    }

    /// Takes note of a batch. A whole payload that is none is no torn write, wherever it is.
    fn note(&mut self, header: &FrameHeader, payload: &[u8], offset: u64) -> Result<(), LogError> {
        let Some(payload) = Payload::decode(payload, header.entries) else {
            return Err(self.damaged(offset, "a batch is whole and can't be read"));
        };
        self.keys.admit(payload.admitted);
        if let Some((key, digest)) = payload.key {
            let name = format::digest_key(payload.topic, key);
            let (first, entries, admitted) = (header.first, header.entries, payload.admitted);
            self.keys.push(KeyRecord { name, digest, first, entries, admitted });
        }
        Ok(())
    }

    fn damaged(&self, offset: u64, problem: &'static str) -> LogError {
        LogError::Damaged { file: self.path.clone(), offset, problem }
    }

    fn failed(&self, source: io::Error) -> LogError {
        folder::explain(&self.path, source)
    }
}
