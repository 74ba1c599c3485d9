//! Views on demand, from the command line.

use insta::assert_snapshot;

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

/// Goal: a plan says what is computed of what; listing and showing say it too.
#[test]
fn planned_and_shown() {
    let scene = scene();
    assert_snapshot!(scene.run("plan"), @"");
    scene.does("apply");
    assert_snapshot!(scene.run("list"), @"");
    assert_snapshot!(scene.run("show ratios"), @"");
    scene.write("ratios.yaml", &RATIOS.replace("distance / trip_count", "distance / (trip_count + 1)"));
    assert_snapshot!(scene.run("plan"), @"");
    scene.write("ratios.yaml", &RATIOS.replace("distance / trip_count", "distance / trip_cont"));
    assert_snapshot!(scene.run("plan"), @"");
    std::fs::remove_file(scene.path().join("ratios.yaml")).unwrap();
    scene.write(
        "features.yaml",
        &FEATURES.replace("  trips:", "  journeys:").replace("- trips:", "- journeys:"),
    );
    assert_snapshot!(scene.run("apply --remove trips"), @"");
}

/// Goal: a training set has what is computed, and says which column it lacks.
#[test]
fn trained() {
    let scene = scene();
    scene.does("apply");
    scene.does("materialize");
    assert_snapshot!(scene.run("train --labels labels.csv --service pricing -o out.csv"), @"");
    let labels = "driver_id,event_timestamp,distance\n7,2026-01-01T10:00:00Z,7.5\n9,2026-01-03T00:00:00Z,1\n";
    scene.write("labels.csv", labels);
    scene.does("train --labels labels.csv --service pricing --status -o out.csv");
    assert_snapshot!(std::fs::read_to_string(scene.path().join("out.csv")).unwrap(), @"");
}

/// Goal: what only stored rows can be asked for is refused.
#[test]
fn refused() {
    let scene = scene();
    scene.does("apply");
    assert_snapshot!(scene.run("materialize ratios"), @"");
    assert_snapshot!(scene.run("status ratios"), @"");
}
