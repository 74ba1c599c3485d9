//! `materialize`: good rows, bad rows, bad files.

use insta::assert_snapshot;

use crate::support::{FEATURES, Scene, TRIPS, example};

/// Goal: rows are loaded once; the same files again are nothing to do; a changed file is read again.
#[test]
fn load_and_load_again() {
    let scene = Scene::applied();
    assert_snapshot!(scene.run("materialize"), @"");
    assert_snapshot!(scene.run("materialize trips"), @"");
    scene.write("data/trips.csv", format!("{TRIPS}9,2026-01-05T10:00:00Z,2026-01-05T10:00:00Z,2,3\n"));
    assert_snapshot!(scene.run("materialize trips@1"), @"");
    let loads = scene.json("materialize --format json");
    assert_eq!(loads[0]["unchanged"], true);
}

/// Goal: a range takes its start and leaves its end; an empty one is refused.
#[test]
fn ranges() {
    let scene = Scene::applied();
    assert_snapshot!(scene.run("materialize --start 2026-01-01T10:00:00Z --end 2026-01-02T10:00:00Z"), @"");
    assert_snapshot!(scene.run("materialize --start 2026-01-02 --end 2026-01-02"), @"");
}

/// Goal: nothing can be loaded before it is applied, and nothing that does not exist.
#[test]
fn unknown_views() {
    let scene = Scene::project();
    assert_snapshot!(scene.run("materialize"), @"");
    scene.does("apply");
    assert_snapshot!(scene.run("materialize trip"), @"");
    assert_snapshot!(scene.run("materialize trips@3"), @"");
    assert_snapshot!(scene.run("materialize trips@x"), @"");
}

/// Goal: a row that can't be used is set aside and counted, a value that can't be read is ERROR; the rest is loaded.
#[test]
fn bad_rows() {
    let scene = Scene::applied();
    let mut rows = Vec::from("\u{feff}driver_id,event_timestamp,created_timestamp,trip_count,rating\r\n");
    rows.extend(b"7,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5\r\n");
    rows.extend(b"8,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z\r\n"); // ragged
    rows.extend(b"\xff,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5\r\n"); // a key that is not text
    rows.extend(b"9,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,\xff,4.5\r\n"); // a feature that is not text
    rows.extend(b"10,12026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5\r\n"); // past the year 9999
    rows.extend(b"11,yesterday,2026-01-01T11:00:00Z,3,4.5\r\n");
    rows.extend(b",2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5\r\n"); // no key
    rows.extend(b"12,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,99999999999999999999,4.5\r\n"); // past int64
    scene.write("data/trips.csv", rows);
    assert_snapshot!(scene.run("materialize"), @"");
    assert_snapshot!(scene.run("get --service ranking driver_id=9"), @"");
    let folder = std::fs::read_dir(scene.path().join(".asof/quarantine/trips")).expect("quarantine");
    let version = folder.map(|entry| entry.expect("an entry").path()).next().expect("a version");
    let files: Vec<_> =
        std::fs::read_dir(version).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(files.len(), 1);
    assert_snapshot!(std::fs::read_to_string(&files[0]).expect("rows"), @"");
}

/// Goal: line breaks in quotes belong to the value.
#[test]
fn quoted_line_breaks() {
    let scene = Scene::project();
    scene.edit("features.yaml", "rating: float64", "rating: string");
    scene.write(
        "data/trips.csv",
        "driver_id,event_timestamp,created_timestamp,trip_count,rating\n\
         7,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,\"two\nlines, and \"\"quotes\"\"\"\n",
    );
    scene.does("apply");
    scene.does("materialize");
    let answer = scene.json("get --service ranking driver_id=7 --format json");
    assert_eq!(answer["features"]["rating"], "two\nlines, and \"quotes\"");
}

/// Goal: a file that is missing, empty, cut off or without a column fails with its name, and loads nothing.
#[test]
fn bad_files() {
    let scene = Scene::applied();
    scene.write("data/trips.csv", "");
    assert_snapshot!(scene.run("materialize"), @"");
    scene.write("data/trips.csv", "driver_id,event_timestamp,created_timestamp,trips,rating\n");
    assert_snapshot!(scene.run("materialize"), @"");
    std::fs::remove_file(scene.path().join("data/trips.csv")).expect("removed");
    assert_snapshot!(scene.run("materialize"), @"");
    assert_snapshot!(scene.run("get --service ranking driver_id=7"), @"");
}

/// Goal: a header without rows is a table of no rows.
#[test]
fn no_rows() {
    let scene = Scene::applied();
    scene.write("data/trips.csv", TRIPS.lines().next().expect("a header"));
    assert_snapshot!(scene.run("materialize"), @"");
}

/// Goal: a Parquet file that was cut off, or is none, is told as such.
#[test]
fn damaged_parquet() {
    let scene = Scene::empty();
    scene.write("asof.toml", "");
    scene.write("features.yaml", FEATURES.replace("trips.csv", "trips.parquet"));
    let whole = std::fs::read(example("credit_scoring/data/zipcode_table.parquet")).expect("an example");
    scene.write("data/trips.parquet", &whole[..whole.len() / 2]);
    scene.does("apply");
    assert_snapshot!(scene.run("materialize"), @"");
    scene.write("data/trips.parquet", TRIPS);
    assert_snapshot!(scene.run("materialize"), @"");
    scene.write("data/trips.parquet", &whole);
    assert_snapshot!(scene.run("materialize"), @"");
}

/// Goal: rows in conflict and rows of the future are reported.
#[test]
fn conflicts_and_waiting_rows() {
    let scene = Scene::project();
    scene.edit("features.yaml", "    created: created_timestamp\n", "");
    scene.write(
        "data/trips.csv",
        format!(
            "{TRIPS}8,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,2,2.25\n\
             8,2126-01-01T10:00:00Z,2126-01-01T11:00:00Z,2,2.25\n"
        ),
    );
    scene.does("apply");
    assert_snapshot!(scene.run("materialize"), @"");
}
