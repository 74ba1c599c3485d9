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
    let start = instants.partition_point(|event| *event < from);
    let end = instants.partition_point(|event| *event < until);
    let within = start.min(end)..end;
    match window.span {
        Span::Session { gap, .. } => session(gap, until, instants, within),
        _ => last_of(window, within),
    }
}

/// The runs that [`chosen`] gives at instants that ascend. `ends`: for each of them where an interval ended that was asked for
/// before, and how many events were before that; windows mostly end alike.
pub(crate) fn chosen_at(
    window: &Window,
    times: impl Iterator<Item = i64>,
    instants: &[i64],
    ends: &mut Vec<(i64, usize)>,
    mut with: impl FnMut(Range<usize>),
) {
    let (mut start, mut end) = (0, 0);
    for (number, t) in times.enumerate() {
        let Range { start: from, end: until } = interval(window, t);
        start = first_from(instants, start, from);
        end = match ends.get(number) {
            Some((known, end)) if *known == until => *end,
            _ => first_from(instants, end, until),
        };
        if ends.len() == number {
            ends.push((until, end));
        }
        // An interval may be empty from behind.
        let within = start.min(end)..end;
        with(match window.span {
            Span::Session { gap, .. } => session(gap, until, instants, within),
            _ => last_of(window, within),
        });
    }
}

/// Of the events in an interval those that a window without gaps takes.
pub(crate) fn last_of(window: &Window, within: Range<usize>) -> Range<usize> {
    match window.span {
        Span::LastRows(rows) => within.start.max(within.end.saturating_sub(rows as usize))..within.end,
        _ => within,
    }
}

/// The run of events before `until` with no longer gaps.
fn session(gap: Duration, until: i64, instants: &[i64], within: Range<usize>) -> Range<usize> {
    let mut first = within.end;
    // The last one is near enough to `t` as one event is to the next.
    let mut next = until;
    while first > within.start && next.saturating_sub(instants[first - 1]) <= gap.micros() {
        first -= 1;
        next = instants[first];
    }
    first..within.end
}

/// The first of some ascending instants, at `from` or behind it, that is not before `instant`: looked for in growing steps,
/// because it is near.
pub(crate) fn first_from(instants: &[i64], from: usize, instant: i64) -> usize {
    let mut start = from;
    let mut step = 4;
    loop {
        let end = (start + step).min(instants.len());
        if end == instants.len() || instants[end - 1] >= instant {
            return start + instants[start..end].partition_point(|event| *event < instant);
        }
        (start, step) = (end, 2 * step);
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
