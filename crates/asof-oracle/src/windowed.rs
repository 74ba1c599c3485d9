//! Which events count in a window, event by event (SEMANTICS 4).

use asof_model::window::{Edge, Span, Window};

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
