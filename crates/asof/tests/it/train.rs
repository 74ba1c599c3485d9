//! `train`: label tables become training sets.

use insta::assert_snapshot;

use crate::support::{LABELS, Scene};

/// Goal: every label row stands once, in order, with the features as of its time; a bulk load is explained.
#[test]
fn trains() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o out.csv"), @"
    exit 0
    --- stdout
    view     labels  matched  expired  missing  differs from served  of these bulk
    trips@1       4        2        0        2                    2              2

    column           type      nulls  distinct                   min  p50                   max  mean     std
    driver_id        Utf8      0.0 %         2                     7                          9
    event_timestamp  Utf8      0.0 %         3  2026-01-01T09:59:59Z       2026-01-03T00:00:00Z
    tipped           Utf8      0.0 %         2                 false                       true
    trip_count       Int64    50.0 %         2                     3    3                     5     4  1.4142
    rating           Float64  75.0 %         1                   4.5  4.5                   4.5   4.5

    `out.csv`: 4 rows, 5 columns, [SIZE] in [SECONDS] (known at: event), recorded in `[DIR]/.asof/training/[NOW]-out.json`
    --- stderr
    `trips@1`: 2 of 4 rows differ from what serving could have answered at the label's time. Their rows came with the first load of old data: this store has them since [NOW], the last label is of 2026-01-03T00:00:00Z, so nobody could have been served them then. That is normal for a first (bulk) load; it is reported so that a real leak can't hide in it.
    ");
    assert_snapshot!(scene.read("out.csv"), @r"
    driver_id,event_timestamp,tipped,trip_count,rating
    7,2026-01-01T09:59:59Z,false,,
    7,2026-01-01T10:00:00Z,true,3,4.5
    7,2026-01-03T00:00:00Z,true,5,
    9,2026-01-03T00:00:00Z,false,,
    ");
    assert_snapshot!(scene.run("train --labels labels.csv --features trips:* -o out.csv --full-names --status --known-at served"), @"
    exit 0
    --- stdout
    view     labels  matched  expired  missing  differs from served  of these bulk
    trips@1       4        0        0        4                    0              0

    column                     type       nulls  distinct                   min  p50                   max  mean  std
    driver_id                  Utf8       0.0 %         2                     7                          9
    event_timestamp            Utf8       0.0 %         3  2026-01-01T09:59:59Z       2026-01-03T00:00:00Z
    tipped                     Utf8       0.0 %         2                 false                       true
    trips__trip_count          Int64    100.0 %         0
    trips__trip_count__status  Utf8       0.0 %         1               MISSING                    MISSING
    trips__rating              Float64  100.0 %         0
    trips__rating__status      Utf8       0.0 %         1               MISSING                    MISSING

    `out.csv`: 4 rows, 7 columns, [SIZE] in [SECONDS] (known at: served), recorded in `[DIR]/.asof/training/[NOW]-out.json`
    --- stderr
    ");
    assert_snapshot!(scene.read("out.csv"), @r"
    driver_id,event_timestamp,tipped,trips__trip_count,trips__trip_count__status,trips__rating,trips__rating__status
    7,2026-01-01T09:59:59Z,false,,MISSING,,MISSING
    7,2026-01-01T10:00:00Z,true,,MISSING,,MISSING
    7,2026-01-03T00:00:00Z,true,,MISSING,,MISSING
    9,2026-01-03T00:00:00Z,false,,MISSING,,MISSING
    ");
    let report = scene.json("train --labels labels.csv --service ranking -o out.parquet --format json");
    assert_eq!(report["rows"], 4);
    assert_eq!(report["views"][0]["missing"], 2);
}

/// Goal: a key column and a time column may be called otherwise, and local times have a zone.
#[test]
fn other_columns() {
    let scene = Scene::loaded();
    scene.write("labels.csv", "who,at\n7,2026-01-01 05:00:00\n7,2026-01-01 04:59:59\n");
    let line = "train --labels labels.csv --features trips:trip_count -o out.csv \
                --timestamp at --key driver_id=who --zone America/New_York";
    scene.does(line);
    assert_snapshot!(scene.read("out.csv"), @r"
    who,at,trip_count
    7,2026-01-01 05:00:00,3
    7,2026-01-01 04:59:59,
    ");
    assert_snapshot!(scene.run(&format!("{line} --key driver_id=at")), @r"
    exit 1
    --- stdout
    --- stderr
    error: the join key `driver_id` is mapped twice

    hint: a view that is joined twice stands in a service under two aliases, each with its `keys`
    ");
}

/// Goal: a view without rows is told, and gives nulls.
#[test]
fn nothing_loaded() {
    let scene = Scene::applied();
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o out.csv"), @"
    exit 1
    --- stdout
    --- stderr
    error: view `trips@1` was never loaded

    hint: run `asof materialize trips@1`
    ");
}

/// Goal: a name that does not exist is answered with the nearest one.
#[test]
fn unknown_names() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("train --labels labels.csv --service rankings -o out.csv"), @r"
    exit 1
    --- stdout
    --- stderr
    error: there is no service `rankings`

    hint: did you mean `ranking`?
    ");
    assert_snapshot!(scene.run("train --labels labels.csv --features trips:ratng -o out.csv"), @r"
    exit 1
    --- stdout
    --- stderr
    error: view `trips@1` has no feature `ratng`

    hint: did you mean `rating`?
    ");
    assert_snapshot!(scene.run("train --labels labels.csv --features trip:rating -o out.csv"), @r"
    exit 1
    --- stdout
    --- stderr
    error: there is no view `trip`

    hint: did you mean `trips`?
    ");
    assert_snapshot!(scene.run("train --labels labels.csv --features rating -o out.csv"), @r"
    exit 1
    --- stdout
    --- stderr
    error: `rating` is not a feature of a view

    hint: write `view:feature`, or `view:*` for all of them
    ");
}

/// Goal: labels that can't be used are refused before anything is written.
#[test]
fn bad_labels() {
    let scene = Scene::loaded();
    let line = "train --labels labels.csv --service ranking -o out.csv";
    assert_snapshot!(scene.run(&line.replace("labels.csv", "label.csv")), @"
    exit 1
    --- stdout
    --- stderr
    error: labels: there is no file or folder `label.csv`

    hint: relative paths start at the current folder
    ");
    scene.write("labels.csv", LABELS.replace("driver_id", "driver"));
    assert_snapshot!(scene.run(line), @r"
    exit 1
    --- stdout
    --- stderr
    error: labels: `labels.csv` has no column `driver_id`

    hint: did you mean `driver`?
    ");
    scene.write("labels.csv", LABELS.replace("event_timestamp", "at"));
    assert_snapshot!(scene.run(line), @r"
    exit 1
    --- stdout
    --- stderr
    error: labels: `labels.csv` has no column `event_timestamp`

    hint: there is `at`, `driver_id`, `tipped`
    ");
    scene.write("labels.csv", LABELS.replace("2026-01-01T10:00:00Z", "10 o'clock"));
    assert_snapshot!(scene.run(line), @r#"
    exit 1
    --- stdout
    --- stderr
    error: label column `event_timestamp`, row 2: "10 o'clock" is not an instant

    hint: correct the row, or name the right column
    "#);
    scene.write("labels.csv", LABELS.replace("9,2026", "nine,2026"));
    assert_snapshot!(scene.run(line), @r#"
    exit 1
    --- stdout
    --- stderr
    error: label column `driver_id`, row 4: "nine" is not a whole number

    hint: correct the row, or name the right column
    "#);
    scene.write("labels.csv", LABELS.replace(",true", ",true,1"));
    assert_snapshot!(scene.run(line), @"
    exit 1
    --- stdout
    --- stderr
    error: `labels.csv` is not a readable CSV file: row 2 (line 3): the row has 4 fields, the header has 3

    hint: mend the file at that place and run again
    ");
    assert!(!scene.path().join("out.csv").exists());
}

/// Goal: two output columns of one name are refused, with the way out.
#[test]
fn equal_names() {
    let scene = Scene::loaded();
    scene.write("labels.csv", LABELS.replace("tipped", "rating"));
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o out.csv"), @r"
    exit 1
    --- stdout
    --- stderr
    error: the output has two columns named `rating`: the label table and feature `rating` of view `trips@1`

    hint: ask for `--full-names`, or give one of the views an alias with `as:`
    ");
    scene.write(
        "more.yaml",
        "feature_services:\n  twice:\n    features:\n      - trips: [rating]\n      - trips: [rating]\n        as: other\n        keys: { driver_id: other_id }\n",
    );
    scene.does("apply");
    assert_snapshot!(scene.run("train --labels labels.csv --service twice -o out.csv"), @r"
    exit 1
    --- stdout
    --- stderr
    error: the answer has two features named `rating`: feature `rating` of view `trips@1` and feature `rating` of view `trips@1` as `other`

    hint: ask for full names, or give one of the views an alias
    ");
}

/// Goal: an output that can't be written fails with the reason, and leaves nothing behind.
#[test]
fn bad_outputs() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o nowhere/out.csv"), @"
    exit 1
    --- stdout
    --- stderr
    error: cannot write `nowhere/out.csv`
      caused by: No such file or directory (os error 2)

    hint: create the folder first
    ");
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o out.xlsx"), @"
    exit 1
    --- stdout
    --- stderr
    error: output: the format of `out.xlsx` is not told by its suffix

    hint: name it with `.parquet` or `.csv`
    ");
    assert_snapshot!(scene.run("train --labels labels.csv --service ranking -o /proc/out.csv"), @"
    exit 1
    --- stdout
    --- stderr
    error: cannot write `/proc/out.csv`
      caused by: No such file or directory (os error 2)

    hint: create the folder first
    ");
    assert!(!scene.path().join("nowhere").exists());
}

/// Goal: label rows come out of a query over label files, or over sources of the project, in an order that depends on them
/// alone.
#[test]
fn labels_by_sql() {
    let scene = Scene::loaded();
    scene
        .write("seven.sql", "select driver_id, event_timestamp, tipped as y from source where driver_id = 7");
    scene.does("train --labels labels.csv --labels-sql @seven.sql --service ranking -o out.csv");
    assert_snapshot!(scene.read("out.csv"), @"
    driver_id,event_timestamp,y,trip_count,rating
    7,2026-01-01T09:59:59Z,false,,
    7,2026-01-01T10:00:00Z,true,3,4.5
    7,2026-01-03T00:00:00Z,true,5,
    ");
    scene.write(
        "days.sql",
        "select driver_id, max(event_timestamp) as at, count(*) as trips from trips_table group by driver_id",
    );
    scene.does("train --labels-sql @days.sql --timestamp at --service ranking -o out.csv");
    assert_snapshot!(scene.read("out.csv"), @"
    driver_id,at,trips,trip_count,rating
    7,2026-01-02T10:00:00Z,2,5,
    8,2026-01-01T10:00:00Z,1,1,2.25
    ");
    let json =
        scene.json("train --labels-sql @days.sql --timestamp at --service ranking -o set --format json");
    assert_eq!(json["files"][0]["rows"], json["rows"]);
    for (sql, options) in [
        ("select driver_id, event_timestmp from source", "--labels labels.csv"),
        ("select driver_id from source", "--labels labels.csv"),
        ("select driver_id, event_timestamp from trip", ""),
        ("select driver_id, event_timestamp from source", ""),
        ("select driver_id, event_timestamp, 1 / (driver_id - 7) as y from source", "--labels labels.csv"),
        ("delete from trips", ""),
    ] {
        scene.write("wrong.sql", sql);
        let line = format!("train {options} --labels-sql @wrong.sql --service ranking -o out.csv");
        assert_snapshot!(scene.run(&line));
    }
    assert_snapshot!(scene.run("train --labels-sql @gone.sql --service ranking -o out.csv"), @"
    exit 1
    --- stdout
    --- stderr
    error: cannot read `gone.sql`: No such file or directory (os error 2)
    ");
    assert_snapshot!(scene.run("train --service ranking -o out.csv"), @"
    exit 2
    --- stdout
    --- stderr
    error: the following required arguments were not provided:
      --labels <FILE>

    Usage: asof train --output <FILE> --labels <FILE> <--service <SERVICE>|--features <VIEW:FEATURE>>

    For more information, try '--help'.
    ");
}

/// Goal: a folder holds training and validation apart, by time or by key, and what a file can't have is refused with the
/// way out.
#[test]
fn folders() {
    let scene = Scene::loaded();
    let rows = |line: &str| {
        let report = scene.json(&format!("train --labels labels.csv --service ranking --format json {line}"));
        let files = report["files"].as_array().unwrap().iter();
        files.map(|file| format!("{} {}", file["path"].as_str().unwrap(), file["rows"])).collect::<Vec<_>>()
    };
    let by_time = rows("-o set --split-since 2026-01-02");
    assert_eq!(by_time, ["train/part-00000.parquet 2", "validation/part-00000.parquet 2"]);
    let by_value = rows("-o set/ --partition-by tipped --file-rows 1");
    assert_eq!(by_value.len(), 4, "{by_value:?}");
    assert!(by_value[0].starts_with("tipped=false/part-00000.parquet"), "{by_value:?}");
    assert_eq!(rows("-o set --split-share 1 --split-key driver_id"), ["validation/part-00000.parquet 4"]);
    assert!(scene.path().join("set.statistics.json").is_file());
    assert!(!scene.path().join("set/train").exists(), "an earlier training set is gone");
    assert_snapshot!(scene.masked("train --labels labels.csv --service ranking --no-statistics -o set --split-since 2026-01-02"), @"
    exit 0
    --- stdout
    view     labels  matched  expired  missing  differs from served  of these bulk
    trips@1       4        2        0        2                    2              2

    `set`: 4 rows, 5 columns, 2 files (2 to train, 2 to validate), [SIZE] in [SECONDS] (known at: event), recorded in `[DIR]/.asof/training/[NOW]-set.json`
    --- stderr
    `trips@1`: 2 of 4 rows differ from what serving could have answered at the label's time. Their rows came with the first load of old data: this store has them since [NOW], the last label is of 2026-01-03T00:00:00Z, so nobody could have been served them then. That is normal for a first (bulk) load; it is reported so that a real leak can't hide in it.
    ");
    for line in [
        "-o out.parquet --split-share 0.2",
        "-o out.txt",
        "-o set --split-share 0.2 --split-key driver",
        "-o set --split-share 2",
        "-o set --partition-by tip",
        "-o data",
        "-o .",
    ] {
        assert_snapshot!(scene.run(&format!("train --labels labels.csv --service ranking {line}")));
    }
}
