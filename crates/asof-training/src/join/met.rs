//! Units that are met while rows are read: each gets a number when it is first met, and facts that stay where they are, so
//! that many threads read them without a lock.

use std::collections::HashMap;
use std::sync::OnceLock;

use asof_model::Instant;
use parking_lot::RwLock;

use super::units::UnitFacts;

/// Units in the first block; each block has twice as many as the one before.
const FIRST_BLOCK: usize = 1024;
/// Blocks: together more units than a number of 32 bits tells apart.
const BLOCKS: usize = 23;

/// What tells a unit: when it became visible, and how many features it carries.
type Name = (Instant, usize);

/// The units met so far.
#[derive(Debug, Default)]
pub(crate) struct Met {
    numbers: RwLock<HashMap<Name, usize>>,
    blocks: [OnceLock<Box<[OnceLock<UnitFacts>]>>; BLOCKS],
}

impl Met {
    /// The number of a unit, given now where there is none. `None`: there are no more numbers.
    pub fn number(&self, name: Name, facts: impl FnOnce() -> UnitFacts) -> Option<usize> {
        if let Some(number) = self.numbers.read().get(&name) {
            return Some(*number);
        }
        let mut numbers = self.numbers.write();
        if let Some(number) = numbers.get(&name) {
            return Some(*number);
        }
        let number = numbers.len();
        let (block, place) = at(number);
        let made = || (0..FIRST_BLOCK << block).map(|_| OnceLock::new()).collect();
        let block = self.blocks.get(block)?.get_or_init(made);
        block[place].get_or_init(facts);
        numbers.insert(name, number);
        Some(number)
    }

    /// The facts of a unit by its number.
    ///
    /// # Panics
    /// For a number that was never given.
    #[expect(clippy::expect_used, reason = "whoever has a number was given it, behind its facts")]
    pub fn facts(&self, number: usize) -> &UnitFacts {
        let (block, place) = at(number);
        let found = self.blocks[block].get().and_then(|block| block[place].get());
        found.expect("a number was given for it")
    }
}

/// The block of a number, and the place in it.
fn at(number: usize) -> (usize, usize) {
    let block = (number / FIRST_BLOCK + 1).ilog2() as usize;
    (block, number - FIRST_BLOCK * ((1 << block) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every number has a place of its own, blocks follow without a gap.
    #[test]
    fn places() {
        let mut next = (0, 0);
        for number in 0..100_000 {
            assert_eq!(at(number), next);
            next = if next.1 + 1 < FIRST_BLOCK << next.0 { (next.0, next.1 + 1) } else { (next.0 + 1, 0) };
        }
        assert!(at(u32::MAX as usize).0 < BLOCKS);
    }
}
