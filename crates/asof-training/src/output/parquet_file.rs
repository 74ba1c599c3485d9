//! Parquet files, each on all threads: each encodes a column of a row group, and whoever completes a row group that is next
//! writes it. Where features were put aside, each encodes a whole row group, range by range.

use std::collections::HashMap;
use std::io::{self, Write};
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
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::encoding::properties;
use super::ordered::Ordered;
use super::rows::{Range, Rows};
use super::spec::ParquetOptions;
use super::statistics::ColumnCounter;
use crate::error::io_below;
use crate::join::RANGE_ROWS;
use crate::{TrainingError, pool};

/// What a file is written to, and what is said where that fails.
pub(crate) type Failed<'f> = dyn Fn(io::Error) -> EngineError + Sync + 'f;

/// What the columns of some rows hold, in the order of columns.
pub(crate) type Counters = Vec<ColumnCounter>;

/// Files of the rows of one output, which are all laid out alike.
pub(crate) struct ParquetFiles<'s, 'r, 'a> {
    rows: &'s Rows<'r, 'a>,
    options: &'s ParquetOptions,
    properties: WriterProperties,
    /// The first range, which was looked at before.
    first: Mutex<Option<Range>>,
    failed: &'s Failed<'s>,
}

impl<'s, 'r, 'a> ParquetFiles<'s, 'r, 'a> {
    /// Looks at the first rows, which show what columns are like.
    ///
    /// # Errors
    /// Those of labels and of scratch; a level that a codec does not have.
    pub fn new(
        rows: &'s Rows<'r, 'a>,
        options: &'s ParquetOptions,
        failed: &'s Failed<'s>,
    ) -> Result<Self, TrainingError> {
        let first = match rows.joined.ranges() {
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
        let properties = properties(options, &sample).map_err(|error| refused(failed, error))?;
        Ok(Self { rows, options, properties, first: Mutex::new(first), failed })
    }

    /// How rows are laid out.
    pub fn properties(&self) -> &WriterProperties {
        &self.properties
    }

    /// A range of labels, each once.
    ///
    /// # Errors
    /// Those of labels and of scratch.
    pub fn range(&self, range: usize) -> Result<Range, TrainingError> {
        match self.first.lock().take_if(|_| range == 0) {
            Some(first) => Ok(first),
            None => self.rows.range(range),
        }
    }

    /// How many ranges a row group is made of.
    pub fn ranges_each(&self) -> usize {
        (self.options.row_group_rows / RANGE_ROWS as usize).max(1)
    }

    /// Writes the rows of some ranges. `notes` are made once all were looked at.
    ///
    /// # Errors
    /// [`EngineError::Io`]; those of labels and of scratch.
    pub fn write<W: Write + Send>(
        &self,
        ranges: std::ops::Range<usize>,
        sink: W,
        threads: usize,
        notes: &dyn Fn() -> Vec<(String, String)>,
    ) -> Result<(W, Counters), TrainingError> {
        let groups = ranges.len().div_ceil(self.ranges_each());
        let failed = |error: ParquetError| refused(self.failed, error);
        let writer = ArrowWriter::try_new(sink, self.rows.schema.clone(), Some(self.properties.clone()));
        let (file, factory) = writer.and_then(ArrowWriter::into_serialized_writer).map_err(failed)?;
        let job = Job {
            files: self,
            ranges,
            factory,
            groups: Mutex::new(HashMap::new()),
            file: Ordered::new(file),
            counters: Mutex::new((0..groups).map(|_| None).collect()),
        };
        match self.rows.joined.is_in_memory() {
            true => job.by_column(groups, threads)?,
            false => pool::each(threads, groups, |group| job.whole(group))?,
        }
        let mut all = self.rows.counters();
        for group in job.counters.into_inner().into_iter().flatten() {
            merge(&mut all, group);
        }
        let mut file = job.file.into_sink();
        for (key, value) in notes() {
            file.append_key_value_metadata(KeyValue::new(key, value));
        }
        Ok((file.into_inner().map_err(failed)?, all))
    }
}

/// Adds what other rows hold.
pub(crate) fn merge(all: &mut Counters, others: Counters) {
    all.iter_mut().zip(others).for_each(|(all, other)| all.merge(other));
}

/// One file.
struct Job<'s, 'r, 'a, W: Write + Send> {
    files: &'s ParquetFiles<'s, 'r, 'a>,
    ranges: std::ops::Range<usize>,
    factory: ArrowRowGroupWriterFactory,
    /// Row groups under way.
    groups: Mutex<HashMap<usize, Arc<Group>>>,
    file: Ordered<Vec<ArrowColumnChunk>, SerializedFileWriter<W>>,
    /// What each row group's columns hold.
    counters: Mutex<Vec<Option<Counters>>>,
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

impl<W: Write + Send> Job<'_, '_, '_, W> {
    /// The ranges of a row group.
    fn ranges(&self, group: usize) -> std::ops::Range<usize> {
        let each = self.files.ranges_each();
        let start = self.ranges.start + group * each;
        start..self.ranges.end.min(start + each)
    }

    fn failed(&self, error: ParquetError) -> TrainingError {
        refused(self.files.failed, error)
    }

    /// The writers of each column of a row group.
    fn writers(&self, group: usize) -> Result<Vec<Column>, TrainingError> {
        let writers = self.factory.create_column_writers(group);
        let mut writers = writers.map_err(|error| self.failed(error))?.into_iter();
        let counters = self.files.rows.counters();
        let mut columns = Vec::with_capacity(self.files.rows.columns());
        for (field, counter) in self.files.rows.schema.fields().iter().zip(counters) {
            let leaves = leaves_of(field.data_type());
            columns.push(Column::Open(writers.by_ref().take(leaves).collect(), Box::new(counter)));
        }
        Ok(columns)
    }

    /// Each task is a column of a row group.
    fn by_column(&self, groups: usize, threads: usize) -> Result<(), TrainingError> {
        let columns = self.files.rows.columns();
        pool::each(threads, groups * columns, |task| {
            self.files.rows.check()?;
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
        let ranges = self.ranges(number).map(|range| self.files.range(range)).collect::<Result<_, _>>()?;
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
            self.files.rows.check()?;
            let range = self.files.range(range)?;
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
        let values = self.files.rows.column(range, column)?;
        if self.files.rows.spec.statistics {
            counter.add(&values, &range.sampled);
        }
        let leaves = compute_leaves(self.files.rows.schema.field(column), &values);
        let leaves = leaves.map_err(|error| self.failed(error))?;
        for (leaf, writer) in leaves.iter().zip(writers) {
            writer.write(leaf).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn close(&self, writers: Vec<ArrowColumnWriter>) -> Result<Vec<ArrowColumnChunk>, TrainingError> {
        let close = |writer: ArrowColumnWriter| writer.close().map_err(|error| self.failed(error));
        writers.into_iter().map(close).collect()
    }

    /// Writes row groups whose turn it is.
    fn append(
        &self,
        number: usize,
        chunks: Vec<ArrowColumnChunk>,
        counters: Counters,
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
            write().map_err(|error| self.failed(error))?;
            Ok(())
        })?;
        self.files.rows.done(rows);
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
pub(crate) fn refused(failed: &Failed<'_>, error: ParquetError) -> TrainingError {
    failed(io_below(error)).into()
}
