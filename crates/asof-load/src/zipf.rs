//! Ranks by Zipf's law, exactly and in constant time.
//!
//! Rejection-inversion (W. Hörmann and G. Derflinger, "Rejection-inversion to generate variates from monotone discrete
//! distributions", 1996): a point under the integral of `x^-s` is drawn by inversion, rounded to a rank, and refused where it
//! lies outside of the bar of that rank. No table is built, and fewer than two draws are needed on average whatever `n` is.

use fastrand::Rng;

/// The greatest exponent: beyond, all but the first rank vanish.
pub const EXPONENT_MAX: f64 = 20.0;

/// Draws rank `k` of `1..=n` with probability `k^-s / sum(j^-s for j in 1..=n)`.
#[derive(Debug, Clone)]
pub struct Zipf {
    n: u64,
    s: f64,
    /// The integral from 1 to 3/2, less the bar of rank 1: where the area of draws begins.
    low: f64,
    /// The integral up to `n + 1/2`: where it ends.
    high: f64,
    /// Draws so little below their rank are always within its bar.
    sure: f64,
}

impl Zipf {
    /// Over `n` ranks (at least 1) with exponent `s`, above 0 and up to [`EXPONENT_MAX`]. Values beyond are brought to the
    /// nearest within.
    pub fn new(n: u64, s: f64) -> Self {
        let n = n.max(1);
        let s = if s > 0.0 { s.min(EXPONENT_MAX) } else { f64::MIN_POSITIVE };
        let mut zipf = Self { n, s, low: 0.0, high: 0.0, sure: 0.0 };
        zipf.low = zipf.integral(1.5) - 1.0;
        zipf.high = zipf.integral(n as f64 + 0.5);
        zipf.sure = 2.0 - zipf.inverse(zipf.integral(2.5) - zipf.bar(2.0));
        zipf
    }

    /// A rank of `1..=n`.
    pub fn draw(&self, rng: &mut Rng) -> u64 {
        loop {
            let area = self.high + rng.f64() * (self.low - self.high);
            let x = self.inverse(area);
            let rank = ((x + 0.5) as u64).clamp(1, self.n);
            let k = rank as f64;
            if k - x <= self.sure || area >= self.integral(k + 0.5) - self.bar(k) {
                return rank;
            }
        }
    }

    /// `x^-s`.
    fn bar(&self, x: f64) -> f64 {
        (-self.s * x.ln()).exp()
    }

    /// The integral of `x^-s` from 1: `(x^(1-s) - 1) / (1-s)`, and `ln x` for `s = 1`, without loss beside it.
    fn integral(&self, x: f64) -> f64 {
        let log = x.ln();
        expm1_ratio((1.0 - self.s) * log) * log
    }

    /// The `x` of an integral.
    fn inverse(&self, area: f64) -> f64 {
        // Rounding may lead below where the logarithm ends.
        let t = (area * (1.0 - self.s)).max(-1.0);
        (ln1p_ratio(t) * area).exp()
    }
}

/// Below, a series is more exact than the quotient.
const SERIES_BELOW: f64 = 1e-8;

/// `ln(1 + x) / x`.
fn ln1p_ratio(x: f64) -> f64 {
    if x.abs() > SERIES_BELOW { x.ln_1p() / x } else { 1.0 - x * (0.5 - x / 3.0) }
}

/// `(e^x - 1) / x`.
fn expm1_ratio(x: f64) -> f64 {
    if x.abs() > SERIES_BELOW { x.exp_m1() / x } else { 1.0 + x * (0.5 + x / 6.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use proptest::prelude::*;

    /// Draws for each world.
    const DRAWS: u32 = 40_000;
    /// Standard deviations that a count may be off: by chance once in about 10^12 counts.
    const DEVIATIONS: f64 = 7.0;

    fn probability(n: u64, s: f64, rank: u64) -> f64 {
        let weight = |k: u64| (k as f64).powf(-s);
        weight(rank) / (1..=n).map(weight).sum::<f64>()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Goal: each rank comes as often as the definition says, for exponents around 1 and far from it.
        #[test]
        fn agrees_with_the_definition(
            n in 1_u64..40,
            s in prop_oneof![Just(1.0), Just(0.5), Just(2.0), 0.01_f64..4.0, 0.999_999_9_f64..1.000_000_1],
            seed in any::<u64>(),
        ) {
            let zipf = Zipf::new(n, s);
            let mut rng = Rng::with_seed(seed);
            let mut counts = vec![0_u32; n as usize];
            for _ in 0..DRAWS {
                counts[zipf.draw(&mut rng) as usize - 1] += 1;
            }
            for (index, count) in counts.into_iter().enumerate() {
                let p = probability(n, s, index as u64 + 1);
                let expected = p * f64::from(DRAWS);
                let deviation = (expected * (1.0 - p)).sqrt().max(1.0);
                let off = (f64::from(count) - expected).abs() / deviation;
                prop_assert!(off < DEVIATIONS, "rank {} of {n}, s={s}: {count}, not {expected}", index + 1);
            }
        }

        /// Goal: over any number of ranks and for any exponent a draw ends, and is a rank.
        #[test]
        fn stays_within(n in 1_u64..1 << 48, s in -1.0_f64..30.0, seed in any::<u64>()) {
            let zipf = Zipf::new(n, s);
            let mut rng = Rng::with_seed(seed);
            for _ in 0..100 {
                prop_assert!((1..=n).contains(&zipf.draw(&mut rng)));
            }
        }
    }

    /// Goal: over a large space the first ranks have the share that the definition says.
    #[test]
    fn a_large_space() {
        let (n, s) = (10_000_000, 0.99);
        let zipf = Zipf::new(n, s);
        let mut rng = Rng::with_seed(7);
        let head = (0..DRAWS).filter(|_| zipf.draw(&mut rng) <= 1_000).count() as f64;
        let sum = |to: u64| (1..=to).map(|k| (k as f64).powf(-s)).sum::<f64>();
        let p = sum(1_000) / sum(n);
        let expected = p * f64::from(DRAWS);
        assert!(
            (head - expected).abs() < DEVIATIONS * (expected * (1.0 - p)).sqrt(),
            "{head}, not {expected}"
        );
    }
}
