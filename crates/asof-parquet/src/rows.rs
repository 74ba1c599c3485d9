//! Columns of a row group at chosen rows, in batches.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use crate::chunks::Chunks;
use crate::column::{ColumnReader, FlatColumn};
use crate::error::{ParquetFailure, damaged, guarded};
use crate::file::ParquetFile;
use crate::selection::{Rows, Selection, Step, Steps};
use crate::values::TEXT_BYTES;

/// Bytes that are asked of an object store at once, over all columns that are read side by side.
const REMOTE_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that are asked of an object store at once for one column.
const REMOTE_COLUMN_BYTES_MIN: usize = 128 * 1024;
const REMOTE_COLUMN_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Some rows, with what stands in them.
#[derive(Debug, Clone)]
pub struct RowsBatch {
    /// The number of each row in its row group, from 0.
    pub rows: Vec<u32>,
    /// The columns that were asked for, in that order; each has as many values as there are rows.
    pub columns: Vec<ArrayRef>,
}

/// The rows of a row group, batch by batch. It ends after its first error.
pub struct GroupRows {
    parts: Vec<Part>,
    others: Option<Others>,
    /// What comes next of the rows themselves.
    steps: Steps,
    batch_rows: usize,
    done: bool,
}

/// One column.
enum Part {
    Flat {
        reader: Box<ColumnReader>,
        steps: Steps,
        ready: Option<ArrayRef>,
    },
    /// By its place among the columns that the library decodes.
    Other(usize),
}

/// Columns that the library decodes.
struct Others {
    reader: ParquetRecordBatchReader,
    chunks: Chunks,
    /// For each column its place in a decoded batch.
    places: Vec<usize>,
    /// For each column its type as it comes out.
    types: Vec<DataType>,
    ready: Option<RecordBatch>,
}

impl ParquetFile {
    /// Reads `columns` (places in [`ParquetFile::schema`]) at the rows of `selection` in a row group, at most
    /// `batch_rows` at a time. Texts end a batch early, once they come to tens of megabytes.
    ///
    /// # Errors
    /// [`ParquetFailure`]; the batches say it too, when the bytes are read.
    pub fn rows_at(
        &self,
        group: usize,
        columns: &[usize],
        selection: Selection,
        batch_rows: usize,
    ) -> Result<GroupRows, ParquetFailure> {
        guarded(|| self.rows_reader(group, columns, selection, batch_rows))
    }

    fn rows_reader(
        &self,
        group: usize,
        columns: &[usize],
        selection: Selection,
        batch_rows: usize,
    ) -> Result<GroupRows, ParquetFailure> {
        let remote_bytes =
            (REMOTE_BYTES / columns.len().max(1)).clamp(REMOTE_COLUMN_BYTES_MIN, REMOTE_COLUMN_BYTES_MAX);
        let steps = Steps::new(selection.clone());
        let mut parts = Vec::with_capacity(columns.len());
        let mut others: Vec<usize> = Vec::new();
        for column in columns {
            let (native, own) = (self.native().field(*column), self.schema().field(*column));
            parts.push(match FlatColumn::of(self, group, *column, native.data_type(), own.data_type()) {
                Some(flat) => {
                    let reader = Box::new(ColumnReader::new(self, group, flat, remote_bytes)?);
                    Part::Flat { reader, steps: steps.clone(), ready: None }
                }
                None => {
                    others.push(*column);
                    Part::Other(others.len() - 1)
                }
            });
        }
        let others = match others.is_empty() {
            true => None,
            false => Some(Others::new(self, group, &others, &selection, batch_rows)?),
        };
        Ok(GroupRows { parts, others, steps, batch_rows: batch_rows.max(1), done: false })
    }
}

impl GroupRows {
    fn read(&mut self) -> Result<Option<RowsBatch>, ParquetFailure> {
        let mut rows = numbers(&self.steps.peek(self.batch_rows));
        if rows.is_empty() {
            return Ok(None);
        }
        if let Some(others) = &mut self.others {
            rows.truncate(others.prepare()?);
        }
        for part in &mut self.parts {
            let Part::Flat { reader, steps, ready } = part else { continue };
            let array = match ready.take() {
                Some(array) => array,
                None => {
                    let next = steps.peek(self.batch_rows);
                    let array = reader.read(&next.iter().map(Step::rows).collect::<Vec<Rows<'_>>>())?;
                    steps.advance(array.len());
                    array
                }
            };
            rows.truncate(array.len());
            *ready = Some(array);
        }
        let count = rows.len();
        let others = self.others.as_mut().map(|others| others.take(count)).transpose()?.unwrap_or_default();
        let columns = self.parts.iter_mut().map(|part| match part {
            Part::Flat { ready, .. } => ready.take().map(|array| {
                let left = array.len() - count;
                *ready = (left > 0).then(|| array.slice(count, left));
                array.slice(0, count)
            }),
            Part::Other(place) => others.get(*place).cloned(),
        });
        let columns = columns.collect::<Option<Vec<_>>>().ok_or_else(|| damaged("a column is gone"))?;
        self.steps.advance(count);
        Ok(Some(RowsBatch { rows, columns }))
    }
}

impl Iterator for GroupRows {
    type Item = Result<RowsBatch, ParquetFailure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let batch = guarded(|| self.read()).transpose();
        self.done = !matches!(batch, Some(Ok(_)));
        batch
    }
}

fn numbers(steps: &[Step]) -> Vec<u32> {
    let mut rows = Vec::new();
    for step in steps {
        match step.rows() {
            Rows::Range(start, end) => rows.extend(start..end),
            Rows::List(list) => rows.extend_from_slice(list),
        }
    }
    rows
}

impl Others {
    fn new(
        file: &ParquetFile,
        group: usize,
        columns: &[usize],
        selection: &Selection,
        batch_rows: usize,
    ) -> Result<Self, ParquetFailure> {
        let chunks = file.chunks().clone();
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(chunks.clone(), file.decoder().clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        chunks.expect_columns(columns.iter().map(|column| file.leaves(*column).count()).sum());
        let reader = builder
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_row_selection(selection.for_decoder(file.rows_of(group)))
            .with_batch_size(batch_rows.clamp(1, decoded_rows(file, group)))
            .build()
            .map_err(|error| chunks.explain(&error))?;
        let mut in_file = columns.to_vec();
        in_file.sort_unstable();
        in_file.dedup();
        let place = |column: &usize| in_file.partition_point(|each| each < column);
        let places = columns.iter().map(place).collect();
        let types = columns.iter().map(|column| file.schema().field(*column).data_type().clone()).collect();
        Ok(Self { reader, chunks, places, types, ready: None })
    }

    /// Sees to it that some rows are ready; returns how many of them fit a batch.
    fn prepare(&mut self) -> Result<usize, ParquetFailure> {
        if self.ready.is_none() {
            let next = self.reader.next().ok_or_else(|| damaged("a column ends before its last row"))?;
            self.ready = Some(next.map_err(|error| self.chunks.explain(&error))?);
        }
        Ok(self.ready.as_ref().map_or(0, fitting_rows))
    }

    /// So many of the rows that are ready.
    fn take(&mut self, rows: usize) -> Result<Vec<ArrayRef>, ParquetFailure> {
        let Some(batch) = self.ready.take() else { return Ok(Vec::new()) };
        let left = batch.num_rows() - rows;
        self.ready = (left > 0).then(|| batch.slice(rows, left));
        let column = |(place, of): (&usize, &DataType)| {
            let array = batch.column(*place).slice(0, rows);
            match array.data_type() {
                DataType::Utf8View | DataType::BinaryView => {
                    cast(&array, of).map_err(|error| damaged(&error.to_string()))
                }
                _ => Ok(array),
            }
        };
        self.places.iter().zip(&self.types).map(column).collect()
    }
}

/// Rows to decode at once: fewer where rows are wide, as far as the row group tells.
fn decoded_rows(file: &ParquetFile, group: usize) -> usize {
    let facts = file.group(group);
    let row_bytes = usize::try_from(facts.total_byte_size() / facts.num_rows().max(1)).unwrap_or(0);
    (TEXT_BYTES / row_bytes.max(1)).max(1)
}

/// How many of the first rows fit a batch; at least one.
fn fitting_rows(batch: &RecordBatch) -> usize {
    // The lower half of a view is the length.
    let lengths = |array: &ArrayRef| -> Option<Vec<usize>> {
        let views = match array.data_type() {
            DataType::Utf8View => array.as_string_view().views().clone(),
            DataType::BinaryView => array.as_binary_view().views().clone(),
            _ => return None,
        };
        Some(views.iter().map(|view| *view as u32 as usize).collect())
    };
    let texts: Vec<Vec<usize>> = batch.columns().iter().filter_map(lengths).collect();
    let mut bytes = 0;
    for row in 0..batch.num_rows() {
        bytes += texts.iter().map(|lengths| lengths[row]).sum::<usize>();
        if bytes > TEXT_BYTES {
            return row.max(1);
        }
    }
    batch.num_rows()
}
