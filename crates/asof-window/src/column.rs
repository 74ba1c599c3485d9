//! What one input holds of each event.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use asof_model::order::compare;
use asof_model::{Cell, Value, ValueType, canonical};

use crate::dictionary::Dictionary;

/// What one input holds of each event.
#[derive(Debug, Clone)]
pub struct Column {
    value_type: ValueType,
    values: Values,
    /// Whether each holds a value; empty while all do.
    marks: Vec<Mark>,
    any_error: bool,
}

/// What an event holds of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    Null,
    /// A value.
    Value,
    /// It could not be read or computed.
    Error,
}

#[derive(Debug, Clone)]
pub(crate) enum Values {
    /// So many events, which are counted and nothing else.
    Events(usize),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    /// Places in a dictionary, in which each value stands once.
    Codes(Vec<u32>, Arc<Dictionary>),
}

/// The bytes of text as they are; of any other value its canonical bits.
pub fn bytes_of(value: &Value) -> Cow<'_, [u8]> {
    match value {
        Value::String(text) | Value::Json(text) => Cow::Borrowed(text.as_bytes()),
        value => Cow::Owned(canonical::bits(value)),
    }
}

fn value_of(of: ValueType, bytes: &[u8]) -> Option<Value> {
    let text = || std::str::from_utf8(bytes).ok().map(str::to_owned);
    match of {
        ValueType::String => text().map(Value::String),
        ValueType::Json => text().map(Value::Json),
        of => canonical::read_bits(of, bytes),
    }
}

impl Column {
    /// Of no event yet.
    pub fn new(value_type: ValueType) -> Self {
        let values = match value_type {
            ValueType::Int32 | ValueType::Int64 => Values::Integers(Vec::new()),
            ValueType::Float32 | ValueType::Float64 => Values::Floats(Vec::new()),
            _ => Values::Codes(Vec::new(), Arc::default()),
        };
        Self { value_type, values, marks: Vec::new(), any_error: false }
    }

    /// Makes room for so many more events.
    pub fn reserve(&mut self, more: usize) {
        match &mut self.values {
            Values::Events(_) => {}
            Values::Integers(values) => values.reserve(more),
            Values::Floats(values) => values.reserve(more),
            Values::Codes(codes, _) => codes.reserve(more),
        }
    }

    /// True for each of so many events.
    pub fn events(count: usize) -> Self {
        Self {
            value_type: ValueType::Bool,
            values: Values::Events(count),
            marks: Vec::new(),
            any_error: false,
        }
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Events(count) => *count,
            Values::Integers(values) => values.len(),
            Values::Floats(values) => values.len(),
            Values::Codes(codes, _) => codes.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The type of the values.
    pub fn value_type(&self) -> ValueType {
        self.value_type
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// Whether every event holds a value.
    pub(crate) fn is_whole(&self) -> bool {
        self.marks.is_empty()
    }

    pub(crate) fn any_error(&self) -> bool {
        self.any_error
    }

    /// What an event holds.
    #[inline]
    pub fn mark(&self, event: usize) -> Mark {
        self.marks.get(event).copied().unwrap_or(Mark::Value)
    }

    /// Adds an integer, in a column of integers.
    #[inline]
    pub fn push_integer(&mut self, value: i64) {
        if let Values::Integers(values) = &mut self.values {
            values.push(value);
            self.marked(Mark::Value);
        }
    }

    /// Adds a float in canonical form, in a column of floats.
    #[inline]
    pub fn push_float(&mut self, value: f64) {
        if let Values::Floats(values) = &mut self.values {
            values.push(value);
            self.marked(Mark::Value);
        }
    }

    /// Adds a value by its bytes, as [`bytes_of`] gives them. False: these are not of the column's type.
    #[inline]
    pub fn push_bytes(&mut self, bytes: &[u8]) -> bool {
        let of = self.value_type;
        match &mut self.values {
            Values::Codes(codes, dictionary) => {
                if let Some(known) = dictionary.find(bytes) {
                    codes.push(known);
                } else {
                    let Some(value) = value_of(of, bytes) else { return false };
                    codes.push(Arc::make_mut(dictionary).number(bytes, || value));
                }
                self.marked(Mark::Value);
                true
            }
            _ => match value_of(of, bytes) {
                Some(value) => {
                    self.push(&Cell::Value(value));
                    true
                }
                None => false,
            },
        }
    }

    /// Adds nothing, or what could not be read.
    pub fn push_mark(&mut self, mark: Mark) {
        match &mut self.values {
            Values::Events(count) => *count += 1,
            Values::Integers(values) => values.push(0),
            Values::Floats(values) => values.push(f64::NAN),
            Values::Codes(codes, _) => codes.push(u32::MAX),
        }
        self.marked(mark);
    }

    /// Adds a cell. One of another type is an error.
    pub fn push(&mut self, cell: &Cell) {
        match (cell, &self.values) {
            (Cell::Null, _) => self.push_mark(Mark::Null),
            (Cell::Value(Value::Bool(true)), Values::Events(_)) => self.push_mark(Mark::Value),
            (Cell::Value(Value::Int32(value)), Values::Integers(_)) => self.push_integer((*value).into()),
            (Cell::Value(Value::Int64(value)), Values::Integers(_)) => self.push_integer(*value),
            (Cell::Value(Value::Float32(value)), Values::Floats(_)) => self.push_float((*value).into()),
            (Cell::Value(Value::Float64(value)), Values::Floats(_)) => self.push_float(*value),
            (Cell::Value(value), Values::Codes(..)) if value.is_of(self.value_type) => {
                self.push_bytes(&bytes_of(value));
            }
            _ => self.push_mark(Mark::Error),
        }
    }

    /// Adds the cell of an event of another column of the same type, or what its filter makes of it.
    pub(crate) fn push_from(&mut self, other: &Self, event: usize, filter: Option<&Self>) {
        match filter.map(|filter| (filter.mark(event), filter)) {
            Some((Mark::Error, _)) => self.push_mark(Mark::Error),
            Some((Mark::Value, filter)) if filter.is_true(event) => self.push(&other.cell(event)),
            Some(_) => self.push_mark(Mark::Null),
            None => self.push(&other.cell(event)),
        }
    }

    /// The event before one, from another on, that holds the same value as it.
    pub(crate) fn before(&self, from: usize, event: usize) -> Option<usize> {
        (from..event).rev().find(|before| self.mark(*before) == Mark::Value && self.same(*before, event))
    }

    /// Whether an event holds the same value as one before it.
    pub(crate) fn recurs(&self, event: usize) -> bool {
        let maybe = match &self.values {
            Values::Integers(values) => values[..event].contains(&values[event]),
            Values::Codes(codes, _) => codes[..event].contains(&codes[event]),
            Values::Events(_) | Values::Floats(_) => true,
        };
        // What holds no value may look the same.
        maybe && self.mark(event) == Mark::Value && self.before(0, event).is_some()
    }

    fn same(&self, one: usize, other: usize) -> bool {
        match &self.values {
            Values::Events(_) => true,
            Values::Integers(values) => values[one] == values[other],
            Values::Floats(values) => values[one].to_bits() == values[other].to_bits(),
            Values::Codes(codes, _) => codes[one] == codes[other],
        }
    }

    #[inline]
    fn marked(&mut self, mark: Mark) {
        if mark != Mark::Value && self.marks.is_empty() {
            self.marks.resize(self.len() - 1, Mark::Value);
            self.marks.push(mark);
        } else if !self.marks.is_empty() {
            self.marks.push(mark);
        }
        self.any_error |= mark == Mark::Error;
    }

    /// The value of an event that holds one.
    pub(crate) fn value(&self, event: usize) -> Value {
        match &self.values {
            Values::Events(_) => Value::Bool(true),
            Values::Integers(values) => self.integer(values[event]),
            Values::Floats(values) => self.float(values[event]),
            Values::Codes(codes, dictionary) => dictionary.values[codes[event] as usize].clone(),
        }
    }

    /// An integer as a value of the column's type.
    pub(crate) fn integer(&self, value: i64) -> Value {
        match self.value_type {
            // What was pushed was one.
            ValueType::Int32 => Value::Int32(value as i32),
            _ => Value::Int64(value),
        }
    }

    /// What a column says with a number that is the extreme of a run: an integer, or the rank of a value.
    pub(crate) fn extreme_value(&self, best: i64) -> Cell {
        match &self.values {
            Values::Codes(_, dictionary) => {
                let number = usize::try_from(best).ok().and_then(|rank| dictionary.ranks().0.get(rank));
                number.map_or(Cell::Null, |number| Cell::Value(dictionary.values[*number as usize].clone()))
            }
            _ => Cell::Value(self.integer(best)),
        }
    }

    /// A float as a value of the column's type.
    pub(crate) fn float(&self, value: f64) -> Value {
        match self.value_type {
            ValueType::Float32 => Value::Float32(value as f32),
            _ => Value::Float64(value),
        }
    }

    /// The cell of an event.
    pub fn cell(&self, event: usize) -> Cell {
        match self.mark(event) {
            Mark::Null => Cell::Null,
            Mark::Error => Cell::Error,
            Mark::Value => Cell::Value(self.value(event)),
        }
    }

    /// Whether the values of some events are all different. False where that is not known without more ado.
    pub(crate) fn are_different(&self, events: Range<usize>) -> bool {
        match &self.values {
            _ if !self.is_whole() => false,
            Values::Integers(values) => are_different(&values[events]),
            // Each value has one number.
            Values::Codes(codes, _) => are_different(&codes[events]),
            Values::Events(_) | Values::Floats(_) => false,
        }
    }

    /// The canonical bytes of the cell of an event.
    pub(crate) fn bytes(&self, event: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        canonical::write_cell(&mut bytes, self.value_type, &self.cell(event));
        bytes
    }

    /// The column with nothing where the filter says false or nothing, and an error where the filter has one.
    pub(crate) fn masked(&self, filter: &Self) -> Self {
        let mut masked = self.clone();
        let mark = |event: usize| match filter.mark(event) {
            Mark::Error => Mark::Error,
            Mark::Value if filter.is_true(event) => self.mark(event),
            _ => Mark::Null,
        };
        let marks: Vec<Mark> = (0..self.len()).map(mark).collect();
        masked.any_error = marks.contains(&Mark::Error);
        if let Values::Floats(values) = &mut masked.values {
            // Extremes skip what is no number.
            let held = values.iter_mut().zip(&marks).filter(|(_, mark)| **mark != Mark::Value);
            held.for_each(|(value, _)| *value = f64::NAN);
        }
        masked.marks = if marks.iter().all(|mark| *mark == Mark::Value) { Vec::new() } else { marks };
        masked
    }

    /// Whether an event holds true.
    pub(crate) fn is_true(&self, event: usize) -> bool {
        match &self.values {
            Values::Codes(codes, dictionary) => {
                matches!(dictionary.values.get(codes[event] as usize), Some(Value::Bool(true)))
            }
            Values::Events(_) => true,
            _ => false,
        }
    }

    /// The column of some of the events, in their order.
    pub(crate) fn pick(&self, events: &[usize]) -> Self {
        let values = match &self.values {
            Values::Events(_) => Values::Events(events.len()),
            Values::Integers(values) => Values::Integers(events.iter().map(|event| values[*event]).collect()),
            Values::Floats(values) => Values::Floats(events.iter().map(|event| values[*event]).collect()),
            Values::Codes(codes, dictionary) => {
                let codes = events.iter().map(|event| codes[*event]).collect();
                Values::Codes(codes, dictionary.clone())
            }
        };
        let marks: Vec<Mark> = match self.is_whole() {
            true => Vec::new(),
            false => events.iter().map(|event| self.mark(*event)).collect(),
        };
        Self { value_type: self.value_type, values, any_error: marks.contains(&Mark::Error), marks }
    }

    /// Bytes beside its own, about. A dictionary is counted wherever it is shared.
    pub(crate) fn size(&self) -> usize {
        let values = match &self.values {
            Values::Events(_) => 0,
            Values::Integers(values) => values.capacity() * size_of::<i64>(),
            Values::Floats(values) => values.capacity() * size_of::<f64>(),
            Values::Codes(codes, dictionary) => codes.capacity() * size_of::<u32>() + dictionary.size(),
        };
        values + self.marks.capacity()
    }

    pub(crate) fn order(&self, one: usize, other: usize) -> Ordering {
        match (&self.values, self.mark(one), self.mark(other)) {
            (Values::Integers(values), Mark::Value, Mark::Value) => values[one].cmp(&values[other]),
            (Values::Codes(codes, dictionary), Mark::Value, Mark::Value) => {
                let value = |event: usize| &dictionary.values[codes[event] as usize];
                match codes[one] == codes[other] {
                    true => Ordering::Equal,
                    false => compare(value(one), value(other)),
                }
            }
            (_, Mark::Value, Mark::Value) => compare(&self.value(one), &self.value(other)),
            (_, first, second) => (first == Mark::Value).cmp(&(second == Mark::Value)),
        }
    }
}

fn are_different<T: Copy + Ord>(values: &[T]) -> bool {
    // Mostly they ascend with time.
    if values.is_sorted_by(|one, other| one < other) {
        return true;
    }
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.is_sorted_by(|one, other| one < other)
}
