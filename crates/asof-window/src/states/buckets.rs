//! How many numbers fall into each of some equal parts of a range, below it, and above it.

use asof_model::Value;

use super::{Fold, Input, number};
use crate::Place;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Buckets {
    /// Below the range, in each part of it, and from its end on.
    pub counts: Vec<i64>,
    lower: f64,
    upper: f64,
}

impl Buckets {
    /// `lower..upper` in so many parts.
    pub fn new(lower: f64, upper: f64, parts: u32) -> Self {
        Self { counts: vec![0; parts as usize + 2], lower, upper }
    }

    /// The bucket of a number. `None`: it is NaN.
    pub fn of(&self, value: f64) -> Option<usize> {
        let parts = self.counts.len() - 2;
        if value.is_nan() {
            return None;
        }
        if value < self.lower {
            return Some(0);
        }
        if value >= self.upper {
            return Some(parts + 1);
        }
        let part = (value - self.lower) / (self.upper - self.lower) * parts as f64;
        Some((part as usize).min(parts - 1) + 1)
    }
}

impl Fold for Buckets {
    const SLIDES: bool = true;

    fn put(&mut self, value: &Value, _: &Place, times: i64) {
        if let Some(bucket) = number(value).and_then(|value| self.of(value)) {
            self.counts[bucket] += times;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(own, other)| *own += other);
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.counts.iter().for_each(|count| out.extend_from_slice(&count.to_le_bytes()));
    }

    fn read(mut self, mut input: Input<'_>) -> Option<Self> {
        for count in &mut self.counts {
            *count = input.count()?;
        }
        input.is_empty().then_some(self)
    }

    fn size(&self) -> usize {
        self.counts.len() * size_of::<i64>()
    }
}
