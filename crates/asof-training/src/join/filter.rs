//! Which keys no label has, most likely: so that rows of others are not put aside.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits for each label: one row in some hundreds passes whose key no label has.
const BITS_EACH: u64 = 12;

/// Bits that a key sets, all in one word.
const BITS_SET: u32 = 4;

/// A set of key hashes that may hold more than was put in, never less.
pub(crate) struct KeyFilter(Vec<AtomicU64>);

impl KeyFilter {
    /// A set for so many keys, of at most so many bytes.
    pub fn new(keys: u64, bytes_max: u64) -> Self {
        let words = (keys * BITS_EACH / 64).min(bytes_max / 8).max(1).next_power_of_two();
        Self((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    pub fn insert(&self, hash: u64) {
        let (word, bits) = self.place(hash);
        word.fetch_or(bits, Ordering::Relaxed);
    }

    pub fn may_hold(&self, hash: u64) -> bool {
        let (word, bits) = self.place(hash);
        word.load(Ordering::Relaxed) & bits == bits
    }

    fn place(&self, hash: u64) -> (&AtomicU64, u64) {
        // Shards are chosen by the upper bits.
        let mut rest = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = &self.0[(rest >> 32) as usize & (self.0.len() - 1)];
        let mut bits = 0;
        for _ in 0..BITS_SET {
            bits |= 1_u64 << (rest & 63);
            rest >>= 6;
        }
        (word, bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every key that was put in is found, and few others are.
    #[test]
    fn holds_what_was_put_in() {
        let hash = |number: u64| super::super::keys::hash_number(number as i64);
        let filter = KeyFilter::new(10_000, u64::MAX);
        (0..10_000).for_each(|number| filter.insert(hash(number)));
        assert!((0..10_000).all(|number| filter.may_hold(hash(number))));
        let others = (10_000..110_000).filter(|number| filter.may_hold(hash(*number))).count();
        assert!(others < 5_000, "{others} of 100,000 others");
    }
}
