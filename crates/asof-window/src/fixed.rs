//! Exact sums of runs of floats, as differences of sums from the beginning: whole numbers of one small power of two.
//!
//! Ordinary numbers of one key lie within some ninety powers of two of each other, so their sums fit 128 bits. Where they
//! don't, or where one is no number, there is no such form, and sums have to be swept.

use asof_model::value::canonical_f64;

use crate::exact::{LOWEST_EXPONENT, parts_of};
use crate::whole::Whole;

/// Bits that sums may take, below the sign.
const SUM_BITS: u32 = 126;

/// Bits of a double's significand.
const SIGNIFICANT_BITS: u32 = 53;

/// Sums of the first numbers.
pub(crate) struct Fixed {
    /// In units of two to the power of `exponent`.
    sums: Vec<i128>,
    exponent: i64,
}

impl Fixed {
    /// The sums of some numbers; those that are not `held` count for nothing.
    pub fn new(numbers: &[f64], held: impl Fn(usize) -> bool) -> Option<Self> {
        let (mut lowest, mut highest) = (u32::MAX, 0);
        for (place, number) in numbers.iter().enumerate() {
            if !held(place) || *number == 0.0 {
                continue;
            }
            if !number.is_finite() {
                return None;
            }
            let (_, part, shift) = parts_of(*number);
            lowest = lowest.min(shift + part.trailing_zeros());
            highest = highest.max(shift + 64 - part.leading_zeros());
        }
        if lowest == u32::MAX {
            (lowest, highest) = (0, 0);
        }
        let more = usize::BITS - numbers.len().leading_zeros();
        if highest - lowest + more > SUM_BITS {
            return None;
        }
        let mut sums = Vec::with_capacity(numbers.len() + 1);
        let mut sum = 0_i128;
        sums.push(sum);
        for (place, number) in numbers.iter().enumerate() {
            if held(place) && *number != 0.0 {
                let (negative, part, shift) = parts_of(*number);
                // Its lowest bit is not below the lowest of all.
                let moved = match shift.checked_sub(lowest) {
                    Some(up) => i128::from(part) << up,
                    None => i128::from(part >> (lowest - shift)),
                };
                sum += if negative { -moved } else { moved };
            }
            sums.push(sum);
        }
        Some(Self { sums, exponent: LOWEST_EXPONENT + i64::from(lowest) })
    }

    /// The sum of a run divided by a count, rounded once.
    pub fn divided(&self, from: usize, until: usize, count: u64) -> f64 {
        let sum = self.sums[until] - self.sums[from];
        // One rounding, of the conversion or of the division, and a power of two that rounds nothing.
        let small = sum.unsigned_abs() < 1 << SIGNIFICANT_BITS && count < 1 << SIGNIFICANT_BITS;
        if (-900..=800).contains(&self.exponent) && (count == 1 || small) {
            let power = f64::from_bits(((self.exponent + 1023) as u64) << 52);
            return canonical_f64(sum as f64 / count as f64 * power);
        }
        let size = sum.unsigned_abs();
        let limbs = (0..4).map(|limb| (size >> (32 * limb)) as u32).collect();
        let rounded = Whole::new(limbs).divided_and_rounded(self.exponent, count);
        canonical_f64(if sum < 0 { -rounded } else { rounded })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ExactSum;

    proptest! {
        /// Goal: sums and means of any run are those of exact sums, to the last bit.
        #[test]
        fn as_exact_sums(
            numbers in proptest::collection::vec(prop_oneof![
                -1e6..1e6_f64,
                prop::sample::select(vec![0.1, -0.1, 1e15, 3.0, 5e-324, 1e-310, 0.0, 1e300, 2e300]),
                any::<f32>().prop_map(f64::from),
            ], 0..40),
            from in 0.0..=1.0_f64, until in 0.0..=1.0_f64, scale in prop::sample::select(vec![1.0, 1e-280, 1e280]),
        ) {
            let numbers: Vec<f64> = numbers.iter().map(|number| number * scale).collect();
            let Some(fixed) = Fixed::new(&numbers, |place| place % 5 != 3) else { return Ok(()) };
            let place = |part: f64| (part * numbers.len() as f64) as usize;
            let (from, until) = (place(from.min(until)), place(from.max(until)));
            let mut right = ExactSum::new();
            (from..until).filter(|place| place % 5 != 3).for_each(|place| right.add(numbers[place]));
            prop_assert_eq!(fixed.divided(from, until, 1).to_bits(), canonical_f64(right.value()).to_bits());
            for count in [2, 3, 7, 1 << 60] {
                let (found, right) = (fixed.divided(from, until, count), right.divided(count));
                prop_assert_eq!(found.to_bits(), canonical_f64(right).to_bits(), "{}", count);
            }
        }
    }
}
