//! Which events of a key count at an instant: an interval of time that is found without looking at any, and for sessions
//! and last rows a run of those in it.

use std::ops::Range;

use asof_model::Duration;
use asof_model::window::{Edge, Span, Window};

/// The instants of events that may count at `t`, all in microseconds. Of a session and of last rows only some of them do.
///
/// Both edges are exact. The interval does not depend on any event; so a value changes with `t` where no event arrives.
pub fn interval(window: &Window, t: i64) -> Range<i64> {
    let at = t.saturating_sub(window.delay.micros());
    let (from, until) = match window.span {
        Span::Sliding { length, resolution } => {
            let from = at.saturating_sub(length.micros());
            (resolution.map_or(from, |resolution| floor(from, resolution.micros())), at)
        }
        Span::Tumbling { length, offset, complete } => {
            let opened = bucket(at, length, offset);
            match complete {
                true => (opened.saturating_sub(length.micros()), opened),
                false => (opened, at),
            }
        }
        Span::Session { max, .. } => (at.saturating_sub(max.micros()), at),
        Span::Lifetime | Span::LastRows(_) => (i64::MIN, at),
    };
    // A closed edge moves both by a microsecond; what is for ever stays so.
    match window.edge {
        Edge::Open => from..until,
        Edge::Closed if from == i64::MIN => from..until.saturating_add(1),
        Edge::Closed => from.saturating_add(1)..until.saturating_add(1),
    }
}

/// Which of a key's events count at `t`: `instants` are theirs, in the order in which they stand ([`Place`](crate::Place)).
pub fn chosen(window: &Window, t: i64, instants: &[i64]) -> Range<usize> {
    let Range { start: from, end: until } = interval(window, t);
    let (start, end) =
        (instants.partition_point(|event| *event < from), instants.partition_point(|event| *event < until));
    // An interval may be empty from behind.
    let start = start.min(end);
    match window.span {
        Span::Sliding { .. } | Span::Tumbling { .. } | Span::Lifetime => start..end,
        Span::LastRows(rows) => start.max(end.saturating_sub(rows as usize))..end,
        Span::Session { gap, .. } => {
            let mut first = end;
            // The last one is near enough to `t` as one event is to the next.
            let mut next = until;
            while first > start && next.saturating_sub(instants[first - 1]) <= gap.micros() {
                first -= 1;
                next = instants[first];
            }
            first..end
        }
    }
}

/// The instants before `t` at one of which a standing event makes a key one that was seen: from `retention` ago, up to the
/// smallest delay of the view. A key without one is MISSING, so that "never seen" is told from "nothing in this window".
pub fn presence(edge: Edge, t: i64, retention: Option<Duration>, smallest_delay: Duration) -> Range<i64> {
    let until = t.saturating_sub(smallest_delay.micros());
    let from = retention.map(|retention| t.saturating_sub(retention.micros()));
    match edge {
        Edge::Open => from.unwrap_or(i64::MIN)..until,
        Edge::Closed => from.map_or(i64::MIN, |from| from.saturating_add(1))..until.saturating_add(1),
    }
}

/// The last multiple, toward minus infinity.
fn floor(instant: i64, of: i64) -> i64 {
    instant.saturating_sub(instant.rem_euclid(of))
}

/// Where the bucket of an instant begins.
fn bucket(instant: i64, length: Duration, offset: Duration) -> i64 {
    floor(instant.saturating_sub(offset.micros()), length.micros()).saturating_add(offset.micros())
}
