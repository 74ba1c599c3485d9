//! The least or the greatest of any run of numbers, by the extremes of blocks and of runs of blocks.

use std::ops::Range;

/// Numbers of a block: so few are looked at one by one.
const BLOCK: usize = 8;

/// Numbers that are compared.
pub(crate) trait Comparable: Copy {
    /// The better of two. NaN is never.
    fn better(self, other: Self, greatest: bool) -> Self;
    /// What is never better.
    fn nothing(greatest: bool) -> Self;
}

impl Comparable for i64 {
    #[inline]
    fn better(self, other: Self, greatest: bool) -> Self {
        if greatest { self.max(other) } else { self.min(other) }
    }

    fn nothing(greatest: bool) -> Self {
        if greatest { Self::MIN } else { Self::MAX }
    }
}

impl Comparable for f64 {
    #[inline]
    fn better(self, other: Self, greatest: bool) -> Self {
        if greatest { self.max(other) } else { self.min(other) }
    }

    fn nothing(_: bool) -> Self {
        Self::NAN
    }
}

/// Extremes of blocks of some numbers, and of runs of blocks.
#[derive(Debug, Default)]
pub(crate) struct Blocks<T> {
    greatest: bool,
    /// Level by level the extremes of `2^level` blocks from each one on.
    levels: Vec<T>,
    /// How many blocks there are; none where the numbers are few.
    blocks: usize,
}

impl<T: Comparable> Blocks<T> {
    /// Makes them those of some numbers.
    pub fn fill(&mut self, numbers: &[T], greatest: bool) {
        self.greatest = greatest;
        self.levels.clear();
        self.blocks = 0;
        if numbers.len() <= 2 * BLOCK {
            return;
        }
        self.levels.extend(numbers.chunks(BLOCK).map(|block| best_of(block, greatest)));
        self.blocks = self.levels.len();
        let (mut below, mut width) = (0, 1);
        while 2 * width <= self.blocks {
            let start = self.levels.len();
            for at in below..below + self.blocks + 1 - 2 * width {
                self.levels.push(self.levels[at].better(self.levels[at + width], greatest));
            }
            (below, width) = (start, 2 * width);
        }
    }

    /// The extreme of a run of the same numbers.
    #[inline]
    pub fn best(&self, numbers: &[T], run: Range<usize>) -> T {
        let greatest = self.greatest;
        let (first, last) = (run.start.div_ceil(BLOCK), run.end / BLOCK);
        if self.blocks == 0 || first >= last {
            return best_of(&numbers[run], greatest);
        }
        let before = best_of(&numbers[run.start..first * BLOCK], greatest);
        let ends = before.better(best_of(&numbers[last * BLOCK..run.end], greatest), greatest);
        let level = (last - first).ilog2() as usize;
        // The levels below hold one block less for each block that their runs are longer.
        let start = level * (self.blocks + 1) + 1 - (1 << level);
        let (one, other) = (start + first, start + last - (1 << level));
        ends.better(self.levels[one].better(self.levels[other], greatest), greatest)
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        self.levels.capacity() * size_of::<T>()
    }
}

#[inline]
fn best_of<T: Comparable>(numbers: &[T], greatest: bool) -> T {
    numbers.iter().fold(T::nothing(greatest), |best, number| best.better(*number, greatest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Goal: the extreme of any run is that of its numbers one by one, and NaN is left out.
        #[test]
        fn any_run(
            numbers in proptest::collection::vec(prop_oneof![Just(f64::NAN), -50.0..50.0_f64], 0..400),
            from in 0.0..=1.0_f64, until in 0.0..=1.0_f64, greatest in any::<bool>(),
        ) {
            let place = |part: f64| (part * numbers.len() as f64) as usize;
            let run = place(from.min(until))..place(from.max(until));
            let held = numbers[run.clone()].iter().filter(|number| !number.is_nan());
            let right = match greatest {
                true => held.copied().reduce(f64::max),
                false => held.copied().reduce(f64::min),
            };
            let mut blocks = Blocks::default();
            // What was there before does not matter.
            blocks.fill(&[1e9; 100], greatest);
            blocks.fill(&numbers, greatest);
            let found = blocks.best(&numbers, run);
            prop_assert_eq!(right, (!found.is_nan()).then_some(found));
        }
    }
}
