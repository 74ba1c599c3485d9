//! `verify`: what is served against what history says.

use insta::assert_snapshot;

use crate::support::{Scene, TRIPS};

/// Goal: after a load every value is the same, for the kernel and the oracle.
#[test]
fn identical() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("verify"), @"");
    assert_snapshot!(scene.run("verify ranking --oracle --sample 1"), @"");
    let report = scene.json("verify trips --format json");
    assert_eq!(report["values"], report["identical"]);
}

/// Goal: an empty store has nothing to verify, and that is no failure.
#[test]
fn nothing() {
    let scene = Scene::project();
    assert_snapshot!(scene.run("verify"), @"");
    scene.does("apply");
    assert_snapshot!(scene.run("verify"), @"");
    assert_snapshot!(scene.run("verify trpis"), @"");
}

/// Goal: a served value that history does not hold is found, shown, and fails the command.
///
/// The online store of one project is put beside the history of another, whose source held another value.
#[test]
fn differing() {
    let (scene, other) = (Scene::loaded(), Scene::applied());
    other.write("data/trips.csv", TRIPS.replace("2.25", "3.25"));
    other.does("materialize");
    let (ours, theirs) = (scene.path().join(".asof/online"), other.path().join(".asof/online"));
    std::fs::remove_dir_all(&ours).expect("removed");
    std::fs::rename(theirs, ours).expect("moved");
    drop(other);
    assert_snapshot!(scene.run("verify --oracle"), @"");
}
