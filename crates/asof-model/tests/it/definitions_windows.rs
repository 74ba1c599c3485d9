//! Definitions of views of events.

use asof_model::definition::{SourceFile, read};
use asof_model::spec::{Repeats, View};
use asof_model::window::{Edge, Span};
use asof_model::{Duration, ViewId};
use insta::assert_snapshot;

use crate::problems;

const BEFORE: &str = "
entities: { driver: { keys: { driver_id: int64 } } }
sources: { trips: { path: trips.csv, event: at, event_id: id, repeats: replace } }
feature_views:
";

fn view(text: &str) -> View {
    let text = format!("{BEFORE}{text}");
    let read = read(&[SourceFile { path: "features.yaml", text: &text }]).unwrap();
    assert_eq!(read.definitions.sources["trips"].event_id.as_deref(), Some("id"));
    assert_eq!(read.definitions.sources["trips"].repeats, Repeats::Replace);
    read.definitions.views[&ViewId::new("v", 1)].clone()
}

fn hours(hours: i64) -> Duration {
    Duration::from_micros(hours * 3_600_000_000)
}

/// Goal: every kind of window is read as it is written; what a view says holds for all of its features.
#[test]
fn every_kind_of_window() {
    let view = view(
        "
  v:
    entities: driver
    source: trips
    edge: closed
    delay: 2h
    resolution: 1h
    features:
      sliding: { aggregate: sum(fare), over: 48h }
      exact:   { aggregate: count(), over: 24h, resolution: 2h, delay: 0s, where: fare > 0, by: city }
      bucket:  { aggregate: count(), tumbling: 24h, offset: 6h, complete: true, default: 0 }
      session: { aggregate: count(), session: { gap: 1h, max: 24h } }
      all:     { aggregate: count(), over: lifetime }
      last:    { aggregate: max(fare), rows: 10 }
",
    );
    assert!(view.aggregates());
    let windows: Vec<_> =
        view.features.iter().map(|feature| feature.aggregation.as_ref().unwrap().window).collect();
    let spans: Vec<Span> = windows.iter().map(|window| window.span).collect();
    assert_eq!(
        spans,
        [
            Span::Sliding { length: hours(48), resolution: Some(hours(1)) },
            Span::Sliding { length: hours(24), resolution: Some(hours(2)) },
            Span::Tumbling { length: hours(24), offset: hours(6), complete: true },
            Span::Session { gap: hours(1), max: hours(24) },
            Span::Lifetime,
            Span::LastRows(10),
        ]
    );
    assert!(windows.iter().all(|window| window.edge == Edge::Closed));
    let delays: Vec<Duration> = windows.iter().map(|window| window.delay).collect();
    assert_eq!((delays[0], delays[1]), (hours(2), Duration::ZERO));
    assert_eq!((view.smallest_delay(), view.retained()), (Duration::ZERO, None));
    let exact = view.features[1].aggregation.as_ref().unwrap();
    assert_eq!((exact.filter.as_deref(), exact.by.as_deref()), (Some("fare > 0"), Some("city")));
}

/// Goal: retention is what is written, or as far as the furthest window reaches with its delay and its floor.
#[test]
fn retention() {
    let of = |more: &str| {
        let features = "features: { a: { aggregate: count(), over: 5h }, b: { aggregate: count(), over: 3h, delay: 4h } }";
        view(&format!("  v: {{ entities: driver, source: trips, {more} {features} }}")).retained()
    };
    assert_eq!(of(""), Some(hours(7)));
    assert_eq!(of("retention: 9h,"), Some(hours(9)));
    assert_eq!(of("resolution: 1h,"), Some(Duration::from_micros(hours(8).micros() - 1)));
}

/// Goal: what does not go together is refused at its place.
#[test]
fn what_does_not_go_together() {
    let refused = |text: &str| problems(&format!("feature_views:{text}"));
    assert_snapshot!(refused("
  v:
    entities: driver
    source: trips_table
    ttl: 1d
    retention: 1h
    edge: half
    features:
      nothing: { aggregate: count() }
      both: { aggregate: count(), over: 1h, tumbling: 1h }
      typed: { aggregate: count(), over: 1h, type: int64 }
      far: { aggregate: count(), over: 2h }
      carried: string
      stray: { type: int64, over: 1h }
      session: { aggregate: count(), session: { gap: 2h, max: 1h } }
      rows: { aggregate: count(), rows: none }
      offset: { aggregate: count(), over: 1h, offset: 1m }
      bucket: { aggregate: count(), tumbling: 90m, resolution: 1h }
"), @"
    refused
    features.yaml:5:5: `ttl` is for views that carry values, and view `v@1` aggregates events
      hint: windows say how old an event may be
    features.yaml:7:11: `edge` is `open` or `closed`, and `half` is neither
      hint: `open`: the event at an instant does not count at it; `closed`: it does
    features.yaml:9:7: feature `nothing` does not say over which events it aggregates
      hint: write one of `over: 30d`, `over: lifetime`, `rows: 10`, `tumbling: 1d`, or `session: { gap: 30m, max: 1d }`
    features.yaml:10:7: feature `both` has both `over` and `tumbling`
      hint: write one of `over: 30d`, `over: lifetime`, `rows: 10`, `tumbling: 1d`, or `session: { gap: 30m, max: 1d }`
    features.yaml:11:46: the type of feature `typed` follows from what it aggregates
      hint: leave out `type`
    features.yaml:12:7: feature `far` looks back 2h, further than `retention`
      hint: write `retention: 2h` or longer, or leave it out
    features.yaml:13:7: view `v@1` aggregates events, and feature `carried` carries a value
      hint: move it to a view of its own, or write `aggregate: last(column)` with a window
    features.yaml:14:29: `over` says over what feature `stray` aggregates nothing
      hint: name the function: `aggregate: sum(amount)`
    features.yaml:15:7: feature `session`: `max` can't be less than `gap`
    features.yaml:16:41: `rows` is a whole number from 1 on, and `none` is not
    features.yaml:17:47: `offset` says nothing of a window with `over`
      hint: leave out `offset`
    features.yaml:18:7: feature `bucket` looks back 90m, further than `retention`
      hint: write `retention: 90m` or longer, or leave it out
    features.yaml:18:37: the length of a bucket (90m) is no multiple of `resolution` (1h)
    ");
    assert_snapshot!(refused("
  v: { entities: driver, source: trips_table, edge: closed, features: { city: string } }
"), @"
    refused
    features.yaml:2:47: `edge` is for views that aggregate events, and view `v@1` carries values
      hint: leave out `edge`
    ");
}
