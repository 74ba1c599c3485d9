//! What functions say that ask for values by their size, of any run.

use std::ops::Range;

use asof_model::value::canonical_f64;
use asof_model::{Cell, Value};

use super::series::fold;
use super::wavelet::Wavelet;
use crate::argument::Argument;
use crate::events::Values;
use crate::function::{Bounds, Function};
use crate::states::{Buckets, Quantiles, quantiles};
use crate::{Aggregate, Place, State};

/// No number.
pub(crate) const NONE: u32 = u32::MAX;

/// So many events may come behind before all have to be numbered anew, and a part of all.
const MORE_MAX: usize = 64;
const MORE_PART: usize = 256;

/// The numbers that events have among all values of the key, and what a function makes of them. Events that came later have
/// none: they are folded one by one.
#[derive(Debug)]
pub(crate) struct Order {
    wavelet: Wavelet,
    /// How many of the first events there are that may have a number.
    count: usize,
    /// How many events before each one, and at the end, have a number; empty where all have one.
    before: Vec<u32>,
    /// By number an event whose value has it.
    holders: Vec<u32>,
    asked: Asked,
}

#[derive(Debug)]
enum Asked {
    /// The number of a value is its place by size.
    Extremes { most: usize, greatest: bool },
    /// The number of a value is that of its part.
    Histogram { parts: usize },
    /// The number of a value is that of its range; by number the range, and for later events theirs.
    Percentile { part: f64, ranges: Vec<quantiles::Range>, later: Vec<Option<quantiles::Range>> },
}

impl Order {
    /// For a function over an argument. `None`: it is not one of these.
    pub fn new(function: Function, of: &Argument<'_>) -> Option<Self> {
        let (numbers, asked) = match function {
            Function::TopN(most) => {
                (by_size(of, false), Asked::Extremes { most: most as usize, greatest: true })
            }
            Function::BottomN(most) => {
                (by_size(of, false), Asked::Extremes { most: most as usize, greatest: false })
            }
            Function::Histogram(Bounds { lower, upper }, parts) => {
                let buckets = Buckets::new(lower.get(), upper.get(), parts);
                let number = |value| buckets.of(value).map_or(NONE, |bucket| bucket as u32);
                (numbered(of, number)?, Asked::Histogram { parts: parts as usize })
            }
            Function::ApproxPercentile(part) => {
                let (numbers, ranges) = by_range(of)?;
                (numbers, Asked::Percentile { part: part.get(), ranges, later: Vec::new() })
            }
            _ => return None,
        };
        let has_number = |number: &u32| *number != NONE;
        let different = numbers.iter().filter(|number| has_number(number)).max().map_or(0, |most| most + 1);
        let mut holders = vec![NONE; different as usize];
        for (event, number) in numbers.iter().enumerate().filter(|(_, number)| has_number(number)) {
            holders[*number as usize] = event as u32;
        }
        let mut before = Vec::new();
        if !numbers.iter().all(has_number) {
            let mut count = 0;
            before.push(0);
            before.extend(numbers.iter().map(|number| {
                count += u32::from(has_number(number));
                count
            }));
        }
        let count = numbers.len();
        let wavelet = Wavelet::new(numbers.into_iter().filter(has_number).collect());
        Some(Self { wavelet, count, before, holders, asked })
    }

    /// Makes it that of the same events and some behind them. False: it has to be made anew.
    pub fn extend(&mut self, of: &Argument<'_>) -> bool {
        if let Asked::Percentile { later, .. } = &mut self.asked {
            for event in self.count + later.len()..of.len() {
                let value = if of.holds(event) { of.double(event) } else { None };
                later.push(value.and_then(Quantiles::range));
            }
        }
        of.len() - self.count <= MORE_MAX + self.count / MORE_PART
    }

    /// The value of a run that holds so many values.
    pub fn read(&self, aggregate: &Aggregate, of: &Argument<'_>, count: usize, run: &Range<usize>) -> Cell {
        if count == 0 {
            return Cell::Null;
        }
        let middle = self.count.clamp(run.start, run.end);
        let numbered = match self.before.as_slice() {
            _ if middle == run.start => 0..0,
            [] => run.start..middle,
            before => before[run.start] as usize..before[middle] as usize,
        };
        if middle == run.end {
            return self.value(of, numbered);
        }
        if let Asked::Percentile { part, ranges, later } = &self.asked {
            // Behind the last event that may have a number, so not before it.
            let later = &later[middle - self.count..run.end - self.count];
            return self.percentile(*part, ranges, numbered, later);
        }
        let mut state = aggregate.state();
        fold(aggregate, of, middle..run.end, &mut state);
        self.fold(aggregate, of, numbered, &mut state);
        aggregate.value(&state)
    }

    /// The value of a run that has no later events. `numbered`: where those of its events stand that have a number.
    fn value(&self, of: &Argument<'_>, numbered: Range<usize>) -> Cell {
        let held = |number: u32| Some(self.held(of, number));
        let list = match &self.asked {
            Asked::Extremes { .. } if numbered.is_empty() => return Cell::Null,
            Asked::Extremes { most, greatest } => {
                self.extremes(numbered, *most, *greatest).map(held).collect()
            }
            Asked::Histogram { parts } => {
                // One part below the range, and one from its end on.
                let mut counts = vec![Some(Value::Int64(0)); parts + 2];
                self.wavelet.each(numbered, &mut |bucket, count| {
                    counts[bucket as usize] = Some(Value::Int64(count as i64));
                });
                counts
            }
            Asked::Percentile { part, ranges, .. } => return self.percentile(*part, ranges, numbered, &[]),
        };
        Cell::Value(Value::List(list))
    }

    /// The middle of the range that so many of all are in or before. `later`: the ranges of later events.
    fn percentile(
        &self,
        part: f64,
        ranges: &[quantiles::Range],
        numbered: Range<usize>,
        later: &[Option<quantiles::Range>],
    ) -> Cell {
        let mut later: Vec<quantiles::Range> = later.iter().flatten().copied().collect();
        let count = numbered.len() + later.len();
        if count == 0 {
            return Cell::Null;
        }
        let rank = Quantiles::rank(part, count as i64) as usize;
        let range = if later.is_empty() {
            ranges.get(self.wavelet.nth(numbered, rank - 1) as usize).copied()
        } else {
            later.sort_unstable();
            let reaches = |range: &quantiles::Range| {
                let numbers = ranges.partition_point(|known| known <= range) as u32;
                let later = later.partition_point(|known| known <= range);
                self.wavelet.below(numbered.clone(), numbers) + later >= rank
            };
            // The first range that reaches it, of those that have a number and of the others.
            let first = |ranges: &[quantiles::Range]| {
                ranges.get(ranges.partition_point(|range| !reaches(range))).copied()
            };
            first(ranges).into_iter().chain(first(&later)).min()
        };
        let middle = |range| Cell::Value(Value::Float64(canonical_f64(Quantiles::middle(range))));
        range.map_or(Cell::Null, middle)
    }

    /// Adds to a state what it has to know of events that have a number.
    fn fold(&self, aggregate: &Aggregate, of: &Argument<'_>, numbered: Range<usize>, state: &mut State) {
        let place = Place::default();
        let mut put = |value: Value, times: usize| {
            aggregate.put(state, &Cell::Value(value), &place, times as i64);
        };
        match &self.asked {
            Asked::Extremes { most, greatest } => {
                self.extremes(numbered, *most, *greatest).for_each(|number| put(self.held(of, number), 1));
            }
            _ => self.wavelet.each(numbered, &mut |number, count| put(self.held(of, number), count)),
        }
        // Only NaN has no number. It is in no result, but makes one of some values.
        if of.floats().is_some() {
            put(of.column.float(f64::NAN), 1);
        }
    }

    /// The numbers of the greatest values of a run, or of the least, in their order.
    fn extremes(&self, run: Range<usize>, most: usize, greatest: bool) -> impl Iterator<Item = u32> {
        (0..run.len().min(most)).map(move |place| {
            let before = if greatest { run.len() - 1 - place } else { place };
            self.wavelet.nth(run.clone(), before)
        })
    }

    /// A value that has a number.
    fn held(&self, of: &Argument<'_>, number: u32) -> Value {
        of.column.value(of.within.start + self.holders[number as usize] as usize)
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        let more = match &self.asked {
            Asked::Extremes { .. } | Asked::Histogram { .. } => 0,
            Asked::Percentile { ranges, later, .. } => {
                (ranges.capacity() + later.capacity()) * size_of::<Option<quantiles::Range>>()
            }
        };
        let numbers = self.before.capacity() + self.holders.capacity();
        self.wavelet.size() + numbers * size_of::<u32>() + more
    }
}

/// For each event the place of its value among the different values of the key by size. NaN is the greatest, or has no
/// number.
pub(crate) fn by_size(of: &Argument<'_>, nan: bool) -> Vec<u32> {
    /// Numbers that stand in the order of what they are made of.
    const SIGN: u64 = 1 << 63;
    let key = |event: usize| -> Option<u64> {
        if !of.holds(event) {
            return None;
        }
        let at = of.within.start + event;
        match of.column.values() {
            Values::Events(_) => Some(0),
            Values::Integers(values) => Some(values[at] as u64 ^ SIGN),
            Values::Floats(values) if values[at].is_nan() && !nan => None,
            Values::Floats(values) => {
                let bits = values[at].to_bits();
                Some(if bits & SIGN == 0 { bits ^ SIGN } else { !bits })
            }
            Values::Codes(codes, dictionary) => Some(u64::from(dictionary.ranks().1[codes[at] as usize])),
        }
    };
    let keyed = (0..of.len()).filter_map(|event| Some((key(event)?, event as u32)));
    let mut keyed: Vec<(u64, u32)> = keyed.collect();
    keyed.sort_unstable();
    let mut numbers = vec![NONE; of.len()];
    for (number, same) in keyed.chunk_by(|one, other| one.0 == other.0).enumerate() {
        same.iter().for_each(|(_, event)| numbers[*event as usize] = number as u32);
    }
    numbers
}

/// For each event a number of its value as a double. `None`: the values are no numbers.
fn numbered(of: &Argument<'_>, mut number: impl FnMut(f64) -> u32) -> Option<Vec<u32>> {
    let mut held = |event: usize, value: f64| if of.holds(event) { number(value) } else { NONE };
    match (of.integers(), of.floats()) {
        (Some(values), _) => {
            Some(values.iter().enumerate().map(|(at, value)| held(at, *value as f64)).collect())
        }
        (_, Some(values)) => Some(values.iter().enumerate().map(|(at, value)| held(at, *value)).collect()),
        (None, None) => None,
    }
}

/// For each event the place of its range among those that there are, and these.
fn by_range(of: &Argument<'_>) -> Option<(Vec<u32>, Vec<quantiles::Range>)> {
    let mut ranges = Vec::new();
    let mut numbers = numbered(of, |value| {
        Quantiles::range(value).map_or(NONE, |range| {
            ranges.push(range);
            ranges.len() as u32 - 1
        })
    })?;
    let mut sorted = ranges.clone();
    sorted.sort_unstable();
    sorted.dedup();
    for number in numbers.iter_mut().filter(|number| **number != NONE) {
        let range = &ranges[*number as usize];
        *number = sorted.partition_point(|known| known < range) as u32;
    }
    Some((numbers, sorted))
}

#[cfg(test)]
mod tests {
    use asof_model::ValueType;
    use proptest::prelude::*;

    use super::*;
    use crate::events::{Column, Events};
    use crate::function::Number;

    fn functions() -> Vec<Function> {
        let bounds = Bounds { lower: Number::from(-10.0), upper: Number::from(10.0) };
        let part = |part: f64| Function::ApproxPercentile(part.into());
        let items = [Function::TopN(3), Function::BottomN(4), Function::Histogram(bounds, 7)];
        items.into_iter().chain([0.0, 0.3, 0.5, 0.99, 1.0].map(part)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        /// Goal: of any run the value is that of a fold of all of it, also where some events came later and their values are
        /// unlike all before.
        #[test]
        fn any_run(
            values in proptest::collection::vec(prop_oneof![
                6 => -20.0..20.0_f64, 2 => -1e9..1e9_f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY),
            ], 1..60),
            first in 0.0..=1.0_f64, from in 0.0..=1.0_f64, until in 0.0..=1.0_f64,
        ) {
            let column = |count: usize| {
                let mut column = Column::new(ValueType::Float64);
                values[..count].iter().for_each(|value| column.push_float(canonical_f64(*value)));
                column
            };
            let place = |part: f64| (part * values.len() as f64) as usize;
            let (some, all) = (column(place(first)), column(values.len()));
            let instants: Vec<i64> = (0..values.len() as i64).collect();
            let events = Events { createds: instants.clone(), instants, ..Events::default() };
            let argument = |column, count| Argument { events: &events, column, within: 0..count };
            let whole = argument(&all, values.len());
            let run = place(from.min(until))..place(from.max(until));
            for function in functions() {
                let Some(aggregate) = Aggregate::new(function, ValueType::Float64) else { continue };
                let mut state = aggregate.state();
                fold(&aggregate, &whole, run.clone(), &mut state);
                let Some(mut order) = Order::new(function, &argument(&some, place(first))) else {
                    return Err(TestCaseError::fail(format!("{function:?} asks for the size of values")));
                };
                prop_assert!(order.extend(&whole));
                let found = order.read(&aggregate, &whole, run.len(), &run);
                prop_assert_eq!(found, aggregate.value(&state), "{:?}", function);
            }
        }
    }
}
