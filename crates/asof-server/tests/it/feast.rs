//! Feast's shape.

use asof_server::BODY_BYTES_MAX;
use asof_store::get::ENTITY_ROWS_MAX;
use axum::body::Body;
use axum::http::Request;
use insta::assert_snapshot;

use crate::support::{World, at, columns, text};

/// Goal: all nine types, null, an unreadable value and an unknown key are printed as a Feast client reads them.
#[tokio::test]
async fn every_type_and_status() {
    let world = World::new().await;
    let answer =
        world.feast(r#"{"features":["every_type:*"],"entities":{"sensor_id":[1,2,3,9,null]}}"#).await;
    assert_snapshot!(columns(&answer), @r#"
    200 {"results":[{"values":[1,2,3,9,null],"statuses":["PRESENT","PRESENT","PRESENT","PRESENT","NOT_FOUND"],"event_timestamps":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
    {"values":[-5,null,null,null,null],"statuses":["PRESENT","NULL_VALUE","INVALID","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-01-01T10:00:00Z","2026-01-01T10:00:00.000001Z","2026-01-01T10:00:00.250Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
    {"values":[9007199254740993,null,null,null,null],"statuses":["PRESENT","NULL_VALUE","INVALID","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-01-01T10:00:00Z","2026-01-01T10:00:00.000001Z","2026-01-01T10:00:00.250Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
    {"values":[0.10000000149011612,null,"NaN",null,null],"statuses":["PRESENT","NULL_VALUE","PRESENT","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-01-01T10:00:00Z","2026-01-01T10:00:00.000001Z","2026-01-01T10:00:00.250Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
    {"values":[1.0,null,"-Infinity",null,null],"statuses":["PRESENT","NULL_VALUE","PRESENT","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-01-01T10:00:00Z","2026-01-01T10:00:00.000001Z","2026-01-01T10:00:00.250Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
    {"values":["say \"hi\" é",null,null,null,null],"statuses":["PRESENT","NULL_VALUE","NULL_VALUE","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-01-01T10:00:00Z","2026-01-01T10:00:00.000001Z","2026-01-01T10:00:00.250Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
    {"values":[true,null,null,null,null],"statuses":["PRESENT","NULL_VALUE","INVALID","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-01-01T10:00:00Z","2026-01-01T10:00:00.000001Z","2026-01-01T10:00:00.250Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
    {"values":["aGk=",null,null,null,null],"statuses":["PRESENT","NULL_VALUE","INVALID","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-01-01T10:00:00Z","2026-01-01T10:00:00.000001Z","2026-01-01T10:00:00.250Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
    {"values":["2025-12-31T23:59:59.500Z",null,null,null,null],"statuses":["PRESENT","NULL_VALUE","INVALID","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-01-01T10:00:00Z","2026-01-01T10:00:00.000001Z","2026-01-01T10:00:00.250Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
    {"values":["2025-02-28",null,null,null,null],"statuses":["PRESENT","NULL_VALUE","INVALID","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-01-01T10:00:00Z","2026-01-01T10:00:00.000001Z","2026-01-01T10:00:00.250Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]}],
    "metadata":{"feature_names":["sensor_id","i32","i64","f32","f64","words","yes","code","seen","day"]}}
    "#);
}

/// Goal: past its ttl a value is null or its default, beside its status and its row's event; the extension asks for
/// what the row holds. Defaults stand in for null, error and unknown keys.
#[tokio::test]
async fn ttl_and_defaults() {
    let world = World::new().await;
    let answer = world
        .feast(r#"{"features":["recent:temperature","recent:level"],"entities":{"sensor_id":[1,2,3,4,9]}}"#)
        .await;
    assert_snapshot!(columns(&answer), @r#"
    200 {"results":[{"values":[1,2,3,4,9],"statuses":["PRESENT","PRESENT","PRESENT","PRESENT","PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
    {"values":[21.5,-1.5,-1.5,-1.5,-1.5],"statuses":["PRESENT","OUTSIDE_MAX_AGE","NULL_VALUE","INVALID","NOT_FOUND"],"event_timestamps":["2026-01-01T11:45:00Z","2026-01-01T10:00:00Z","2026-01-01T11:50:00Z","2026-01-01T11:55:00Z","1970-01-01T00:00:00Z"]},
    {"values":[3,null,null,null,null],"statuses":["PRESENT","OUTSIDE_MAX_AGE","NULL_VALUE","INVALID","NOT_FOUND"],"event_timestamps":["2026-01-01T11:45:00Z","2026-01-01T10:00:00Z","2026-01-01T11:50:00Z","2026-01-01T11:55:00Z","1970-01-01T00:00:00Z"]}],
    "metadata":{"feature_names":["sensor_id","temperature","level"]}}
    "#);
    let answer = world
        .feast(
            r#"{"features":["recent:temperature","recent:level"],"entities":{"sensor_id":[2]},"include_expired":true}"#,
        )
        .await;
    assert_snapshot!(columns(&answer), @r#"
    200 {"results":[{"values":[2],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},
    {"values":[19.0],"statuses":["OUTSIDE_MAX_AGE"],"event_timestamps":["2026-01-01T10:00:00Z"]},
    {"values":[4],"statuses":["OUTSIDE_MAX_AGE"],"event_timestamps":["2026-01-01T10:00:00Z"]}],
    "metadata":{"feature_names":["sensor_id","temperature","level"]}}
    "#);
}

/// Goal: services, aliases with columns of their own, full names, pinned versions (in Feast's spelling too) and version
/// metadata; columns that nobody needs are dropped, keys stand in request order.
#[tokio::test]
async fn names_and_services() {
    let world = World::new().await;
    for (body, expected) in [
        (
            r#"{"feature_service":"sensor_model","entities":{"extra":["x"],"sensor_id":[1]},"full_feature_names":true}"#,
            r#"["sensor_id","recent__level","recent__temperature","every_type__i64"]}}"#,
        ),
        (
            r#"{"feature_service":"trip_model","entities":{"to_place":["Bern"],"from_place":["Paris"]},"full_feature_names":true}"#,
            r#"["to_place","from_place","origin__size","destination__size"]}}"#,
        ),
        (r#"{"features":["recent@1:level"],"entities":{"sensor_id":[1]}}"#, r#"["sensor_id","level"]}}"#),
        (
            r#"{"features":["recent@v1:level"],"entities":{"sensor_id":[1]},"include_feature_view_version_metadata":true}"#,
            r#"["sensor_id","level"],"feature_view_metadata":[{"name":"recent","version":1}]}}"#,
        ),
        // The entity's name stands for its one join key, and the answer calls it by the key.
        (r#"{"features":["recent:level"],"entities":{"sensor":[1]}}"#, r#"["sensor_id","level"]}}"#),
    ] {
        let answer = world.feast(body).await;
        let (_, names) = answer.split_once("\"feature_names\":").unwrap_or(("", &answer));
        assert_eq!(names, expected, "{body}");
    }
}

/// Goal: a view without entities is one row without any column, and as many rows as there are entity rows; no entity
/// rows are no rows; a view that was never loaded knows no key.
#[tokio::test]
async fn rows_without_keys() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for body in [
        r#"{"features":["rates:rate"],"entities":{}}"#,
        r#"{"features":["rates:rate","recent:level"],"entities":{"sensor_id":[1,4]}}"#,
        r#"{"features":["recent:level"],"entities":{"sensor_id":[]}}"#,
        r#"{"features":["never_loaded:level"],"entities":{"sensor_id":[1]}}"#,
    ] {
        answers.push(columns(&world.feast(body).await));
    }
    assert_snapshot!(answers.join("\n\n"), @r#"
    200 {"results":[{"values":[0.25],"statuses":["PRESENT"],"event_timestamps":["2026-01-01T10:00:00Z"]}],
    "metadata":{"feature_names":["rate"]}}

    200 {"results":[{"values":[1,4],"statuses":["PRESENT","PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]},
    {"values":[0.25,0.25],"statuses":["PRESENT","PRESENT"],"event_timestamps":["2026-01-01T10:00:00Z","2026-01-01T10:00:00Z"]},
    {"values":[3,null],"statuses":["PRESENT","INVALID"],"event_timestamps":["2026-01-01T11:45:00Z","2026-01-01T11:55:00Z"]}],
    "metadata":{"feature_names":["sensor_id","rate","level"]}}

    200 {"results":[{"values":[],"statuses":[]},
    {"values":[],"statuses":[]}],
    "metadata":{"feature_names":["sensor_id","level"]}}

    200 {"results":[{"values":[1],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},
    {"values":[null],"statuses":["NOT_FOUND"],"event_timestamps":["1970-01-01T00:00:00Z"]}],
    "metadata":{"feature_names":["sensor_id","level"]}}
    "#);
}

/// Goal: join keys are read without loss and echoed as what they are; whatever could lose is 422 with key and row.
#[tokio::test]
async fn key_coercion() {
    let world = World::new().await;
    let ask = async |keys: &str| {
        let body = format!(r#"{{"features":["recent:level"],"entities":{{"sensor_id":{keys}}}}}"#);
        let answer = world.feast(&body).await;
        answer.split_once("],\"statuses\"").map_or(answer.clone(), |(values, _)| values.to_owned())
    };
    assert_eq!(ask(r#"[1, 1.0, "1", " 1 ", "1.0", 1e0]"#).await, r#"200 {"results":[{"values":[1,1,1,1,1,1"#);
    let mut refused = Vec::new();
    for keys in [
        "[1, 1.5]",
        "[\"abc\"]",
        "[true]",
        "[18446744073709551615]",
        "[-9223372036854775809]",
        "[9007199254740993.0]",
        "[[1]]",
        "[{}]",
        "[\"\"]",
        "[\"9223372036854775808\"]",
    ] {
        refused.push(ask(keys).await);
    }
    assert_snapshot!(refused.join("\n"), @r#"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `sensor_id`: row 1 (counted from 0): 1.5 is not a whole number in range (the type of a join key is the one its entity declares)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `sensor_id`: row 0 (counted from 0): \\\"abc\\\" is not a whole number (the type of a join key is the one its entity declares)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `sensor_id`: row 0 (counted from 0): true is not a whole number (the type of a join key is the one its entity declares)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `sensor_id`: row 0 (counted from 0): 18446744073709551615 is out of range for int64 (the type of a join key is the one its entity declares)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `sensor_id`: row 0 (counted from 0): -9.223372036854776e+18 cannot be read exactly as int64 (the type of a join key is the one its entity declares)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `sensor_id`: row 0 (counted from 0): 9007199254740992.0 cannot be read exactly as int64 (the type of a join key is the one its entity declares)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `sensor_id`: row 0 (counted from 0): a list is not of type int64 (the type of a join key is the one its entity declares)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `sensor_id`: row 0 (counted from 0): an object is not of type int64 (the type of a join key is the one its entity declares)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `sensor_id`: row 0 (counted from 0): \\\"\\\" is not a whole number (the type of a join key is the one its entity declares)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `sensor_id`: row 0 (counted from 0): \\\"9223372036854775808\\\" is out of range for int64 (the type of a join key is the one its entity declares)\"}"
    "#);

    let odd = r#"{"features":["odd_facts:fact"],"entities":{"raw":["aGk="],"flag":[1],"at":["2025-06-01T02:00:00+02:00"]}}"#;
    assert_snapshot!(columns(&world.feast(odd).await), @r#"
    200 {"results":[{"values":["aGk="],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},
    {"values":[true],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},
    {"values":["2025-06-01T00:00:00Z"],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},
    {"values":[42],"statuses":["PRESENT"],"event_timestamps":["2026-01-01T10:00:00Z"]}],
    "metadata":{"feature_names":["raw","flag","at","fact"]}}
    "#);
    let odd = r#"{"features":["odd_facts:fact"],"entities":{"raw":["aGk="],"flag":[1],"at":[1748736000]}}"#;
    assert_snapshot!(world.feast(odd).await, @r#"422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `at`: row 0 (counted from 0): 1748736000 is an integer, not an RFC 3339 instant (the type of a join key is the one its entity declares)\"}""#);
}

/// Goal: mistakes in names and shapes are 404 or 422 in the body that a Feast client turns into its own exception.
#[tokio::test]
async fn mistakes() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for body in [
        r#"{"features":["nope:level"],"entities":{"sensor_id":[1]}}"#,
        r#"{"features":["recnt:level"],"entities":{"sensor_id":[1]}}"#,
        r#"{"features":["recent@7:level"],"entities":{"sensor_id":[1]}}"#,
        r#"{"feature_service":"sensr_model","entities":{"sensor_id":[1]}}"#,
        r#"{"features":["recent:levl"],"entities":{"sensor_id":[1]}}"#,
        r#"{"features":["recent:level","never_loaded:level"],"entities":{"sensor_id":[1]}}"#,
        r#"{"features":["recent:level","recent:level"],"entities":{"sensor_id":[1]}}"#,
        r#"{"features":["level"],"entities":{"sensor_id":[1]}}"#,
        r#"{"features":[],"entities":{"sensor_id":[1]}}"#,
        r#"{"entities":{"sensor_id":[1]}}"#,
        r#"{"features":["recent:level"],"entities":{}}"#,
        r#"{"features":["recent:level"],"entities":{"sensor_ids":[1]}}"#,
        r#"{"features":["recent:level"],"entities":{"sensor_id":[1],"other":[1,2]}}"#,
    ] {
        answers.push(world.feast(body).await);
    }
    assert_snapshot!(answers.join("\n"), @r#"
    404 "{\"module\": \"feast.errors\", \"class\": \"FeatureViewNotFoundException\", \"message\": \"Feature view nope does not exist in project demo (there is `every_type`, `never_loaded`, `odd_facts`, `old_facts`, `place_facts`, `rates`, `recent`)\"}"
    404 "{\"module\": \"feast.errors\", \"class\": \"FeatureViewNotFoundException\", \"message\": \"Feature view recnt does not exist in project demo (did you mean `recent`?)\"}"
    404 "{\"module\": \"feast.errors\", \"class\": \"FeatureViewNotFoundException\", \"message\": \"Feature view recent@7 does not exist in project demo (there is `recent@1`)\"}"
    404 "{\"module\": \"feast.errors\", \"class\": \"FeatureServiceNotFoundException\", \"message\": \"Feature service sensr_model does not exist in project demo (did you mean `sensor_model`?)\"}"
    404 "{\"module\": \"feast.errors\", \"class\": \"FeastObjectNotFoundException\", \"message\": \"view `recent@1` has no feature `levl` (did you mean `level`?)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeatureNameCollisionError\", \"message\": \"the answer has two features named `level`: feature `level` of view `recent@1` and feature `level` of view `never_loaded@1` (ask for full names, or give one of the views an alias)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"`recent:level` is asked for twice (ask for it once)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"`level` is not a feature of a view (write `view:feature`, or `view:*` for all of them)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"the request names no feature (name features as `view:feature`, or a service)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"the request names no feature (name features as `view:feature`, or a service)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"the request lacks the join key `sensor_id`, which view `recent@1` is looked up by (give every join key, with null where it is not known)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"the request lacks the join key `sensor_id`, which view `recent@1` is looked up by (rename `sensor_ids` to `sensor_id`)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"All entity rows must have the same columns: `sensor_id` has 1 values, `other` has 2 (give each column one value per entity row, null where it is not known)\"}"
    "#);
}

/// Goal: a body that is no request is answered with FastAPI's list of what is wrong.
#[tokio::test]
async fn unreadable_bodies() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for body in [
        "",
        "{",
        "{\n\"features\": nope}",
        "[1]",
        r#"{"features":["recent:level"]}"#,
        r#"{"features":"recent:level","entities":[1],"full_feature_names":"perhaps"}"#,
        r#"{"features":[1],"entities":{"sensor_id":1},"feature_service":2}"#,
    ] {
        answers.push(world.feast(body).await);
    }
    assert_snapshot!(answers.join("\n"), @r#"
    422 {"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]}
    422 {"detail":[{"type":"json_invalid","loc":["body",0],"msg":"JSON decode error","input":{},"ctx":{"error":"EOF while parsing an object"}}]}
    422 {"detail":[{"type":"json_invalid","loc":["body",15],"msg":"JSON decode error","input":{},"ctx":{"error":"expected ident"}}]}
    422 {"detail":[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":[1]}]}
    422 {"detail":[{"type":"missing","loc":["body","entities"],"msg":"Field required","input":{"features":["recent:level"]}}]}
    422 {"detail":[{"type":"dict_type","loc":["body","entities"],"msg":"Input should be a valid dictionary","input":[1]},{"type":"list_type","loc":["body","features"],"msg":"Input should be a valid list","input":"recent:level"},{"type":"bool_parsing","loc":["body","full_feature_names"],"msg":"Input should be a valid boolean","input":"perhaps"}]}
    422 {"detail":[{"type":"list_type","loc":["body","entities","sensor_id"],"msg":"Input should be a valid list","input":1},{"type":"string_type","loc":["body","features"],"msg":"Input should be a valid string","input":1},{"type":"string_type","loc":["body","feature_service"],"msg":"Input should be a valid string","input":2}]}
    "#);
}

/// Goal: the bounds on body and rows hold, and say what they are.
#[tokio::test]
async fn bounds() {
    let world = World::new().await;
    let long = " ".repeat(BODY_BYTES_MAX + 1);
    assert_snapshot!(world.feast(&long).await, @r#"413 "the body has more than 10000000 bytes, which is the most that is read; cut the request into several""#);
    // A length that is declared is believed, before anything is read.
    let length = BODY_BYTES_MAX + 1;
    let request =
        Request::post("/get-online-features").header("content-length", length).body(Body::empty()).unwrap();
    assert!(text(world.send(request).await).await.starts_with("413 "));
    let keys = vec!["1"; ENTITY_ROWS_MAX + 1].join(",");
    let body = format!(r#"{{"features":["recent:level"],"entities":{{"sensor_id":[{keys}]}}}}"#);
    assert_snapshot!(world.feast(&body).await, @r#"422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"the request has 10001 entity rows, at most 10000 are answered (cut it into several)\"}""#);
    let key = "x".repeat(20_000);
    let body = format!(r#"{{"features":["place_facts:size"],"entities":{{"place":["{key}"]}}}}"#);
    assert_snapshot!(world.feast(&body).await, @r#"422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"join key `place`: row 0 (counted from 0): a text of 20000 bytes, a key has at most 16384 (the type of a join key is the one its entity declares)\"}""#);
}

/// Goal: the answer names its instant; routes and methods that are not there are told as FastAPI tells them.
#[tokio::test]
async fn headers_and_routes() {
    let world = World::new().await;
    let body = r#"{"features":["recent:level"],"entities":{"sensor_id":[1]}}"#;
    let response = world.send(Request::post("/get-online-features").body(Body::from(body)).unwrap()).await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["asof-t"], "2026-01-01T12:30:00Z");

    let health = world.send(Request::get("/health").body(Body::empty()).unwrap()).await;
    assert_eq!(text(health).await, "200 ");
    let unknown = world.send(Request::get("/nope").body(Body::empty()).unwrap()).await;
    assert_eq!(text(unknown).await, r#"404 {"detail":"Not Found"}"#);
    let method = world.send(Request::get("/get-online-features").body(Body::empty()).unwrap()).await;
    assert_eq!(method.headers()["allow"], "POST");
    assert_eq!(text(method).await, r#"405 {"detail":"Method Not Allowed"}"#);
}

/// Goal: a plan that is kept does not outlive its view's sunset.
#[tokio::test]
async fn sunset_of_a_kept_plan() {
    let world = World::new().await;
    let body = r#"{"features":["old_facts:i64"],"entities":{"sensor_id":[1]}}"#;
    assert!(world.feast(body).await.starts_with("200 "));
    world.clock.set(at("2026-01-01T13:00:00Z"));
    assert_snapshot!(world.feast(body).await, @r#"422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"view `old_facts@1` passed its sunset on 2026-01-01T13:00:00Z (move to a newer version of `old_facts`)\"}""#);
}
