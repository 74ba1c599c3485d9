//! The values of a window at many instants: events and instants are gone through once, and each event is merged a bounded
//! number of times, however long the window is.
//!
//! A state that gives back what it took is one, which events enter and leave. Of others events enter at the back and leave at
//! the front: the front half is held as merges of what is left of it, the back half as one state; when the front is used up,
//! the back becomes the front.

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
    let put = |state: &mut State, event: usize, by: i64| {
        aggregate.put(state, &events[event].argument, &events[event].place, by);
    };
    let mut values = Vec::with_capacity(times.len());
    runs(aggregate, 0, &chosen, &put, &mut |_, value| values.push(value));
    values
}

/// Events between two merges that are kept: so many are folded one by one where a run begins between them.
const KEPT_EACH: usize = 32;

/// Adds an event to a state, by its place, or takes it away where the last is -1.
pub(crate) type Put<'e> = dyn Fn(&mut State, usize, i64) + 'e;

/// The values of a function over runs of events, which begin and end in ascending order and not before `first`. `put` adds
/// an event to a state and takes it away; `out` is given the place of each run, and its value.
pub(crate) fn runs(
    aggregate: &Aggregate,
    first: usize,
    runs: &[Range<usize>],
    put: &Put<'_>,
    out: &mut dyn FnMut(usize, Cell),
) {
    if aggregate.slides() {
        return sliding(aggregate, first, runs, put, out);
    }
    let mut sweep = Sweep {
        aggregate,
        put,
        head: first,
        middle: first,
        tail: first,
        front: Vec::new(),
        back: aggregate.state(),
    };
    for (place, run) in runs.iter().enumerate() {
        sweep.advance(run.start, run.end);
        out(place, sweep.value());
    }
}

/// The same where a state gives back what it took: each event comes in once and goes out once.
fn sliding(
    aggregate: &Aggregate,
    first: usize,
    runs: &[Range<usize>],
    put: &Put<'_>,
    out: &mut dyn FnMut(usize, Cell),
) {
    let mut state = aggregate.state();
    let (mut head, mut tail) = (first, first);
    for (place, run) in runs.iter().enumerate() {
        if run.start >= tail {
            state = aggregate.state();
            (head, tail) = (run.start, run.start);
        }
        (tail..run.end).for_each(|event| put(&mut state, event, 1));
        tail = tail.max(run.end);
        (head..run.start).for_each(|event| put(&mut state, event, -1));
        head = head.max(run.start);
        out(place, aggregate.value(&state));
    }
}

/// The events `head..tail`, of which those before `middle` are in the front.
struct Sweep<'e> {
    aggregate: &'e Aggregate,
    put: &'e Put<'e>,
    head: usize,
    middle: usize,
    tail: usize,
    /// For some events of the front, the first one last, what it and those behind it in the front fold to.
    front: Vec<(usize, State)>,
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
            (self.put)(&mut self.back, event, 1);
        }
        self.tail = end.max(self.tail);
        if start >= self.middle && start > self.head {
            self.turn(start);
        }
        while self.front.last().is_some_and(|(event, _)| *event < start) {
            self.front.pop();
        }
        self.head = self.head.max(start);
    }

    /// Makes what is left from `start` on the front.
    fn turn(&mut self, start: usize) {
        self.front.clear();
        let mut state = self.aggregate.state();
        for event in (start..self.tail).rev() {
            (self.put)(&mut state, event, 1);
            if (self.tail - event).is_multiple_of(KEPT_EACH) {
                self.front.push((event, state.clone()));
            }
        }
        (self.head, self.middle) = (start, self.tail);
        self.back = self.aggregate.state();
    }

    fn value(&self) -> Cell {
        // Of the front those before the first merge that is kept, then that merge.
        let kept = self.front.last();
        let until = kept.map_or(self.middle, |(event, _)| *event);
        if self.head >= until && kept.is_none() {
            return self.aggregate.value(&self.back);
        }
        let mut all = kept.map_or_else(|| self.aggregate.state(), |(_, state)| state.clone());
        (self.head..until).for_each(|event| (self.put)(&mut all, event, 1));
        all.merge(&self.back);
        self.aggregate.value(&all)
    }
}
