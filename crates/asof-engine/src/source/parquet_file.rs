//! Reads Parquet files: only the asked columns, page by page, whatever the size of a row group.
//!
//! A dictionary says a long text once for any number of rows. So texts are decoded as views of what the pages hold, and
//! copied out in batches that are bounded by the bytes that their rows come to.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Int64Type, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

use super::chunks::Chunks;
use super::raw::{Form, Places, RawBatch, RawColumn, normalise};
use super::wanted::{Origin, WantedColumn, filled, lacking, origins};
use super::{RAW_BATCH_ROWS, RawBatches, SourceFile};
use crate::EngineError;

/// Bytes of texts in one batch, a row more or less.
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
    let builder = with_views(file, &chunks, builder)?;
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
        decoded: None,
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

/// The same reader with texts as views, whose rows share what stands in the file once.
fn with_views(
    file: &SourceFile,
    chunks: &Chunks,
    builder: ParquetRecordBatchReaderBuilder<Chunks>,
) -> Result<ParquetRecordBatchReaderBuilder<Chunks>, EngineError> {
    let view = |field: &FieldRef| {
        let view = match field.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => DataType::Utf8View,
            DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
            _ => return field.clone(),
        };
        Arc::new(field.as_ref().clone().with_data_type(view))
    };
    let schema = Arc::new(Schema::new(builder.schema().fields().iter().map(view).collect::<Vec<_>>()));
    let options = ArrowReaderOptions::new().with_schema(schema);
    let metadata = ArrowReaderMetadata::try_new(builder.metadata().clone(), options)
        .map_err(|error| damaged(file, chunks, &error.to_string()))?;
    Ok(ParquetRecordBatchReaderBuilder::new_with_metadata(chunks.clone(), metadata))
}

/// Rows to decode at once: fewer where rows are wide, as far as the row groups tell.
fn batch_rows(metadata: &ParquetMetaData) -> usize {
    let wide = |group: &RowGroupMetaData| group.total_byte_size() / group.num_rows().max(1);
    let row_bytes = metadata.row_groups().iter().map(wide).max().unwrap_or(0);
    let row_bytes = usize::try_from(row_bytes).unwrap_or(0).max(1);
    (BATCH_BYTES / row_bytes).clamp(1, RAW_BATCH_ROWS)
}

/// How many of the first rows fit a batch; at least one.
fn fitting_rows(batch: &RecordBatch) -> usize {
    let texts: Vec<_> = batch.columns().iter().filter_map(lengths).collect();
    let mut bytes = 0;
    for row in 0..batch.num_rows() {
        bytes += texts.iter().map(|length| length(row)).sum::<usize>();
        if bytes > BATCH_BYTES {
            return row.max(1);
        }
    }
    batch.num_rows()
}

/// The bytes of a row's text. `None`: the column has no texts that rows can share.
fn lengths(array: &ArrayRef) -> Option<Box<dyn Fn(usize) -> usize + '_>> {
    // The lower half of a view is the length.
    let of_views =
        |views: &[u128]| -> Vec<usize> { views.iter().map(|view| *view as u32 as usize).collect() };
    match array.data_type() {
        DataType::Utf8View => {
            let lengths = of_views(array.as_string_view().views());
            Some(Box::new(move |row| lengths[row]))
        }
        DataType::BinaryView => {
            let lengths = of_views(array.as_binary_view().views());
            Some(Box::new(move |row| lengths[row]))
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary_opt().filter(|found| !found.values().is_empty())?;
            let (keys, values) = (dictionary.normalized_keys(), dictionary.values());
            let lengths = arrow::compute::kernels::length::length(values).ok()?;
            let lengths = arrow::compute::cast(&lengths, &DataType::Int64).ok()?;
            let lengths = lengths.as_primitive_opt::<Int64Type>()?.values().clone();
            let length = move |row: usize| lengths.get(keys[row]).map_or(0, |length| *length as usize);
            Some(Box::new(length))
        }
        _ => None,
    }
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
    /// What is decoded and not yet given out.
    decoded: Option<RecordBatch>,
    done: bool,
}

impl Iterator for ParquetBatches {
    type Item = Result<RawBatch, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let decoded = match self.decoded.take() {
            Some(rest) => Ok(rest),
            None => {
                self.reader.next()?.map_err(|error| damaged(&self.file, &self.chunks, &error.to_string()))
            }
        };
        let batch = decoded.and_then(|batch| {
            let rows = fitting_rows(&batch);
            let left = batch.num_rows() - rows;
            self.decoded = (left > 0).then(|| batch.slice(rows, left));
            self.raw(&batch.slice(0, rows))
        });
        self.done = batch.is_err();
        Some(batch)
    }
}

impl ParquetBatches {
    fn raw(&mut self, batch: &RecordBatch) -> Result<RawBatch, EngineError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Int64Array, StringArray};
    use arrow::compute::cast;
    use parquet::arrow::ArrowWriter;

    /// Goal: a small file whose one row group comes to 300 MB of text is given out in batches that are bounded in
    /// bytes, with every row in its place; as plain texts and as dictionaries.
    #[test]
    fn batches_are_bounded_in_bytes() {
        const ROWS: usize = 3_000;
        let long = "x".repeat(100 << 10);
        for of in [
            DataType::Utf8,
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Binary)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.parquet");
            let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            let mut writer: Option<ArrowWriter<std::fs::File>> = None;
            // In pieces, so that the test itself stays small.
            for start in (0..ROWS).step_by(20) {
                let texts =
                    (start..start + 20).map(|row| if row % 100 == 99 { None } else { Some(long.as_str()) });
                let texts: ArrayRef = Arc::new(StringArray::from_iter(texts));
                let texts = cast(&cast(&texts, &dictionary).unwrap(), &of).unwrap();
                let numbers: ArrayRef =
                    Arc::new(Int64Array::from_iter_values((start..start + 20).map(|row| row as i64)));
                let rows =
                    RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("t", texts, true)])
                        .unwrap();
                let writer = writer.get_or_insert_with(|| {
                    ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), rows.schema(), None).unwrap()
                });
                writer.write(&rows).unwrap();
            }
            writer.unwrap().close().unwrap();
            let size = std::fs::metadata(&path).unwrap().len();
            assert!(size < 1 << 20, "{of}: {size} bytes");
            let file = SourceFile::local(&path, size, None).unwrap();
            let columns = ["n", "t"].map(WantedColumn::required);
            let (mut rows, mut nulls) = (0, 0);
            for batch in open("source `a`", &file, &columns).unwrap() {
                let batch = batch.unwrap();
                assert!(
                    batch.approximate_bytes() < 2 * BATCH_BYTES as u64,
                    "{} bytes",
                    batch.approximate_bytes()
                );
                assert_eq!(batch.places.at(0), (rows as u64 + 1, None));
                assert_eq!(batch.columns[0].text_at(0), Some(rows.to_string()));
                rows += batch.rows;
                nulls += batch.columns[1].array.null_count();
            }
            assert_eq!((rows, nulls), (ROWS, ROWS / 100), "{of}");
        }
    }
}
