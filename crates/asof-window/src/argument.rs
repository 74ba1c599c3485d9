//! One argument of the events of a key. Events are told by their places within the key, from 0.

use std::ops::Range;

use crate::Place;
use crate::events::{Column, Events, Mark, Values};

/// The events of a key, and what one argument holds of them.
#[derive(Debug, Clone)]
pub(crate) struct Argument<'e> {
    pub events: &'e Events,
    pub column: &'e Column,
    /// Where the events of the key stand.
    pub within: Range<usize>,
}

impl<'e> Argument<'e> {
    /// How many events the key has.
    pub fn len(&self) -> usize {
        self.within.len()
    }

    #[inline]
    pub fn mark(&self, event: usize) -> Mark {
        self.column.mark(self.within.start + event)
    }

    #[inline]
    pub fn holds(&self, event: usize) -> bool {
        self.mark(event) == Mark::Value
    }

    /// Whether an event holds true.
    #[inline]
    pub fn is_true(&self, event: usize) -> bool {
        self.holds(event) && self.column.is_true(self.within.start + event)
    }

    /// The integers; anything where there is none.
    pub fn integers(&self) -> Option<&'e [i64]> {
        match self.column.values() {
            Values::Integers(values) => Some(&values[self.within.clone()]),
            _ => None,
        }
    }

    /// The floats; NaN where there is none.
    pub fn floats(&self) -> Option<&'e [f64]> {
        match self.column.values() {
            Values::Floats(values) => Some(&values[self.within.clone()]),
            _ => None,
        }
    }

    /// The value of an event that holds one, as a double. `None`: it is no number.
    pub fn double(&self, event: usize) -> Option<f64> {
        match (self.integers(), self.floats()) {
            (Some(values), _) => Some(values[event] as f64),
            (_, Some(values)) => Some(values[event]),
            (None, None) => None,
        }
    }

    /// Where an event stands.
    pub fn place(&self, event: usize) -> Place {
        self.events.place(self.within.start + event)
    }

    /// Whether two events stand at one place.
    pub fn ties(&self, one: usize, other: usize) -> bool {
        self.events.order(self.within.start + one, self.within.start + other).is_eq()
    }
}
