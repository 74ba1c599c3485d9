//! The exact sum of doubles, rounded once.
//!
//! Every finite double is a whole number of 2^-1074, and so is their sum. Ordinary values take a few limbs of it.

use crate::limbs::{LIMB_BITS, Limbs};
use crate::states::COUNT_MAX;

/// The exponent of the lowest bit of a double.
pub(crate) const LOWEST_EXPONENT: i64 = -1074;

/// An exact sum. Sums merge; two of the same values are equal in bytes, whatever the order they came in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExactSum {
    /// In units of 2^-1074.
    finite: Limbs,
    odd: Odd,
}

/// Values that are no numbers to calculate with, counted beside the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Odd {
    pub nans: i64,
    pub infinities: i64,
    pub negative_infinities: i64,
}

impl Odd {
    /// Counts a value if it is one of these.
    pub fn take(&mut self, value: f64, times: i64) -> bool {
        if value.is_finite() {
            return false;
        }
        match (value.is_nan(), value > 0.0) {
            (true, _) => self.nans += times,
            (_, true) => self.infinities += times,
            (_, false) => self.negative_infinities += times,
        }
        true
    }

    /// Adds other counts.
    pub fn merge(&mut self, other: &Self) {
        self.nans += other.nans;
        self.infinities += other.infinities;
        self.negative_infinities += other.negative_infinities;
    }

    /// What their sum is, where there is one of them, as IEEE says.
    pub fn sum(&self) -> Option<f64> {
        match (self.nans > 0, self.infinities > 0, self.negative_infinities > 0) {
            (true, _, _) | (_, true, true) => Some(f64::NAN),
            (_, true, _) => Some(f64::INFINITY),
            (_, _, true) => Some(f64::NEG_INFINITY),
            _ => None,
        }
    }

    /// Writes the counts.
    pub fn write(&self, out: &mut Vec<u8>) {
        for count in [self.nans, self.infinities, self.negative_infinities] {
            out.extend_from_slice(&count.to_le_bytes());
        }
    }

    /// Takes counts off the front of bytes.
    pub fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<24>()?;
        let count = |at: usize| {
            let count = i64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?);
            Some(count).filter(|count| count.unsigned_abs() <= COUNT_MAX)
        };
        Some((Self { nans: count(0)?, infinities: count(8)?, negative_infinities: count(16)? }, rest))
    }
}

/// A finite double as a whole number of 2^-1074: its sign, and a part that is moved by so many bits.
pub(crate) fn parts_of(value: f64) -> (bool, u64, u32) {
    let bits = value.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as u32;
    let fraction = bits & ((1 << 52) - 1);
    // Without exponent the lowest bit is worth 2^-1074, as with exponent 1.
    match exponent {
        0 => (value < 0.0, fraction, 0),
        exponent => (value < 0.0, fraction | (1 << 52), exponent - 1),
    }
}

impl ExactSum {
    /// Nothing: 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.put(value, 1);
    }

    /// Takes a value away that was added before.
    pub fn remove(&mut self, value: f64) {
        self.put(value, -1);
    }

    pub(crate) fn put(&mut self, value: f64, times: i64) {
        if !self.odd.take(value, times) {
            let (negative, part, shift) = parts_of(value);
            self.finite.add(part.into(), shift, if negative { -times } else { times });
        }
    }

    /// Adds all that another sum holds.
    pub fn merge(&mut self, other: &Self) {
        self.odd.merge(&other.odd);
        self.finite.merge(&other.finite);
    }

    /// The sum as the nearest double; of two equally near ones the even one. NaN and infinities as IEEE says.
    pub fn value(&self) -> f64 {
        self.divided(1)
    }

    /// The sum divided by a count, rounded once. NaN for a count of 0.
    pub fn divided(&self, count: u64) -> f64 {
        if let Some(odd) = self.odd.sum() {
            return odd;
        }
        let (negative, magnitude, place) = self.finite.parts();
        let exponent = LOWEST_EXPONENT + i64::from(place) * i64::from(LIMB_BITS);
        let rounded = magnitude.divided_and_rounded(exponent, count);
        // There is one zero.
        if negative && rounded != 0.0 { -rounded } else { rounded }
    }

    /// The one byte form of the sum: equal sums have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.odd.write(&mut bytes);
        self.finite.write(&mut bytes);
        bytes
    }

    /// Reads [`ExactSum::to_bytes`]. `None`: these bytes are not of a sum.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (odd, bytes) = Odd::read(bytes)?;
        Some(Self { finite: Limbs::read(bytes)?, odd })
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.finite.size()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> ExactSum {
        let mut sum = ExactSum::new();
        values.iter().for_each(|value| sum.add(*value));
        sum
    }

    /// A double as a whole number of 2^-1074 in decimal digits of base 2^64, checkable by eye: schoolbook arithmetic.
    fn reference(values: &[f64], count: u64) -> f64 {
        // Positive and negative parts apart, each as bits, the lowest first.
        let mut sides = [vec![0_u8; 2300], vec![0_u8; 2300]];
        for value in values {
            let bits = value.to_bits();
            let exponent = (bits >> 52 & 0x7ff) as usize;
            let mut significand = bits & ((1 << 52) - 1);
            if exponent > 0 {
                significand |= 1 << 52;
            }
            let side = &mut sides[usize::from(*value < 0.0)];
            let mut place = exponent.saturating_sub(1);
            let mut carry = 0;
            while significand > 0 || carry > 0 {
                let digit = side[place] + (significand & 1) as u8 + carry;
                side[place] = digit & 1;
                carry = digit >> 1;
                significand >>= 1;
                place += 1;
            }
        }
        let [plus, minus] = &sides;
        let greater = plus.iter().rev().cmp(minus.iter().rev());
        let (large, small) = if greater.is_lt() { (minus, plus) } else { (plus, minus) };
        let mut borrow = 0_i8;
        let mut bits: Vec<u8> = Vec::new();
        for (a, b) in large.iter().zip(small) {
            let digit = *a as i8 - *b as i8 - borrow;
            borrow = i8::from(digit < 0);
            bits.push((digit + 2 * borrow) as u8);
        }
        // Long division, bit by bit, with 200 bits behind the point.
        let (mut remainder, mut quotient) = (0_u128, Vec::new());
        for bit in std::iter::repeat_n(&0, 200).chain(&bits).rev() {
            remainder = remainder << 1 | u128::from(*bit);
            quotient.push(u8::from(remainder >= u128::from(count)));
            remainder %= u128::from(count);
        }
        let Some(top) = quotient.iter().position(|bit| *bit == 1) else { return 0.0 };
        let total = quotient.len();
        // The place of the last bit that is kept: 53 from the top, and none below 2^-1074.
        let last = (top + 52).min(total - 200 - 1);
        let mut kept =
            quotient.get(top..=last).unwrap_or(&[]).iter().fold(0_u64, |v, bit| v << 1 | u64::from(*bit));
        let half = quotient[last + 1] == 1;
        let rest = remainder > 0 || quotient[last + 2..].contains(&1);
        if half && (rest || kept & 1 == 1) {
            kept += 1;
        }
        let exponent = (total - 200 - 1 - last) as i32 - 1074;
        let mut value = kept as f64;
        for _ in 0..exponent.unsigned_abs() {
            value = if exponent > 0 { value * 2.0 } else { value / 2.0 };
        }
        if greater.is_lt() && value != 0.0 { -value } else { value }
    }

    fn doubles() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-1e6..1e6_f64),
            any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite()),
            prop_oneof![
                Just(1e308),
                Just(-1e308),
                Just(5e-324),
                Just(0.1),
                Just(f64::MIN_POSITIVE),
                Just(-0.0)
            ],
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Goal: the sum, and the sum divided, are the exact ones rounded once; no order and no split changes a byte.
        #[test]
        fn exact_in_any_order(
            mut values in prop::collection::vec(doubles(), 0..40),
            cut in 0_usize..40,
            seed in any::<u64>(),
            count in 1_u64..1_000_000,
        ) {
            let whole = sum(&values);
            prop_assert_eq!(whole.value().to_bits(), reference(&values, 1).to_bits(), "{:?}", values);
            prop_assert_eq!(whole.divided(count).to_bits(), reference(&values, count).to_bits(), "{:?}", values);
            // Any permutation will do.
            let mut state = seed | 1;
            for place in (1..values.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                values.swap(place, (state >> 33) as usize % (place + 1));
            }
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut merged = sum(left);
            merged.merge(&sum(right));
            prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
            let read = ExactSum::from_bytes(&whole.to_bytes()).unwrap();
            prop_assert_eq!(read.to_bytes(), whole.to_bytes());
            for value in right {
                merged.remove(*value);
            }
            prop_assert_eq!(merged.to_bytes(), sum(left).to_bytes(), "what was added can be taken away");
        }
    }

    /// Goal: NaN and infinities follow IEEE, and leave the finite part as it is.
    #[test]
    fn not_finite() {
        let of = |values: &[f64]| sum(values).value();
        assert!(of(&[1.0, f64::NAN]).is_nan());
        assert!(of(&[f64::INFINITY, f64::NEG_INFINITY]).is_nan());
        assert_eq!(of(&[f64::INFINITY, -1e308]), f64::INFINITY);
        assert_eq!(of(&[f64::NEG_INFINITY]), f64::NEG_INFINITY);
        let mut sum = sum(&[2.5, f64::NAN, f64::INFINITY]);
        sum.remove(f64::NAN);
        sum.remove(f64::INFINITY);
        assert_eq!(sum.value(), 2.5);
    }

    /// Goal: what overflows on the way does not matter, what overflows at the end is infinity; zero is positive.
    #[test]
    fn edges() {
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]).value(), f64::MAX);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert_eq!(sum(&[-f64::MAX, -f64::MAX]).value(), f64::NEG_INFINITY);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).divided(2), f64::MAX);
        assert!(sum(&[-0.0]).value().is_sign_positive());
        assert_eq!(sum(&[0.1; 10]).value(), 1.0);
        assert_eq!(sum(&[5e-324, 5e-324]).divided(2), 5e-324);
        assert_eq!(sum(&[5e-324]).divided(2), 0.0, "half of the least is even zero");
        assert_eq!(sum(&[1e16, 1.0, -1e16]).value(), 1.0);
    }
}
