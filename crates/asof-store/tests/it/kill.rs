//! Real kills: a child process loads a project and dies by SIGKILL at random instants. After a last complete run every
//! answer is that of a project that was never killed.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant as Watch;

use asof_model::{Instant, KnownAt, Value, ValueType};
use asof_oracle::OracleValue;
use asof_store::Progress;
use asof_store::materialize::{MaterializeRequest, Mode};

use crate::project::{Ask, Project, START, answers, at, features, int_keys};
use crate::tables::{Carrier, Column};

/// Tells the child which project to load.
const PROJECT: &str = "ASOF_TEST_KILLED_PROJECT";
/// Tells the child after how many batches it dies.
const DEATH: &str = "ASOF_TEST_DEATH_AFTER_BATCHES";
/// Tells the child to compact, not to load.
const COMPACTS: &str = "ASOF_TEST_COMPACTS";
/// Tells the child to replace the range from this instant on.
const REPLACES: &str = "ASOF_TEST_REPLACES_FROM";
/// Batches of 16,384 rows that fill a unit of 100,000.
const FIRST_UNIT_BATCHES: i64 = 7;
/// Rows of the source: a few units of each view.
const ROWS: i64 = 210_000;
/// Keys that they belong to.
const KEYS: i64 = 20_000;
/// Times that a run is killed.
const KILLS: u32 = 8;
/// Runs at most: some end before they are killed.
const RUNS_MAX: u32 = 24;

const DEFINITIONS: &str = "
entities: { driver: { keys: { driver: int64 } } }
sources:
  rows: { path: data/rows, event: event_timestamp, created: created_timestamp }
feature_views:
  trips: { entities: driver, source: rows, ttl: 3650d, features: { trips: int64, name: string } }
  ratings: { entities: driver, source: rows, features: { rating: { type: float64, default: -1 } } }
";

/// Goal: loads that are killed several times and then end leave the same answers, online and in history, as one that never
/// was; on the way, what is answered online equals history at the same instant.
#[test]
fn killed_loads_end_in_the_same_state() {
    let mut never = prepared();
    let started = Watch::now();
    assert!(run(&never).wait().unwrap().success());
    let whole = started.elapsed();

    let mut killed = prepared();
    let mut seed = 7_u64;
    let mut kills = 0;
    for _ in 0..RUNS_MAX {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = run(&killed);
        std::thread::sleep(whole.mul_f64((seed >> 40) as f64 / 16_777_216.0));
        let _ = child.kill();
        if child.wait().unwrap().success() {
            // It was through before: the next one begins anew.
            killed = prepared();
            continue;
        }
        kills += 1;
        same_as_history(&mut killed);
        if kills == KILLS {
            break;
        }
    }
    // When a kill comes is up to the machine; the test below dies at known points.
    assert!(kills > 0, "runs ended before they were killed");
    assert!(run(&killed).wait().unwrap().success());

    let keys: Vec<i64> = (-5..KEYS + 5).step_by(7).collect();
    for view in ["trips:*", "ratings:*"] {
        let online = |project: &mut Project| get(project, view, &keys);
        let (right, found) = (online(&mut never), online(&mut killed));
        assert!(right.iter().flatten().filter(|value| value.cell.value().is_some()).count() > 1_000);
        assert!(right == found, "online answers of {view} differ after kills");
        for known_at in [KnownAt::Event, KnownAt::Created, KnownAt::Served] {
            let times = ["2024-01-01T03:00:00Z", "2024-01-01T05:00:00Z", START].map(at);
            let offline = |project: &mut Project| train(project, view, &keys, &times, known_at);
            assert!(
                offline(&mut never) == offline(&mut killed),
                "training on {view} under {known_at} differs"
            );
        }
        same_as_history(&mut killed);
    }

    // And once more without the online store: rebuilt from history and its journal.
    let right = get(&mut killed, "trips:*", &keys);
    killed.lose_online();
    assert!(run(&killed).wait().unwrap().success());
    assert!(get(&mut killed, "trips:*", &keys) == right, "the rebuilt online store answers otherwise");
}

/// Goal: a load that dies right behind a unit, before the load is complete, leaves an online store whose answers are in
/// history too; the next run publishes no unit twice.
#[test]
fn death_behind_a_unit() {
    let mut project = prepared();
    for (batches, units) in [(FIRST_UNIT_BATCHES, 1), (2 * FIRST_UNIT_BATCHES - 1, 1)] {
        let mut child = run_until(&project, &batches.to_string());
        assert!(!child.wait().unwrap().success(), "it was not so far");
        assert!(same_as_history(&mut project), "a unit was published, and nothing is answered");
        assert_eq!(project.journal("trips").units.len(), units);
    }
    project.set_clock("2031-01-01T00:00:00Z");
    let load = project.load(&["trips"]);
    assert_eq!((load.units_already, load.units_published, load.units_recovered), (1, 1, 0));
    same_as_history(&mut project);
}

/// Goal: compactions that are killed at random instants change no answer, and one that ends afterwards leaves one file a
/// day.
#[test]
fn killed_compactions_change_nothing() {
    let mut project = prepared();
    assert!(run(&project).wait().unwrap().success());
    let keys: Vec<i64> = (-5..KEYS + 5).step_by(7).collect();
    let times = ["2024-01-01T03:00:00Z", START].map(at);
    let right = train(&mut project, "trips:*", &keys, &times, KnownAt::Created);
    let mut whole = project.copy();
    whole.close();
    let started = Watch::now();
    assert!(run_as(&whole, &[(COMPACTS, "1")]).wait().unwrap().success());
    let whole = started.elapsed();
    let mut seed = 3_u64;
    for _ in 0..KILLS / 2 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = run_as(&project, &[(COMPACTS, "1")]);
        std::thread::sleep(whole.mul_f64((seed >> 40) as f64 / 16_777_216.0));
        let _ = child.kill();
        child.wait().unwrap();
        assert!(train(&mut project, "trips:*", &keys, &times, KnownAt::Created) == right);
        assert!(same_as_history(&mut project));
    }
    assert!(run_as(&project, &[(COMPACTS, "1")]).wait().unwrap().success());
    project.vacuum(asof_model::Duration::ZERO);
    assert!(train(&mut project, "trips:*", &keys, &times, KnownAt::Created) == right);
    let again = project.compact();
    assert!(again.views.iter().all(|view| view.files_before == 0));
    project.lose_online();
    assert!(run(&project).wait().unwrap().success());
    assert!(same_as_history(&mut project));
}

/// Goal: a replacement of several units that is killed at random instants is there whole or not at all, online and in
/// history; once it is through, the answers are those of one that was never killed, also after the online store is lost.
#[test]
fn killed_replacements_are_whole() {
    let mut project = prepared();
    assert!(run(&project).wait().unwrap().success());
    let keys: Vec<i64> = (-5..KEYS + 5).step_by(7).collect();
    let times = ["2024-01-01T01:30:00Z", "2024-01-01T04:00:00Z", START].map(at);
    let state = |project: &mut Project| {
        let online = get(project, "trips:*", &keys);
        let sets = [KnownAt::Event, KnownAt::Created]
            .map(|known_at| train(project, "trips:*", &keys, &times, known_at));
        (online, sets)
    };
    let old = state(&mut project);
    // Rows of other values from two hours on, and none for most of the keys: they fall back on what was before.
    project.write_table(
        "data/rows/all",
        &rows((0..ROWS).filter(|row| row % 7 == 0), 1_000_000),
        Carrier::Typed,
    );
    let replaces = [(REPLACES, "2024-01-01T02:00:00Z")];
    let mut never = project.copy();
    never.close();
    let started = Watch::now();
    assert!(run_as(&never, &replaces).wait().unwrap().success());
    let whole = started.elapsed();
    let new = state(&mut never);
    assert!(old != new);
    let mut seed = 11_u64;
    for _ in 0..KILLS {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = run_as(&project, &replaces);
        std::thread::sleep(whole.mul_f64(0.3 + 0.7 * (seed >> 40) as f64 / 16_777_216.0));
        let _ = child.kill();
        child.wait().unwrap();
        assert!(same_as_history(&mut project));
        let found = state(&mut project);
        assert!(found == old || found == new, "a replacement is there in part");
    }
    assert!(run_as(&project, &replaces).wait().unwrap().success());
    assert!(state(&mut project) == new);
    assert!(run_as(&project, &[(COMPACTS, "1")]).wait().unwrap().success());
    project.lose_online();
    assert!(run_as(&project, &replaces).wait().unwrap().success());
    assert!(state(&mut project) == new, "the rebuilt online store answers otherwise");
    same_as_history(&mut project);
}

/// Not a test: what the child process runs.
#[test]
fn child_that_may_be_killed() {
    let Ok(root) = std::env::var(PROJECT) else { return };
    let batches = std::env::var(DEATH).ok().map_or(i64::MAX, |batches| batches.parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let project = asof_store::Project::open(root.as_ref()).unwrap();
    let store = asof_store::Store::new(project, Arc::new(asof_store::SystemClock), "a child");
    if std::env::var(COMPACTS).is_ok() {
        runtime.block_on(Box::pin(store.compact(&[], &asof_store::NoProgress))).unwrap();
        return;
    }
    let views = if batches == i64::MAX { Vec::new() } else { vec!["trips".to_owned()] };
    let start = std::env::var(REPLACES).ok().map(|start| at(&start));
    let mode = if start.is_some() { Mode::Replace } else { Mode::Add };
    let request = MaterializeRequest { views, start, mode, ..MaterializeRequest::default() };
    let death = DeathAfter(AtomicI64::new(batches));
    let report = runtime.block_on(Box::pin(store.materialize(&request, &death))).unwrap();
    assert_eq!(report.failures, []);
}

/// Ends the process, as a kill does, once so many batches were read and, where they filled a unit, published.
struct DeathAfter(AtomicI64);

impl Progress for DeathAfter {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) {}
    fn advance(&self, _: &str, _: u64) {
        if self.0.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    }
    fn finish(&self, _: &str, _: &str) {}
}

fn run(project: &Project) -> Child {
    run_until(project, "")
}

/// A run that dies after so many batches, or not at all.
fn run_until(project: &Project, batches: &str) -> Child {
    if batches.is_empty() { run_as(project, &[]) } else { run_as(project, &[(DEATH, batches)]) }
}

fn run_as(project: &Project, told: &[(&str, &str)]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kill::child_that_may_be_killed"]).env(PROJECT, &project.root);
    command.envs(told.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn prepared() -> Project {
    let mut project = Project::new(DEFINITIONS);
    project.write_table("data/rows/all", &rows(0..ROWS, 0), Carrier::Typed);
    project.apply();
    project.close();
    project
}

/// A table of these rows, with so much added to their values.
fn rows(rows: impl Iterator<Item = i64>, more: i64) -> [Column; 6] {
    let rows: Vec<i64> = rows.collect();
    let rows = || rows.iter().copied();
    let begin = at("2024-01-01T00:00:00Z").micros();
    let second = 1_000_000;
    // Rows of one key lie far apart in the file, and a later row may be the older fact.
    let event = |row: i64| Instant::from_micros_clamped(begin + (row * 7_919 % ROWS) * second / 10);
    let created = |row: i64| Instant::from_micros_clamped(event(row).micros() + (row % 5) * second);
    [
        Column::ints("driver", rows().map(|row| row * 31 % KEYS)),
        Column::instants("event_timestamp", rows().map(event)),
        Column::instants("created_timestamp", rows().map(created)),
        Column::values(
            "trips",
            ValueType::Int64,
            rows().map(|row| (row % 11 != 0).then_some(Value::Int64(row + more))),
        ),
        Column::values(
            "name",
            ValueType::String,
            rows().map(|row| Some(Value::String(format!("row {}", row + more)))),
        ),
        Column::values(
            "rating",
            ValueType::Float64,
            rows().map(|row| Some(Value::float64(row as f64 / 3.0))),
        ),
    ]
}

/// Asks the online store long after the last stamp.
fn get(project: &mut Project, view: &str, keys: &[i64]) -> Vec<Vec<OracleValue>> {
    get_now(project, view, keys).0
}

fn get_now(project: &mut Project, view: &str, keys: &[i64]) -> (Vec<Vec<OracleValue>>, Instant) {
    let entities = int_keys("driver", keys);
    let ask = Ask::of(features(&[view]), KnownAt::Served);
    // The machine's clock drew the stamps, and 2030 lies behind all of them.
    let answer = project.try_get(&ask, &entities, keys.len(), None, false).unwrap();
    project.close();
    (answers(&answer), answer.t)
}

fn train(
    project: &mut Project,
    view: &str,
    keys: &[i64],
    times: &[Instant],
    known_at: KnownAt,
) -> Vec<Vec<OracleValue>> {
    let labels = [
        Column::ints("driver", times.iter().flat_map(|_| keys.iter().copied())),
        Column::instants("t", times.iter().flat_map(|time| keys.iter().map(|_| *time))),
    ];
    let set = project.train(&Ask::of(features(&[view]), known_at), &labels);
    let columns = match view {
        "trips:*" => vec![("trips".to_owned(), ValueType::Int64), ("name".to_owned(), ValueType::String)],
        _ => vec![("rating".to_owned(), ValueType::Float64)],
    };
    project.close();
    set.answers(&columns)
}

/// What the online store answers now is what history answers for the same instant. Returns whether there was any row.
fn same_as_history(project: &mut Project) -> bool {
    let keys: Vec<i64> = (0..KEYS).step_by(11).collect();
    let (online, t) = get_now(project, "trips:*", &keys);
    if project.journal("trips").entries == 0 {
        // Nothing was published yet; training refuses that.
        return false;
    }
    let history = train(project, "trips:*", &keys, &[t], KnownAt::Served);
    let differing = online.iter().zip(&history).filter(|(online, history)| online != history).count();
    assert_eq!(differing, 0, "of {} answers at {t}", keys.len());
    online.iter().flatten().any(|value| value.cell.value().is_some())
}
