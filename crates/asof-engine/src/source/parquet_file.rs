//! Reads Parquet files: only the asked columns.

use std::fs::File;

use asof_model::name;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::ParquetMetaData;

use super::raw::{Places, RawBatch, RawColumn, normalise};
use super::{RAW_BATCH_ROWS, RawBatches, SourceFile};
use crate::EngineError;

/// Bytes of a batch that are aimed at, decoded.
const BATCH_BYTES: usize = 64 * 1024 * 1024;

/// Opens a Parquet file; see [`super::open`].
pub fn open(what: &str, file: &SourceFile, columns: &[String]) -> Result<RawBatches, EngineError> {
    let handle = File::open(&file.path).map_err(|error| EngineError::reading(&file.path, error))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(handle)
        .map_err(|error| damaged(file, &error.to_string()))?;
    let schema = builder.schema().clone();
    for column in columns {
        let found = schema.fields().iter().filter(|field| field.name() == column).count();
        if found > 1 {
            return Err(damaged(file, &format!("it has two columns named `{column}`")));
        }
        if found == 0 {
            let known = schema.fields().iter().map(|field| field.name().as_str());
            return Err(EngineError::NoColumn {
                what: what.to_owned(),
                path: file.path.to_path_buf(),
                column: column.clone(),
                hint: name::suggestion(column, known),
            });
        }
    }
    let roots = schema.fields().iter().enumerate().filter(|(_, field)| columns.contains(field.name()));
    let batch_rows = batch_rows(builder.metadata());
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots.map(|(index, _)| index));
    let reader = builder.with_projection(mask).with_batch_size(batch_rows).build();
    Ok(Box::new(ParquetBatches {
        reader: reader.map_err(|error| damaged(file, &error.to_string()))?,
        what: what.to_owned(),
        file: file.clone(),
        columns: columns.to_vec(),
        row: 1,
        done: false,
    }))
}

/// Rows in a batch: fewer where rows are wide, so that a batch stays within [`BATCH_BYTES`] as far as the file tells.
fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let bytes: i64 = metadata.row_groups().iter().map(|group| group.total_byte_size()).sum();
    let rows = metadata.file_metadata().num_rows().max(1);
    let row_bytes = usize::try_from(bytes / rows).unwrap_or(0).max(1);
    (BATCH_BYTES / row_bytes).clamp(1, RAW_BATCH_ROWS)
}

fn damaged(file: &SourceFile, reason: &str) -> EngineError {
    EngineError::Damaged {
        path: file.path.to_path_buf(),
        format: "Parquet",
        reason: reason.trim_start_matches("Parquet error: ").to_owned(),
    }
}

/// The batches of a Parquet file.
struct ParquetBatches {
    reader: ParquetRecordBatchReader,
    what: String,
    file: SourceFile,
    columns: Vec<String>,
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
            Err(error) => Err(damaged(&self.file, &error.to_string())),
        };
        self.done = batch.is_err();
        Some(batch)
    }
}

impl ParquetBatches {
    fn raw(&mut self, batch: &arrow::array::RecordBatch) -> Result<RawBatch, EngineError> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for name in &self.columns {
            let array = batch.column_by_name(name).ok_or_else(|| damaged(&self.file, "a column is gone"))?;
            let plain = normalise(array).ok_or_else(|| EngineError::NotScalar {
                what: self.what.clone(),
                path: self.file.path.to_path_buf(),
                column: name.clone(),
                found: array.data_type().to_string(),
            })?;
            columns.push(RawColumn { name: name.clone(), array: plain, text: false });
        }
        let first = self.row;
        self.row += batch.num_rows() as u64;
        Ok(RawBatch {
            file: self.file.path.clone(),
            rows: batch.num_rows(),
            columns,
            places: Places::From(first),
            broken: Vec::new(),
        })
    }
}
