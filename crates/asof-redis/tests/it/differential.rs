//! Whatever happens to it, the store on Redis answers as the embedded one does: the same steps go to both.

use std::sync::Arc;

use asof_model::spec::Repeats;
use asof_model::{Cell, Duration, Value};
use asof_online::conformance::{Harness, World, at};
use asof_online::{
    AnswerRow, Clock, EmbeddedStore, EventRange, EventRule, IncomingRow, OnlineStore, Publication, Published,
    Replaces, UnitStamp, ViewHandle,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::servers::{Cluster, Single};

const RETENTION_SECONDS: i64 = 500;
const CACHE_BYTES: u64 = 4 << 20;
const KEYS: u8 = 5;

struct Folder(tempfile::TempDir);

impl Harness for Folder {
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn OnlineStore> {
        Arc::new(EmbeddedStore::open(&self.0.path().join("online"), CACHE_BYTES, clock, "test").unwrap())
    }
}

/// What is published to which kind of view.
#[derive(Debug, Clone, Copy)]
enum Of {
    Values,
    Events,
    /// Events whose versions replace each other.
    Replacing,
    /// Events of which the first counts.
    First,
}

#[derive(Debug, Clone)]
enum Step {
    /// A unit comes so many seconds after the one before: for each row its key, how far back it lies, and its number.
    Publish {
        of: Of,
        later: i64,
        rows: Vec<(u8, i64, i64)>,
        waits: bool,
    },
    /// An earlier unit comes again.
    Again(prop::sample::Index),
    /// A range of events is replaced.
    Replace {
        of: Of,
        back: i64,
        length: i64,
        rows: Vec<(u8, i64, i64)>,
    },
    /// What waits is settled up to one of them.
    Settle(Of, prop::sample::Index),
    Erase(Of, u8),
    Reopen,
}

fn of() -> impl Strategy<Value = Of> {
    prop_oneof![Just(Of::Values), Just(Of::Events), Just(Of::Replacing), Just(Of::First)]
}

fn rows() -> impl Strategy<Value = Vec<(u8, i64, i64)>> {
    let back = prop_oneof![5 => -30..40_i64, 1 => 0..700_i64];
    let row = (0..KEYS, back, 0..12_i64);
    prop_oneof![4 => vec(row.clone(), 0..5), 1 => vec(row, 30..150)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (of(), 1..60_i64, rows(), any::<bool>())
            .prop_map(|(of, later, rows, waits)| Step::Publish { of, later, rows, waits }),
        2 => any::<prop::sample::Index>().prop_map(Step::Again),
        2 => (of(), 0..100_i64, 1..80_i64, rows())
            .prop_map(|(of, back, length, rows)| Step::Replace { of, back, length, rows }),
        2 => (of(), any::<prop::sample::Index>()).prop_map(|(of, which)| Step::Settle(of, which)),
        1 => (of(), 0..KEYS).prop_map(|(of, key)| Step::Erase(of, key)),
        1 => Just(Step::Reopen),
    ]
}

/// A unit that was published.
#[derive(Clone)]
struct Unit {
    of: Of,
    name: String,
    rows: Vec<(u8, i64, i64)>,
    waits: bool,
    replaces: Option<EventRange>,
    position: u64,
}

fn rule(of: Of, pushed: bool) -> Option<EventRule> {
    let (identity, remembers) = match of {
        Of::Values => return None,
        Of::Events => (None, None),
        Of::Replacing => (Some(0), Some(Repeats::Replace)),
        Of::First => (Some(0), Some(Repeats::KeepFirst)),
    };
    let retention = Some(Duration::from_micros(RETENTION_SECONDS * 1_000_000));
    Some(EventRule { retention, identity, withdrawal: None, remembers, pushed })
}

fn view(world: &World<'_, impl Harness>, of: Of) -> ViewHandle {
    world.view(&format!("{of:?}@1"))
}

/// A row whose text is so long that some twenty fill a tail of the one store, and make the other one rewrite its value.
fn row(world: &World<'_, impl Harness>, (key, second, number): (u8, i64, i64)) -> IncomingRow {
    let text = format!("{number}-{}", "text".repeat(40));
    let cells = [Cell::Value(Value::Int64(number)), Cell::Value(Value::String(text))];
    let (event, created) = (at(second), at(second + number % 3 * 10));
    IncomingRow { key: vec![key; usize::from(key)], event, created, row: world.layout.encode(&cells) }
}

fn publish(world: &World<'_, impl Harness>, unit: &Unit) -> Published {
    let rows = unit.rows.iter().map(|of| row(world, *of)).collect();
    let replaces = unit.replaces.map(|events| Replaces { events, restored: Vec::new() });
    let pushed = unit.replaces.is_none() && !unit.position.is_multiple_of(3);
    let publication = Publication {
        note: &unit.name,
        waits: unit.waits,
        events: rule(unit.of, pushed),
        replaces,
        ..world.unit(view(world, unit.of), &unit.name, unit.position, rows)
    };
    world.try_publish(publication).expect("a unit is published")
}

/// Instant, number, and since when it is known: of each event.
type Events = Vec<(i64, String, i64)>;

/// All that can be seen of a store.
#[derive(Debug, PartialEq)]
struct Seen {
    rows: Vec<(Option<AnswerRow>, Option<Events>)>,
    journals: Vec<Vec<UnitStamp>>,
    waiting: Vec<Vec<UnitStamp>>,
    keys: Vec<Vec<Vec<u8>>>,
    resting: Vec<Vec<Vec<u8>>>,
    versions: Vec<Vec<Vec<asof_online::Version>>>,
    version_keys: Vec<Vec<Vec<u8>>>,
    statistics: Vec<asof_online::ViewStatistics>,
    t: asof_model::Instant,
}

fn see(world: &World<'_, impl Harness>) -> Seen {
    let all = [Of::Values, Of::Events, Of::Replacing, Of::First];
    let views = all.map(|of| view(world, of));
    let keys: Vec<Vec<u8>> = (0..KEYS).map(|key| vec![key; usize::from(key)]).collect();
    let asked: Vec<(ViewHandle, &[u8])> =
        views.iter().flat_map(|view| keys.iter().map(|key| (*view, &key[..]))).collect();
    let answer = world.try_read(&asked, None).expect("rows are read");
    let rows = answer.rows.into_iter().map(|row| {
        let Some(mut row) = row else { return (None, None) };
        let Some(events) = row.events.take() else { return (Some(row), None) };
        let held = events.held(world.layout.types(), Some(0)).expect("events are read");
        let of = |place: usize| {
            let cells: Vec<Cell> = held.events.inputs.iter().map(|input| input.cell(place)).collect();
            let cells = format!("{cells:?}").replace("text", "");
            // Where none is late, nothing is said of any; stored bytes that have left retention may make the difference.
            let instant = held.events.instants[place];
            (instant - at(0).micros(), cells, held.events.knowns.get(place).copied().unwrap_or(instant))
        };
        let mut events: Events = held.within().map(of).collect();
        events.sort();
        // A key without an event within retention is not there, whether the store still has it or not.
        (Some(row).filter(|_| !events.is_empty()), Some(events).filter(|events| !events.is_empty()))
    });
    let rows = rows.collect();
    let each =
        |of: &dyn Fn(ViewHandle) -> Vec<Vec<u8>>| views.iter().map(|view| of(*view)).collect::<Vec<_>>();
    let identities: Vec<Vec<u8>> =
        (0..12_i64).map(|number| asof_model::key::encode_key(&[Value::Int64(number)])).collect();
    let wait = |view: &ViewHandle, waits: bool| match waits {
        true => world.harness.wait(world.store.waiting(*view)).expect("units"),
        false => world.harness.wait(world.store.journal(*view)).expect("units"),
    };
    let range = EventRange { from: at(0), until: Some(at(300)) };
    Seen {
        rows,
        journals: views.iter().map(|view| wait(view, false)).collect(),
        waiting: views.iter().map(|view| wait(view, true)).collect(),
        keys: each(&|view| world.keys(view, None, 3)),
        resting: vec![
            world.harness.wait(world.store.keys_resting_in(views[0], range, None, 100)).expect("keys"),
            world.harness.wait(world.store.keys_resting_in(views[0], range, Some(&[1]), 2)).expect("keys"),
        ],
        versions: views[1..]
            .iter()
            .map(|view| world.harness.wait(world.store.versions(*view, &identities)).expect("versions"))
            .collect(),
        version_keys: each(&|view| world.harness.wait(world.store.version_keys(view)).expect("keys")),
        statistics: views
            .iter()
            .map(|view| world.harness.wait(world.store.statistics(*view)).unwrap())
            .collect(),
        t: answer.t,
    }
}

/// Says in a few lines what differs.
fn agree(redis: Seen, embedded: Seen, step: &str) {
    for (place, (one, other)) in redis.rows.iter().zip(&embedded.rows).enumerate() {
        assert_eq!(one.1, other.1, "events of key {place}, {step}");
        assert!(
            one.0 == other.0,
            "row of key {place}, {step}: {:?} {:?}",
            one.0.is_some(),
            other.0.is_some()
        );
    }
    assert_eq!(redis.journals, embedded.journals, "{step}");
    assert_eq!(redis.waiting, embedded.waiting, "{step}");
    assert_eq!((&redis.keys, &redis.resting), (&embedded.keys, &embedded.resting), "{step}");
    assert!(redis.versions == embedded.versions, "versions, {step}");
    assert_eq!(redis.version_keys, embedded.version_keys, "{step}");
    assert!(redis == embedded, "{step}");
}

fn run(redis: &impl Harness, steps: Vec<Step>) {
    let folder = Folder(tempfile::tempdir().unwrap());
    let (mut one, mut other) = (World::open(&folder), World::open(redis));
    let (mut units, mut now): (Vec<Unit>, i64) = (Vec::new(), 0);
    for (place, step) in steps.into_iter().enumerate() {
        let mut unit = None;
        let name = format!("u{place}");
        let position = place as u64;
        match step.clone() {
            Step::Publish { of, later, rows, waits } => {
                now += later;
                one.clock.set(at(now));
                other.clock.set(at(now));
                let rows = rows.into_iter().map(|(key, back, number)| (key, now - back, number)).collect();
                unit = Some(Unit { of, name, rows, waits, replaces: None, position });
            }
            Step::Again(which) if !units.is_empty() => {
                let unit = which.get(&units).clone();
                let (done, again) = (publish(&one, &unit), publish(&other, &unit));
                assert_eq!(done, again, "step {place}");
            }
            Step::Replace { of, back, length, rows } => {
                let from = now - back - length;
                let events = EventRange { from: at(from), until: Some(at(from + length)) };
                let rows = rows
                    .into_iter()
                    .map(|(key, back, number)| (key, from + back.rem_euclid(length), number))
                    .collect();
                unit = Some(Unit { of, name, rows, waits: false, replaces: Some(events), position });
            }
            Step::Settle(of, which) => {
                let waiting = folder.wait(one.store.waiting(view(&one, of))).unwrap();
                if !waiting.is_empty() {
                    let unit = UnitStamp { unit: name, ..which.get(&waiting).clone() };
                    folder.wait(one.store.settle(view(&one, of), &unit)).unwrap();
                    redis.wait(other.store.settle(view(&other, of), &unit)).unwrap();
                }
            }
            Step::Erase(of, key) => {
                let keys = |view| [(view, vec![key; usize::from(key)])];
                let erased = folder.wait(one.store.erase(&keys(view(&one, of)))).unwrap();
                assert_eq!(
                    redis.wait(other.store.erase(&keys(view(&other, of)))).unwrap(),
                    erased,
                    "step {place}"
                );
            }
            Step::Reopen => {
                (one, other) = (one.reopen(), other.reopen());
                one.clock.set(at(now));
                other.clock.set(at(now));
            }
            Step::Again(_) => {}
        }
        if let Some(unit) = unit {
            let done = publish(&one, &unit);
            // How many rows overflow their record is the same too, and so is every other count.
            assert_eq!(publish(&other, &unit), done, "step {place}");
            units.push(unit);
        }
        agree(see(&other), see(&one), &format!("step {place}: {step:?}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 20, ..ProptestConfig::with_cases(6) })]

    /// Goal: units of rows and events, early, late, waiting, again and replacing, erasures and reopenings come to the same in
    /// both stores, in everything that can be seen of them.
    #[test]
    fn one_server_agrees_with_the_embedded_store(steps in vec(step(), 10..40)) {
        run(&Single::new(), steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::with_cases(2) })]

    /// Goal: the same of a cluster.
    #[test]
    fn a_cluster_agrees_with_the_embedded_store(steps in vec(step(), 10..40)) {
        run(&Cluster::new(), steps);
    }
}
