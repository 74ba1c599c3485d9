//! Which rows are bad, and why.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::source::raw::RawBatch;

/// A row set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRow {
    /// The file.
    pub file: String,
    /// The row's number in the file, from 1; a header is no row.
    pub row: u64,
    /// Its line, from 1, where the format has lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column at fault, where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Why.
    pub reason: String,
    /// What was read of the row: column to text.
    pub values: BTreeMap<String, Option<String>>,
}

impl fmt::Display for BadRow {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} row {}", self.file, self.row)?;
        if let Some(line) = self.line {
            write!(out, " (line {line})")?;
        }
        write!(out, ": {}", self.reason)
    }
}

/// The rows of a batch that were refused so far; a row is refused once, for its first reason.
pub(super) struct Verdicts<'a> {
    raw: &'a RawBatch,
    refused: Vec<bool>,
    any: bool,
    bad: Vec<BadRow>,
}

impl<'a> Verdicts<'a> {
    pub(super) fn new(raw: &'a RawBatch) -> Self {
        let broken = raw.broken.iter().map(|broken| BadRow {
            file: raw.file.display().to_string(),
            row: broken.row,
            line: Some(broken.line),
            column: None,
            reason: broken.reason.clone(),
            values: BTreeMap::from([("*".to_owned(), Some(broken.text.clone()))]),
        });
        Self { raw, refused: vec![false; raw.rows], any: false, bad: broken.collect() }
    }

    pub(super) fn is_bad(&self, row: usize) -> bool {
        self.refused[row]
    }

    /// A row that is none of the view's: neither good nor bad.
    pub(super) fn drop(&mut self, row: usize) {
        self.any = true;
        self.refused[row] = true;
    }

    pub(super) fn refuse(&mut self, row: usize, column: Option<&str>, reason: String) {
        self.any = true;
        if std::mem::replace(&mut self.refused[row], true) {
            return;
        }
        let (number, line) = self.raw.places.at(row);
        // Names of ours say what the reason says.
        let columns = self.raw.columns.iter().filter(|column| !column.name.starts_with("__"));
        let values = columns.map(|column| (column.name.clone(), column.text_at(row)));
        self.bad.push(BadRow {
            file: self.raw.file.display().to_string(),
            row: number,
            line,
            column: column.map(str::to_owned),
            reason,
            values: values.collect(),
        });
    }

    /// Whether any row was refused or dropped.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    pub(super) fn finish(mut self) -> Vec<BadRow> {
        self.bad.sort_by_key(|bad| bad.row);
        self.bad
    }
}
