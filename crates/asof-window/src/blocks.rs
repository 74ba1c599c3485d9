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

/// Extremes of whole blocks of some numbers, and of runs of blocks.
#[derive(Debug, Default)]
pub(crate) struct Blocks<T> {
    greatest: bool,
    /// Level by level the extremes of `2^level` blocks from each one on.
    levels: Vec<Vec<T>>,
}

impl<T: Comparable> Blocks<T> {
    /// Makes them those of some numbers.
    pub fn fill(&mut self, numbers: &[T], greatest: bool) {
        self.greatest = greatest;
        self.levels.iter_mut().for_each(Vec::clear);
        self.extend(numbers);
    }

    /// Makes them those of the same numbers and some more behind them.
    pub fn extend(&mut self, numbers: &[T]) {
        let known = self.levels.first().map_or(0, Vec::len);
        let blocks = numbers.chunks_exact(BLOCK).enumerate().skip(known);
        for (block, numbers) in blocks {
            let mut best = best_of(numbers, self.greatest);
            let mut width = 1;
            for level in 0.. {
                if self.levels.len() == level {
                    self.levels.push(Vec::new());
                }
                self.levels[level].push(best);
                // The last of the next level: two of this one, of which the latter was pushed now.
                let Some(first) = (block + 1).checked_sub(2 * width) else { break };
                best = self.levels[level][first].better(best, self.greatest);
                width *= 2;
            }
        }
    }

    /// The extreme of a run of the same numbers.
    #[inline]
    pub fn best(&self, numbers: &[T], run: Range<usize>) -> T {
        let greatest = self.greatest;
        let (first, last) = (run.start.div_ceil(BLOCK), run.end / BLOCK);
        if first >= last {
            return best_of(&numbers[run], greatest);
        }
        let before = best_of(&numbers[run.start..first * BLOCK], greatest);
        let ends = before.better(best_of(&numbers[last * BLOCK..run.end], greatest), greatest);
        let width = (last - first).ilog2();
        let level = &self.levels[width as usize];
        ends.better(level[first].better(level[last - (1 << width)], greatest), greatest)
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        self.levels.iter().map(|level| level.capacity() * size_of::<T>()).sum()
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
            blocks.fill(&numbers[..numbers.len() / 3], greatest);
            blocks.extend(&numbers);
            let found = blocks.best(&numbers, run);
            prop_assert_eq!(right, (!found.is_nan()).then_some(found));
        }
    }
}
