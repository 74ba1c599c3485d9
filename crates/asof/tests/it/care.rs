//! `status`, `compact` and `vacuum`: the care of history.

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
    view     files before  after  bytes before  after  rows folded  rows cut
    trips@1             0      0           0 B    0 B            0         0

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

/// Goal: the status of a view says what there is of it, before and after a load, and what to do.
#[test]
fn status() {
    let scene = Scene::project();
    scene.write("features.yaml", crate::support::FEATURES.replace("owner: fleet", "freshness: 1d"));
    scene.does("apply");
    let before = scene.json("status --format json");
    assert_eq!(
        (&before["views"][0]["rows"], &before["views"][0]["last_run"]),
        (&0.into(), &().into()),
        "{before}"
    );
    assert_eq!(before["views"][0]["behind"], true);
    scene.write("data/bad.txt", "");
    scene.write("data/trips.csv", format!("{TRIPS}9,never,,1,1.0\n"));
    scene.does("materialize --start 2026-01-01T00:00:00Z");
    let after = scene.json("status trips --format json");
    let view = &after["views"][0];
    let counts = ["rows", "files", "units", "quarantined", "online_entries", "small_files"];
    assert_eq!(counts.map(|name| view[name].as_u64()), [3, 2, 1, 1, 2, 0].map(Some), "{view}");
    assert_eq!(view["newest_event"], "2026-01-02T10:00:00Z");
    assert_eq!(
        (&view["last_run"]["from"], &view["last_run"]["rows"]),
        (&"2026-01-01T00:00:00Z".into(), &3.into())
    );
    assert_eq!(view["complete"][0]["features"], 2);
    assert_eq!(view["complete"][0]["ranges"][0][0], "2026-01-01T00:00:00Z");
    assert_eq!(view["answering"], serde_json::json!(["trip_count", "rating"]));
    assert_eq!(after["totals"]["online_entries"], 2);
    let text = scene.does("status --format table");
    assert!(text.contains("behind") && text.contains("3 rows in 2 files of history"), "{text}");
}

/// Goal: beside a running server the status says all; where another process holds the online store and can't be asked,
/// it says all but what only that one knows.
#[test]
fn status_beside_a_server() {
    let scene = Scene::loaded();
    let server = scene.serve();
    let report = scene.json("status --format json");
    assert_eq!(report["views"][0]["online_entries"], 2);
    drop(server);
    std::fs::remove_dir_all(scene.path().join(".asof/server")).expect("removed");
    scene.write(".asof/server", "not a folder, so there is no socket");
    let _server = scene.serve();
    let report = scene.json("status --format json");
    assert_eq!(report["views"][0]["rows"], 3);
    assert_eq!(report["views"][0]["online_entries"], serde_json::Value::Null);
    assert!(report["online_unread"].as_str().unwrap_or_default().contains("asof serve"), "{report}");
}

/// Goal: forgetting works beside a server; afterwards the key is MISSING, nothing else has changed, and the record of a
/// training set over it says that it can't be made again.
#[test]
fn forget() {
    let scene = Scene::loaded();
    scene.does("train --labels labels.csv --service ranking -o before.csv");
    let server = scene.serve();
    let report = scene.json("forget driver driver_id=7 --format json");
    assert_eq!(report["training_sets"], 1, "{report}");
    let record =
        std::fs::read_dir(scene.path().join(".asof/training")).unwrap().next().unwrap().unwrap().path();
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    assert_eq!(
        (&record["reproducible"], &record["erasures"][0]["entity"]),
        (&false.into(), &"driver".into())
    );
    let view = &report["views"][0];
    assert_eq!((&view["rows"], &view["online_entries"]), (&2.into(), &1.into()), "{report}");
    let get = |key: u32| scene.json(&format!("get --service ranking driver_id={key} --format json"));
    assert!(get(7).to_string().contains("MISSING"), "{}", get(7));
    assert!(get(8).to_string().contains("PRESENT"));
    drop(server);
    scene.does("verify --oracle");
    let again = scene.run("forget driver driver_id=7 --yes");
    assert!(again.contains("training sets that were written before are not changed"), "{again}");
    assert!(scene.run("forget driver driver_id=x --yes").contains("exit 1"));
}
