//! Latencies in bounded memory, with a bounded relative error.
//!
//! The buckets are those of an HDR histogram: exact up to 256 nanoseconds, and from there each power of two is
//! cut into as many equal buckets. A quantile is told as the greatest value of its bucket, so it is never below the truth,
//! and above it by at most [`RELATIVE_ERROR`].

use std::time::Duration;

/// Bits of a value that are kept.
const KEPT_BITS: u32 = 8;
/// Values below are exact, in nanoseconds; each power of two above has half as many buckets.
const EXACT_BELOW: u64 = 1 << KEPT_BITS;
/// Buckets of each power of two above [`EXACT_BELOW`].
const BUCKETS_PER_POWER: u64 = EXACT_BELOW / 2;
/// Bits of the greatest value that has a bucket of its own, about 73 minutes of nanoseconds; longer ones share the last.
const VALUE_BITS_MAX: u32 = 42;
/// Buckets of a histogram, 8 bytes each: 36 KB.
const BUCKETS: usize = (EXACT_BELOW + (VALUE_BITS_MAX - KEPT_BITS) as u64 * BUCKETS_PER_POWER) as usize;

/// How far a quantile may be above the truth, as a share of it.
pub const RELATIVE_ERROR: f64 = 1.0 / BUCKETS_PER_POWER as f64;

/// Counts of durations.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, sum_ns: 0, max_ns: 0 }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn record(&mut self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(ns)) {
            *count += 1;
        }
        self.count += 1;
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest one, exactly. Zero where nothing was counted.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max_ns)
    }

    /// The arithmetic mean, exactly but for the fraction of a nanosecond. Zero where nothing was counted.
    pub fn mean(&self) -> Duration {
        let mean = self.sum_ns.checked_div(u128::from(self.count)).unwrap_or(0);
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// The least duration that at least the share `q` (0 to 1) of all is not longer than: never below the truth, and above it
    /// by [`RELATIVE_ERROR`] at most. Zero where nothing was counted.
    pub fn quantile(&self, q: f64) -> Duration {
        // The rank is that of sorted values, from 1: of 1000, 0.999 is the 999th.
        let exact = q.clamp(0.0, 1.0) * self.count as f64;
        // A product such as 0.29 * 100 lies a hair above 29.
        let rank = ((exact - exact * f64::EPSILON).ceil() as u64).clamp(1, self.count.max(1));
        let mut below = 0;
        for (index, count) in self.counts.iter().enumerate() {
            below += count;
            if below >= rank {
                return Duration::from_nanos(greatest(index).min(self.max_ns));
            }
        }
        self.max()
    }
}

/// The bucket of a value.
fn bucket(ns: u64) -> usize {
    if ns < EXACT_BELOW {
        return ns as usize;
    }
    let bits = u64::BITS - ns.leading_zeros();
    if bits > VALUE_BITS_MAX {
        return BUCKETS - 1;
    }
    let power = bits - KEPT_BITS;
    let within = (ns >> power) - BUCKETS_PER_POWER;
    (EXACT_BELOW + u64::from(power - 1) * BUCKETS_PER_POWER + within) as usize
}

/// The greatest value of a bucket; the last one has no bound.
fn greatest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < EXACT_BELOW {
        return bucket;
    }
    if bucket as usize >= BUCKETS - 1 {
        return u64::MAX;
    }
    let power = (bucket - EXACT_BELOW) / BUCKETS_PER_POWER + 1;
    let within = (bucket - EXACT_BELOW) % BUCKETS_PER_POWER;
    ((within + BUCKETS_PER_POWER + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Goal: buckets follow one another without gap, and each holds the values that it says.
    #[test]
    fn buckets_follow_one_another() {
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(greatest(index)), index);
            assert_eq!(bucket(greatest(index) + 1), index + 1);
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    /// Goal: nothing counted is zero everywhere, and the longest is exact even beyond the last bucket.
    #[test]
    fn ends() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(0.5), histogram.max(), histogram.mean()), Default::default());
        let day = Duration::from_secs(86_400);
        histogram.record(day);
        assert_eq!((histogram.quantile(0.5), histogram.max(), histogram.mean()), (day, day, day));
    }

    /// Goal: ranks are those of sorted values, also where a product of floats lies beside a whole number.
    #[test]
    fn ranks() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|ns| histogram.record(Duration::from_nanos(ns)));
        for percent in 1..=100_u32 {
            let seen = histogram.quantile(f64::from(percent) / 100.0);
            assert_eq!(seen, Duration::from_nanos(percent.into()));
        }
        assert_eq!(histogram.quantile(0.0), Duration::from_nanos(1));
        assert_eq!(histogram.mean(), Duration::from_nanos(50));
    }

    proptest! {
        /// Goal: a quantile is that of the sorted values, never below and at most the promised share above, however the
        /// values were spread over histograms.
        #[test]
        fn agrees_with_sorting(
            mut values in prop::collection::vec((0_u64..40, any::<u64>()), 1..300),
            split in 0_usize..300,
            q in 0.0_f64..=1.0,
        ) {
            let mut values: Vec<u64> = values.drain(..).map(|(bits, value)| value % (1 << bits)).collect();
            let (mut left, mut right) = (Histogram::default(), Histogram::default());
            for (index, value) in values.iter().enumerate() {
                let side = if index < split { &mut left } else { &mut right };
                side.record(Duration::from_nanos(*value));
            }
            left.merge(&right);
            values.sort_unstable();
            let rank = ((q * values.len() as f64).ceil() as usize).max(1);
            let truth = values[rank - 1];
            let seen = left.quantile(q).as_nanos() as u64;
            prop_assert!(seen >= truth, "{seen} < {truth}");
            prop_assert!((seen - truth) as f64 <= truth as f64 * RELATIVE_ERROR, "{seen} for {truth}");
            prop_assert_eq!(left.count(), values.len() as u64);
            prop_assert_eq!(left.max().as_nanos() as u64, values[values.len() - 1]);
        }
    }
}
