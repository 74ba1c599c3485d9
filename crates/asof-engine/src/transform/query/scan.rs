//! The files of a source as a table of a plan: typed values, with marks where a value can't be read as its type.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use asof_model::entry::Reading;
use asof_model::spec::Source;
use asof_model::{Instant, ValueType};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::PartitionStream;
use parking_lot::Mutex;

use super::call::marks_array;
use crate::EngineError;
use crate::source::convert::convert;
use crate::source::raw::BrokenRow;
use crate::source::{self, RawBatch, SourceFile, WantedColumn};
use crate::transform::shape::marks;

/// Batches of one file that wait for the plan.
const WAITING_BATCHES: usize = 2;

/// Rows that could not be split into columns, by file and number: a file may be read more than once.
pub type BrokenRows = Arc<Mutex<BTreeMap<(Arc<std::path::Path>, u64), BrokenRow>>>;

/// The rows of a source with an event in `[from, until)`.
#[derive(Debug, Clone)]
pub struct EventRange {
    /// The column of the event, by its name in the files.
    pub column: String,
    /// The first instant.
    pub from: Instant,
    /// The first instant behind it. `None`: the end of time.
    pub until: Option<Instant>,
}

/// The files of one source, as a query reads them.
#[derive(Debug, Clone)]
pub struct SourceRows {
    /// The source.
    pub source: Source,
    /// Its files.
    pub files: Vec<SourceFile>,
    /// Rows with other events are not read. `None`: every row is.
    pub range: Option<EventRange>,
}

/// Some files of a source.
struct Part {
    what: String,
    files: Vec<SourceFile>,
    wanted: Vec<WantedColumn>,
    types: Vec<ValueType>,
    reading: Reading,
    /// The event's place among the wanted columns.
    range: Option<(usize, EventRange)>,
    schema: SchemaRef,
    broken: BrokenRows,
}

impl SourceRows {
    /// The table of these columns, read by several threads.
    pub(crate) fn table(
        &self,
        columns: &[(String, ValueType)],
        schema: SchemaRef,
        threads: usize,
        broken: &BrokenRows,
    ) -> Result<StreamingTable, DataFusionError> {
        let mut wanted: Vec<WantedColumn> = columns
            .iter()
            .map(|(name, _)| WantedColumn { name: self.source.column_of(name).to_owned(), required: false })
            .collect();
        let types = columns.iter().map(|(_, value_type)| *value_type).collect::<Vec<_>>();
        let range = self.range.clone().map(|range| {
            wanted.push(WantedColumn::required(&range.column));
            (wanted.len() - 1, range)
        });
        let parts = spread(&self.files, threads).into_iter().map(|files| {
            let part = Part {
                what: format!("source `{}`", self.source.name),
                files,
                wanted: wanted.clone(),
                types: types.clone(),
                reading: Reading { zone: self.source.zone(), unit: self.source.unit },
                range: range.clone(),
                schema: schema.clone(),
                broken: broken.clone(),
            };
            Arc::new(Stream(Arc::new(part))) as Arc<dyn PartitionStream>
        });
        StreamingTable::try_new(schema.clone(), parts.collect())
    }
}

/// The files in so many parts of about the same size. At least one part.
fn spread(files: &[SourceFile], parts: usize) -> Vec<Vec<SourceFile>> {
    let count = parts.clamp(1, files.len().max(1));
    let mut spread = vec![(0_u64, Vec::new()); count];
    for file in files {
        if let Some((bytes, part)) = spread.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            *bytes += file.bytes;
            part.push(file.clone());
        }
    }
    spread.into_iter().map(|(_, part)| part).collect()
}

/// A part as DataFusion reads it.
struct Stream(Arc<Part>);

impl std::fmt::Debug for Stream {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} files of {}", self.0.files.len(), self.0.what)
    }
}

impl PartitionStream for Stream {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStream::builder(self.0.schema.clone(), WAITING_BATCHES);
        let (part, send) = (self.0.clone(), stream.tx());
        stream.spawn_blocking(move || {
            for batch in part.batches() {
                let batch = batch.map_err(|error| DataFusionError::External(Box::new(error)));
                let failed = batch.is_err();
                // Nobody listens any more: that is the end too.
                if send.blocking_send(batch).is_err() || failed {
                    break;
                }
            }
            Ok(())
        });
        stream.build()
    }
}

impl Part {
    fn batches(&self) -> impl Iterator<Item = Result<RecordBatch, EngineError>> {
        self.files.iter().flat_map(move |file| {
            let (opened, failed) = match source::open(&self.what, file, &self.wanted) {
                Ok(batches) => (Some(batches), None),
                Err(error) => (None, Some(Err(error))),
            };
            let typed = opened.into_iter().flatten().map(|raw| self.typed(raw?));
            failed.into_iter().chain(typed)
        })
    }

    fn typed(&self, raw: RawBatch) -> Result<RecordBatch, EngineError> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(2 * self.types.len());
        for (column, of) in raw.columns.iter().zip(&self.types) {
            let (values, failed) = convert(column, raw.rows, *of, &self.reading);
            columns.push(values);
            columns.push(marks_array(marks(raw.rows, failed.iter().map(|(row, _)| *row)), raw.rows));
        }
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(raw.rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        let batch = match &self.range {
            None => batch,
            Some((place, range)) => {
                let (events, _) =
                    convert(&raw.columns[*place], raw.rows, ValueType::Timestamp, &self.reading);
                let (from, until) = (range.from.micros(), range.until.map_or(i64::MAX, Instant::micros));
                let events = events.as_primitive::<TimestampMicrosecondType>();
                let inside =
                    events.iter().map(|event| Some(event.is_some_and(|at| (from..until).contains(&at))));
                filter_record_batch(&batch, &inside.collect::<BooleanArray>())?
            }
        };
        if !raw.broken.is_empty() {
            let mut broken = self.broken.lock();
            for row in raw.broken {
                broken.insert((raw.file.clone(), row.row), row);
            }
        }
        Ok(batch)
    }
}
