//! The least or the greatest of any run of numbers, by the extremes of blocks and of runs of blocks.

use std::ops::Range;

/// Numbers of a block: so few are looked at one by one.
const BLOCK: usize = 8;

/// Numbers that are compared.
pub(crate) trait Comparable: Copy + PartialOrd {
    /// What no number is worse than.
    fn worst(greatest: bool) -> Self;

    /// The better of two. A number that is NaN is never, as no comparison with it holds.
    #[inline]
    fn better<const GREATEST: bool>(self, number: Self) -> Self {
        let wins = if GREATEST { number > self } else { number < self };
        if wins { number } else { self }
    }
}

impl Comparable for i64 {
    fn worst(greatest: bool) -> Self {
        if greatest { Self::MIN } else { Self::MAX }
    }
}

impl Comparable for f64 {
    fn worst(greatest: bool) -> Self {
        if greatest { Self::NEG_INFINITY } else { Self::INFINITY }
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
        match self.greatest {
            true => self.extend_by::<true>(numbers),
            false => self.extend_by::<false>(numbers),
        }
    }

    fn extend_by<const GREATEST: bool>(&mut self, numbers: &[T]) {
        let known = self.levels.first().map_or(0, Vec::len);
        let blocks = numbers.chunks_exact(BLOCK).enumerate().skip(known);
        for (block, numbers) in blocks {
            let mut best = best_of::<T, GREATEST>(numbers);
            let mut width = 1;
            for level in 0.. {
                if self.levels.len() == level {
                    self.levels.push(Vec::new());
                }
                self.levels[level].push(best);
                // The last of the next level: two of this one, of which the latter was pushed now.
                let Some(first) = (block + 1).checked_sub(2 * width) else { break };
                best = self.levels[level][first].better::<GREATEST>(best);
                width *= 2;
            }
        }
    }

    /// The extreme of a run of the same numbers; `None`: all of it is NaN.
    #[inline]
    pub fn best(&self, numbers: &[T], run: Range<usize>) -> Option<T> {
        let best = match self.greatest {
            true => self.best_by::<true>(numbers, run.clone()),
            false => self.best_by::<false>(numbers, run.clone()),
        };
        // What no number is worse than may be one of them.
        let worst = T::worst(self.greatest);
        (best != worst || numbers[run].contains(&worst)).then_some(best)
    }

    #[inline]
    fn best_by<const GREATEST: bool>(&self, numbers: &[T], run: Range<usize>) -> T {
        let (first, last) = (run.start.div_ceil(BLOCK), run.end / BLOCK);
        if first >= last {
            return best_of::<T, GREATEST>(&numbers[run]);
        }
        let before = best_of::<T, GREATEST>(&numbers[run.start..first * BLOCK]);
        let behind = best_of::<T, GREATEST>(&numbers[last * BLOCK..run.end]);
        let width = (last - first).ilog2();
        let level = &self.levels[width as usize];
        let middle = level[first].better::<GREATEST>(level[last - (1 << width)]);
        before.better::<GREATEST>(behind).better::<GREATEST>(middle)
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        self.levels.iter().map(|level| level.capacity() * size_of::<T>()).sum()
    }
}

#[inline]
fn best_of<T: Comparable, const GREATEST: bool>(numbers: &[T]) -> T {
    // Two at a time, which do not wait for each other.
    let mut best = [T::worst(GREATEST); 2];
    let mut pairs = numbers.chunks_exact(2);
    for pair in &mut pairs {
        best = [best[0].better::<GREATEST>(pair[0]), best[1].better::<GREATEST>(pair[1])];
    }
    let both = best[0].better::<GREATEST>(best[1]);
    pairs.remainder().iter().fold(both, |best, number| best.better::<GREATEST>(*number))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Goal: the extreme of any run is that of its numbers one by one, and NaN is left out.
        #[test]
        fn any_run(
            numbers in proptest::collection::vec(prop_oneof![
                3 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(f64::NEG_INFINITY), 3 => -50.0..50.0_f64,
            ], 0..400),
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
            prop_assert_eq!(right, blocks.best(&numbers, run));
        }
    }
}
