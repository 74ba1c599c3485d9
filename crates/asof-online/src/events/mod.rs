//! What stands under one (view, key) of a view of events: every event that may still count (SEMANTICS 4).
//!
//! - `stream`: events as bytes, to which more are only ever added behind.
//! - `head`: what stands under the key: a generation, and the newest bytes of the stream, its tail.
//! - `segments`: the bytes before the tail, in segments of their own, with a directory.
//! - `write`: how the events of a unit are added. It reads the head; a segment only where a tail is sealed.
//! - `held`: the events of a key in memory, for reading. `cache` keeps those of large keys.
//!
//! Events come in any order and stay in that order in the bytes; whoever reads them puts them in the order of their
//! places. What has left retention goes in whole segments, and is not read from when it has left it on.

pub mod cache;
pub mod head;
pub mod held;
pub mod segments;
pub mod stream;
pub(crate) mod write;

use std::ops::Range;

use asof_model::ValueType;
use asof_window::{Column, Events};

pub use head::is_events;
pub use held::{EventSource, HeldEvents, StoredEvents};

/// The events of one key.
#[derive(Debug, Clone)]
pub struct KeyEvents {
    /// In order of their places. `knowns` is empty where every event is known at its instant.
    pub events: Events,
    /// Whether each was pushed; else it came of a load.
    pub pushed: Vec<bool>,
}

impl KeyEvents {
    /// No events, of inputs of these types. `identity`: which of them tells events apart.
    pub fn new(types: &[ValueType], identity: Option<usize>) -> Self {
        let inputs = types.iter().map(|of| Column::new(*of)).collect();
        Self { events: Events { inputs, identity, ..Events::default() }, pushed: Vec::new() }
    }

    /// Drops the events before an instant, in microseconds, and puts the others in order.
    pub fn settle_from(&mut self, bound: i64) {
        let events = &self.events;
        let stays = |place: &usize| events.instants[*place] >= bound;
        let mut places: Vec<usize> = (0..events.len()).filter(stays).collect();
        if places.len() == events.len() && self.is_ordered_from(1) {
            return;
        }
        places.sort_by(|one, other| events.order(*one, *other));
        let knowns = match events.knowns.is_empty() {
            true => Vec::new(),
            false => places.iter().map(|place| events.knowns[*place]).collect(),
        };
        self.pushed = places.iter().map(|place| self.pushed[*place]).collect();
        self.events = Events { knowns, ..self.events.picked(&places) };
    }

    /// Whether each event from `place` on, which is at least 1, stands where it belongs behind the one before.
    pub fn is_ordered_from(&self, place: usize) -> bool {
        (place..self.events.len()).all(|place| self.events.order(place - 1, place).is_le())
    }

    /// Adds events behind, without when they are known.
    pub fn extend(&mut self, more: &Self) {
        self.events.instants.extend(&more.events.instants);
        self.events.createds.extend(&more.events.createds);
        self.pushed.extend(&more.pushed);
        for (column, more) in self.events.inputs.iter_mut().zip(&more.events.inputs) {
            (0..more.len()).for_each(|place| column.push(&more.cell(place)));
        }
    }

    /// Whether an event has its instant in a range, in microseconds, and did not come of a push.
    pub fn is_loaded_in(&self, place: usize, range: &Range<i64>) -> bool {
        !self.pushed[place] && range.contains(&self.events.instants[place])
    }
}

#[cfg(test)]
mod tests;
