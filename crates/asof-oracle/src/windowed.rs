//! Which events count in a window, event by event (SEMANTICS 4).

use std::collections::BTreeMap;

use asof_model::aggregation::Withdrawal;
use asof_model::canonical::row_bytes;
use asof_model::knowledge::KnownAt;
use asof_model::spec::Repeats;
use asof_model::window::{Edge, Span, Window};
use asof_model::{Cell, Duration, EncodedKey, Instant, Status, Value, ValueType, canonical, key};
use asof_window::closing::{NULL_BUCKET, bucket_name};
use asof_window::{Aggregate, Place};

use crate::{OracleAnswer, OracleRow, OracleValue};

/// For each event of a key, in the order in which they stand, whether it counts at `t`. Instants are microseconds.
pub fn counts(window: &Window, t: i64, instants: &[i64]) -> Vec<bool> {
    let t = i128::from(t) - i128::from(window.delay.micros());
    // With a closed edge the event at `t` counts and the one at the old edge does not: as if all came a moment earlier.
    let moved = |event: &i64| i128::from(*event) - if window.edge == Edge::Closed { 1 } else { 0 };
    let events: Vec<i128> = instants.iter().map(moved).collect();
    match window.span {
        Span::Sliding { length, resolution } => {
            let (length, resolution) =
                (i128::from(length.micros()), i128::from(resolution.map_or(1, |each| each.micros())));
            // From the first t > event on, until t < floor(event) + resolution + length.
            let until = |event: &i128| event.div_euclid(resolution) * resolution + resolution + length;
            let shows = |event: &i128| t > *event && t < until(event);
            events.iter().map(shows).collect()
        }
        Span::Tumbling { length, offset, complete } => {
            let (length, offset) = (i128::from(length.micros()), i128::from(offset.micros()));
            let bucket = |instant: i128| (instant - offset).div_euclid(length);
            let wanted = bucket(t) - i128::from(complete);
            events.iter().map(|event| *event < t && bucket(*event) == wanted).collect()
        }
        Span::Session { gap, max } => {
            let (gap, max) = (i128::from(gap.micros()), i128::from(max.micros()));
            let within = |event: i128| event < t && t - event <= max;
            // An event is of the run if the next one within reach, or `t`, is near enough, and that one is of the run.
            (0..events.len())
                .map(|place| {
                    let mut later: Vec<i128> =
                        events[place..].iter().copied().filter(|event| within(*event)).collect();
                    later.push(t);
                    within(events[place]) && later.windows(2).all(|pair| pair[1] - pair[0] <= gap)
                })
                .collect()
        }
        Span::Lifetime => events.iter().map(|event| *event < t).collect(),
        Span::LastRows(rows) => {
            let before = events.iter().filter(|event| **event < t).count();
            let first = before.saturating_sub(rows as usize);
            (0..events.len()).map(|place| (first..before).contains(&place)).collect()
        }
    }
}

/// A feature of a view of events. Inputs are told by their places among the cells of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleWindow {
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
    /// What replaces the value in every state but PRESENT.
    pub default: Option<Value>,
}

/// A view of events.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleEvents {
    /// The features that are asked for.
    pub features: Vec<OracleWindow>,
    /// Which edge its windows have.
    pub edge: Edge,
    /// How far back an event counts at all.
    pub retention: Option<Duration>,
    /// The smallest delay of its windows, of all features.
    pub delay: Duration,
    /// The input that tells events apart.
    pub identity: Option<usize>,
    /// What a second event of one identity does.
    pub repeats: Repeats,
    /// The input that says whether a version takes its event away.
    pub withdrawal: Option<usize>,
}

/// Answers `f(view, key, t)` of a view of events, by looking at every row.
///
/// `types` are those of the inputs; `known` is the instant as of which may be known, mostly `t`. A row stands as for
/// [`as_of`](crate::as_of), but that every one counts for itself.
///
/// # Source
/// SEMANTICS 4 and 6.
pub fn close(
    view: &OracleEvents,
    rows: &[OracleRow],
    types: &[ValueType],
    key: Option<&EncodedKey>,
    (t, known): (Instant, Instant),
    known_at: KnownAt,
) -> OracleAnswer {
    let of_key = rows.iter().filter(|row| Some(&row.key) == key);
    let mut standing: Vec<&OracleRow> = of_key.filter(|row| stands(row, known, known_at)).collect();
    if let Some(identity) = view.identity {
        standing = one_of_each(standing, identity, types, view, known_at);
    }
    standing.retain(|row| mark(row, view.withdrawal) == Withdrawal::Stands.mark());
    standing.sort_by_key(|row| place(row, view.identity));
    // The event at an open edge does not count, the one at a closed edge does: as if all came a moment earlier.
    let moved = |row: &&OracleRow| row.event.micros() - if view.edge == Edge::Closed { 1 } else { 0 };
    let retained = |row: &&OracleRow| {
        view.retention.is_none_or(|most| moved(row) >= t.micros().saturating_sub(most.micros()))
    };
    standing.retain(retained);
    let seen = standing.iter().filter(|row| moved(row) < t.micros() - view.delay.micros());
    let newest = seen.map(|row| row.event).max();
    let value = |feature: &OracleWindow| {
        let Some(_) = newest else {
            return OracleValue { cell: or_default(&Cell::Null, feature), status: Status::Missing };
        };
        let cell = value_of(feature, &standing, view.identity, t);
        let status = match cell {
            Cell::Value(_) => Status::Present,
            Cell::Null => Status::Null,
            Cell::Error => Status::Error,
        };
        OracleValue { cell: or_default(&cell, feature), status }
    };
    OracleAnswer { values: view.features.iter().map(value).collect(), event: newest }
}

fn or_default(cell: &Cell, feature: &OracleWindow) -> Cell {
    match (cell, &feature.default) {
        (Cell::Value(_), _) => cell.clone(),
        (_, Some(default)) => Cell::Value(default.clone()),
        (_, None) => Cell::Null,
    }
}

fn stands(row: &OracleRow, known: Instant, known_at: KnownAt) -> bool {
    match known_at {
        KnownAt::Event => row.replaced.is_none(),
        KnownAt::Created => row.created <= known && row.replaced.is_none(),
        KnownAt::Served => {
            row.created <= known && row.visible <= known && row.replaced.is_none_or(|at| known < at)
        }
    }
}

/// Of the rows of one identity the one that stands for all.
fn one_of_each<'r>(
    rows: Vec<&'r OracleRow>,
    identity: usize,
    types: &[ValueType],
    view: &OracleEvents,
    known_at: KnownAt,
) -> Vec<&'r OracleRow> {
    let bytes = |row: &OracleRow| {
        let mut cells = row.cells.clone();
        // The mark says last which of two goes first.
        if let Some(cell) = view.withdrawal.and_then(|input| cells.get_mut(input)) {
            *cell = Cell::Null;
        }
        row_bytes(types, &cells)
    };
    // When a row was first known, by the rule: where nothing says so, all were.
    let first_known = |row: &OracleRow| match known_at {
        KnownAt::Event => Instant::MIN,
        KnownAt::Created => row.created,
        KnownAt::Served => row.created.max(row.visible),
    };
    let goes_first = |one: &OracleRow, other: &OracleRow| match view.repeats {
        Repeats::KeepFirst => {
            let rank = |row: &OracleRow| (first_known(row), row.created, row.event, bytes(row));
            rank(one) < rank(other)
        }
        Repeats::Replace => {
            let rank = |row: &OracleRow| (row.created, bytes(row), row.event, mark(row, view.withdrawal));
            rank(one) > rank(other)
        }
    };
    let beaten = |place: usize| {
        let row = rows[place];
        let Some(Cell::Value(id)) = row.cells.get(identity) else { return false };
        rows.iter().enumerate().any(|(at, other)| {
            let same = matches!(other.cells.get(identity), Some(Cell::Value(of)) if of == id);
            // Of rows that are equal in all of it one stands.
            at != place && same && (goes_first(other, row) || (!goes_first(row, other) && at < place))
        })
    };
    (0..rows.len()).filter(|place| !beaten(*place)).map(|place| rows[place]).collect()
}

/// Whether a row takes its event away.
fn mark(row: &OracleRow, withdrawal: Option<usize>) -> i64 {
    Withdrawal::mark_in(withdrawal.and_then(|input| row.cells.get(input)))
}

fn place(row: &OracleRow, identity: Option<usize>) -> Place {
    let mut id = Vec::new();
    if let Some(Cell::Value(value)) = identity.and_then(|identity| row.cells.get(identity)) {
        key::encode_part(&mut id, value);
    }
    Place { event: row.event.micros(), created: row.created.micros(), id: id.into() }
}

/// The value of a feature over rows in the order of their places.
fn value_of(feature: &OracleWindow, rows: &[&OracleRow], identity: Option<usize>, t: Instant) -> Cell {
    let cell = |row: &OracleRow, input: usize| row.cells.get(input).cloned().unwrap_or(Cell::Null);
    let passes = |row: &&OracleRow| match feature.filter.map(|filter| cell(row, filter)) {
        None | Some(Cell::Error) => true,
        Some(cell) => cell == Cell::Value(Value::Bool(true)),
    };
    let argument = |row: &OracleRow| match feature.filter.map(|filter| cell(row, filter)) {
        Some(Cell::Error) => Cell::Error,
        _ => feature.argument.map_or(Cell::Value(Value::Bool(true)), |argument| cell(row, argument)),
    };
    let mut seen: Vec<&OracleRow> = rows.iter().copied().filter(passes).collect();
    if let (Span::LastRows(_), Some(input)) = (feature.window.span, feature.argument) {
        // Of several at one place the greatest values are the last.
        let bytes = |row: &OracleRow| {
            let mut bytes = Vec::new();
            canonical::write_cell(&mut bytes, feature.aggregate.input(), &cell(row, input));
            bytes
        };
        seen.sort_by_cached_key(|row| (place(row, identity), bytes(row)));
    }
    let fold = |rows: &[&OracleRow]| {
        let instants: Vec<i64> = rows.iter().map(|row| row.event.micros()).collect();
        let mut state = feature.aggregate.state();
        let mut any = false;
        let counted = counts(&feature.window, t.micros(), &instants);
        for (row, _) in rows.iter().zip(counted).filter(|(_, counts)| *counts) {
            feature.aggregate.add_at(&mut state, &argument(row), &place(row, identity));
            any = true;
        }
        (any, feature.aggregate.value(&state))
    };
    let Some(by) = feature.by else { return fold(&seen).1 };
    let mut buckets: BTreeMap<String, Vec<&OracleRow>> = BTreeMap::new();
    let mut unknown = Vec::new();
    for row in seen {
        match cell(row, by) {
            Cell::Value(value) => buckets.entry(bucket_name(&value)).or_default().push(row),
            Cell::Null => buckets.entry(NULL_BUCKET.to_owned()).or_default().push(row),
            Cell::Error => unknown.push(row),
        }
    }
    if fold(&unknown).0 {
        return Cell::Error;
    }
    let mut map = Vec::new();
    for (bucket, rows) in buckets {
        match fold(&rows) {
            (false, _) => {}
            (true, Cell::Error) => return Cell::Error,
            (true, cell) => map.push((bucket, cell.value().cloned())),
        }
    }
    Value::map(map).map_or(Cell::Error, Cell::Value)
}
