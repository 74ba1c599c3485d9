//! `get`: the values of one entity key.

use insta::assert_snapshot;

use crate::support::Scene;

/// Goal: values come with why they are what they are, for people and programs.
#[test]
fn values() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("get --service ranking driver_id=7"), @"");
    assert_snapshot!(scene.run("get --features trips:* --full-names driver_id=8 --format json"), @"");
    assert_snapshot!(scene.run("get --service ranking driver_id=99"), @"");
    assert_snapshot!(scene.run("get --service ranking driver_id="), @"");
}

/// Goal: an instant of the past is answered as serving could have then: before the load, with nothing.
#[test]
fn past_and_future() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("get --service ranking driver_id=7 --now 2026-01-03"), @"");
    let future = scene.run("get --service ranking driver_id=7 --now 2126-01-03");
    assert_snapshot!(future, @"");
}

/// Goal: a value past its ttl is null and says so, and is returned where asked for.
#[test]
fn expired() {
    let scene = Scene::project();
    scene.edit("features.yaml", "    owner: fleet\n", "    owner: fleet\n    ttl: 1h\n");
    scene.does("apply");
    scene.does("materialize");
    assert_snapshot!(scene.run("get --service ranking driver_id=8"), @"");
    assert_snapshot!(scene.run("get --service ranking driver_id=8 --include-expired"), @"");
}

/// Goal: keys that the request does not know, lacks, has twice or can't read are told.
#[test]
fn wrong_keys() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("get --service ranking driver=7"), @"");
    assert_snapshot!(scene.run("get --service ranking"), @"");
    assert_snapshot!(scene.run("get --service ranking driver_id=7 driver_id=8"), @"");
    assert_snapshot!(scene.run("get --service ranking driver_id=seven"), @"");
}

/// Goal: names that do not exist are answered with the nearest ones; equal names with the way out.
#[test]
fn wrong_names() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("get --features trips:tripcount driver_id=7"), @"");
    assert_snapshot!(scene.run("get --service rank driver_id=7"), @"");
    assert_snapshot!(scene.run("get --features trips:rating,trips:rating driver_id=7"), @"");
}
