//! How a unit changes the events of one key: they are added behind the tail, and a full tail becomes a segment.
//!
//! Nothing is written here: the outcome is a head and records, for one atomic batch.

use std::collections::BTreeMap;
use std::ops::Range;

use asof_model::{Duration, Instant, ValueType};

use super::head::{self, Head, Sealed};
use super::segments::{DIRECTORY, Directory, Segment, Segments};
use super::stream::{Chunk, Decoded, Resume, StreamEvent};
use crate::entry::RECORD_BYTES_MAX;
use crate::error::OnlineError;

/// Bytes of a tail from which on it is sealed: what one more event rewrites.
pub(crate) const TAIL_BYTES_MAX: usize = 4 << 10;
/// Bytes of a segment from which on it takes no more. One event can take it past them.
pub(crate) const SEGMENT_BYTES_MAX: usize = 32 << 10;
/// A tail is cut when its oldest event left retention this part of retention ago: more often would read it at every
/// event, less often would let small keys grow.
const CUT_PARTS: i64 = 8;

/// The bounds of tails and segments, which tests make small.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) tail: usize,
    pub(crate) segment: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { tail: TAIL_BYTES_MAX, segment: SEGMENT_BYTES_MAX }
    }
}

/// The unit that changes a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventUnit<'a> {
    /// Its stamp.
    pub(crate) visible: Instant,
    /// How far before the stamp an event may lie to be kept.
    pub(crate) retention: Option<Duration>,
    /// The types of all inputs.
    pub(crate) types: &'a [ValueType],
    pub(crate) sizes: Sizes,
}

/// What is to be written under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    /// The head. `None`: no event is left, and it goes.
    pub(crate) head: Option<Vec<u8>>,
    /// The segments that change, and the directory, by their numbers. `None`: it goes.
    pub(crate) records: BTreeMap<u32, Option<Vec<u8>>>,
}

/// The events of one key while a unit changes them.
pub(crate) struct Writer<'s, S> {
    unit: EventUnit<'s>,
    segments: &'s S,
    generation: i64,
    bound: Option<i64>,
    sealed: Option<Sealed>,
    /// Read or made when it is first needed.
    directory: Option<Directory>,
    /// Whether the store has a directory.
    listed: bool,
    tail: Chunk,
    records: BTreeMap<u32, Option<Vec<u8>>>,
}

impl<'s, S: Segments> Writer<'s, S> {
    /// # Errors
    /// A damaged head, or one of another version.
    pub(crate) fn open(
        head: Option<&[u8]>,
        unit: EventUnit<'s>,
        segments: &'s S,
    ) -> Result<Self, OnlineError> {
        let head = head.map(Head::read).transpose()?;
        let visible = unit.visible.micros();
        let bound = unit.retention.map(|most| unit.visible.minus(most).micros());
        Ok(Self {
            unit,
            segments,
            // Stamps ascend, but for those of a journal that is replayed.
            generation: head.as_ref().map_or(visible, |head| visible.max(head.generation.saturating_add(1))),
            bound: bound.max(head.as_ref().and_then(|head| head.bound)),
            sealed: head.as_ref().and_then(|head| head.sealed),
            directory: None,
            listed: head.as_ref().is_some_and(|head| head.sealed.is_some()),
            tail: head.map_or_else(Chunk::new, |head| head.tail.to_chunk()),
            records: BTreeMap::new(),
        })
    }

    /// The instant, in microseconds, before which an event is not held.
    pub(crate) fn bound(&self) -> i64 {
        self.bound.unwrap_or(i64::MIN)
    }

    /// Adds an event that is not before the bound.
    ///
    /// # Errors
    /// Damaged records; failures of the store.
    pub(crate) fn add(&mut self, event: &StreamEvent<'_>) -> Result<(), OnlineError> {
        if self.tail.bytes.len() >= self.unit.sizes.segment {
            self.seal()?;
        }
        self.tail.push(event);
        Ok(())
    }

    /// Takes away the events that a load brought and whose instants lie in a range, in microseconds. Returns how many.
    /// Everything of the key is read, and written anew where there is one.
    ///
    /// # Errors
    /// Damaged records; failures of the store.
    pub(crate) fn remove_loaded(&mut self, range: &Range<i64>) -> Result<u64, OnlineError> {
        let mut all = Decoded::new(self.unit.types, None);
        if self.sealed.is_some() {
            for segment in &self.listed()?.segments.clone() {
                all.read(self.segments.segment(segment)?.as_ref(), &mut Resume::default())?;
            }
        }
        all.read(&self.tail.bytes, &mut Resume::default())?;
        let bound = self.bound();
        let held = |place: &usize| all.events.events.instants[*place] >= bound;
        let places: Vec<usize> = (0..all.knowns.len()).filter(held).collect();
        let stays: Vec<usize> =
            places.iter().copied().filter(|place| !all.events.is_loaded_in(*place, range)).collect();
        let removed = places.len() - stays.len();
        if removed > 0 {
            self.start_anew()?;
            for place in stays {
                self.add_decoded(&all, place)?;
            }
        }
        Ok(removed as u64)
    }

    /// What is to be written.
    ///
    /// # Errors
    /// [`OnlineError::TooLarge`] past [`RECORD_BYTES_MAX`]; damaged records; failures of the store.
    pub(crate) fn finish(mut self) -> Result<Written, OnlineError> {
        self.drop_segments()?;
        self.cut_tail()?;
        if self.tail.bytes.len() > self.unit.sizes.tail {
            self.seal()?;
        }
        let bytes = self.sealed.map_or(0, |sealed| sealed.bytes) + self.tail.bytes.len() as u64;
        if bytes > RECORD_BYTES_MAX as u64 {
            return Err(OnlineError::TooLarge {
                what: "what is stored under one key",
                unit: "bytes",
                found: bytes,
                max: RECORD_BYTES_MAX as u64,
            });
        }
        if let Some(directory) = &self.directory {
            match directory.segments.is_empty() {
                false => {
                    self.records.insert(DIRECTORY, Some(directory.write()));
                }
                true if self.listed => {
                    self.records.insert(DIRECTORY, None);
                }
                true => {}
            }
        }
        let head = (self.sealed.is_some() || self.tail.count > 0)
            .then(|| head::write(self.generation, self.bound, self.sealed, &self.tail));
        Ok(Written { head, records: self.records })
    }

    /// The directory, as it stands by now.
    fn listed(&mut self) -> Result<&mut Directory, OnlineError> {
        let directory = match self.directory.take() {
            Some(directory) => directory,
            None if self.listed => self.segments.directory()?,
            None => Directory::new(),
        };
        Ok(self.directory.insert(directory))
    }

    /// Makes the tail a segment, or a part of the last one.
    fn seal(&mut self) -> Result<(), OnlineError> {
        let tail = std::mem::take(&mut self.tail);
        let mut sealed = self.sealed.unwrap_or(Sealed {
            epoch: self.generation,
            count: 0,
            bytes: 0,
            end: 0,
            newest: i64::MIN,
            first_to_go: i64::MAX,
        });
        let (start, bytes) = (sealed.end, tail.bytes.len() as u64);
        let most = self.unit.sizes.segment as u64;
        self.listed()?;
        let Some(directory) = &mut self.directory else { return Ok(()) };
        match directory.segments.last_mut() {
            // The last one may have gone, and left a gap.
            Some(last) if last.start + last.bytes == start && last.bytes + bytes <= most => {
                let mut record = match self.records.remove(&last.number).flatten() {
                    Some(record) => record,
                    None => self.segments.segment(last)?.as_ref().to_vec(),
                };
                record.extend_from_slice(&tail.bytes);
                self.records.insert(last.number, Some(record));
                last.count += tail.count;
                last.bytes += bytes;
                last.oldest = last.oldest.min(tail.oldest);
                last.newest = last.newest.max(tail.newest);
            }
            _ => {
                let Chunk { count, oldest, newest, .. } = tail;
                let number = directory.next;
                directory.next = number.checked_add(1).ok_or(OnlineError::TooLarge {
                    what: "what is stored under one key",
                    unit: "segments",
                    found: u64::from(number) + 1,
                    max: u64::from(u32::MAX),
                })?;
                directory.segments.push(Segment { number, start, count, bytes, oldest, newest });
                self.records.insert(number, Some(tail.bytes));
            }
        }
        sealed.count += tail.count;
        sealed.bytes += bytes;
        sealed.end += bytes;
        sealed.newest = sealed.newest.max(tail.newest);
        sealed.first_to_go = first_to_go(&directory.segments);
        self.sealed = Some(sealed);
        Ok(())
    }

    /// Drops the segments of which every event is before the bound.
    fn drop_segments(&mut self) -> Result<(), OnlineError> {
        let bound = self.bound();
        let Some(mut sealed) = self.sealed.filter(|sealed| sealed.first_to_go < bound) else { return Ok(()) };
        let directory = self.listed()?;
        let gone: Vec<Segment> = directory.segments.extract_if(.., |each| each.newest < bound).collect();
        sealed.first_to_go = first_to_go(&directory.segments);
        sealed.newest = directory.segments.iter().map(|each| each.newest).max().unwrap_or(i64::MIN);
        self.sealed = (!directory.segments.is_empty()).then_some(sealed);
        for each in gone {
            self.records.insert(each.number, None);
            if let Some(sealed) = &mut self.sealed {
                sealed.count = sealed.count.saturating_sub(each.count);
                sealed.bytes = sealed.bytes.saturating_sub(each.bytes);
            }
        }
        Ok(())
    }

    /// Drops the events of the tail that are before the bound, where they are old enough, or all of them are. Only of a key
    /// without segments: the bytes of others are counted from their first one.
    fn cut_tail(&mut self) -> Result<(), OnlineError> {
        let bound = self.bound();
        if self.sealed.is_some() || self.tail.count == 0 || self.tail.oldest >= bound {
            return Ok(());
        }
        let slack = self.unit.retention.map_or(0, |most| most.micros() / CUT_PARTS);
        if self.tail.oldest >= bound.saturating_sub(slack) && self.tail.newest >= bound {
            return Ok(());
        }
        let mut all = Decoded::new(self.unit.types, None);
        all.read(&self.tail.bytes, &mut Resume::default())?;
        self.tail = Chunk::new();
        for place in 0..all.knowns.len() {
            if all.events.events.instants[place] >= bound {
                self.add_decoded(&all, place)?;
            }
        }
        Ok(())
    }

    /// Lets go of every segment and of the tail.
    fn start_anew(&mut self) -> Result<(), OnlineError> {
        self.tail = Chunk::new();
        if self.sealed.take().is_some() {
            let gone: Vec<Segment> = self.listed()?.segments.drain(..).collect();
            self.records.extend(gone.into_iter().map(|each| (each.number, None)));
        }
        Ok(())
    }

    fn add_decoded(&mut self, all: &Decoded, place: usize) -> Result<(), OnlineError> {
        let events = &all.events.events;
        let cells: Vec<_> = events.inputs.iter().map(|input| input.cell(place)).collect();
        self.add(&StreamEvent {
            event: events.instants[place],
            created: events.createds[place],
            known: all.knowns[place],
            pushed: all.events.pushed[place],
            cells: &cells,
        })
    }
}

/// The least among the newest events of segments.
fn first_to_go(segments: &[Segment]) -> i64 {
    segments.iter().map(|each| each.newest).min().unwrap_or(i64::MAX)
}
