//! The first and the last by the place of their events: event, created, identity, then the bytes of the value.

use asof_model::{Cell, Value, ValueType, canonical};

use super::{Definition, Folded, list_of};
use crate::states::{Kind, Ranked};

/// The first values, or the last.
pub(crate) struct RankedOf {
    /// `None`: one, which is the result itself. Otherwise a list of so many at most, the one that goes first at the front.
    pub most: Option<u32>,
    pub last: bool,
    /// Each value once, at the place that goes before its others.
    pub distinct: bool,
}

impl Definition for RankedOf {
    fn result(&self, input: ValueType) -> Option<ValueType> {
        match self.most {
            Some(_) => list_of(input),
            None => Some(input),
        }
    }

    fn empty(&self, _: ValueType) -> Kind {
        Ranked::new(self.most.unwrap_or(1), self.last, self.distinct).into()
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        let Kind::Ranked(ranked) = folded.state else { return Cell::Error };
        let values = ranked.kept.iter().map(|(_, bits)| canonical::read_bits(folded.input, bits));
        let Some(mut values) = values.collect::<Option<Vec<Value>>>() else { return Cell::Error };
        match self.most {
            Some(_) => Cell::Value(Value::List(values.into_iter().map(Some).collect())),
            None => values.pop().map_or(Cell::Error, Cell::Value),
        }
    }
}
