//! About how many distinct values there are, while many are added: by [registers](asof_window::cardinality) of their hashes,
//! all of them at hand.

use asof_window::cardinality::{REGISTERS, estimate, place};

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
        let (register, rank) = place(hash);
        self.0[register] = self.0[register].max(rank);
    }

    /// Adds the values of another.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0.iter()).for_each(|(own, other)| *own = (*own).max(*other));
    }

    /// How many distinct values were added.
    pub fn estimate(&self) -> u64 {
        estimate(self.0.iter().copied().filter(|rank| *rank > 0))
    }
}
