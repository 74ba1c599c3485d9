//! About how many distinct values there are, by HyperLogLog over 4,096 registers: the standard error is 1.6 %.

/// Registers, as a power of two.
const REGISTERS_LOG: u32 = 12;
const REGISTERS: usize = 1 << REGISTERS_LOG;

/// An estimate under way. It does not depend on the order of values, nor on how often one comes.
pub(crate) struct Distinct(Box<[u8; REGISTERS]>);

impl Default for Distinct {
    fn default() -> Self {
        Self(Box::new([0; REGISTERS]))
    }
}

impl Distinct {
    /// Adds a value by its hash, of which all bits count.
    #[inline]
    pub fn add(&mut self, hash: u64) {
        let register = &mut self.0[(hash >> (64 - REGISTERS_LOG)) as usize];
        // The place of the first bit that is set behind those that choose the register.
        let rank = ((hash << REGISTERS_LOG) | 1 << (REGISTERS_LOG - 1)).leading_zeros() as u8 + 1;
        *register = (*register).max(rank);
    }

    /// Adds the values of another.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(own, other)| *own = (*own).max(*other));
    }

    /// How many distinct values were added; by linear counting where few registers were met.
    pub fn estimate(&self) -> u64 {
        let size = REGISTERS as f64;
        let empty = self.0.iter().filter(|register| **register == 0).count();
        let sum: f64 = self.0.iter().map(|register| 0.5_f64.powi(i32::from(*register))).sum();
        let alpha = 0.7213 / (1.0 + 1.079 / size);
        let raw = alpha * size * size / sum;
        let estimate = if raw <= 2.5 * size && empty > 0 { size * (size / empty as f64).ln() } else { raw };
        estimate.round() as u64
    }
}
