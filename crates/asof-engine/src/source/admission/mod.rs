//! Turns raw rows into history rows, once: canonical values, quarantine for bad rows, marks for bad features.
//!
//! A row whose key, event or created can't be read is bad: it is set aside with file, row and reason. A feature that
//! can't be read makes that feature ERROR in its row, and the row is taken (SEMANTICS 2).
//!
//! Reading order: here (whole rows), `rows` (keys and instants), `features`, `verdicts` (which rows are bad, and why).

mod features;
mod rows;
mod verdicts;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use asof_model::entry::{EntryError, Reading};
use asof_model::spec::{Feature, JoinKey, Source};
use asof_model::{Instant, ValueType};

use super::convert::convert;
use super::raw::RawBatch;
use super::wanted::WantedColumn;
use crate::EngineError;
use crate::columns::{CREATED, ERRORS, EVENT, arrow_type};
use crate::transform::{Shape, Shaped};
use features::Features;
use rows::Rows;

pub use features::{AdmittedFeatures, FeatureAdmission, FeatureErrors, error_type};
pub use rows::{AdmittedRows, RowAdmission};
pub use verdicts::BadRow;

/// How the rows of one view are admitted from its source.
pub struct Admission {
    /// The columns to read, and the source's query. Only a feature's column may be lacking in a file.
    shape: Shape,
    rows: Rows,
    features: Features,
    schema: SchemaRef,
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
        self.admit_known(raw, self.rows.created_at)
    }

    /// The same of rows that were pushed, which are known since they were admitted where no column says otherwise
    /// (SEMANTICS 1).
    ///
    /// # Errors
    /// As [`Admission::admit`].
    pub fn admit_pushed(&self, raw: &RawBatch, admitted: Instant) -> Result<Admitted, EngineError> {
        self.admit_known(raw, Some(admitted))
    }

    fn admit_known(&self, raw: &RawBatch, created_at: Option<Instant>) -> Result<Admitted, EngineError> {
        let shaped = self.shape.shaped(raw)?;
        // No feature makes a row bad, so this is final; errors outside the range are another load's to count.
        let AdmittedRows { taken, mut columns, bad, outside, filtered } =
            self.rows.admit(raw, &shaped, created_at);
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
