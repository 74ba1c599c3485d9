//! A function over values of one type, and the states that it folds them into.

use asof_model::{Cell, Value, ValueType};

use crate::Place;
use crate::function::Function;
use crate::functions::Folded;
use crate::states::{Input, Kind};

/// A function over values of one type. Nulls are skipped; over nothing counts are 0 and all else is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Aggregate {
    function: Function,
    input: ValueType,
    result: ValueType,
}

/// What an aggregate has folded. States of one aggregate merge in any order.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Values that are not null.
    count: i64,
    /// Arguments in ERROR.
    errors: i64,
    kind: Kind,
}

impl Aggregate {
    /// The function over values of that type. `None`: it does not take them.
    pub fn new(function: Function, input: ValueType) -> Option<Self> {
        let result = function.with(|definition| definition.result(input))?;
        Some(Self { function, input, result })
    }

    /// The type of the argument.
    pub fn input(&self) -> ValueType {
        self.input
    }

    /// The type of the result.
    pub fn result(&self) -> ValueType {
        self.result
    }

    /// The function.
    pub(crate) fn function(&self) -> Function {
        self.function
    }

    /// The state of nothing.
    pub fn state(&self) -> State {
        State { count: 0, errors: 0, kind: self.function.with(|definition| definition.empty(self.input)) }
    }

    /// Whether arguments that were added can be taken away again.
    pub fn slides(&self) -> bool {
        self.state().kind.slides()
    }

    /// The result of a state. ERROR where an argument in ERROR counts, or where the result has no place in its type.
    pub fn value(&self, state: &State) -> Cell {
        if state.errors > 0 {
            return Cell::Error;
        }
        self.function.with(|definition| match state.count.unsigned_abs() {
            0 => definition.over_nothing(),
            count => definition.value(&Folded {
                count,
                state: &state.kind,
                input: self.input,
                result: self.result,
            }),
        })
    }

    /// Adds an argument without a place, for functions that ask for none.
    pub fn add(&self, state: &mut State, argument: &Cell) {
        self.put(state, argument, &Place::default(), 1);
    }

    /// Adds the argument of an event.
    pub fn add_at(&self, state: &mut State, argument: &Cell, at: &Place) {
        self.put(state, argument, at, 1);
    }

    /// Takes an argument away that was added before. Only where the aggregate [slides](Aggregate::slides).
    pub fn remove(&self, state: &mut State, argument: &Cell) {
        self.put(state, argument, &Place::default(), -1);
    }

    /// Adds the argument of an event, or takes it away where `times` is -1.
    pub(crate) fn put(&self, state: &mut State, argument: &Cell, at: &Place, times: i64) {
        let value: &Value = match argument {
            Cell::Null => return,
            Cell::Error => {
                state.errors += times;
                return;
            }
            Cell::Value(value) => value,
        };
        state.count += times;
        state.kind.put(value, at, times);
    }

    /// Drops what a state keeps only so that values can be taken away from it: for states that merge and do not slide.
    pub fn settle(&self, state: &mut State) {
        self.function.with(|definition| definition.settle(&mut state.kind, self.input));
    }

    /// Reads [`State::to_bytes`]. `None`: these are not the bytes of a state of this aggregate.
    pub fn read_state(&self, bytes: &[u8]) -> Option<State> {
        let mut input = Input(bytes);
        let (count, errors) = (input.count()?, input.count()?);
        let empty = self.function.with(|definition| definition.empty(self.input));
        Some(State { count, errors, kind: empty.read(input)? })
    }
}

impl State {
    /// Adds all that another state of the same aggregate holds. False: they are not of one aggregate.
    pub fn merge(&mut self, other: &Self) -> bool {
        self.count += other.count;
        self.errors += other.errors;
        self.kind.merge(&other.kind)
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.kind.size()
    }

    /// The bytes of the state, for an aggregate to read back: equal states have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&self.errors.to_le_bytes());
        self.kind.write(&mut bytes);
        bytes
    }
}
