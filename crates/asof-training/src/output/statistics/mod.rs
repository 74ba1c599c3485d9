//! What the columns of an output hold: counts, bounds, moments, an estimate of distinct values, quantiles.
//!
//! Numbers are gathered by ranges of labels and merged in order of these, so that they are the same however many threads
//! have worked. Moments skip nulls and what is not finite. Distinct values are [estimated](crate::distinct::Distinct).
//! Quantiles are those of a sample: of all values where the table is small, else of some tens of thousands, chosen by the
//! numbers of their rows.
//!
//! Reading order: here (what is told), `counter` (a column, range by range), `numbers` (sums and bounds).

mod counter;
mod numbers;

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use serde::Serialize;

pub(crate) use counter::ColumnCounter;

/// Values of a column that are sampled over all ranges, about.
const SAMPLE_VALUES: usize = 65_536;

/// Values that are sampled of a range, at least.
const SAMPLE_RANGE_VALUES_MIN: usize = 64;

/// What a column holds.
#[derive(Debug, Clone, Serialize)]
pub struct ColumnStatistics {
    /// Its name.
    pub column: String,
    /// Its type, as Arrow names it.
    #[serde(rename = "type")]
    pub data_type: String,
    /// Values that are not null.
    pub count: u64,
    /// Nulls.
    pub nulls: u64,
    /// Nulls of all rows, from 0 to 1.
    pub null_rate: f64,
    /// Of floats, values that are NaN or infinite. They are in no bound, moment or quantile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_finite: Option<u64>,
    /// The least value; of texts the first byte by byte. `None`: there is none, or the type has no order.
    pub min: Option<Told>,
    /// The greatest value.
    pub max: Option<Told>,
    /// The mean of numbers; of flags the part that is true.
    pub mean: Option<f64>,
    /// The standard deviation of the sample.
    pub std: Option<f64>,
    /// How many distinct values there are, about.
    pub distinct: Option<u64>,
    /// Quantiles of numbers and instants by name, from `p1` to `p99`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantiles: Option<Quantiles>,
}

/// Quantiles in ascending order.
pub type Quantiles = std::collections::BTreeMap<&'static str, Told>;

/// A value as JSON shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Told {
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// A text, an instant, a day.
    Text(String),
}

impl std::fmt::Display for Told {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(value) => value.fmt(out),
            Self::Number(value) => value.fmt(out),
            Self::Text(value) => out.write_str(value),
        }
    }
}

/// Which values of a range of `rows` rows are sampled, of so many ranges.
pub(crate) fn sampled_rows(range: usize, rows: usize, ranges: usize) -> Vec<u32> {
    let wanted = (SAMPLE_VALUES / ranges.max(1)).max(SAMPLE_RANGE_VALUES_MIN);
    if rows <= wanted {
        return (0..rows as u32).collect();
    }
    // By a hash of the row, so that no rhythm of the labels falls in with it.
    let chosen = |row: &u32| hash(((range as u64) << 32) | u64::from(*row)) % rows as u64 <= wanted as u64;
    (0..rows as u32).filter(chosen).collect()
}

fn hash(number: u64) -> u64 {
    FixedState::default().hash_one(number)
}
