//! Which events count, to the microsecond: by hand, and against the rule applied event by event.

use asof_model::window::{Edge, Span, Window};
use asof_model::{Duration, ValueType};
use asof_oracle::windowed::counts;
use asof_window::windows::{chosen, interval, presence};
use asof_window::{Aggregate, Event, values_at};
use proptest::prelude::*;
use proptest::sample::select;

use crate::laws::{argument, functions, same};

fn of(micros: i64) -> Duration {
    Duration::from_micros(micros)
}

fn sliding(length: i64, resolution: Option<i64>) -> Span {
    Span::Sliding { length: of(length), resolution: resolution.map(of) }
}

fn tumbling(length: i64, offset: i64, complete: bool) -> Span {
    Span::Tumbling { length: of(length), offset: of(offset), complete }
}

fn window(span: Span, edge: Edge, delay: i64) -> Window {
    Window { span, edge, delay: of(delay) }
}

/// Goal: edges are where they are said to be, before 1970 too, and delays and closed edges move them.
#[test]
fn edges() {
    for (span, edge, delay, t, right) in [
        (sliding(10, None), Edge::Open, 0, 100, 90..100),
        (sliding(10, None), Edge::Closed, 0, 100, 91..101),
        (sliding(10, None), Edge::Open, 3, 100, 87..97),
        (sliding(10, Some(7)), Edge::Open, 0, 100, 84..100),
        (sliding(10, Some(10)), Edge::Open, 0, -5, -20..-5),
        (sliding(10, Some(10)), Edge::Open, 0, 100, 90..100),
        (sliding(10, Some(10)), Edge::Closed, 0, 100, 91..101),
        (tumbling(10, 0, false), Edge::Open, 0, 100, 100..100),
        (tumbling(10, 0, false), Edge::Open, 0, 109, 100..109),
        (tumbling(10, 3, false), Edge::Open, 0, 100, 93..100),
        (tumbling(10, 0, true), Edge::Open, 0, 109, 90..100),
        (tumbling(10, 0, true), Edge::Open, 0, -1, -20..-10),
        (tumbling(10, 0, false), Edge::Open, 2, 101, 90..99),
        (Span::Lifetime, Edge::Open, 0, 100, i64::MIN..100),
        (Span::LastRows(2), Edge::Closed, 0, 100, i64::MIN..101),
    ] {
        let window = window(span, edge, delay);
        assert_eq!(interval(&window, t), right, "{window:?}");
    }
    assert_eq!(presence(Edge::Open, 100, Some(of(30)), of(2)), 70..98);
    assert_eq!(presence(Edge::Closed, 100, Some(of(30)), of(2)), 71..99);
    assert_eq!(presence(Edge::Open, 100, None, of(0)), i64::MIN..100);
}

/// Goal: a session goes back over gaps that are not too long, begins near enough to `t`, and ends at its longest.
#[test]
fn sessions() {
    let session = window(Span::Session { gap: of(10), max: of(50) }, Edge::Open, 0);
    let events = [1, 40, 60, 70, 80, 90];
    for (t, right) in [(0, 0..0), (50, 1..2), (51, 2..2), (90, 2..5), (91, 2..6), (100, 2..6), (101, 6..6)] {
        assert_eq!(chosen(&session, t, &events), right, "at {t}");
    }
    // A late event closes a gap.
    assert_eq!(chosen(&session, 95, &[40, 50, 60, 70, 80, 90]), 1..6);
    let closed = Window { edge: Edge::Closed, ..session };
    assert_eq!(chosen(&closed, 90, &events), 2..6);
    assert_eq!(chosen(&closed, 100, &[90]), 1..1);
    assert_eq!(chosen(&closed, 99, &[90]), 0..1);
}

pub fn any_span() -> impl Strategy<Value = Span> {
    let length = select(vec![1_i64, 2, 5, 7, 12, 40]);
    prop_oneof![
        (length.clone(), prop::option::of(select(vec![1_i64, 3, 5, 10]))).prop_map(|(l, r)| sliding(l, r)),
        (length.clone(), 0_i64..40, any::<bool>()).prop_map(|(length, offset, complete)| tumbling(
            length,
            offset % length,
            complete
        )),
        (length, 0_i64..30).prop_map(|(gap, more)| Span::Session { gap: of(gap), max: of(gap + more) }),
        Just(Span::Lifetime),
        (1_u32..5).prop_map(Span::LastRows),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Goal: the interval and the run in it hold exactly the events that count by the rule for one event, and none that
    /// counts lies beyond the reach.
    #[test]
    fn the_rule_event_by_event(
        span in any_span(),
        edge in select(vec![Edge::Open, Edge::Closed]),
        delay in 0_i64..6,
        t in -60_i64..60,
        mut events in prop::collection::vec(-90_i64..70, 0..12),
    ) {
        events.sort_unstable();
        let window = window(span, edge, delay);
        prop_assert_eq!(window.check(), Ok(()));
        let right = counts(&window, t, &events);
        let found = chosen(&window, t, &events);
        let as_flags: Vec<bool> = (0..events.len()).map(|place| found.contains(&place)).collect();
        prop_assert_eq!(&as_flags, &right, "{:?}", window);
        let within = interval(&window, t);
        for (event, counts) in events.iter().zip(&right).filter(|(_, counts)| **counts) {
            prop_assert!(*counts && within.contains(event));
            if let Some(reach) = window.reach() {
                prop_assert!(t - event <= reach.micros(), "{:?} {} {}", window, t, event);
            }
        }
    }

    /// Goal: instants at the ends of time neither overflow nor wrap.
    #[test]
    fn the_ends_of_time(
        span in any_span(),
        edge in select(vec![Edge::Open, Edge::Closed]),
        t in select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]),
    ) {
        let window = window(span, edge, 3);
        let _ = (interval(&window, t), chosen(&window, t, &[i64::MIN, 0, i64::MAX]), window.reach());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Goal: one sweep over many instants gives what a fold of the events that count by the rule gives at each.
    #[test]
    fn a_sweep_is_a_fold_at_each_instant(
        span in any_span(),
        edge in select(vec![Edge::Open, Edge::Closed]),
        delay in 0_i64..6,
        mut times in prop::collection::vec(-60_i64..80, 0..25),
        arguments in prop::collection::vec((argument(ValueType::Float64), -70_i64..70), 0..30),
    ) {
        times.sort_unstable();
        let event = |((argument, mut place), at): ((_, asof_window::Place), i64)| {
            place.event = at;
            Event { place, argument }
        };
        let mut events: Vec<Event> = arguments.into_iter().map(event).collect();
        events.sort_by(|one, other| one.place.cmp(&other.place));
        let instants: Vec<i64> = events.iter().map(|event| event.place.event).collect();
        let window = window(span, edge, delay);
        for function in functions() {
            let Some(aggregate) = Aggregate::new(function, ValueType::Float64) else { continue };
            let found = values_at(&aggregate, &window, &events, &times);
            prop_assert_eq!(found.len(), times.len());
            for (t, found) in times.iter().zip(&found) {
                let mut state = aggregate.state();
                let counts = counts(&window, *t, &instants);
                for (event, _) in events.iter().zip(&counts).filter(|(_, counts)| **counts) {
                    aggregate.add_at(&mut state, &event.argument, &event.place);
                }
                prop_assert!(same(found, &aggregate.value(&state)), "{:?} at {} in {:?}", function, t, window);
            }
        }
    }
}
