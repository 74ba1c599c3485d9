//! A wavelet matrix: numbers as bits, the highest of all of them first, each level sorted by the bit above. What is asked of a
//! run of numbers costs a step for each bit.

use std::ops::Range;

/// Bits of a word.
const WORD: usize = 64;

/// Numbers below some bound.
#[derive(Debug)]
pub(crate) struct Wavelet {
    /// The highest bit first.
    levels: Vec<Level>,
}

/// One bit of each number.
#[derive(Debug)]
struct Level {
    /// Words of bits, each with how many ones are before it.
    words: Vec<(u64, u32)>,
    /// How many bits are zeros: the ones stand behind those on the next level.
    zeros: usize,
}

impl Level {
    /// How many of the first bits are zeros.
    #[inline]
    fn zeros_before(&self, place: usize) -> usize {
        let (word, before) = self.words[place / WORD];
        let below = word & ((1 << (place % WORD)) - 1);
        place - before as usize - below.count_ones() as usize
    }

    /// Where the zeros of a run stand on the next level, and its ones.
    #[inline]
    fn parted(&self, run: &Range<usize>) -> (Range<usize>, Range<usize>) {
        let (start, end) = (self.zeros_before(run.start), self.zeros_before(run.end));
        (start..end, self.zeros + run.start - start..self.zeros + run.end - end)
    }
}

impl Wavelet {
    /// Of some numbers.
    pub fn new(mut numbers: Vec<u32>) -> Self {
        let most = numbers.iter().max().copied().unwrap_or(0);
        let mut levels = Vec::new();
        let mut ones = Vec::with_capacity(numbers.len());
        for bit in (0..u32::BITS - most.leading_zeros()).rev() {
            let is_one = |number: &u32| (number >> bit) & 1 == 1;
            let mut before = 0;
            let word = |numbers: &[u32]| {
                let word = numbers.iter().rev().fold(0, |word, number| word << 1 | u64::from(is_one(number)));
                before += word.count_ones();
                (word, before - word.count_ones())
            };
            let mut words: Vec<(u64, u32)> = numbers.chunks(WORD).map(word).collect();
            // The end of all numbers is a place too.
            words.push((0, before));
            ones.clear();
            ones.extend(numbers.iter().copied().filter(is_one));
            numbers.retain(|number| !is_one(number));
            levels.push(Level { words, zeros: numbers.len() });
            numbers.extend_from_slice(&ones);
        }
        Self { levels }
    }

    /// How many numbers of a run are below a number.
    pub fn below(&self, mut run: Range<usize>, number: u32) -> usize {
        if number.checked_shr(self.levels.len() as u32).is_some_and(|above| above > 0) {
            return run.len();
        }
        let mut count = 0;
        for (level, bit) in self.levels.iter().zip((0..self.levels.len()).rev()) {
            let (zeros, ones) = level.parted(&run);
            run = if (number >> bit) & 1 == 1 {
                count += zeros.len();
                ones
            } else {
                zeros
            };
        }
        count
    }

    /// The number of a run that so many of it go before, by size.
    pub fn nth(&self, mut run: Range<usize>, mut before: usize) -> u32 {
        let mut number = 0;
        for level in &self.levels {
            let (zeros, ones) = level.parted(&run);
            let is_one = before >= zeros.len();
            number = number << 1 | u32::from(is_one);
            run = if is_one {
                before -= zeros.len();
                ones
            } else {
                zeros
            };
        }
        number
    }

    /// The different numbers of a run in ascending order, each with how often it is there.
    pub fn each(&self, run: Range<usize>, with: &mut impl FnMut(u32, usize)) {
        let mut open = vec![(0, 0_u32, run)];
        while let Some((level, number, run)) = open.pop() {
            if run.is_empty() {
                continue;
            }
            match self.levels.get(level) {
                None => with(number, run.len()),
                Some(of) => {
                    let (zeros, ones) = of.parted(&run);
                    open.push((level + 1, number << 1 | 1, ones));
                    open.push((level + 1, number << 1, zeros));
                }
            }
        }
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        self.levels.iter().map(|level| size_of::<Level>() + level.words.capacity() * 16).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        /// Goal: what is said of any run is what a look at its numbers says.
        #[test]
        fn any_run(
            most in 1_u32..300,
            numbers in proptest::collection::vec(any::<u32>(), 0..200),
            from in 0.0..=1.0_f64, until in 0.0..=1.0_f64, of in 0_u32..310,
        ) {
            let numbers: Vec<u32> = numbers.into_iter().map(|number| number % most).collect();
            let place = |part: f64| (part * numbers.len() as f64) as usize;
            let run = place(from.min(until))..place(from.max(until));
            let wavelet = Wavelet::new(numbers.clone());
            let mut sorted = numbers[run.clone()].to_vec();
            sorted.sort_unstable();
            prop_assert_eq!(wavelet.below(run.clone(), of), sorted.partition_point(|number| *number < of));
            for (place, number) in sorted.iter().enumerate() {
                prop_assert_eq!(wavelet.nth(run.clone(), place), *number);
            }
            let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
            sorted.iter().for_each(|number| *counts.entry(*number).or_default() += 1);
            let mut found = Vec::new();
            wavelet.each(run, &mut |number, count| found.push((number, count)));
            prop_assert_eq!(found, counts.into_iter().collect::<Vec<_>>());
        }
    }
}
