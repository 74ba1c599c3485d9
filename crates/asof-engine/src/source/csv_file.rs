//! Reads CSV files: RFC 4180 with a header line, quoted line breaks, a byte-order mark, either line ending.
//!
//! An empty field is null. Rows with another number of fields than the header are broken, and so are records longer
//! than [`RECORD_BYTES_MAX`]; nothing else about a row is judged here.

use std::fs::File;
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder};
use asof_model::name;
use csv::ByteRecord;

use super::raw::{BrokenRow, Places, RawBatch, RawColumn};
use super::{RAW_BATCH_ROWS, RawBatches, SourceFile};
use crate::EngineError;

/// The longest record, in bytes. A longer one is most often a quote that is never closed.
const RECORD_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Characters of a broken row that are kept for people to find it.
const BROKEN_TEXT_CHARS_MAX: usize = 200;

/// Opens a CSV file; see [`super::open`].
pub fn open(what: &str, file: &SourceFile, columns: &[String]) -> Result<RawBatches, EngineError> {
    let handle = File::open(&file.path).map_err(|error| EngineError::reading(&file.path, error))?;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(1 << 20)
        .from_reader(handle);
    let header = read_header(&mut reader, file)?;
    let mut places = Vec::with_capacity(columns.len());
    for column in columns {
        places.push(find(what, file, &header, column)?);
    }
    Ok(Box::new(CsvBatches {
        reader,
        file: file.clone(),
        columns: columns.to_vec(),
        places,
        width: header.len(),
        row: 0,
        done: false,
    }))
}

/// The names of a CSV file's columns, in order.
///
/// # Errors
/// [`EngineError::Damaged`] for an empty file or names that are not text.
pub fn names(file: &SourceFile) -> Result<Vec<String>, EngineError> {
    let handle = File::open(&file.path).map_err(|error| EngineError::reading(&file.path, error))?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(handle);
    read_header(&mut reader, file)
}

fn read_header(reader: &mut csv::Reader<File>, file: &SourceFile) -> Result<Vec<String>, EngineError> {
    let mut record = ByteRecord::new();
    let found = reader.read_byte_record(&mut record).map_err(|error| damaged(file, error))?;
    if !found {
        let reason = "it is empty, and a header line is expected".to_owned();
        return Err(EngineError::Damaged { path: file.path.to_path_buf(), format: "CSV", reason });
    }
    let mut names = Vec::with_capacity(record.len());
    for (index, field) in record.iter().enumerate() {
        let field = if index == 0 { field.strip_prefix(b"\xef\xbb\xbf").unwrap_or(field) } else { field };
        let name = std::str::from_utf8(field).map_err(|_| EngineError::Damaged {
            path: file.path.to_path_buf(),
            format: "CSV",
            reason: format!("the name of column {} is not UTF-8 text", index + 1),
        })?;
        names.push(name.trim().to_owned());
    }
    Ok(names)
}

fn find(what: &str, file: &SourceFile, header: &[String], column: &str) -> Result<usize, EngineError> {
    let mut found = header.iter().enumerate().filter(|(_, name)| *name == column).map(|(index, _)| index);
    match (found.next(), found.next()) {
        (Some(index), None) => Ok(index),
        (Some(_), Some(_)) => Err(EngineError::Damaged {
            path: file.path.to_path_buf(),
            format: "CSV",
            reason: format!("the header has two columns named `{column}`"),
        }),
        (None, _) => Err(EngineError::NoColumn {
            what: what.to_owned(),
            path: file.path.to_path_buf(),
            column: column.to_owned(),
            hint: name::suggestion(column, header.iter().map(String::as_str)),
        }),
    }
}

fn damaged(file: &SourceFile, error: csv::Error) -> EngineError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => EngineError::reading(&file.path, error),
        kind => EngineError::Damaged {
            path: file.path.to_path_buf(),
            format: "CSV",
            reason: format!("{kind:?}"),
        },
    }
}

/// The batches of a CSV file.
struct CsvBatches {
    reader: csv::Reader<File>,
    file: SourceFile,
    columns: Vec<String>,
    /// For each asked column, its place in the file.
    places: Vec<usize>,
    /// Fields in the header.
    width: usize,
    /// Rows read so far.
    row: u64,
    done: bool,
}

impl Iterator for CsvBatches {
    type Item = Result<RawBatch, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let batch = self.read_batch();
        self.done = !matches!(&batch, Ok(batch) if batch.rows + batch.broken.len() > 0);
        match batch {
            Ok(batch) if self.done && batch.broken.is_empty() => None,
            batch => Some(batch),
        }
    }
}

impl CsvBatches {
    fn read_batch(&mut self) -> Result<RawBatch, EngineError> {
        let mut builders: Vec<BinaryBuilder> = self.places.iter().map(|_| BinaryBuilder::new()).collect();
        let mut places = Vec::with_capacity(RAW_BATCH_ROWS);
        let mut broken = Vec::new();
        let mut record = ByteRecord::new();
        while places.len() + broken.len() < RAW_BATCH_ROWS {
            if !self.reader.read_byte_record(&mut record).map_err(|error| damaged(&self.file, error))? {
                break;
            }
            self.row += 1;
            let line = record.position().map_or(0, csv::Position::line);
            if let Some(reason) = self.judge(&record) {
                broken.push(BrokenRow { row: self.row, line, reason, text: beginning(&record) });
                continue;
            }
            places.push((self.row, line));
            for (builder, place) in builders.iter_mut().zip(&self.places) {
                match record.get(*place) {
                    Some(field) if !field.is_empty() => builder.append_value(field),
                    _ => builder.append_null(),
                }
            }
        }
        let columns = self.columns.iter().zip(builders).map(|(name, mut builder)| {
            let array: ArrayRef = Arc::new(builder.finish());
            RawColumn { name: name.clone(), array, text: true }
        });
        Ok(RawBatch {
            file: self.file.path.clone(),
            rows: places.len(),
            columns: columns.collect(),
            places: Places::Each(places),
            broken,
        })
    }

    fn judge(&self, record: &ByteRecord) -> Option<String> {
        if record.as_slice().len() > RECORD_BYTES_MAX {
            return Some(format!("the row has more than {RECORD_BYTES_MAX} bytes; is a quote never closed?"));
        }
        let (found, expected) = (record.len(), self.width);
        (found != expected).then(|| format!("the row has {found} fields, the header has {expected}"))
    }
}

fn beginning(record: &ByteRecord) -> String {
    let text = record.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(",");
    text.chars().take(BROKEN_TEXT_CHARS_MAX).collect()
}
