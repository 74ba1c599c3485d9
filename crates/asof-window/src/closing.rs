//! The features of a view of events for one key, at many instants: which events stand, which of them count, and what they
//! come to (SEMANTICS 4). The one computation of training, of serving and of verifying.

use std::ops::Range;

use asof_model::window::{Edge, Window};
use asof_model::{Cell, Duration};

use crate::Aggregate;
use crate::argument::Argument;
use crate::events::{Column, Events};
use crate::fold::{self, fold};
use crate::lanes::Lanes;
use crate::prepared::Prepared;
use crate::repeats::{Repeats, resolve};
use crate::windows::{chosen_at, first_from, presence};

pub use crate::picked::{NULL_BUCKET, bucket_name};

/// A feature of a view of events. Inputs are told by their places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowFeature {
    /// What it makes of its argument.
    pub aggregate: Aggregate,
    /// Over which events.
    pub window: Window,
    /// Its argument; `None`: events themselves.
    pub argument: Option<usize>,
    /// Which events it sees at all.
    pub filter: Option<usize>,
    /// By what its value is a map.
    pub by: Option<usize>,
}

/// What a view of events says of all its features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Its features.
    pub features: Vec<WindowFeature>,
    /// Which edge its windows have.
    pub edge: Edge,
    /// How far back an event counts at all; `None`: for ever.
    pub retention: Option<Duration>,
    /// The smallest delay of its windows.
    pub delay: Duration,
    /// What a second event of one identity does.
    pub repeats: Repeats,
    /// The input that says whether a version takes its event away: an integer ([`asof_model::aggregation::Withdrawal`]).
    pub withdrawal: Option<usize>,
}

/// An instant at which values are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// The instant, microseconds.
    pub t: i64,
    /// What may be known: as of this instant.
    pub known: i64,
}

/// What came of the asks of a key. Its memory stays for those of the next one.
#[derive(Debug, Default)]
pub struct Closed {
    /// For each ask the newest event within retention; `None`: the key is MISSING there.
    pub newest: Vec<Option<i64>>,
    /// For each feature a cell for each ask.
    pub cells: Vec<Vec<Cell>>,
    memory: Memory,
}

/// What is found out about the events of one key.
#[derive(Debug, Default)]
struct Memory {
    /// For each ask the first event within retention.
    oldest: Vec<usize>,
    /// For each ask where the first window ends, and how many events are before that.
    ends: Vec<(i64, usize)>,
    /// For each window the events that count at each ask.
    runs: Vec<Vec<Range<usize>>>,
    /// For each column of [`Arguments`].
    prepared: Vec<Prepared>,
    fold: fold::Memory,
}

/// What a feature's input is made of: its argument and its filter.
pub(crate) type Input = (Option<usize>, Option<usize>);

/// The inputs of a view's features over some events: each argument with its filter.
#[derive(Debug)]
pub struct Arguments {
    columns: Vec<(Input, Source)>,
    windows: Vec<Window>,
    /// Features that pick their events, one of those that pick the same.
    picky: Vec<WindowFeature>,
    features: Vec<Looks>,
}

/// What a feature looks at.
#[derive(Debug)]
enum Looks {
    /// All events of a key, through a window: their numbers.
    All { column: usize, window: usize },
    /// What the feature of that number picks.
    Picked(usize),
}

/// Where an argument is found.
#[derive(Debug)]
enum Source {
    /// It is an input as it is.
    Input(usize),
    /// It is made of inputs.
    Made(Column),
}

impl Arguments {
    fn column<'e>(&'e self, events: &'e Events, number: usize) -> &'e Column {
        match &self.columns[number].1 {
            Source::Input(input) => &events.inputs[*input],
            Source::Made(column) => column,
        }
    }
}

/// The column of an argument, filtered.
pub(crate) fn column_of((argument, filter): Input, events: &Events) -> Column {
    let column = match argument {
        Some(argument) => events.inputs[argument].clone(),
        None => Column::events(events.len()),
    };
    match filter {
        Some(filter) => column.masked(&events.inputs[filter]),
        None => column,
    }
}

/// Adds an item. Returns its place.
fn push<T>(items: &mut Vec<T>, item: T) -> usize {
    items.push(item);
    items.len() - 1
}

impl Closing {
    /// The arguments of all features, filtered, for events of any number of keys.
    pub fn arguments(&self, events: &Events) -> Arguments {
        let mut columns: Vec<(Input, Source)> = Vec::new();
        let (mut windows, mut picky): (Vec<Window>, Vec<WindowFeature>) = (Vec::new(), Vec::new());
        let mut features = Vec::with_capacity(self.features.len());
        for feature in &self.features {
            if feature.is_picky() {
                let known = picky.iter().position(|known| known.shares(feature));
                features.push(Looks::Picked(known.unwrap_or_else(|| push(&mut picky, *feature))));
                continue;
            }
            let of = (feature.argument, feature.filter);
            let column = columns.iter().position(|(known, _)| *known == of).unwrap_or_else(|| {
                let source = match of {
                    (Some(argument), None) => Source::Input(argument),
                    of => Source::Made(column_of(of, events)),
                };
                push(&mut columns, (of, source))
            });
            let window = windows.iter().position(|window| *window == feature.window);
            let window = window.unwrap_or_else(|| push(&mut windows, feature.window));
            features.push(Looks::All { column, window });
        }
        Arguments { columns, windows, picky, features }
    }

    /// The values of all features at each of some asks, which ascend by `t`. `within` are the events of the key, in the order
    /// of their places.
    pub fn close(
        &self,
        events: &Events,
        arguments: &Arguments,
        within: Range<usize>,
        asks: &[Ask],
        out: &mut Closed,
    ) {
        out.newest.clear();
        out.newest.resize(asks.len(), None);
        out.cells.resize(self.features.len(), Vec::new());
        // What a cell held before is overwritten: each is given a value once.
        out.cells.iter_mut().for_each(|cells| cells.resize(asks.len(), Cell::Null));
        let stands = resolve(events, within.clone(), (self.repeats, self.withdrawal));
        let affected = stands.affected(events, within.clone(), asks, self.edge);
        if affected.is_empty() {
            self.plain(events, arguments, within, asks, None, out);
            return;
        }
        let rest: Vec<usize> = (0..asks.len()).filter(|ask| affected.binary_search(ask).is_err()).collect();
        let some: Vec<Ask> = rest.iter().map(|ask| asks[*ask]).collect();
        self.plain(events, arguments, within.clone(), &some, Some(&rest), out);
        for (standing, of) in stands.groups(events, within, asks, &affected) {
            let picked = events.picked(&standing);
            let arguments = self.arguments(&picked);
            let some: Vec<Ask> = of.iter().map(|ask| asks[*ask]).collect();
            self.plain(&picked, &arguments, 0..picked.len(), &some, Some(&of), out);
        }
    }

    /// The same where every event that may count stands. `of` says which ask of all each of `asks` is.
    fn plain(
        &self,
        events: &Events,
        arguments: &Arguments,
        within: Range<usize>,
        asks: &[Ask],
        of: Option<&[usize]>,
        out: &mut Closed,
    ) {
        if asks.is_empty() {
            return;
        }
        let place = |ask: usize| of.map_or(ask, |of| of[ask]);
        let Closed { newest, cells, memory: Memory { oldest, ends, runs, prepared, fold: memory } } = out;
        let instants = &events.instants[within.clone()];
        // What is older than retention does not count, whatever a window says.
        oldest.clear();
        let (mut start, mut end) = (0, 0);
        for (number, ask) in asks.iter().enumerate() {
            let seen = presence(self.edge, ask.t, self.retention, self.delay);
            start = first_from(instants, start, seen.start);
            end = first_from(instants, end, seen.end);
            oldest.push(start);
            if start < end {
                newest[place(number)] = Some(instants[end - 1]);
            }
        }
        runs.resize_with(arguments.windows.len(), Vec::new);
        ends.clear();
        for (window, runs) in arguments.windows.iter().zip(runs.iter_mut()) {
            runs.clear();
            chosen_at(window, asks.iter().map(|ask| ask.t), instants, ends, |run| {
                runs.push(run.start.max(oldest[runs.len()]).min(run.end)..run.end);
            });
        }
        prepared.resize_with(arguments.columns.len(), Prepared::default);
        prepared.iter_mut().for_each(Prepared::forget);
        let mut picked: Vec<Option<Lanes>> = arguments.picky.iter().map(|_| None).collect();
        for ((feature, looks), cells) in self.features.iter().zip(&arguments.features).zip(cells) {
            let mut put = |ask: usize, cell| cells[place(ask)] = cell;
            match *looks {
                Looks::All { column, window } => {
                    let within = within.clone();
                    let of = Argument { events, column: arguments.column(events, column), within };
                    let prepared = &mut prepared[column];
                    fold(&feature.aggregate, &of, prepared, &runs[window], memory, &mut put);
                }
                Looks::Picked(number) => {
                    let lanes = picked[number]
                        .get_or_insert_with(|| Lanes::new(&arguments.picky[number], events, within.clone()));
                    let oldest = oldest.iter().map(|place| instants.get(*place).copied().unwrap_or(i64::MAX));
                    let oldest: Vec<i64> = oldest.collect();
                    lanes.fold(feature, (asks, &oldest), memory, &mut put);
                }
            }
        }
    }
}
