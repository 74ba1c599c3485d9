//! Natural numbers as long as they need to be: what rounding an exact sum once takes, and no more.

/// A natural number: limbs of 32 bits, the lowest first, without zeros at the upper end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Whole(Vec<u32>);

/// The number of significant bits of a double.
const SIGNIFICANT_BITS: u64 = 53;
/// The exponent of the lowest bit of a double.
const LOWEST_EXPONENT: i64 = -1074;

impl Whole {
    /// From limbs, the lowest first.
    pub fn new(mut limbs: Vec<u32>) -> Self {
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
        Self(limbs)
    }

    /// The limbs, the lowest first.
    pub fn limbs(&self) -> &[u32] {
        &self.0
    }

    /// Whether it is 0.
    pub fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bits it has.
    pub fn bits(&self) -> u64 {
        match self.0.last() {
            None => 0,
            Some(top) => self.0.len() as u64 * 32 - u64::from(top.leading_zeros()),
        }
    }

    /// The number times two to the power of 32, so many times.
    pub fn shifted_by_limbs(&self, limbs: usize) -> Self {
        let mut shifted = vec![0; if self.is_zero() { 0 } else { limbs }];
        shifted.extend_from_slice(&self.0);
        Self(shifted)
    }

    /// The quotient and whether there is a remainder. `None` for a divisor of 0.
    pub fn divided_by(&self, divisor: u64) -> Option<(Self, bool)> {
        if divisor == 0 {
            return None;
        }
        let mut quotient = vec![0_u32; self.0.len()];
        let mut remainder = 0_u128;
        for (place, limb) in self.0.iter().enumerate().rev() {
            let part = (remainder << 32) | u128::from(*limb);
            // Below 2^32, because the remainder is below the divisor.
            quotient[place] = (part / u128::from(divisor)) as u32;
            remainder = part % u128::from(divisor);
        }
        Some((Self::new(quotient), remainder != 0))
    }

    /// The number times `2^exponent` divided by a count, rounded once. NaN for a count of 0.
    pub fn divided_and_rounded(&self, exponent: i64, count: u64) -> f64 {
        /// Limbs behind the point: the quotient then has more bits than a double keeps.
        const MORE: usize = 4;
        if count == 1 {
            return self.rounded(exponent, false);
        }
        match self.shifted_by_limbs(MORE).divided_by(count) {
            Some((quotient, rest)) => quotient.rounded(exponent - 32 * MORE as i64, rest),
            None => f64::NAN,
        }
    }

    /// The product of two numbers.
    pub fn times(&self, other: &Self) -> Self {
        let mut product = vec![0_u32; self.0.len() + other.0.len() + 1];
        for (place, limb) in self.0.iter().enumerate() {
            let mut carry = 0_u64;
            for (at, more) in other.0.iter().enumerate() {
                let part = u64::from(*limb) * u64::from(*more) + u64::from(product[place + at]) + carry;
                product[place + at] = part as u32;
                carry = part >> 32;
            }
            let mut at = place + other.0.len();
            while carry > 0 {
                let part = u64::from(product[at]) + carry;
                product[at] = part as u32;
                carry = part >> 32;
                at += 1;
            }
        }
        Self::new(product)
    }

    /// The difference to a number that is not greater.
    pub fn minus(&self, other: &Self) -> Self {
        let mut borrow = 0_i64;
        let part = |(place, limb): (usize, &u32)| {
            let left = i64::from(*limb) - i64::from(other.0.get(place).copied().unwrap_or(0)) - borrow;
            borrow = i64::from(left < 0);
            (left + (borrow << 32)) as u32
        };
        Self::new(self.0.iter().enumerate().map(part).collect())
    }

    /// The number times `2^exponent`, and a little more where `more` says so, as the nearest double; of two equally near
    /// ones the even one. Past the range it is infinity.
    pub fn rounded(&self, exponent: i64, more: bool) -> f64 {
        let bits = self.bits();
        if bits == 0 {
            return 0.0;
        }
        // The exponent of the lowest bit that is kept.
        let lowest = (exponent + bits as i64 - SIGNIFICANT_BITS as i64).max(LOWEST_EXPONENT);
        let dropped = lowest - exponent;
        let (mut kept, half, rest) = match u64::try_from(dropped) {
            // Nothing is dropped: the number has few bits.
            Err(_) | Ok(0) => (self.low_bits_from(0), false, more),
            Ok(dropped) => {
                (self.low_bits_from(dropped), self.bit(dropped - 1), more || self.any_bit_below(dropped - 1))
            }
        };
        if half && (rest || kept & 1 == 1) {
            kept += 1;
        }
        scaled(kept, if dropped > 0 { lowest } else { exponent })
    }

    /// The bits from that one on. No more than 64 of them are there.
    fn low_bits_from(&self, bit: u64) -> u64 {
        let (limb, shift) = ((bit / 32) as usize, bit % 32);
        let at = |place: usize| u128::from(self.0.get(place).copied().unwrap_or(0));
        let three = at(limb) | (at(limb + 1) << 32) | (at(limb + 2) << 64);
        (three >> shift) as u64
    }

    fn bit(&self, bit: u64) -> bool {
        self.0.get((bit / 32) as usize).is_some_and(|limb| (limb >> (bit % 32)) & 1 == 1)
    }

    fn any_bit_below(&self, bit: u64) -> bool {
        let whole = (bit / 32) as usize;
        let part = self.0.get(whole).copied().unwrap_or(0) & ((1_u32 << (bit % 32)) - 1);
        part != 0 || self.0.iter().take(whole).any(|limb| *limb != 0)
    }
}

/// `kept * 2^exponent` for a number of at most 54 bits, which needs no rounding unless it overflows.
fn scaled(kept: u64, exponent: i64) -> f64 {
    let mut value = kept as f64;
    let mut left = exponent;
    // Powers of two that are doubles themselves; the result of each step is exact, because the end is.
    while left > 0 && value.is_finite() {
        let step = left.min(1000);
        value *= power(step);
        left -= step;
    }
    while left < 0 && value != 0.0 {
        let step = (-left).min(1000);
        value /= power(step);
        left += step;
    }
    value
}

fn power(exponent: i64) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}
