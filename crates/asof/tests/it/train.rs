//! `train`: label tables become training sets.

use insta::assert_snapshot;

use crate::support::{LABELS, Scene};

/// Goal: every label row stands once, in order, with the features as of its time; a bulk load is explained.
#[test]
fn trains() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o out.csv"), @"");
    assert_snapshot!(scene.read("out.csv"), @"");
    assert_snapshot!(scene.run("train --labels labels.csv --features trips:* -o out.csv --full-names --status --known-at served"), @"");
    assert_snapshot!(scene.read("out.csv"), @"");
    let report = scene.json("train --labels labels.csv --service ranking -o out.parquet --format json");
    assert_eq!(report["rows"], 4);
    assert_eq!(report["views"][0]["missing"], 2);
}

/// Goal: a key column and a time column may be called otherwise, and local times have a zone.
#[test]
fn other_columns() {
    let scene = Scene::loaded();
    scene.write("labels.csv", "who,at\n7,2026-01-01 05:00:00\n7,2026-01-01 04:59:59\n");
    let line = "train --labels labels.csv --features trips:trip_count -o out.csv \
                --timestamp at --key driver_id=who --zone America/New_York";
    scene.does(line);
    assert_snapshot!(scene.read("out.csv"), @"");
    assert_snapshot!(scene.run(&format!("{line} --key driver_id=at")), @"");
}

/// Goal: a view without rows is told, and gives nulls.
#[test]
fn nothing_loaded() {
    let scene = Scene::applied();
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o out.csv"), @"");
}

/// Goal: a name that does not exist is answered with the nearest one.
#[test]
fn unknown_names() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("train --labels labels.csv --service rankings -o out.csv"), @"");
    assert_snapshot!(scene.run("train --labels labels.csv --features trips:ratng -o out.csv"), @"");
    assert_snapshot!(scene.run("train --labels labels.csv --features trip:rating -o out.csv"), @"");
    assert_snapshot!(scene.run("train --labels labels.csv --features rating -o out.csv"), @"");
}

/// Goal: labels that can't be used are refused before anything is written.
#[test]
fn bad_labels() {
    let scene = Scene::loaded();
    let line = "train --labels labels.csv --service ranking -o out.csv";
    assert_snapshot!(scene.run(&line.replace("labels.csv", "label.csv")), @"");
    scene.write("labels.csv", LABELS.replace("driver_id", "driver"));
    assert_snapshot!(scene.run(line), @"");
    scene.write("labels.csv", LABELS.replace("event_timestamp", "at"));
    assert_snapshot!(scene.run(line), @"");
    scene.write("labels.csv", LABELS.replace("2026-01-01T10:00:00Z", "10 o'clock"));
    assert_snapshot!(scene.run(line), @"");
    scene.write("labels.csv", LABELS.replace("9,2026", "nine,2026"));
    assert_snapshot!(scene.run(line), @"");
    scene.write("labels.csv", LABELS.replace(",true", ",true,1"));
    assert_snapshot!(scene.run(line), @"");
    assert!(!scene.path().join("out.csv").exists());
}

/// Goal: two output columns of one name are refused, with the way out.
#[test]
fn equal_names() {
    let scene = Scene::loaded();
    scene.write("labels.csv", LABELS.replace("tipped", "rating"));
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o out.csv"), @"");
    scene.write(
        "more.yaml",
        "feature_services:\n  twice:\n    features:\n      - trips: [rating]\n      - trips: [rating]\n        as: other\n        keys: { driver_id: other_id }\n",
    );
    scene.does("apply");
    assert_snapshot!(scene.run("train --labels labels.csv --service twice -o out.csv"), @"");
}

/// Goal: an output that can't be written fails with the reason, and leaves nothing behind.
#[test]
fn bad_outputs() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o nowhere/out.csv"), @"");
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o out.xlsx"), @"");
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o /proc/out.csv"), @"");
    assert!(!scene.path().join("nowhere").exists());
}
