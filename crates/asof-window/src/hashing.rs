//! Hashes of values within a process: quick, and different in each process, so that nobody can write values that all collide.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// What hashes depend on beside what is hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Random {
    start: u64,
    factor: u64,
}

impl Default for Random {
    /// That of this process.
    fn default() -> Self {
        static RANDOM: LazyLock<Random> = LazyLock::new(|| {
            let random = RandomState::new();
            Random { start: random.hash_one(0), factor: random.hash_one(1) | 1 }
        });
        *RANDOM
    }
}

impl Random {
    /// The hash of a number.
    #[inline]
    pub fn hash(&self, number: u64) -> u64 {
        let product = u128::from(number ^ self.start) * u128::from(self.factor);
        (product >> 64) as u64 ^ product as u64
    }
}

impl BuildHasher for Random {
    type Hasher = Folding;

    fn build_hasher(&self) -> Folding {
        Folding(*self)
    }
}

/// Takes bytes in, eight at a time: each time both halves of a product.
#[derive(Debug)]
pub(crate) struct Folding(Random);

impl Hasher for Folding {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut parts = bytes.chunks_exact(8);
        for part in &mut parts {
            let part = part.iter().rev().fold(0, |part, byte| part << 8 | u64::from(*byte));
            self.write_u64(part);
        }
        let rest = parts.remainder();
        if !rest.is_empty() {
            // How many there are is written apart.
            self.write_u64(rest.iter().rev().fold(0, |part, byte| part << 8 | u64::from(*byte)));
        }
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0.start = self.0.hash(number);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.start
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Goal: values that differ little are spread, in the bits that tables take and in all of them.
    #[test]
    fn spread() {
        // The same in every run: a process may be unlucky, and is then a little slower.
        let random = Random { start: 0x243f_6a88_85a3_08d3, factor: 0x9e37_79b9_7f4a_7c15 };
        let texts = (0..20_000).map(|number| format!("category_{number}"));
        let hashes: Vec<u64> = texts.map(|text| random.hash_one(text.as_bytes())).collect();
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len());
        for shift in [0, 20, 49] {
            let low: HashSet<u64> = hashes.iter().map(|hash| (hash >> shift) & 0x7fff).collect();
            // Of 32,768 slots 20,000 random places meet about 15,000.
            assert!((13_500..16_500).contains(&low.len()), "{} at {shift}", low.len());
        }
        let same = |one: &[u8], other: &[u8]| random.hash_one(one) == random.hash_one(other);
        assert!(same(b"abcdefghi", b"abcdefghi"));
        assert!(!same(b"a", b"a\0"));
        assert_ne!(random.hash(1), random.hash(2));
    }
}
