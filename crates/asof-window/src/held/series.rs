//! Some events of a key with one argument of them: which run of them counts, and what a run comes to.

use std::ops::Range;
use std::sync::OnceLock;

use asof_model::window::{Span, Window};
use asof_model::{Cell, Duration};

use super::frequency::Frequency;
use super::order::Order;
use super::plan::SeriesPlan;
use super::pyramid::Pyramid;
use super::recurrence::Recurrence;
use super::sketch::Sketch;
use crate::argument::Argument;
use crate::closing::{WindowFeature, column_of};
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
    /// Of what is made when it is asked for first.
    Indexed(Aggregate, OnceLock<Index>),
}

/// What values are read from that nothing was prepared for.
#[derive(Debug)]
enum Index {
    /// The few events are folded.
    Folded,
    Distinct(Recurrence),
    Sketched(Sketch),
    Ordered(Order),
    Frequent(Frequency),
    Merged(Pyramid),
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
        let sessions = plan.gaps.iter().map(|gap| {
            let mut starts = Vec::new();
            extend_session_starts(*gap, &of.events.instants, &mut starts);
            (*gap, starts)
        });
        let sessions = sessions.collect();
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
        let (aggregate, index) = match &self.readers[aggregate] {
            Reader::Read(reading) => return self.prepared.read(&of, *reading, run, kept),
            Reader::Indexed(aggregate, index) => (aggregate, index),
        };
        if self.prepared.has_error(&of, run) {
            return Cell::Error;
        }
        match index.get_or_init(|| Index::new(aggregate, &of)) {
            Index::Distinct(recurrence) => recurrence.read(run),
            Index::Sketched(sketch) => sketch.read(run),
            Index::Ordered(order) => order.read(aggregate, &of, self.prepared.count(&of, run), run),
            Index::Frequent(frequency) => frequency.read(aggregate, &of, self.prepared.count(&of, run), run),
            Index::Folded => {
                let mut state = aggregate.state();
                fold(aggregate, &of, run.clone(), &mut state);
                aggregate.value(&state)
            }
            Index::Merged(pyramid) => pyramid.read(aggregate, &of, run),
        }
    }

    /// Makes it that of some events behind those that it has: of all that the key has now, or of those that are picked of
    /// them, from `from` on. False: it has to be made anew.
    pub fn extend(&mut self, plan: &SeriesPlan, events: &Events, from: usize, picked: &[usize]) -> bool {
        let before = match &mut self.source {
            Source::Input(_) => from,
            Source::Made(column) => {
                let WindowFeature { argument, filter, .. } = plan.feature;
                let filter = filter.map(|filter| &events.inputs[filter]);
                let of_events = Column::events(events.len());
                let argument = argument.map_or(&of_events, |argument| &events.inputs[argument]);
                (from..events.len()).for_each(|event| column.push_from(argument, event, filter));
                from
            }
            Source::Picked(of) => {
                let before = of.events.len();
                if !of.extend(&plan.feature, events, picked) {
                    return false;
                }
                before
            }
        };
        let of = self.source.argument(events);
        for (gap, starts) in &mut self.sessions {
            extend_session_starts(*gap, &of.events.instants, starts);
        }
        let aggregates = self.readers.iter_mut().filter_map(|reader| match reader {
            Reader::Read(_) => None,
            Reader::Indexed(aggregate, index) => Some((aggregate, index)),
        });
        for (aggregate, index) in aggregates {
            if index.get_mut().is_some_and(|index| !index.extend(aggregate, &of)) {
                *index = OnceLock::new();
            }
        }
        self.prepared.extend(&of, before)
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
        match prepared.prepare(of, aggregate.function()) {
            Some(reading) => Self::Read(reading),
            None => Self::Indexed(*aggregate, OnceLock::new()),
        }
    }

    fn size(&self) -> usize {
        let index = match self {
            Self::Read(_) => None,
            Self::Indexed(_, index) => index.get(),
        };
        size_of::<Self>() + index.map_or(0, Index::size)
    }
}

impl Index {
    fn new(aggregate: &Aggregate, of: &Argument<'_>) -> Self {
        match aggregate.function() {
            Function::CountDistinct => Self::Distinct(Recurrence::new(of)),
            _ if of.len() <= FOLDED_MAX => Self::Folded,
            Function::TopK(most) => Self::Frequent(Frequency::new(most, of)),
            Function::ApproxCountDistinct => Self::Sketched(Sketch::new(of)),
            function => match Order::new(function, of) {
                Some(order) => Self::Ordered(order),
                None => Self::Merged(Pyramid::new(aggregate, of)),
            },
        }
    }

    /// Makes it that of the same events and some behind them. False: it has to be made anew.
    fn extend(&mut self, aggregate: &Aggregate, of: &Argument<'_>) -> bool {
        match self {
            Self::Folded => return of.len() <= FOLDED_MAX,
            Self::Ordered(order) => return order.extend(of),
            Self::Frequent(frequency) => return frequency.extend(of),
            Self::Distinct(recurrence) => recurrence.extend(of),
            Self::Sketched(sketch) => sketch.extend(of),
            Self::Merged(pyramid) => pyramid.extend(aggregate, of),
        }
        true
    }

    fn size(&self) -> usize {
        match self {
            Self::Folded => 0,
            Self::Distinct(recurrence) => recurrence.size(),
            Self::Sketched(sketch) => sketch.size(),
            Self::Ordered(order) => order.size(),
            Self::Frequent(frequency) => frequency.size(),
            Self::Merged(pyramid) => pyramid.size(),
        }
    }
}

/// Adds the events of a run to a state.
pub(crate) fn fold(aggregate: &Aggregate, of: &Argument<'_>, run: Range<usize>, state: &mut State) {
    for event in run {
        aggregate.add_at(state, &of.column.cell(of.within.start + event), &of.place(event));
    }
}

/// Where the run of events with no longer gaps begins that each event is in: for those that are not known yet.
fn extend_session_starts(gap: Duration, instants: &[i64], starts: &mut Vec<u32>) {
    let mut start = starts.last().copied().unwrap_or(0);
    for event in starts.len()..instants.len() {
        let before = event.checked_sub(1).map(|before| instants[before]);
        if before.is_some_and(|before| instants[event].saturating_sub(before) > gap.micros()) {
            start = event as u32;
        }
        starts.push(start);
    }
}
