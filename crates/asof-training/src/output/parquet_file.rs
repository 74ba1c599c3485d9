//! One Parquet file, on all threads: each encodes a column of a row group, and whoever completes a row group that is next
//! writes it. Where features were put aside, each encodes a whole row group, range by range.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::ArrayRef;
use asof_engine::EngineError;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{
    ArrowColumnChunk, ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;

use super::encoding::properties;
use super::ordered::Ordered;
use super::place::Place;
use super::rows::{Range, Rows};
use super::spec::ParquetOptions;
use super::statistics::{ColumnCounter, ColumnStatistics};
use crate::join::RANGE_ROWS;
use crate::{TrainingError, pool};

/// Writes all rows. `notes` are made once all were looked at.
///
/// # Errors
/// [`EngineError::Io`]; those of labels and of scratch.
pub(crate) fn write(
    rows: &Rows<'_, '_>,
    options: &ParquetOptions,
    place: &Place,
    threads: usize,
    notes: &dyn Fn() -> Vec<(String, String)>,
) -> Result<Vec<ColumnStatistics>, TrainingError> {
    // A row group is made of whole ranges.
    let ranges_each = (options.row_group_rows / RANGE_ROWS as usize).max(1);
    let groups = rows.joined.ranges().div_ceil(ranges_each);
    // Of a range that costs nothing to look at again, the first shows what its columns are like.
    let first = match groups {
        0 => None,
        _ => Some(rows.range(0)?),
    };
    let sample = match &first {
        Some(first) => {
            (0..rows.columns()).map(|column| rows.column(first, column)).collect::<Result<Vec<_>, _>>()?
        }
        None => Vec::new(),
    };
    let names = rows.schema.fields().iter().map(|field| field.name().as_str());
    let sample: Vec<(&str, ArrayRef)> = names.zip(sample).collect();
    let failed = |error: ParquetError| failed(place, error);
    let properties = properties(options, &sample).map_err(failed)?;
    let writer =
        ArrowWriter::try_new(place.create()?, rows.schema.clone(), Some(properties)).map_err(failed)?;
    let (file, factory) = writer.into_serialized_writer().map_err(failed)?;
    let job = Job {
        rows,
        place,
        ranges_each,
        factory,
        first: Mutex::new(first),
        groups: Mutex::new(HashMap::new()),
        file: Ordered::new(file),
        counters: Mutex::new((0..groups).map(|_| None).collect()),
    };
    match rows.joined.is_in_memory() {
        true => job.by_column(groups, threads)?,
        false => pool::each(threads, groups, |group| job.whole(group))?,
    }
    let mut counters = job.counters.into_inner().into_iter().flatten();
    let mut all = counters.next().unwrap_or_else(|| rows.counters());
    for group in counters {
        all.iter_mut().zip(group).for_each(|(all, group)| all.merge(group));
    }
    let mut file = job.file.into_sink();
    for (key, value) in notes() {
        file.append_key_value_metadata(KeyValue::new(key, value));
    }
    let file = file.into_inner().map_err(failed)?;
    file.sync_all().map_err(|error| place.failed(error))?;
    Ok(all.into_iter().zip(rows.schema.fields()).map(|(counter, field)| counter.told(field)).collect())
}

struct Job<'s, 'r, 'a> {
    rows: &'s Rows<'r, 'a>,
    place: &'s Place,
    ranges_each: usize,
    factory: ArrowRowGroupWriterFactory,
    /// The first range, which was looked at before.
    first: Mutex<Option<Range>>,
    /// Row groups under way.
    groups: Mutex<HashMap<usize, Arc<Group>>>,
    file: Ordered<Vec<ArrowColumnChunk>, SerializedFileWriter<File>>,
    /// What each row group's columns hold.
    counters: Mutex<Vec<Option<Vec<ColumnCounter>>>>,
}

/// A row group under way.
struct Group {
    ranges: Vec<Range>,
    /// For each column the writers of its leaves, then what they have written.
    columns: Vec<Mutex<Column>>,
    left: AtomicUsize,
}

enum Column {
    Open(Vec<ArrowColumnWriter>, Box<ColumnCounter>),
    Done(Vec<ArrowColumnChunk>, Box<ColumnCounter>),
    /// Taken.
    Gone,
}

impl Job<'_, '_, '_> {
    /// The ranges of a row group.
    fn ranges(&self, group: usize) -> std::ops::Range<usize> {
        let start = group * self.ranges_each;
        start..self.rows.joined.ranges().min(start + self.ranges_each)
    }

    fn range(&self, range: usize) -> Result<Range, TrainingError> {
        match self.first.lock().take_if(|_| range == 0) {
            Some(first) => Ok(first),
            None => self.rows.range(range),
        }
    }

    /// The writers of each column of a row group.
    fn writers(&self, group: usize) -> Result<Vec<Column>, TrainingError> {
        let writers = self.factory.create_column_writers(group);
        let mut writers = writers.map_err(|error| failed(self.place, error))?.into_iter();
        let counters = self.rows.counters();
        let mut columns = Vec::with_capacity(self.rows.columns());
        for (field, counter) in self.rows.schema.fields().iter().zip(counters) {
            let leaves = leaves_of(field.data_type());
            columns.push(Column::Open(writers.by_ref().take(leaves).collect(), Box::new(counter)));
        }
        Ok(columns)
    }

    /// Each task is a column of a row group.
    fn by_column(&self, groups: usize, threads: usize) -> Result<(), TrainingError> {
        let columns = self.rows.columns();
        pool::each(threads, groups * columns, |task| {
            self.rows.check()?;
            let (number, column) = (task / columns, task % columns);
            let group = self.group(number)?;
            {
                let mut open = group.columns[column].lock();
                let Column::Open(mut writers, mut counter) = std::mem::replace(&mut *open, Column::Gone)
                else {
                    return Ok(());
                };
                for range in &group.ranges {
                    self.encode(range, column, &mut writers, &mut counter)?;
                }
                *open = Column::Done(self.close(writers)?, counter);
            }
            if group.left.fetch_sub(1, Ordering::AcqRel) > 1 {
                return Ok(());
            }
            self.groups.lock().remove(&number);
            let (mut chunks, mut counters) = (Vec::new(), Vec::new());
            for column in &group.columns {
                if let Column::Done(of_column, counter) = std::mem::replace(&mut *column.lock(), Column::Gone)
                {
                    chunks.extend(of_column);
                    counters.push(*counter);
                }
            }
            let rows = group.ranges.iter().map(|range| range.labels.num_rows()).sum();
            self.append(number, chunks, counters, rows)
        })
    }

    /// A row group under way; the first to ask for it brings its rows.
    fn group(&self, number: usize) -> Result<Arc<Group>, TrainingError> {
        let mut groups = self.groups.lock();
        if let Some(group) = groups.get(&number) {
            return Ok(group.clone());
        }
        let ranges = self.ranges(number).map(|range| self.range(range)).collect::<Result<_, _>>()?;
        let columns: Vec<Mutex<Column>> = self.writers(number)?.into_iter().map(Mutex::new).collect();
        let group = Arc::new(Group { ranges, left: AtomicUsize::new(columns.len()), columns });
        groups.insert(number, group.clone());
        Ok(group)
    }

    /// Encodes a row group, range by range.
    fn whole(&self, number: usize) -> Result<(), TrainingError> {
        let mut columns = self.writers(number)?;
        let mut rows = 0;
        for range in self.ranges(number) {
            self.rows.check()?;
            let range = self.range(range)?;
            rows += range.labels.num_rows();
            for (place, column) in columns.iter_mut().enumerate() {
                if let Column::Open(writers, counter) = column {
                    self.encode(&range, place, writers, counter)?;
                }
            }
        }
        let (mut chunks, mut counters) = (Vec::new(), Vec::new());
        for column in columns {
            if let Column::Open(writers, counter) = column {
                chunks.extend(self.close(writers)?);
                counters.push(*counter);
            }
        }
        self.append(number, chunks, counters, rows)
    }

    fn encode(
        &self,
        range: &Range,
        column: usize,
        writers: &mut [ArrowColumnWriter],
        counter: &mut ColumnCounter,
    ) -> Result<(), TrainingError> {
        let values = self.rows.column(range, column)?;
        if self.rows.spec.statistics {
            counter.add(&values, &range.sampled);
        }
        let leaves = compute_leaves(self.rows.schema.field(column), &values);
        let leaves = leaves.map_err(|error| failed(self.place, error))?;
        for (leaf, writer) in leaves.iter().zip(writers) {
            writer.write(leaf).map_err(|error| failed(self.place, error))?;
        }
        Ok(())
    }

    fn close(&self, writers: Vec<ArrowColumnWriter>) -> Result<Vec<ArrowColumnChunk>, TrainingError> {
        let close = |writer: ArrowColumnWriter| writer.close().map_err(|error| failed(self.place, error));
        writers.into_iter().map(close).collect()
    }

    /// Writes row groups whose turn it is.
    fn append(
        &self,
        number: usize,
        chunks: Vec<ArrowColumnChunk>,
        counters: Vec<ColumnCounter>,
        rows: usize,
    ) -> Result<(), TrainingError> {
        if let Some(place) = self.counters.lock().get_mut(number) {
            *place = Some(counters);
        }
        self.file.bring(number, chunks, |file, chunks| {
            let write = || {
                let mut group = file.next_row_group()?;
                chunks.into_iter().try_for_each(|chunk| chunk.append_to_row_group(&mut group))?;
                group.close()
            };
            write().map_err(|error| failed(self.place, error))?;
            Ok(())
        })?;
        self.rows.done(rows);
        Ok(())
    }
}

/// How many leaves a column has in Parquet.
fn leaves_of(data_type: &arrow::datatypes::DataType) -> usize {
    use arrow::datatypes::DataType;
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::Map(item, _) => leaves_of(item.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| leaves_of(field.data_type())).sum(),
        _ => 1,
    }
}

/// The error for a file that can't be written.
fn failed(place: &Place, error: ParquetError) -> TrainingError {
    let source = match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => *io,
            Err(other) => std::io::Error::other(other),
        },
        other => std::io::Error::other(other),
    };
    let failed: EngineError = place.failed(source);
    failed.into()
}
