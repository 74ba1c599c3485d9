//! What was read of a source in place: rows, and what was wrong with them.

use std::collections::BTreeMap;

use asof_engine::source::BadRow;
use asof_engine::source::admission::FeatureErrors;
use parking_lot::Mutex;

/// What was read for one view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceCounts {
    /// Rows that were looked at, bad ones included.
    pub rows: u64,
    /// Rows that the condition of the source's query leaves out.
    pub filtered: u64,
    /// Rows left out because their key, event or created can't be read.
    pub bad: u64,
    /// The first of them in words, in order of files and rows.
    pub first_bad: Option<String>,
    /// Features that could not be read in rows that were looked at, with a count and the first reason each.
    pub feature_errors: BTreeMap<String, FeatureErrors>,
}

/// Counts that several threads add to. What is the first does not depend on who was.
#[derive(Default)]
pub(crate) struct Counting(Mutex<Counted>);

#[derive(Default)]
struct Counted {
    counts: SourceCounts,
    /// Where the first bad row is: its piece and its row.
    first_bad: Option<(usize, u64)>,
    /// Where the first error of each feature is.
    first_errors: BTreeMap<String, usize>,
}

impl Counting {
    pub fn rows(&self, piece: usize, rows: u64, filtered: u64, bad: &[BadRow]) {
        let mut of = self.0.lock();
        of.counts.rows += rows;
        of.counts.filtered += filtered;
        of.counts.bad += bad.len() as u64;
        let Some(first) = bad.first() else { return };
        if of.first_bad.is_none_or(|before| (piece, first.row) < before) {
            of.first_bad = Some((piece, first.row));
            of.counts.first_bad = Some(first.to_string());
        }
    }

    pub fn errors(&self, piece: usize, errors: BTreeMap<String, FeatureErrors>) {
        if errors.is_empty() {
            return;
        }
        let mut of = self.0.lock();
        for (feature, found) in errors {
            let first = of.first_errors.get(&feature).is_none_or(|before| piece < *before);
            if first {
                of.first_errors.insert(feature.clone(), piece);
            }
            match of.counts.feature_errors.get_mut(&feature) {
                Some(known) => {
                    known.count += found.count;
                    if first {
                        known.first = found.first;
                    }
                }
                None => {
                    of.counts.feature_errors.insert(feature, found);
                }
            }
        }
    }

    pub fn counts(&self) -> SourceCounts {
        self.0.lock().counts.clone()
    }

    /// Begins anew.
    pub fn clear(&self) {
        *self.0.lock() = Counted::default();
    }
}
