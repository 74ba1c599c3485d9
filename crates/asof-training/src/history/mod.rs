//! What a join reads: rows of history, in pieces that are read by themselves, in any order and from any thread.
//!
//! [`table`] is the history of a view, [`source`] the files of a source that is read in place, [`stream`] what can be
//! read only once. [`files`](self) is what the first two share.

mod counts;
mod files;
pub mod source;
pub mod stream;
pub mod table;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::ScalarBuffer;

use crate::TrainingError;
use crate::explain::Skipped;

pub use counts::SourceCounts;
pub use source::SourceHistory;
pub use stream::{StreamHistory, StreamInput};
pub use table::{TableFile, TableHistory};

/// Rows at a time, small enough for the caches of a core and large enough to spread fixed costs.
pub(crate) const BATCH_ROWS: usize = 32_768;

/// Rows of one view, or of several over one source.
pub trait HistorySource: Send + Sync {
    /// What is read, for people, such as "view `trips@1`".
    fn what(&self) -> &str;

    /// How many views it has rows of.
    fn views(&self) -> usize;

    /// Whether features are asked for with [`History::features`]. If not they come with the instants.
    fn features_come_later(&self) -> bool;

    /// Lists the pieces in which rows may matter. `reach` says for each view which rows do.
    ///
    /// # Errors
    /// Those of reading footers.
    fn open(&self, reach: &[Reach], threads: usize) -> Result<Box<dyn History + '_>, TrainingError>;
}

/// Rows of one view, or of several over one source, whose pieces are known.
pub trait History: Send + Sync {
    /// Its pieces, each by its place.
    fn pieces(&self) -> &[Piece];

    /// How many files the pieces are of.
    fn files(&self) -> u64;

    /// What was left out.
    fn skipped(&self) -> Skipped;

    /// Reads keys and instants of a piece. `sink` is given the place of a view and some of its rows; each row of each view
    /// once. `wanted` says which keys labels have; where these are few, rows of others may be left out. Returns how many
    /// rows were looked at. Work ends at once where `sink` says so by an error.
    ///
    /// # Errors
    /// Those of reading, and of `sink`.
    fn instants(
        &self,
        piece: usize,
        wanted: &dyn WantedKeys,
        sink: &mut InstantsSink<'_>,
    ) -> Result<u64, TrainingError>;

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
        sink: &mut FeaturesSink<'_>,
    ) -> Result<(), TrainingError>;

    /// Checks that nothing that was read has changed meanwhile.
    ///
    /// # Errors
    /// [`EngineError::Changed`](asof_engine::EngineError::Changed) names the file.
    fn check_unchanged(&self) -> Result<(), TrainingError>;
}

/// What takes keys and instants of rows of a view.
pub type InstantsSink<'a> = dyn FnMut(usize, Instants) -> Result<(), TrainingError> + 'a;

/// What takes features of rows.
pub type FeaturesSink<'a> = dyn FnMut(FeatureRows) -> Result<(), TrainingError> + 'a;

/// A part of a history that one thread reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Rows in it, as far as they are known before it is read.
    pub rows: Option<u64>,
    /// Bytes that are read for keys and instants, about; 0 where that is not known.
    pub bytes: u64,
}

/// Which rows of a view can matter to the labels.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Events before this instant can't, microseconds.
    pub from: i64,
    /// Events after this instant can't.
    pub until: i64,
    /// The first label time. Without labels it is behind the last.
    pub first_label: i64,
    /// Values of the first join key without which no row can. `None`: any value may.
    pub keys: Option<KeyValuesWanted>,
    /// Whether it matters of which unit a row is before its features are read.
    pub units_matter: bool,
}

/// Values of a join key that labels have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyValuesWanted {
    /// These numbers, which ascend.
    Numbers(Arc<[i64]>),
    /// Numbers from one to another.
    Between(i64, i64),
    /// These texts, which ascend byte by byte.
    Texts(Arc<[Box<[u8]>]>),
}

/// Which keys labels have, as far as rows of others can be left out early.
pub trait WantedKeys {
    /// Whether so few rows of a view have a key of a label that it pays to look at keys first.
    fn are_few(&self, view: usize) -> bool;

    /// For each row with these join keys whether a label may have its key.
    fn may_have(&self, view: usize, keys: &[ArrayRef]) -> Vec<bool>;
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
    /// All features of the view in order of addition, then errors, where they can't be asked for later.
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

impl RowUnits {
    /// The unit of a row.
    pub fn at(&self, row: usize) -> u32 {
        match self {
            Self::All(unit) => *unit,
            Self::Each(units) => units[row],
        }
    }
}
