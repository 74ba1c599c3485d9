//! `plan`, `apply`, `list` and `show`.

use insta::assert_snapshot;

use crate::support::Scene;

/// Goal: a plan changes nothing; an apply does what it said, and doing it again nothing.
#[test]
fn plan_and_apply() {
    let scene = Scene::project();
    assert_snapshot!(scene.run("plan"), @"");
    assert!(!scene.path().join(".asof").exists());
    assert_snapshot!(scene.run("list"), @"");
    assert_snapshot!(scene.run("apply"), @"");
    assert_snapshot!(scene.run("apply"), @"");
    assert_snapshot!(scene.run("plan"), @"");
    assert_snapshot!(scene.run("plan --format json"), @"");
}

/// Goal: what was applied is listed and shown, for people and programs.
#[test]
fn list_and_show() {
    let scene = Scene::applied();
    assert_snapshot!(scene.run("list"), @"");
    assert_snapshot!(scene.run("show trips"), @"");
    assert_snapshot!(scene.run("show trps"), @"");
    assert_snapshot!(scene.run("show ranking --format json"), @"");
    let listed = scene.json("list --format json");
    assert_eq!(listed[0]["kind"], "entity");
    assert_eq!(listed[0]["name"], "driver");
}

/// Goal: a feature may be added to a version.
#[test]
fn added_feature() {
    let scene = Scene::applied();
    scene.edit("features.yaml", "rating: float64\n", "rating: float64\n      trip_hours: float64\n");
    assert_snapshot!(scene.run("apply"), @"");
}

/// Goal: an edit that changes bytes is refused with the line to write, by `plan` too, and that line works.
#[test]
fn breaking_edit() {
    let scene = Scene::applied();
    scene.edit("features.yaml", "    owner: fleet\n", "    owner: fleet\n    ttl: 2h\n");
    assert_snapshot!(scene.run("plan"), @"");
    assert_snapshot!(scene.run("apply"), @"");
    scene.edit("features.yaml", "  trips:\n", "  trips@2:\n");
    assert_snapshot!(scene.run("apply"), @"");
}

/// Goal: what no file defines is kept and reported; it goes when it is named, unless it is in use or defined.
#[test]
fn removal() {
    let scene = Scene::applied();
    assert_snapshot!(scene.run("apply --remove ranking"), @"");
    let text = scene.read("features.yaml");
    let (before, _) = text.split_once("feature_services:").expect("a section");
    scene.write("features.yaml", before);
    assert_snapshot!(scene.run("apply"), @"");
    assert_snapshot!(scene.run("apply --remove rankin"), @"");
    assert_snapshot!(scene.run("apply --remove ranking"), @"");
    scene.write("features.yaml", "");
    assert_snapshot!(scene.run("apply --remove trips_table"), @"");
    assert_snapshot!(scene.run("apply --remove trips_table --remove trips --remove driver"), @"");
}

/// Goal: every mistake of the files is told with its place, at once.
#[test]
fn mistakes_in_files() {
    let scene = Scene::project();
    scene.edit("features.yaml", "trip_count: int64", "trip_count: int");
    scene.edit("features.yaml", "    source: trips_table", "    source: trip_table");
    scene.edit("features.yaml", "entities: [driver]", "entitys: [driver]");
    assert_snapshot!(scene.run("apply"), @"");
}

/// Goal: a file that is not YAML, or not text, is named with the place.
#[test]
fn not_yaml() {
    let scene = Scene::project();
    scene.write("more.yaml", "entities:\n  a: [1, 2\nb: }\n");
    assert_snapshot!(scene.run("plan"), @"");
    scene.write("more.yaml", b"entities: \xff\n");
    assert_snapshot!(scene.run("plan"), @"");
}

/// Goal: warnings are told on stderr, and silence is kept where asked for.
#[test]
fn unused_entity_and_quiet() {
    let scene = Scene::project();
    scene.write("more.yaml", "entities:\n  idle:\n    keys: { idle_id: string }\n");
    assert_snapshot!(scene.run("apply"), @"");
    assert_snapshot!(scene.run("apply --quiet"), @"");
}
