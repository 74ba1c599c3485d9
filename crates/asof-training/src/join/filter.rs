//! Which keys no label has, and which rows are near to none, most likely: so that these are not looked up, nor put aside.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits for each entry: about one in twenty passes that is none. More would be more often outside of a core's cache.
const BITS_EACH: u64 = 8;

/// Bits that an entry sets, all in one word.
const BITS_SET: u32 = 3;

/// A set of key hashes that may hold more than was put in, never less.
pub(crate) struct KeyFilter(Vec<AtomicU64>);

impl KeyFilter {
    /// A set for so many keys, of at most so many bytes.
    pub fn new(keys: u64, bytes_max: u64) -> Self {
        let words = (keys.saturating_mul(BITS_EACH) / 64).min(bytes_max / 8).clamp(1, u32::MAX.into());
        Self((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    pub fn insert(&self, hash: u64) {
        let (word, bits) = self.place(hash);
        word.fetch_or(bits, Ordering::Relaxed);
    }

    #[inline]
    pub fn may_hold(&self, hash: u64) -> bool {
        let (word, bits) = self.place(hash);
        word.load(Ordering::Relaxed) & bits == bits
    }

    #[inline]
    fn place(&self, hash: u64) -> (&AtomicU64, u64) {
        // Shards are chosen by the upper bits.
        let mut rest = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = &self.0[(((rest >> 32) * self.0.len() as u64) >> 32) as usize];
        let mut bits = 0;
        for _ in 0..BITS_SET {
            bits |= 1_u64 << (rest & 63);
            rest >>= 6;
        }
        (word, bits)
    }
}

/// Which keys have a label that an event at some instant is near enough to, most likely: so that other rows are not looked
/// up. Of most histories nearly all rows are old news at every label, or the future.
pub(crate) struct ReachFilter {
    near: KeyFilter,
    /// Instants are told apart by what is left of them without so many bits.
    bits: u32,
    reach: i64,
}

impl ReachFilter {
    /// For so many labels, each of which events up to `reach` microseconds before it are near enough to; at most so many
    /// bytes. `None`: no event is too old.
    pub fn new(labels: u64, reach: i64, bytes_max: u64) -> Option<Self> {
        if reach == i64::MAX {
            return None;
        }
        // The greatest power of two that is not more than the reach: a label then marks two or three stretches of time.
        let bits = (reach.max(1) as u64).ilog2();
        let entries = labels.saturating_add((labels as f64 * (reach as f64 / (1_u64 << bits) as f64)) as u64);
        Some(Self { near: KeyFilter::new(entries, bytes_max), bits, reach })
    }

    /// Adds a label by the hash of its key, and its time in microseconds.
    pub fn insert(&self, hash: u64, time: i64) {
        let (first, last) = (time.saturating_sub(self.reach) >> self.bits, time >> self.bits);
        (first..=last).for_each(|stretch| self.near.insert(mixed(hash, stretch)));
    }

    /// Whether a row with a key of this hash and this event may be near enough to some label.
    #[inline]
    pub fn may_matter(&self, hash: u64, event: i64) -> bool {
        self.near.may_hold(mixed(hash, event >> self.bits))
    }
}

#[inline]
fn mixed(hash: u64, stretch: i64) -> u64 {
    (hash ^ (stretch as u64).wrapping_mul(0xd6e8_feb8_6659_fd93)).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Goal: whatever is near enough to a label passes, at any instant and with any reach.
        #[test]
        fn what_is_near_passes(
            labels in proptest::collection::vec((0_i64..20, any::<i64>()), 1..20),
            reach in prop_oneof![0_i64..10, 0_i64..1 << 50, Just(i64::MAX - 1)],
            ages in proptest::collection::vec(0.0..=1.0_f64, 1..8),
        ) {
            let filter = ReachFilter::new(20, reach, u64::MAX).unwrap();
            let hash = super::super::keys::hash_number;
            labels.iter().for_each(|(key, time)| filter.insert(hash(*key), *time));
            for (key, time) in labels {
                for age in ages.iter().map(|part| (reach as f64 * part) as i64).chain([0, reach]) {
                    prop_assert!(filter.may_matter(hash(key), time.saturating_sub(age.min(reach))));
                }
            }
        }
    }

    /// Goal: what is near to no label passes seldom, and where no event is too old there is no such filter.
    #[test]
    fn few_others_pass() {
        let (day, hash) = (86_400_000_000, super::super::keys::hash_number);
        let filter = ReachFilter::new(10_000, 7 * day, u64::MAX).unwrap();
        (0..10_000).for_each(|key| filter.insert(hash(key), 200 * day));
        let far = (0..10_000).filter(|key| filter.may_matter(hash(*key), 150 * day)).count();
        assert!(far < 800, "{far} of 10,000 that are too old");
        assert!(ReachFilter::new(10, i64::MAX, u64::MAX).is_none());
    }

    /// Goal: every key that was put in is found, and few others are.
    #[test]
    fn holds_what_was_put_in() {
        let hash = |number: u64| super::super::keys::hash_number(number as i64);
        let filter = KeyFilter::new(10_000, u64::MAX);
        (0..10_000).for_each(|number| filter.insert(hash(number)));
        assert!((0..10_000).all(|number| filter.may_hold(hash(number))));
        let others = (10_000..110_000).filter(|number| filter.may_hold(hash(*number))).count();
        assert!(others < 8_000, "{others} of 100,000 others");
    }
}
