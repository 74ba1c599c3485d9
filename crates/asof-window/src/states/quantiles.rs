//! About which number stands where among others: how many fall into each of some ranges whose ends grow by a constant
//! factor. What is told is within one percent of the number that stands there.

use std::collections::BTreeMap;

use asof_model::Value;

use super::values::ENTRY_BYTES;
use super::{Fold, Input, number};
use crate::Place;

/// The greatest relative error.
const ERROR: f64 = 0.01;

/// The factor by which ranges grow: `(1 + ERROR) / (1 - ERROR)`.
const FACTOR: f64 = (1.0 + ERROR) / (1.0 - ERROR);

/// By the range of a number, in the order of numbers, how many there are. NaN is in none.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Quantiles(BTreeMap<Range, i64>);

/// The range of a number, in the order of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Range {
    NegativeInfinity,
    /// By the range of its size, the large ones first.
    Negative(std::cmp::Reverse<i32>),
    Zero,
    Positive(i32),
    Infinity,
}

impl Range {
    fn of(value: f64) -> Option<Self> {
        // Portable, so that a number falls into the same range on every machine.
        let range = |size: f64| libm::ceil(libm::log(size) / libm::log(FACTOR)) as i32;
        Some(match value {
            value if value.is_nan() => return None,
            f64::INFINITY => Self::Infinity,
            f64::NEG_INFINITY => Self::NegativeInfinity,
            value if value > 0.0 => Self::Positive(range(value)),
            value if value < 0.0 => Self::Negative(std::cmp::Reverse(range(-value))),
            _ => Self::Zero,
        })
    }

    /// The number that is within the error of all in the range.
    fn middle(self) -> f64 {
        let middle = |range: i32| (2.0 * libm::pow(FACTOR, f64::from(range)) / (FACTOR + 1.0)).min(f64::MAX);
        match self {
            Self::NegativeInfinity => f64::NEG_INFINITY,
            Self::Negative(range) => -middle(range.0),
            Self::Zero => 0.0,
            Self::Positive(range) => middle(range),
            Self::Infinity => f64::INFINITY,
        }
    }

    fn tagged(self) -> (u8, i32) {
        match self {
            Self::NegativeInfinity => (0, 0),
            Self::Negative(range) => (1, range.0),
            Self::Zero => (2, 0),
            Self::Positive(range) => (3, range),
            Self::Infinity => (4, 0),
        }
    }

    fn untagged(tag: u8, range: i32) -> Option<Self> {
        Some(match tag {
            0 => Self::NegativeInfinity,
            1 => Self::Negative(std::cmp::Reverse(range)),
            2 => Self::Zero,
            3 => Self::Positive(range),
            4 => Self::Infinity,
            _ => return None,
        })
    }
}

impl Quantiles {
    /// The range of a number. `None`: it is NaN.
    pub fn range(value: f64) -> Option<Range> {
        Range::of(value)
    }

    /// What is told of a range.
    pub fn middle(range: Range) -> f64 {
        range.middle()
    }

    /// Which of so many numbers, from 1 and by size, a part of all are not greater than.
    pub fn rank(part: f64, count: i64) -> i64 {
        (libm::ceil(part * count as f64) as i64).clamp(1, count.max(1))
    }

    /// The number with a part of all at it or before it. `None`: there is none.
    pub fn at(&self, part: f64) -> Option<f64> {
        let rank = Self::rank(part, self.0.values().sum());
        let mut before = 0;
        for (range, count) in &self.0 {
            before += count;
            if before >= rank {
                return Some(range.middle());
            }
        }
        None
    }
}

impl Fold for Quantiles {
    const SLIDES: bool = true;

    fn put(&mut self, value: &Value, _: &Place, times: i64) {
        let Some(range) = number(value).and_then(Range::of) else { return };
        let count = self.0.entry(range).or_insert(0);
        *count += times;
        if *count == 0 {
            self.0.remove(&range);
        }
    }

    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(range, count)| *self.0.entry(*range).or_insert(0) += count);
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (range, count) in &self.0 {
            let (tag, range) = range.tagged();
            out.push(tag);
            out.extend_from_slice(&range.to_le_bytes());
            out.extend_from_slice(&count.to_le_bytes());
        }
    }

    fn read(mut self, mut input: Input<'_>) -> Option<Self> {
        while !input.is_empty() {
            let [tag] = input.array()?;
            let range = Range::untagged(tag, i32::from_le_bytes(input.array()?))?;
            self.0.insert(range, input.count()?);
        }
        Some(self)
    }

    fn size(&self) -> usize {
        self.0.len() * ENTRY_BYTES
    }
}
