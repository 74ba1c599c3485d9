//! How values are spread: the most frequent, counts in parts of a range, percentiles.

use std::cmp::Ordering;

use asof_model::value::canonical_f64;
use asof_model::{Cell, ScalarType, Value, ValueType, canonical};

use super::{Definition, Folded, list_of};
use crate::states::{Buckets, Kind, Quantiles, Values};
use asof_model::order::{compare, has_order};

/// Whether values are numbers to calculate with.
fn is_number(of: ValueType) -> bool {
    matches!(of, ValueType::Int32 | ValueType::Int64 | ValueType::Float32 | ValueType::Float64)
}

/// The most frequent values, by count descending, then by value ascending: a list.
pub(crate) struct MostFrequent {
    pub most: u32,
}

impl Definition for MostFrequent {
    fn result(&self, input: ValueType) -> Option<ValueType> {
        list_of(input).filter(|_| has_order(input))
    }

    fn empty(&self, _: ValueType) -> Kind {
        Values::default().into()
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        let Kind::Values(values) = folded.state else { return Cell::Error };
        let read =
            |(bits, count): (&Vec<u8>, &i64)| Some((canonical::read_bits(folded.input, bits)?, *count));
        let Some(mut counted) = values.0.iter().map(read).collect::<Option<Vec<(Value, i64)>>>() else {
            return Cell::Error;
        };
        let order = |one: &(Value, i64), other: &(Value, i64)| -> Ordering {
            other.1.cmp(&one.1).then_with(|| compare(&one.0, &other.0))
        };
        counted.sort_by(order);
        counted.truncate(self.most as usize);
        Cell::Value(Value::List(counted.into_iter().map(|(value, _)| Some(value)).collect()))
    }
}

/// How many numbers lie below a range, in each of some equal parts of it, and from its end on: a list of int64. A part holds
/// its lower edge. NaN is in none.
pub(crate) struct Histogram {
    pub lower: f64,
    pub upper: f64,
    pub parts: u32,
}

impl Definition for Histogram {
    fn result(&self, input: ValueType) -> Option<ValueType> {
        is_number(input).then_some(ValueType::List(ScalarType::Int64))
    }

    fn empty(&self, _: ValueType) -> Kind {
        Buckets::new(self.lower, self.upper, self.parts).into()
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        match folded.state {
            Kind::Buckets(buckets) => {
                let counts = buckets.counts.iter().map(|count| Some(Value::Int64(*count)));
                Cell::Value(Value::List(counts.collect()))
            }
            _ => Cell::Error,
        }
    }
}

/// The number that a part of all are not greater than, within one percent of it: float64. NaN is left out; null where there
/// is nothing else.
pub(crate) struct ApproxPercentile {
    pub part: f64,
}

impl Definition for ApproxPercentile {
    fn result(&self, input: ValueType) -> Option<ValueType> {
        is_number(input).then_some(ValueType::Float64)
    }

    fn empty(&self, _: ValueType) -> Kind {
        Quantiles::default().into()
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        match folded.state {
            Kind::Quantiles(quantiles) => match quantiles.at(self.part) {
                Some(value) => Cell::Value(Value::Float64(canonical_f64(value))),
                None => Cell::Null,
            },
            _ => Cell::Error,
        }
    }
}
