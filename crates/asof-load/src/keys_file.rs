//! Keys that are read from a file: the first line names the join keys, each further one is an entity.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::error::LoadError;
use crate::keys::json_text;

/// The largest file of keys, in bytes. It is held in memory.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

/// The entities of a file, as JSON, ready to be sent.
#[derive(Debug, Clone, Serialize)]
pub struct KeysFile {
    path: PathBuf,
    names: Vec<String>,
    rows: u64,
    #[serde(skip)]
    cells: Arc<Cells>,
}

/// One text for all cells, and where each ends.
#[derive(Debug, Default)]
struct Cells {
    json: Vec<u8>,
    ends: Vec<usize>,
}

impl KeysFile {
    /// Reads a file of CSV whose first line names the join keys: `zipcode:int,dob_ssn`. Values are sent as text; those of a
    /// column with `:int` behind its name as whole numbers. An empty cell is a null key.
    ///
    /// # Errors
    /// [`LoadError::Io`]; [`LoadError::KeysFile`] for what is no CSV of this form, has no entity, or more than
    /// [`FILE_BYTES_MAX`].
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let io = |source| LoadError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        Self::read_from(path, file.take(FILE_BYTES_MAX + 1))
    }

    fn read_from(path: &Path, source: impl Read) -> Result<Self, LoadError> {
        let wrong = |line, reason: String| LoadError::KeysFile { path: path.to_owned(), line, reason };
        let broken = |error: csv::Error| {
            let line = error.position().map(csv::Position::line);
            match error.into_kind() {
                csv::ErrorKind::Io(source) => LoadError::Io { path: path.to_owned(), source },
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    wrong(line, format!("{len} values where {expected_len} are named"))
                }
                csv::ErrorKind::Utf8 { .. } => wrong(line, "not UTF-8".to_owned()),
                _ => wrong(line, "not CSV".to_owned()),
            }
        };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(source);
        let mut columns = Vec::new();
        for name in reader.headers().map_err(broken)? {
            // A file may begin with a mark of its encoding.
            let name = name.trim_start_matches('\u{feff}');
            let (name, int) = name.strip_suffix(":int").map_or((name, false), |name| (name, true));
            if name.is_empty() {
                return Err(wrong(Some(1), "a join key without a name".to_owned()));
            }
            columns.push((name.to_owned(), int));
        }
        let (mut cells, mut rows) = (Cells::default(), 0);
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(broken)? {
            for (cell, (name, int)) in record.iter().zip(&columns) {
                match (cell, int) {
                    ("", _) => cells.json.extend_from_slice(b"null"),
                    (text, false) => cells.json.extend_from_slice(&json_text(text)),
                    (text, true) => {
                        let line = record.position().map(csv::Position::line);
                        let number: i64 = text
                            .parse()
                            .map_err(|_| wrong(line, format!("`{text}` is no whole number for `{name}`")))?;
                        cells.json.extend_from_slice(number.to_string().as_bytes());
                    }
                }
                cells.ends.push(cells.json.len());
            }
            rows += 1;
        }
        if reader.position().byte() > FILE_BYTES_MAX {
            return Err(wrong(None, format!("more than {FILE_BYTES_MAX} bytes")));
        }
        if rows == 0 || columns.is_empty() {
            return Err(wrong(None, "no entity in it".to_owned()));
        }
        let names = columns.into_iter().map(|(name, _)| name).collect();
        Ok(Self { path: path.to_owned(), names, rows, cells: Arc::new(cells) })
    }

    /// The join keys.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// How many entities there are: at least one.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The value of a row, from 0, in a column, from 0, as JSON; nothing beyond.
    pub(crate) fn cell(&self, row: u64, column: usize) -> &[u8] {
        let index = row as usize * self.names.len() + column;
        let ends = &self.cells.ends;
        let start = index.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
        ends.get(index).and_then(|end| self.cells.json.get(start..*end)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<KeysFile, LoadError> {
        KeysFile::read_from(Path::new("keys.csv"), text.as_bytes())
    }

    /// Goal: cells become JSON by the kind of their column, and stay with their row.
    #[test]
    fn cells() {
        let keys =
            read("\u{feff}zipcode:int, dob_ssn\n94109,19530219_5179\n 7 ,\"a\"\"b,c\"\n,0012\n").unwrap();
        assert_eq!(keys.names().collect::<Vec<_>>(), ["zipcode", "dob_ssn"]);
        let cells =
            |row| [keys.cell(row, 0), keys.cell(row, 1)].map(|cell| std::str::from_utf8(cell).unwrap());
        assert_eq!(keys.rows(), 3);
        assert_eq!(cells(0), ["94109", r#""19530219_5179""#]);
        assert_eq!(cells(1), ["7", r#""a\"b,c""#]);
        assert_eq!(cells(2), ["null", r#""0012""#]);
        assert_eq!(keys.cell(3, 0), b"");
    }

    /// Goal: what is wrong is told with the file and its line.
    #[test]
    fn files_that_cannot_be_used() {
        for (text, told) in [
            ("", "keys of `keys.csv`: no entity in it"),
            ("a,b\n", "keys of `keys.csv`: no entity in it"),
            ("a,\n1,2\n", "keys of `keys.csv`, line 1: a join key without a name"),
            ("a,b\n1,2\n3\n", "keys of `keys.csv`, line 3: 1 values where 2 are named"),
            ("a:int\n1\nx\n", "keys of `keys.csv`, line 3: `x` is no whole number for `a`"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), told);
        }
        let bytes = KeysFile::read_from(Path::new("k"), b"a\n\xff\n".as_slice()).unwrap_err();
        assert_eq!(bytes.to_string(), "keys of `k`, line 2: not UTF-8");
        let missing = KeysFile::read(Path::new("/nowhere/keys.csv")).unwrap_err();
        assert!(missing.to_string().starts_with("cannot read `/nowhere/keys.csv`: "), "{missing}");
    }
}
