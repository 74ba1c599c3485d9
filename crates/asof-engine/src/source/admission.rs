//! Turns raw rows into history rows, once: canonical values, quarantine for bad rows, marks for bad features.
//!
//! A row whose key, event or created can't be read is bad: it is set aside with file, row and reason. A feature that
//! can't be read makes that feature ERROR in its row, and the row is taken (SEMANTICS 2).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListBuilder, RecordBatch, StringBuilder};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use asof_model::entry::{EntryError, KEY_BYTES_MAX, Reading};
use asof_model::spec::{Feature, JoinKey, Source};
use asof_model::{Instant, Value, ValueType};
use serde::{Deserialize, Serialize};

use super::convert::convert;
use super::raw::RawBatch;
use super::wanted::WantedColumn;
use crate::EngineError;
use crate::columns::{CREATED, ERRORS, EVENT, KeyColumns, arrow_type, constant};
use crate::transform::{Shape, Shaped, Verdict};

/// How the rows of one view are admitted from its source.
pub struct Admission {
    keys: Vec<JoinKey>,
    features: Vec<Feature>,
    reading: Reading,
    /// The columns to read, and the source's query. Only a feature's column may be lacking in a file.
    shape: Shape,
    /// Places among the names of `shape`.
    places: ColumnPlaces,
    /// The created instant of every row, where the source names none and it is not the event.
    created_at: Option<Instant>,
    /// Event instants from this one on are taken.
    from: Instant,
    /// Event instants before this one are taken; `None`: to the end of time.
    until: Option<Instant>,
    schema: SchemaRef,
}

/// Where each part of a row stands among the names.
struct ColumnPlaces {
    keys: Vec<usize>,
    event: usize,
    created: Option<usize>,
    features: Vec<usize>,
}

/// What came of one raw batch.
pub struct Admitted {
    /// History rows without the unit column: join keys, event, created, features, errors.
    pub rows: RecordBatch,
    /// Rows set aside.
    pub bad: Vec<BadRow>,
    /// For each feature with errors among `rows`, how many and the first one in words.
    pub feature_errors: BTreeMap<String, FeatureErrors>,
    /// Good rows whose event lies outside the asked range.
    pub outside: u64,
    /// Rows that the condition of the source's query leaves out.
    pub filtered: u64,
}

/// Why a value could not be had.
enum Fault {
    Entry(EntryError),
    /// What computes it is in ERROR.
    Computed(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(error) => error.fmt(out),
            Self::Computed(what) => write!(out, "{what} is in ERROR"),
        }
    }
}

/// Errors of one feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureErrors {
    /// Rows.
    pub count: u64,
    /// The first one: file, row and reason.
    pub first: String,
}

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

impl Admission {
    /// Admission of rows of a view with these `keys` and `features` from `source`, with `from <= event < until`.
    ///
    /// # Errors
    /// [`EngineError::Transform`] for a query of the source that can't be run.
    pub fn new(
        source: &Source,
        keys: &[JoinKey],
        features: &[Feature],
        from: Instant,
        until: Option<Instant>,
    ) -> Result<Self, EngineError> {
        let mut names: Vec<(&str, bool)> = Vec::new();
        let mut place = |name, required| {
            names.push((name, required));
            names.len() - 1
        };
        let places = ColumnPlaces {
            keys: keys.iter().map(|key| place(&key.name, true)).collect(),
            event: place(&source.event, true),
            created: source.created.as_deref().map(|created| place(created, true)),
            features: features.iter().map(|feature| place(&feature.name, false)).collect(),
        };
        let reading = Reading { zone: source.zone(), unit: source.unit };
        let shape = Shape::new(source, reading.clone(), &names)?;
        let mut fields: Vec<Field> = Vec::with_capacity(keys.len() + features.len() + 3);
        fields.extend(keys.iter().map(|key| Field::new(&key.name, arrow_type(key.value_type), true)));
        for name in [EVENT, CREATED] {
            fields.push(Field::new(name, arrow_type(ValueType::Timestamp), true));
        }
        fields.extend(features.iter().map(|each| Field::new(&each.name, arrow_type(each.value_type), true)));
        fields.push(Field::new(ERRORS, DataType::new_list(DataType::Utf8, true), true));
        Ok(Self {
            keys: keys.to_vec(),
            features: features.to_vec(),
            reading,
            shape,
            places,
            created_at: None,
            from,
            until,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    /// With this created instant for every row, where the source names no column of it: that of the input snapshot, for
    /// the rows of a query that is not row-wise (SEMANTICS 1).
    pub fn with_created(mut self, at: Option<Instant>) -> Self {
        self.created_at = at;
        self
    }

    /// The columns to read from the source's files.
    pub fn columns(&self) -> &[WantedColumn] {
        self.shape.wanted()
    }

    /// Judges every row of a batch that was read with [`Admission::columns`].
    ///
    /// # Errors
    /// [`EngineError::Arrow`], a defect of ours. Nothing about a row is an error.
    pub fn admit(&self, raw: &RawBatch) -> Result<Admitted, EngineError> {
        let mut verdicts = Verdicts::new(raw);
        let shaped = self.shape.shaped(raw)?;
        let mut filtered = 0;
        for (row, verdict) in shaped.verdicts().into_iter().enumerate() {
            match verdict {
                Verdict::Passes => {}
                Verdict::Dropped => {
                    verdicts.drop(row);
                    filtered += 1;
                }
                Verdict::Bad(reason) => verdicts.refuse(row, None, reason),
            }
        }
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for (key, place) in self.keys.iter().zip(&self.places.keys) {
            columns.push(self.required(&shaped, *place, key.value_type, "join key", &mut verdicts));
        }
        let event =
            self.required(&shaped, self.places.event, ValueType::Timestamp, "event time", &mut verdicts);
        let created = match self.places.created {
            Some(place) => self.required(&shaped, place, ValueType::Timestamp, "created time", &mut verdicts),
            None => match self.created_at {
                Some(at) => constant(ValueType::Timestamp, Some(&Value::Timestamp(at)), raw.rows),
                None => event.clone(),
            },
        };
        self.refuse_long_keys(&shaped, raw.rows, &columns, &mut verdicts);
        // No feature makes a row bad, so this is final; errors outside the range are another load's to count.
        let (keep, outside) = self.in_range(&event, &verdicts);
        let mut errors: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        let mut feature_errors: BTreeMap<String, FeatureErrors> = BTreeMap::new();
        let mut values = Vec::with_capacity(self.features.len());
        for (feature, place) in self.features.iter().zip(&self.places.features) {
            let (array, failed) = self.read(&shaped, *place, raw.rows, feature.value_type);
            for (row, error) in failed {
                if !keep.value(row) {
                    continue;
                }
                errors.entry(row).or_default().push(&feature.name);
                let first = || FeatureErrors { count: 0, first: format!("{}: {error}", verdicts.place(row)) };
                feature_errors.entry(feature.name.clone()).or_insert_with(first).count += 1;
            }
            values.push(array);
        }
        columns.extend([event, created]);
        columns.extend(values);
        columns.push(error_lists(&errors, raw.rows));
        let rows = RecordBatch::try_new(self.schema.clone(), columns)?;
        let rows = if keep.true_count() == raw.rows { rows } else { filter_record_batch(&rows, &keep)? };
        Ok(Admitted { rows, bad: verdicts.finish(), feature_errors, outside, filtered })
    }

    /// The canonical values behind a name, and the rows that have none with the reason.
    fn read(
        &self,
        shaped: &Shaped<'_>,
        place: usize,
        rows: usize,
        declared: ValueType,
    ) -> (ArrayRef, Vec<(usize, Fault)>) {
        let (array, failed) = convert(shaped.column(place), rows, declared, &self.reading);
        let mut faults: Vec<(usize, Fault)> =
            failed.into_iter().map(|(row, error)| (row, Fault::Entry(error))).collect();
        let (errors, what) = shaped.errors(place);
        faults.extend(errors.into_iter().map(|row| (row, Fault::Computed(what.clone()))));
        (array, faults)
    }

    /// A column without which a row is bad.
    fn required(
        &self,
        shaped: &Shaped<'_>,
        place: usize,
        declared: ValueType,
        role: &str,
        verdicts: &mut Verdicts<'_>,
    ) -> ArrayRef {
        let column = shaped.column(place);
        let rows = column.array.len();
        let (array, failed) = self.read(shaped, place, rows, declared);
        for (row, error) in failed {
            verdicts.refuse(row, Some(&column.name), format!("the {role}: {error}"));
        }
        if array.null_count() > 0 {
            for row in (0..rows).filter(|row| column.array.is_null(*row)) {
                verdicts.refuse(row, Some(&column.name), format!("the {role} is null"));
            }
        }
        array
    }

    fn refuse_long_keys(
        &self,
        shaped: &Shaped<'_>,
        rows: usize,
        columns: &[ArrayRef],
        verdicts: &mut Verdicts<'_>,
    ) {
        let texts =
            self.keys.iter().any(|key| matches!(key.value_type, ValueType::String | ValueType::Bytes));
        if !texts {
            return;
        }
        let keys = KeyColumns::new(columns.iter().zip(self.keys.iter().map(|key| key.value_type)).collect());
        let mut key = Vec::new();
        for row in 0..rows {
            if keys.encode(row, &mut key) && key.len() > KEY_BYTES_MAX {
                verdicts.refuse(
                    row,
                    Some(&shaped.column(self.places.keys[0]).name),
                    format!("the join key has {} bytes, at most {KEY_BYTES_MAX} are stored", key.len()),
                );
            }
        }
    }

    fn in_range(&self, event: &ArrayRef, verdicts: &Verdicts<'_>) -> (BooleanArray, u64) {
        let instants = event.as_primitive::<TimestampMicrosecondType>().values();
        let (from, until) = (self.from.micros(), self.until.map_or(i64::MAX, Instant::micros));
        let mut outside = 0;
        let keep = instants.iter().enumerate().map(|(row, event)| {
            let good = !verdicts.is_bad(row);
            let inside = (from..until).contains(event);
            outside += u64::from(good && !inside);
            Some(good && inside)
        });
        (keep.collect(), outside)
    }
}

/// The rows of a batch that were refused so far; a row is refused once, for its first reason.
struct Verdicts<'a> {
    raw: &'a RawBatch,
    refused: Vec<bool>,
    bad: Vec<BadRow>,
}

impl<'a> Verdicts<'a> {
    fn new(raw: &'a RawBatch) -> Self {
        let broken = raw.broken.iter().map(|broken| BadRow {
            file: raw.file.display().to_string(),
            row: broken.row,
            line: Some(broken.line),
            column: None,
            reason: broken.reason.clone(),
            values: BTreeMap::from([("*".to_owned(), Some(broken.text.clone()))]),
        });
        Self { raw, refused: vec![false; raw.rows], bad: broken.collect() }
    }

    fn is_bad(&self, row: usize) -> bool {
        self.refused[row]
    }

    /// A row that is none of the view's: neither good nor bad.
    fn drop(&mut self, row: usize) {
        self.refused[row] = true;
    }

    fn refuse(&mut self, row: usize, column: Option<&str>, reason: String) {
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

    /// Where a row stands, in words.
    fn place(&self, row: usize) -> String {
        match self.raw.places.at(row) {
            (number, Some(line)) => format!("{} row {number} (line {line})", self.raw.file.display()),
            (number, None) => format!("{} row {number}", self.raw.file.display()),
        }
    }

    fn finish(mut self) -> Vec<BadRow> {
        self.bad.sort_by_key(|bad| bad.row);
        self.bad
    }
}

/// The names of the features in error, for each row; null where none is.
fn error_lists(errors: &BTreeMap<usize, Vec<&str>>, rows: usize) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..rows {
        match errors.get(&row) {
            Some(names) => lists.append_value(names.iter().map(|name| Some(*name))),
            None => lists.append_null(),
        }
    }
    Arc::new(lists.finish())
}
