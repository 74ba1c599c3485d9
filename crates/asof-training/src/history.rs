//! What a join reads: rows of history, in pieces that are read by themselves, in any order and from any thread.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::ScalarBuffer;

use crate::TrainingError;
use crate::explain::Skipped;

/// A part of a history that one thread reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Rows in it, as far as they are known before it is read.
    pub rows: Option<u64>,
    /// Bytes that are read for keys and instants, about.
    pub bytes: u64,
}

/// Keys and instants of some rows of a piece.
pub struct Instants {
    /// The number of each row, by which its features are asked for later: below `u32::MAX`, and ascending.
    pub rows: Vec<u32>,
    /// A column for each join key of the view, none of them null.
    pub keys: Vec<ArrayRef>,
    /// Event instants, microseconds.
    pub events: ScalarBuffer<i64>,
    /// Created instants, microseconds.
    pub createds: ScalarBuffer<i64>,
    /// The publication unit of each row.
    pub units: RowUnits,
    /// The features of the view, where they can't be asked for later.
    pub features: Option<RecordBatch>,
}

/// The publication units of rows, as numbers of [`Units`](crate::join::Units).
#[derive(Debug, Clone)]
pub enum RowUnits {
    /// All rows are of one.
    All(u32),
    /// The unit of each row.
    Each(Vec<u32>),
}

/// Features of some rows.
pub struct FeatureRows {
    /// A column for each feature that was asked for, then one that names features in error
    /// ([`ERRORS`](asof_engine::columns::ERRORS)).
    pub columns: RecordBatch,
    /// The unit of each row.
    pub units: RowUnits,
}

/// Rows of one view, or of several over one source. Files are listed and pruned when it is made.
pub trait History: Send + Sync {
    /// What is read, for people, such as "view `trips@1`".
    fn what(&self) -> &str;

    /// Its pieces, each by its place.
    fn pieces(&self) -> &[Piece];

    /// How many files the pieces are of.
    fn files(&self) -> u64;

    /// What was left out when the pieces were made.
    fn skipped(&self) -> Skipped;

    /// Whether features are asked for with [`History::features`]. If not they come with the instants.
    fn features_come_later(&self) -> bool;

    /// Reads keys and instants of a piece. `sink` is given the place of a view and some of its rows; each row of each view
    /// once. Work ends at once where `sink` says so by an error.
    ///
    /// # Errors
    /// Those of reading, and of `sink`.
    fn instants(
        &self,
        piece: usize,
        sink: &mut dyn FnMut(usize, Instants) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError>;

    /// Reads features of rows of a piece: `features` are places among those of the view, `rows` ascend. `sink` is given
    /// them in this order, in batches.
    ///
    /// # Errors
    /// Those of reading, and of `sink`.
    fn features(
        &self,
        piece: usize,
        view: usize,
        features: &[usize],
        rows: Arc<[u32]>,
        sink: &mut dyn FnMut(FeatureRows) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError>;

    /// Checks that nothing that was read has changed meanwhile.
    ///
    /// # Errors
    /// [`EngineError::Changed`](asof_engine::EngineError::Changed) names the file.
    fn check_unchanged(&self) -> Result<(), TrainingError>;
}

impl RowUnits {
    /// The unit of a row.
    pub fn at(&self, row: usize) -> u32 {
        match self {
            Self::All(unit) => *unit,
            Self::Each(units) => units[row],
        }
    }
}
