//! What functions say that ask for values by their size or by how often they are there, of any run.

use std::cmp::Reverse;
use std::ops::Range;

use asof_model::value::canonical_f64;
use asof_model::{Cell, Value};

use super::wavelet::Wavelet;
use crate::argument::Argument;
use crate::events::Values;
use crate::function::{Bounds, Function};
use crate::states::{Buckets, Quantiles};

/// No number.
const NONE: u32 = u32::MAX;

/// The numbers that events have among all values of the key, and what a function makes of them.
#[derive(Debug)]
pub(crate) struct Order {
    wavelet: Wavelet,
    /// How many events before each one, and at the end, have a number; empty where all have one.
    before: Vec<u32>,
    asked: Asked,
}

#[derive(Debug)]
enum Asked {
    /// The number of a value is its place by size; by number an event that holds it.
    Extremes {
        most: usize,
        greatest: bool,
        holders: Vec<u32>,
    },
    Frequent {
        most: usize,
        holders: Vec<u32>,
        numbers: Vec<u32>,
    },
    /// The number of a value is that of its part.
    Histogram {
        parts: usize,
    },
    /// The number of a value is that of its range; by number the middle of the range.
    Percentile {
        part: f64,
        middles: Vec<f64>,
    },
}

impl Order {
    /// For a function over an argument. `None`: it is not one of these.
    pub fn new(function: Function, of: &Argument<'_>) -> Option<Self> {
        let (numbers, asked) = match function {
            Function::TopN(most) | Function::BottomN(most) => {
                let (numbers, holders) = by_size(of, false);
                let greatest = matches!(function, Function::TopN(_));
                (numbers, Asked::Extremes { most: most as usize, greatest, holders })
            }
            Function::TopK(most) => {
                let (numbers, holders) = by_size(of, true);
                (numbers.clone(), Asked::Frequent { most: most as usize, holders, numbers })
            }
            Function::Histogram(Bounds { lower, upper }, parts) => {
                let buckets = Buckets::new(lower.get(), upper.get(), parts);
                let number = |value| buckets.of(value).map_or(NONE, |bucket| bucket as u32);
                (numbered(of, number)?, Asked::Histogram { parts: parts as usize })
            }
            Function::ApproxPercentile(part) => {
                let (numbers, middles) = by_range(of)?;
                (numbers, Asked::Percentile { part: part.get(), middles })
            }
            _ => return None,
        };
        let mut before = Vec::new();
        if numbers.contains(&NONE) {
            let mut count = 0;
            before.push(0);
            before.extend(numbers.iter().map(|number| {
                count += u32::from(*number != NONE);
                count
            }));
        }
        let numbers = numbers.into_iter().filter(|number| *number != NONE).collect();
        Some(Self { wavelet: Wavelet::new(numbers), before, asked })
    }

    /// The value of a run that holds so many values.
    pub fn read(&self, of: &Argument<'_>, count: usize, run: &Range<usize>) -> Cell {
        if count == 0 {
            return Cell::Null;
        }
        let whole = run.clone();
        let run = match self.before.is_empty() {
            true => run.clone(),
            false => self.before[run.start] as usize..self.before[run.end] as usize,
        };
        let held = |holders: &[u32], number: u32| {
            Some(of.column.value(of.within.start + holders[number as usize] as usize))
        };
        let list = match &self.asked {
            Asked::Extremes { .. } if run.is_empty() => return Cell::Null,
            Asked::Extremes { most, greatest, holders } => {
                let from_end = |place: usize| if *greatest { run.len() - 1 - place } else { place };
                let places = (0..run.len().min(*most)).map(from_end);
                places.map(|place| held(holders, self.wavelet.nth(run.clone(), place))).collect()
            }
            Asked::Frequent { most, holders, numbers } => {
                // A step costs as much as to count some events one by one.
                let frequent = self.wavelet.most_frequent(run.clone(), *most, run.len() / 16 + 16);
                let frequent = frequent.unwrap_or_else(|| counted(&numbers[whole], holders.len(), *most));
                frequent.into_iter().map(|number| held(holders, number)).collect()
            }
            Asked::Histogram { parts } => {
                // One part below the range, and one from its end on.
                let mut counts = vec![Some(Value::Int64(0)); parts + 2];
                self.wavelet.each(run, &mut |bucket, count| {
                    counts[bucket as usize] = Some(Value::Int64(count as i64));
                });
                counts
            }
            Asked::Percentile { .. } if run.is_empty() => return Cell::Null,
            Asked::Percentile { part, middles } => {
                let rank = Quantiles::rank(*part, run.len() as i64);
                let range = self.wavelet.nth(run, rank as usize - 1);
                return Cell::Value(Value::Float64(canonical_f64(middles[range as usize])));
            }
        };
        Cell::Value(Value::List(list))
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        let more = match &self.asked {
            Asked::Extremes { holders, .. } => holders.capacity() * size_of::<u32>(),
            Asked::Frequent { holders, numbers, .. } => {
                (holders.capacity() + numbers.capacity()) * size_of::<u32>()
            }
            Asked::Histogram { .. } => 0,
            Asked::Percentile { middles, .. } => middles.capacity() * size_of::<f64>(),
        };
        self.wavelet.size() + self.before.capacity() * size_of::<u32>() + more
    }
}

/// The most frequent of some numbers, of so many `different` ones: by how often they are there, descending, then by size.
fn counted(numbers: &[u32], different: usize, most: usize) -> Vec<u32> {
    let mut counts = vec![0_u32; different];
    for number in numbers.iter().filter(|number| **number != NONE) {
        counts[*number as usize] += 1;
    }
    let rank = |number: &u32| (Reverse(counts[*number as usize]), *number);
    let mut found: Vec<u32> = (0..different as u32).filter(|number| counts[*number as usize] > 0).collect();
    if found.len() > most {
        found.select_nth_unstable_by_key(most, rank);
        found.truncate(most);
    }
    found.sort_unstable_by_key(rank);
    found
}

/// For each event the place of its value among the different values of the key by size, and for each of these an event that
/// holds it. NaN is the greatest, or has no number.
fn by_size(of: &Argument<'_>, nan: bool) -> (Vec<u32>, Vec<u32>) {
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
    let (mut numbers, mut holders) = (vec![NONE; of.len()], Vec::new());
    for same in keyed.chunk_by(|one, other| one.0 == other.0) {
        same.iter().for_each(|(_, event)| numbers[*event as usize] = holders.len() as u32);
        holders.push(same[0].1);
    }
    (numbers, holders)
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

/// For each event the place of its range among those that there are, and the middle of each.
fn by_range(of: &Argument<'_>) -> Option<(Vec<u32>, Vec<f64>)> {
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
    Some((numbers, sorted.into_iter().map(Quantiles::middle).collect()))
}
