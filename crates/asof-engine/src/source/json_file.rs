//! Reads newline-delimited JSON: one object on each line, either line ending, a byte-order mark, blank lines.
//!
//! Values are kept as they are written, so that a number reaches its declared type in one step. A name that is missing
//! in an object is null, or what the file's folders say. A line that is no JSON object, that has a name twice, or that is
//! longer than [`LINE_BYTES_MAX`], is broken; the next line is read as if it had not been there.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::raw::{BrokenRow, Form, Places, RawBatch, RawColumn};
use super::stream::{self, BUFFER_BYTES, Bytes};
use super::wanted::WantedColumn;
use super::{RAW_BATCH_ROWS, RawBatches, SourceFile};
use crate::EngineError;

/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Bytes of lines in one batch, a line more or less: Arrow counts the bytes of a column in 31 bits.
const BATCH_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Characters of a broken line that are kept for people to find it.
const BROKEN_TEXT_CHARS_MAX: usize = 200;

/// Opens a file of JSON lines; see [`super::open`].
pub fn open(file: &SourceFile, columns: &[WantedColumn]) -> Result<RawBatches, EngineError> {
    open_bounded(file, columns, LINE_BYTES_MAX, BATCH_BYTES_MAX)
}

fn open_bounded(
    file: &SourceFile,
    columns: &[WantedColumn],
    line_bytes_max: usize,
    batch_bytes_max: usize,
) -> Result<RawBatches, EngineError> {
    let columns = columns.iter().map(|column| Column {
        name: column.name.clone(),
        told: file.partitions.get(&column.name).map(|value| value.map(quoted)),
    });
    Ok(Box::new(JsonBatches {
        reader: BufReader::with_capacity(BUFFER_BYTES, stream::open(file)?),
        file: file.clone(),
        columns: columns.collect(),
        row: 0,
        line: 0,
        line_bytes_max,
        batch_bytes_max,
        done: false,
    }))
}

/// Rows that are JSON objects in memory, a text each. `origin` names them in messages; the first is row 1.
pub fn batch_of(origin: &Path, rows: &[impl AsRef<[u8]>], columns: &[WantedColumn]) -> RawBatch {
    let columns: Vec<Column> =
        columns.iter().map(|column| Column { name: column.name.clone(), told: None }).collect();
    let mut builders: Vec<StringBuilder> =
        columns.iter().map(|_| StringBuilder::with_capacity(rows.len(), rows.len() * 8)).collect();
    let (mut places, mut broken) = (Vec::with_capacity(rows.len()), Vec::new());
    for (text, row) in rows.iter().zip(1..) {
        match members(text.as_ref(), &columns) {
            Ok(members) => {
                places.push((row, row));
                for (builder, member) in builders.iter_mut().zip(members) {
                    builder.append_option(member.map(RawValue::get).filter(|text| *text != "null"));
                }
            }
            Err(reason) => {
                broken.push(BrokenRow { row, line: row, reason, text: beginning(text.as_ref()) });
            }
        }
    }
    let columns = columns.iter().zip(builders).map(|(column, mut builder)| {
        let array: ArrayRef = Arc::new(builder.finish());
        RawColumn { name: column.name.clone(), array, form: Form::Json }
    });
    RawBatch {
        file: origin.into(),
        rows: places.len(),
        columns: columns.collect(),
        lacking: Vec::new(),
        places: Places::Each(places),
        broken,
    }
}

/// The names in the first `lines` lines, in order of first use. Lines that are no objects have none.
pub fn sampled_names(file: &SourceFile, lines: usize) -> Result<Vec<String>, EngineError> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, stream::open(file)?);
    let (mut names, mut line) = (Vec::new(), Vec::new());
    let mut known = HashSet::new();
    for _ in 0..lines {
        let found = read_line(&mut reader, &mut line, LINE_BYTES_MAX);
        let Some(_) = found.map_err(|error| stream::failed(file, error))? else { break };
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        let Ok(members) = serde_json::from_slice::<Map<String, Value>>(text) else { continue };
        names.extend(members.into_iter().map(|(name, _)| name).filter(|name| known.insert(name.clone())));
    }
    Ok(names)
}

/// A text as JSON.
fn quoted(text: &str) -> String {
    // Text always has a JSON form.
    serde_json::to_string(text).unwrap_or_default()
}

/// A wanted column.
struct Column {
    name: String,
    /// What the folders say of it, as JSON, where they say anything.
    told: Option<Option<String>>,
}

/// The batches of a file of JSON lines.
struct JsonBatches {
    reader: BufReader<Bytes>,
    file: SourceFile,
    columns: Vec<Column>,
    /// Rows read so far.
    row: u64,
    /// Lines read so far.
    line: u64,
    line_bytes_max: usize,
    batch_bytes_max: usize,
    done: bool,
}

impl Iterator for JsonBatches {
    type Item = Result<RawBatch, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let batch = self.read_batch();
        self.done = !matches!(&batch, Ok(batch) if batch.rows + batch.broken.len() > 0);
        match batch {
            Ok(_) if self.done => None,
            batch => Some(batch),
        }
    }
}

impl JsonBatches {
    fn read_batch(&mut self) -> Result<RawBatch, EngineError> {
        let mut builders: Vec<StringBuilder> = self.columns.iter().map(|_| StringBuilder::new()).collect();
        let mut seen = vec![false; self.columns.len()];
        let (mut places, mut broken, mut bytes) = (Vec::with_capacity(RAW_BATCH_ROWS), Vec::new(), 0);
        let mut line = Vec::new();
        while places.len() + broken.len() < RAW_BATCH_ROWS && bytes < self.batch_bytes_max {
            let found = read_line(&mut self.reader, &mut line, self.line_bytes_max);
            let Some(whole) = found.map_err(|error| stream::failed(&self.file, error))? else { break };
            self.line += 1;
            bytes += line.len();
            let text = match self.line {
                1 => line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line),
                _ => &line,
            };
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            self.row += 1;
            let members = if whole {
                members(text, &self.columns)
            } else {
                Err(format!("the line has more than {} bytes", self.line_bytes_max))
            };
            let members = match members {
                Ok(members) => members,
                Err(reason) => {
                    let text = beginning(text);
                    broken.push(BrokenRow { row: self.row, line: self.line, reason, text });
                    continue;
                }
            };
            places.push((self.row, self.line));
            for (index, member) in members.into_iter().enumerate() {
                let told = self.columns[index].told.as_ref();
                seen[index] |= member.is_some() || told.is_some();
                let text = member.map(RawValue::get).or(told.and_then(Option::as_deref));
                builders[index].append_option(text.filter(|text| *text != "null"));
            }
        }
        let lacking = seen.iter().enumerate().filter(|(_, seen)| !**seen && !places.is_empty());
        let columns = self.columns.iter().zip(builders).map(|(column, mut builder)| {
            let array: ArrayRef = Arc::new(builder.finish());
            RawColumn { name: column.name.clone(), array, form: Form::Json }
        });
        Ok(RawBatch {
            file: self.file.path.clone(),
            rows: places.len(),
            columns: columns.collect(),
            lacking: lacking.map(|(place, _)| place).collect(),
            places: Places::Each(places),
            broken,
        })
    }
}

/// Reads a line into `line`, without its end, and says whether it is whole: of one that is longer than `max`, the
/// beginning is kept and the rest is skipped. `None`: there is no line any more.
fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>, max: usize) -> io::Result<Option<bool>> {
    line.clear();
    let (mut any, mut whole) = (false, true);
    loop {
        let buffer = match reader.fill_buf() {
            Ok(buffer) => buffer,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if buffer.is_empty() {
            break;
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        let room = max - line.len();
        whole &= part.len() <= room;
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            break;
        }
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(any.then_some(whole))
}

fn beginning(text: &[u8]) -> String {
    // A character takes four bytes at most.
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * BROKEN_TEXT_CHARS_MAX)]).into_owned();
    text.chars().take(BROKEN_TEXT_CHARS_MAX).collect()
}

/// The values of the wanted members of an object, as they are written; or why the line is no row.
fn members<'de>(line: &'de [u8], columns: &[Column]) -> Result<Vec<Option<&'de RawValue>>, String> {
    let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8 text".to_owned())?;
    let mut json = serde_json::Deserializer::from_str(text);
    let found = Members { columns }.deserialize(&mut json).and_then(|found| json.end().map(|()| found));
    found.map_err(|error| {
        let reason = error.to_string().replace(" at line 1 column ", " at byte ");
        format!("the line is not a JSON object: {reason}")
    })
}

/// Reads an object, and keeps the wanted members.
struct Members<'a> {
    columns: &'a [Column],
}

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut found = vec![None; self.columns.len()];
        let mut names: Vec<Cow<'de, str>> = Vec::new();
        while let Some(name) = entries.next_key_seed(Name)? {
            let value: &RawValue = entries.next_value()?;
            for (column, place) in self.columns.iter().zip(&mut found) {
                if column.name == name {
                    *place = Some(value);
                }
            }
            names.push(name);
        }
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(A::Error::custom(format!("the name {:?} stands twice in it", pair[0]))),
            None => Ok(found),
        }
    }
}

/// Reads a name, without a copy where it has no escapes.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, line_bytes_max: usize, batch_bytes_max: usize) -> Vec<RawBatch> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ndjson");
        std::fs::write(&path, text).unwrap();
        let file = SourceFile::local(&path, text.len() as u64, None).unwrap();
        let batches = open_bounded(&file, &[WantedColumn::required("a")], line_bytes_max, batch_bytes_max);
        batches.unwrap().map(Result::unwrap).collect()
    }

    /// Goal: a line beyond the bound is broken, is not kept, and does not touch its neighbours.
    #[test]
    fn long_lines_are_broken() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(3 * BUFFER_BYTES));
        let batches = read(&format!("{{\"a\":1}}\n{long}\n{{\"a\":2}}"), 100, BATCH_BYTES_MAX);
        let [batch] = &batches[..] else { panic!("{} batches", batches.len()) };
        assert_eq!((batch.rows, batch.places.at(1)), (2, (3, Some(3))));
        let broken = &batch.broken[0];
        assert_eq!((broken.row, broken.line, broken.text.len()), (2, 2, 100));
        assert_eq!(broken.reason, "the line has more than 100 bytes");
    }

    /// Goal: a batch ends where its bytes reach the bound, and rows stay numbered across batches.
    #[test]
    fn batches_are_bounded_in_bytes() {
        let batches = read(&"{\"a\":12}\n".repeat(25), 100, 80);
        assert_eq!(batches.iter().map(|batch| batch.rows).collect::<Vec<_>>(), [10, 10, 5]);
        assert_eq!(batches[2].places.at(4), (25, Some(25)));
    }
}
