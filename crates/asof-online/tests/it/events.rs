//! Events in the embedded store: against a list in memory, through crashes and erasing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use asof_model::{Cell, Duration, Value};
use asof_online::conformance::{Harness, World, at};
use asof_online::{EventRule, IncomingRow, OnlineError, Publication, Published, ViewHandle};
use proptest::collection::vec;
use proptest::prelude::*;

use super::embedded::{Copied, Folder, copy_folder, files_with, written_bytes};

const RETENTION_SECONDS: i64 = 500;
const RULE: EventRule = EventRule {
    retention: Some(Duration::from_micros(RETENTION_SECONDS * 1_000_000)),
    identity: None,
    withdrawal: None,
    remembers: None,
    pushed: true,
};

/// An event: the second at which it happened, and its number.
type Event = (i64, i64);

/// An event whose text is so long that some fifteen fill a tail.
fn row(world: &World<'_, impl Harness>, key: &[u8], (second, number): Event) -> IncomingRow {
    let text = format!("{number}-{}", "secret".repeat(50));
    let cells = [Cell::Value(Value::Int64(number)), Cell::Value(Value::String(text))];
    IncomingRow {
        key: key.to_vec(),
        event: at(second),
        created: at(second),
        row: world.layout.encode(&cells),
    }
}

fn publish(
    world: &World<'_, impl Harness>,
    view: ViewHandle,
    unit: &str,
    rows: Vec<IncomingRow>,
) -> Published {
    world.try_publish(Publication { events: Some(RULE), ..world.unit(view, unit, 1, rows) }).unwrap()
}

fn read(world: &World<'_, impl Harness>, view: ViewHandle, key: &[u8]) -> Result<Vec<Event>, OnlineError> {
    let answer = world.try_read(&[(view, key)], None)?;
    let Some(row) = &answer.rows[0] else { return Ok(Vec::new()) };
    let held = row.events.as_ref().unwrap().held(world.layout.types(), None)?;
    let number = |place: usize| match held.events.inputs[0].cell(place) {
        Cell::Value(Value::Int64(number)) => number,
        other => panic!("an event holds {other:?}"),
    };
    let second = |place: usize| (held.events.instants[place] - at(0).micros()) / 1_000_000;
    Ok(held.within().map(|place| (second(place), number(place))).collect())
}

/// What happens to the store.
#[derive(Debug, Clone)]
enum Step {
    /// A unit comes so many seconds after the one before: for each event its key, and how far back it lies.
    Publish(i64, Vec<(u8, i64)>),
    /// An earlier unit comes again.
    Again(prop::sample::Index),
    Read(u8),
    Reopen,
    Erase(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let back = prop_oneof![4 => 0..9_i64, 1 => 0..700_i64];
    let event = (prop_oneof![3 => Just(0_u8), 1 => 1..4_u8], back);
    let events = prop_oneof![3 => vec(event.clone(), 1..4), 1 => vec(event, 30..90)];
    prop_oneof![
        30 => (1..60_i64, events).prop_map(|(later, events)| Step::Publish(later, events)),
        6 => any::<prop::sample::Index>().prop_map(Step::Again),
        12 => (0..4_u8).prop_map(Step::Read),
        2 => Just(Step::Reopen),
        1 => (0..4_u8).prop_map(Step::Erase),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// Goal: whatever units come, early, late or again, whatever is erased, and whenever the store is closed, each key holds
    /// the events that a list holds which retention cuts at the stamp of each unit of the key.
    #[test]
    fn the_store_agrees_with_a_list(steps in vec(step(), 20..60)) {
        let folder = Folder::new();
        let mut world = World::open(&folder);
        let view = world.view("rides@1");
        let mut lists: BTreeMap<u8, Vec<Event>> = BTreeMap::new();
        let mut units: Vec<Vec<IncomingRow>> = Vec::new();
        let (mut now, mut number) = (0, 0);
        for step in steps {
            match step {
                Step::Publish(later, events) => {
                    now += later;
                    world.clock.set(at(now));
                    let mut rows = Vec::new();
                    let mut touched = BTreeSet::new();
                    for (key, back) in events {
                        number += 1;
                        let event = (now - back, number);
                        rows.push(row(&world, &[key], event));
                        if back <= RETENTION_SECONDS {
                            touched.insert(key);
                            lists.entry(key).or_default().push(event);
                        }
                    }
                    for key in touched {
                        let list = lists.entry(key).or_default();
                        list.retain(|event| event.0 >= now - RETENTION_SECONDS);
                        list.sort_unstable();
                    }
                    publish(&world, view, &format!("u{}", units.len()), rows.clone());
                    units.push(rows);
                }
                Step::Again(_) if units.is_empty() => {}
                Step::Again(unit) => {
                    let unit = unit.index(units.len());
                    let again = publish(&world, view, &format!("u{unit}"), units[unit].clone());
                    prop_assert!(again.already);
                }
                Step::Read(key) => {
                    let mut found = read(&world, view, &[key]).unwrap();
                    found.sort_unstable();
                    prop_assert_eq!(&found, lists.entry(key).or_default());
                }
                Step::Reopen => {
                    world = world.reopen();
                    world.clock.set(at(now));
                }
                Step::Erase(key) => {
                    let held = !lists.remove(&key).unwrap_or_default().is_empty();
                    let erased = folder.wait(world.store.erase(&[(view, vec![key])])).unwrap();
                    prop_assert_eq!(erased, u64::from(held));
                }
            }
        }
        for (key, list) in lists {
            let mut found = read(&world, view, &[key]).unwrap();
            found.sort_unstable();
            prop_assert_eq!(found, list);
        }
    }
}

/// Goal: a crash while a unit is written that seals a tail leaves the key as before that unit, wherever the write stopped,
/// and the unit can come again.
#[test]
fn a_unit_of_events_cut_short_is_not_there() {
    let folder = Folder::new();
    let world = World::open(&folder);
    let view = world.view("rides@1");
    let rows = |from: i64, until: i64| (from..until).map(|n| row(&world, b"k", (n, n))).collect::<Vec<_>>();
    publish(&world, view, "u1", rows(0, 40));
    let log = "0.jnl";
    let before = written_bytes(&folder.path().join(log));
    publish(&world, view, "u2", rows(40, 80));
    let after = written_bytes(&folder.path().join(log));
    let all = |until: i64| (0..until).map(|n| (n, n)).collect::<Vec<_>>();
    let step = ((after - before) / 12).max(1) as usize;
    for (index, end) in (before..after).step_by(step).chain([after - 1]).enumerate() {
        let copied = folder.path().with_file_name(format!("cut{index}"));
        copy_folder(&folder.path(), &copied);
        std::fs::OpenOptions::new().write(true).open(copied.join(log)).unwrap().set_len(end).unwrap();
        let copied = Copied(copied);
        let cut = World::open(&copied);
        assert_eq!(read(&cut, view, b"k").unwrap(), all(40), "cut at {end}");
        assert!(!publish(&cut, view, "u2", rows(40, 80)).already);
        assert_eq!(read(&cut, view, b"k").unwrap(), all(80), "cut at {end}");
    }
}

/// Goal: no file holds the bytes of an erased key any more, neither its head nor its segments, those of before included.
#[test]
fn erased_events_leave_no_bytes() {
    const SOMEBODY: &[u8] = b"somebody-51c0ffee";
    let folder = Folder::new();
    let world = World::open(&folder);
    let view = world.view("rides@1");
    for unit in 0..10_i64 {
        let events = (unit * 20..unit * 20 + 20).map(|n| (n, n));
        let rows = events.flat_map(|event| [row(&world, SOMEBODY, event), row(&world, b"else", event)]);
        publish(&world, view, &format!("u{unit}"), rows.collect());
    }
    let files = |path: &Path| files_with(path, SOMEBODY);
    assert!(files(&folder.path()) > 0);
    let answer = world.row_now(view, SOMEBODY).unwrap();
    let erased = std::thread::scope(|scope| {
        // Somebody is still at an answer of before.
        scope.spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(1_500));
            drop(answer);
        });
        folder.wait(world.store.erase(&[(view, SOMEBODY.to_vec())])).unwrap()
    });
    assert_eq!(erased, 1);
    assert_eq!(files(&folder.path()), 0);
    assert!(read(&world, view, SOMEBODY).unwrap().is_empty());
    assert_eq!(read(&world, view, b"else").unwrap().len(), 200);
}
