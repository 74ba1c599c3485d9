//! What is made: how many rows of what kind.

use crate::BenchError;

/// A history of one feature view, and labels to train on.
///
/// Keys are skewed: the key of rank `r` has a share of rows that falls as `1 / sqrt(r)`. Rows come in the order of time,
/// up to an hour late. One row in a hundred corrects the one before: same key and event, known later. One label in fifty
/// has a key without history, one value of `amount` in twenty is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Rows of history.
    pub rows: u64,
    /// Label rows.
    pub labels: u64,
    /// Keys that have history.
    pub entities: u64,
    /// Days that history spans; labels lie in the last nine tenths of them.
    pub days: u32,
    /// Files of history.
    pub files: u32,
    /// What all of it is drawn from.
    pub seed: u64,
}

/// Rows of a row group of history.
pub const GROUP_ROWS: u64 = 1_000_000;

impl Workload {
    /// So many rows and labels, with about a hundred rows for each key, over 90 days, in files of up to 25 million rows.
    pub fn new(rows: u64, labels: u64) -> Self {
        let files = rows.div_ceil(25 * GROUP_ROWS).clamp(1, 10_000) as u32;
        Self { rows, labels, entities: (rows / 100).max(1), days: 90, files, seed: 1 }
    }

    /// Checks that the numbers go together.
    ///
    /// # Errors
    /// [`BenchError::Workload`].
    pub fn check(&self) -> Result<(), BenchError> {
        let refused = |reason| Err(BenchError::Workload { reason });
        match self {
            Self { rows: 0, .. } | Self { labels: 0, .. } => refused("there must be rows and labels"),
            Self { entities: 0, .. } => refused("there must be keys"),
            Self { days: 0, .. } | Self { days: 36_501.., .. } => refused("history spans 1 to 36500 days"),
            Self { files: 0, .. } => refused("there must be a file"),
            _ => Ok(()),
        }
    }

    /// The first instant of history, microseconds: 2024-01-01.
    pub(crate) const START: i64 = 1_704_067_200_000_000;

    /// The time that history spans, microseconds.
    pub(crate) fn span(&self) -> i64 {
        i64::from(self.days) * 86_400_000_000
    }

    /// The rows of a file, by its number.
    pub(crate) fn rows_of(&self, file: u32) -> std::ops::Range<u64> {
        let at = |file: u64| (u128::from(self.rows) * u128::from(file) / u128::from(self.files)) as u64;
        at(u64::from(file))..at(u64::from(file) + 1)
    }
}
