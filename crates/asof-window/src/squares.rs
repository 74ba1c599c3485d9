//! Exact squared distances from the mean of any run of numbers, by sums of their squares from the beginning.

use crate::fixed::{Fixed, bits_of, quotient};
use crate::whole::Whole;

/// Bits that a sum of squares may take.
const BITS: u32 = 126;

/// Sums of the squares of the first numbers, in units of the square of those of their [`Fixed`].
#[derive(Debug, Default)]
pub(crate) struct Squares(Vec<u128>);

impl Squares {
    /// Makes them those of some numbers. There may be none afterwards.
    pub fn fill(&mut self, numbers: &Fixed, count: usize) {
        self.0.clear();
        if !numbers.exists() {
            return;
        }
        let number = |place: usize| numbers.sum(place, place + 1).unsigned_abs();
        let size = (0..count).fold(0, |size, place| size | number(place));
        if 2 * (u128::BITS - size.leading_zeros()) + bits_of(count) > BITS {
            return;
        }
        let mut sum = 0;
        self.0.push(sum);
        self.0.extend((0..count).map(|place| {
            let size = number(place);
            sum += size * size;
            sum
        }));
    }

    /// Whether there are sums.
    pub fn exist(&self) -> bool {
        !self.0.is_empty()
    }

    /// The sum of the squared distances from the mean of a run that holds `count` of the numbers, rounded once.
    pub fn distances(&self, numbers: &Fixed, from: usize, until: usize, count: u64) -> f64 {
        let squares = self.0[until] - self.0[from];
        let sum = numbers.sum(from, until).unsigned_abs();
        let exponent = 2 * numbers.exponent();
        // (count * squares - sum^2) / count. Never negative, by Cauchy and Schwarz.
        if let Some(product) = squares.checked_mul(u128::from(count)) {
            return quotient(product - sum * sum, count, exponent);
        }
        let long = |number: u128| Whole::new((0..4).map(|limb| (number >> (32 * limb)) as u32).collect());
        let product = long(squares).times(&long(count.into()));
        product.minus(&long(sum).times(&long(sum))).divided_and_rounded(exponent, count)
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        self.0.capacity() * size_of::<u128>()
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
            squares.fill(&fixed, numbers.len());
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
