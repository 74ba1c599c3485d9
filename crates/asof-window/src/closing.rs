//! The features of a view of events for one key, at many instants: which events stand, which of them count, and what they
//! come to (SEMANTICS 4). The one computation of training, of serving and of verifying.

use std::collections::BTreeMap;
use std::ops::Range;

use asof_model::window::{Edge, Span, Window};
use asof_model::{Cell, Duration, Value, entry};

use crate::Aggregate;
use crate::events::{Column, Events, Mark};
use crate::prepared::Prepared;
use crate::repeats::{Repeats, resolve};
use crate::windows::{chosen, presence};

/// The bucket of events whose `by` is null.
pub const NULL_BUCKET: &str = "__null";

/// The bucket of a value: its text. Text that could be taken for [`NULL_BUCKET`] has one more underscore in front.
pub fn bucket_name(value: &Value) -> String {
    let text = entry::to_text(value);
    let bare = text.trim_start_matches('_');
    let taken = bare == "null" && text.len() - bare.len() >= 2;
    if taken { format!("_{text}") } else { text }
}

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

/// What came of the asks of a key.
#[derive(Debug, Default)]
pub struct Closed {
    /// For each ask the newest event within retention; `None`: the key is MISSING there.
    pub newest: Vec<Option<i64>>,
    /// For each feature a cell for each ask.
    pub cells: Vec<Vec<Cell>>,
}

/// What a feature's input is made of: its argument and its filter.
type Input = (Option<usize>, Option<usize>);

/// What a bucket's feature comes to, by the bucket's name; `None`: the whole map is an error.
type Buckets = Option<Vec<(String, Option<Value>)>>;

/// The inputs of a view's features over some events: each argument with its filter.
pub struct Arguments {
    columns: Vec<(Input, Column)>,
}

impl Closing {
    /// The arguments of all features, filtered, for events of any number of keys.
    pub fn arguments(&self, events: &Events) -> Arguments {
        let mut columns: Vec<(Input, Column)> = Vec::new();
        for feature in &self.features {
            let of = (feature.argument, feature.filter);
            if columns.iter().any(|(known, _)| *known == of) {
                continue;
            }
            let argument = match feature.argument {
                Some(argument) => events.inputs[argument].clone(),
                None => Column::events(events.len()),
            };
            let column = match feature.filter {
                Some(filter) => argument.masked(&events.inputs[filter]),
                None => argument,
            };
            columns.push((of, column));
        }
        Arguments { columns }
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
        for cells in &mut out.cells {
            cells.clear();
            cells.resize(asks.len(), Cell::Null);
        }
        let stands = resolve(events, within.clone(), (self.repeats, self.withdrawal));
        let affected = stands.affected(events, within.clone(), asks, self.edge);
        if affected.is_empty() {
            self.plain(events, arguments, within, asks, &mut |ask| ask, out);
            return;
        }
        let rest: Vec<usize> = (0..asks.len()).filter(|ask| affected.binary_search(ask).is_err()).collect();
        let some: Vec<Ask> = rest.iter().map(|ask| asks[*ask]).collect();
        self.plain(events, arguments, within.clone(), &some, &mut |ask| rest[ask], out);
        for (standing, of) in stands.groups(events, within, asks, &affected) {
            let picked = events.picked(&standing);
            let arguments = self.arguments(&picked);
            let some: Vec<Ask> = of.iter().map(|ask| asks[*ask]).collect();
            self.plain(&picked, &arguments, 0..picked.len(), &some, &mut |ask| of[ask], out);
        }
    }

    /// The same where every event that may count stands. `place` says which ask of all each of `asks` is.
    fn plain(
        &self,
        events: &Events,
        arguments: &Arguments,
        within: Range<usize>,
        asks: &[Ask],
        place: &mut dyn FnMut(usize) -> usize,
        out: &mut Closed,
    ) {
        if asks.is_empty() {
            return;
        }
        let instants = &events.instants[within.clone()];
        // What is older than retention does not count, whatever a window says.
        let mut oldest = Vec::with_capacity(asks.len());
        for (number, ask) in asks.iter().enumerate() {
            let seen = presence(self.edge, ask.t, self.retention, self.delay);
            let start = instants.partition_point(|event| *event < seen.start);
            let end = instants.partition_point(|event| *event < seen.end);
            oldest.push(start);
            if start < end {
                out.newest[place(number)] = Some(instants[end - 1]);
            }
        }
        let mut runs: Vec<(Window, Vec<Range<usize>>)> = Vec::new();
        let mut prepared: Vec<(Input, Prepared<'_>)> = Vec::new();
        for (number, feature) in self.features.iter().enumerate() {
            let cells = &mut out.cells[number];
            let picky = matches!(feature.window.span, Span::LastRows(_) | Span::Session { .. });
            let ranked = matches!(feature.window.span, Span::LastRows(_)) && feature.argument.is_some();
            if feature.by.is_some() || ranked || (feature.filter.is_some() && picky) {
                self.picked(feature, events, &within, asks, &oldest, &mut |ask, cell| {
                    cells[place(ask)] = cell
                });
                continue;
            }
            if !runs.iter().any(|(window, _)| *window == feature.window) {
                let run = |(ask, oldest): (&Ask, &usize)| {
                    let run = chosen(&feature.window, ask.t, instants);
                    let start = run.start.max(*oldest).min(run.end);
                    within.start + start..within.start + run.end
                };
                runs.push((feature.window, asks.iter().zip(&oldest).map(run).collect()));
            }
            let of = (feature.argument, feature.filter);
            if !prepared.iter().any(|(known, _)| *known == of)
                && let Some((_, column)) = arguments.columns.iter().find(|(known, _)| *known == of)
            {
                prepared.push((of, Prepared::new(events, column, within.clone())));
            }
            let run = runs.iter().find(|(window, _)| *window == feature.window);
            let known = prepared.iter().find(|(known, _)| *known == of);
            if let (Some((_, runs)), Some((_, prepared))) = (run, known) {
                prepared.fold(&feature.aggregate, runs, |ask, cell| cells[place(ask)] = cell);
            }
        }
    }

    /// A feature whose window looks at no event but those that it sees: of each bucket, those that pass the filter.
    fn picked(
        &self,
        feature: &WindowFeature,
        events: &Events,
        within: &Range<usize>,
        asks: &[Ask],
        oldest: &[usize],
        put: &mut dyn FnMut(usize, Cell),
    ) {
        let passes = |event: &usize| match feature.filter.map(|filter| &events.inputs[filter]) {
            None => true,
            Some(filter) => filter.mark(*event) == Mark::Error || filter.is_true(*event),
        };
        let seen: Vec<usize> = within.clone().filter(passes).collect();
        let instant = |place: &usize| match events.instants[within.clone()].get(*place) {
            Some(instant) => *instant,
            None => i64::MAX,
        };
        let oldest: Vec<i64> = oldest.iter().map(instant).collect();
        let Some(by) = feature.by.map(|by| &events.inputs[by]) else {
            let runs = |instants: &[i64]| runs_of(&feature.window, asks, &oldest, instants);
            fold_picked(feature, events, &seen, runs, &mut |ask, _, cell| put(ask, cell));
            return;
        };
        // Which bucket an event is of; an error there is one of the feature wherever the event counts.
        let mut buckets: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
        let mut unknown = Vec::new();
        for event in &seen {
            match by.cell(*event) {
                Cell::Error => unknown.push(*event),
                Cell::Null => buckets.entry(None).or_default().push(*event),
                Cell::Value(value) => buckets.entry(Some(bucket_name(&value))).or_default().push(*event),
            }
        }
        let runs = |instants: &[i64]| runs_of(&feature.window, asks, &oldest, instants);
        let mut maps: Vec<Buckets> = vec![Some(Vec::new()); asks.len()];
        let instants: Vec<i64> = unknown.iter().map(|event| events.instants[*event]).collect();
        for (map, run) in maps.iter_mut().zip(runs(&instants)) {
            if !run.is_empty() {
                *map = None;
            }
        }
        for (bucket, of) in buckets {
            let name = bucket.unwrap_or_else(|| NULL_BUCKET.to_owned());
            fold_picked(feature, events, &of, runs, &mut |ask, count, cell| {
                let Some(map) = maps[ask].as_mut().filter(|_| count > 0) else { return };
                match cell {
                    Cell::Value(value) => map.push((name.clone(), Some(value))),
                    Cell::Null => map.push((name.clone(), None)),
                    Cell::Error => maps[ask] = None,
                }
            });
        }
        for (ask, map) in maps.into_iter().enumerate() {
            put(ask, map.and_then(Value::map).map_or(Cell::Error, Cell::Value));
        }
    }
}

fn runs_of(window: &Window, asks: &[Ask], oldest: &[i64], instants: &[i64]) -> Vec<Range<usize>> {
    let run = |(ask, oldest): (&Ask, &i64)| {
        let run = chosen(window, ask.t, instants);
        let start = run.start.max(instants.partition_point(|event| event < oldest)).min(run.end);
        start..run.end
    };
    asks.iter().zip(oldest).map(run).collect()
}

/// The values of a feature over some events alone. `put` is given the ask, how many events count, and the value.
fn fold_picked(
    feature: &WindowFeature,
    events: &Events,
    of: &[usize],
    runs: impl Fn(&[i64]) -> Vec<Range<usize>>,
    put: &mut dyn FnMut(usize, usize, Cell),
) {
    let mut of = of.to_vec();
    if let (Span::LastRows(_), Some(argument)) = (feature.window.span, feature.argument) {
        // Which of several at one place are the last is for their values to say, never for the order they came in.
        let input = &events.inputs[argument];
        let mut bytes: Vec<(usize, Vec<u8>)> = of.iter().map(|event| (*event, input.bytes(*event))).collect();
        bytes.sort_by(|one, other| events.order(one.0, other.0).then_with(|| one.1.cmp(&other.1)));
        of = bytes.into_iter().map(|(event, _)| event).collect();
    }
    let of = of.as_slice();
    let mut argument = match feature.argument {
        Some(argument) => events.inputs[argument].pick(of),
        None => Column::events(of.len()),
    };
    if let Some(filter) = feature.filter {
        argument = argument.masked(&events.inputs[filter].pick(of));
    }
    let inputs: Vec<Column> =
        events.identity.iter().map(|identity| events.inputs[*identity].pick(of)).collect();
    let picked = Events {
        instants: of.iter().map(|event| events.instants[*event]).collect(),
        createds: of.iter().map(|event| events.createds[*event]).collect(),
        identity: (!inputs.is_empty()).then_some(0),
        inputs,
        ..Events::default()
    };
    let runs = runs(&picked.instants);
    let prepared = Prepared::new(&picked, &argument, 0..picked.len());
    prepared.fold(&feature.aggregate, &runs, |ask, cell| put(ask, runs[ask].len(), cell));
}
