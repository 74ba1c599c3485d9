//! The exact sums of numbers and of their squares: of which the second central moment is one exact quotient.

use asof_model::Value;

use super::{Fold, Input, write_text};
use crate::Place;
use crate::exact::{LOWEST_EXPONENT, Odd, parts_of};
use crate::limbs::Limbs;
use crate::whole::Whole;

/// Where the unit of an integer stands in a whole number of 2^-1074.
const UNIT_SHIFT: u32 = -LOWEST_EXPONENT as u32;

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Moments {
    /// In units of 2^-1074.
    sum: Limbs,
    /// In units of 2^-2148.
    squares: Limbs,
    odd: Odd,
}

impl Moments {
    /// The sum of squared distances from the mean, rounded once; NaN where a value is no finite number.
    pub fn squared_distances(&self, count: u64) -> f64 {
        if self.odd.sum().is_some() {
            return f64::NAN;
        }
        // (count * squares - sum^2) / count, all of it in whole numbers.
        let (_, sum, sum_at) = self.sum.parts();
        let (_, squares, squares_at) = self.squares.parts();
        let moved = |number: Whole, place: u32| number.shifted_by_limbs(place as usize);
        let factor = Whole::new(vec![count as u32, (count >> 32) as u32]);
        let (squares, square) =
            (moved(squares.times(&factor), squares_at), moved(sum.times(&sum), 2 * sum_at));
        // Never negative, by Cauchy and Schwarz.
        squares.minus(&square).divided_and_rounded(2 * LOWEST_EXPONENT, count)
    }
}

impl Fold for Moments {
    const SLIDES: bool = true;

    fn put(&mut self, value: &Value, _: &Place, times: i64) {
        let integer = |value: i64| (value < 0, value.unsigned_abs(), UNIT_SHIFT);
        let float = |value: f64| value.is_finite().then(|| parts_of(value));
        let parts = match value {
            Value::Int32(value) => Some(integer((*value).into())),
            Value::Int64(value) => Some(integer(*value)),
            Value::Float32(value) => float((*value).into()),
            Value::Float64(value) => float(*value),
            _ => return,
        };
        match (parts, super::number(value)) {
            (Some((negative, part, shift)), _) => {
                self.sum.add(part.into(), shift, if negative { -times } else { times });
                self.squares.add(u128::from(part) * u128::from(part), 2 * shift, times);
            }
            (None, Some(odd)) => drop(self.odd.take(odd, times)),
            (None, None) => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
        self.odd.merge(&other.odd);
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.odd.write(out);
        let mut sum = Vec::new();
        self.sum.write(&mut sum);
        write_text(out, &sum);
        self.squares.write(out);
    }

    fn read(self, input: Input<'_>) -> Option<Self> {
        let (odd, rest) = Odd::read(input.0)?;
        let mut input = Input(rest);
        Some(Self { sum: Limbs::read(input.text()?)?, squares: Limbs::read(input.0)?, odd })
    }

    fn size(&self) -> usize {
        self.sum.size() + self.squares.size()
    }
}
