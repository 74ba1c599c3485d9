//! `compact` and `vacuum`: the care of history.

use insta::assert_snapshot;

use crate::support::{Scene, TRIPS};

/// Goal: small files come together, what is served stays the same, and replaced files are freed when nobody needs them.
#[test]
fn compaction_and_vacuum() {
    let scene = Scene::loaded();
    scene.write("data/trips.csv", TRIPS.replace(",4.5\n", ",4.25\n"));
    scene.does("materialize");
    let report = scene.json("compact --format json");
    let view = &report["views"][0];
    assert_eq!((view["files_before"].as_u64(), view["files_after"].as_u64()), (Some(4), Some(2)), "{report}");
    assert_eq!(view["rows_folded"], 2, "two of the three rows are the same in both files");
    scene.does("verify --oracle");
    let files = |arguments: &str| scene.json(arguments)["tables"][0]["files"].as_u64();
    assert_eq!(files("vacuum --format json"), Some(0), "they were replaced just now");
    assert_eq!(files("vacuum --older-than 0s --dry-run --format json"), Some(4));
    assert_eq!(files("vacuum --older-than 0s --format json"), Some(4));
    assert_eq!(files("vacuum --older-than 0s --format json"), Some(0));
    scene.does("verify --oracle");
    scene.does("train --labels labels.csv --service ranking -o set.csv");
}

/// Goal: with nothing to do the commands say so; what can't be meant is refused.
#[test]
fn nothing_to_do() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("compact trips"), @"
    exit 0
    --- stdout
    view     files before  after  bytes before  after  rows folded
    trips@1             0      0           0 B    0 B            0

    3 files of the journal brought together
    --- stderr
    ");
    assert_snapshot!(scene.run("compact trip"), @"
    exit 1
    --- stdout
    --- stderr
    error: there is no view `trip`

    hint: did you mean `trips`?
    ");
    assert_snapshot!(scene.run("vacuum --older-than 31d"), @"
    exit 1
    --- stdout
    --- stderr
    error: the log of history remembers for 30 days when a file was replaced

    hint: give 30 days or less
    ");
}
