//! The exact sum of doubles, rounded once.
//!
//! Every finite double is a whole number of 2^-1074. The sum is kept as such a whole number, in limbs of 32 bits that
//! carry a sign each, so that adding touches three of them and loses nothing. Only the limbs in use are kept: ordinary
//! values take a few.

use crate::whole::Whole;

/// Bits of a limb.
const LIMB_BITS: u32 = 32;
/// The exponent of the lowest bit of the lowest limb.
const LOWEST_EXPONENT: i64 = -1074;
/// Additions before carries must be passed on: each adds less than 2^32 to a limb of 63 bits.
const ADDITIONS_MAX: u32 = 1 << 30;

/// An exact sum. Sums merge; two of the same values are equal in bytes, whatever the order they came in.
#[derive(Debug, Clone, Default)]
pub struct ExactSum {
    /// The place of the first limb: its lowest bit is worth `2^(32 * first - 1074)`.
    first: u32,
    limbs: Vec<i64>,
    additions: u32,
    /// NaNs, and infinities of either sign, beside the finite part.
    nans: i64,
    infinities: i64,
    negative_infinities: i64,
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

    fn put(&mut self, value: f64, times: i64) {
        if value.is_nan() {
            self.nans += times;
            return;
        }
        if value.is_infinite() {
            let side = if value > 0.0 { &mut self.infinities } else { &mut self.negative_infinities };
            *side += times;
            return;
        }
        let bits = value.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as u32;
        let fraction = bits & ((1 << 52) - 1);
        // Without exponent the lowest bit is worth 2^-1074, as with exponent 1.
        let (significand, shift) = match exponent {
            0 => (fraction, 0),
            exponent => (fraction | (1 << 52), exponent - 1),
        };
        if significand == 0 {
            return;
        }
        let sign = if value < 0.0 { -times } else { times };
        let place = shift / LIMB_BITS;
        let wide = u128::from(significand) << (shift % LIMB_BITS);
        self.make_room(place, place + 3);
        let start = (place - self.first) as usize;
        for (limb, part) in self.limbs[start..start + 3].iter_mut().zip([0, 32, 64]) {
            *limb += sign * ((wide >> part) as u32 as i64);
        }
        self.additions += 1;
        if self.additions >= ADDITIONS_MAX {
            self.pass_carries();
        }
    }

    /// Adds all that another sum holds.
    pub fn merge(&mut self, other: &Self) {
        self.nans += other.nans;
        self.infinities += other.infinities;
        self.negative_infinities += other.negative_infinities;
        if other.limbs.is_empty() {
            return;
        }
        let mut other = other.clone();
        other.pass_carries();
        self.pass_carries();
        self.make_room(other.first, other.first + other.limbs.len() as u32);
        let start = (other.first - self.first) as usize;
        for (limb, more) in self.limbs[start..].iter_mut().zip(&other.limbs) {
            *limb += more;
        }
        self.pass_carries();
    }

    /// The sum as the nearest double; of two equally near ones the even one. NaN and infinities as IEEE says.
    pub fn value(&self) -> f64 {
        self.divided(1)
    }

    /// The sum divided by a count, rounded once. NaN for a count of 0.
    pub fn divided(&self, count: u64) -> f64 {
        if self.nans > 0 || (self.infinities > 0 && self.negative_infinities > 0) {
            return f64::NAN;
        }
        if self.infinities > 0 {
            return f64::INFINITY;
        }
        if self.negative_infinities > 0 {
            return f64::NEG_INFINITY;
        }
        let (negative, magnitude, place) = self.parts();
        let exponent = LOWEST_EXPONENT + i64::from(place) * i64::from(LIMB_BITS);
        let rounded = if count == 1 {
            magnitude.rounded(exponent, false)
        } else {
            // Enough bits behind the point for the quotient to have more than a double keeps.
            const MORE: usize = 4;
            let Some((quotient, rest)) = magnitude.shifted_by_limbs(MORE).divided_by(count) else {
                return f64::NAN;
            };
            quotient.rounded(exponent - MORE as i64 * i64::from(LIMB_BITS), rest)
        };
        // There is one zero.
        if negative && rounded != 0.0 { -rounded } else { rounded }
    }

    /// The one byte form of the sum: equal sums have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (negative, magnitude, place) = self.parts();
        let mut bytes = Vec::new();
        for count in [self.nans, self.infinities, self.negative_infinities] {
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes.push(u8::from(negative));
        bytes.extend_from_slice(&place.to_le_bytes());
        for limb in magnitude.limbs() {
            bytes.extend_from_slice(&limb.to_le_bytes());
        }
        bytes
    }

    /// Reads [`ExactSum::to_bytes`]. `None`: these bytes are not of a sum.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let count = |at: usize| Some(i64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let sign = match bytes.get(24)? {
            0 => 1,
            1 => -1,
            _ => return None,
        };
        let first = u32::from_le_bytes(bytes.get(25..29)?.try_into().ok()?);
        let limbs =
            bytes.get(29..)?.chunks(4).map(|limb| Some(i64::from(u32::from_le_bytes(limb.try_into().ok()?))));
        let limbs: Option<Vec<i64>> = limbs.map(|limb| Some(limb? * sign)).collect();
        Some(Self {
            first,
            limbs: limbs?,
            additions: 0,
            nans: count(0)?,
            infinities: count(8)?,
            negative_infinities: count(16)?,
        })
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.limbs.capacity() * size_of::<i64>()
    }

    /// Makes the limbs from `first` up to `end` places there are.
    fn make_room(&mut self, first: u32, end: u32) {
        if self.limbs.is_empty() {
            self.first = first;
        }
        if first < self.first {
            let more = (self.first - first) as usize;
            self.limbs.splice(0..0, std::iter::repeat_n(0, more));
            self.first = first;
        }
        let length = (end.max(self.first) - self.first) as usize;
        if self.limbs.len() < length {
            self.limbs.resize(length, 0);
        }
    }

    /// Brings every limb but the last below 2^32 in size, so that additions have room again.
    fn pass_carries(&mut self) {
        let mut carry = 0_i64;
        let last = self.limbs.len().saturating_sub(1);
        for (place, limb) in self.limbs.iter_mut().enumerate() {
            let sum = *limb + carry;
            // The last one keeps its sign.
            let fits = place == last && sum.unsigned_abs() <= u64::from(u32::MAX);
            carry = if fits { 0 } else { sum >> LIMB_BITS };
            *limb = sum - (carry << LIMB_BITS);
        }
        if carry != 0 {
            self.limbs.push(carry);
        }
        self.additions = 0;
    }

    /// The sign, the size, and the place of its first limb, in the one form of the number.
    fn parts(&self) -> (bool, Whole, u32) {
        let mut number = self.clone();
        number.pass_carries();
        // All limbs but the last are positive now, so the last one tells the sign.
        let negative = number.limbs.last().is_some_and(|last| *last < 0);
        if negative {
            for limb in &mut number.limbs {
                *limb = -*limb;
            }
            number.pass_carries();
        }
        let zeros = number.limbs.iter().take_while(|limb| **limb == 0).count();
        let limbs: Vec<u32> = number.limbs[zeros..].iter().map(|limb| *limb as u32).collect();
        let magnitude = Whole::new(limbs);
        let place = if magnitude.is_zero() { 0 } else { number.first + zeros as u32 };
        (negative && !magnitude.is_zero(), magnitude, place)
    }
}

/// Equal sums, whatever they were added from.
impl PartialEq for ExactSum {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
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
