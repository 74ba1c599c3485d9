//! Bad input of every kind: a clear error that names the object, the reason and the fix, and nothing lost.

use insta::assert_snapshot;

use crate::support::Scene;

/// The rows of the usual scene, and what is served of them.
fn count(scene: &Scene, driver: u32) -> String {
    let answer = scene.json(&format!("get --service ranking driver_id={driver} --format json"));
    format!("{} {}", answer["features"]["trip_count"], answer["events"]["trip_count"])
}

const HEADER: &str = "driver_id,event_timestamp,created_timestamp,trip_count,rating";

/// Goal: a byte-order mark, Windows line ends, blank lines and quoted line breaks change nothing.
#[test]
fn line_ends() {
    let scene = Scene::applied();
    let rows = format!(
        "\u{feff}{HEADER}\r\n\r\n7,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5\r\n\"8\",2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,\"1\",\r\n\r\n"
    );
    scene.write("data/trips.csv", rows);
    assert_snapshot!(scene.run("materialize"), @"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded          2      2              0    0       0          0  173 B      1  [RATE]  [SECONDS]
    --- stderr
    ");
    assert_eq!(count(&scene, 7), "3 \"2026-01-01T10:00:00Z\"");
    assert_eq!(count(&scene, 8), "1 \"2026-01-01T10:00:00Z\"");
}

/// Goal: offsets of every form in one column are instants; those without are local to the source's zone; what is no instant
/// is set aside, row by row.
#[test]
fn mixed_offsets() {
    let scene = Scene::project();
    scene.edit(
        "features.yaml",
        "event: event_timestamp",
        "event: event_timestamp\n    zone: America/New_York",
    );
    scene.does("apply");
    let times = [
        "2026-01-01T10:00:00Z",
        "2026-01-01 12:30:00.5+02:00",
        "2026-01-01T10:00:00-0530",
        "2026-01-01T05:00:00",
        "2026-01-01",
        "01/02/2026",
        "2026-13-01T00:00:00Z",
        "",
        "10000-01-01T00:00:00Z",
        "1767261600",
    ];
    let rows: String = times
        .iter()
        .enumerate()
        .map(|(driver, time)| format!("{driver},{time},2026-01-03T00:00:00Z,{driver},\n"))
        .collect();
    scene.write("data/trips.csv", format!("{HEADER}\n{rows}"));
    assert_snapshot!(scene.run("materialize"), @"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded         10      5              0    5       0          0  493 B      1  [RATE]  [SECONDS]
    --- stderr
    `trips@1`: 5 bad rows set aside in `[DIR]/.asof/quarantine/trips/v1-[HASH]`, with file, row and reason
    ");
    let events: Vec<String> = (0..5).map(|driver| count(&scene, driver)).collect();
    assert_snapshot!(events.join("\n"), @r#"
    0 "2026-01-01T10:00:00Z"
    1 "[NOW]"
    2 "2026-01-01T15:30:00Z"
    3 "2026-01-01T10:00:00Z"
    4 "2026-01-01T05:00:00Z"
    "#);
    let kept = std::process::Command::new("sh")
        .args(["-c", "cat .asof/quarantine/*/*/* | sed 's/.*\"row\":/row /; s/,\"values.*//'"])
        .current_dir(scene.path())
        .output()
        .expect("a shell");
    assert_snapshot!(String::from_utf8_lossy(&kept.stdout), @r#"
    row 6,"line":7,"column":"event_timestamp","reason":"the event time: \"01/02/2026\" is not an instant"
    row 7,"line":8,"column":"event_timestamp","reason":"the event time: \"2026-13-01T00:00:00Z\" is not an instant"
    row 8,"line":9,"column":"event_timestamp","reason":"the event time is null"
    row 9,"line":10,"column":"event_timestamp","reason":"the event time: \"10000-01-01T00:00:00Z\" is not an instant"
    row 10,"line":11,"column":"event_timestamp","reason":"the event time: 1767261600 is an integer, and no `unit` of integer times is named"
    "#);
}

/// Goal: NaN and infinity are floats, and nothing else: no integer, no key, no instant.
#[test]
fn nan_and_infinity() {
    let scene = Scene::applied();
    let rows = [
        "1,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,1,NaN",
        "2,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,1,-inf",
        "3,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,NaN,1e999",
        "4,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,inf,-0.0",
        "NaN,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,1,1",
        "5,inf,2026-01-01T11:00:00Z,1,1",
    ];
    scene.write("data/trips.csv", format!("{HEADER}\n{}\n", rows.join("\n")));
    assert_snapshot!(scene.run("materialize"), @r#"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded          6      4              0    2       2          0  351 B      1  [RATE]  [SECONDS]
    --- stderr
    `trips@1`: 2 bad rows set aside in `[DIR]/.asof/quarantine/trips/v1-[HASH]`, with file, row and reason
    `trips@1`: feature `trip_count` could not be read in 2 rows and is ERROR there; first: [DIR]/data/trips.csv row 3 (line 4): "NaN" is not a whole number
    "#);
    let answers: Vec<String> = (1..=4)
        .map(|driver| {
            let answer = scene.json(&format!("get --service ranking driver_id={driver} --format json"));
            format!("{} {}", answer["features"], answer["statuses"])
        })
        .collect();
    assert_snapshot!(answers.join("\n"), @r#"
    {"trip_count":1,"rating":"NaN"} {"trip_count":"PRESENT","rating":"PRESENT"}
    {"trip_count":1,"rating":"-Infinity"} {"trip_count":"PRESENT","rating":"PRESENT"}
    {"trip_count":null,"rating":"Infinity"} {"trip_count":"ERROR","rating":"PRESENT"}
    {"trip_count":null,"rating":0.0} {"trip_count":"ERROR","rating":"PRESENT"}
    "#);
    assert_snapshot!(scene.run("get --service ranking driver_id=NaN"), @r#"
    exit 1
    --- stdout
    --- stderr
    error: join key `driver_id`: "NaN" is not a whole number

    hint: the type of a join key is the one its entity declares
    "#);
    scene.write("labels.csv", "driver_id,event_timestamp\n1,NaN\n");
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o out.csv"), @r#"
    exit 1
    --- stdout
    --- stderr
    error: label column `event_timestamp`, row 1: "NaN" is not an instant

    hint: correct the row, or name the right column
    "#);
}

/// Goal: a name that stands twice is refused where it stands: in definitions, in the head of a file, in labels.
#[test]
fn names_twice() {
    let scene = Scene::applied();
    scene.edit(
        "features.yaml",
        "      trip_count: int64\n",
        "      trip_count: int64\n      trip_count: int32\n",
    );
    assert_snapshot!(scene.run("plan"), @"
    exit 1
    --- stdout
    --- stderr
    error: features.yaml:15:7: `trip_count` is written twice here; the first is on line 14
    ");
    scene.edit("features.yaml", "      trip_count: int32\n", "");
    scene.write(
        "data/trips.csv",
        format!("{HEADER},rating\n7,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5,5.5\n"),
    );
    assert_snapshot!(scene.run("materialize"), @"
    exit 1
    --- stdout
    --- stderr
    error: `[DIR]/data/trips.csv` is not a readable CSV file: it has two columns named `rating`

    hint: mend the file at that place and run again
    ");
    scene.write("labels.csv", "driver_id,event_timestamp,driver_id\n7,2026-01-01T10:00:00Z,8\n");
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o out.csv"), @"
    exit 1
    --- stdout
    --- stderr
    error: view `trips@1` was never loaded

    hint: run `asof materialize trips@1`
    ");
}

/// Goal: what can't be read or written is named with the way out, and what was there before still answers.
#[test]
fn places_that_cannot_be_used() {
    let scene = Scene::loaded();
    let before = count(&scene, 7);
    scene.edit("features.yaml", "data/trips.csv", "data/nowhere");
    scene.does("apply");
    assert_snapshot!(scene.run("materialize"), @"
    exit 1
    --- stdout
    --- stderr
    error: source `trips_table`: there is no file or folder `[DIR]/data/nowhere`

    hint: relative paths of definitions start at the project's folder
    ");
    // A link that leads to itself is a folder that nobody can read.
    std::os::unix::fs::symlink("nowhere", scene.path().join("data/nowhere")).expect("a link");
    assert_snapshot!(scene.run("materialize"), @"
    exit 1
    --- stdout
    --- stderr
    error: cannot read `[DIR]/data/nowhere`
      caused by: Too many levels of symbolic links (os error 40)
    ");
    assert_eq!(count(&scene, 7), before);
    // No place below /proc can be written, whoever asks.
    std::fs::remove_file(scene.path().join("data/nowhere")).expect("the link");
    scene.write(
        "data/nowhere/more.csv",
        format!("{HEADER}\n9,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5\n"),
    );
    let elsewhere = |section: &str, url: &str, command: &str| {
        scene.write("asof.toml", format!("project = \"fleet\"\n[{section}]\nurl = \"{url}\"\n"));
        scene.run(command)
    };
    assert_snapshot!(elsewhere("offline", "/proc/asof", "materialize"), @"
    exit 1
    --- stdout
    --- stderr
    error: cannot use `/proc/asof/trips/v1-[HASH]`: Failed to read delta log object: Generic local error: cannot write `/proc/asof/trips/v1-[HASH]/_delta_log/[HASH].json`: No such file or directory (os error 2)

    hint: check the storage of `/proc/asof/trips/v1-[HASH]`, then run it again; history holds only whole units
    ");
    assert_snapshot!(elsewhere("online", "/proc/asof", "materialize"), @"
    exit 1
    --- stdout
    --- stderr
    error: the online store in `/proc/asof` can't be written
      caused by: No such file or directory (os error 2)

    hint: give this user write access to the folder, or name another one under [online]
    ");
    assert_snapshot!(elsewhere("registry", "sqlite:///proc/asof.db", "apply"), @"
    exit 1
    --- stdout
    --- stderr
    error: registry `/proc/asof.db` cannot be opened for writing
      caused by: error returned from database: (code: 14) unable to open database file

    hint: check that the folder exists or can be created, that it and the file in it may be written by this user, and that the disk is not mounted read-only
    ");
    scene.write("asof.toml", "project = \"fleet\"\n");
    assert_eq!(count(&scene, 7), before);
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o /proc/out.csv"), @"
    exit 1
    --- stdout
    --- stderr
    error: cannot write `/proc/out.csv`
      caused by: No such file or directory (os error 2)

    hint: create the folder first
    ");
}

/// Goal: a label table that is cut short, or is no table, is named, and no training set is left behind.
#[test]
fn damaged_files() {
    let scene = Scene::applied();
    scene.does("materialize");
    scene.does("train --labels labels.csv --service ranking -o whole.parquet");
    let whole = std::fs::read(scene.path().join("whole.parquet")).expect("a file");
    for (name, bytes) in [
        ("cut", whole[..whole.len() - 20].to_vec()),
        ("short", whole[..3].to_vec()),
        ("empty", Vec::new()),
        ("text", b"not a table".to_vec()),
    ] {
        scene.write("labels.parquet", bytes);
        let told = scene.run("train --labels labels.parquet --service ranking --full-names -o out.csv");
        assert!(told.starts_with("exit 1") && told.contains("labels.parquet"), "{name}: {told}");
        assert!(!scene.path().join("out.csv").exists(), "{name}");
    }
}
