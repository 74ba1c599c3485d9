//! Exact squared distances from the mean of any run of numbers, by sums of their squares from the beginning.

use crate::fixed::{Fixed, bits_of, quotient};
use crate::whole::Whole;

/// Bits that a sum of squares may take.
const BITS: u32 = 250;

/// Numbers between two sums that are kept.
const KEPT_EACH: usize = 8;

/// Sums of the squares of the first numbers, in units of the square of those of their [`Fixed`].
#[derive(Debug, Default)]
pub(crate) struct Squares {
    /// The sum of none, and of each so many more.
    kept: Vec<Long>,
    sum: Long,
    count: usize,
    /// All bits that some number has.
    size: u128,
}

/// A number of 256 bits.
#[derive(Debug, Clone, Copy, Default)]
struct Long {
    high: u128,
    low: u128,
}

impl Long {
    /// The square of a number below `2^125`.
    fn square(number: u128) -> Self {
        let (high, low) = (number >> 64, number & u128::from(u64::MAX));
        let twice = 2 * high * low;
        let square = Self { high: high * high + (twice >> 64), low: low * low };
        square.plus(Self { high: 0, low: twice << 64 })
    }

    fn plus(self, other: Self) -> Self {
        let (low, carry) = self.low.overflowing_add(other.low);
        Self { high: self.high + other.high + u128::from(carry), low }
    }

    /// The difference to a number that is not greater.
    fn minus(self, other: Self) -> Self {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        Self { high: self.high - other.high - u128::from(borrow), low }
    }

    fn whole(self) -> Whole {
        let limb = |limb: u32| (if limb < 4 { self.low } else { self.high } >> (32 * (limb % 4))) as u32;
        Whole::new((0..8).map(limb).collect())
    }
}

impl Squares {
    /// Makes them those of some numbers. There may be none afterwards.
    pub fn fill(&mut self, numbers: &Fixed, count: usize) {
        self.kept.clear();
        (self.sum, self.count, self.size) = (Long::default(), 0, 0);
        if numbers.exists() {
            self.kept.push(self.sum);
            self.extend(numbers, count);
        }
    }

    /// Makes them those of the same numbers and some behind them, of so many together. There may be none afterwards.
    pub fn extend(&mut self, numbers: &Fixed, count: usize) {
        let number = |place: usize| numbers.sum(place, place + 1).unsigned_abs();
        self.size = (self.count..count).fold(self.size, |size, place| size | number(place));
        if !self.exist() || 2 * (u128::BITS - self.size.leading_zeros()) + bits_of(count) > BITS {
            self.kept.clear();
            return;
        }
        for place in self.count..count {
            self.sum = self.sum.plus(Long::square(number(place)));
            if (place + 1).is_multiple_of(KEPT_EACH) {
                self.kept.push(self.sum);
            }
        }
        self.count = count;
    }

    /// Whether there are sums.
    pub fn exist(&self) -> bool {
        !self.kept.is_empty()
    }

    /// The sum of the first squares.
    fn first(&self, numbers: &Fixed, count: usize) -> Long {
        let kept = count / KEPT_EACH;
        let rest = kept * KEPT_EACH..count;
        rest.fold(self.kept[kept], |sum, place| {
            sum.plus(Long::square(numbers.sum(place, place + 1).unsigned_abs()))
        })
    }

    /// The sum of the squared distances from the mean of a run that holds `count` of the numbers, rounded once.
    pub fn distances(&self, numbers: &Fixed, from: usize, until: usize, count: u64) -> f64 {
        let squares = self.first(numbers, until).minus(self.first(numbers, from));
        let sum = numbers.sum(from, until).unsigned_abs();
        let exponent = 2 * numbers.exponent();
        // (count * squares - sum^2) / count. Never negative, by Cauchy and Schwarz.
        if let (0, Some(product)) = (squares.high, squares.low.checked_mul(u128::from(count))) {
            return quotient(product - sum * sum, count, exponent);
        }
        let product = squares.whole().times(&Whole::new(vec![count as u32, (count >> 32) as u32]));
        product.minus(&Long::square(sum).whole()).divided_and_rounded(exponent, count)
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        self.kept.capacity() * size_of::<Long>()
    }
}

#[cfg(test)]
mod tests {
    use asof_model::Value;
    use proptest::prelude::*;

    use super::*;
    use crate::Place;
    use crate::states::{Fold, Moments};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        /// Goal: the distances of any run are those of exact moments, to the last bit.
        #[test]
        fn as_moments(
            numbers in proptest::collection::vec(prop_oneof![
                -1e6..1e6_f64,
                (-1000_i32..1000).prop_map(|number| f64::from(number) / 64.0),
                prop::sample::select(vec![1e9 + 0.5, 1e9, 0.0, 3.0, 1e-3]),
            ], 1..40),
            from in 0.0..1.0_f64, scale in prop::sample::select(vec![1.0, 1e-300, 1e-150, 1e150]),
        ) {
            let numbers: Vec<f64> = numbers.iter().map(|number| number * scale).collect();
            let (mut fixed, mut squares) = (Fixed::default(), Squares::default());
            fixed.sum_floats(&numbers, |_| true);
            squares.fill(&fixed, numbers.len() / 2);
            squares.extend(&fixed, numbers.len());
            if !squares.exist() {
                return Ok(());
            }
            let from = (from * numbers.len() as f64) as usize;
            let mut moments = Moments::default();
            numbers[from..].iter().for_each(|number| {
                moments.put(&Value::Float64(*number), &Place::default(), 1);
            });
            let count = (numbers.len() - from) as u64;
            let found = squares.distances(&fixed, from, numbers.len(), count);
            prop_assert_eq!(found.to_bits(), moments.squared_distances(count).to_bits());
        }
    }
}
