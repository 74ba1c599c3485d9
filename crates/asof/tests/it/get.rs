//! `get`: the values of one entity key.

use insta::assert_snapshot;

use crate::support::Scene;

/// Goal: values come with why they are what they are, for people and programs.
#[test]
fn values() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("get --service ranking driver_id=7"), @r"
    exit 0
    --- stdout
    t = [NOW]

    feature     value  status   event
    trip_count  5      PRESENT  2026-01-02T10:00:00Z
    rating      null   NULL     2026-01-02T10:00:00Z
    --- stderr
    ");
    assert_snapshot!(scene.run("get --features trips:* --full-names driver_id=8 --format json"), @r#"
    exit 0
    --- stdout
    {
      "t": "[NOW]",
      "features": {
        "trips__trip_count": 1,
        "trips__rating": 2.25
      },
      "statuses": {
        "trips__trip_count": "PRESENT",
        "trips__rating": "PRESENT"
      },
      "events": {
        "trips__trip_count": "2026-01-01T10:00:00Z",
        "trips__rating": "2026-01-01T10:00:00Z"
      }
    }
    --- stderr
    "#);
    assert_snapshot!(scene.run("get --service ranking driver_id=99"), @r"
    exit 0
    --- stdout
    t = [NOW]

    feature     value  status   event
    trip_count  null   MISSING  -
    rating      null   MISSING  -
    --- stderr
    ");
    assert_snapshot!(scene.run("get --service ranking driver_id="), @r"
    exit 0
    --- stdout
    t = [NOW]

    feature     value  status   event
    trip_count  null   MISSING  -
    rating      null   MISSING  -
    --- stderr
    ");
}

/// Goal: an instant of the past is answered as serving could have then: before the load, with nothing.
#[test]
fn past_and_future() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("get --service ranking driver_id=7 --now 2026-01-03"), @r"
    exit 0
    --- stdout
    t = 2026-01-03T00:00:00Z

    feature     value  status   event
    trip_count  null   MISSING  -
    rating      null   MISSING  -
    --- stderr
    ");
    let future = scene.run("get --service ranking driver_id=7 --now 2126-01-03");
    assert_snapshot!(future, @r"
    exit 1
    --- stdout
    --- stderr
    error: `now` 2126-01-03T00:00:00Z is beyond the store's clock, which stands at [NOW]

    hint: leave `now` out to ask for the present, or ask again in a moment
    ");
}

/// Goal: a value past its ttl is null and says so, and is returned where asked for.
#[test]
fn expired() {
    let scene = Scene::project();
    scene.edit("features.yaml", "    owner: fleet\n", "    owner: fleet\n    ttl: 1h\n");
    scene.does("apply");
    scene.does("materialize");
    assert_snapshot!(scene.run("get --service ranking driver_id=8"), @r"
    exit 0
    --- stdout
    t = [NOW]

    feature     value  status       event
    trip_count  null   OUTSIDE_TTL  2026-01-01T10:00:00Z
    rating      null   OUTSIDE_TTL  2026-01-01T10:00:00Z
    --- stderr
    ");
    assert_snapshot!(scene.run("get --service ranking driver_id=8 --include-expired"), @r"
    exit 0
    --- stdout
    t = [NOW]

    feature     value  status       event
    trip_count  1      OUTSIDE_TTL  2026-01-01T10:00:00Z
    rating      2.25   OUTSIDE_TTL  2026-01-01T10:00:00Z
    --- stderr
    ");
}

/// Goal: keys that the request does not know, lacks, has twice or can't read are told.
#[test]
fn wrong_keys() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("get --service ranking driver=7"), @r"
    exit 1
    --- stdout
    --- stderr
    error: no view of the request is looked up by `driver`

    hint: did you mean `driver_id`?
    ");
    assert_snapshot!(scene.run("get --service ranking"), @r"
    exit 1
    --- stdout
    --- stderr
    error: the request lacks the join key `driver_id`, which view `trips@1` is looked up by

    hint: give `driver_id` in every entity row; null is allowed
    ");
    assert_snapshot!(scene.run("get --service ranking driver_id=7 driver_id=8"), @r"
    exit 1
    --- stdout
    --- stderr
    error: the join key `driver_id` is given twice

    hint: one command asks for one entity key
    ");
    assert_snapshot!(scene.run("get --service ranking driver_id=seven"), @r#"
    exit 1
    --- stdout
    --- stderr
    error: join key `driver_id`: "seven" is not a whole number

    hint: the type of a join key is the one its entity declares
    "#);
}

/// Goal: names that do not exist are answered with the nearest ones; equal names with the way out.
#[test]
fn wrong_names() {
    let scene = Scene::loaded();
    assert_snapshot!(scene.run("get --features trips:tripcount driver_id=7"), @r"
    exit 1
    --- stdout
    --- stderr
    error: view `trips@1` has no feature `tripcount`

    hint: did you mean `trip_count`?
    ");
    assert_snapshot!(scene.run("get --service rank driver_id=7"), @r"
    exit 1
    --- stdout
    --- stderr
    error: there is no service `rank`

    hint: there is `ranking`
    ");
    assert_snapshot!(scene.run("get --features trips:rating,trips:rating driver_id=7"), @r"
    exit 1
    --- stdout
    --- stderr
    error: `trips:rating` is asked for twice

    hint: ask for it once
    ");
}
