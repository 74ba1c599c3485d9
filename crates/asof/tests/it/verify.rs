//! `verify`: what is served against what history says.

use insta::assert_snapshot;

use crate::support::{Scene, TRIPS};

/// Goal: after a load every value is the same, for the kernel and the oracle.
#[test]
fn identical() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("verify"), @"
    exit 0
    --- stdout
    view     answers    keys  values  identical  differing
    trips@1  asked now     2       4          4          0

    4 of 4 values are byte-identical
    --- stderr
    ");
    assert_snapshot!(scene.run("verify ranking --oracle --sample 1"), @"
    exit 0
    --- stdout
    view     answers    keys  values  identical  differing
    trips@1  asked now     1       2          2          0

    2 of 2 values are byte-identical, checked by the oracle too
    --- stderr
    ");
    let report = scene.json("verify trips --format json");
    assert_eq!(report["values"], report["identical"]);
}

/// Goal: an empty store has nothing to verify, and that is no failure.
#[test]
fn nothing() {
    let scene = Scene::project();
    assert_snapshot!(scene.run("verify"), @r"
    exit 1
    --- stdout
    --- stderr
    error: nothing has been applied to project `fleet` yet

    hint: run `asof apply`
    ");
    scene.does("apply");
    assert_snapshot!(scene.run("verify"), @"
    exit 0
    --- stdout
    view     answers    keys  values  identical  differing
    trips@1  asked now     0       0          0          0

    nothing to verify: run `asof materialize`
    --- stderr
    ");
    assert_snapshot!(scene.run("verify trpis"), @r"
    exit 1
    --- stdout
    --- stderr
    error: there is no view or service `trpis`

    hint: did you mean `trips`?
    ");
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
    assert_snapshot!(scene.run("verify --oracle"), @"
    exit 1
    --- stdout
    view     answers    keys  values  identical  differing
    trips@1  asked now     2       4          3          1

    `trips@1` driver_id=8, feature `rating`: 3.25 (PRESENT) of 2026-01-01T10:00:00Z was served, history says 2.25 (PRESENT) of 2026-01-01T10:00:00Z
    3 of 4 values are byte-identical, checked by the oracle too
    --- stderr
    ");
}
