//! Turns raw rows into history rows, once: canonical values, quarantine for bad rows, marks for bad features.
//!
//! A row whose key, event or created can't be read is bad: it is set aside with file, row and reason. A feature that
//! can't be read makes that feature ERROR in its row, and the row is taken (SEMANTICS 2).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListBuilder, RecordBatch, StringBuilder, new_null_array,
};
use arrow::compute::{filter_record_batch, max, min};
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
    /// The columns to read, and the source's query. Only a feature's column may be lacking in a file.
    shape: Shape,
    rows: Rows,
    features: Features,
    schema: SchemaRef,
}

/// How keys and instants of a view's rows are admitted, without their features.
pub struct RowAdmission {
    shape: Shape,
    rows: Rows,
}

/// How features are read of rows that were admitted before.
pub struct FeatureAdmission {
    shape: Shape,
    features: Features,
}

/// Whether a row is one, and of which key and instants.
struct Rows {
    keys: Vec<JoinKey>,
    reading: Reading,
    /// Places among the names of the shape.
    key_places: Vec<usize>,
    event_place: usize,
    created_place: Option<usize>,
    /// The created instant of every row, where the source names none and it is not the event.
    created_at: Option<Instant>,
    /// Event instants from this one on are taken.
    from: Instant,
    /// Event instants before this one are taken; `None`: to the end of time.
    until: Option<Instant>,
}

/// What rows hold.
struct Features {
    features: Vec<Feature>,
    reading: Reading,
    /// Places among the names of the shape.
    places: Vec<usize>,
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

/// Keys and instants of the rows of one raw batch.
pub struct AdmittedRows {
    /// Which rows of the batch are taken. `None`: all.
    pub taken: Option<BooleanArray>,
    /// A column for each join key, then event and created: of every row of the batch, taken or not.
    pub columns: Vec<ArrayRef>,
    /// Rows set aside.
    pub bad: Vec<BadRow>,
    /// Good rows whose event lies outside the asked range.
    pub outside: u64,
    /// Rows that the condition of the source's query leaves out.
    pub filtered: u64,
}

/// Features of the rows of one raw batch.
pub struct AdmittedFeatures {
    /// A column for each feature, then the names of those in error.
    pub columns: Vec<ArrayRef>,
    /// For each feature with errors, how many and the first one in words.
    pub feature_errors: BTreeMap<String, FeatureErrors>,
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
        let mut names = Vec::new();
        let rows = Rows::new(source, keys, (from, until), &mut names);
        let features = Features::new(source, features, &mut names);
        let shape = Shape::new(source, reading_of(source), &names, true)?;
        let mut fields: Vec<Field> = Vec::with_capacity(keys.len() + features.features.len() + 3);
        fields.extend(keys.iter().map(|key| Field::new(&key.name, arrow_type(key.value_type), true)));
        for name in [EVENT, CREATED] {
            fields.push(Field::new(name, arrow_type(ValueType::Timestamp), true));
        }
        let of_features = features.features.iter();
        fields.extend(of_features.map(|each| Field::new(&each.name, arrow_type(each.value_type), true)));
        fields.push(Field::new(ERRORS, error_type(), true));
        Ok(Self { shape, rows, features, schema: Arc::new(Schema::new(fields)) })
    }

    /// With this created instant for every row, where the source names no column of it: that of the input snapshot, for
    /// the rows of a query that is not row-wise (SEMANTICS 1).
    pub fn with_created(mut self, at: Option<Instant>) -> Self {
        self.rows.created_at = at;
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
        let shaped = self.shape.shaped(raw)?;
        // No feature makes a row bad, so this is final; errors outside the range are another load's to count.
        let AdmittedRows { taken, mut columns, bad, outside, filtered } = self.rows.admit(raw, &shaped);
        let features = self.features.read(raw, &shaped, taken.as_ref());
        columns.extend(features.columns);
        let rows = RecordBatch::try_new(self.schema.clone(), columns)?;
        let rows = match &taken {
            Some(taken) => filter_record_batch(&rows, taken)?,
            None => rows,
        };
        Ok(Admitted { rows, bad, feature_errors: features.feature_errors, outside, filtered })
    }
}

impl RowAdmission {
    /// Admission of rows of a view with these `keys`, of any event.
    ///
    /// # Errors
    /// [`EngineError::Transform`] for a query of the source that can't be run.
    pub fn new(source: &Source, keys: &[JoinKey]) -> Result<Self, EngineError> {
        let mut names = Vec::new();
        let rows = Rows::new(source, keys, (Instant::MIN, None), &mut names);
        Ok(Self { shape: Shape::new(source, reading_of(source), &names, true)?, rows })
    }

    /// The columns to read from the source's files.
    pub fn columns(&self) -> &[WantedColumn] {
        self.shape.wanted()
    }

    /// The place among [`RowAdmission::columns`] of the event, where it passes as it stands in the files.
    pub fn event_column(&self) -> Option<usize> {
        self.shape.passes(self.rows.event_place)
    }

    /// The place among [`RowAdmission::columns`] of a join key, where it passes as it stands in the files.
    pub fn key_column(&self, key: usize) -> Option<usize> {
        self.shape.passes(*self.rows.key_places.get(key)?)
    }

    /// Judges every row of a batch that was read with [`RowAdmission::columns`].
    ///
    /// # Errors
    /// A defect of ours. Nothing about a row is an error.
    pub fn admit(&self, raw: &RawBatch) -> Result<AdmittedRows, EngineError> {
        Ok(self.rows.admit(raw, &self.shape.shaped(raw)?))
    }
}

impl FeatureAdmission {
    /// Reading of these features of rows that were admitted.
    ///
    /// # Errors
    /// [`EngineError::Transform`] for a query of the source that can't be run.
    pub fn new(source: &Source, features: &[Feature]) -> Result<Self, EngineError> {
        let mut names = Vec::new();
        let features = Features::new(source, features, &mut names);
        Ok(Self { shape: Shape::new(source, reading_of(source), &names, false)?, features })
    }

    /// The columns to read from the source's files.
    pub fn columns(&self) -> &[WantedColumn] {
        self.shape.wanted()
    }

    /// Reads the features of every row of a batch that was read with [`FeatureAdmission::columns`].
    ///
    /// # Errors
    /// A defect of ours. Nothing about a row is an error.
    pub fn read(&self, raw: &RawBatch) -> Result<AdmittedFeatures, EngineError> {
        Ok(self.features.read(raw, &self.shape.shaped(raw)?, None))
    }
}

fn reading_of(source: &Source) -> Reading {
    Reading { zone: source.zone(), unit: source.unit }
}

/// The names that are asked of a shape, each with whether a row is nothing without it.
type Names<'a> = Vec<(&'a str, bool)>;

/// Asks for one more name; returns its place.
fn ask<'a>(names: &mut Names<'a>, name: &'a str, required: bool) -> usize {
    names.push((name, required));
    names.len() - 1
}

/// The canonical values behind a name, and the rows that have none with the reason.
fn read(
    shaped: &Shaped<'_>,
    place: usize,
    rows: usize,
    declared: ValueType,
    reading: &Reading,
) -> (ArrayRef, Vec<(usize, Fault)>) {
    let (array, failed) = convert(shaped.column(place), rows, declared, reading);
    let mut faults: Vec<(usize, Fault)> =
        failed.into_iter().map(|(row, error)| (row, Fault::Entry(error))).collect();
    let (errors, what) = shaped.errors(place);
    faults.extend(errors.into_iter().map(|row| (row, Fault::Computed(what.clone()))));
    (array, faults)
}

impl Rows {
    fn new<'a>(
        source: &'a Source,
        keys: &'a [JoinKey],
        (from, until): (Instant, Option<Instant>),
        names: &mut Names<'a>,
    ) -> Self {
        Self {
            keys: keys.to_vec(),
            reading: reading_of(source),
            key_places: keys.iter().map(|key| ask(names, &key.name, true)).collect(),
            event_place: ask(names, &source.event, true),
            created_place: source.created.as_deref().map(|created| ask(names, created, true)),
            created_at: None,
            from,
            until,
        }
    }

    fn admit(&self, raw: &RawBatch, shaped: &Shaped<'_>) -> AdmittedRows {
        let mut verdicts = Verdicts::new(raw);
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
        let mut columns: Vec<ArrayRef> = Vec::new();
        for (key, place) in self.keys.iter().zip(&self.key_places) {
            columns.push(self.required(shaped, *place, key.value_type, "join key", &mut verdicts));
        }
        let event =
            self.required(shaped, self.event_place, ValueType::Timestamp, "event time", &mut verdicts);
        let created = match self.created_place {
            Some(place) => self.required(shaped, place, ValueType::Timestamp, "created time", &mut verdicts),
            None => match self.created_at {
                Some(at) => constant(ValueType::Timestamp, Some(&Value::Timestamp(at)), raw.rows),
                None => event.clone(),
            },
        };
        self.refuse_long_keys(shaped, raw.rows, &columns, &mut verdicts);
        let (taken, outside) = self.in_range(&event, &verdicts);
        columns.extend([event, created]);
        AdmittedRows { taken, columns, bad: verdicts.finish(), outside, filtered }
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
        let (array, failed) = read(shaped, place, rows, declared, &self.reading);
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
                    Some(&shaped.column(self.key_places[0]).name),
                    format!("the join key has {} bytes, at most {KEY_BYTES_MAX} are stored", key.len()),
                );
            }
        }
    }

    /// The rows that are taken, `None` for all, and how many good ones lie outside the range.
    fn in_range(&self, event: &ArrayRef, verdicts: &Verdicts<'_>) -> (Option<BooleanArray>, u64) {
        let instants = event.as_primitive::<TimestampMicrosecondType>();
        let (from, until) = (self.from.micros(), self.until.map_or(i64::MAX, Instant::micros));
        let bounds = min(instants).zip(max(instants));
        if !verdicts.any() && bounds.is_none_or(|(first, last)| from <= first && last < until) {
            return (None, 0);
        }
        let mut outside = 0;
        let keep = instants.values().iter().enumerate().map(|(row, event)| {
            let good = !verdicts.is_bad(row);
            let inside = (from..until).contains(event);
            outside += u64::from(good && !inside);
            Some(good && inside)
        });
        let keep: BooleanArray = keep.collect();
        (Some(keep), outside)
    }
}

impl Features {
    fn new<'a>(source: &Source, features: &'a [Feature], names: &mut Names<'a>) -> Self {
        let places = features.iter().map(|feature| ask(names, &feature.name, false)).collect();
        Self { features: features.to_vec(), reading: reading_of(source), places }
    }

    /// Errors of rows that are not `taken` are not counted.
    fn read(&self, raw: &RawBatch, shaped: &Shaped<'_>, taken: Option<&BooleanArray>) -> AdmittedFeatures {
        let mut errors: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
        let mut feature_errors: BTreeMap<String, FeatureErrors> = BTreeMap::new();
        let mut columns = Vec::with_capacity(self.features.len() + 1);
        for (feature, place) in self.features.iter().zip(&self.places) {
            let (array, failed) = read(shaped, *place, raw.rows, feature.value_type, &self.reading);
            for (row, error) in failed {
                if taken.is_some_and(|taken| !taken.value(row)) {
                    continue;
                }
                errors.entry(row).or_default().push(&feature.name);
                let first = || FeatureErrors { count: 0, first: format!("{}: {error}", place_of(raw, row)) };
                feature_errors.entry(feature.name.clone()).or_insert_with(first).count += 1;
            }
            columns.push(array);
        }
        columns.push(error_lists(&errors, raw.rows));
        AdmittedFeatures { columns, feature_errors }
    }
}

/// The rows of a batch that were refused so far; a row is refused once, for its first reason.
struct Verdicts<'a> {
    raw: &'a RawBatch,
    refused: Vec<bool>,
    any: bool,
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
        Self { raw, refused: vec![false; raw.rows], any: false, bad: broken.collect() }
    }

    fn is_bad(&self, row: usize) -> bool {
        self.refused[row]
    }

    /// A row that is none of the view's: neither good nor bad.
    fn drop(&mut self, row: usize) {
        self.any = true;
        self.refused[row] = true;
    }

    fn refuse(&mut self, row: usize, column: Option<&str>, reason: String) {
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
    fn any(&self) -> bool {
        self.any
    }

    fn finish(mut self) -> Vec<BadRow> {
        self.bad.sort_by_key(|bad| bad.row);
        self.bad
    }
}

/// Where a row stands, in words.
fn place_of(raw: &RawBatch, row: usize) -> String {
    match raw.places.at(row) {
        (number, Some(line)) => format!("{} row {number} (line {line})", raw.file.display()),
        (number, None) => format!("{} row {number}", raw.file.display()),
    }
}

/// The type of the column that names features in error.
pub fn error_type() -> DataType {
    DataType::new_list(DataType::Utf8, true)
}

/// The names of the features in error, for each row; null where none is.
fn error_lists(errors: &BTreeMap<usize, Vec<&str>>, rows: usize) -> ArrayRef {
    if errors.is_empty() {
        return new_null_array(&error_type(), rows);
    }
    let mut lists = ListBuilder::new(StringBuilder::new());
    for row in 0..rows {
        match errors.get(&row) {
            Some(names) => lists.append_value(names.iter().map(|name| Some(*name))),
            None => lists.append_null(),
        }
    }
    Arc::new(lists.finish())
}
