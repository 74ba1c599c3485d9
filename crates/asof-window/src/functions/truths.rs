//! Whether all, or any, are true.

use asof_model::{Cell, Value, ValueType};

use super::{Definition, Folded};
use crate::states::{Kind, Truths};

/// Of truth values whether all are true, or one.
pub(crate) struct Truth {
    pub all: bool,
}

impl Definition for Truth {
    fn result(&self, input: ValueType) -> Option<ValueType> {
        (input == ValueType::Bool).then_some(ValueType::Bool)
    }

    fn empty(&self, _: ValueType) -> Kind {
        Truths::default().into()
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        let Kind::Truths(Truths(trues)) = folded.state else { return Cell::Error };
        let all = i64::try_from(folded.count) == Ok(*trues);
        Cell::Value(Value::Bool(if self.all { all } else { *trues > 0 }))
    }
}
