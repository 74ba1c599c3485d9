//! Some events of a key with one argument of them: which run of them counts, and what a run comes to.

use std::ops::Range;

use asof_model::window::{Span, Window};
use asof_model::{Cell, Duration};

use super::order::Order;
use super::plan::SeriesPlan;
use super::pyramid::Pyramid;
use super::recurrence::Recurrence;
use super::sketch::Sketch;
use crate::argument::Argument;
use crate::closing::column_of;
use crate::events::{Column, Events};
use crate::function::Function;
use crate::picked::Picked;
use crate::prepared::{Prepared, Reading};
use crate::windows::{chosen, interval, last_of};
use crate::{Aggregate, State};

/// So few events are folded one by one.
const FOLDED_MAX: usize = 24;

/// The events of a series, with all that values are read from.
#[derive(Debug)]
pub(crate) struct Series {
    source: Source,
    prepared: Prepared,
    /// For each aggregate of the plan.
    readers: Vec<Reader>,
    /// For each gap of sessions, where the run of events with no longer gaps begins that each is in.
    sessions: Vec<(Duration, Vec<u32>)>,
}

/// Which events, and which argument.
#[derive(Debug)]
enum Source {
    /// All of the key, and an input as it is.
    Input(usize),
    /// All of the key, and what was made of inputs.
    Made(Column),
    /// Some of them.
    Picked(Box<Picked>),
}

/// How the values of an aggregate are read.
#[derive(Debug)]
enum Reader {
    Read(Reading),
    Distinct(Recurrence),
    Sketched(Sketch),
    Ordered(Order),
    /// The few events are folded.
    Folded(Aggregate),
    Merged(Aggregate, Pyramid),
}

/// What of a series' events may count at an ask.
#[derive(Debug)]
pub(crate) struct Reached<'w> {
    pub window: &'w Window,
    /// Microseconds.
    pub t: i64,
    /// Events before this instant do not count.
    pub oldest: i64,
}

impl Reached<'_> {
    /// Those of some events that count, by their instants.
    pub fn any_of(&self, instants: &[i64]) -> Range<usize> {
        let run = chosen(self.window, self.t, instants);
        run.start.max(instants.partition_point(|event| *event < self.oldest)).min(run.end)..run.end
    }
}

impl Series {
    /// Of all events of the key.
    pub fn of_all(plan: &SeriesPlan, events: &Events) -> Self {
        let source = match (plan.feature.argument, plan.feature.filter) {
            (Some(argument), None) => Source::Input(argument),
            of => Source::Made(column_of(of, events)),
        };
        Self::new(plan, source, events)
    }

    /// Of some of them.
    pub fn of_picked(plan: &SeriesPlan, events: &Events, of: &[usize]) -> Self {
        Self::new(plan, Source::Picked(Box::new(Picked::new(&plan.feature, events, of))), events)
    }

    fn new(plan: &SeriesPlan, source: Source, events: &Events) -> Self {
        let of = source.argument(events);
        let mut prepared = Prepared::default();
        let readers = plan.aggregates.iter().map(|aggregate| Reader::new(aggregate, &of, &mut prepared));
        let readers = readers.collect();
        let instants = &of.events.instants;
        let sessions = plan.gaps.iter().map(|gap| (*gap, session_starts(*gap, instants))).collect();
        Self { source, prepared, readers, sessions }
    }

    /// Whether it is of all events of the key.
    pub fn is_of_all(&self) -> bool {
        !matches!(self.source, Source::Picked(_))
    }

    /// The events that count.
    pub fn run(&self, events: &Events, reached: &Reached<'_>) -> Range<usize> {
        let instants = match &self.source {
            Source::Picked(picked) => &picked.events.instants,
            _ => &events.instants,
        };
        let Range { start: from, end: until } = interval(reached.window, reached.t);
        let end = instants.partition_point(|event| *event < until);
        let from = from.max(reached.oldest);
        let start = instants[..end].partition_point(|event| *event < from);
        match reached.window.span {
            Span::Session { gap, .. } => {
                // The last one is near enough to `t` as one event is to the next.
                let near = end > 0 && until.saturating_sub(instants[end - 1]) <= gap.micros();
                let starts = self.sessions.iter().find(|(known, _)| *known == gap).map(|(_, starts)| starts);
                match starts.filter(|_| near) {
                    Some(starts) => start.max(starts[end - 1] as usize)..end,
                    None => end..end,
                }
            }
            _ => last_of(reached.window, start..end),
        }
    }

    /// The value of a run by an aggregate of the plan. `kept` is memory.
    pub fn read(&self, events: &Events, aggregate: usize, run: &Range<usize>, kept: &mut Vec<usize>) -> Cell {
        let of = self.source.argument(events);
        let reader = &self.readers[aggregate];
        if let Reader::Read(reading) = reader {
            return self.prepared.read(&of, *reading, run, kept);
        }
        if self.prepared.has_error(&of, run) {
            return Cell::Error;
        }
        match reader {
            Reader::Read(reading) => self.prepared.read(&of, *reading, run, kept),
            Reader::Distinct(recurrence) => recurrence.read(run),
            Reader::Sketched(sketch) => sketch.read(run),
            Reader::Ordered(order) => order.read(&of, self.prepared.count(&of, run), run),
            Reader::Folded(aggregate) => {
                let mut state = aggregate.state();
                fold(aggregate, &of, run.clone(), &mut state);
                aggregate.value(&state)
            }
            Reader::Merged(aggregate, pyramid) => pyramid.read(aggregate, &of, run),
        }
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        let source = match &self.source {
            Source::Input(_) => 0,
            Source::Made(column) => column.size(),
            Source::Picked(picked) => picked.events.size() + picked.column.size(),
        };
        let readers = self.readers.iter().map(Reader::size).sum::<usize>();
        let sessions = self.sessions.iter().map(|(_, starts)| starts.capacity() * size_of::<u32>());
        size_of::<Self>() + source + self.prepared.size() + readers + sessions.sum::<usize>()
    }
}

impl Source {
    fn argument<'e>(&'e self, events: &'e Events) -> Argument<'e> {
        match self {
            Self::Input(input) => {
                Argument { events, column: &events.inputs[*input], within: 0..events.len() }
            }
            Self::Made(column) => Argument { events, column, within: 0..events.len() },
            Self::Picked(picked) => picked.argument(),
        }
    }
}

impl Reader {
    fn new(aggregate: &Aggregate, of: &Argument<'_>, prepared: &mut Prepared) -> Self {
        let function = aggregate.function();
        if let Some(reading) = prepared.prepare(of, function) {
            return Self::Read(reading);
        }
        if function == Function::CountDistinct {
            return Self::Distinct(Recurrence::new(of));
        }
        if of.len() <= FOLDED_MAX {
            return Self::Folded(*aggregate);
        }
        if function == Function::ApproxCountDistinct {
            return Self::Sketched(Sketch::new(of));
        }
        match Order::new(function, of) {
            Some(order) => Self::Ordered(order),
            None => Self::Merged(*aggregate, Pyramid::new(aggregate, of)),
        }
    }

    fn size(&self) -> usize {
        let more = match self {
            Self::Read(_) | Self::Folded(_) => 0,
            Self::Distinct(recurrence) => recurrence.size(),
            Self::Sketched(sketch) => sketch.size(),
            Self::Ordered(order) => order.size(),
            Self::Merged(_, pyramid) => pyramid.size(),
        };
        size_of::<Self>() + more
    }
}

/// Adds the events of a run to a state.
pub(crate) fn fold(aggregate: &Aggregate, of: &Argument<'_>, run: Range<usize>, state: &mut State) {
    for event in run {
        aggregate.add_at(state, &of.column.cell(of.within.start + event), &of.place(event));
    }
}

/// Where the run of events with no longer gaps begins that each event is in.
fn session_starts(gap: Duration, instants: &[i64]) -> Vec<u32> {
    let mut start = 0;
    let begins =
        |event: usize| event > 0 && instants[event].saturating_sub(instants[event - 1]) > gap.micros();
    let starts = (0..instants.len()).map(|event| {
        if begins(event) {
            start = event as u32;
        }
        start
    });
    starts.collect()
}
