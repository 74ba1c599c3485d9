//! How many there are.

use asof_model::{Cell, Value, ValueType};

use super::{Definition, Folded};
use crate::states::{Counted, Kind, Registers, Values};

/// A count: int64, 0 over nothing.
fn counted(count: u64) -> Cell {
    i64::try_from(count).map_or(Cell::Error, |count| Cell::Value(Value::Int64(count)))
}

/// Values that are not null.
pub(crate) struct Count;

impl Definition for Count {
    fn result(&self, _: ValueType) -> Option<ValueType> {
        Some(ValueType::Int64)
    }

    fn empty(&self, _: ValueType) -> Kind {
        Counted.into()
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        counted(folded.count)
    }

    fn over_nothing(&self) -> Cell {
        counted(0)
    }
}

/// Different values.
pub(crate) struct CountDistinct;

impl Definition for CountDistinct {
    fn result(&self, _: ValueType) -> Option<ValueType> {
        Some(ValueType::Int64)
    }

    fn empty(&self, _: ValueType) -> Kind {
        Values::default().into()
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        match folded.state {
            Kind::Values(values) => counted(values.0.len() as u64),
            _ => Cell::Error,
        }
    }

    fn over_nothing(&self) -> Cell {
        counted(0)
    }

    fn settle(&self, state: &mut Kind, _: ValueType) {
        if let Kind::Values(values) = state {
            values.0.values_mut().for_each(|count| *count = 1);
        }
    }
}

/// Different values, about.
pub(crate) struct ApproxCountDistinct;

impl Definition for ApproxCountDistinct {
    fn result(&self, _: ValueType) -> Option<ValueType> {
        Some(ValueType::Int64)
    }

    fn empty(&self, _: ValueType) -> Kind {
        Registers::default().into()
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        match folded.state {
            Kind::Registers(registers) => counted(registers.estimate()),
            _ => Cell::Error,
        }
    }

    fn over_nothing(&self) -> Cell {
        counted(0)
    }
}
