//! Exact sums of runs of numbers, as differences of sums from the beginning: whole numbers of one small power of two.
//!
//! Ordinary numbers of one key lie within some fifty powers of two of each other, so their sums fit 64 bits; nearly all
//! others fit 128. Where they don't, or where one is no number, there is no such form, and sums have to be swept.

use asof_model::value::canonical_f64;

use crate::exact::{LOWEST_EXPONENT, parts_of};
use crate::whole::Whole;

/// Bits that sums may take in either form, below the sign.
const NARROW_BITS: u32 = 62;
const WIDE_BITS: u32 = 126;

/// Bits of a double's significand.
const SIGNIFICANT_BITS: u32 = 53;

/// Powers of two that are doubles, with room for a quotient of numbers of 53 bits on either side.
const EXPONENTS: std::ops::RangeInclusive<i64> = -900..=800;

/// Sums of the first numbers, in units of two to the power of `exponent`.
#[derive(Debug, Default)]
pub(crate) struct Fixed {
    form: Form,
    narrow: Vec<i64>,
    wide: Vec<i128>,
    exponent: i64,
    bits: Bits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    #[default]
    None,
    Narrow,
    Wide,
}

/// Which bits some numbers have, above that of `2^-1074`: from the lowest up to the highest, which is not one of them.
#[derive(Debug, Clone, Copy, Default)]
struct Bits {
    lowest: u32,
    highest: u32,
}

impl Bits {
    /// Of no number.
    const NONE: Self = Self { lowest: u32::MAX, highest: 0 };

    /// With those of some floats. `None`: one is no finite number.
    fn with(mut self, numbers: impl Iterator<Item = f64>) -> Option<Self> {
        for number in numbers.filter(|number| *number != 0.0) {
            if !number.is_finite() {
                return None;
            }
            let (_, part, shift) = parts_of(number);
            self.lowest = self.lowest.min(shift + part.trailing_zeros());
            self.highest = self.highest.max(shift + 64 - part.leading_zeros());
        }
        Some(self)
    }

    /// How many a sum of so many such numbers takes.
    fn of_sum(self, count: usize) -> u32 {
        self.highest.saturating_sub(self.lowest) + bits_of(count)
    }
}

impl Fixed {
    /// Makes them the sums of some integers; those that are not `held` count for nothing.
    pub fn sum_integers(&mut self, numbers: &[i64], held: impl Fn(usize) -> bool) {
        self.clear();
        let size = numbers.iter().fold(0, |size, number| size | number.unsigned_abs());
        self.bits = Bits { lowest: 0, highest: u64::BITS - size.leading_zeros() };
        self.exponent = 0;
        self.begin(if self.bits.of_sum(numbers.len()) <= NARROW_BITS { Form::Narrow } else { Form::Wide });
        self.push_integers(numbers, 0, held);
    }

    /// Makes them the sums of the same integers and those behind, from the place `from` on. False: they are as they were.
    pub fn extend_integers(&mut self, numbers: &[i64], from: usize, held: impl Fn(usize) -> bool) -> bool {
        let size = numbers[from..].iter().fold(0, |size, number| size | number.unsigned_abs());
        let bits = Bits { lowest: 0, highest: self.bits.highest.max(u64::BITS - size.leading_zeros()) };
        if !self.has_room(bits, numbers.len()) {
            return false;
        }
        self.bits = bits;
        self.push_integers(numbers, from, held);
        true
    }

    /// Makes them the sums of some floats; those that are not `held` count for nothing. There may be none afterwards.
    pub fn sum_floats(&mut self, numbers: &[f64], held: impl Fn(usize) -> bool) {
        self.clear();
        let of = (0..numbers.len()).filter(|place| held(*place)).map(|place| numbers[place]);
        let Some(bits) = Bits::NONE.with(of) else { return };
        self.bits = bits;
        self.exponent = if bits.highest == 0 { 0 } else { LOWEST_EXPONENT + i64::from(bits.lowest) };
        let needed = bits.of_sum(numbers.len());
        if needed <= NARROW_BITS && EXPONENTS.contains(&self.exponent) {
            self.begin(Form::Narrow);
        } else if needed <= WIDE_BITS {
            self.begin(Form::Wide);
        }
        self.push_floats(numbers, 0, held);
    }

    /// Makes them the sums of the same floats and those behind, from the place `from` on. False: they are as they were.
    pub fn extend_floats(&mut self, numbers: &[f64], from: usize, held: impl Fn(usize) -> bool) -> bool {
        let of = (from..numbers.len()).filter(|place| held(*place)).map(|place| numbers[place]);
        let Some(bits) = self.bits.with(of) else { return false };
        if bits.lowest < self.bits.lowest || !self.has_room(bits, numbers.len()) {
            return false;
        }
        self.bits = bits;
        self.push_floats(numbers, from, held);
        true
    }

    fn has_room(&self, bits: Bits, count: usize) -> bool {
        bits.of_sum(count)
            <= match self.form {
                Form::None => return false,
                Form::Narrow => NARROW_BITS,
                Form::Wide => WIDE_BITS,
            }
    }

    fn begin(&mut self, form: Form) {
        self.form = form;
        match form {
            Form::None => {}
            Form::Narrow => self.narrow.push(0),
            Form::Wide => self.wide.push(0),
        }
    }

    fn push_integers(&mut self, numbers: &[i64], from: usize, held: impl Fn(usize) -> bool) {
        let number = |place: usize| if held(place) { numbers[place] } else { 0 };
        let places = from..numbers.len();
        match self.form {
            Form::None => {}
            Form::Narrow => push_sums(&mut self.narrow, places.map(number)),
            Form::Wide => push_sums(&mut self.wide, places.map(|place| i128::from(number(place)))),
        }
    }

    fn push_floats(&mut self, numbers: &[f64], from: usize, held: impl Fn(usize) -> bool) {
        let places = from..numbers.len();
        match self.form {
            Form::None => {}
            Form::Narrow => {
                // Each becomes a whole number that a double holds: nothing is rounded.
                let scale = power(-self.exponent);
                let number = |place: usize| if held(place) { (numbers[place] * scale) as i64 } else { 0 };
                push_sums(&mut self.narrow, places.map(number));
            }
            Form::Wide => {
                let lowest = self.bits.lowest;
                let number = |place: usize| match held(place) && numbers[place] != 0.0 {
                    true => moved(numbers[place], lowest),
                    false => 0,
                };
                push_sums(&mut self.wide, places.map(number));
            }
        }
    }

    /// Leaves no sums.
    pub fn clear(&mut self) {
        self.form = Form::None;
        self.narrow.clear();
        self.wide.clear();
    }

    /// Whether there are sums.
    pub fn exists(&self) -> bool {
        self.form != Form::None
    }

    /// The power of two that is the unit.
    pub fn exponent(&self) -> i64 {
        self.exponent
    }

    /// The sum of a run, in units.
    pub fn sum(&self, from: usize, until: usize) -> i128 {
        match self.form {
            Form::Narrow => i128::from(self.narrow[until] - self.narrow[from]),
            Form::Wide => self.wide[until] - self.wide[from],
            Form::None => 0,
        }
    }

    /// The sum of a run divided by a count, rounded once.
    pub fn divided(&self, from: usize, until: usize, count: u64) -> f64 {
        if self.form == Form::Narrow {
            let sum = self.narrow[until] - self.narrow[from];
            // One rounding, of the conversion or of the division, and a power of two that rounds nothing.
            let small = sum.unsigned_abs() < 1 << SIGNIFICANT_BITS && count < 1 << SIGNIFICANT_BITS;
            if (count == 1 || small) && EXPONENTS.contains(&self.exponent) {
                return canonical_f64(sum as f64 / count as f64 * power(self.exponent));
            }
        }
        let sum = self.sum(from, until);
        let size = quotient(sum.unsigned_abs(), count, self.exponent);
        canonical_f64(if sum < 0 { -size } else { size })
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        self.narrow.capacity() * size_of::<i64>() + self.wide.capacity() * size_of::<i128>()
    }
}

/// Adds the sum of all numbers before and of each one.
fn push_sums<T: Copy + std::ops::Add<Output = T>>(sums: &mut Vec<T>, numbers: impl Iterator<Item = T>) {
    let Some(mut sum) = sums.last().copied() else { return };
    sums.extend(numbers.map(|number| {
        sum = sum + number;
        sum
    }));
}

/// A float in units of its bit `lowest`, above that of `2^-1074`. None of its bits is below it.
fn moved(number: f64, lowest: u32) -> i128 {
    let (negative, part, shift) = parts_of(number);
    let moved = match shift.checked_sub(lowest) {
        Some(up) => i128::from(part) << up,
        None => i128::from(part >> (lowest - shift)),
    };
    if negative { -moved } else { moved }
}

/// `size / count * 2^exponent`, rounded once.
pub(crate) fn quotient(size: u128, count: u64, exponent: i64) -> f64 {
    /// Bits of a quotient of which no rounding depends on what comes behind but whether it is nothing.
    const ENOUGH_BITS: u32 = SIGNIFICANT_BITS + 2;
    let bits = u128::BITS - size.leading_zeros();
    let wanted = ENOUGH_BITS + (u64::BITS - count.leading_zeros());
    let up = wanted.saturating_sub(bits);
    if size == 0 || count == 0 || !EXPONENTS.contains(&exponent) {
        let limbs = (0..4).map(|limb| (size >> (32 * limb)) as u32).collect();
        return Whole::new(limbs).divided_and_rounded(exponent, count);
    }
    // Of the size `wanted` bits at least, so that at most 119 are there or it was not moved.
    let moved = size << up;
    let (whole, rest) = match (u64::try_from(moved), moved) {
        (Ok(moved), _) => (u128::from(moved / count), moved % count > 0),
        (Err(_), moved) => (moved / u128::from(count), moved % u128::from(count) > 0),
    };
    // It has 54 bits at least: the last one to keep, and the one behind it.
    let dropped = u128::BITS - whole.leading_zeros() - SIGNIFICANT_BITS;
    let kept = (whole >> dropped) as u64;
    let half = (whole >> (dropped - 1)) & 1 == 1;
    let more = rest || whole & ((1 << (dropped - 1)) - 1) != 0;
    let kept = kept + u64::from(half && (more || kept & 1 == 1));
    kept as f64 * power(exponent - i64::from(up) + i64::from(dropped))
}

/// Two to a power that is a double.
fn power(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// The bits that a count takes.
pub(crate) fn bits_of(count: usize) -> u32 {
    usize::BITS - count.leading_zeros()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ExactSum;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Goal: sums and means of any run are those of exact sums, to the last bit.
        #[test]
        fn as_exact_sums(
            numbers in proptest::collection::vec(prop_oneof![
                -1e6..1e6_f64,
                prop::sample::select(vec![0.1, -0.1, 1e15, 3.0, 5e-324, 1e-310, 0.0, 1e300, 2e300]),
                (-1000_i32..1000).prop_map(|number| f64::from(number) / 64.0),
                any::<f32>().prop_map(f64::from),
            ], 0..40),
            from in 0.0..=1.0_f64, until in 0.0..=1.0_f64, scale in prop::sample::select(vec![1.0, 1e-280, 1e280]),
        ) {
            let numbers: Vec<f64> = numbers.iter().map(|number| number * scale).collect();
            let mut fixed = Fixed::default();
            let held = |place| place % 5 != 3;
            fixed.sum_floats(&numbers[..numbers.len() / 2], held);
            if !fixed.extend_floats(&numbers, numbers.len() / 2, held) {
                fixed.sum_floats(&numbers, held);
            }
            if !fixed.exists() {
                return Ok(());
            }
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

        /// Goal: sums of integers are those of integers of 128 bits.
        #[test]
        fn integers(numbers in proptest::collection::vec(prop_oneof![any::<i64>(), -9_i64..9], 0..20)) {
            let mut fixed = Fixed::default();
            let held = |place| place % 5 != 3;
            fixed.sum_integers(&numbers[..numbers.len() / 2], held);
            if !fixed.extend_integers(&numbers, numbers.len() / 2, held) {
                fixed.sum_integers(&numbers, held);
            }
            let held = numbers.iter().enumerate().filter(|(place, _)| place % 5 != 3);
            prop_assert_eq!(fixed.sum(0, numbers.len()), held.map(|(_, number)| i128::from(*number)).sum());
        }

        /// Goal: a quotient is rounded as that of long numbers is.
        #[test]
        fn as_long_division(
            high in any::<u64>(), low in any::<u64>(), right in 0_u32..128, count in 1_u64.., less in 0_u32..64,
            exponent in -1000_i64..900,
        ) {
            let size = (u128::from(high) << 64 | u128::from(low)) >> right;
            let count = (count >> less).max(1);
            let limbs = (0..4).map(|limb| (size >> (32 * limb)) as u32).collect();
            let wanted = Whole::new(limbs).divided_and_rounded(exponent, count);
            prop_assert_eq!(quotient(size, count, exponent).to_bits(), wanted.to_bits());
        }
    }
}
