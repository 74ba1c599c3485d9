//! What rows hold, and which features can't be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, ListBuilder, StringBuilder, new_null_array};
use arrow::datatypes::DataType;
use asof_model::entry::Reading;
use asof_model::spec::{Feature, Source};
use serde::{Deserialize, Serialize};

use super::{Names, ask, read, reading_of};
use crate::EngineError;
use crate::source::raw::RawBatch;
use crate::source::wanted::WantedColumn;
use crate::transform::{Shape, Shaped};

/// How features are read of rows that were admitted before.
pub struct FeatureAdmission {
    shape: Shape,
    features: Features,
}

/// What rows hold.
pub(super) struct Features {
    pub(super) features: Vec<Feature>,
    reading: Reading,
    /// Places among the names of the shape.
    places: Vec<usize>,
}

/// Features of the rows of one raw batch.
pub struct AdmittedFeatures {
    /// A column for each feature, then the names of those in error.
    pub columns: Vec<ArrayRef>,
    /// For each feature with errors, how many and the first one in words.
    pub feature_errors: BTreeMap<String, FeatureErrors>,
}

/// Errors of one feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeatureErrors {
    /// Rows.
    pub count: u64,
    /// The first one: file, row and reason.
    pub first: String,
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

impl Features {
    pub(super) fn new<'a>(source: &Source, features: &'a [Feature], names: &mut Names<'a>) -> Self {
        let places = features.iter().map(|feature| ask(names, &feature.name, false)).collect();
        Self { features: features.to_vec(), reading: reading_of(source), places }
    }

    /// Errors of rows that are not `taken` are not counted.
    pub(super) fn read(
        &self,
        raw: &RawBatch,
        shaped: &Shaped<'_>,
        taken: Option<&BooleanArray>,
    ) -> AdmittedFeatures {
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
