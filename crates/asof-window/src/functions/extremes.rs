//! The least and the greatest.

use std::cmp::Ordering;

use asof_model::{Cell, Value, ValueType, canonical};

use super::{Definition, Folded, list_of};
use crate::states::{Extremes, Kind, Values};
use asof_model::order::{compare, has_order};

/// The least value, or the greatest. NaN is left out; null where there is nothing else.
pub(crate) struct Extreme {
    pub greatest: bool,
}

impl Extreme {
    fn best(&self, values: &Values, of: ValueType) -> Option<Value> {
        let wanted = if self.greatest { Ordering::Greater } else { Ordering::Less };
        let mut best: Option<Value> = None;
        for bits in values.0.keys() {
            let value = canonical::read_bits(of, bits)?;
            let wins = match &best {
                None => true,
                Some(best) if best.is_nan() => true,
                Some(_) if value.is_nan() => false,
                Some(best) => compare(&value, best) == wanted,
            };
            if wins {
                best = Some(value);
            }
        }
        best
    }
}

impl Definition for Extreme {
    fn result(&self, input: ValueType) -> Option<ValueType> {
        has_order(input).then_some(input)
    }

    fn empty(&self, _: ValueType) -> Kind {
        Values::default().into()
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        match folded.state {
            Kind::Values(values) => match self.best(values, folded.input) {
                Some(best) if best.is_nan() => Cell::Null,
                Some(best) => Cell::Value(best),
                None => Cell::Error,
            },
            _ => Cell::Error,
        }
    }

    fn settle(&self, state: &mut Kind, input: ValueType) {
        let Kind::Values(values) = state else { return };
        if values.0.len() > 1 {
            let best = self.best(values, input).map(|best| canonical::bits(&best));
            values.0.retain(|bits, _| Some(bits) == best.as_ref());
        }
        values.0.values_mut().for_each(|count| *count = 1);
    }
}

/// The greatest values, or the least, in order: a list. NaN is left out; null where there is nothing else.
pub(crate) struct ExtremesOf {
    pub most: u32,
    pub greatest: bool,
}

impl Definition for ExtremesOf {
    fn result(&self, input: ValueType) -> Option<ValueType> {
        list_of(input).filter(|_| has_order(input))
    }

    fn empty(&self, input: ValueType) -> Kind {
        Extremes::new(self.most, self.greatest, input).into()
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        match folded.state {
            Kind::Extremes(extremes) if extremes.kept.is_empty() => Cell::Null,
            Kind::Extremes(extremes) => {
                Cell::Value(Value::List(extremes.kept.iter().cloned().map(Some).collect()))
            }
            _ => Cell::Error,
        }
    }
}
