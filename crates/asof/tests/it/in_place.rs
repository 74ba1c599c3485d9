//! Views that read their source in place: for training only, without a copy.

use std::fmt::Write;

use insta::assert_snapshot;

use crate::support::{FEATURES, Scene};

/// A view that is loaded, and the same one read in place.
fn twins() -> String {
    let twin = "\
feature_views:
  trips_now:
    entities: [driver]
    source: trips_table
    in_place: true
    features:
      trip_count: int64
      rating: float64
";
    let services = "feature_services:\n  fresh:\n    features:\n      - trips_now: [rating]\n";
    FEATURES.replace("feature_views:\n", twin).replace("feature_services:\n", services)
}

const IN_PLACE: &str = "  trips@2:
    entities: [driver]
    source: trips_table
    in_place: true
    features: { trip_count: int64, rating: float64 }
feature_services";

fn scene() -> Scene {
    let scene = Scene::project();
    scene.write("features.yaml", twins());
    scene
}

/// Goal: the whole story of such a view: what it does, and that all else is refused or left out with the reason.
#[test]
fn story() {
    let scene = scene();
    assert_snapshot!(scene.run("apply"), @"
    exit 0
    --- stdout
    + driver       entity: driver_id: int64
    + trips_table  source: data/trips.csv
    + trips@1      view: 2 features, entity `driver`, no ttl
    + trips_now@1  view: 2 features, entity `driver`, no ttl, read in place
    + fresh        service: trips_now@1: rating
    + ranking      service: trips@1: trip_count, rating
    6 changes applied in [SECONDS] (registry revision 1)
    --- stderr
    ");
    assert_snapshot!(scene.masked("materialize"), @"
    exit 0
    --- stdout
    view     state   rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  loaded          3      3              0    0       0          0  210 B      1  [RATE]  [SECONDS]
    --- stderr
    `trips_now@1` reads its source in place, for training only: left out, there is nothing to load
    ");
    assert_snapshot!(scene.run("materialize trips_now"), @"
    exit 1
    --- stdout
    --- stderr
    error: view `trips_now@1` reads its source in place: nothing of it is loaded

    hint: train with it as it is
    ");
    assert_snapshot!(scene.run("train --labels labels.csv --service fresh -o out.csv"), @"
    exit 0
    --- stdout
    view         labels  matched  expired  missing  differs from served  of these bulk
    trips_now@1       4        2        0        2              unknown        unknown

    column           type      nulls  distinct                   min  p50                   max  mean  std
    driver_id        Utf8      0.0 %         2                     7                          9
    event_timestamp  Utf8      0.0 %         3  2026-01-01T09:59:59Z       2026-01-03T00:00:00Z
    tipped           Utf8      0.0 %         2                 false                       true
    rating           Float64  75.0 %         1                   4.5  4.5                   4.5   4.5

    `out.csv`: 4 rows, 4 columns, [SIZE] in [SECONDS] (known at: event), recorded in `[DIR]/.asof/training/[NOW]-out.json`
    --- stderr
    ");
    assert_snapshot!(scene.read("out.csv"), @"
    driver_id,event_timestamp,tipped,rating
    7,2026-01-01T09:59:59Z,false,
    7,2026-01-01T10:00:00Z,true,4.5
    7,2026-01-03T00:00:00Z,true,
    9,2026-01-03T00:00:00Z,false,
    ");
    let report = scene.json("train --labels labels.csv --service fresh -o out.csv --format json");
    let view = &report["views"][0];
    assert!(view["differs_from_served"].is_null() && view["of_these_bulk"].is_null(), "{view}");
    assert_eq!((&view["in_place"]["files"], &view["in_place"]["rows"]), (&1.into(), &3.into()), "{view}");
    assert_snapshot!(scene.run("train --labels labels.csv --service fresh -o out.csv --known-at served"), @"
    exit 1
    --- stdout
    --- stderr
    error: view `trips_now@1` reads its source in place: its rows were never published, so nobody knows what was served

    hint: train with `--known-at created`
    ");
    assert_snapshot!(scene.run("get --features trips_now:rating driver_id=7"), @"
    exit 1
    --- stdout
    --- stderr
    error: view `trips_now@1` reads its source in place: it is for training only, and nothing of it is served

    hint: to serve it, define `trips_now@2` without `in_place`
    ");
    assert_snapshot!(scene.run("get --service fresh driver_id=7"), @"
    exit 1
    --- stdout
    --- stderr
    error: view `trips_now@1` reads its source in place: it is for training only, and nothing of it is served

    hint: to serve it, define `trips_now@2` without `in_place`
    ");
    assert_snapshot!(scene.run("verify"), @"
    exit 0
    --- stdout
    view     answers    keys  values  identical  differing
    trips@1  asked now     2       4          4          0

    `trips_now@1` reads its source in place and is not served: left out
    4 of 4 values are byte-identical
    --- stderr
    ");
    assert_snapshot!(scene.run("verify trips_now"), @"
    exit 0
    --- stdout
    view  answers  keys  values  identical  differing

    `trips_now@1` reads its source in place and is not served: left out
    --- stderr
    ");
    let status = scene.does("status trips_now");
    let (table, _) = status.split_once("\n\n").unwrap();
    assert_snapshot!(table, @"
    view         rows  files  bytes  units  bad  online  newest event  last load      fresh
    trips_now@1     0      0    0 B      0    0       0  -             read in place  -
    ");
    scene.does("compact");
    scene.does("vacuum");
    assert_snapshot!(scene.masked("forget driver driver_id=8 --yes"), @"
    exit 0
    --- stdout
    view     rows  files rewritten  files removed  online keys  set aside  answers
    trips@1     1                1              1            1          0        0

    forgotten up to [NOW]
    --- stderr
    loads leave the key out of the source's files from now on; the files themselves are not changed
    training sets that were written before are not changed: make them again, or delete them
    not covered, since they read their source's files in place, which are yours to change: `trips_now@1`
    ");
}

/// Goal: a server answers no request that holds such a feature, in either shape, and all others.
#[test]
fn no_serving() {
    let scene = scene();
    scene.does("apply");
    scene.does("materialize");
    let server = scene.serve();
    let answer = scene.ask(&server, r#"{"service":"fresh","entities":[{"driver_id":7}]}"#);
    assert_snapshot!(answer.to_string(), @r#"
    {"error":{"kind":"invalid","message":"view `trips_now@1` reads its source in place: it is for training only, and nothing of it is served","hint":"to serve it, define `trips_now@2` without `in_place`"}}
    "#);
    let both = r#"{"features":["trips:rating","trips_now:rating"],"full_feature_names":true,"entities":{"driver_id":[7]}}"#;
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.post(format!("http://{}/get-online-features", server.address)).send(both).unwrap();
    assert_eq!(answer.status(), 422);
    assert_snapshot!(answer.body_mut().read_to_string().unwrap(), @r#"
    "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"view `trips_now@1` reads its source in place: it is for training only, and nothing of it is served (to serve it, define `trips_now@2` without `in_place`)\"}"
    "#);
    let answer = scene.ask(&server, r#"{"service":"ranking","entities":[{"driver_id":7}]}"#);
    assert!(answer.get("error").is_none(), "{answer}");
}

/// Goal: rows are read when a training set is made: bad ones are counted with the first reason, and nothing is kept.
#[test]
fn read_anew() {
    let scene = scene();
    scene.does("apply");
    let line = "train --labels labels.csv --service fresh -o out.csv";
    scene.does(line);
    let added = "9,2026-01-02T00:00:00Z,2026-01-02T00:00:00Z,1,1.5\n9,soon,2026-01-02T00:00:00Z,1,1\n\
                 ,2026-01-02T00:00:00Z,2026-01-02T00:00:00Z,1,1\n7,2026-01-02T12:00:00Z,2026-01-02T12:00:00Z,1,x\n";
    scene.write("data/trips.csv", scene.read("data/trips.csv") + added);
    assert_snapshot!(scene.run(&format!("{line} --status")), @r#"
    exit 0
    --- stdout
    view         labels  matched  expired  missing  differs from served  of these bulk
    trips_now@1       4        3        0        1              unknown        unknown

    column           type      nulls  distinct                   min  p50                   max  mean     std
    driver_id        Utf8      0.0 %         2                     7                          9
    event_timestamp  Utf8      0.0 %         3  2026-01-01T09:59:59Z       2026-01-03T00:00:00Z
    tipped           Utf8      0.0 %         2                 false                       true
    rating           Float64  50.0 %         2                   1.5  1.5                   4.5     3  2.1213
    rating__status   Utf8      0.0 %         3                 ERROR                    PRESENT

    `out.csv`: 4 rows, 5 columns, [SIZE] in [SECONDS] (known at: event), recorded in `[DIR]/.asof/training/[NOW]-out.json`
    --- stderr
    `trips_now@1`: 2 bad rows left out; first: [DIR]/data/trips.csv row 5 (line 6): the event time: "soon" is not an instant
    `trips_now@1`: feature `rating` could not be read in 1 row and is ERROR there; first: [DIR]/data/trips.csv row 7 (line 8): "x" is not a float64
    "#);
    assert_snapshot!(scene.read("out.csv"), @"
    driver_id,event_timestamp,tipped,rating,rating__status
    7,2026-01-01T09:59:59Z,false,,MISSING
    7,2026-01-01T10:00:00Z,true,4.5,PRESENT
    7,2026-01-03T00:00:00Z,true,,ERROR
    9,2026-01-03T00:00:00Z,false,1.5,PRESENT
    ");
    assert!(!scene.path().join(".asof/quarantine").exists());
    std::fs::remove_file(scene.path().join("data/trips.csv")).unwrap();
    assert_snapshot!(scene.run(line), @"
    exit 1
    --- stdout
    --- stderr
    error: source `trips_table`: there is no file or folder `[DIR]/data/trips.csv`

    hint: relative paths of definitions start at the project's folder
    ");
}

/// Goal: a version in place is another computation than one that is loaded, and stands beside it.
#[test]
fn another_version() {
    let scene = Scene::loaded();
    scene.edit("features.yaml", "    owner: fleet", "    in_place: true");
    assert_snapshot!(scene.run("apply"), @"
    exit 1
    --- stdout
    --- stderr
    error: features.yaml:10:3: view `trips@1` is applied and would change:
      in_place: none -> true

    hint: keep `trips@1` as it was and write the change as a new version beside it: `trips@2:`
    ");
    // Beside one that is loaded: the bare name goes on to mean that one, and serving goes on.
    scene.write("features.yaml", FEATURES.replace("feature_services", IN_PLACE));
    scene.does("apply");
    assert_snapshot!(scene.run("materialize trips"), @"
    exit 0
    --- stdout
    view     state      rows read  added  already there  bad  errors  conflicts  bytes  units  rows/s  seconds
    trips@1  unchanged          0      0              0    0       0          0    0 B      0  [RATE]  [SECONDS]
    --- stderr
    `trips@1`: nothing to do, these very files were loaded before
    `trips@2` reads its source in place, for training only: left out, there is nothing to load
    ");
    assert_snapshot!(scene.does("get --features trips:rating driver_id=8"), @"
    t = [NOW]

    feature  value  status   event
    rating   2.25   PRESENT  2026-01-01T10:00:00Z
    ");
    assert_snapshot!(scene.does("train --labels labels.csv --features trips@2:rating -o out.csv"), @"
    view     labels  matched  expired  missing  differs from served  of these bulk
    trips@2       4        2        0        2              unknown        unknown

    column           type      nulls  distinct                   min  p50                   max  mean  std
    driver_id        Utf8      0.0 %         2                     7                          9
    event_timestamp  Utf8      0.0 %         3  2026-01-01T09:59:59Z       2026-01-03T00:00:00Z
    tipped           Utf8      0.0 %         2                 false                       true
    rating           Float64  75.0 %         1                   4.5  4.5                   4.5   4.5

    `out.csv`: 4 rows, 4 columns, [SIZE] in [SECONDS] (known at: event), recorded in `[DIR]/.asof/training/[NOW]-out.json`
    ");
}

/// Goal: in place and loaded make the same training set, byte for byte: ties, bad rows and values, ttl, keep, defaults,
/// aliases, several files, queries before the rows.
#[test]
fn the_same_as_loaded() {
    let scene = Scene::empty();
    scene.write("asof.toml", "project = \"fleet\"\n");
    let mut text = String::from("entities:\n  driver:\n    keys: { driver_id: int64 }\nsources:\n");
    let source = "{ path: data/*.csv, event: event_timestamp, created: created_timestamp";
    let query = "select *, trip_count * 3 as total from source where driver_id <> 5";
    writeln!(text, "  plain: {source}, fields: {{ trips: total }} }}").unwrap();
    writeln!(text, "  queried: {source}, sql: \"{query}\" }}").unwrap();
    let query = "select driver_id, event_timestamp, max(trip_count) as trip_count, max(rating) as rating, \
                 max(trips) as total from source group by driver_id, event_timestamp";
    let source = "{ path: data/*.csv, event: event_timestamp";
    writeln!(text, "  grouped: {source}, sql: \"{query}\" }}\nfeature_views:").unwrap();
    for source in ["plain", "queried", "grouped"] {
        for (place, key) in [("loaded", ""), ("direct", "in_place: true, ")] {
            let features = "{ trip_count: int64, rating: { type: float64, default: 0.5 }, total: int64 }";
            writeln!(
                text,
                "  {source}_{place}: {{ entities: driver, source: {source}, {key}ttl: 3d, keep: 9d, features: {features} }}"
            )
            .unwrap();
        }
    }
    text.push_str("feature_services:\n");
    for place in ["loaded", "direct"] {
        writeln!(text, "  {place}:\n    features:").unwrap();
        for (alias, source, keys) in
            [("one", "plain", "driver_id"), ("two", "plain", "other_id"), ("three", "queried", "driver_id")]
        {
            writeln!(text, "      - {source}_{place}: \"*\"\n        as: {alias}").unwrap();
            writeln!(text, "        keys: {{ driver_id: {keys} }}").unwrap();
        }
        // Ties that only whole rows can rank.
        writeln!(text, "  {place}_ratings:\n    features:\n      - plain_{place}: [rating]").unwrap();
        writeln!(text, "  {place}_grouped:\n    features:\n      - grouped_{place}: \"*\"").unwrap();
    }
    scene.write("features.yaml", text);
    for file in 0..2 {
        let mut rows = "driver_id,event_timestamp,created_timestamp,trip_count,rating,trips\n".to_owned();
        for row in file * 300..file * 300 + 400_usize {
            let (day, late) = (row * 13 % 20 + 1, row * 7 % 2);
            let event = if row % 89 == 0 { "soon".to_owned() } else { format!("2026-01-{day:02}T10:00:00Z") };
            let rating = match row % 11 {
                0 => "bad".to_owned(),
                1 => String::new(),
                _ => format!("{}", row * 17 % 10),
            };
            let (driver, trips) = (row * 5 % 13, row * 31 % 7);
            writeln!(rows, "{driver},{event},2026-01-{:02}T00:00:00Z,{trips},{rating},{row}", day + late + 1)
                .unwrap();
        }
        scene.write(&format!("data/{file}.csv"), rows);
    }
    let mut labels = "driver_id,other_id,event_timestamp\n".to_owned();
    for label in 0..500 {
        let (driver, other) = (label % 15, label * 7 % 14);
        let (day, hour) = (label * 11 % 31 + 1, label * 3 % 24);
        writeln!(labels, "{driver},{other},2026-01-{day:02}T{hour:02}:00:00Z").unwrap();
    }
    scene.write("labels.csv", labels);
    scene.does("apply");
    scene.does("materialize");
    for service in ["", "_ratings", "_grouped"] {
        // What a query over all rows gives is known from its snapshot on, long behind these labels.
        for known_at in
            ["event", "created"].into_iter().filter(|what| (service, *what) != ("_grouped", "created"))
        {
            for expired in ["", "--include-expired"] {
                let train = |place: &str| {
                    let wanted = format!("--service {place}{service} --full-names --status {expired}");
                    scene.does(&format!(
                        "train --labels labels.csv {wanted} --known-at {known_at} -o {place}.csv"
                    ));
                    scene.read(&format!("{place}.csv"))
                };
                let (loaded, direct) = (train("loaded"), train("direct"));
                let head = |text: &str| text.lines().next().map(|line| line.replace("direct", "loaded"));
                assert_eq!(head(&loaded), head(&direct));
                let rows = |text: &str| text.split_once('\n').map(|(_, rows)| rows.to_owned());
                assert_eq!(rows(&loaded), rows(&direct), "{service} {known_at} {expired}");
                // The greatest of a group is no null.
                for status in ["PRESENT", "NULL", "MISSING", "OUTSIDE_TTL", "ERROR"] {
                    assert!(loaded.contains(status) || (service, status) == ("_grouped", "NULL"), "{status}");
                }
            }
        }
    }
}
