//! Reads Parquet files: only the asked columns.

use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaData;

use super::chunks::Chunks;
use super::raw::{Form, Places, RawBatch, RawColumn, normalise};
use super::wanted::{Origin, WantedColumn, filled, lacking, origins};
use super::{RAW_BATCH_ROWS, RawBatches, SourceFile};
use crate::EngineError;

/// Bytes of a batch that are aimed at, decoded.
const BATCH_BYTES: usize = 64 * 1024 * 1024;

/// Opens a Parquet file; see [`super::open`].
pub fn open(what: &str, file: &SourceFile, columns: &[WantedColumn]) -> Result<RawBatches, EngineError> {
    let chunks = Chunks::open(file)?;
    let builder = builder(file, &chunks)?;
    let names = names_of(&builder);
    let origins = origins(what, file, "Parquet", columns, &names)?;
    let roots = origins.iter().filter_map(|origin| match origin {
        Origin::File(place) => Some(*place),
        _ => None,
    });
    let batch_rows = batch_rows(builder.metadata());
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let leaves = (0..builder.parquet_schema().num_columns()).filter(|leaf| mask.leaf_included(*leaf));
    chunks.expect_columns(leaves.count());
    let reader = builder.with_projection(mask).with_batch_size(batch_rows).build();
    Ok(Box::new(ParquetBatches {
        reader: reader.map_err(|error| damaged(file, &chunks, &error.to_string()))?,
        chunks,
        what: what.to_owned(),
        file: file.clone(),
        columns: columns.iter().map(|column| column.name.clone()).collect(),
        origins,
        row: 1,
        done: false,
    }))
}

/// The names of a Parquet file's columns, in order.
///
/// # Errors
/// [`EngineError::Damaged`], [`EngineError::Io`], [`EngineError::Objects`].
pub fn names(file: &SourceFile) -> Result<Vec<String>, EngineError> {
    let chunks = Chunks::open(file)?;
    Ok(names_of(&builder(file, &chunks)?))
}

/// A reader of a whole Parquet file, to be told what to read.
///
/// # Errors
/// As [`names`].
pub fn whole(file: &SourceFile) -> Result<ParquetRecordBatchReaderBuilder<Chunks>, EngineError> {
    builder(file, &Chunks::open(file)?)
}

fn builder(
    file: &SourceFile,
    chunks: &Chunks,
) -> Result<ParquetRecordBatchReaderBuilder<Chunks>, EngineError> {
    ParquetRecordBatchReaderBuilder::try_new(chunks.clone())
        .map_err(|error| damaged(file, chunks, &error.to_string()))
}

fn names_of(builder: &ParquetRecordBatchReaderBuilder<Chunks>) -> Vec<String> {
    builder.schema().fields().iter().map(|field| field.name().clone()).collect()
}

/// Rows in a batch: fewer where rows are wide, so that a batch stays within [`BATCH_BYTES`] as far as the file tells.
fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let bytes: i64 = metadata.row_groups().iter().map(|group| group.total_byte_size()).sum();
    let rows = metadata.file_metadata().num_rows().max(1);
    let row_bytes = usize::try_from(bytes / rows).unwrap_or(0).max(1);
    (BATCH_BYTES / row_bytes).clamp(1, RAW_BATCH_ROWS)
}

/// What an error of the decoder means: that the bytes are wrong, unless they did not come.
fn damaged(file: &SourceFile, chunks: &Chunks, reason: &str) -> EngineError {
    chunks.failure().unwrap_or_else(|| EngineError::Damaged {
        path: file.path.to_path_buf(),
        format: "Parquet",
        reason: reason.trim_start_matches("Parquet error: ").to_owned(),
    })
}

/// The batches of a Parquet file.
struct ParquetBatches {
    reader: ParquetRecordBatchReader,
    chunks: Chunks,
    what: String,
    file: SourceFile,
    columns: Vec<String>,
    /// For each asked column, where it stands.
    origins: Vec<Origin>,
    /// The number of the next row, from 1.
    row: u64,
    done: bool,
}

impl Iterator for ParquetBatches {
    type Item = Result<RawBatch, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let batch = match self.reader.next()? {
            Ok(batch) => self.raw(&batch),
            Err(error) => Err(damaged(&self.file, &self.chunks, &error.to_string())),
        };
        self.done = batch.is_err();
        Some(batch)
    }
}

impl ParquetBatches {
    fn raw(&mut self, batch: &arrow::array::RecordBatch) -> Result<RawBatch, EngineError> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (name, origin) in self.columns.iter().zip(&self.origins) {
            if let Some(column) = filled(origin, name, batch.num_rows()) {
                columns.push(column);
                continue;
            }
            let array = batch.column_by_name(name);
            let array = array.ok_or_else(|| damaged(&self.file, &self.chunks, "a column is gone"))?;
            let plain = normalise(array).ok_or_else(|| EngineError::NotScalar {
                what: self.what.clone(),
                path: self.file.path.to_path_buf(),
                column: name.clone(),
                found: array.data_type().to_string(),
            })?;
            columns.push(RawColumn { name: name.clone(), array: plain, form: Form::Typed });
        }
        let first = self.row;
        self.row += batch.num_rows() as u64;
        Ok(RawBatch {
            file: self.file.path.clone(),
            rows: batch.num_rows(),
            columns,
            lacking: lacking(&self.origins),
            places: Places::From(first),
            broken: Vec::new(),
        })
    }
}
