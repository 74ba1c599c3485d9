//! What each function makes of values. A function is a definition in one of these files, and a line in
//! [`Function::with`](crate::Function).

pub(crate) mod counts;
pub(crate) mod distribution;
pub(crate) mod extremes;
pub(crate) mod moments;
pub(crate) mod ranked;
pub(crate) mod sums;
pub(crate) mod truths;

use asof_model::{Cell, ScalarType, ValueType};

use crate::states::Kind;

/// What was folded.
pub(crate) struct Folded<'s> {
    /// Values that are not null, one at least.
    pub count: u64,
    pub state: &'s Kind,
    pub input: ValueType,
    pub result: ValueType,
}

/// What a function is.
pub(crate) trait Definition {
    /// The type of its result over values of a type. `None`: it does not take them.
    fn result(&self, input: ValueType) -> Option<ValueType>;

    /// The state of nothing.
    fn empty(&self, input: ValueType) -> Kind;

    /// The result over some values.
    fn value(&self, folded: &Folded<'_>) -> Cell;

    /// The result over none.
    fn over_nothing(&self) -> Cell {
        Cell::Null
    }

    /// Drops what a state keeps only so that values can be taken away from it.
    fn settle(&self, _state: &mut Kind, _input: ValueType) {}
}

/// A list of values of a type, where there are such lists.
fn list_of(item: ValueType) -> Option<ValueType> {
    ScalarType::try_from(item).ok().map(ValueType::List)
}
