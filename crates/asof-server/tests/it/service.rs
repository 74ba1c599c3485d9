//! What surrounds an answer: readiness, unknown routes, ids of requests, names that stand twice, freshness.

use std::sync::Arc;

use asof_model::{Duration, Instant};
use asof_server::{BODY_BYTES_MAX, REQUEST_ID_BYTES_MAX};
use asof_testkit::clock::SteppedClock;
use axum::body::Body;
use axum::http::Request;
use insta::assert_snapshot;

use crate::support::{World, at, open, text};

/// Goal: a server that can answer is ready; one without definitions is not, and one whose online store lost a view is
/// not: both say why, and both are alive.
#[tokio::test]
async fn ready() {
    let get = async |world: &World, path: &str| {
        text(world.send(Request::get(path).body(Body::empty()).unwrap()).await).await
    };
    let world = World::new().await;
    assert_eq!(get(&world, "/ready").await, r#"200 {"ready":true,"revision":1}"#);

    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("asof.toml"), "project = \"empty\"").unwrap();
    let clock = Arc::new(SteppedClock::at(at("2026-01-01T12:00:00Z")));
    let store = open(dir.path(), clock.clone());
    let empty = World::over(dir, clock, store).await;
    assert_snapshot!(get(&empty, "/ready").await, @r#"503 {"ready":false,"revision":0,"reasons":[{"kind":"conflict","message":"nothing has been applied to project `empty` yet","causes":[],"hint":"run `asof apply`"}]}"#);
    assert_eq!(get(&empty, "/health").await, "200 ");

    let (dir, clock, store) = World::stored().await;
    drop(store);
    std::fs::remove_dir_all(dir.path().join(".asof/online")).unwrap();
    let store = open(dir.path(), clock.clone());
    let lost = World::over(dir, clock, store).await;
    assert_snapshot!(get(&lost, "/ready").await.replace("},{", "},\n{"), @r#"
    503 {"ready":false,"revision":1,"reasons":[{"kind":"unavailable","message":"the online store lacks units of view `recent@1` that were published: it holds 0 of 3","causes":[],"hint":"run `asof materialize recent@1`: it rebuilds the online store from history"},
    {"kind":"unavailable","message":"the online store lacks units of view `place_facts@1` that were published: it holds 0 of 3","causes":[],"hint":"run `asof materialize place_facts@1`: it rebuilds the online store from history"}]}
    "#);
    assert_eq!(get(&lost, "/health").await, "200 ");
}

/// Goal: below `/v1` errors of the path, the method and the size of a body come in our own shape, elsewhere as a Feast
/// client knows them.
#[tokio::test]
async fn errors_in_the_shape_of_their_path() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for path in ["/v1/online-features", "/get-online-features", "/v1/nothing", "/nothing", "/v1"] {
        let response = world.send(Request::get(path).body(Body::empty()).unwrap()).await;
        let allow = response.headers().get("allow").map(|allow| allow.to_str().unwrap().to_owned());
        answers.push(format!("GET {path} {allow:?} {}", text(response).await));
    }
    for path in ["/v1/online-features", "/get-online-features"] {
        let body = Body::from(vec![b' '; BODY_BYTES_MAX + 1]);
        let response = world.send(Request::post(path).body(body).unwrap()).await;
        answers.push(format!("POST {path} {}", text(response).await));
    }
    assert_snapshot!(answers.join("\n"), @r#"
    GET /v1/online-features Some("POST") 405 {"error":{"kind":"invalid","message":"`/v1/online-features` does not take `GET`","hint":"use POST"}}
    GET /get-online-features Some("POST") 405 {"detail":"Method Not Allowed"}
    GET /v1/nothing None 404 {"error":{"kind":"not_found","message":"there is no route `/v1/nothing`","hint":"docs/http.md and `GET /openapi.json` list the routes"}}
    GET /nothing None 404 {"detail":"Not Found"}
    GET /v1 None 404 {"error":{"kind":"not_found","message":"there is no route `/v1`","hint":"docs/http.md and `GET /openapi.json` list the routes"}}
    POST /v1/online-features 413 {"error":{"kind":"invalid","message":"the body has more than 10000000 bytes, which is the most that is read","hint":"cut the request into several"}}
    POST /get-online-features 413 "the body has more than 10000000 bytes, which is the most that is read; cut the request into several"
    "#);
}

/// Goal: a name that stands twice in an object is refused by both shapes, wherever it stands.
#[tokio::test]
async fn names_once() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for body in [
        r#"{"features":["recent:level"],"entities":[{"sensor_id":1,"sensor_id":2}]}"#,
        r#"{"service":"a","service":"b"}"#,
    ] {
        answers.push(world.native(body).await);
    }
    for body in [
        r#"{"features":["recent:level"],"entities":{"sensor_id":[1],"sensor_id":[2]}}"#,
        r#"{"entities":{},"entities":{}}"#,
    ] {
        answers.push(world.feast(body).await);
    }
    assert_snapshot!(answers.join("\n"), @r#"
    422 {"error":{"kind":"invalid","message":"the name \"sensor_id\" stands twice in one object at line 1 column 67","hint":"write each name once"}}
    422 {"error":{"kind":"invalid","message":"the name \"service\" stands twice in one object at line 1 column 24","hint":"write each name once"}}
    422 {"detail":[{"type":"json_invalid","loc":["body",67],"msg":"JSON decode error","input":{},"ctx":{"error":"the name \"sensor_id\" stands twice in one object"}}]}
    422 {"detail":[{"type":"json_invalid","loc":["body",24],"msg":"JSON decode error","input":{},"ctx":{"error":"the name \"entities\" stands twice in one object"}}]}
    "#);
}

/// Goal: the id of a request comes back with its answer, whatever the answer; one beyond the bound does not.
#[tokio::test]
async fn request_ids() {
    let world = World::new().await;
    for path in ["/v1/online-features", "/get-online-features", "/health", "/nothing"] {
        let request = Request::post(path).header("x-request-id", "a-7").body(Body::from("{}")).unwrap();
        assert_eq!(world.send(request).await.headers()["x-request-id"], "a-7", "{path}");
    }
    let long = "x".repeat(REQUEST_ID_BYTES_MAX + 1);
    let request = Request::get("/health").header("x-request-id", long).body(Body::empty()).unwrap();
    assert!(!world.send(request).await.headers().contains_key("x-request-id"));
}

/// Goal: a view that is behind its freshness promise is named in the answer, and no other.
#[tokio::test]
async fn degraded() {
    let (dir, clock, store) = World::stored().await;
    let file = dir.path().join("features.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    // Its newest event is of 11:55.
    let text = text.replace("    ttl: 1h\n", "    ttl: 1h\n    freshness: 30m\n");
    std::fs::write(&file, text).unwrap();
    store.apply(&[], "tester").await.unwrap();
    let world = World::over(dir, clock, store).await;
    let ask = async |features: &str, t: Instant| {
        world.clock.set(t);
        let body = format!(r#"{{"features":[{features}],"entities":[{{"sensor_id":1}}]}}"#);
        let answer = world.native(&body).await;
        answer.split_once(r#","degraded":"#).map(|(_, degraded)| degraded.trim_end_matches('}').to_owned())
    };
    let promised = at("2026-01-01T12:25:00Z");
    // The log of history rounds events up to milliseconds.
    let late = promised.plus(Duration::from_micros(1_001));
    assert_eq!(ask("\"recent:level\"", promised).await, None);
    assert_eq!(ask("\"recent:level\"", late).await.as_deref(), Some(r#"["recent@1"]"#));
    assert_eq!(ask("\"every_type:i64\"", late).await, None, "without a promise");
}
