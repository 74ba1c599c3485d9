//! The values of functions over runs of events, each in a time that does not depend on how long the run is: by sums from the
//! beginning, by extremes of blocks, by the places of values.
//!
//! Exact sums can be taken away from each other, so the sum of a run is a difference. What has no such short cut is swept
//! ([`crate::sweep`]).

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Range;

use asof_model::{Cell, Value, canonical};

use crate::blocks::Blocks;
use crate::events::{Column, Events, Mark, Values};
use crate::fixed::Fixed;
use crate::function::Function;
use crate::states::Integers;
use crate::{Aggregate, State, sweep};

/// One input of the events of one key, with what was found out about it so far.
pub(crate) struct Prepared<'e> {
    events: &'e Events,
    column: &'e Column,
    /// The events of the key.
    within: Range<usize>,
    values: OnceCell<Vec<u32>>,
    errors: OnceCell<Vec<u32>>,
    sums: OnceCell<Sums>,
    extremes: [OnceCell<Option<Extremes>>; 2],
}

/// Sums of the first events.
enum Sums {
    Integers(Vec<i128>),
    Fixed(Fixed),
    /// They have to be swept.
    None,
}

enum Extremes {
    Integers(Blocks<i64>),
    Floats(Blocks<f64>),
}

/// The value of a run by itself.
type Direct<'f> = &'f dyn Fn(&Range<usize>) -> Cell;

impl<'e> Prepared<'e> {
    pub fn new(events: &'e Events, column: &'e Column, within: Range<usize>) -> Self {
        let (values, errors, sums) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { events, column, within, values, errors, sums, extremes: [OnceCell::new(), OnceCell::new()] }
    }

    /// The values of an aggregate over runs of the key's events, which begin and end in ascending order.
    pub fn fold(&self, aggregate: &Aggregate, runs: &[Range<usize>], mut put: impl FnMut(usize, Cell)) {
        let direct: Option<Direct<'_>> = match (aggregate.function(), self.column.values()) {
            (Function::Count, _) => Some(&|run| Cell::Value(Value::Int64(self.count(run) as i64))),
            (Function::Sum, Values::Integers(_)) => Some(&|run| self.sum_of_integers(run)),
            (Function::Avg, Values::Integers(_)) => Some(&|run| self.average_of_integers(run)),
            (Function::Sum, Values::Floats(_)) if self.fixed().is_some() => {
                Some(&|run| self.of_floats(run, false))
            }
            (Function::Avg, Values::Floats(_)) if self.fixed().is_some() => {
                Some(&|run| self.of_floats(run, true))
            }
            (Function::Min, _) => Some(&|run| self.extreme(run, false)),
            (Function::Max, _) => Some(&|run| self.extreme(run, true)),
            _ => None,
        };
        if let Some(direct) = direct {
            for (place, run) in runs.iter().enumerate() {
                put(place, if self.has_error(run) { Cell::Error } else { direct(run) });
            }
            return;
        }
        match aggregate.function() {
            Function::CountDistinct => self.distinct(runs, &mut put),
            Function::First => self.ranked(runs, 1, false, &mut |place, kept| put(place, one(kept))),
            Function::Last => self.ranked(runs, 1, true, &mut |place, kept| put(place, one(kept))),
            Function::FirstN(most) => {
                self.ranked(runs, most, false, &mut |place, kept| put(place, list(kept)))
            }
            Function::LastN(most) => self.ranked(runs, most, true, &mut |place, kept| put(place, list(kept))),
            _ => {
                let into = |state: &mut State, event: usize, by: i64| {
                    aggregate.put(state, &self.column.cell(event), &self.events.place(event), by);
                };
                sweep::runs(aggregate, self.within.start, runs, &into, &mut put);
            }
        }
    }

    /// How many events of the key before each one, and at its end, have a mark.
    fn before(&self, mark: Mark) -> Vec<u32> {
        let mut before = Vec::with_capacity(self.within.len() + 1);
        let mut count = 0;
        before.push(0);
        for event in self.within.clone() {
            count += u32::from(self.column.mark(event) == mark);
            before.push(count);
        }
        before
    }

    fn between(&self, before: &[u32], run: &Range<usize>) -> usize {
        (before[run.end - self.within.start] - before[run.start - self.within.start]) as usize
    }

    fn count(&self, run: &Range<usize>) -> usize {
        match self.column.is_whole() {
            true => run.len(),
            false => self.between(self.values.get_or_init(|| self.before(Mark::Value)), run),
        }
    }

    fn has_error(&self, run: &Range<usize>) -> bool {
        self.column.any_error() && self.between(self.errors.get_or_init(|| self.before(Mark::Error)), run) > 0
    }

    fn sums(&self) -> &Sums {
        self.sums.get_or_init(|| match self.column.values() {
            Values::Integers(values) => {
                let mut sums = Vec::with_capacity(self.within.len() + 1);
                let mut sum = 0_i128;
                sums.push(sum);
                for event in self.within.clone() {
                    if self.column.mark(event) == Mark::Value {
                        sum += i128::from(values[event]);
                    }
                    sums.push(sum);
                }
                Sums::Integers(sums)
            }
            Values::Floats(values) => {
                let held = |event: usize| self.column.mark(event) == Mark::Value;
                let whole = self.column.is_whole();
                let values = &values[self.within.clone()];
                let first = self.within.start;
                match Fixed::new(values, |place| whole || held(first + place)) {
                    Some(fixed) => Sums::Fixed(fixed),
                    None => Sums::None,
                }
            }
            _ => Sums::None,
        })
    }

    fn fixed(&self) -> Option<&Fixed> {
        match self.sums() {
            Sums::Fixed(fixed) => Some(fixed),
            _ => None,
        }
    }

    /// The sum of the integers of a run; `None` where it has none.
    fn integers(&self, run: &Range<usize>) -> Option<(i128, usize)> {
        let count = self.count(run);
        let Sums::Integers(sums) = self.sums() else { return None };
        let first = self.within.start;
        (count > 0).then(|| (sums[run.end - first] - sums[run.start - first], count))
    }

    fn sum_of_integers(&self, run: &Range<usize>) -> Cell {
        match self.integers(run) {
            None => Cell::Null,
            Some((sum, _)) => i64::try_from(sum).map_or(Cell::Error, |sum| Cell::Value(Value::Int64(sum))),
        }
    }

    fn average_of_integers(&self, run: &Range<usize>) -> Cell {
        match self.integers(run) {
            None => Cell::Null,
            Some((sum, count)) => {
                /// Below it integers are doubles, and one division of them is rounded once.
                const EXACT: u128 = 1 << 53;
                let mean = match sum.unsigned_abs() < EXACT && (count as u128) < EXACT {
                    true => sum as f64 / count as f64,
                    false => Integers::of(sum).divided(count as u64),
                };
                Cell::Value(Value::float64(mean))
            }
        }
    }

    fn of_floats(&self, run: &Range<usize>, average: bool) -> Cell {
        let count = self.count(run);
        let Some(fixed) = self.fixed().filter(|_| count > 0) else { return Cell::Null };
        let first = self.within.start;
        let by = if average { count as u64 } else { 1 };
        Cell::Value(Value::Float64(fixed.divided(run.start - first, run.end - first, by)))
    }

    fn extreme(&self, run: &Range<usize>, greatest: bool) -> Cell {
        let extremes = self.extremes[usize::from(greatest)].get_or_init(|| match self.column.values() {
            Values::Integers(values) => {
                let nothing = if greatest { i64::MIN } else { i64::MAX };
                let held = self.within.clone().map(|event| match self.column.mark(event) {
                    Mark::Value => values[event],
                    _ => nothing,
                });
                Some(Extremes::Integers(Blocks::new(held.collect(), greatest)))
            }
            // What holds no value is NaN, which is left out.
            Values::Floats(values) => {
                Some(Extremes::Floats(Blocks::new(values[self.within.clone()].to_vec(), greatest)))
            }
            Values::Codes(codes, dictionary) => {
                let ranks = &dictionary.ranks().1;
                let nothing = if greatest { i64::MIN } else { i64::MAX };
                let held = self.within.clone().map(|event| match self.column.mark(event) {
                    Mark::Value => i64::from(ranks[codes[event] as usize]),
                    _ => nothing,
                });
                Some(Extremes::Integers(Blocks::new(held.collect(), greatest)))
            }
            Values::Events(_) => None,
        });
        let run_of_key = run.start - self.within.start..run.end - self.within.start;
        match extremes {
            Some(Extremes::Integers(blocks)) if self.count(run) > 0 => {
                self.column.extreme_value(blocks.best(run_of_key))
            }
            Some(Extremes::Floats(blocks)) => match blocks.best(run_of_key) {
                best if best.is_nan() => Cell::Null,
                best => Cell::Value(self.column.float(best)),
            },
            _ => Cell::Null,
        }
    }

    /// How many different values each run holds: each event comes in and goes out once.
    fn distinct(&self, runs: &[Range<usize>], put: &mut impl FnMut(usize, Cell)) {
        let numbers = self.numbers();
        let different = numbers.iter().max().map_or(0, |most| *most as usize + 1);
        let mut counts = vec![0_u32; different];
        let first = self.within.start;
        let (mut head, mut tail, mut distinct) = (first, first, 0_i64);
        let held = |event: usize| self.column.mark(event) == Mark::Value;
        for (place, run) in runs.iter().enumerate() {
            for event in (tail.max(run.start)..run.end).filter(|event| held(*event)) {
                let count = &mut counts[numbers[event - first] as usize];
                distinct += i64::from(*count == 0);
                *count += 1;
            }
            for event in (head..run.start.min(tail)).filter(|event| held(*event)) {
                let count = &mut counts[numbers[event - first] as usize];
                *count -= 1;
                distinct -= i64::from(*count == 0);
            }
            (head, tail) = (run.start.max(head), tail.max(run.end).max(run.start));
            let error = self.has_error(run);
            put(place, if error { Cell::Error } else { Cell::Value(Value::Int64(distinct)) });
        }
    }

    /// A number for each event of the key, the same for equal values; anything where there is none.
    fn numbers(&self) -> Vec<u32> {
        let number = |known: &mut HashMap<u64, u32>, bits: u64| {
            let next = known.len() as u32;
            *known.entry(bits).or_insert(next)
        };
        let mut known: HashMap<u64, u32> = HashMap::new();
        match self.column.values() {
            // Few values for many events: they are numbered already.
            Values::Codes(codes, dictionary) if dictionary.values.len() <= 4 * self.within.len() => self
                .within
                .clone()
                .map(|event| if codes[event] == u32::MAX { 0 } else { codes[event] })
                .collect(),
            Values::Codes(codes, _) => {
                self.within.clone().map(|event| number(&mut known, codes[event].into())).collect()
            }
            Values::Integers(values) => {
                self.within.clone().map(|event| number(&mut known, values[event] as u64)).collect()
            }
            Values::Floats(values) => {
                self.within.clone().map(|event| number(&mut known, values[event].to_bits())).collect()
            }
            Values::Events(_) => vec![0; self.within.len()],
        }
    }

    /// The first values of each run, or the last ones; of events at one place in order of their bytes.
    fn ranked(
        &self,
        runs: &[Range<usize>],
        most: u32,
        last: bool,
        put: &mut dyn FnMut(usize, Option<Vec<Value>>),
    ) {
        // For each event the next one, in the order in which they are sought, that holds a value.
        let links = match self.column.is_whole() {
            true => Vec::new(),
            false => self.links(last),
        };
        let first = self.within.start;
        for (place, run) in runs.iter().enumerate() {
            if self.has_error(run) {
                put(place, None);
                continue;
            }
            let mut kept: Vec<usize> = Vec::new();
            let mut next = match last {
                true => run.end.checked_sub(1).filter(|event| *event >= run.start),
                false => Some(run.start).filter(|event| *event < run.end),
            };
            while let Some(at) = next {
                let event = match links.get(at - first) {
                    Some(link) => match *link {
                        u32::MAX => break,
                        link => first + link as usize,
                    },
                    None => at,
                };
                if !run.contains(&event) {
                    break;
                }
                // All of one place are looked at: their bytes say which of them goes first.
                let full = kept.len() >= most as usize;
                if full && kept.last().is_some_and(|before| self.events.order(*before, event).is_ne()) {
                    break;
                }
                kept.push(event);
                next = if last { event.checked_sub(1).filter(|at| *at >= first) } else { Some(event + 1) };
                next = next.filter(|at| self.within.contains(at));
            }
            self.rank_ties(&mut kept, last);
            kept.truncate(most as usize);
            put(place, Some(kept.into_iter().map(|event| self.column.value(event)).collect()));
        }
    }

    fn rank_ties(&self, kept: &mut [usize], last: bool) {
        let ties = |pair: &[usize]| self.events.order(pair[0], pair[1]).is_eq();
        if !kept.windows(2).any(ties) {
            return;
        }
        for group in kept.chunk_by_mut(|one, other| self.events.order(*one, *other).is_eq()) {
            group.sort_by_cached_key(|event| canonical::bits(&self.column.value(*event)));
            if last {
                group.reverse();
            }
        }
    }

    /// For each event of the key the nearest one, itself included, that holds a value: backwards where `last`.
    fn links(&self, last: bool) -> Vec<u32> {
        let count = self.within.len();
        let mut links = vec![u32::MAX; count];
        let mut nearest = u32::MAX;
        for step in 0..count {
            let place = if last { step } else { count - 1 - step };
            if self.column.mark(self.within.start + place) == Mark::Value {
                nearest = place as u32;
            }
            links[place] = nearest;
        }
        links
    }
}

/// The one value that was kept.
fn one(kept: Option<Vec<Value>>) -> Cell {
    match kept {
        None => Cell::Error,
        Some(mut values) => values.pop().map_or(Cell::Null, Cell::Value),
    }
}

fn list(kept: Option<Vec<Value>>) -> Cell {
    match kept {
        None => Cell::Error,
        Some(values) if values.is_empty() => Cell::Null,
        Some(values) => Cell::Value(Value::List(values.into_iter().map(Some).collect())),
    }
}
