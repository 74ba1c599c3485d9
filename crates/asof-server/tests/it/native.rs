//! Our own shape.

use insta::assert_snapshot;

use crate::support::World;

/// One line per row.
fn lines(answer: &str) -> String {
    answer.replace("},{\"features\"", "},\n{\"features\"").replace("],\"positions\"", "],\n\"positions\"")
}

/// Goal: values, statuses and event instants row by row, with the instant and the positions of the answer.
#[tokio::test]
async fn values_statuses_events() {
    let world = World::new().await;
    let body = r#"{"service":"sensor_model","entities":[{"sensor_id":1},{"sensor_id":"2"},{"sensor_id":4},{"sensor_id":null}]}"#;
    assert_snapshot!(lines(&world.native(body).await), @r#"
    200 {"t":"2026-01-01T12:30:00Z","rows":[{"features":{"level":3,"temperature":21.5,"i64":9007199254740993},"statuses":{"level":"PRESENT","temperature":"PRESENT","i64":"PRESENT"},"events":{"level":"2026-01-01T11:45:00Z","temperature":"2026-01-01T11:45:00Z","i64":"2026-01-01T10:00:00Z"}},
    {"features":{"level":null,"temperature":-1.5,"i64":null},"statuses":{"level":"OUTSIDE_TTL","temperature":"OUTSIDE_TTL","i64":"NULL"},"events":{"level":"2026-01-01T10:00:00Z","temperature":"2026-01-01T10:00:00Z","i64":"2026-01-01T10:00:00.000001Z"}},
    {"features":{"level":null,"temperature":-1.5,"i64":null},"statuses":{"level":"ERROR","temperature":"ERROR","i64":"MISSING"},"events":{"level":"2026-01-01T11:55:00Z","temperature":"2026-01-01T11:55:00Z","i64":null}},
    {"features":{"level":null,"temperature":-1.5,"i64":null},"statuses":{"level":"MISSING","temperature":"MISSING","i64":"MISSING"},"events":{"level":null,"temperature":null,"i64":null}}],
    "positions":{"every_type@1":1,"recent@1":1},"freshness_ms":{"every_type@1":8999749,"recent@1":2099999}}
    "#);
    let body = r#"{"features":["recent:level"],"entities":[{"sensor_id":2,"other":1}],"include_expired":true,"full_names":true}"#;
    assert_snapshot!(lines(&world.native(body).await), @r#"
    200 {"t":"2026-01-01T12:30:00Z","rows":[{"features":{"recent__level":4},"statuses":{"recent__level":"OUTSIDE_TTL"},"events":{"recent__level":"2026-01-01T10:00:00Z"}}],
    "positions":{"recent@1":1},"freshness_ms":{"recent@1":2099999}}
    "#);
    let body = r#"{"features":["every_type:*"],"entities":[{"sensor_id":1}]}"#;
    assert_snapshot!(lines(&world.native(body).await), @r#"
    200 {"t":"2026-01-01T12:30:00Z","rows":[{"features":{"i32":-5,"i64":9007199254740993,"f32":0.10000000149011612,"f64":1.0,"words":"say \"hi\" é","yes":true,"code":"aGk=","seen":"2025-12-31T23:59:59.500Z","day":"2025-02-28"},"statuses":{"i32":"PRESENT","i64":"PRESENT","f32":"PRESENT","f64":"PRESENT","words":"PRESENT","yes":"PRESENT","code":"PRESENT","seen":"PRESENT","day":"PRESENT"},"events":{"i32":"2026-01-01T10:00:00Z","i64":"2026-01-01T10:00:00Z","f32":"2026-01-01T10:00:00Z","f64":"2026-01-01T10:00:00Z","words":"2026-01-01T10:00:00Z","yes":"2026-01-01T10:00:00Z","code":"2026-01-01T10:00:00Z","seen":"2026-01-01T10:00:00Z","day":"2026-01-01T10:00:00Z"}}],
    "positions":{"every_type@1":1},"freshness_ms":{"every_type@1":8999749}}
    "#);
    let body = r#"{"features":["rates:rate"]}"#;
    assert_snapshot!(lines(&world.native(body).await), @r#"
    200 {"t":"2026-01-01T12:30:00Z","rows":[{"features":{"rate":0.25},"statuses":{"rate":"PRESENT"},"events":{"rate":"2026-01-01T10:00:00Z"}}],
    "positions":{"rates@1":1},"freshness_ms":{"rates@1":8999999}}
    "#);
    let body = r#"{"features":["recent:level"],"entities":[]}"#;
    assert_snapshot!(lines(&world.native(body).await), @r#"
    200 {"t":"2026-01-01T12:30:00Z","rows":[],
    "positions":{},"freshness_ms":{"recent@1":2099999}}
    "#);
}

/// Goal: every mistake says what is wrong and what to write.
#[tokio::test]
async fn mistakes() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for body in [
        "",
        "[]",
        r#"{"servise":"sensor_model"}"#,
        r#"{}"#,
        r#"{"service":"sensor_model","features":[]}"#,
        r#"{"service":1}"#,
        r#"{"service":"sensor_modl"}"#,
        r#"{"features":"recent:level"}"#,
        r#"{"features":[7]}"#,
        r#"{"features":["recent:levl"]}"#,
        r#"{"features":["resent:level"]}"#,
        r#"{"features":["recent:level"],"entities":{"sensor_id":[1]}}"#,
        r#"{"features":["recent:level"],"entities":[{"sensor_id":1},7]}"#,
        r#"{"features":["recent:level"],"entities":[{"sensor_id":1},{"sensorid":1}]}"#,
        r#"{"features":["recent:level"],"entities":[{"sensor_id":1},{"sensor_id":"one"}]}"#,
        r#"{"features":["recent:level"],"entities":[{"sensor_id":1}],"full_names":"yes"}"#,
        r#"{"features":["recent:level","never_loaded:level"],"entities":[{"sensor_id":1}]}"#,
    ] {
        answers.push(world.native(body).await);
    }
    assert_snapshot!(answers.join("\n"), @r#"
    422 {"error":{"kind":"invalid","message":"the body is not JSON: EOF while parsing a value at line 1 column 0","hint":"write {\"service\": \"...\", \"entities\": [{\"join_key\": ...}]}"}}
    422 {"error":{"kind":"invalid","message":"the body is not a JSON object","hint":"write {\"service\": \"...\", \"entities\": [{\"join_key\": ...}]}"}}
    422 {"error":{"kind":"invalid","message":"the request has no field `servise`","hint":"did you mean `service`?"}}
    422 {"error":{"kind":"invalid","message":"neither `service` nor `features` is given","hint":"write {\"service\": \"...\", \"entities\": [{\"join_key\": ...}]}"}}
    422 {"error":{"kind":"invalid","message":"both `service` and `features` are given","hint":"keep one"}}
    422 {"error":{"kind":"invalid","message":"`service` is not text","hint":"write {\"service\": \"...\", \"entities\": [{\"join_key\": ...}]}"}}
    404 {"error":{"kind":"not_found","message":"there is no service `sensor_modl`","hint":"did you mean `sensor_model`?"}}
    422 {"error":{"kind":"invalid","message":"`features` is not a list","hint":"write a list like [\"view:feature\", \"view@2:feature\"]"}}
    422 {"error":{"kind":"invalid","message":"`features` holds 7","hint":"write a list like [\"view:feature\", \"view@2:feature\"]"}}
    404 {"error":{"kind":"not_found","message":"view `recent@1` has no feature `levl`","hint":"did you mean `level`?"}}
    404 {"error":{"kind":"not_found","message":"there is no view `resent`","hint":"did you mean `recent`?"}}
    422 {"error":{"kind":"invalid","message":"`entities` is not a list","hint":"write a list of objects, one for each entity row, with the join keys as fields"}}
    422 {"error":{"kind":"invalid","message":"row 1 of `entities` (counted from 0) is 7","hint":"write a list of objects, one for each entity row, with the join keys as fields"}}
    422 {"error":{"kind":"invalid","message":"row 1 of `entities` (counted from 0) lacks the join key `sensor_id`, which view `recent@1` is looked up by","hint":"rename `sensorid` to `sensor_id`"}}
    422 {"error":{"kind":"invalid","message":"join key `sensor_id`: row 1 (counted from 0): \"one\" is not a whole number","hint":"the type of a join key is the one its entity declares"}}
    422 {"error":{"kind":"invalid","message":"`full_names` is \"yes\"","hint":"write true or false"}}
    422 {"error":{"kind":"invalid","message":"the answer has two features named `level`: feature `level` of view `recent@1` and feature `level` of view `never_loaded@1`","hint":"ask for full names, or give one of the views an alias"}}
    "#);
}
