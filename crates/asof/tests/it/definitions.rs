//! `plan`, `apply`, `list` and `show`.

use insta::assert_snapshot;

use crate::support::Scene;

/// Goal: a plan changes nothing; an apply does what it said, and doing it again nothing.
#[test]
fn plan_and_apply() {
    let scene = Scene::project();
    assert_snapshot!(scene.run("plan"), @r"
    exit 0
    --- stdout
    + driver       entity: driver_id: int64
    + trips_table  source: data/trips.csv
    + trips@1      view: 2 features, entity `driver`, no ttl
    + ranking      service: trips@1: trip_count, rating
    4 changes to apply (registry revision 0)
    --- stderr
    ");
    assert!(!scene.path().join(".asof").exists());
    assert_snapshot!(scene.run("list"), @r"
    exit 1
    --- stdout
    --- stderr
    error: nothing has been applied to project `fleet` yet

    hint: run `asof apply`
    ");
    assert_snapshot!(scene.run("apply"), @r"
    exit 0
    --- stdout
    + driver       entity: driver_id: int64
    + trips_table  source: data/trips.csv
    + trips@1      view: 2 features, entity `driver`, no ttl
    + ranking      service: trips@1: trip_count, rating
    4 changes applied in [SECONDS] (registry revision 1)
    --- stderr
    ");
    assert_snapshot!(scene.run("apply"), @r"
    exit 0
    --- stdout
    nothing to change (registry revision 1)
    --- stderr
    ");
    assert_snapshot!(scene.run("plan"), @r"
    exit 0
    --- stdout
    nothing to change (registry revision 1)
    --- stderr
    ");
    assert_snapshot!(scene.run("plan --format json"), @r#"
    exit 0
    --- stdout
    {
      "revision": 1,
      "changes": [],
      "kept": [],
      "warnings": []
    }
    --- stderr
    "#);
}

/// Goal: what was applied is listed and shown, for people and programs.
#[test]
fn list_and_show() {
    let scene = Scene::applied();
    assert_snapshot!(scene.run("list"), @r"
    exit 0
    --- stdout
    kind     name         owner  what it is made of
    entity   driver       -      driver_id: int64
    source   trips_table  -      data/trips.csv
    view     trips@1      fleet  2 features, entity `driver`, no ttl
    service  ranking      -      trips@1: trip_count, rating
    --- stderr
    ");
    assert_snapshot!(scene.run("show trips"), @r"
    exit 0
    --- stdout
    kind: view
    name: trips@1
    definition:
      id:
        name: trips
        version: 1
      entities:
        - driver
      source: trips_table
      features:
        - name: trip_count
          type: int64
        - name: rating
          type: float64
      owner: fleet
    created_revision: 1
    updated_revision: 1
    created_at: [NOW]
    updated_at: [NOW]
    semantic_hash: [HASH]
    history: [DIR]/.asof/history/trips/v1-[HASH]
    active: false
    --- stderr
    ");
    assert_snapshot!(scene.run("show trps"), @r"
    exit 1
    --- stdout
    --- stderr
    error: there is no object `trps`

    hint: did you mean `trips`?
    ");
    assert_snapshot!(scene.run("show ranking --format json"), @r#"
    exit 0
    --- stdout
    [
      {
        "kind": "service",
        "name": "ranking",
        "definition": {
          "name": "ranking",
          "joins": [
            {
              "view": "trips",
              "version": 1,
              "pinned": false,
              "features": {
                "named": [
                  "trip_count",
                  "rating"
                ]
              }
            }
          ]
        },
        "created_revision": 1,
        "updated_revision": 1,
        "created_at": "[NOW]",
        "updated_at": "[NOW]"
      }
    ]
    --- stderr
    "#);
    let listed = scene.json("list --format json");
    assert_eq!(listed[0]["kind"], "entity");
    assert_eq!(listed[0]["name"], "driver");
}

/// Goal: a feature may be added to a version.
#[test]
fn added_feature() {
    let scene = Scene::applied();
    scene.edit("features.yaml", "rating: float64\n", "rating: float64\n      trip_hours: float64\n");
    assert_snapshot!(scene.run("apply"), @r"
    exit 0
    --- stdout
    ~ trips@1  view: features.trip_hours: float64, answers when it is backfilled
    1 change applied in [SECONDS] (registry revision 2)
    --- stderr
    ");
}

/// Goal: an edit that changes bytes is refused with the line to write, by `plan` too, and that line works.
#[test]
fn breaking_edit() {
    let scene = Scene::applied();
    scene.edit("features.yaml", "    owner: fleet\n", "    owner: fleet\n    ttl: 2h\n");
    assert_snapshot!(scene.run("plan"), @r"
    exit 1
    --- stdout
    --- stderr
    error: features.yaml:10:3: view `trips@1` is applied and would change:
      ttl: none -> 2h

    hint: keep `trips@1` as it was and write the change as a new version beside it: `trips@2:`
    ");
    assert_snapshot!(scene.run("apply"), @r"
    exit 1
    --- stdout
    --- stderr
    error: features.yaml:10:3: view `trips@1` is applied and would change:
      ttl: none -> 2h

    hint: keep `trips@1` as it was and write the change as a new version beside it: `trips@2:`
    ");
    scene.edit("features.yaml", "  trips:\n", "  trips@2:\n");
    assert_snapshot!(scene.run("apply"), @r"
    exit 0
    --- stdout
    + trips@2  view: 2 features, entity `driver`, ttl 2h
    kept, though no file defines it: `trips@1` (remove it with `asof apply --remove trips@1`)
    1 change applied in [SECONDS] (registry revision 2)
    --- stderr
    ");
}

/// Goal: what no file defines is kept and reported; it goes when it is named, unless it is in use or defined.
#[test]
fn removal() {
    let scene = Scene::applied();
    assert_snapshot!(scene.run("apply --remove ranking"), @r"
    exit 1
    --- stdout
    --- stderr
    error: `ranking` is still defined in the files

    hint: delete it there first, then remove it
    ");
    let text = scene.read("features.yaml");
    let (before, _) = text.split_once("feature_services:").expect("a section");
    scene.write("features.yaml", before);
    assert_snapshot!(scene.run("apply"), @r"
    exit 0
    --- stdout
    kept, though no file defines it: `ranking` (remove it with `asof apply --remove ranking`)
    nothing to change (registry revision 1)
    --- stderr
    ");
    assert_snapshot!(scene.run("apply --remove rankin"), @"
    exit 1
    --- stdout
    --- stderr
    error: there is no object `rankin` to remove

    hint: did you mean `ranking`?
    ");
    assert_snapshot!(scene.run("apply --remove ranking"), @r"
    exit 0
    --- stdout
    - ranking  service
    1 change applied in [SECONDS] (registry revision 2)
    --- stderr
    ");
    scene.write("features.yaml", "");
    assert_snapshot!(scene.run("apply --remove trips_table"), @"
    exit 1
    --- stdout
    --- stderr
    error: `trips_table` can't be removed: it is used by view `trips@1`

    hint: remove those in the same apply, or change them first
    ");
    assert_snapshot!(scene.run("apply --remove trips_table --remove trips --remove driver"), @r"
    exit 0
    --- stdout
    - driver       entity
    - trips_table  source
    - trips@1      view
    3 changes applied in [SECONDS] (registry revision 3)
    --- stderr
    ");
}

/// Goal: every mistake of the files is told with its place, at once.
#[test]
fn mistakes_in_files() {
    let scene = Scene::project();
    scene.edit("features.yaml", "trip_count: int64", "trip_count: int");
    scene.edit("features.yaml", "    source: trips_table", "    source: trip_table");
    scene.edit("features.yaml", "entities: [driver]", "entitys: [driver]");
    assert_snapshot!(scene.run("apply"), @r"
    exit 1
    --- stdout
    --- stderr
    error: features.yaml:11:5: unknown key `entitys` in view `trips@1`
    hint: did you mean `entities`?

    error: features.yaml:12:13: there is no source `trip_table`
    hint: did you mean `trips_table`?

    error: features.yaml:14:19: unknown type `int`
    hint: did you mean `int64`?
    ");
}

/// Goal: a file that is not YAML, or not text, is named with the place.
#[test]
fn not_yaml() {
    let scene = Scene::project();
    scene.write("more.yaml", "entities:\n  a: [1, 2\nb: }\n");
    assert_snapshot!(scene.run("plan"), @r"
    exit 1
    --- stdout
    --- stderr
    error: more.yaml:3:2: not YAML: invalid indentation
    ");
    scene.write("more.yaml", b"entities: \xff\n");
    assert_snapshot!(scene.run("plan"), @r"
    exit 1
    --- stdout
    --- stderr
    error: `more.yaml` is not UTF-8 text

    hint: save it as UTF-8
    ");
}

/// Goal: warnings are told on stderr, and silence is kept where asked for.
#[test]
fn warnings_and_quiet() {
    let scene = Scene::project();
    scene.edit("features.yaml", "    owner: fleet\n", "    ttl: 2h\n    keep: 1h\n");
    assert_snapshot!(scene.run("apply"), @r"
    exit 0
    --- stdout
    + driver       entity: driver_id: int64
    + trips_table  source: data/trips.csv
    + trips@1      view: 2 features, entity `driver`, ttl 2h
    + ranking      service: trips@1: trip_count, rating
    4 changes applied in [SECONDS] (registry revision 1)
    --- stderr
    warning: features.yaml:17:11: `keep` (1h) is shorter than `ttl` (2h), which then has no effect
    hint: past `keep` a row is MISSING, before it could be OUTSIDE_TTL
    ");
    assert_snapshot!(scene.run("apply --quiet"), @r"
    exit 0
    --- stdout
    nothing to change (registry revision 1)
    --- stderr
    ");
    let plan = scene.json("plan --format json");
    assert_eq!(plan["warnings"][0]["line"], 17);
}
