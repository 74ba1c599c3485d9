//! A whole number that many small ones are added to, exactly and in any order.

use crate::whole::Whole;

/// More limbs than any sum has: squares of doubles take 4,200 bits, and counts of them 64 more.
const PLACES_MAX: usize = 256;

/// Bits of a limb.
pub(crate) const LIMB_BITS: u32 = 32;

/// Limbs that one addition reaches: up to 128 bits, moved by less than a limb.
const REACHED: u32 = 5;

/// Additions before carries must be passed on: each adds less than 2^32 to a limb of 63 bits.
const ADDITIONS_MAX: u32 = 1 << 30;

/// The number, in limbs of 32 bits that carry a sign each, so that adding touches a few of them and loses nothing. Only
/// limbs in use are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limbs {
    /// The place of the first limb, which is worth `2^(32 * first)`.
    first: u32,
    limbs: Vec<i64>,
    additions: u32,
}

impl Limbs {
    /// Adds `times * part * 2^shift`; `times` is 1 or -1.
    pub fn add(&mut self, part: u128, shift: u32, times: i64) {
        if part == 0 {
            return;
        }
        let (place, within) = (shift / LIMB_BITS, shift % LIMB_BITS);
        let bits = 128 - part.leading_zeros() + within;
        let count = bits.div_ceil(LIMB_BITS).min(REACHED);
        self.make_room(place, place + count);
        let start = (place - self.first) as usize;
        for (limb, at) in self.limbs[start..start + count as usize].iter_mut().zip(0..) {
            // What of the part falls into this limb.
            let from = at * LIMB_BITS;
            let bits = match from.checked_sub(within) {
                Some(from) => (part >> from) as u32,
                None => (part << within) as u32,
            };
            *limb += times * i64::from(bits);
        }
        self.additions += 1;
        if self.additions >= ADDITIONS_MAX {
            self.pass_carries();
        }
    }

    /// Adds another number.
    pub fn merge(&mut self, other: &Self) {
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

    /// Whether it is negative, its size, and the place of the size's first limb: the one form of the number.
    pub fn parts(&self) -> (bool, Whole, u32) {
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

    /// Writes the one form of the number: its sign, the place of its first limb, its limbs.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (negative, magnitude, place) = self.parts();
        out.push(u8::from(negative));
        out.extend_from_slice(&place.to_le_bytes());
        magnitude.limbs().iter().for_each(|limb| out.extend_from_slice(&limb.to_le_bytes()));
    }

    /// Reads all of what [`Limbs::write`] has written. `None`: these bytes are no number.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (sign, bytes) = bytes.split_first()?;
        let sign = match sign {
            0 => 1,
            1 => -1,
            _ => return None,
        };
        let (first, bytes) = bytes.split_first_chunk::<4>()?;
        let limbs =
            bytes.chunks(4).map(|limb| Some(i64::from(u32::from_le_bytes(limb.try_into().ok()?)) * sign));
        let (first, limbs) = (u32::from_le_bytes(*first), limbs.collect::<Option<Vec<_>>>()?);
        let end = (first as usize).checked_add(limbs.len())?;
        (end <= PLACES_MAX).then_some(Self { first, limbs, additions: 0 })
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        self.limbs.capacity() * size_of::<i64>()
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
}

/// Equal numbers, whatever they were added from.
impl PartialEq for Limbs {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}
