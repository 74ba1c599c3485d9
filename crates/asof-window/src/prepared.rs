//! What is found out once about an argument of the events of a key, so that a value of any run of them takes a time that does
//! not depend on how long the run is: sums from the beginning, extremes of blocks, the nearest values.
//!
//! Exact sums can be taken away from each other, so the sum of a run is a difference. What has no such short cut is swept
//! ([`crate::fold`]).

use std::ops::Range;

use asof_model::{Cell, Value};

use crate::argument::Argument;
use crate::blocks::{Blocks, Comparable};
use crate::events::{Mark, Values};
use crate::fixed::Fixed;
use crate::function::Function;
use crate::nearest::Nearest;
use crate::squares::Squares;

/// What was found out about an argument. Its memory stays for the next one.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// How many events before each one, and at the end, hold a value; where not all do.
    values: Part<Vec<u32>>,
    /// The same for errors.
    errors: Part<Vec<u32>>,
    sums: Part<Fixed>,
    squares: Part<Squares>,
    /// How many events before each one, and at the end, are true.
    trues: Part<Vec<u32>>,
    /// The least, and the greatest.
    extremes: [Part<Extremes>; 2],
    /// The nearest value from each event on, and back from it.
    nearest: [Part<Nearest>; 2],
}

#[derive(Debug, Default)]
struct Part<T> {
    made: bool,
    held: T,
}

impl<T> Part<T> {
    fn make(&mut self, with: impl FnOnce(&mut T)) {
        if !self.made {
            with(&mut self.held);
            self.made = true;
        }
    }
}

#[derive(Debug, Default)]
struct Extremes {
    greatest: bool,
    floats: Blocks<f64>,
    integers: Blocks<i64>,
    /// How many values the dictionary had, by whose order the numbers of `integers` are.
    ranked: usize,
    /// The numbers of `integers`, where they are not those of the column.
    held: Vec<i64>,
}

/// How a value of a run is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Count,
    SumOfIntegers,
    MeanOfIntegers,
    SumOfFloats,
    MeanOfFloats,
    Variance { sample: bool, root: bool },
    Truth { all: bool },
    Extreme { greatest: bool },
    One { last: bool },
    List { last: bool, most: usize },
}

impl Prepared {
    /// Forgets the argument.
    pub fn forget(&mut self) {
        (self.values.made, self.errors.made, self.trues.made) = (false, false, false);
        (self.sums.made, self.squares.made) = (false, false);
        self.extremes.iter_mut().for_each(|part| part.made = false);
        self.nearest.iter_mut().for_each(|part| part.made = false);
    }

    /// Finds out what a function takes. `None`: its values are not read, but folded.
    pub fn prepare(&mut self, of: &Argument<'_>, function: Function) -> Option<Reading> {
        let is_float = of.floats().is_some();
        let is_integer = of.integers().is_some();
        let reading = match function {
            Function::Count => Reading::Count,
            Function::Sum if is_integer => Reading::SumOfIntegers,
            Function::Avg if is_integer => Reading::MeanOfIntegers,
            Function::Sum if is_float => Reading::SumOfFloats,
            Function::Avg if is_float => Reading::MeanOfFloats,
            Function::VarPop => Reading::Variance { sample: false, root: false },
            Function::VarSamp => Reading::Variance { sample: true, root: false },
            Function::StddevPop => Reading::Variance { sample: false, root: true },
            Function::StddevSamp => Reading::Variance { sample: true, root: true },
            Function::BoolAnd => Reading::Truth { all: true },
            Function::BoolOr => Reading::Truth { all: false },
            Function::Min => Reading::Extreme { greatest: false },
            Function::Max => Reading::Extreme { greatest: true },
            Function::First => Reading::One { last: false },
            Function::Last => Reading::One { last: true },
            Function::FirstN(most) => Reading::List { last: false, most: most as usize },
            Function::LastN(most) => Reading::List { last: true, most: most as usize },
            _ => {
                self.count_marks(of);
                return None;
            }
        };
        self.count_marks(of);
        match reading {
            Reading::Count => {}
            Reading::SumOfIntegers
            | Reading::MeanOfIntegers
            | Reading::SumOfFloats
            | Reading::MeanOfFloats => {
                self.sums.make(|sums| sum(sums, of));
                if !self.sums.held.exists() {
                    return None;
                }
            }
            Reading::Variance { .. } => {
                self.sums.make(|sums| sum(sums, of));
                self.squares.make(|squares| squares.fill(&self.sums.held, of.len()));
                if !self.squares.held.exist() {
                    return None;
                }
            }
            Reading::Truth { .. } => {
                self.trues.make(|before| count_before(before, of, |event| of.is_true(event)))
            }
            Reading::Extreme { greatest } => {
                self.extremes[usize::from(greatest)].make(|extremes| extremes.fill(of, greatest));
            }
            Reading::One { last } | Reading::List { last, .. } => {
                self.nearest[usize::from(last)].make(|nearest| nearest.fill(of, last));
            }
        }
        Some(reading)
    }

    /// Finds out the same about an argument of the same events and some behind them, from the place `from` on. False: about
    /// something it cannot be found out any more.
    pub fn extend(&mut self, of: &Argument<'_>, from: usize) -> bool {
        let holds = |event| of.holds(event);
        extend_before(&mut self.values, of, from, holds);
        extend_before(&mut self.errors, of, from, |event| of.mark(event) == Mark::Error);
        extend_before(&mut self.trues, of, from, |event| of.is_true(event));
        self.count_marks(of);
        let had = (self.sums.held.exists(), self.squares.held.exist());
        if self.sums.made && had.0 {
            let sums = &mut self.sums.held;
            let extended = match (of.integers(), of.floats()) {
                (Some(integers), _) => sums.extend_integers(integers, from, holds),
                (_, Some(floats)) => sums.extend_floats(floats, from, holds),
                (None, None) => false,
            };
            if !extended {
                sum(sums, of);
            }
            match (self.squares.made, extended) {
                (true, true) => self.squares.held.extend(sums, of.len()),
                (true, false) => self.squares.held.fill(sums, of.len()),
                (false, _) => {}
            }
        }
        for part in self.extremes.iter_mut().filter(|part| part.made) {
            part.held.extend(of);
        }
        for (part, last) in self.nearest.iter_mut().zip([false, true]).filter(|(part, _)| part.made) {
            part.held.extend(of, last);
        }
        had == (self.sums.held.exists(), self.squares.held.exist())
    }

    fn count_marks(&mut self, of: &Argument<'_>) {
        if !of.column.is_whole() {
            self.values.make(|before| count_before(before, of, |event| of.holds(event)));
        }
        if of.column.any_error() {
            self.errors.make(|before| count_before(before, of, |event| of.mark(event) == Mark::Error));
        }
    }

    /// How many values a run holds.
    #[inline]
    pub fn count(&self, of: &Argument<'_>, run: &Range<usize>) -> usize {
        match of.column.is_whole() {
            true => run.len(),
            false => (self.values.held[run.end] - self.values.held[run.start]) as usize,
        }
    }

    /// Whether an argument in error counts.
    #[inline]
    pub fn has_error(&self, of: &Argument<'_>, run: &Range<usize>) -> bool {
        of.column.any_error() && self.errors.held[run.end] > self.errors.held[run.start]
    }

    /// The value of a run of the same argument. `kept` is memory.
    #[inline]
    pub fn read(
        &self,
        of: &Argument<'_>,
        reading: Reading,
        run: &Range<usize>,
        kept: &mut Vec<usize>,
    ) -> Cell {
        if self.has_error(of, run) {
            return Cell::Error;
        }
        let count = self.count(of, run);
        if reading == Reading::Count {
            return Cell::Value(Value::Int64(count as i64));
        }
        if count == 0 {
            return Cell::Null;
        }
        let sums = &self.sums.held;
        match reading {
            Reading::Count => Cell::Value(Value::Int64(count as i64)),
            Reading::SumOfIntegers => match i64::try_from(sums.sum(run.start, run.end)) {
                Ok(sum) => Cell::Value(Value::Int64(sum)),
                Err(_) => Cell::Error,
            },
            Reading::MeanOfIntegers => {
                Cell::Value(Value::float64(sums.divided(run.start, run.end, count as u64)))
            }
            Reading::SumOfFloats => Cell::Value(Value::Float64(sums.divided(run.start, run.end, 1))),
            Reading::MeanOfFloats => {
                Cell::Value(Value::Float64(sums.divided(run.start, run.end, count as u64)))
            }
            Reading::Variance { sample, root } => {
                let divisor = count as u64 - u64::from(sample);
                if divisor == 0 {
                    return Cell::Null;
                }
                let distances = self.squares.held.distances(sums, run.start, run.end, count as u64);
                let variance = distances / divisor as f64;
                Cell::Value(Value::float64(if root { variance.sqrt() } else { variance }))
            }
            Reading::Truth { all } => {
                let trues = (self.trues.held[run.end] - self.trues.held[run.start]) as usize;
                Cell::Value(Value::Bool(if all { trues == count } else { trues > 0 }))
            }
            Reading::Extreme { greatest } => self.extremes[usize::from(greatest)].held.read(of, run.clone()),
            Reading::One { last } => self.nearest[usize::from(last)].held.one(of, run, last, kept),
            Reading::List { last, most } => {
                self.nearest[usize::from(last)].held.list(of, run, (last, most), kept)
            }
        }
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        let counts = [&self.values, &self.errors, &self.trues].map(|part| part.held.capacity());
        let counts = counts.iter().sum::<usize>();
        let sums = self.sums.held.size() + self.squares.held.size();
        let extremes = self.extremes.iter().map(|part| part.held.size()).sum::<usize>();
        let nearest = self.nearest.iter().map(|part| part.held.size()).sum::<usize>();
        counts * size_of::<u32>() + sums + extremes + nearest
    }
}

/// What [`count_before`] gives, with the events behind, where it was made.
fn extend_before(part: &mut Part<Vec<u32>>, of: &Argument<'_>, from: usize, counts: impl Fn(usize) -> bool) {
    if let Some(mut count) = part.held.last().copied().filter(|_| part.made) {
        part.held.extend((from..of.len()).map(|event| {
            count += u32::from(counts(event));
            count
        }));
    }
}

/// How many events before each one, and at the end, are to be counted.
fn count_before(before: &mut Vec<u32>, of: &Argument<'_>, counts: impl Fn(usize) -> bool) {
    let mut count = 0;
    before.clear();
    before.push(0);
    before.extend((0..of.len()).map(|event| {
        count += u32::from(counts(event));
        count
    }));
}

fn sum(sums: &mut Fixed, of: &Argument<'_>) {
    let whole = of.column.is_whole();
    match (of.integers(), of.floats()) {
        (Some(integers), _) => sums.sum_integers(integers, |event| whole || of.holds(event)),
        (_, Some(floats)) => sums.sum_floats(floats, |event| whole || of.holds(event)),
        (None, None) => sums.clear(),
    }
}

impl Extremes {
    fn fill(&mut self, of: &Argument<'_>, greatest: bool) {
        self.greatest = greatest;
        self.held.clear();
        self.floats.fill(&[], greatest);
        self.integers.fill(&[], greatest);
        self.ranked = 0;
        self.extend(of);
    }

    /// Makes it that of the same events and some behind them.
    fn extend(&mut self, of: &Argument<'_>) {
        let within = of.within.clone();
        match of.column.values() {
            // What holds no value is NaN, which is left out.
            Values::Floats(values) => self.floats.extend(&values[within]),
            Values::Integers(values) if of.column.is_whole() => self.integers.extend(&values[within]),
            Values::Integers(values) => {
                if self.held.is_empty() {
                    // All of them held a value before, or there were none.
                    self.integers.fill(&[], self.greatest);
                }
                self.extend_held(of, |event| values[event]);
            }
            Values::Codes(codes, dictionary) => {
                if self.ranked != dictionary.values.len() {
                    self.held.clear();
                    self.integers.fill(&[], self.greatest);
                    self.ranked = dictionary.values.len();
                }
                let ranks = &dictionary.ranks().1;
                self.extend_held(of, |event| i64::from(ranks[codes[event] as usize]));
            }
            Values::Events(_) => {}
        }
    }

    fn extend_held(&mut self, of: &Argument<'_>, number: impl Fn(usize) -> i64) {
        let more = of.within.start + self.held.len()..of.within.end;
        let nothing = i64::worst(self.greatest);
        self.held.extend(more.map(|event| match of.column.mark(event) {
            Mark::Value => number(event),
            _ => nothing,
        }));
        self.integers.extend(&self.held);
    }

    /// The extreme of a run that holds a value.
    fn read(&self, of: &Argument<'_>, run: Range<usize>) -> Cell {
        match of.column.values() {
            Values::Floats(values) => match self.floats.best(&values[of.within.clone()], run) {
                Some(best) => Cell::Value(of.column.float(best)),
                None => Cell::Null,
            },
            Values::Integers(values) if of.column.is_whole() => {
                let best = self.integers.best(&values[of.within.clone()], run);
                best.map_or(Cell::Null, |best| of.column.extreme_value(best))
            }
            Values::Integers(_) | Values::Codes(..) => {
                let best = self.integers.best(&self.held, run);
                best.map_or(Cell::Null, |best| of.column.extreme_value(best))
            }
            // Each of them is true.
            Values::Events(_) => Cell::Value(Value::Bool(true)),
        }
    }

    fn size(&self) -> usize {
        self.floats.size() + self.integers.size() + self.held.capacity() * size_of::<i64>()
    }
}
