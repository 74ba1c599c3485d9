//! Exact sums: of floats, and of integers and decimals.

use asof_model::Value;

use super::{Fold, Input, number};
use crate::Place;
use crate::exact::ExactSum;
use crate::fixed::quotient;

/// The sum of floats.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Floats(pub ExactSum);

impl Fold for Floats {
    const SLIDES: bool = true;

    fn put(&mut self, value: &Value, _: &Place, times: i64) {
        if let Some(value) = number(value) {
            self.0.put(value, times);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.0.merge(&other.0);
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_bytes());
    }

    fn read(self, input: Input<'_>) -> Option<Self> {
        ExactSum::from_bytes(input.0).map(Self)
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

/// The sum of integers of up to 38 digits, with room for more of them than there can be.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Integers {
    /// In units of [`Integers::BASE`].
    high: i128,
    low: i128,
}

impl Integers {
    const BASE: i128 = 10_i128.pow(19);
    /// What a million million integers of 38 digits come to, and more.
    const HIGH_MAX: u128 = 10_u128.pow(32);

    /// Brings it into its one form.
    fn carry(&mut self) {
        self.high += self.low.div_euclid(Self::BASE);
        self.low = self.low.rem_euclid(Self::BASE);
    }

    /// `None`: it is past 128 bits.
    pub fn value(&self) -> Option<i128> {
        self.high.checked_mul(Self::BASE)?.checked_add(self.low)
    }

    /// The sum of integers of 64 bits divided by a count, rounded once.
    pub fn divided(&self, count: u64) -> f64 {
        let sum = self.value().unwrap_or(0);
        let mean = quotient(sum.unsigned_abs(), count, 0);
        if sum < 0 { -mean } else { mean }
    }
}

impl Fold for Integers {
    const SLIDES: bool = true;

    fn put(&mut self, value: &Value, _: &Place, times: i64) {
        let value = match value {
            Value::Int32(value) => i128::from(*value),
            Value::Int64(value) => i128::from(*value),
            Value::Decimal(value) => value.units,
            _ => return,
        };
        self.high += value.div_euclid(Self::BASE) * i128::from(times);
        self.low += value.rem_euclid(Self::BASE) * i128::from(times);
        self.carry();
    }

    fn merge(&mut self, other: &Self) {
        self.high += other.high;
        self.low += other.low;
        self.carry();
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.high.to_le_bytes());
        out.extend_from_slice(&self.low.to_le_bytes());
    }

    fn read(self, mut input: Input<'_>) -> Option<Self> {
        let (high, low) = (i128::from_le_bytes(input.array()?), i128::from_le_bytes(input.array()?));
        let possible = high.unsigned_abs() <= Self::HIGH_MAX && (0..Self::BASE).contains(&low);
        (input.is_empty() && possible).then_some(Self { high, low })
    }

    fn size(&self) -> usize {
        0
    }
}
