//! The least or the greatest of any run of numbers, by the extremes of blocks and of runs of blocks.

use std::ops::Range;

/// Numbers of a block: so few are looked at one by one.
const BLOCK: usize = 16;

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

/// Numbers, and extremes of them.
pub(crate) struct Blocks<T> {
    numbers: Vec<T>,
    greatest: bool,
    /// The extremes of `2^level` blocks from each one on. Level 0 is that of the blocks themselves.
    levels: Vec<Vec<T>>,
}

impl<T: Comparable> Blocks<T> {
    pub fn new(numbers: Vec<T>, greatest: bool) -> Self {
        let best = |some: &[T]| {
            some.iter().fold(T::nothing(greatest), |best, number| best.better(*number, greatest))
        };
        let mut levels = Vec::new();
        if numbers.len() > 2 * BLOCK {
            levels.push(numbers.chunks(BLOCK).map(best).collect::<Vec<T>>());
            let mut width = 1;
            while let Some(below) = levels.last().filter(|below| below.len() > width) {
                let level: Vec<T> = (0..below.len() - width)
                    .map(|at| below[at].better(below[at + width], greatest))
                    .collect();
                width *= 2;
                levels.push(level);
            }
        }
        Self { numbers, greatest, levels }
    }

    /// The extreme of a run.
    pub fn best(&self, run: Range<usize>) -> T {
        let greatest = self.greatest;
        let scan = |run: Range<usize>| {
            let some = self.numbers[run].iter();
            some.fold(T::nothing(greatest), |best, number| best.better(*number, greatest))
        };
        let (first, last) = (run.start.div_ceil(BLOCK), run.end / BLOCK);
        if self.levels.is_empty() || first >= last {
            return scan(run);
        }
        let ends = scan(run.start..first * BLOCK).better(scan(last * BLOCK..run.end), greatest);
        let level = (last - first).ilog2() as usize;
        let of = &self.levels[level];
        ends.better(of[first].better(of[last - (1 << level)], greatest), greatest)
    }
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
            let found = Blocks::new(numbers.clone(), greatest).best(run);
            prop_assert_eq!(right, (!found.is_nan()).then_some(found));
        }
    }
}
