//! Data files to rows: a few files at a time, one worker each, only the wanted columns, a bounded number of batches
//! in flight.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::vec::IntoIter;

use arrow::array::{AsArray, BooleanArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::SchemaRef;
use asof_model::Instant;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryFutureExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::columns::{EVENT_TIMESTAMP, UNIT, same_type};
use crate::error::{OfflineError, data_file};
use crate::files::DataFile;
use crate::store::Root;

/// Files that are read at a time: one worker decodes one file.
const FILES_READING_MAX: usize = 8;
/// Decoded batches that wait for the caller, over all workers.
const BATCHES_WAITING_MAX: usize = 8;
/// What is read of a file's end in the hope that it holds the whole footer, in bytes.
const FOOTER_BYTES: usize = 64 * 1024;

/// What the workers of one scan share.
pub(crate) struct ScanJob {
    pub(crate) root: Arc<Root>,
    pub(crate) table: String,
    /// Rooted in the table's folder.
    pub(crate) objects: Arc<dyn ObjectStore>,
    /// The columns to return.
    pub(crate) schema: SchemaRef,
    pub(crate) event_from: Option<Instant>,
    pub(crate) event_until: Option<Instant>,
    /// Only rows of these units. `None`: of all.
    pub(crate) units: Option<Arc<HashSet<String>>>,
    pub(crate) batch_rows: usize,
}

type Item = Result<RecordBatch, OfflineError>;

/// The rows of `files`, in any order. Work starts with the first poll and ends when the stream is dropped.
pub(crate) fn rows(job: ScanJob, files: Vec<DataFile>) -> BoxStream<'static, Item> {
    stream::once(async move { start(Arc::new(job), files) }).flatten().boxed()
}

fn start(job: Arc<ScanJob>, files: Vec<DataFile>) -> BoxStream<'static, Item> {
    let (sender, receiver) = mpsc::channel(BATCHES_WAITING_MAX);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let count = files.len().min(FILES_READING_MAX).min(cores);
    let queue = Arc::new(Mutex::new(files.into_iter()));
    let mut workers = JoinSet::new();
    for _ in 0..count {
        workers.spawn(work(job.clone(), queue.clone(), sender.clone()));
    }
    drop(sender);
    let state = (job, receiver, workers);
    stream::unfold(state, |(job, mut receiver, mut workers)| async move {
        if let Some(item) = receiver.recv().await {
            return Some((item, (job, receiver, workers)));
        }
        // A worker that has panicked has closed its end too: its rows are missing, and that must not look complete.
        while let Some(ended) = workers.join_next().await {
            if let Err(error) = ended {
                let error = OfflineError::Interrupted {
                    table: job.table.clone(),
                    work: "reading data files",
                    reason: error.to_string(),
                };
                return Some((Err(error), (job, receiver, workers)));
            }
        }
        None
    })
    .boxed()
}

/// Reads files until there are none, an error is told, or nobody listens.
async fn work(job: Arc<ScanJob>, queue: Arc<Mutex<IntoIter<DataFile>>>, sender: mpsc::Sender<Item>) {
    loop {
        let Some(file) = queue.lock().await.next() else { return };
        if let Err(error) = read_file(&job, &file, &sender).await {
            // Nobody listening is the one reason for a failed send, and then nobody misses it.
            let _ = sender.send(Err(error)).await;
            return;
        }
        if sender.is_closed() {
            return;
        }
    }
}

async fn read_file(job: &ScanJob, file: &DataFile, sender: &mpsc::Sender<Item>) -> Result<(), OfflineError> {
    let location = || job.root.file_location(&job.table, &file.path);
    let unreadable = |error: ParquetError| data_file(&job.table, location(), error);
    let reader =
        FileReader { objects: job.objects.clone(), path: Path::from(file.path.as_str()), size: file.size };
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder =
        ParquetRecordBatchStreamBuilder::new_with_options(reader, options).await.map_err(unreadable)?;

    // A file of wanted units alone needs no look at its rows.
    let others = |units: &&Arc<HashSet<String>>| !file.units.iter().all(|unit| units.contains(unit));
    let units = job.units.as_ref().filter(others);
    let names = job.schema.fields().iter().map(|field| field.name().as_str());
    let wanted = names.chain(units.map(|_| UNIT)).filter_map(|name| builder.schema().index_of(name).ok());
    let mask = ProjectionMask::roots(builder.parquet_schema(), wanted.collect::<Vec<_>>());
    let metadata = builder.metadata().clone();
    let groups = (0..metadata.num_row_groups()).filter(|at| job.wants(metadata.row_group(*at))).collect();
    let mut batches = builder
        .with_projection(mask)
        .with_row_groups(groups)
        .with_batch_size(job.batch_rows.max(1))
        .build()
        .map_err(unreadable)?;
    while let Some(batch) = batches.next().await {
        let mut batch = batch.map_err(unreadable)?;
        let damaged =
            |reason| OfflineError::DamagedFile { table: job.table.clone(), path: location(), reason };
        if let Some(units) = units {
            batch = of_units(&batch, units).map_err(damaged)?;
        }
        let batch = conform(&batch, &job.schema).map_err(damaged)?;
        if sender.send(Ok(batch)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The rows of these units.
fn of_units(batch: &RecordBatch, units: &HashSet<String>) -> Result<RecordBatch, String> {
    let names = batch.column_by_name(UNIT).map(|column| cast(column, &arrow::datatypes::DataType::Utf8));
    let Some(Ok(names)) = names else { return Err(format!("column `{UNIT}` is missing")) };
    let chosen: BooleanArray = names
        .as_string::<i32>()
        .iter()
        .map(|name| Some(name.is_some_and(|name| units.contains(name))))
        .collect();
    filter_record_batch(batch, &chosen).map_err(|error| error.to_string())
}

/// The batch in the columns of `schema`; those that the file does not have are null.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, String> {
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let Some((at, found)) = batch.schema_ref().column_with_name(field.name()) else {
            if !field.is_nullable() {
                return Err(format!("column `{}` is missing", field.name()));
            }
            columns.push(new_null_array(field.data_type(), batch.num_rows()));
            continue;
        };
        if !same_list_or_type(field, found) {
            return Err(format!("column `{}` is {}", field.name(), crate::columns::describe(found)));
        }
        columns.push(cast(batch.column(at), field.data_type()).map_err(|error| error.to_string())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(|error| error.to_string())
}

fn same_list_or_type(field: &arrow::datatypes::Field, found: &arrow::datatypes::Field) -> bool {
    use arrow::datatypes::DataType::{FixedSizeList, List};
    match (field.data_type(), found.data_type()) {
        // Parquet does not say that all lists of a column have one length.
        (List(one) | FixedSizeList(one, _), List(other)) => same_type(one, other),
        _ => same_type(field, found),
    }
}

impl ScanJob {
    /// Whether a row group may hold an event in the wanted range.
    fn wants(&self, group: &RowGroupMetaData) -> bool {
        let event = group.columns().iter().find(|column| column.column_path().string() == EVENT_TIMESTAMP);
        let Some(Statistics::Int64(range)) = event.and_then(|column| column.statistics()) else {
            return true;
        };
        let from = self.event_from.zip(range.max_opt()).is_none_or(|(from, max)| from.micros() <= *max);
        let until = self.event_until.zip(range.min_opt()).is_none_or(|(until, min)| *min <= until.micros());
        from && until
    }
}

/// One file of the object store, of the size that the log says.
struct FileReader {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    size: u64,
}

impl AsyncFileReader for FileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move { self.objects.get_range(&self.path, range).await.map_err(external) }.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        async move { self.objects.get_ranges(&self.path, &ranges).map_err(external).await }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        async move {
            let size = self.size;
            let reader = ParquetMetaDataReader::new().with_prefetch_hint(Some(FOOTER_BYTES));
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
