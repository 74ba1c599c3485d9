//! Which keys of a space are asked for.

use fastrand::Rng;
use serde::Serialize;

use crate::zipf::Zipf;

/// The most keys of a space. Ranks and sums of them are exact in a float up to here.
pub const KEY_SPACE_MAX: u64 = 1 << 48;

/// How often each key of a space is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(tag = "keys", rename_all = "lowercase")]
pub enum Popularity {
    /// Each as often as any other.
    #[default]
    Uniform,
    /// The key of rank `k` as often as `k` to the power of `-exponent`; which key has which rank is scattered over the space.
    Zipf {
        /// Above 0, up to [`crate::zipf::EXPONENT_MAX`]. 0.99 is that of many caches' traces.
        exponent: f64,
    },
}

/// Draws keys of a space by their number.
#[derive(Debug, Clone)]
pub(crate) struct Picker {
    space: u64,
    zipf: Option<Zipf>,
    scatter: Scatter,
}

impl Picker {
    /// Over the keys `0..space`, of which there must be one.
    pub(crate) fn new(space: u64, popularity: Popularity) -> Self {
        let space = space.max(1);
        let zipf = match popularity {
            Popularity::Uniform => None,
            Popularity::Zipf { exponent } => Some(Zipf::new(space, exponent)),
        };
        Self { space, zipf, scatter: Scatter::new(space) }
    }

    /// The number of a key.
    pub(crate) fn pick(&self, rng: &mut Rng) -> u64 {
        match &self.zipf {
            None => rng.u64(0..self.space),
            Some(zipf) => self.scatter.of(zipf.draw(rng) - 1),
        }
    }
}

/// A permutation of `0..n` that brings neighbours far apart: popular keys must not lie side by side in a store.
#[derive(Debug, Clone)]
struct Scatter {
    n: u64,
    step: u64,
}

impl Scatter {
    fn new(n: u64) -> Self {
        // Steps of the golden section leave the widest gaps; a step without a common divisor meets every place once.
        const GOLDEN: f64 = 0.618_033_988_749_894_9;
        let mut step = ((n as f64 * GOLDEN) as u64).max(1);
        while common_divisor(step, n) != 1 {
            step += 1;
        }
        Self { n, step }
    }

    fn of(&self, rank: u64) -> u64 {
        // The first rank is not the first key either.
        let place = (u128::from(rank) + 1) * u128::from(self.step) % u128::from(self.n);
        place as u64
    }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use proptest::prelude::*;
    use std::collections::HashSet;

    proptest! {
        /// Goal: each rank has a key of its own, and each key a rank.
        #[test]
        fn scattering_is_a_permutation(n in 1_u64..3_000) {
            let scatter = Scatter::new(n);
            let seen: HashSet<u64> = (0..n).map(|rank| scatter.of(rank)).collect();
            prop_assert_eq!(seen.len() as u64, n);
            prop_assert!(seen.iter().all(|key| *key < n));
        }
    }

    /// Goal: uniform keys come from all of the space, and the popular ones of Zipf's law are few and far apart.
    #[test]
    fn popular_keys_are_few_and_apart() {
        let space = 1_000_000;
        let mut rng = Rng::with_seed(1);
        let mut distinct = |popularity| {
            let picker = Picker::new(space, popularity);
            (0..20_000).map(|_| picker.pick(&mut rng)).collect::<HashSet<u64>>()
        };
        assert!(distinct(Popularity::Uniform).len() > 19_000);
        assert!(distinct(Popularity::Zipf { exponent: 1.2 }).len() < 10_000);
        let scatter = Scatter::new(space);
        let gap = (0..9).map(|rank| scatter.of(rank).abs_diff(scatter.of(rank + 1))).min().unwrap();
        assert!(gap > 300_000, "{gap}");
    }
}
