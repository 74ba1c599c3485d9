//! Rows to data files: split by event day, encoded as Parquet, written, and described for the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, max, min, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef, TimestampMicrosecondType};
use asof_model::Instant;
use asof_model::time::format_day;
use asof_parquet::layout;
use deltalake_core::kernel::Add;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use serde_json::{Map, Value, json};

use crate::columns::{CREATED_TIMESTAMP, EVENT_DATE, EVENT_TIMESTAMP, UNIT, describe, same_type};
use crate::error::{OfflineError, storage};
use crate::files::file_path;
use crate::store::Root;

/// The most rows of a row group: the smallest part of a file that statistics can leave out.
const ROW_GROUP_ROWS_MAX: usize = 1_048_576;
/// The most rows of a file. A file is in memory, compressed, until it is written.
pub(crate) const FILE_ROWS_MAX: usize = 4 * ROW_GROUP_ROWS_MAX;
/// Files that are encoded and written at a time.
const FILES_WRITING_MAX: usize = 4;

/// One unit's rows on their way into a table.
pub(crate) struct UnitWrite<'a> {
    pub(crate) root: &'a Root,
    pub(crate) table: &'a str,
    pub(crate) unit: &'a str,
    /// Whether rows name units of their own.
    pub(crate) parted: bool,
    /// The table's columns.
    pub(crate) schema: &'a SchemaRef,
    /// Rooted in the table's folder.
    pub(crate) objects: Arc<dyn ObjectStore>,
}

/// Some rows of one batch.
enum Piece {
    Whole { batch: usize },
    Rows { batch: usize, rows: UInt32Array },
}

/// One file to be.
struct FileJob {
    day: i32,
    pieces: Vec<Piece>,
}

impl UnitWrite<'_> {
    /// Writes the rows and returns one log entry per file, in order of the days; rows keep their order in a file.
    ///
    /// Columns are found by name. A nullable column of the table may be missing in all batches; it reads as null.
    ///
    /// # Errors
    /// [`OfflineError::SchemaMismatch`], [`OfflineError::InvalidRows`] before anything is written;
    /// [`OfflineError::Storage`] with the file's name.
    pub(crate) async fn write(&self, batches: &[RecordBatch]) -> Result<Vec<Add>, OfflineError> {
        let filled: Vec<&RecordBatch> = batches.iter().filter(|batch| batch.num_rows() > 0).collect();
        let Some(first) = filled.first() else { return Ok(Vec::new()) };
        let schema = self.file_schema(first.schema_ref())?;
        let batches =
            filled.iter().map(|batch| self.conform(batch, &schema)).collect::<Result<Vec<_>, _>>()?;
        let jobs = self.plan(&batches)?;
        let batches: Arc<[RecordBatch]> = batches.into();
        let attempt = format!("{:08x}", uuid::Uuid::new_v4().as_fields().0);
        let writes = jobs.into_iter().enumerate().map(|(number, job)| {
            let path = file_path(&format_day(job.day), self.unit, number, &attempt);
            self.write_file(path, job, batches.clone())
        });
        futures::stream::iter(writes).buffered(FILES_WRITING_MAX).try_collect().await
    }

    async fn write_file(
        &self,
        path: String,
        job: FileJob,
        batches: Arc<[RecordBatch]>,
    ) -> Result<Add, OfflineError> {
        let location = self.root.file_location(self.table, &path);
        let day = job.day;
        let encoded = tokio::task::spawn_blocking(move || encode(&job, &batches)).await;
        let encoded = encoded.map_err(|error| interrupted(self.table, "writing a data file", &error))?;
        let encoded = encoded.map_err(|error| storage(location.clone(), error))?;
        put_file(self.objects.as_ref(), location, path, day, encoded).await
    }

    /// The table's columns, in its order, that a batch of schema `given` has.
    fn file_schema(&self, given: &Schema) -> Result<SchemaRef, OfflineError> {
        let mismatch = |column: &str, stored: String, given: String| OfflineError::SchemaMismatch {
            table: self.table.to_owned(),
            column: column.to_owned(),
            stored,
            given,
        };
        let unknown = |name: &&String| self.schema.field_with_name(name).is_err();
        if let Some(field) = given.fields().iter().find(|field| unknown(&field.name())) {
            return Err(mismatch(field.name(), "absent".to_owned(), describe(field)));
        }
        let mut fields = Vec::new();
        for field in self.schema.fields() {
            match given.field_with_name(field.name()) {
                Ok(found) if same_type(field, found) => fields.push(field.clone()),
                Ok(found) => return Err(mismatch(field.name(), describe(field), describe(found))),
                Err(_) if field.is_nullable() => {}
                Err(_) => return Err(mismatch(field.name(), describe(field), "absent".to_owned())),
            }
        }
        Ok(Arc::new(Schema::new(fields)))
    }

    /// The batch with exactly the columns of `schema`, checked against what a history row must be.
    fn conform(&self, batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, OfflineError> {
        if self.file_schema(batch.schema_ref())? != *schema {
            return Err(self.invalid("its batches do not have the same columns".to_owned()));
        }
        let mut columns = Vec::new();
        for field in schema.fields() {
            let Some(column) = batch.column_by_name(field.name()) else { continue };
            if !field.is_nullable() && column.null_count() > 0 {
                return Err(self.invalid(format!("`{}` holds a null", field.name())));
            }
            let column = cast(column, field.data_type()).map_err(|error| self.invalid(error.to_string()))?;
            columns.push(column);
        }
        let batch =
            RecordBatch::try_new(schema.clone(), columns).map_err(|error| self.invalid(error.to_string()))?;
        let units = batch.column_by_name(UNIT).and_then(|column| column.as_string_opt::<i32>());
        if !units.is_some_and(|units| self.parted || units.iter().all(|unit| unit == Some(self.unit))) {
            return Err(self.invalid(format!("a row's `{UNIT}` names another unit")));
        }
        Ok(batch)
    }

    /// Which rows go to which file.
    fn plan(&self, batches: &[RecordBatch]) -> Result<Vec<FileJob>, OfflineError> {
        let mut days: BTreeMap<i32, Vec<Piece>> = BTreeMap::new();
        for (at, batch) in batches.iter().enumerate() {
            for name in [EVENT_TIMESTAMP, CREATED_TIMESTAMP] {
                let in_range = bounds(batch, name).is_some_and(|(min, max)| {
                    Instant::from_micros(min).is_some() && Instant::from_micros(max).is_some()
                });
                if !in_range {
                    return Err(self.invalid(format!("`{name}` is outside the years 1 to 9999")));
                }
            }
            let Some((min, max)) = bounds(batch, EVENT_TIMESTAMP) else { continue };
            if day_of(min) == day_of(max) && batch.num_rows() <= FILE_ROWS_MAX {
                days.entry(day_of(min)).or_default().push(Piece::Whole { batch: at });
                continue;
            }
            let mut rows: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
            for (row, micros) in micros_of(batch, EVENT_TIMESTAMP).iter().enumerate() {
                rows.entry(day_of(*micros)).or_default().push(row as u32);
            }
            for (day, rows) in rows {
                let pieces = rows
                    .chunks(FILE_ROWS_MAX)
                    .map(|rows| Piece::Rows { batch: at, rows: rows.to_vec().into() });
                days.entry(day).or_default().extend(pieces);
            }
        }
        Ok(days.into_iter().flat_map(|(day, pieces)| into_files(day, pieces, batches)).collect())
    }

    fn invalid(&self, reason: String) -> OfflineError {
        OfflineError::InvalidRows { table: self.table.to_owned(), unit: self.unit.to_owned(), reason }
    }
}

/// Writes an encoded file under its path and returns its log entry.
pub(crate) async fn put_file(
    objects: &dyn ObjectStore,
    location: String,
    path: String,
    day: i32,
    (bytes, statistics): (Vec<u8>, Value),
) -> Result<Add, OfflineError> {
    let size = bytes.len() as i64;
    let put = objects.put(&Path::from(path.as_str()), bytes.into()).await;
    put.map_err(|error| storage(location, error))?;
    Ok(Add {
        path,
        partition_values: [(EVENT_DATE.to_owned(), Some(format_day(day)))].into(),
        size,
        modification_time: modified_now(),
        data_change: true,
        stats: Some(statistics.to_string()),
        ..Add::default()
    })
}

/// The error for a worker that ended without an answer.
pub(crate) fn interrupted(table: &str, work: &'static str, error: &tokio::task::JoinError) -> OfflineError {
    OfflineError::Interrupted { table: table.to_owned(), work, reason: error.to_string() }
}

/// The bytes of a file with all rows of `batch`, and its statistics.
pub(crate) fn encode_whole(day: i32, batch: RecordBatch) -> Result<(Vec<u8>, Value), ParquetError> {
    encode(&FileJob { day, pieces: vec![Piece::Whole { batch: 0 }] }, &[batch])
}

/// Cuts one day's pieces into files of at most [`FILE_ROWS_MAX`] rows; no piece has more.
fn into_files(day: i32, pieces: Vec<Piece>, batches: &[RecordBatch]) -> Vec<FileJob> {
    let mut files = Vec::new();
    let mut rows = 0;
    let mut open = Vec::new();
    for piece in pieces {
        let more = match &piece {
            Piece::Whole { batch } => batches[*batch].num_rows(),
            Piece::Rows { rows, .. } => rows.len(),
        };
        if rows + more > FILE_ROWS_MAX {
            files.push(FileJob { day, pieces: std::mem::take(&mut open) });
            rows = 0;
        }
        rows += more;
        open.push(piece);
    }
    files.push(FileJob { day, pieces: open });
    files
}

/// The file's bytes, and its statistics in Delta's form.
fn encode(job: &FileJob, batches: &[RecordBatch]) -> Result<(Vec<u8>, Value), ParquetError> {
    let rows_of = |piece: &Piece| -> Result<RecordBatch, ParquetError> {
        Ok(match piece {
            Piece::Whole { batch } => batches[*batch].clone(),
            Piece::Rows { batch, rows } => take_record_batch(&batches[*batch], rows)?,
        })
    };
    let first = match job.pieces.first() {
        Some(first) => rows_of(first)?,
        None => return Err(ParquetError::General("no rows".to_owned())),
    };
    // Plain Parquet types say it all; Arrow's own copy of the schema would only add bytes to each file.
    let options =
        ArrowWriterOptions::new().with_properties(properties(&first)?).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), first.schema(), options)?;
    let mut rows = 0;
    let mut ranges = [None; 2];
    for piece in &job.pieces {
        let batch = rows_of(piece)?;
        rows += batch.num_rows();
        for (range, name) in ranges.iter_mut().zip([EVENT_TIMESTAMP, CREATED_TIMESTAMP]) {
            *range = wider(*range, bounds(&batch, name));
        }
        writer.write(&batch)?;
    }
    Ok((writer.into_inner()?, statistics(rows, ranges)))
}

/// Rows that show what a column is like. A file with fewer is not worth the look.
const SAMPLE_ROWS: usize = 4_096;

/// How a file is laid out whose first rows are these: it is read more often than written, so a column is packed, or has a
/// dictionary, only where that saves enough.
fn properties(first: &RecordBatch) -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        // Lists are named as the format says, for other engines.
        .set_coerce_types(true);
    let sample = first.slice(0, first.num_rows().min(SAMPLE_ROWS));
    for (field, values) in sample.schema().fields().iter().zip(sample.columns()) {
        if sample.num_rows() < SAMPLE_ROWS || layout::repeats(values) {
            continue;
        }
        let column = ColumnPath::from(field.name().clone());
        if !layout::packs(values) {
            properties = properties.set_column_compression(column.clone(), Compression::UNCOMPRESSED);
        }
        properties = properties.set_column_dictionary_enabled(column, false);
    }
    Ok(properties.build())
}

fn wider(one: Option<(i64, i64)>, other: Option<(i64, i64)>) -> Option<(i64, i64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}

/// Instants have milliseconds here: the least is cut, the greatest rounded up. One that rounds past the year 9999 is
/// left out, which reads as unknown.
fn statistics(rows: usize, ranges: [Option<(i64, i64)>; 2]) -> Value {
    let (mut least, mut greatest, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (range, name) in ranges.into_iter().zip([EVENT_TIMESTAMP, CREATED_TIMESTAMP]) {
        let Some((min, max)) = range else { continue };
        least.insert(name.to_owned(), instant_text(min.div_euclid(1_000)).into());
        let up = max.div_euclid(1_000) + i64::from(max.rem_euclid(1_000) > 0);
        if up * 1_000 <= Instant::MAX.micros() {
            greatest.insert(name.to_owned(), instant_text(up).into());
        }
        nulls.insert(name.to_owned(), 0.into());
    }
    json!({ "numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": nulls })
}

/// `2017-01-01T00:00:00.000Z`, of milliseconds since 1970.
fn instant_text(millis: i64) -> String {
    let (day, of_day) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{}T{hours:02}:{minutes:02}:{seconds:02}.{millis:03}Z", format_day(day as i32))
}

fn micros_of<'a>(batch: &'a RecordBatch, name: &str) -> &'a [i64] {
    let column =
        batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    column.map_or(&[], |column| column.values())
}

fn bounds(batch: &RecordBatch, name: &str) -> Option<(i64, i64)> {
    let column = batch.column_by_name(name)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    min(column).zip(max(column))
}

fn day_of(micros: i64) -> i32 {
    Instant::from_micros_clamped(micros).day()
}

/// Milliseconds since 1970 by the machine's clock, for the log's `modificationTime`. No value of ours depends on it.
pub(crate) fn modified_now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{instant_text, statistics};

    /// Goal: statistics hold what they describe: the least value cut, the greatest rounded up, before 1970 too, and
    /// no five-digit year.
    #[test]
    fn statistics_hold_every_row() {
        let found = statistics(2, [Some((-1_001, 1_001)), Some((0, asof_model::Instant::MAX.micros()))]);
        assert_eq!(
            found.to_string(),
            r#"{"numRecords":2,"minValues":{"event_timestamp":"1969-12-31T23:59:59.998Z","created_timestamp":"1970-01-01T00:00:00.000Z"},"maxValues":{"event_timestamp":"1970-01-01T00:00:00.002Z"},"nullCount":{"event_timestamp":0,"created_timestamp":0}}"#
        );
        assert_eq!(instant_text(asof_model::Instant::MIN.micros() / 1_000), "0001-01-01T00:00:00.000Z");
    }
}
