//! The features of the rows that won, found again by label.
//!
//! Parts stay in memory while they fit; each label then knows its part and row. What does not fit is put aside by ranges
//! of labels, so that the labels of a range and their features come back together, in the order of the labels.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, UInt32Type};
use parking_lot::Mutex;

use crate::TrainingError;
use crate::buckets::{Buckets, Record};
use crate::history::{FeatureRows, RowUnits};
use crate::ipc;
use crate::scratch::Scratch;

/// Label rows that are answered together.
pub const RANGE_ROWS: u64 = 16_384;

/// The column of a part that is put aside with the numbers of units.
const UNIT_NUMBERS: &str = "__unit";

/// No row is so far down a batch.
const NO_PLACE: u32 = u32::MAX;

/// The row that a label met: the place of its part in the upper half, its row in the part in the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Winner(u64);

/// Features of some rows: a column for each feature that is read, then errors.
pub(crate) struct Part {
    pub columns: RecordBatch,
    pub units: RowUnits,
}

/// A label that met a row, which is past its ttl or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery {
    /// Its row in the batch that is delivered.
    pub row: u32,
    pub label: u32,
    pub expired: bool,
    /// The event instant of the row, microseconds.
    pub event: i64,
}

/// The features of all winners of one view.
pub(crate) struct Parts<'a> {
    held: Mutex<Vec<Arc<Part>>>,
    /// For each label the row that it met, among the parts in memory. Empty where that does not fit.
    winners: Vec<AtomicU64>,
    /// The event instant of that row, where events are kept.
    events: Vec<AtomicI64>,
    with_events: bool,
    /// By the range of the label.
    aside: Buckets<'a>,
    labels: u64,
    bytes: &'a AtomicU64,
    bytes_max: u64,
}

/// The rows that the labels of a range met.
pub(crate) struct RangeParts {
    pub parts: Vec<Arc<Part>>,
    /// For each label of the range.
    pub winners: Vec<Winner>,
    /// The event instant of the row that it met, microseconds; anything where it met none. Empty where they are not kept.
    pub events: Vec<i64>,
}

impl RangeParts {
    /// Whether a feature of any row is in error.
    pub fn any_error(&self) -> bool {
        let mut errors = self.parts.iter().filter_map(|part| part.columns.columns().last());
        errors.any(|errors| errors.null_count() < errors.len())
    }
}

impl Winner {
    /// No row.
    pub const NONE: Self = Self(u64::MAX);
    const EXPIRED: u64 = 1 << 63;

    fn new(part: usize, row: u32, expired: bool) -> Self {
        Self((part as u64) << 32 | u64::from(row) | if expired { Self::EXPIRED } else { 0 })
    }

    /// The place of its part and its row there; `None`: no row was met.
    #[inline]
    pub fn place(self) -> Option<(usize, usize)> {
        (self != Self::NONE).then_some((((self.0 & !Self::EXPIRED) >> 32) as usize, self.0 as u32 as usize))
    }

    /// Whether the row is past its ttl.
    #[inline]
    pub fn is_expired(self) -> bool {
        self != Self::NONE && self.0 & Self::EXPIRED != 0
    }
}

impl<'a> Parts<'a> {
    /// Bytes for each label in memory.
    pub const LABEL_BYTES: u64 = 8;

    /// Nothing for any of so many labels. `in_memory`: whether numbers for each label fit there; `bytes` counts those of
    /// parts, with those of others, and `bytes_max` says how many there may be.
    pub fn new(
        scratch: &'a Scratch,
        labels: u64,
        in_memory: bool,
        with_events: bool,
        bytes: &'a AtomicU64,
        bytes_max: u64,
    ) -> Self {
        let numbered = if in_memory { labels } else { 0 };
        let winners = (0..numbered).map(|_| AtomicU64::new(Winner::NONE.0)).collect();
        let events = (0..if with_events { numbered } else { 0 }).map(|_| AtomicI64::new(0)).collect();
        let ranges = usize::try_from(labels.div_ceil(RANGE_ROWS)).unwrap_or(usize::MAX);
        Self {
            held: Mutex::new(Vec::new()),
            winners,
            events,
            with_events,
            // What is put aside is out of memory at once, but for the block that is being filled.
            aside: Buckets::new(scratch, ranges, 0),
            labels,
            bytes,
            bytes_max,
        }
    }

    /// Whether nothing was put aside, so that a range costs nothing to look at again.
    pub fn are_in_memory(&self) -> bool {
        (0..self.aside.len()).all(|range| self.aside.records(range) == 0)
    }

    /// Takes in the features of some rows, and the labels that met them: each row was met by one at least.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn deliver(&self, found: FeatureRows, mut labels: Vec<Delivery>) -> Result<(), TrainingError> {
        // Rows come in the order of labels from here on: then who goes through labels goes through memory in order.
        labels.sort_unstable_by_key(|delivery| delivery.label);
        let mut places = vec![NO_PLACE; found.columns.num_rows()];
        let size = found.columns.get_array_memory_size() as u64;
        if !self.winners.is_empty() && self.bytes.fetch_add(size, Ordering::Relaxed) + size <= self.bytes_max
        {
            let rows = in_order(&mut labels, &mut places);
            let part = Arc::new(found.part(rows)?);
            let place = {
                let mut held = self.held.lock();
                held.push(part);
                held.len() - 1
            };
            for delivery in labels {
                let winner = Winner::new(place, delivery.row, delivery.expired);
                self.winners[delivery.label as usize].store(winner.0, Ordering::Relaxed);
                if let Some(event) = self.events.get(delivery.label as usize) {
                    event.store(delivery.event, Ordering::Relaxed);
                }
            }
            return Ok(());
        }
        if !self.winners.is_empty() {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
        }
        for of_range in labels.chunk_by_mut(|one, other| range_of(one.label) == range_of(other.label)) {
            self.put_aside(&found, of_range, &mut places)?;
        }
        Ok(())
    }

    /// `labels` are of one range, in order.
    fn put_aside(
        &self,
        found: &FeatureRows,
        labels: &mut [Delivery],
        places: &mut [u32],
    ) -> Result<(), TrainingError> {
        let Some(range) = labels.first().map(|first| range_of(first.label)) else { return Ok(()) };
        let Part { columns, units } = found.part(in_order(labels, places))?;
        let mut record = Vec::with_capacity(4 + 20 * labels.len());
        record.extend((labels.len() as u32).to_le_bytes());
        for delivery in labels {
            record.extend(Winner::new(0, delivery.row, delivery.expired).0.to_le_bytes());
            record.extend(delivery.label.to_le_bytes());
            record.extend(delivery.event.to_le_bytes());
        }
        let units: ArrayRef =
            Arc::new((0..columns.num_rows()).map(|row| Some(units.at(row))).collect::<UInt32Array>());
        let mut fields = columns.schema().fields().to_vec();
        fields.push(Arc::new(Field::new(UNIT_NUMBERS, DataType::UInt32, false)));
        let mut columns = columns.columns().to_vec();
        columns.push(units);
        let mut encoded = Vec::new();
        ipc::write(&RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?, &mut encoded)?;
        record.extend((encoded.len() as u32).to_le_bytes());
        record.extend(encoded);
        self.aside.append(range, &record, 1)
    }

    /// The rows that the labels of a range met. Features in memory are shared, those that were put aside are read.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn range(&self, range: usize) -> Result<RangeParts, TrainingError> {
        let start = range as u64 * RANGE_ROWS;
        let count = usize::try_from(self.labels.saturating_sub(start).min(RANGE_ROWS)).unwrap_or(0);
        let mut winners = match self.winners.get(start as usize..start as usize + count) {
            Some(winners) => winners.iter().map(|winner| Winner(winner.load(Ordering::Relaxed))).collect(),
            None => vec![Winner::NONE; count],
        };
        let mut events: Vec<i64> = match self.events.get(start as usize..start as usize + count) {
            Some(events) => events.iter().map(|event| event.load(Ordering::Relaxed)).collect(),
            None => vec![0; if self.with_events { count } else { 0 }],
        };
        let mut parts = self.held.lock().clone();
        self.aside.read(range, |block| {
            let mut record = Record(block);
            while !record.is_empty() {
                let place = parts.len();
                for _ in 0..record.u32() {
                    let (within, label, event) = (Winner(record.u64()), record.u32(), record.i64());
                    let label = (u64::from(label) - start) as usize;
                    let row = within.place().map_or(0, |(_, row)| row as u32);
                    winners[label] = Winner::new(place, row, within.is_expired());
                    if let Some(place) = events.get_mut(label) {
                        *place = event;
                    }
                }
                let length = record.u32() as usize;
                parts.push(Arc::new(Part::read(record.bytes(length))?));
            }
            Ok(())
        })?;
        Ok(RangeParts { parts, winners, events })
    }
}

impl Part {
    fn read(bytes: &[u8]) -> Result<Self, TrainingError> {
        let mut columns = ipc::read(bytes)?;
        let units = columns.remove_column(columns.num_columns() - 1);
        Ok(Self { columns, units: RowUnits::Each(units.as_primitive::<UInt32Type>().values().to_vec()) })
    }
}

impl FeatureRows {
    /// Some of the rows, in the order in which they are named.
    fn part(&self, rows: Vec<u32>) -> Result<Part, TrainingError> {
        let units = match &self.units {
            RowUnits::All(unit) => RowUnits::All(*unit),
            RowUnits::Each(units) => RowUnits::Each(rows.iter().map(|row| units[*row as usize]).collect()),
        };
        Ok(Part { columns: take_record_batch(&self.columns, &UInt32Array::from(rows))?, units })
    }
}

/// Numbers the rows of deliveries anew, in order of first appearance. Returns the numbers that they had. `places` has
/// [`NO_PLACE`] for each old number, before and after.
fn in_order(labels: &mut [Delivery], places: &mut [u32]) -> Vec<u32> {
    let mut rows = Vec::new();
    for delivery in labels {
        let place = &mut places[delivery.row as usize];
        if *place == NO_PLACE {
            *place = rows.len() as u32;
            rows.push(delivery.row);
        }
        delivery.row = *place;
    }
    rows.iter().for_each(|row| places[*row as usize] = NO_PLACE);
    rows
}

fn range_of(label: u32) -> usize {
    (u64::from(label) / RANGE_ROWS) as usize
}
