//! An unmodified client of Feast reads, writes, pushes and materialises through a running server. What it does and expects is
//! in `feast_client.py`; the environment is made by `scripts/feast_env`, once.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use asof_testkit::clock::SteppedClock;

use crate::live::Running;
use crate::support::{at, open};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/feast_client.py");

/// Columns of the table have other names and another zone than a client of Feast knows.
const DEFINITIONS: &str = "
entities:
  driver: { keys: { driver_id: int64 } }
sources:
  driver_table:
    path: data/drivers.csv
    event: happened
    created: made
    zone: America/New_York
    fields: { rate: conv_rate, when: happened }
  driver_events: { path: data/events.csv, event: happened }
feature_views:
  driver_stats:
    entities: [driver]
    source: driver_table
    ttl: 7d
    features:
      conv_rate: float32
      trips: int64
      seen: timestamp
      words: list(string)
      ratings: list(float64)
      profile: map(string, string)
      config: json
  driver_rank:
    entities: [driver]
    source: driver_table
    ttl: 7d
    features: { rank: int64 }
  driver_counts:
    entities: [driver]
    source: driver_events
    features: { events_7d: { aggregate: count(), over: 7d } }
feature_services:
  driver_activity:
    features:
      - driver_stats: [conv_rate, trips]
      - driver_rank: [rank]
";

/// Local times of New York: five hours behind.
const DRIVERS: &str = "driver_id,when,made,rate,trips,seen,words,ratings,profile,config,rank\n\
    1001,2026-01-01T05:00:00,2026-01-01T05:00:00,1,10,,,,,,3\n\
    1001,2026-01-01T06:00:00,2026-01-01T06:00:00,1,11,,,,,,3\n\
    1002,2026-01-01T05:15:00,2026-01-01T05:15:00,0.25,20,,,,,,4\n\
    1003,2026-01-01T05:00:00,2026-01-01T05:00:00,,30,,,,,,5\n\
    1004,2025-12-01T05:00:00,2025-12-01T05:00:00,0.5,40,,,,,,6\n";

const EVENTS: &str = "driver_id,happened\n1001,2026-01-01T10:00:00Z\n";

/// Goal: what a user of Feast does with its Python client works through this server, but for the url of the online store.
#[tokio::test(flavor = "multi_thread")]
async fn unmodified_client() {
    let made = Command::new(format!("{ROOT}/scripts/feast_env")).output().unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "the Python environment of the tests can't be made: {said}");
    let python = Path::new(String::from_utf8(made.stdout).unwrap().trim()).join("bin/python");

    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    for (name, text) in [
        ("asof.toml", "project = \"demo\"\n[online]\ncache = \"16MB\"\n"),
        ("features.yaml", DEFINITIONS),
        ("data/drivers.csv", DRIVERS),
        ("data/events.csv", EVENTS),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let store = open(dir.path(), Arc::new(SteppedClock::at(at("2026-01-01T12:30:00Z"))));
    store.apply(&[], "tester").await.unwrap();
    let running = Running::start(store).await;
    let repository = tempfile::tempdir().unwrap();
    let mut client = Command::new(python);
    client.args([SCRIPT, running.base(), repository.path().to_str().unwrap()]);
    // It asks nobody else.
    client.env("FEAST_USAGE", "False").env("FEAST_TELEMETRY", "False");
    let done = tokio::task::spawn_blocking(move || client.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{out}\n{err}");
    assert_eq!(out.lines().rev().take(3).collect::<Vec<_>>(), ["pushes", "reads", "materializes"], "{err}");
    running.stop().await;
}
