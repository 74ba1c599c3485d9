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
    let answer = world.feast(r#"{"features":["every_type:*"],"entities":{"sensor_id":[1,2,3,9,null]}}"#).await;
    assert_snapshot!(columns(&answer), @"");
}

/// Goal: past its ttl a value is null or its default, beside its status and its row's event; the extension asks for
/// what the row holds. Defaults stand in for null, error and unknown keys.
#[tokio::test]
async fn ttl_and_defaults() {
    let world = World::new().await;
    let answer = world
        .feast(r#"{"features":["recent:temperature","recent:level"],"entities":{"sensor_id":[1,2,3,4,9]}}"#)
        .await;
    assert_snapshot!(columns(&answer), @"");
    let answer = world
        .feast(
            r#"{"features":["recent:temperature","recent:level"],"entities":{"sensor_id":[2]},"include_expired":true}"#,
        )
        .await;
    assert_snapshot!(columns(&answer), @"");
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
    assert_snapshot!(answers.join("\n\n"), @"");
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
    assert_eq!(ask(r#"[1, 1.0, "1", " 1 ", "1.0", 1e0]"#).await, r#"200 {"results":[{"values":[1,1,1,1,1,1]"#);
    let mut refused = Vec::new();
    for keys in [
        "[1, 1.5]", "[\"abc\"]", "[true]", "[18446744073709551615]", "[-9223372036854775809]", "[9007199254740993.0]",
        "[[1]]", "[{}]", "[\"\"]", "[\"9223372036854775808\"]",
    ] {
        refused.push(ask(keys).await);
    }
    assert_snapshot!(refused.join("\n"), @"");

    let odd = r#"{"features":["odd_facts:fact"],"entities":{"raw":["aGk="],"flag":[1],"at":["2025-06-01T02:00:00+02:00"]}}"#;
    assert_snapshot!(columns(&world.feast(odd).await), @"");
    let odd = r#"{"features":["odd_facts:fact"],"entities":{"raw":["aGk="],"flag":[1],"at":[1748736000]}}"#;
    assert_snapshot!(world.feast(odd).await, @"");
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
    assert_snapshot!(answers.join("\n"), @"");
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
    assert_snapshot!(answers.join("\n"), @"");
}

/// Goal: the bounds on body and rows hold, and say what they are.
#[tokio::test]
async fn bounds() {
    let world = World::new().await;
    let long = " ".repeat(BODY_BYTES_MAX + 1);
    assert_snapshot!(world.feast(&long).await, @"");
    // Without a declared length the bound is met while reading.
    let chunks = Body::new(axum::body::Body::from(long));
    let request = Request::post("/get-online-features").body(chunks).unwrap();
    assert!(text(world.send(request).await).await.starts_with("413 "));
    let keys = vec!["1"; ENTITY_ROWS_MAX + 1].join(",");
    let body = format!(r#"{{"features":["recent:level"],"entities":{{"sensor_id":[{keys}]}}}}"#);
    assert_snapshot!(world.feast(&body).await, @"");
    let key = "x".repeat(20_000);
    let body = format!(r#"{{"features":["place_facts:size"],"entities":{{"place":["{key}"]}}}}"#);
    assert_snapshot!(world.feast(&body).await, @"");
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
    assert_snapshot!(world.feast(body).await, @"");
}
