//! `materialize`: good rows, bad rows, bad files.

use insta::assert_snapshot;

use crate::support::{FEATURES, Scene, TRIPS, example};

/// Goal: rows are loaded once; the same files again are nothing to do; a changed file is read again.
#[test]
fn load_and_load_again() {
    let scene = Scene::applied();
    assert_snapshot!(scene.run("materialize"), @r"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded          3      3              0    0       0          0  210 B      1  [RATE]  [SECONDS]
    --- stderr
    ");
    assert_snapshot!(scene.run("materialize trips"), @r"
    exit 0
    --- stdout
    view     state      rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  unchanged          0      0              0    0       0          0    0 B      0  [RATE]  [SECONDS]
    --- stderr
    `trips@1`: nothing to do, these very files were loaded before
    ");
    scene.write("data/trips.csv", format!("{TRIPS}9,2026-01-05T10:00:00Z,2026-01-05T10:00:00Z,2,3\n"));
    assert_snapshot!(scene.run("materialize trips@1"), @r"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded          4      2              2    0       0          0  258 B      1  [RATE]  [SECONDS]
    --- stderr
    ");
    let report = scene.json("materialize --format json");
    assert_eq!(report["views"][0]["unchanged"], true);
    assert_eq!(report["totals"]["rows_added"], 0);
}

/// Goal: a load since the last one says what is new, what is gone, and that there is nothing to do; it takes no range. A
/// replacement says what it took away.
#[test]
fn since_last_and_replace() {
    let scene = Scene::project();
    scene.edit("features.yaml", "data/trips.csv", "data");
    scene.does("apply");
    scene.does("materialize");
    scene.write("data/more.csv", TRIPS.replace("2026-01-02", "2026-01-04"));
    assert_snapshot!(scene.run("materialize --since-last"), @r"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded          3      2              1    0       0          0  210 B      1  [RATE]  [SECONDS]
    --- stderr
    `trips@1`: 1 file loaded before and not read again
    ");
    std::fs::remove_file(scene.path().join("data/more.csv")).expect("removed");
    assert_snapshot!(scene.run("materialize --since-last"), @r"
    exit 0
    --- stdout
    view     state      rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  unchanged          0      0              0    0       0          0    0 B      0  [RATE]  [SECONDS]
    --- stderr
    `trips@1`: nothing to do, these very files were loaded before
    `trips@1`: 1 file loaded before and gone now, whose rows stay: `[DIR]/data/more.csv`
    ");
    assert_snapshot!(scene.run("materialize --since-last --start 2026-01-01"), @r"
    exit 2
    --- stdout
    --- stderr
    error: the argument '--since-last' cannot be used with '--start <T>'

    Usage: asof materialize --since-last [VIEW]...

    For more information, try '--help'.
    ");
    assert_snapshot!(scene.run("materialize --replace --start 2026-01-02"), @r"
    exit 0
    --- stdout
    view     state     rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  replaced          3      1              0    0       0          0  210 B      1  [RATE]  [SECONDS]
    --- stderr
    `trips@1`: 1 row served until now replaced
    `trips@1`: 2 rows outside the asked range left out
    ");
    assert_snapshot!(scene.run("materialize --replace --start 2026-01-02"), @r"
    exit 0
    --- stdout
    view     state      rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  unchanged          0      0              0    0       0          0    0 B      0  [RATE]  [SECONDS]
    --- stderr
    `trips@1`: nothing to do, these very files were loaded before
    ");
    assert_snapshot!(scene.run("get --service ranking driver_id=7"), @r"
    exit 0
    --- stdout
    t = [NOW]

    feature     value  status   event
    trip_count  5      PRESENT  2026-01-02T10:00:00Z
    rating      null   NULL     2026-01-02T10:00:00Z
    --- stderr
    ");
}

/// Goal: a range takes its start and leaves its end; an empty one is refused.
#[test]
fn ranges() {
    let scene = Scene::applied();
    assert_snapshot!(scene.run("materialize --start 2026-01-01T10:00:00Z --end 2026-01-02T10:00:00Z"), @r"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded          3      2              0    0       0          0  210 B      1  [RATE]  [SECONDS]
    --- stderr
    `trips@1`: 1 row outside the asked range left out
    ");
    assert_snapshot!(scene.run("materialize --start 2026-01-02 --end 2026-01-02"), @r"
    exit 1
    --- stdout
    --- stderr
    error: the range is empty: start 2026-01-02T00:00:00Z is not before end 2026-01-02T00:00:00Z

    hint: the end itself is not part of the range
    ");
}

/// Goal: nothing can be loaded before it is applied, and nothing that does not exist.
#[test]
fn unknown_views() {
    let scene = Scene::project();
    assert_snapshot!(scene.run("materialize"), @r"
    exit 1
    --- stdout
    --- stderr
    error: nothing has been applied to project `fleet` yet

    hint: run `asof apply`
    ");
    scene.does("apply");
    assert_snapshot!(scene.run("materialize trip"), @r"
    exit 1
    --- stdout
    --- stderr
    error: there is no view `trip`

    hint: did you mean `trips`?
    ");
    assert_snapshot!(scene.run("materialize trips@3"), @r"
    exit 1
    --- stdout
    --- stderr
    error: there is no view `trips@3`

    hint: there is `trips@1`
    ");
    assert_snapshot!(scene.run("materialize trips@x"), @r"
    exit 1
    --- stdout
    --- stderr
    error: `trips@x` is not the name of a view

    hint: write `view` or `view@2`
    ");
}

/// Goal: a row that can't be used is set aside and counted, a value that can't be read is ERROR; the rest is loaded.
#[test]
fn bad_rows() {
    let scene = Scene::applied();
    let mut rows = Vec::from("\u{feff}driver_id,event_timestamp,created_timestamp,trip_count,rating\r\n");
    rows.extend(b"7,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5\r\n");
    rows.extend(b"8,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z\r\n"); // ragged
    rows.extend(b"\xff,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5\r\n"); // a key that is not text
    rows.extend(b"9,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,\xff,4.5\r\n"); // a feature that is not text
    rows.extend(b"10,12026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5\r\n"); // past the year 9999
    rows.extend(b"11,yesterday,2026-01-01T11:00:00Z,3,4.5\r\n");
    rows.extend(b",2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,4.5\r\n"); // no key
    rows.extend(b"12,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,99999999999999999999,4.5\r\n"); // past int64
    scene.write("data/trips.csv", rows);
    assert_snapshot!(scene.run("materialize"), @r"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded          8      3              0    5       2          0  479 B      1  [RATE]  [SECONDS]
    --- stderr
    `trips@1`: 5 bad rows set aside in `[DIR]/.asof/quarantine/trips/v1-[HASH]`, with file, row and reason
    `trips@1`: feature `trip_count` could not be read in 2 rows and is ERROR there; first: [DIR]/data/trips.csv row 4 (line 5): the text is not UTF-8
    ");
    assert_snapshot!(scene.run("get --service ranking driver_id=9"), @r"
    exit 0
    --- stdout
    t = [NOW]

    feature     value  status   event
    trip_count  null   ERROR    2026-01-01T10:00:00Z
    rating      4.5    PRESENT  2026-01-01T10:00:00Z
    --- stderr
    ");
    let folder = std::fs::read_dir(scene.path().join(".asof/quarantine/trips")).expect("quarantine");
    let version = folder.map(|entry| entry.expect("an entry").path()).next().expect("a version");
    let files: Vec<_> =
        std::fs::read_dir(version).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    assert_eq!(files.len(), 1);
    assert_snapshot!(std::fs::read_to_string(&files[0]).expect("rows"), @r#"
    {"file":"[DIR]/data/trips.csv","row":2,"line":3,"reason":"the row has 3 fields, the header has 5","values":{"*":"8,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z"}}
    {"file":"[DIR]/data/trips.csv","row":3,"line":4,"column":"driver_id","reason":"the join key: the text is not UTF-8","values":{"created_timestamp":"2026-01-01T11:00:00Z","driver_id":"�","event_timestamp":"2026-01-01T10:00:00Z","rating":"4.5","trip_count":"3"}}
    {"file":"[DIR]/data/trips.csv","row":5,"line":6,"column":"event_timestamp","reason":"the event time: \"12026-01-01T10:00:00Z\" is not an instant","values":{"created_timestamp":"2026-01-01T11:00:00Z","driver_id":"10","event_timestamp":"12026-01-01T10:00:00Z","rating":"4.5","trip_count":"3"}}
    {"file":"[DIR]/data/trips.csv","row":6,"line":7,"column":"event_timestamp","reason":"the event time: \"yesterday\" is not an instant","values":{"created_timestamp":"2026-01-01T11:00:00Z","driver_id":"11","event_timestamp":"yesterday","rating":"4.5","trip_count":"3"}}
    {"file":"[DIR]/data/trips.csv","row":7,"line":8,"column":"driver_id","reason":"the join key is null","values":{"created_timestamp":"2026-01-01T11:00:00Z","driver_id":null,"event_timestamp":"2026-01-01T10:00:00Z","rating":"4.5","trip_count":"3"}}
    "#);
}

/// Goal: line breaks in quotes belong to the value.
#[test]
fn quoted_line_breaks() {
    let scene = Scene::project();
    scene.edit("features.yaml", "rating: float64", "rating: string");
    scene.write(
        "data/trips.csv",
        "driver_id,event_timestamp,created_timestamp,trip_count,rating\n\
         7,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,3,\"two\nlines, and \"\"quotes\"\"\"\n",
    );
    scene.does("apply");
    scene.does("materialize");
    let answer = scene.json("get --service ranking driver_id=7 --format json");
    assert_eq!(answer["features"]["rating"], "two\nlines, and \"quotes\"");
}

/// Goal: a file that is missing, empty, cut off or without a column fails with its name, and loads nothing.
#[test]
fn bad_files() {
    let scene = Scene::applied();
    scene.write("data/trips.csv", "");
    assert_snapshot!(scene.run("materialize"), @"
    exit 1
    --- stdout
    --- stderr
    error: `[DIR]/data/trips.csv` is not a readable CSV file: it is empty, and a header line is expected

    hint: mend the file at that place and run again
    ");
    scene.write("data/trips.csv", "driver_id,event_timestamp,created_timestamp,trips,rating\n");
    assert_snapshot!(scene.run("materialize"), @r"
    exit 1
    --- stdout
    --- stderr
    error: source `trips_table`: `[DIR]/data/trips.csv` has no column `trip_count`

    hint: there is `created_timestamp`, `driver_id`, `event_timestamp`, `rating`, `trips`
    ");
    std::fs::remove_file(scene.path().join("data/trips.csv")).expect("removed");
    assert_snapshot!(scene.run("materialize"), @"
    exit 1
    --- stdout
    --- stderr
    error: source `trips_table`: there is no file or folder `[DIR]/data/trips.csv`

    hint: relative paths of definitions start at the project's folder
    ");
    assert_snapshot!(scene.run("get --service ranking driver_id=7"), @r"
    exit 0
    --- stdout
    t = [NOW]

    feature     value  status   event
    trip_count  null   MISSING  -
    rating      null   MISSING  -
    --- stderr
    ");
}

/// Goal: a header without rows is a table of no rows.
#[test]
fn no_rows() {
    let scene = Scene::applied();
    scene.write("data/trips.csv", TRIPS.lines().next().expect("a header"));
    assert_snapshot!(scene.run("materialize"), @r"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded          0      0              0    0       0          0   61 B      0  [RATE]  [SECONDS]
    --- stderr
    ");
}

/// Goal: a Parquet file that was cut off, or is none, is told as such.
#[test]
fn damaged_parquet() {
    let scene = Scene::empty();
    scene.write("asof.toml", "");
    scene.write("features.yaml", FEATURES.replace("trips.csv", "trips.parquet"));
    let whole = std::fs::read(example("credit_scoring/data/zipcode_table.parquet")).expect("an example");
    scene.write("data/trips.parquet", &whole[..whole.len() / 2]);
    scene.does("apply");
    assert_snapshot!(scene.run("materialize"), @"
    exit 1
    --- stdout
    --- stderr
    error: `[DIR]/data/trips.parquet` is not a readable Parquet file: Invalid Parquet file. Corrupt footer

    hint: was it written to its end? put a whole one there
    ");
    scene.write("data/trips.parquet", TRIPS);
    assert_snapshot!(scene.run("materialize"), @"
    exit 1
    --- stdout
    --- stderr
    error: `[DIR]/data/trips.parquet` is not a readable Parquet file: Invalid Parquet file. Corrupt footer

    hint: was it written to its end? put a whole one there
    ");
    scene.write("data/trips.parquet", &whole);
    assert_snapshot!(scene.run("materialize"), @r"
    exit 1
    --- stdout
    --- stderr
    error: source `trips_table`: `[DIR]/data/trips.parquet` has no column `driver_id`

    hint: there is `city`, `created_timestamp`, `event_timestamp`, `location_type`, `population`, `state`, `tax_returns_filed`, `total_wages` and 1 more
    ");
}

/// Goal: rows in conflict and rows of the future are reported.
#[test]
fn conflicts_and_waiting_rows() {
    let scene = Scene::project();
    scene.edit("features.yaml", "    created: created_timestamp\n", "");
    scene.write(
        "data/trips.csv",
        format!(
            "{TRIPS}8,2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,2,2.25\n\
             8,2126-01-01T10:00:00Z,2126-01-01T11:00:00Z,2,2.25\n"
        ),
    );
    scene.does("apply");
    assert_snapshot!(scene.run("materialize"), @r"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded          5      5              0    0       0          1  312 B      1  [RATE]  [SECONDS]
    --- stderr
    `trips@1`: 1 row with the key and event time of another row and other values; name a `created` column to say which is right
    `trips@1`: 1 row in the future, served from then on
    ");
}
