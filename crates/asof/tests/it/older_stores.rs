//! Stores that earlier versions wrote stay readable: `tests/data/store-*.tar.gz`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::Scene;

/// The project in an archive.
fn unpacked(archive: &str) -> Scene {
    let scene = Scene::empty();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(archive);
    let status =
        Command::new("tar").arg("xzf").arg(&archive).current_dir(scene.path()).status().expect("tar");
    assert!(status.success(), "{}", archive.display());
    scene
}

/// What is served for a driver, without the instant of the answer.
fn served(scene: &Scene, driver: &str) -> Value {
    let mut answer = scene.json(&format!("get --features trips:* driver_id={driver} --format json"));
    answer.as_object_mut().expect("an object").remove("t");
    answer
}

/// Goal: the first version's registry, history, journal, online store and recorded answers are read as they are, and the
/// same values come of them in training and serving.
#[test]
fn the_first_version() {
    let scene = unpacked("store-0.1.0.tar.gz");
    let answers: Value = serde_json::from_str(&scene.read("answers.json")).expect("JSON");
    let same_answers = || {
        for driver in ["7", "8", "9"] {
            assert_eq!(served(&scene, driver), answers[driver], "driver {driver}");
        }
    };
    let same_training_set = || {
        scene.does("train --labels labels.csv --features trips:* --status -o training.csv");
        assert_eq!(scene.read("training.csv"), scene.read("expected.csv"));
    };
    assert!(scene.does("plan").contains("nothing to change"), "definitions mean what they meant");
    same_answers();
    same_training_set();
    assert!(scene.does("verify --oracle").contains("byte-identical"));
    scene.does("status");
    // The files were loaded by the first version, so there is nothing new in them.
    let report = scene.json("materialize --format json");
    for view in report["views"].as_array().expect("views") {
        assert_eq!(view["rows_written"], 0, "{view:#}");
    }

    // A lost online store comes back from history and journal of old.
    std::fs::remove_dir_all(scene.path().join(".asof/online")).expect("the online store");
    scene.does("materialize");
    same_answers();

    // Files come together, and nothing changes.
    scene.does("compact");
    same_answers();
    same_training_set();

    // And the store goes on from there.
    scene.write(
        "data/trips/c.csv",
        "driver_id,at,seen,count,rating,note,active,blob,since,day,small,single,added\n\
         7,2026-06-01T00:00:00Z,2026-06-01T00:00:00Z,11,1,new,true,,,,1,1,1\n",
    );
    scene.does("materialize");
    assert_eq!(served(&scene, "7")["features"]["count"], 11);
    assert!(scene.does("verify --oracle").contains("byte-identical"));
}
