//! Reads CSV files: RFC 4180 with a header line, quoted line breaks, a byte-order mark, either line ending.
//!
//! An empty field is null, quoted or not. Rows with another number of fields than the header are broken, and so is a
//! last row with a quote that is never closed. A record longer than [`RECORD_BYTES_MAX`] makes the file damaged:
//! where the next one begins can't be told. Nothing else about a row is judged here.
//!
//! The file is read once, from beginning to end, so it may be compressed or far away.

use std::io::{self, Read};
use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder};
use csv::ByteRecord;

use super::raw::{BrokenRow, Form, Places, RawBatch, RawColumn};
use super::stream::{self, BUFFER_BYTES, Bytes};
use super::wanted::{Origin, WantedColumn, filled, lacking, origins};
use super::{RAW_BATCH_ROWS, RawBatches, SourceFile};
use crate::EngineError;

/// The longest record, in bytes. A longer one is most often a quote that is never closed.
const RECORD_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Bytes of fields in one batch, a record more or less: Arrow counts the bytes of a column in 31 bits.
const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What is put behind the last byte of a file, on a line of its own, to see whether a quote was open there: then this
/// becomes a part of the last field, and otherwise a record of its own.
const END: &[u8] = b"\0the end of the file\0";

/// Characters of a broken row that are kept for people to find it.
const BROKEN_TEXT_CHARS_MAX: usize = 200;

/// Opens a CSV file; see [`super::open`].
pub fn open(what: &str, file: &SourceFile, columns: &[WantedColumn]) -> Result<RawBatches, EngineError> {
    open_bounded(what, file, columns, RECORD_BYTES_MAX, BATCH_BYTES_MAX)
}

fn open_bounded(
    what: &str,
    file: &SourceFile,
    columns: &[WantedColumn],
    record_bytes_max: usize,
    batch_bytes_max: usize,
) -> Result<RawBatches, EngineError> {
    let mut reader = reader(file, record_bytes_max)?;
    let header = read_header(&mut reader, file)?;
    let header_breaks: u64 = header.iter().map(|name| line_breaks(name.as_bytes())).sum();
    let carriage_returns = reader.position().line() == 1 + header_breaks;
    let origins = origins(what, file, "CSV", columns, &header)?;
    Ok(Box::new(CsvBatches {
        reader,
        file: file.clone(),
        columns: columns.iter().map(|column| column.name.clone()).collect(),
        origins,
        width: header.len(),
        row: 0,
        carriage_returns,
        record_bytes_max,
        batch_bytes_max,
        done: false,
    }))
}

fn reader(file: &SourceFile, record_bytes_max: usize) -> Result<csv::Reader<Bounded>, EngineError> {
    let bytes = stream::open(file)?;
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).buffer_capacity(BUFFER_BYTES);
    let ended = Tail { length: 0, terminated: true, rest: None };
    Ok(builder.from_reader(Bounded { bytes, left: record_bytes_max, tail: ended }))
}

/// A file of which only so much can be read until more is granted, so that a quote that is never closed does not
/// bring all of it into memory; behind its last byte comes [`END`].
struct Bounded {
    bytes: Bytes,
    /// Bytes that may still be read.
    left: usize,
    tail: Tail,
}

/// How a file ends.
struct Tail {
    /// Bytes of the file, so far.
    length: u64,
    /// Whether the last of them ends a line.
    terminated: bool,
    /// What is to come of [`END`]. `None`: the end of the file was not met.
    rest: Option<Vec<u8>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(rest) = &mut self.tail.rest {
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            rest.drain(..count);
            return Ok(count);
        }
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the record is too long"));
        }
        let most = buffer.len().min(self.left);
        let read = self.bytes.read(&mut buffer[..most])?;
        self.left -= read;
        if read > 0 {
            self.tail.length += read as u64;
            self.tail.terminated = matches!(buffer[read - 1], b'\n' | b'\r');
            return Ok(read);
        }
        let line_end: &[u8] = if self.tail.terminated { b"" } else { b"\n" };
        self.tail.rest = Some([line_end, END].concat());
        self.read(buffer)
    }
}

/// The names of a CSV file's columns, in order.
///
/// # Errors
/// [`EngineError::Damaged`] for an empty file or names that are not text.
pub fn names(file: &SourceFile) -> Result<Vec<String>, EngineError> {
    read_header(&mut reader(file, RECORD_BYTES_MAX)?, file)
}

fn read_header(reader: &mut csv::Reader<Bounded>, file: &SourceFile) -> Result<Vec<String>, EngineError> {
    let mut record = ByteRecord::new();
    reader.read_byte_record(&mut record).map_err(|error| damaged(file, 1, error))?;
    if record.as_slice() == END {
        let reason = "it is empty, and a header line is expected".to_owned();
        return Err(EngineError::Damaged { path: file.path.to_path_buf(), format: "CSV", reason });
    }
    if record.as_slice().ends_with(END) {
        let reason = "a quote in the header is never closed".to_owned();
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

/// What an error means that was met in the record that begins at `line`.
fn damaged(file: &SourceFile, line: u64, error: csv::Error) -> EngineError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => EngineError::Damaged {
            path: file.path.to_path_buf(),
            format: "CSV",
            reason: format!(
                "the row at line {line} has no end within the bytes allowed; is a quote never closed?"
            ),
        },
        csv::ErrorKind::Io(error) => stream::failed(file, error),
        kind => {
            EngineError::Damaged { path: file.path.to_path_buf(), format: "CSV", reason: format!("{kind:?}") }
        }
    }
}

/// The batches of a CSV file.
struct CsvBatches {
    reader: csv::Reader<Bounded>,
    file: SourceFile,
    columns: Vec<String>,
    /// For each asked column, where it stands.
    origins: Vec<Origin>,
    /// Fields in the header.
    width: usize,
    /// Rows read so far.
    row: u64,
    /// Whether rows end in a carriage return and a line break. The reader stops between the two.
    carriage_returns: bool,
    record_bytes_max: usize,
    batch_bytes_max: usize,
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
        let mut builders: Vec<BinaryBuilder> = self.origins.iter().map(|_| BinaryBuilder::new()).collect();
        let mut places = Vec::with_capacity(RAW_BATCH_ROWS);
        let mut broken = Vec::new();
        let mut record = ByteRecord::new();
        let mut bytes = 0;
        while places.len() + broken.len() < RAW_BATCH_ROWS && bytes < self.batch_bytes_max {
            self.reader.get_mut().left = self.record_bytes_max;
            let before = self.reader.position().line();
            let found = self.reader.read_byte_record(&mut record);
            found.map_err(|error| damaged(&self.file, before, error))?;
            if record.as_slice() == END || record.is_empty() {
                break;
            }
            self.row += 1;
            bytes += record.as_slice().len();
            let (line, judged) = (self.line(&record), self.judge(&record));
            if let Some(reason) = judged {
                broken.push(BrokenRow { row: self.row, line, reason, text: beginning(&record) });
                continue;
            }
            places.push((self.row, line));
            for (builder, origin) in builders.iter_mut().zip(&self.origins) {
                let Origin::File(place) = origin else { continue };
                match record.get(*place) {
                    Some(field) if !field.is_empty() => builder.append_value(field),
                    _ => builder.append_null(),
                }
            }
        }
        let columns = self.columns.iter().zip(&self.origins).zip(builders);
        let columns = columns.map(|((name, origin), mut builder)| {
            filled(origin, name, places.len()).unwrap_or_else(|| {
                let array: ArrayRef = Arc::new(builder.finish());
                RawColumn { name: name.clone(), array, form: Form::Text }
            })
        });
        Ok(RawBatch {
            file: self.file.path.clone(),
            rows: places.len(),
            columns: columns.collect(),
            lacking: lacking(&self.origins),
            places: Places::Each(places),
            broken,
        })
    }

    /// Why a record is no row, if it is none.
    fn judge(&self, record: &ByteRecord) -> Option<String> {
        if swallowed_end(record) {
            let reason = "a quote in the row is never closed: everything behind it was read as one field";
            return Some(reason.to_owned());
        }
        let (found, expected) = (record.len(), self.width);
        (found != expected).then(|| format!("the row has {found} fields, the header has {expected}"))
    }

    /// The line on which a record that was just read begins. The reader gives it that of the end of the record
    /// before, which is another where blank lines or a carriage return lie between.
    fn line(&self, record: &ByteRecord) -> u64 {
        let tail = &self.reader.get_ref().tail;
        // The line end that a file lacks was put there by us, and has no carriage return.
        let ours =
            !tail.terminated && tail.rest.is_some() && self.reader.position().byte() == tail.length + 1;
        let counted = u64::from(!swallowed_end(record) && (ours || !self.carriage_returns));
        self.reader.position().line().saturating_sub(line_breaks(record.as_slice()) + counted)
    }
}

/// Whether the end of the file came within a quoted field.
fn swallowed_end(record: &ByteRecord) -> bool {
    record.as_slice().ends_with(END)
}

fn line_breaks(bytes: &[u8]) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

fn beginning(record: &ByteRecord) -> String {
    let fields = record.iter().map(|field| String::from_utf8_lossy(field.strip_suffix(END).unwrap_or(field)));
    let text = fields.collect::<Vec<_>>().join(",");
    text.chars().take(BROKEN_TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(
        text: &str,
        record_bytes_max: usize,
        batch_bytes_max: usize,
    ) -> Vec<Result<RawBatch, EngineError>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, text).unwrap();
        let file = SourceFile::local(&path, text.len() as u64, None).unwrap();
        open_bounded("source `a`", &file, &[WantedColumn::required("a")], record_bytes_max, batch_bytes_max)
            .unwrap()
            .collect()
    }

    /// Goal: a quote that is never closed does not bring a whole file into memory: reading stops at the bound.
    #[test]
    fn an_endless_record_is_damage() {
        let text = format!("a\n1\n\"{}", "x,\n".repeat(2 * BUFFER_BYTES));
        let batches = read(&text, BUFFER_BYTES + 100, BATCH_BYTES_MAX);
        let Err(error) = &batches[0] else { panic!("the record has six times the bytes allowed") };
        assert!(error.to_string().contains("the row at line 3 has no end"), "{error}");
        assert_eq!(batches.len(), 1);
    }

    /// Goal: a batch ends where its bytes reach the bound, and rows stay numbered across batches.
    #[test]
    fn batches_are_bounded_in_bytes() {
        let text = format!("a\n{}", "0123456789\n".repeat(25));
        let batches: Vec<RawBatch> =
            read(&text, RECORD_BYTES_MAX, 100).into_iter().map(Result::unwrap).collect();
        assert_eq!(batches.iter().map(|batch| batch.rows).collect::<Vec<_>>(), [10, 10, 5]);
        assert_eq!(batches[2].places.at(4), (25, Some(26)));
    }
}
