//! The most frequent values of any run of events, by where each value is met.

use std::cmp::Reverse;
use std::ops::Range;

use asof_model::{Cell, Value};

use super::order::{NONE, by_size};
use super::series::fold;
use crate::argument::Argument;
use crate::{Aggregate, Place};

/// So many events may come behind before all have to be numbered anew, where there are so few values that they are counted
/// one by one.
const MORE_MAX: usize = 256;
const DIFFERENT_MAX: usize = 256;

/// Runs of less than that part of all different values are sorted, so that not all have to be looked at.
const SORTED_PART: usize = 8;

/// Events by their value.
#[derive(Debug)]
pub(crate) struct Frequency {
    most: usize,
    /// For each event the place of its value among the different values by size. Later events have none.
    numbers: Vec<u32>,
    /// Events by number, ascending.
    events: Vec<u32>,
    /// Where those of each number begin, and the last ones end.
    starts: Vec<u32>,
    /// Numbers by how often they are there at all, descending.
    ranked: Vec<u32>,
}

impl Frequency {
    /// So many values of an argument.
    pub fn new(most: u32, of: &Argument<'_>) -> Self {
        let numbers = by_size(of, true);
        let mut events: Vec<u32> =
            (0..numbers.len() as u32).filter(|event| numbers[*event as usize] != NONE).collect();
        events.sort_by_key(|event| numbers[*event as usize]);
        let mut starts = vec![0];
        for same in events.chunk_by(|one, other| numbers[*one as usize] == numbers[*other as usize]) {
            starts.push(starts.last().copied().unwrap_or(0) + same.len() as u32);
        }
        let mut ranked: Vec<u32> = (0..starts.len() as u32 - 1).collect();
        ranked.sort_by_key(|number| Reverse(starts[*number as usize + 1] - starts[*number as usize]));
        Self { most: most as usize, numbers, events, starts, ranked }
    }

    /// Whether it can be asked about the same events and some behind them.
    pub fn extend(&self, of: &Argument<'_>) -> bool {
        of.len() - self.numbers.len() <= MORE_MAX && self.ranked.len() <= DIFFERENT_MAX
    }

    /// The value of a run that holds so many values.
    pub fn read(&self, aggregate: &Aggregate, of: &Argument<'_>, count: usize, run: &Range<usize>) -> Cell {
        if count == 0 {
            return Cell::Null;
        }
        let middle = self.numbers.len().clamp(run.start, run.end);
        let known = run.start..middle;
        if middle == run.end {
            let values = self.most_frequent(&known).into_iter().map(|number| Some(self.value(of, number)));
            return Cell::Value(Value::List(values.collect()));
        }
        let mut state = aggregate.state();
        fold(aggregate, of, middle..run.end, &mut state);
        for number in 0..self.ranked.len() as u32 {
            let times = self.count(number, &known);
            if times > 0 {
                let value = Cell::Value(self.value(of, number));
                aggregate.put(&mut state, &value, &Place::default(), times.into());
            }
        }
        aggregate.value(&state)
    }

    /// The most frequent numbers of a run: by how often they are there, descending, then by size.
    fn most_frequent(&self, run: &Range<usize>) -> Vec<u32> {
        let mut found: Vec<(Reverse<u32>, u32)> = Vec::new();
        // A step costs as much as to count some events one by one.
        let steps = run.len() / 8 + 16;
        for (step, number) in self.ranked.iter().enumerate() {
            let total = self.of(*number).len() as u32;
            if found.len() >= self.most && found.last().is_some_and(|(Reverse(least), _)| total < *least) {
                // None of the others is met so often anywhere.
                break;
            }
            if step >= steps {
                return self.counted(run);
            }
            let count = self.count(*number, run);
            let one = (Reverse(count), *number);
            let at = found.partition_point(|known| *known < one);
            if count > 0 && at < self.most {
                found.insert(at, one);
                found.truncate(self.most);
            }
        }
        found.into_iter().map(|(_, number)| number).collect()
    }

    /// The same by counting all of a run.
    fn counted(&self, run: &Range<usize>) -> Vec<u32> {
        let numbers = self.numbers[run.clone()].iter().copied().filter(|number| *number != NONE);
        let mut found: Vec<(Reverse<u32>, u32)> = if run.len() < self.ranked.len() / SORTED_PART {
            let mut numbers: Vec<u32> = numbers.collect();
            numbers.sort_unstable();
            let counts = numbers.chunk_by(|one, other| one == other);
            counts.map(|same| (Reverse(same.len() as u32), same[0])).collect()
        } else {
            let mut counts = vec![0; self.ranked.len()];
            numbers.for_each(|number| counts[number as usize] += 1);
            let met = counts.into_iter().zip(0..).filter(|(count, _)| *count > 0);
            met.map(|(count, number)| (Reverse(count), number)).collect()
        };
        if found.len() > self.most {
            found.select_nth_unstable(self.most);
            found.truncate(self.most);
        }
        found.sort_unstable();
        found.into_iter().map(|(_, number)| number).collect()
    }

    /// The events of a number.
    fn of(&self, number: u32) -> &[u32] {
        &self.events[self.starts[number as usize] as usize..self.starts[number as usize + 1] as usize]
    }

    /// How often a number is there in a run.
    fn count(&self, number: u32, run: &Range<usize>) -> u32 {
        let of = self.of(number);
        let before = |end: usize| of.partition_point(|event| (*event as usize) < end) as u32;
        before(run.end) - before(run.start)
    }

    fn value(&self, of: &Argument<'_>, number: u32) -> Value {
        of.column.value(of.within.start + self.of(number)[0] as usize)
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        let counts = [&self.numbers, &self.events, &self.starts, &self.ranked].map(|each| each.capacity());
        counts.iter().sum::<usize>() * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use asof_model::ValueType;
    use proptest::prelude::*;

    use super::*;
    use crate::Function;
    use crate::events::{Column, Events};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Goal: of any run the values are those that a count of all says, also where many are as frequent as each other, and
        /// where some events came later.
        #[test]
        fn any_run(
            values in proptest::collection::vec((0_i64..400, 0_u32..4), 1..900), most in 1_u32..5,
            first in 0.0..=1.0_f64, from in 0.0..=1.0_f64, until in 0.0..=1.0_f64,
        ) {
            // Small values are met more often.
            let values: Vec<i64> = values.into_iter().map(|(value, less)| value >> (2 * less)).collect();
            let column = |count: usize| {
                let mut column = Column::new(ValueType::Int64);
                values[..count].iter().for_each(|value| column.push_integer(*value));
                column
            };
            let place = |part: f64| (part * values.len() as f64) as usize;
            let (some, all) = (column(place(first)), column(values.len()));
            let instants: Vec<i64> = (0..values.len() as i64).collect();
            let events = Events { createds: instants.clone(), instants, ..Events::default() };
            let argument = |column, count| Argument { events: &events, column, within: 0..count };
            let whole = argument(&all, values.len());
            let Some(aggregate) = Aggregate::new(Function::TopK(most), ValueType::Int64) else {
                return Err(TestCaseError::fail("integers are counted"));
            };
            let run = place(from.min(until))..place(from.max(until));
            let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
            values[run.clone()].iter().for_each(|value| *counts.entry(*value).or_default() += 1);
            let mut ranked: Vec<(Reverse<usize>, i64)> =
                counts.into_iter().map(|(value, count)| (Reverse(count), value)).collect();
            ranked.sort_unstable();
            let right = ranked.into_iter().take(most as usize).map(|(_, value)| Some(Value::Int64(value)));
            let right = if run.is_empty() { Cell::Null } else { Cell::Value(Value::List(right.collect())) };
            let frequency = Frequency::new(most, &whole);
            prop_assert_eq!(&frequency.read(&aggregate, &whole, run.len(), &run), &right);
            prop_assert_eq!(frequency.most_frequent(&run), frequency.counted(&run));
            // Later events are folded behind those that have a number.
            if run.start < place(first) && place(first) < run.end {
                let frequency = Frequency::new(most, &argument(&some, place(first)));
                prop_assert_eq!(&frequency.read(&aggregate, &whole, run.len(), &run), &right);
            }
        }
    }
}
