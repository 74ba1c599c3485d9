//! Definitions that are YAML and wrong: each message in its place, with its hint.

use asof_model::definition::{self, PROBLEMS_MAX, SourceFile};
use insta::assert_snapshot;

use crate::{problems, problems_alone, shown};

/// Goal: unknown sections, objects that are no mappings, and unknown keys are met with the nearest known one.
#[test]
fn shapes_and_keys() {
    assert_snapshot!(problems_alone("- entities\n"), @"
    refused
    features.yaml:1:1: definitions are a mapping, and this is a list
      hint: begin with a section, such as `entities:`
    ");
    assert_snapshot!(problems_alone("entitys:\n  driver: { keys: { id: int64 } }\n"), @"
    refused
    features.yaml:1:1: unknown section `entitys`
      hint: did you mean `entities`?
    ");
    assert_snapshot!(problems_alone("entities:\n  - driver\n"), @"
    refused
    features.yaml:2:3: `entities` is a mapping from names to definitions, and this is a list
    ");
    assert_snapshot!(problems_alone("entities:\n  driver: int64\n  rider:\n"), @"
    refused
    features.yaml:2:11: entity `driver` is a mapping, and this is text
    features.yaml:3:3: entity `rider` is a mapping, and this is nothing
    ");
    assert_snapshot!(problems("entities:\n  rider: { keys: { id: int64 }, descripton: x, color: red }\n"), @"
    refused
    features.yaml:2:33: unknown key `descripton` in entity `rider`
      hint: did you mean `description`?
    features.yaml:2:48: unknown key `color` in entity `rider`
      hint: there is `description`, `keys`, `owner`, `tags`
    ");
    assert_snapshot!(problems("entities:\n  rider: { keys: { id: int64 }, owner: , description: [x], tags: [pii] }\n"), @"
    refused
    features.yaml:2:33: `owner` has no value
    features.yaml:2:55: `description` is text, and this is a list
    features.yaml:2:60: `tags` is a mapping, and this is a list
      hint: write `tags: { name: value }`
    ");
}

/// Goal: names are checked wherever one is given, with the reason.
#[test]
fn names() {
    assert_snapshot!(problems("
entities:
  2fast: { keys: { k: int64 } }
  __rider: { keys: { __k: int64 } }
  rider-x: { keys: { 'a b': int64, created_timestamp: timestamp } }
"), @"
    refused
    features.yaml:3:3: `2fast` is not a valid entity name
      hint: a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`
    features.yaml:4:3: `__rider` is not a valid entity name
      hint: names that start with `__` belong to Asof
    features.yaml:4:22: `__k` is not a valid join key name
      hint: names that start with `__` belong to Asof
    features.yaml:5:3: `rider-x` is not a valid entity name
      hint: a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`
    features.yaml:5:22: `a b` is not a valid join key name
      hint: a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`
    features.yaml:5:36: join key `created_timestamp` has the name of a column of history
      hint: history has `event_timestamp`, `created_timestamp` of its own
    ");
    assert_snapshot!(problems("
feature_views:
  bad-view: { source: trips_table, features: { f: bool } }
  trips@0: { source: trips_table, features: { f: bool } }
  trips@x: { source: trips_table, features: { f: bool } }
  trips@3@4: { source: trips_table, features: { f: bool } }
  __ours: { source: trips_table, features: { __f: bool, event_timestamp: timestamp, f.g: bool } }
"), @"
    refused
    features.yaml:3:3: `bad-view` is not a valid view name
      hint: a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`
    features.yaml:4:3: `trips@0` is not a version of a view
      hint: a version is a number from 1 on: `trips@2`
    features.yaml:5:3: `trips@x` is not a version of a view
      hint: a version is a number from 1 on: `trips@2`
    features.yaml:6:3: `trips@3@4` is not a version of a view
      hint: a version is a number from 1 on: `trips@2`
    features.yaml:7:3: `__ours` is not a valid view name
      hint: names that start with `__` belong to Asof
    features.yaml:7:46: `__f` is not a valid feature name
      hint: names that start with `__` belong to Asof
    features.yaml:7:57: feature `event_timestamp` has the name of a column of history
      hint: history has `event_timestamp`, `created_timestamp` of its own
    features.yaml:7:85: `f.g` is not a valid feature name
      hint: a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`
    ");
    let long = format!("entities:\n  {}: {{ keys: {{ k: int64 }} }}\n", "a".repeat(129));
    assert_snapshot!(problems(&long), @"
    refused
    features.yaml:2:3: `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...` is not a valid entity name
      hint: a name has at most 128 bytes
    ");
}

/// Goal: a name belongs to one object of the project, across files and kinds; versions of a view share theirs.
#[test]
fn unique_names() {
    assert_snapshot!(problems("entities:\n  driver: { keys: { id: int64 } }\n"), @"
    refused
    features.yaml:2:3: entity `driver` is already defined at base.yaml:3:3
      hint: names are unique in a project; rename or remove one of the two
    ");
    assert_snapshot!(problems("sources:\n  driver: { path: a.csv, event: t }\n"), @"
    refused
    features.yaml:2:3: `driver` is already the name of entity `driver` at base.yaml:3:3
      hint: names are unique in a project, across all kinds
    ");
    assert_snapshot!(problems("feature_services:\n  trips: { features: [trips] }\n"), @"
    refused
    features.yaml:2:3: `trips` is already the name of view `trips@1` at base.yaml:8:3
      hint: names are unique in a project, across all kinds
    ");
    assert_snapshot!(problems("feature_views:\n  trips@1: { source: trips_table, features: { f: bool } }\n"), @"
    refused
    features.yaml:2:3: view `trips@1` is already defined at base.yaml:8:3
      hint: a view without a version is version 1; a new version would be `trips@3`
    ");
}

/// Goal: an entity has join keys of types that can be keys.
#[test]
fn entities() {
    assert_snapshot!(problems("entities:\n  rider: { owner: me }\n"), @"
    refused
    features.yaml:2:3: entity `rider` has no `keys`
      hint: name its join key: `keys: { driver_id: int64 }`
    ");
    assert_snapshot!(problems("entities:\n  rider: { keys: {} }\n"), @"
    refused
    features.yaml:2:12: entity `rider` has no join key
    ");
    assert_snapshot!(problems("entities:\n  rider: { keys: [id] }\n"), @"
    refused
    features.yaml:2:12: `keys` is a mapping, and this is a list
      hint: write `keys: { driver_id: int64 }`
    ");
    assert_snapshot!(problems("entities:\n  rider: { keys: { id: float64, day: date } }\n"), @"
    refused
    features.yaml:2:24: a join key cannot be float64
      hint: a join key is one of `int32`, `int64`, `string`, `bool`, `bytes`, `timestamp`, `uuid`
    features.yaml:2:38: a join key cannot be date
      hint: a join key is one of `int32`, `int64`, `string`, `bool`, `bytes`, `timestamp`, `uuid`
    ");
    assert_snapshot!(problems("entities:\n  rider: { keys: { id: , b: { type: int64 } } }\n"), @"
    refused
    features.yaml:2:20: the type of join key `id` has no value
    features.yaml:2:29: the type of join key `b` is text, and this is a mapping
    ");
}

/// Goal: an unknown type is met with the one that is meant.
#[test]
fn types() {
    let view = |types: &str| {
        let features: String =
            types.split(' ').map(|each| format!("      f_{}: {each}\n", each.to_lowercase())).collect();
        problems(&format!("feature_views:\n  v:\n    source: trips_table\n    features:\n{features}"))
    };
    assert_snapshot!(view("int double float str text datetime boolean"), @"
    refused
    features.yaml:5:14: unknown type `int`
      hint: did you mean `int64`?
    features.yaml:6:17: unknown type `double`
      hint: did you mean `float64`?
    features.yaml:7:16: unknown type `float`
      hint: did you mean `float64`?
    features.yaml:8:14: unknown type `str`
      hint: did you mean `string`?
    features.yaml:9:15: unknown type `text`
      hint: did you mean `string`?
    features.yaml:10:19: unknown type `datetime`
      hint: did you mean `timestamp`?
    features.yaml:11:18: unknown type `boolean`
      hint: did you mean `bool`?
    ");
    assert_snapshot!(view("decimal list(json) embedding(0) lst(int64) array uid"), @"
    refused
    features.yaml:5:18: `decimal` is not a type: write its digits, and those behind the point: `decimal(10, 2)`
    features.yaml:6:7: `f_list(json)` is not a valid feature name
      hint: a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`
    features.yaml:6:21: `list(json)` is not a type: the items of a list are scalars
    features.yaml:7:7: `f_embedding(0)` is not a valid feature name
      hint: a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`
    features.yaml:7:23: `embedding(0)` is not a type: an embedding has 1 to 16384 dimensions
    features.yaml:8:7: `f_lst(int64)` is not a valid feature name
      hint: a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`
    features.yaml:8:21: unknown type `lst(int64)`
      hint: did you mean `list(int64)`?
    features.yaml:9:16: unknown type `array`
      hint: did you mean `list(int64)`?
    features.yaml:10:14: unknown type `uid`
      hint: did you mean `uuid`?
    ");
    assert_snapshot!(problems(
        "feature_views: { v: { source: trips_table, features: { a: decimal(10, 2) } } }"
    ), @r#"
    refused
    features.yaml:1:59: `decimal(10` is not a type: a bracket is not closed
      hint: in braces, put a type with a comma in quotes: `{ price: "decimal(10, 2)" }`
    features.yaml:1:71: `2)` is not a valid feature name
      hint: a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`
    features.yaml:1:71: the type of feature `2)` has no value
    "#);
    assert_snapshot!(view("Int64 int46 strnig money"), @"
    refused
    features.yaml:5:16: unknown type `Int64`
      hint: did you mean `int64`?
    features.yaml:6:16: unknown type `int46`
      hint: did you mean `int64`?
    features.yaml:7:17: unknown type `strnig`
      hint: did you mean `string`?
    features.yaml:8:16: unknown type `money`
      hint: a type is one of `int32`, `int64`, `float32`, `float64`, `string`, `bool`, `bytes`, `timestamp`, `date`, `decimal(10, 2)`, `uuid`, `json`, `list(int64)`, `map(string, float64)`, `embedding(3)`
    ");
}

/// Goal: each key of a source holds what it must.
#[test]
fn sources() {
    assert_snapshot!(problems("sources:\n  s: {}\n"), @"
    refused
    features.yaml:2:3: source `s` has no `event`
      hint: add a line such as `event: event_timestamp`
    features.yaml:2:3: source `s` has no `path`
      hint: add a line such as `path: data/trips.parquet`
    ");
    assert_snapshot!(problems("sources:\n  s: { path: '', event: ' ' }\n"), @"
    refused
    features.yaml:2:14: `path` is empty
    features.yaml:2:25: `event` is empty
    ");
    assert_snapshot!(problems("sources:\n  s: { path: a, event: t, format: parqet, zone: Europe/Londn, unit: min }\n"), @"
    refused
    features.yaml:2:35: unknown format `parqet`
      hint: did you mean `parquet`?
    features.yaml:2:49: unknown zone `Europe/Londn`
      hint: zones have IANA names, such as `Europe/London`, or `UTC`
    features.yaml:2:69: unknown unit `min`
      hint: a unit is one of `s`, `ms`, `us`, `ns`
    ");
    assert_snapshot!(problems("sources:\n  s: { path: a, event: t, created: t }\n"), @"
    refused
    features.yaml:2:36: `created` names the same column as `event`: `t`
      hint: leave `created` out where the source does not say when it knew a row
    ");
    assert_snapshot!(problems("sources:\n  s: { path: a, event: ts, created: at, fields: { ts: event, at: known, x: event } }\n"), @"
    refused
    features.yaml:2:24: `event` names column `ts`, which `fields` renames
      hint: write `event: event`
    features.yaml:2:37: `created` names column `at`, which `fields` renames
      hint: write `created: known`
    features.yaml:2:76: columns `ts` and `x` are both named `event`
    ");
    assert_snapshot!(problems("sources:\n  s: { path: a, event: t, fields: { a: 'b c', d: , e: [x] } }\n"), @"
    refused
    features.yaml:2:40: `b c` is not a valid column name
      hint: a name begins with an ASCII letter or `_`, and goes on with letters, digits and `_`
    features.yaml:2:47: the new name of column `d` has no value
    features.yaml:2:55: the new name of column `e` is text, and this is a list
    ");
    // Two columns that change places are no mistake.
    assert_snapshot!(problems("sources:\n  s: { path: a, event: t, fields: { t: u, u: t } }\n"), @"
    read
    ");
}

/// Goal: each key of a view holds what it must, and durations know no months.
#[test]
fn views() {
    assert_snapshot!(problems("feature_views:\n  v: {}\n"), @"
    refused
    features.yaml:2:3: view `v@1` has no `features`
      hint: name at least one with its type: `features: { city: string }`
    features.yaml:2:3: view `v@1` has no `source`
      hint: name one of the section `sources`: `source: trips_table`
    ");
    assert_snapshot!(problems("feature_views:\n  v: { source: trips_table, features: {} }\n"), @"
    refused
    features.yaml:2:29: view `v@1` has no feature
      hint: name at least one with its type: `features: { city: string }`
    ");
    assert_snapshot!(problems("feature_views:\n  v: { source: trips_table, features: [city] }\n"), @"
    refused
    features.yaml:2:29: `features` is a mapping, and this is a list
      hint: write `features: { city: string }`
    ");
    assert_snapshot!(problems("
feature_views:
  v:
    source: trips_table
    ttl: 1 month
    keep: 0s
    freshness: 1.5h
    schedule: daily
    sunset: 2027-06-01T00:00:00
    features: { f: bool }
"), @"
    refused
    features.yaml:5:10: `ttl` is a duration, and `1 month` is not
      hint: a duration is a whole number and one of `w`, `d`, `h`, `m`, `s`, `ms`, such as `90d`; there are no months or years
    features.yaml:6:11: `keep` must be longer than zero
    features.yaml:7:16: `freshness` is a duration, and `1.5h` is not
      hint: a duration is a whole number and one of `w`, `d`, `h`, `m`, `s`, `ms`, such as `90d`; there are no months or years
    features.yaml:8:15: `schedule` is a cron line, and `daily` is not
      hint: five parts: minute, hour, day of month, month, day of week, such as `0 3 * * *`
    features.yaml:9:13: `sunset` is an instant, and `2027-06-01T00:00:00` is not
      hint: write RFC 3339 with an offset or `Z`, such as `2027-06-01T00:00:00Z`
    ");
    assert_snapshot!(problems("feature_views:\n  v: { source: trips_table, ttl: , sunset: soon, features: { f: } }\n"), @"
    refused
    features.yaml:2:29: `ttl` has no value
    features.yaml:2:44: `sunset` is an instant, and `soon` is not
      hint: write RFC 3339 with an offset or `Z`, such as `2027-06-01T00:00:00Z`
    features.yaml:2:62: the type of feature `f` has no value
    ");
    assert_snapshot!(problems("feature_views:\n  v: { source: trips_table, features: { f: { description: x }, g: { typ: bool, type: bool }, h: [bool] } }\n"), @"
    refused
    features.yaml:2:41: feature `f` has no `type`
      hint: write `f: { type: string }`
    features.yaml:2:69: unknown key `typ` in feature `g`
      hint: did you mean `type`?
    features.yaml:2:97: the type of feature `h` is text, and this is a list
    ");
}

/// Goal: a default fits the feature's type.
#[test]
fn defaults() {
    assert_snapshot!(problems("
feature_views:
  v:
    source: trips_table
    features:
      a: { type: int64, default: many }
      b: { type: int32, default: 3000000000 }
      c: { type: bool, default: yes }
      d: { type: string, default: }
      e: { type: string, default: ~ }
      f: { type: timestamp, default: 5 }
      g: { type: float64, default: [1] }
"), @r#"
    refused
    features.yaml:6:34: feature `a` cannot have this default: "many" is not a whole number
    features.yaml:7:34: feature `b` cannot have this default: "3000000000" is out of range for int32
    features.yaml:8:33: feature `c` cannot have this default: "yes" is not a bool
    features.yaml:9:26: the default of feature `d` is null
      hint: leave `default` out: a value that is not there is null anyway
    features.yaml:10:26: the default of feature `e` is null
      hint: leave `default` out: a value that is not there is null anyway
    features.yaml:11:38: feature `f` cannot have this default: 5 is not an instant
      hint: write RFC 3339, such as `2027-06-01T00:00:00Z`
    features.yaml:12:36: a default is one value, and this is a list
    "#);
}

/// Goal: what a view refers to exists, and its columns do not meet.
#[test]
fn view_references() {
    assert_snapshot!(problems("feature_views:\n  v: { entities: [drivr], source: trip_table, features: { f: bool } }\n"), @"
    refused
    features.yaml:2:19: there is no entity `drivr`
      hint: did you mean `driver`?
    features.yaml:2:35: there is no source `trip_table`
      hint: did you mean `trips_table`?
    ");
    assert_snapshot!(problems("feature_views:\n  v: { entities: [driver, driver, [x]], source: trips_table, features: { f: bool } }\n"), @"
    refused
    features.yaml:2:27: entity `driver` is listed twice
    features.yaml:2:35: an item of `entities` is text, and this is a list
    ");
    assert_snapshot!(problems("
entities:
  town: { keys: { city: string } }
feature_views:
  v: { entities: [place, town], source: trips_table, features: { street: string } }
"), @"
    refused
    features.yaml:5:26: entities `place` and `town` both have the join key `city`
      hint: give one of the two join keys another name
    features.yaml:5:66: feature `street` is a join key of the view
      hint: it comes from entity `place`; remove the feature
    ");
    assert_snapshot!(problems_alone("feature_views:\n  v: { entities: driver, source: trips_table, features: { f: bool } }\n"), @"
    refused
    features.yaml:2:18: there is no entity `driver`
      hint: the project defines no entity
    features.yaml:2:34: there is no source `trips_table`
      hint: the project defines no source
    ");
}

/// Goal: what a service refers to exists in the version it means.
#[test]
fn service_references() {
    assert_snapshot!(problems("feature_services:\n  s: { features: [trps, 'trips:rating', 'trips@1:stars', 'trips@3'] }\n"), @"
    refused
    features.yaml:2:19: there is no view `trps`
      hint: did you mean `trips`?
    features.yaml:2:25: view `trips@2` has no feature `rating`
      hint: there is `stars`, `trips`
    features.yaml:2:41: view `trips@1` has no feature `stars`
      hint: there is `rating`, `trips`
    features.yaml:2:41: view `trips` is joined twice by service `s`
      hint: give one of the two another name with `as`
    features.yaml:2:58: view `trips` has no version 3
      hint: there is `trips@1`, `trips@2`
    features.yaml:2:58: view `trips` is joined twice by service `s`
      hint: give one of the two another name with `as`
    ");
    assert_snapshot!(problems("
feature_services:
  s:
    features:
      - trips@1: [trips, ratng]
        keys: { driver: person }
"), @"
    refused
    features.yaml:5:26: view `trips@1` has no feature `ratng`
      hint: did you mean `rating`?
    features.yaml:6:17: view `trips@1` has no join key `driver`
      hint: did you mean `driver_id`?
    ");
    assert_snapshot!(problems("
feature_services:
  s:
    features:
      - trips@1: [trips]
      - trips@2: [trips]
      - trips: stars
        as: trips
"), @"
    refused
    features.yaml:6:9: view `trips` is joined twice by service `s`
      hint: give one of the two another name with `as`
    features.yaml:8:13: `trips` names two joins of service `s`
      hint: give one of the two another name with `as`
    ");
    assert_snapshot!(problems("
feature_views:
  v: { source: trips_table, features: { f: bool } }
feature_services:
  s:
    features:
      - v: f
        keys: { id: person, x: '' }
        as: __v
"), @"
    refused
    features.yaml:8:17: view `v@1` has no join key `id`
      hint: the view has no entities, so no join keys
    features.yaml:8:29: view `v@1` has no join key `x`
      hint: the view has no entities, so no join keys
    features.yaml:8:32: the column for join key `x` is empty
    features.yaml:9:13: `__v` is not a valid alias
      hint: names that start with `__` belong to Asof
    ");
}

/// Goal: a service's items have one of the forms they can have.
#[test]
fn service_shapes() {
    assert_snapshot!(problems("feature_services:\n  s: {}\n"), @r#"
    refused
    features.yaml:2:3: service `s` has no `features`
      hint: list the views that it joins: `- view: [feature, feature]`, `- view: "*"` or `- view:feature`
    "#);
    assert_snapshot!(problems("feature_services:\n  s: { features: [] }\n"), @r#"
    refused
    features.yaml:2:8: service `s` has no feature
      hint: list the views that it joins: `- view: [feature, feature]`, `- view: "*"` or `- view:feature`
    "#);
    assert_snapshot!(problems("feature_services:\n  s: { features: { trips: [trips] } }\n"), @r#"
    refused
    features.yaml:2:8: `features` of a service is a list, and this is a mapping
      hint: begin each view with `- `: `- view: [feature, feature]`, `- view: "*"` or `- view:feature`
    "#);
    assert_snapshot!(problems("
feature_services:
  s:
    features:
      - [trips]
      - as: x
      - trips:
      - trips: []
      - trips: { trips: int64 }
      - trips: [trips, trips, '*']
        sa: b
      - 'trips:'
      - trips@0
      - trips:a b
      - trips: '*'
        keys: [driver_id]
        as: [x]
"), @r#"
    refused
    features.yaml:5:9: an item of `features` is a list
      hint: write `- view: [feature, feature]`, `- view: "*"` or `- view:feature`
    features.yaml:6:9: the item names no view
      hint: write `- view: [feature, feature]`, `- view: "*"` or `- view:feature`
    features.yaml:7:9: `trips` lists no feature
      hint: write `- trips: "*"` for every feature
    features.yaml:8:9: `trips` lists no feature
      hint: write `- trips: "*"` for every feature
    features.yaml:9:9: the features of a view are a list, and this is a mapping
      hint: write `- view: [feature, feature]`, `- view: "*"` or `- view:feature`
    features.yaml:10:24: feature `trips` is listed twice
    features.yaml:10:31: `*` is every feature, and stands alone
    features.yaml:11:9: `sa` is a second key in one item
      hint: an item is one view, with `as` and `keys` beside it; begin the next view with `- `
    features.yaml:12:9: `trips:` names no feature
      hint: write `- view: [feature, feature]`, `- view: "*"` or `- view:feature`
    features.yaml:13:9: `trips@0` does not name a view
      hint: a view is `name`, or pinned to a version `name@2`
    features.yaml:14:9: view `trips@2` has no feature `a b`
      hint: there is `stars`, `trips`
    features.yaml:14:9: view `trips` is joined twice by service `s`
      hint: list its features in one item, or give one of the two another name with `as`
    features.yaml:15:9: view `trips` is joined twice by service `s`
      hint: list its features in one item, or give one of the two another name with `as`
    features.yaml:16:9: `keys` is a mapping, and this is a list
      hint: write `keys: { join_key_of_the_view: column_of_the_request }`
    features.yaml:17:13: `as` is text, and this is a list
    "#);
    assert_snapshot!(problems("feature_services:\n  s: { features: ['trips:stars', 'trips:stars'] }\n"), @"
    refused
    features.yaml:2:34: feature `stars` is listed twice
    ");
}

/// Goal: an item that could not be read does not shift the places of those behind it.
#[test]
fn places_behind_a_bad_item() {
    assert_snapshot!(problems("feature_services:\n  s:\n    features:\n      - trips:\n      - trips@9: x\n"), @r#"
    refused
    features.yaml:4:9: `trips` lists no feature
      hint: write `- trips: "*"` for every feature
    features.yaml:5:9: view `trips` has no version 9
      hint: there is `trips@1`, `trips@2`
    "#);
}

/// Goal: a view in place has no history to keep, and says so with `true` or `false`.
#[test]
fn in_place() {
    assert_snapshot!(problems("
feature_views:
  v:
    source: trips_table
    in_place: true
    history_keep: 30d
    online: { active_within: 30d }
    features: { f: bool }
  w: { source: trips_table, in_place: yes, features: { f: bool } }
"), @"
refused
features.yaml:6:5: view `v@1` reads its source in place, so it has no history to keep
  hint: leave out `history_keep`, or `in_place`
features.yaml:7:5: view `v@1` reads its source in place, so it has no row online
  hint: leave out `online`, or `in_place`
features.yaml:9:39: `in_place` is `true` or `false`, and `yes` is neither
");
}

/// Goal: one mistake is one message: what refers to something that could not be read is not blamed.
#[test]
fn no_echoes() {
    assert_snapshot!(problems("
entities:
  rider: { keys: { id: floot } }
sources:
  rides: { path: }
feature_views:
  r: { entities: rider, source: rides, features: { n: integer } }
  q@x: { entities: rider, source: rides, features: { n: int64 } }
feature_services:
  s:
    features:
      - r: n
        keys: { id: who }
      - q: n
"), @"
    refused
    features.yaml:3:24: unknown type `floot`
      hint: a type is one of `int32`, `int64`, `float32`, `float64`, `string`, `bool`, `bytes`, `timestamp`, `date`, `decimal(10, 2)`, `uuid`, `json`, `list(int64)`, `map(string, float64)`, `embedding(3)`
    features.yaml:5:3: source `rides` has no `event`
      hint: add a line such as `event: event_timestamp`
    features.yaml:5:12: `path` has no value
    features.yaml:7:55: unknown type `integer`
      hint: did you mean `int64`?
    features.yaml:8:3: `q@x` is not a version of a view
      hint: a version is a number from 1 on: `q@2`
    ");
}

/// Goal: problems come in the order of file, line and column, a bounded number of them, and the rest is counted.
#[test]
fn many_problems() {
    let bad: String = (0..PROBLEMS_MAX + 10).map(|number| format!("x{number}: 1\n")).collect();
    let files = [SourceFile { path: "b.yaml", text: &bad }, SourceFile { path: "a.yaml", text: "z: 1\n" }];
    let found = definition::read(&files).unwrap_err();
    assert_eq!(found.len(), PROBLEMS_MAX + 1);
    assert_eq!(found[0].to_string(), "a.yaml:1:1: unknown section `z`");
    assert_eq!(found[PROBLEMS_MAX - 1].to_string(), "b.yaml:49:1: unknown section `x48`");
    assert_snapshot!(shown(Err(found[PROBLEMS_MAX..].to_vec())), @"
    refused
    b.yaml:49:1: 11 more problems are not shown
    ");
    let flood: String = (0..5_000).map(|number| format!("x{number}: 1\n")).collect();
    let found = definition::read(&[SourceFile { path: "a.yaml", text: &flood }]).unwrap_err();
    assert_snapshot!(shown(Err(found[PROBLEMS_MAX..].to_vec())), @"
    refused
    a.yaml:50:1: 4950 more problems are not shown
    ");
}
