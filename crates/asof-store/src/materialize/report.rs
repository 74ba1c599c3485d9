//! What came of a materialisation: for each view its counts or its failure, and the totals.

use std::collections::BTreeMap;
use std::path::PathBuf;

use asof_engine::source::admission::FeatureErrors;
use asof_engine::source::{Admitted, RawBatch};
use asof_model::{Explain, Kind, ViewId};
use serde::{Deserialize, Serialize};

use super::unit::Outcome;
use crate::StoreError;

/// The most files that are gone and named in a report.
pub const VANISHED_SHOWN_MAX: usize = 10;

/// What came of a materialisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MaterializeReport {
    /// The views that came through, in order of their names.
    pub views: Vec<ViewLoad>,
    /// The views that did not. What was published of them until then stays, and the next run goes on from there.
    pub failures: Vec<ViewFailure>,
    /// Views that read their source in place: there is nothing to load.
    #[serde(default)]
    pub in_place: Vec<String>,
    /// The sums over `views`.
    pub totals: Totals,
}

/// What came of one view.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ViewLoad {
    /// The view.
    pub view: String,
    /// Files of the source.
    pub files: u64,
    /// Of those, files whose rows were all published before and that were not read again.
    pub files_known: u64,
    /// Files that were read before and are gone. Their rows stay. Counted by a load since the last one.
    #[serde(default)]
    pub files_vanished: u64,
    /// The first of them by name, at most [`VANISHED_SHOWN_MAX`].
    #[serde(default)]
    pub vanished: Vec<String>,
    /// Bytes read.
    pub bytes: u64,
    /// Rows read.
    pub rows_read: u64,
    /// Rows written to history in this run.
    pub rows_written: u64,
    /// Of those, rows that no row in force or waiting was identical to.
    pub rows_added: u64,
    /// Rows that were there already: identical to one in force or waiting, or to another one of their unit.
    pub rows_repeated: u64,
    /// Rows that became the latest of their key, or wait to.
    pub rows_online: u64,
    /// Rows that were in force or waited, and no longer stand since their range was replaced.
    pub rows_removed: u64,
    /// Rows left to history, since their keys are not active (`online: { active_within }`).
    #[serde(default)]
    pub rows_inactive: u64,
    /// Whether a range was replaced.
    pub replaced: bool,
    /// Rows whose event lies outside the asked range.
    pub rows_outside: u64,
    /// Rows that the condition of the source's query leaves out.
    #[serde(default)]
    pub rows_filtered: u64,
    /// Rows set aside.
    pub rows_bad: u64,
    /// Rows left out because their key was erased (`forget`).
    pub rows_erased: u64,
    /// Where the rows set aside are.
    pub quarantine: Option<PathBuf>,
    /// Columns of features that some of the files do not have: their rows have null there.
    pub lacking_columns: BTreeMap<String, LackingColumn>,
    /// Features that could not be read, with a count and the first reason each.
    pub feature_errors: BTreeMap<String, FeatureErrors>,
    /// Rows with equal instants and other values, where the source names no created column.
    pub conflicts: u64,
    /// Rows that wait for their instant: the most that one unit left waiting under the keys that it touched.
    pub waiting: u64,
    /// Of those, rows in overflow records.
    pub waiting_overflowed: u64,
    /// Units of an earlier run that were found half done and finished.
    pub units_recovered: u64,
    /// Units that were there already.
    pub units_already: u64,
    /// Units published in this run.
    pub units_published: u64,
    /// Whether every file was published before, so that there was nothing to do.
    pub unchanged: bool,
    /// Seconds it took.
    pub seconds: f64,
}

/// A column that files lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LackingColumn {
    /// Files read without it.
    pub files: u64,
    /// The first of them.
    pub first: String,
}

/// Why a view could not be loaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ViewFailure {
    /// The view.
    pub view: String,
    /// The class of the error.
    pub kind: Kind,
    /// The error.
    pub message: String,
    /// What is behind it, the nearest first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hint: Option<String>,
}

/// Sums over views.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// See [`ViewLoad::rows_read`].
    pub rows_read: u64,
    /// See [`ViewLoad::rows_added`].
    pub rows_added: u64,
    /// See [`ViewLoad::rows_repeated`].
    pub rows_repeated: u64,
    /// See [`ViewLoad::rows_bad`].
    pub rows_bad: u64,
    /// Values in ERROR.
    pub value_errors: u64,
    /// See [`ViewLoad::conflicts`].
    pub conflicts: u64,
    /// See [`ViewLoad::bytes`].
    pub bytes: u64,
    /// See [`ViewLoad::units_published`].
    pub units_published: u64,
    /// Seconds from the beginning to the end: less than the sum, as several views are loaded at a time.
    pub seconds: f64,
}

impl MaterializeReport {
    /// Sorts out what came of each view. `in_place`: views that were left out. `seconds`: how long it took together.
    pub(super) fn new(
        outcomes: Vec<(ViewId, Result<ViewLoad, StoreError>)>,
        in_place: Vec<String>,
        seconds: f64,
    ) -> Self {
        let (mut views, mut failures) = (Vec::new(), Vec::new());
        for (view, outcome) in outcomes {
            match outcome {
                Ok(load) => views.push(load),
                Err(error) => failures.push(ViewFailure::new(&view, &error)),
            }
        }
        let mut totals = Totals { seconds, ..Totals::default() };
        views.iter().for_each(|load| totals.add(load));
        Self { views, failures, in_place, totals }
    }
}

impl Totals {
    /// The numbers of one view.
    pub fn of(load: &ViewLoad) -> Self {
        let mut sums = Self { seconds: load.seconds, ..Self::default() };
        sums.add(load);
        sums
    }

    fn add(&mut self, load: &ViewLoad) {
        self.rows_read += load.rows_read;
        self.rows_added += load.rows_added;
        self.rows_repeated += load.rows_repeated;
        self.rows_bad += load.rows_bad;
        self.value_errors += load.value_errors();
        self.conflicts += load.conflicts;
        self.bytes += load.bytes;
        self.units_published += load.units_published;
    }
}

impl ViewFailure {
    fn new(view: &ViewId, error: &StoreError) -> Self {
        Self {
            view: view.to_string(),
            kind: error.kind(),
            message: error.to_string(),
            causes: error.causes(),
            hint: error.hint(),
        }
    }
}

impl ViewLoad {
    pub(super) fn new(view: &ViewId) -> Self {
        Self { view: view.to_string(), ..Self::default() }
    }

    /// Values in ERROR, over all features.
    pub fn value_errors(&self) -> u64 {
        self.feature_errors.values().map(|errors| errors.count).sum()
    }

    pub(super) fn lacks(&mut self, column: &str, file: &str) {
        let first = || LackingColumn { files: 0, first: file.to_owned() };
        self.lacking_columns.entry(column.to_owned()).or_insert_with(first).files += 1;
    }

    /// Counts what came of a raw batch.
    pub(super) fn count_rows(&mut self, raw: &RawBatch, admitted: &Admitted) {
        self.rows_read += (raw.rows + raw.broken.len()) as u64;
        self.rows_bad += admitted.bad.len() as u64;
        self.rows_outside += admitted.outside;
        self.rows_filtered += admitted.filtered;
        for (feature, errors) in &admitted.feature_errors {
            let sum = self.feature_errors.entry(feature.clone());
            sum.and_modify(|sum| sum.count += errors.count).or_insert_with(|| errors.clone());
        }
    }

    /// Counts what came of a unit.
    pub(super) fn count_unit(&mut self, outcome: &Outcome) {
        self.rows_written += outcome.rows_written;
        self.rows_added += outcome.rows_written.saturating_sub(outcome.rows_repeated);
        self.rows_repeated += outcome.rows_repeated;
        self.rows_online += outcome.rows_online;
        self.conflicts += outcome.conflicts;
        self.waiting = self.waiting.max(outcome.waiting);
        self.waiting_overflowed = self.waiting_overflowed.max(outcome.waiting_overflowed);
        self.rows_removed += outcome.rows_removed;
        self.rows_inactive += outcome.rows_inactive;
        if outcome.already {
            self.units_already += outcome.units;
        } else {
            self.units_published += outcome.units;
        }
    }
}
