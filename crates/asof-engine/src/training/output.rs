//! Writes a training set: the label columns as they were, then the asked columns, every label row once, in order.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use asof_model::entry::to_text;
use asof_model::spec::FileFormat;
use asof_model::{Value, ValueType};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::infer;
use super::labels::LabelTable;
use crate::EngineError;
use crate::columns::value_at;
use crate::source::files;
use crate::source::raw::{in_utc, normalise};

/// Rows written at a time.
const WRITE_ROWS: usize = 65_536;

/// A column beside the labels.
pub struct OutputColumn {
    /// Its name in the output.
    pub name: String,
    /// Where it comes from, for messages, such as "feature `city` of view `zipcode_features@1`".
    pub origin: String,
    /// The type of its values.
    pub value_type: ValueType,
    /// A value for each label row.
    pub values: ArrayRef,
}

/// Checks that every output column has a name of its own.
///
/// # Errors
/// [`EngineError::SameColumn`] names the column and where both come from.
pub fn check_names<'a>(
    labels: &LabelTable,
    columns: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), EngineError> {
    let schema = labels.rows().schema();
    let mut seen: HashMap<String, String> =
        schema.fields().iter().map(|field| (field.name().clone(), "the label table".to_owned())).collect();
    for (name, origin) in columns {
        if let Some(first) = seen.insert(name.to_owned(), origin.to_owned()) {
            return Err(EngineError::SameColumn {
                column: name.to_owned(),
                first,
                second: origin.to_owned(),
            });
        }
    }
    Ok(())
}

/// The format in which a path is written: by its suffix.
///
/// # Errors
/// [`EngineError::UnknownFormat`].
pub fn format_of(path: &Path) -> Result<FileFormat, EngineError> {
    files::format_of(path)
        .filter(|format| matches!(format, FileFormat::Parquet | FileFormat::Csv))
        .ok_or_else(|| EngineError::UnknownFormat { what: "output".to_owned(), path: path.to_owned() })
}

/// Writes labels and columns to `path`: whole or not at all. `notes` stand in the metadata of a Parquet file.
///
/// # Errors
/// [`EngineError::SameColumn`], [`EngineError::UnknownFormat`], [`EngineError::Io`]; [`EngineError::Arrow`] for a
/// column that has not one value for each label. What stood at `path` before stays
/// until the new file is complete.
pub fn write(
    path: &Path,
    labels: &LabelTable,
    columns: &[OutputColumn],
    notes: &[(String, String)],
) -> Result<u64, EngineError> {
    check_names(labels, columns.iter().map(|column| (column.name.as_str(), column.origin.as_str())))?;
    if let Some(column) = columns.iter().find(|column| column.values.len() != labels.len()) {
        let lengths = format!("{} values for {} labels", column.values.len(), labels.len());
        let reason = format!("{} has {lengths}", column.origin);
        return Err(EngineError::Arrow(arrow::error::ArrowError::InvalidArgumentError(reason)));
    }
    let format = format_of(path)?;
    let partial = partial_path(path);
    let written = match format {
        FileFormat::Parquet => write_parquet(&partial, labels, columns, notes),
        _ => write_csv(&partial, labels, columns),
    };
    // Messages name the file that was asked for.
    let written = written.map_err(|error| match error {
        EngineError::Io { doing, source, .. } => EngineError::Io { doing, path: path.to_owned(), source },
        other => other,
    });
    let written = written.and_then(|()| {
        std::fs::rename(&partial, path).map_err(|error| EngineError::writing(path, error))?;
        std::fs::metadata(path).map(|facts| facts.len()).map_err(|error| EngineError::writing(path, error))
    });
    if written.is_err() {
        // The error that counts is the first one; a left-over partial file is in nobody's way.
        let _ = std::fs::remove_file(&partial);
    }
    written
}

/// The name of an unfinished file, beside the finished one so that a rename is enough.
fn partial_path(path: &Path) -> PathBuf {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    path.with_file_name(format!(".{name}.{}.partial", std::process::id()))
}

fn write_parquet(
    path: &Path,
    labels: &LabelTable,
    columns: &[OutputColumn],
    notes: &[(String, String)],
) -> Result<(), EngineError> {
    let rows = labels.rows();
    let mut fields: Vec<Arc<Field>> = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (field, array) in rows.schema().fields().iter().zip(rows.columns()) {
        let array = match labels.time_column() {
            _ if !labels.is_text() => array.clone(),
            Some(column) if column == field.name() => labels.values(column, ValueType::Timestamp)?,
            _ => infer::typed(array),
        };
        fields.push(Arc::new(Field::new(field.name(), array.data_type().clone(), true)));
        arrays.push(array);
    }
    for column in columns {
        fields.push(Arc::new(Field::new(&column.name, column.values.data_type().clone(), true)));
        arrays.push(column.values.clone());
    }
    let metadata: HashMap<String, String> = notes.iter().cloned().collect();
    let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
    let all = RecordBatch::try_new(schema.clone(), arrays)?;

    let file = File::create(path).map_err(|error| EngineError::writing(path, error))?;
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
    let failed = |error: parquet::errors::ParquetError| parquet_failed(path, error);
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(failed)?;
    for start in (0..all.num_rows()).step_by(WRITE_ROWS) {
        let rows = WRITE_ROWS.min(all.num_rows() - start);
        writer.write(&all.slice(start, rows)).map_err(failed)?;
    }
    let file = writer.into_inner().map_err(failed)?;
    file.sync_all().map_err(|error| EngineError::writing(path, error))
}

fn parquet_failed(path: &Path, error: parquet::errors::ParquetError) -> EngineError {
    let source = match error {
        parquet::errors::ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(io) => *io,
            Err(other) => std::io::Error::other(other),
        },
        other => std::io::Error::other(other),
    };
    EngineError::writing(path, source)
}

fn write_csv(path: &Path, labels: &LabelTable, columns: &[OutputColumn]) -> Result<(), EngineError> {
    let failed = |error: std::io::Error| EngineError::writing(path, error);
    let broken = |error: csv::Error| match error.into_kind() {
        csv::ErrorKind::Io(error) => failed(error),
        kind => failed(std::io::Error::other(format!("{kind:?}"))),
    };
    let file = File::create(path).map_err(failed)?;
    let mut writer = csv::Writer::from_writer(BufWriter::new(file));
    let rows = labels.rows();
    let schema = rows.schema();
    let own = schema.fields().iter().map(|field| field.name().as_str());
    writer.write_record(own.chain(columns.iter().map(|column| column.name.as_str()))).map_err(broken)?;
    let options = FormatOptions::default().with_null("");
    let shown: Vec<ArrayRef> = rows.columns().iter().map(as_features_are).collect();
    let formatters = shown.iter().map(|array| formatter(array, &options)).collect::<Result<Vec<_>, _>>()?;
    let mut record: Vec<String> = Vec::new();
    for row in 0..rows.num_rows() {
        record.clear();
        for formatter in &formatters {
            record.push(formatter.value(row).try_to_string()?);
        }
        for column in columns {
            let value = value_at(&column.values, column.value_type, row);
            record.push(value.map_or_else(String::new, |value| to_text(&value)));
        }
        writer.write_record(&record).map_err(broken)?;
    }
    let mut buffered = writer.into_inner().map_err(|error| failed(error.into_error()))?;
    buffered.flush().map_err(failed)?;
    buffered.get_ref().sync_all().map_err(failed)
}

/// A label column in a form whose text is that of a feature: instants in UTC, bytes as base64.
fn as_features_are(array: &ArrayRef) -> ArrayRef {
    match normalise(array) {
        Some(plain) if *plain.data_type() == DataType::Binary => {
            let texts = plain.as_binary::<i32>().iter();
            let texts = texts.map(|bytes| bytes.map(|bytes| to_text(&Value::Bytes(bytes.to_owned()))));
            Arc::new(texts.collect::<StringArray>())
        }
        Some(plain) if matches!(plain.data_type(), DataType::Timestamp(..)) => in_utc(&plain),
        _ => array.clone(),
    }
}

fn formatter<'a>(
    array: &'a ArrayRef,
    options: &'a FormatOptions<'a>,
) -> Result<ArrayFormatter<'a>, EngineError> {
    Ok(ArrayFormatter::try_new(array.as_ref(), options)?)
}
