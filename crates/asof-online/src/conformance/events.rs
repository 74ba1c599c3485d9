//! Cases about views of events: all that may still count are kept, each for itself (SEMANTICS 4).

use asof_model::{Cell, Duration, Value};

use super::Harness;
use super::world::{Choices, World, at};
use crate::store::{EventRange, EventRule, IncomingRow, Publication, Replaces, ViewHandle};

/// Events kept for 30 days.
const KEPT: EventRule = EventRule {
    retention: Some(Duration::from_micros(30 * 86_400_000_000)),
    identity: None,
    withdrawal: None,
    remembers: None,
    pushed: true,
};

/// An event: the second at which it happened, and its number.
type Event = (i64, i64);

impl<H: Harness> World<'_, H> {
    /// Publishes events.
    fn publish_events(&self, view: ViewHandle, unit: &str, rule: EventRule, rows: Vec<IncomingRow>) -> u64 {
        let publication = Publication { events: Some(rule), ..self.unit(view, unit, 1, rows) };
        self.try_publish(publication).expect("events are published").rows_added
    }

    fn event(&self, key: &[u8], (second, number): Event) -> IncomingRow {
        self.row(key, at(second), at(second), number)
    }

    /// The events of a key at the store's present, in order. `None`: it holds none.
    fn events_now(&self, view: ViewHandle, key: &[u8]) -> Option<Vec<Event>> {
        let events = self.row_now(view, key)?.events.expect("a view of events answers events");
        let held = events.held(self.layout.types(), None).expect("events are read");
        let number = |place: usize| match held.events.inputs[0].cell(place) {
            Cell::Value(Value::Int64(number)) => number,
            other => panic!("an event holds {other:?}"),
        };
        let second = |place: usize| (held.events.instants[place] - at(0).micros()) / 1_000_000;
        let listed: Vec<Event> = held.within().map(|place| (second(place), number(place))).collect();
        assert_eq!(events.newest().expect("a head is read"), at(listed.last().expect("there is one").0));
        assert!(events.count().expect("a head is read") >= listed.len() as u64);
        Some(listed)
    }
}

/// Goal: every event is kept, also an equal one; late ones take their place; each key has its own; and what came before
/// retention, measured from the stamp, is not taken in.
pub fn events_are_added(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("rides@1");
    let event = |key: &[u8], second, number| world.event(key, (second, number));
    world.clock.set(at(1_000));
    let rows = vec![event(b"a", 10, 1), event(b"a", 30, 2), event(b"ab", 5, 3)];
    assert_eq!(world.publish_events(view, "u1", KEPT, rows), 3);
    assert_eq!(world.events_now(view, b"a"), Some(vec![(10, 1), (30, 2)]));
    let rows = vec![event(b"a", 20, 4), event(b"a", 40, 5), event(b"a", 30, 2), event(b"a", 2_000, 6)];
    world.publish_events(view, "u2", KEPT, rows);
    let all = vec![(10, 1), (20, 4), (30, 2), (30, 2), (40, 5), (2_000, 6)];
    assert_eq!(world.events_now(view, b"a"), Some(all));
    assert_eq!(world.events_now(view, b"ab"), Some(vec![(5, 3)]));
    assert_eq!(world.events_now(view, b""), None);
    assert_eq!(world.keys(view, None, 9), [b"a".to_vec(), b"ab".to_vec()]);

    let days = |days: i64| days * 86_400;
    world.clock.set(at(days(30)));
    // At the edge one is kept, before it one is not, and what is there is cut.
    let rows = vec![event(b"a", 0, 7), event(b"a", -1, 8), event(b"new", -1, 9)];
    let publication = Publication { events: Some(KEPT), ..world.unit(view, "u3", 1, rows) };
    let published = world.try_publish(publication).unwrap();
    assert_eq!((published.rows_added, published.rows_beaten), (1, 2));
    assert_eq!(world.events_now(view, b"a").unwrap()[..2], [(0, 7), (10, 1)]);
    assert_eq!(world.events_now(view, b"new"), None);
    world.clock.set(at(days(30) + 30));
    world.publish_events(view, "u4", KEPT, vec![event(b"a", 3_000, 10)]);
    assert_eq!(world.events_now(view, b"a"), Some(vec![(30, 2), (30, 2), (40, 5), (2_000, 6), (3_000, 10)]));
}

/// Goal: where an identity tells events apart, an event is known no sooner than its stamp, also when it is read again later.
pub fn events_with_an_identity(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("rides@1");
    let rule = EventRule { identity: Some(0), ..KEPT };
    let mut known = Vec::new();
    for unit in 1..=40_i64 {
        world.clock.set(at(unit * 100));
        // Two that had happened, the second created later, and one that is yet to come.
        let mut rows = [(unit, 7), (unit, 3), (unit + 9_000, 5)].map(|event| world.event(b"k", event));
        rows[1].created = at(unit * 100 + 50);
        world.publish_events(view, &format!("u{unit}"), rule, rows.into());
        known.extend([(unit, 7, unit * 100), (unit, 3, unit * 100 + 50), (unit + 9_000, 5, unit + 9_000)]);
        if unit % 3 == 0 {
            known.sort_unstable_by_key(|(second, number, known)| (*second, known % 100, *number));
            let events = world.row_now(view, b"k").unwrap().events.unwrap();
            let held = events.held(world.layout.types(), Some(0)).unwrap();
            let second = |micros: i64| (micros - at(0).micros()) / 1_000_000;
            let found: Vec<_> = held
                .within()
                .map(|place| match held.events.inputs[0].cell(place) {
                    Cell::Value(Value::Int64(number)) => {
                        (second(held.events.instants[place]), number, second(held.events.knowns[place]))
                    }
                    other => panic!("an event holds {other:?}"),
                })
                .collect();
            assert_eq!(found, known, "unit {unit}");
        }
    }
}

/// Goal: a unit of events is folded once, also after later ones and over a reopening.
pub fn a_unit_of_events_twice(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("rides@1");
    let rows = |world: &World<'_, _>, from: i64| -> Vec<IncomingRow> {
        (from..from + 300).map(|n| world.event(b"k", (n, n))).collect()
    };
    for (unit, from) in [("u1", 0), ("u2", 300), ("u1", 0), ("u2", 300)] {
        world.publish_events(view, unit, KEPT, rows(&world, from));
    }
    let all: Vec<Event> = (0..600).map(|n| (n, n)).collect();
    assert_eq!(world.events_now(view, b"k"), Some(all.clone()));
    let world = world.reopen();
    assert_eq!(world.publish_events(view, "u2", KEPT, rows(&world, 300)), 0);
    assert_eq!(world.events_now(view, b"k"), Some(all));
    assert_eq!(harness.wait(world.store.statistics(view)).unwrap().units, 2);
}

/// Goal: many events of one key, in units of any size, some of them late, are all there after each unit, whether they were
/// read before or not, and over a reopening; those of others are untouched.
pub fn many_events_of_one_key(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("rides@1");
    let mut choices = Choices::new(11);
    let mut all: Vec<Event> = Vec::new();
    let mut read = Vec::new();
    for unit in 0..60_i64 {
        let size = [1, 2, 40, 700][choices.below(4)];
        let second = |choices: &mut Choices| match choices.below(9) {
            0 => choices.below(60_000) as i64 - 60_000,
            _ => unit * 1_000 + choices.below(1_000) as i64,
        };
        let events: Vec<Event> =
            (0..size).map(|number| (second(&mut choices), unit * 1_000 + number)).collect();
        let mut rows: Vec<_> = events.iter().map(|event| world.event(b"k", *event)).collect();
        rows.push(world.event(b"few", (unit, unit)));
        world.publish_events(view, &format!("u{unit}"), KEPT, rows);
        all.extend(events);
        all.sort_by_key(|event| event.0);
        if choices.below(3) > 0 {
            let mut found = world.events_now(view, b"k").unwrap();
            // Within one second they stand as they came, which a unit that is sorted otherwise may change.
            found.sort_unstable();
            read = all.clone();
            read.sort_unstable();
            assert_eq!(found, read, "unit {unit}");
        }
    }
    assert!(all.len() > 5_000 && !read.is_empty(), "{} events", all.len());
    let expected = world.events_now(view, b"k");
    assert_eq!(expected.as_ref().map(Vec::len), Some(all.len()));
    let world = world.reopen();
    assert_eq!(world.events_now(view, b"k"), expected);
    assert_eq!(world.events_now(view, b"few"), Some((0..60).map(|n| (n, n)).collect()));
}

/// Goal: what is read of an answer later is what it was at the answer, whatever was published meanwhile.
pub fn events_of_an_earlier_answer(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("rides@1");
    let rows = |from: i64, until: i64| (from..until).map(|n| world.event(b"k", (n, n))).collect::<Vec<_>>();
    world.publish_events(view, "u1", KEPT, rows(0, 3_000));
    let earlier = world.row_now(view, b"k").unwrap().events.unwrap();
    world.publish_events(view, "u2", KEPT, rows(3_000, 3_500));
    assert_eq!(world.events_now(view, b"k").unwrap().len(), 3_500);
    let held = earlier.held(world.layout.types(), None).unwrap();
    assert_eq!((held.within().len(), earlier.newest().unwrap()), (3_000, at(2_999)));
    assert_eq!(world.events_now(view, b"k").unwrap().len(), 3_500);
    // What was read is held without its answer.
    drop(earlier);
    harness.wait(world.store.erase(&[(view, b"k".to_vec())])).unwrap();
    assert_eq!(held.within().len(), 3_000);
    assert_eq!(world.events_now(view, b"k"), None);
}

/// Goal: an erased key holds no event any more, none comes back with a later one, and others keep theirs.
pub fn erased_events(harness: &impl Harness) {
    let world = World::open(harness);
    let (view, other) = (world.view("rides@1"), world.view("rides@2"));
    let rows = |world: &World<'_, _>, key: &[u8]| -> Vec<IncomingRow> {
        (0..3_000).map(|n| world.event(key, (n, n))).collect()
    };
    for (view, key) in [(view, &b"k"[..]), (view, b"k\0\0\0\x01"), (other, b"k")] {
        world.publish_events(view, &format!("u{}", key.len()), KEPT, rows(&world, key));
    }
    assert_eq!(world.events_now(view, b"k").unwrap().len(), 3_000);
    assert_eq!(harness.wait(world.store.erase(&[(view, b"k".to_vec())])).unwrap(), 1);
    let check = |world: &World<'_, _>, expected: Option<Vec<Event>>| {
        assert_eq!(world.events_now(view, b"k"), expected);
        assert_eq!(world.events_now(view, b"k\0\0\0\x01").unwrap().len(), 3_000);
        assert_eq!(world.events_now(other, b"k").unwrap().len(), 3_000);
    };
    check(&world, None);
    assert_eq!(harness.wait(world.store.erase(&[(view, b"k".to_vec())])).unwrap(), 0);
    world.publish_events(view, "later", KEPT, vec![world.event(b"k", (7, 7))]);
    check(&world, Some(vec![(7, 7)]));
    world.publish_events(view, "many", KEPT, rows(&world, b"k"));
    assert_eq!(world.events_now(view, b"k").unwrap().len(), 3_001);
    let world = world.reopen();
    assert_eq!(world.events_now(view, b"k").unwrap().len(), 3_001);
}

/// Goal: a load that replaces a range takes the loaded events of it away, of every key, and no pushed one.
pub fn events_are_replaced(harness: &impl Harness) {
    let world = World::open(harness);
    let view = world.view("rides@1");
    let loaded = EventRule { pushed: false, ..KEPT };
    let rows = |key: &[u8], from: i64, until: i64, number: i64| -> Vec<IncomingRow> {
        (from..until).map(|second| world.event(key, (second, number))).collect()
    };
    world.publish_events(view, "l1", loaded, [rows(b"a", 0, 2_000, 1), rows(b"b", 100, 104, 1)].concat());
    world.publish_events(view, "p1", KEPT, [rows(b"a", 90, 110, 2), rows(b"c", 100, 101, 2)].concat());
    assert_eq!(world.events_now(view, b"a").unwrap().len(), 2_020);
    let events = EventRange { from: at(100), until: Some(at(1_900)) };
    let replaces = Some(Replaces { events, restored: Vec::new() });
    let unit = world.unit(view, "l2", 2, rows(b"a", 1_000, 1_001, 3));
    let published = world.try_publish(Publication { replaces, events: Some(loaded), ..unit }).unwrap();
    assert_eq!((published.rows_removed, published.rows_added), (1_804, 1));
    let mut left: Vec<Event> = (0..100).map(|second| (second, 1)).collect();
    left.extend((90..110).map(|second| (second, 2)));
    left.extend((1_900..2_000).map(|second| (second, 1)));
    left.push((1_000, 3));
    left.sort_by_key(|event| event.0);
    assert_eq!(world.events_now(view, b"a"), Some(left.clone()));
    assert_eq!(world.events_now(view, b"b"), None);
    assert_eq!(world.events_now(view, b"c"), Some(vec![(100, 2)]));
    let world = world.reopen();
    assert_eq!(world.events_now(view, b"a"), Some(left));
}
