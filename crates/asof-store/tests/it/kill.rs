//! Real kills: a child process loads a project and dies by SIGKILL at random instants. After a last complete run every
//! answer is that of a project that was never killed.

use std::process::{Child, Command, Stdio};
use std::time::Instant as Watch;

use asof_model::{Instant, KnownAt, Value, ValueType};
use asof_oracle::OracleValue;

use crate::project::{Ask, Project, START, answers, at, features, int_keys};
use crate::tables::{Carrier, Column};

/// Tells the child which project to load.
const PROJECT: &str = "ASOF_TEST_KILLED_PROJECT";
/// Rows of the source: a few units of each view.
const ROWS: i64 = 210_000;
/// Keys that they belong to.
const KEYS: i64 = 20_000;
/// Times that a run is killed.
const KILLS: u32 = 10;

const DEFINITIONS: &str = "
entities: { driver: { keys: { driver: int64 } } }
sources:
  rows: { path: data/rows, event: event_timestamp, created: created_timestamp }
feature_views:
  trips: { entities: driver, source: rows, ttl: 3650d, features: { trips: int64, name: string } }
  ratings: { entities: driver, source: rows, features: { rating: { type: float64, default: -1 } } }
";

/// Goal: loads that are killed ten times and then end leave the same answers, online and in history, as one that never
/// was; on the way, what is answered online equals history at the same instant.
#[test]
fn killed_loads_end_in_the_same_state() {
    let mut never = prepared();
    let started = Watch::now();
    assert!(run(&never).wait().unwrap().success());
    let whole = started.elapsed();

    let mut killed = prepared();
    let mut seed = 7_u64;
    let (mut deaths, mut partial) = (0, 0);
    for kill in 0..KILLS {
        // Spread over the run, each at an instant of its own.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let part = f64::from(kill) / f64::from(KILLS) + (seed >> 40) as f64 / 16_777_216.0 / f64::from(KILLS);
        let mut child = run(&killed);
        std::thread::sleep(whole.mul_f64(part));
        let _ = child.kill();
        if !child.wait().unwrap().success() {
            deaths += 1;
        }
        if kill % 3 == 2 {
            partial += u32::from(same_as_history(&mut killed));
        }
    }
    assert!(deaths > 0, "every run ended before it was killed");
    eprintln!("{deaths} runs were killed; {partial} times rows were answered in between");
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

/// Not a test: what the child process runs.
#[test]
fn child_that_may_be_killed() {
    let Ok(root) = std::env::var(PROJECT) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let project = asof_store::Project::open(root.as_ref()).unwrap();
    let store = asof_store::Store::new(project, std::sync::Arc::new(asof_store::SystemClock), "a child");
    let request = asof_store::materialize::MaterializeRequest::default();
    runtime.block_on(Box::pin(store.materialize(&request, &asof_store::NoProgress))).unwrap();
}

fn run(project: &Project) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_that_may_be_killed", "--nocapture"])
        .env(PROJECT, &project.root)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

fn prepared() -> Project {
    let mut project = Project::new(DEFINITIONS);
    let begin = at("2024-01-01T00:00:00Z").micros();
    let second = 1_000_000;
    let rows = || 0..ROWS;
    // Rows of one key lie far apart in the file, and a later row may be the older fact.
    let event = |row: i64| Instant::from_micros_clamped(begin + (row * 7_919 % ROWS) * second / 10);
    let created = |row: i64| Instant::from_micros_clamped(event(row).micros() + (row % 5) * second);
    let columns = [
        Column::ints("driver", rows().map(|row| row * 31 % KEYS)),
        Column::instants("event_timestamp", rows().map(event)),
        Column::instants("created_timestamp", rows().map(created)),
        Column::values(
            "trips",
            ValueType::Int64,
            rows().map(|row| (row % 11 != 0).then_some(Value::Int64(row))),
        ),
        Column::values(
            "name",
            ValueType::String,
            rows().map(|row| Some(Value::String(format!("row {row}")))),
        ),
        Column::values(
            "rating",
            ValueType::Float64,
            rows().map(|row| Some(Value::float64(row as f64 / 3.0))),
        ),
    ];
    project.write_table("data/rows/all", &columns, Carrier::Typed);
    project.apply();
    project.close();
    project
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
    let history = train(project, "trips:*", &keys, &[t], KnownAt::Served);
    let differing = online.iter().zip(&history).filter(|(online, history)| online != history).count();
    assert_eq!(differing, 0, "of {} answers at {t}", keys.len());
    online.iter().flatten().any(|value| value.cell.value().is_some())
}
