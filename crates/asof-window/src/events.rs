//! Events as columns: what inputs hold, where events stand, and when they are known.

use std::cmp::Ordering;
use std::ops::Range;

use asof_model::{Cell, key};

use crate::Place;

pub(crate) use crate::column::Values;
pub use crate::column::{Column, Mark, bytes_of};

/// Events in columns. Those of one key stand together, in the order of their places ([`Events::order`]).
#[derive(Debug, Clone, Default)]
pub struct Events {
    /// Event instants, microseconds.
    pub instants: Vec<i64>,
    /// Created instants, microseconds.
    pub createds: Vec<i64>,
    /// What the view reads of each event.
    pub inputs: Vec<Column>,
    /// The input that tells events apart.
    pub identity: Option<usize>,
    /// The instant from which on each is known, microseconds; empty where all are known at their event.
    pub knowns: Vec<i64>,
    /// The instant from which on each no longer stands; empty where all stand for ever.
    pub untils: Vec<i64>,
}

impl Events {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.instants.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.instants.is_empty()
    }

    /// Which of two stands first: by event, then created, then identity.
    pub fn order(&self, one: usize, other: usize) -> Ordering {
        let instants =
            (self.instants[one], self.createds[one]).cmp(&(self.instants[other], self.createds[other]));
        instants.then_with(|| match self.identity {
            Some(identity) => self.inputs[identity].order(one, other),
            None => Ordering::Equal,
        })
    }

    /// Where an event stands.
    pub(crate) fn place(&self, event: usize) -> Place {
        let mut id = Vec::new();
        if let Some(Cell::Value(value)) = self.identity.map(|identity| self.inputs[identity].cell(event)) {
            key::encode_part(&mut id, &value);
        }
        Place { event: self.instants[event], created: self.createds[event], id: id.into() }
    }

    /// Some of the events, in this order, without what is known of when they stand.
    pub fn picked(&self, events: &[usize]) -> Self {
        Self {
            instants: events.iter().map(|event| self.instants[*event]).collect(),
            createds: events.iter().map(|event| self.createds[*event]).collect(),
            inputs: self.inputs.iter().map(|input| input.pick(events)).collect(),
            identity: self.identity,
            knowns: Vec::new(),
            untils: Vec::new(),
        }
    }

    /// Adds events behind these, which stand behind them.
    pub(crate) fn extend(&mut self, more: &Self) {
        let before = self.len();
        self.instants.extend_from_slice(&more.instants);
        self.createds.extend_from_slice(&more.createds);
        for (input, more) in self.inputs.iter_mut().zip(&more.inputs) {
            (0..more.len()).for_each(|event| input.push_from(more, event, None));
        }
        extend(&mut self.knowns, (before, i64::MIN), &more.knowns, more.len());
        extend(&mut self.untils, (before, i64::MAX), &more.untils, more.len());
    }

    /// The events in the order of their places.
    pub(crate) fn in_order(self) -> Self {
        let mut places: Vec<usize> = (0..self.len()).collect();
        places.sort_by(|one, other| self.order(*one, *other));
        let moved = |of: &[i64]| match of.is_empty() {
            true => Vec::new(),
            false => places.iter().map(|place| of[*place]).collect(),
        };
        let (knowns, untils) = (moved(&self.knowns), moved(&self.untils));
        Self { knowns, untils, ..self.picked(&places) }
    }

    /// Bytes beside its own, about.
    pub(crate) fn size(&self) -> usize {
        let instants = [&self.instants, &self.createds, &self.knowns, &self.untils];
        let instants = instants.map(|instants| instants.capacity() * size_of::<i64>()).iter().sum::<usize>();
        let inputs = self.inputs.iter().map(|input| size_of::<Column>() + input.size()).sum::<usize>();
        instants + inputs
    }

    /// When each event is known, and until when it stands.
    pub(crate) fn stands(&self, event: usize) -> Range<i64> {
        let known = self.knowns.get(event).copied().unwrap_or(i64::MIN);
        known..self.untils.get(event).copied().unwrap_or(i64::MAX)
    }
}

/// Adds instants behind others, where either may be empty and then all are one instant.
fn extend(instants: &mut Vec<i64>, (before, instant): (usize, i64), more: &[i64], count: usize) {
    if instants.is_empty() && more.is_empty() {
        return;
    }
    instants.resize(before, instant);
    instants.extend_from_slice(more);
    instants.resize(before + count, instant);
}
