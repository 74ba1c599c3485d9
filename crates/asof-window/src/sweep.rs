//! The values of a window at many instants: events and instants are gone through once, and each event is merged a bounded
//! number of times, however long the window is.
//!
//! Events enter at the back and leave at the front. The front half is held as merges of what is left of it, the back half as
//! one state; when the front is used up, the back becomes the front. So no state has to give back what it took.

use std::ops::Range;

use asof_model::Cell;
use asof_model::window::Window;

use crate::windows::chosen;
use crate::{Aggregate, Place, State};

/// The argument of a function in one event of a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Where it stands.
    pub place: Place,
    /// The argument; null where the event is filtered out, or has none.
    pub argument: Cell,
}

/// The value of a function over a window at each of some instants.
///
/// `events` are those of one key, in the order of their places; `times` ascend, microseconds. Returns a value for each, as
/// the function says of the events that count, [chosen] there.
///
/// # Source
/// SEMANTICS 4: a result is a function of the multiset of events.
pub fn values_at(aggregate: &Aggregate, window: &Window, events: &[Event], times: &[i64]) -> Vec<Cell> {
    debug_assert!(times.is_sorted() && events.is_sorted_by_key(|event| &event.place));
    let instants: Vec<i64> = events.iter().map(|event| event.place.event).collect();
    let chosen: Vec<Range<usize>> = times.iter().map(|t| chosen(window, *t, &instants)).collect();
    let add = |state: &mut State, event: usize| {
        aggregate.add_at(state, &events[event].argument, &events[event].place);
    };
    let mut values = Vec::with_capacity(times.len());
    runs(aggregate, 0, &chosen, &add, &mut |_, value| values.push(value));
    values
}

/// The values of a function over runs of events, which begin and end in ascending order and not before `first`. `add` adds
/// an event to a state; `put` is given the place of each run, and its value.
pub(crate) fn runs(
    aggregate: &Aggregate,
    first: usize,
    runs: &[Range<usize>],
    add: &dyn Fn(&mut State, usize),
    put: &mut dyn FnMut(usize, Cell),
) {
    let mut sweep = Sweep {
        aggregate,
        add,
        head: first,
        middle: first,
        tail: first,
        front: Vec::new(),
        back: aggregate.state(),
    };
    for (place, run) in runs.iter().enumerate() {
        sweep.advance(run.start, run.end);
        put(place, sweep.value());
    }
}

/// The events `head..tail`, of which those before `middle` are in the front.
struct Sweep<'e> {
    aggregate: &'e Aggregate,
    add: &'e dyn Fn(&mut State, usize),
    head: usize,
    middle: usize,
    tail: usize,
    /// For each event of the front, the first one last, what it and those behind it in the front fold to.
    front: Vec<State>,
    back: State,
}

impl Sweep<'_> {
    /// Lets events in up to `end`, and those before `start` out. Both never go back.
    fn advance(&mut self, start: usize, end: usize) {
        if start >= self.tail {
            // Nothing of what is held stays.
            (self.head, self.middle, self.tail) = (start, start, start);
            self.front.clear();
            self.back = self.aggregate.state();
        }
        for event in self.tail..end.max(self.tail) {
            (self.add)(&mut self.back, event);
        }
        self.tail = end.max(self.tail);
        if start >= self.middle && start > self.head {
            self.turn(start);
        }
        while self.head < start {
            self.front.pop();
            self.head += 1;
        }
    }

    /// Makes what is left from `start` on the front.
    fn turn(&mut self, start: usize) {
        self.front.clear();
        let mut state = self.aggregate.state();
        for event in (start..self.tail).rev() {
            (self.add)(&mut state, event);
            self.front.push(state.clone());
        }
        (self.head, self.middle) = (start, self.tail);
        self.back = self.aggregate.state();
    }

    fn value(&self) -> Cell {
        match self.front.last() {
            None => self.aggregate.value(&self.back),
            Some(front) => {
                let mut all = front.clone();
                all.merge(&self.back);
                self.aggregate.value(&all)
            }
        }
    }
}
