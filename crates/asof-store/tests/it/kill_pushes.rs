//! Real kills while rows are pushed: a child process pushes batches, brings them into history now and then, and dies by
//! SIGKILL at random instants. What was acknowledged is there, once, online and in history.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant as Watch};

use asof_model::{Cell, Value};
use asof_store::push::{Flush, PushRequest};

use crate::project::{Project, int_keys};
use crate::windows::verify;

const PROJECT: &str = "ASOF_TEST_PUSHING_PROJECT";
const BATCHES: i64 = 150;
const BATCH_ROWS: i64 = 40;
/// Keys that they belong to.
const KEYS: i64 = 7;
/// After so many batches rows come into history.
const FLUSH_EVERY: i64 = 9;
const KILLS: u32 = 10;
/// Runs at most: some end before they are killed.
const RUNS_MAX: u32 = 30;
/// A file of the project: the number of the last batch that was acknowledged.
const ACKNOWLEDGED: &str = "acknowledged";

const DEFINITIONS: &str = "
entities: { card: { keys: { card: int64 } } }
sources:
  payments: { push: { card: int64, id: int64, amount: float64 }, event: at }
  orders: { push: { card: int64, id: int64, amount: float64 }, event: at, event_id: id, repeats: replace }
feature_views:
  spent: { entities: card, source: payments, features: { n: { aggregate: count(), over: lifetime }, sum: { aggregate: sum(amount), over: lifetime } } }
  last: { entities: card, source: payments, features: { amount: float64 } }
  ordered: { entities: card, source: orders, features: { n: { aggregate: count(), over: lifetime } } }
";

fn batch(number: i64, source: &str) -> PushRequest {
    let row = |row: i64| {
        let id = number * BATCH_ROWS + row;
        // Every order comes twice, the second time under another key.
        let (id, card) = if source == "orders" { (id / 2, id % KEYS) } else { (id, id % KEYS) };
        let second = number * BATCH_ROWS + row;
        format!("{{\"card\":{card},\"id\":{id},\"amount\":1,\"at\":{:?}}}", instant(second))
    };
    let rows = (0..BATCH_ROWS).map(row).collect();
    PushRequest { source: source.to_owned(), rows, key: Some(format!("{source} {number}")) }
}

fn instant(second: i64) -> String {
    crate::project::at("2024-01-01T00:00:00Z")
        .plus(asof_model::Duration::from_micros(second * 1_000_000))
        .to_string()
}

/// Not a test: the process that is killed. It pushes from the beginning, as one that does not know what was taken.
#[test]
fn child_that_pushes() {
    let Ok(root) = std::env::var(PROJECT) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let project = asof_store::Project::open(root.as_ref()).unwrap();
    let store = asof_store::Store::new(project, Arc::new(asof_store::SystemClock), "a child");
    runtime.block_on(Box::pin(async {
        for number in 0..BATCHES {
            for source in ["payments", "orders"] {
                let report = store.push(&batch(number, source)).await.unwrap();
                assert_eq!((report.accepted, report.rejected), (BATCH_ROWS as u64, 0));
            }
            std::fs::write(format!("{root}/{ACKNOWLEDGED}"), number.to_string()).unwrap();
            if number % FLUSH_EVERY == FLUSH_EVERY - 1 {
                store.flush_pushed(Flush::All).await.unwrap();
            }
        }
    }));
}

fn run(project: &Project) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "kill_pushes::child_that_pushes"]).env(PROJECT, &project.root);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn prepared() -> Project {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    project.close();
    project
}

/// How many rows of each key are there, by a count.
fn counted(project: &mut Project, feature: &str) -> Vec<i64> {
    let keys: Vec<i64> = (0..KEYS).collect();
    let count = |value: &Cell| match value.value() {
        Some(Value::Int64(count)) => *count,
        _ => 0,
    };
    project.get(&[feature], &int_keys("card", &keys)).iter().map(|row| count(&row[0].cell)).collect()
}

/// How many of the first rows belong to each key.
fn right(batches: i64, orders: bool) -> Vec<i64> {
    let mut counts = vec![0; KEYS as usize];
    for row in (0..batches * BATCH_ROWS).filter(|row| !orders || row % 2 == 1) {
        // Of an order the second version stands.
        counts[(row % KEYS) as usize] += 1;
    }
    counts
}

/// Goal: through kills nothing that was acknowledged is lost and nothing is doubled, rows that replace others included.
#[test]
fn pushes_through_kills() {
    let started = Watch::now();
    assert!(run(&prepared()).wait().unwrap().success());
    let whole = started.elapsed();

    let mut project = prepared();
    let (mut seed, mut kills) = (11_u64, 0);
    for _ in 0..RUNS_MAX {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = run(&project);
        let after: Duration = whole.mul_f64((seed >> 40) as f64 / 16_777_216.0);
        std::thread::sleep(after);
        let _ = child.kill();
        if child.wait().unwrap().success() {
            project = prepared();
            continue;
        }
        kills += 1;
        let acknowledged = std::fs::read_to_string(project.root.join(ACKNOWLEDGED)).unwrap_or_default();
        // The file itself may be cut by the kill.
        let acknowledged: i64 = acknowledged.parse().map_or(0, |last: i64| last + 1);
        project.clock.set(asof_store::Clock::now(&asof_store::SystemClock));
        {
            let (runtime, store) = project.store();
            runtime.block_on(Box::pin(store.fold_pushed())).unwrap();
        }
        let total: i64 = counted(&mut project, "spent:n").iter().sum();
        assert!(total >= acknowledged * BATCH_ROWS, "{total} rows of {acknowledged} batches");
        assert_eq!(total % BATCH_ROWS, 0, "a batch is taken whole");
        let batches = total / BATCH_ROWS;
        assert_eq!(counted(&mut project, "spent:n"), right(batches, false));
        verify(&mut project);
        project.close();
        if kills == KILLS {
            break;
        }
    }
    assert!(kills > 0, "runs ended before they were killed");
    assert!(run(&project).wait().unwrap().success());
    project.clock.set(asof_store::Clock::now(&asof_store::SystemClock));
    assert_eq!(counted(&mut project, "spent:n"), right(BATCHES, false));
    assert_eq!(counted(&mut project, "ordered:n"), right(BATCHES, true));
    verify(&mut project);
}
