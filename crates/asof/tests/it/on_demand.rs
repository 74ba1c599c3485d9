//! Views on demand, from the command line.

use crate::support::{FEATURES, Scene};

const RATIOS: &str = "\
feature_views:
  ratios:
    request: { distance: float64 }
    inputs: [trips]
    owner: pricing
    features:
      per_trip: { type: float64, expr: distance / trip_count, description: How far each goes }
      rounded: { type: int64, expr: cast(per_trip as int64), default: 0 }
feature_services:
  pricing: { features: [{ ratios: \"*\" }, { trips: rating }] }
";

fn scene() -> Scene {
    let scene = Scene::applied();
    scene.write("ratios.yaml", RATIOS);
    scene
}

fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

/// Goal: a plan says what is computed of what; listing and showing say it too, and an edit is refused or explained.
#[test]
fn planned_and_shown() {
    let scene = scene();
    let made = "2 features, on demand from `trips@1`, distance: float64";
    holds(&scene.run("plan"), &["exit 0", "+ ratios@1", made, "ratios@1: every feature", "trips@1: rating"]);
    scene.does("apply");
    holds(&scene.run("list"), &["ratios@1", "pricing", made]);
    holds(&scene.run("show ratios"), &["exit 0", "distance / trip_count", "(distance / trips.trip_count)"]);
    scene.write("ratios.yaml", RATIOS.replace("distance / trip_count", "DISTANCE/trips.trip_count"));
    holds(&scene.run("plan"), &["exit 0"]);
    scene.write("ratios.yaml", RATIOS.replace("distance / trip_count", "distance / (trip_count + 1)"));
    let changed = "features.per_trip: (distance / trips.trip_count): float64 -> (distance / (trips.trip_count + 1)): float64";
    holds(&scene.run("plan"), &["exit 1", changed, "`ratios@2:`"]);
    scene.write("ratios.yaml", RATIOS.replace("distance / trip_count", "distance / trip_cont"));
    let unknown = "ratios.yaml:7:51: view `ratios@1`, feature `per_trip`: `trip_cont` is neither a request field nor a \
                   feature of an input";
    holds(&scene.run("plan"), &["exit 1", unknown, "hint: did you mean `trip_count`?"]);
    std::fs::remove_file(scene.path().join("ratios.yaml")).unwrap();
    scene.write(
        "features.yaml",
        FEATURES.replace("  trips:", "  journeys:").replace("- trips:", "- journeys:"),
    );
    let used = "`trips@1` can't be removed: it is used by view `ratios@1`";
    holds(&scene.run("apply --remove trips"), &["exit 1", used]);
}

/// Goal: a training set has what is computed, and says which column it lacks.
#[test]
fn trained() {
    let scene = scene();
    scene.does("apply");
    scene.does("materialize");
    let lacks = "the request lacks the field `distance`, which view `ratios@1` computes with";
    let train = "train --labels labels.csv --service pricing --status -o out.csv";
    holds(&scene.run(train), &["exit 1", lacks, "hint: give `distance` in every row; null is allowed"]);
    scene.write(
        "labels.csv",
        "driver_id,event_timestamp,distance\n7,2026-01-01T10:00:00Z,7.5\n9,2026-01-03T00:00:00Z,1\n",
    );
    scene.does(train);
    assert_eq!(
        scene.read("out.csv"),
        "driver_id,event_timestamp,distance,per_trip,per_trip__status,rounded,rounded__status,rating,rating__status\n\
         7,2026-01-01T10:00:00Z,7.5,2.5,PRESENT,2,PRESENT,4.5,PRESENT\n\
         9,2026-01-03T00:00:00Z,1,,NULL,0,NULL,,MISSING\n"
    );
}

/// Goal: what only stored rows can be asked for is refused, with what to name instead.
#[test]
fn refused() {
    let scene = scene();
    scene.does("apply");
    let why = "view `ratios@1` is computed on demand, and has no rows of its own to";
    let hint = "hint: name what it reads: `trips@1`";
    holds(&scene.run("materialize ratios"), &["exit 1", why, "to load", hint]);
    holds(&scene.run("status ratios"), &["exit 1", why, "to count", hint]);
}
