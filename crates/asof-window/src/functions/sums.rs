//! Sums and means.

use asof_model::types::DECIMAL_DIGITS_MAX;
use asof_model::value::canonical_f64;
use asof_model::{Cell, Decimal, DecimalType, Value, ValueType};

use super::{Definition, Folded};
use crate::states::{Floats, Integers, Kind};

fn empty(input: ValueType) -> Kind {
    match input {
        ValueType::Float32 | ValueType::Float64 => Floats::default().into(),
        _ => Integers::default().into(),
    }
}

/// The sum: int64 of integers (ERROR past its range), float64 of floats, decimal of decimals.
pub(crate) struct Sum;

impl Definition for Sum {
    fn result(&self, input: ValueType) -> Option<ValueType> {
        use ValueType::{Decimal, Float32, Float64, Int32, Int64};
        Some(match input {
            Int32 | Int64 => Int64,
            Float32 | Float64 => Float64,
            Decimal(of) => Decimal(DecimalType::new(DECIMAL_DIGITS_MAX, of.scale())?),
            _ => return None,
        })
    }

    fn empty(&self, input: ValueType) -> Kind {
        empty(input)
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        let value = match folded.state {
            Kind::Floats(sum) => Some(Value::Float64(canonical_f64(sum.0.value()))),
            Kind::Integers(sum) => sum.value().and_then(|sum| match folded.result {
                ValueType::Decimal(of) => Decimal::checked(sum, of).ok().map(Value::Decimal),
                _ => i64::try_from(sum).ok().map(Value::Int64),
            }),
            _ => None,
        };
        value.map_or(Cell::Error, Cell::Value)
    }
}

/// The exact mean of integers and floats, rounded once: float64.
pub(crate) struct Avg;

impl Definition for Avg {
    fn result(&self, input: ValueType) -> Option<ValueType> {
        use ValueType::{Float32, Float64, Int32, Int64};
        matches!(input, Int32 | Int64 | Float32 | Float64).then_some(Float64)
    }

    fn empty(&self, input: ValueType) -> Kind {
        empty(input)
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        match folded.state {
            Kind::Floats(sum) => Cell::Value(Value::Float64(canonical_f64(sum.0.divided(folded.count)))),
            Kind::Integers(sum) => Cell::Value(Value::Float64(sum.divided(folded.count))),
            _ => Cell::Error,
        }
    }
}
