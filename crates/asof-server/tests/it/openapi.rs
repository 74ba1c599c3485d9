//! The description of the routes: valid in itself, and true of what the routes take and answer.
#![allow(clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value as Json, json};

use crate::support::{World, at, text};

/// Checks JSON against schemas of a document, by the keywords that the document uses. One that is not known here fails
/// the test rather than passing unread.
struct Checker<'a> {
    document: &'a Json,
}

impl Checker<'_> {
    /// What is wrong with `value`; nothing where it is as `schema` says.
    fn problems(&self, schema: &Json, value: &Json, place: &str) -> Vec<String> {
        let mut found = Vec::new();
        let fields = schema.as_object().unwrap();
        for (keyword, says) in fields {
            match keyword.as_str() {
                "description" | "title" | "default" => {}
                "$ref" => found.extend(self.problems(self.resolve(says), value, place)),
                "type" => {
                    let types = says.as_array().cloned().unwrap_or_else(|| vec![says.clone()]);
                    if !types.iter().any(|each| is_of(value, each.as_str().unwrap())) {
                        found.push(format!("{place}: {value} is not of type {says}"));
                    }
                }
                "format" => match (says.as_str().unwrap(), value) {
                    ("date-time", Json::String(text)) if !is_instant(text) => {
                        found.push(format!("{place}: {text} is no instant"));
                    }
                    ("date-time" | "int32" | "int64", _) => {}
                    (other, _) => panic!("{place}: the format {other} is not checked"),
                },
                "enum" if !says.as_array().unwrap().contains(value) => {
                    found.push(format!("{place}: {value} is none of {says}"));
                }
                "enum" => {}
                "minimum" if value.as_f64().is_some_and(|value| value < says.as_f64().unwrap()) => {
                    found.push(format!("{place}: {value} is less than {says}"));
                }
                "minimum" => {}
                "maxItems"
                    if value.as_array().is_some_and(|all| all.len() as u64 > says.as_u64().unwrap()) =>
                {
                    found.push(format!("{place}: more than {says}"));
                }
                "maxItems" => {}
                "oneOf" => {
                    let problems =
                        says.as_array().unwrap().iter().map(|each| self.problems(each, value, place));
                    let problems: Vec<Vec<String>> = problems.collect();
                    if problems.iter().filter(|each| each.is_empty()).count() != 1 {
                        found.push(format!("{place}: not exactly one of {problems:?}"));
                    }
                }
                "required" => {
                    let lacks = |name: &&Json| value.get(name.as_str().unwrap()).is_none();
                    let lacking = says.as_array().unwrap().iter().filter(lacks);
                    found.extend(lacking.map(|name| format!("{place}: lacks {name}")));
                }
                "items" => {
                    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
                        found.extend(self.problems(says, item, &format!("{place}[{at}]")));
                    }
                }
                "properties" => {
                    for (name, schema) in says.as_object().unwrap() {
                        if let Some(value) = value.get(name) {
                            found.extend(self.problems(schema, value, &format!("{place}.{name}")));
                        }
                    }
                }
                "additionalProperties" => {
                    let known =
                        |name: &str| fields.get("properties").is_some_and(|all| all.get(name).is_some());
                    let others = value.as_object().into_iter().flatten().filter(|(name, _)| !known(name));
                    for (name, value) in others {
                        match says {
                            Json::Bool(false) => found.push(format!("{place}: {name} is not known")),
                            Json::Bool(true) => {}
                            schema => found.extend(self.problems(schema, value, &format!("{place}.{name}"))),
                        }
                    }
                }
                "propertyNames" => {
                    for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
                        found.extend(self.problems(says, &json!(name), place));
                    }
                }
                other => panic!("{place}: the keyword {other} is not checked"),
            }
        }
        found
    }

    fn resolve(&self, reference: &Json) -> &Json {
        let pointer = reference.as_str().unwrap().strip_prefix('#').unwrap();
        self.document.pointer(pointer).unwrap_or_else(|| panic!("{reference} is not there"))
    }

    /// The schema of a request body, or of an answer, in JSON.
    fn schema(&self, at: &str) -> &Json {
        let described = self.document.pointer(at).unwrap_or_else(|| panic!("{at} is not described"));
        &described["content"]["application/json"]["schema"]
    }
}

fn is_of(value: &Json, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{other} is no type"),
    }
}

fn is_instant(text: &str) -> bool {
    asof_model::Instant::parse(text, &asof_model::Zone::utc()).is_some() && text.contains('T')
}

async fn document(world: &World) -> Json {
    let answer = text(world.send(Request::get("/openapi.json").body(Body::empty()).unwrap()).await).await;
    serde_json::from_str(answer.strip_prefix("200 ").unwrap()).unwrap()
}

/// Requests of both shapes: good ones, and every kind of wrong one that is a request at all. The last says whether it
/// is as described.
const REQUESTS: [(&str, &str, bool); 21] = [
    (
        "/v1/online-features",
        r#"{"service":"sensor_model","entities":[{"sensor_id":1},{"sensor_id":null}]}"#,
        true,
    ),
    (
        "/v1/online-features",
        r#"{"features":["every_type:*"],"entities":[{"sensor_id":1},{"sensor_id":3}]}"#,
        true,
    ),
    ("/v1/online-features", r#"{"features":["rates:rate"],"full_names":true,"include_expired":true}"#, true),
    (
        "/v1/online-features",
        r#"{"features":["recent:level"],"entities":[],"now":"2026-01-01T12:10:00Z"}"#,
        true,
    ),
    (
        "/v1/online-features",
        r#"{"features":["recent:level"],"entities":[{"sensor_id":1}],"now":"2026-01-01T11:00:00Z"}"#,
        true,
    ),
    (
        "/v1/online-features",
        r#"{"features":["recent:level"],"entities":[{"sensor_id":1}],"now":"2027-01-01T11:00:00Z"}"#,
        true,
    ),
    ("/v1/online-features", r#"{"service":"nobody"}"#, true),
    ("/v1/online-features", r#"{"features":["old_facts:i64"],"entities":[{"sensor_id":1}]}"#, true),
    ("/v1/online-features", r#"{"service":"sensor_model","features":["recent:level"]}"#, false),
    ("/v1/online-features", r#"{"entities":[]}"#, false),
    ("/v1/online-features", r#"{"service":"sensor_model","entities":[7]}"#, false),
    ("/v1/online-features", r#"{"service":"sensor_model","entities":null}"#, false),
    ("/v1/online-features", r#"{"service":"sensor_model","other":1}"#, false),
    (
        "/get-online-features",
        r#"{"feature_service":"sensor_model","entities":{"sensor_id":[1,"2",null,4.0]}}"#,
        true,
    ),
    (
        "/get-online-features",
        r#"{"features":["every_type:*"],"entities":{"sensor_id":[1,2,3]},"include_feature_view_version_metadata":true}"#,
        true,
    ),
    (
        "/get-online-features",
        r#"{"features":["recent:level"],"entities":{"sensor_id":[]},"unknown":1}"#,
        true,
    ),
    (
        "/get-online-features",
        r#"{"features":["recent:level"],"entities":{"sensor_id":[1]},"now":"2026-01-01T11:00:00Z"}"#,
        true,
    ),
    ("/get-online-features", r#"{"features":["nobody:level"],"entities":{"sensor_id":[1]}}"#, true),
    ("/get-online-features", r#"{"features":["recent:level"],"entities":{"sensor_id":["one"]}}"#, true),
    ("/get-online-features", r#"{"features":"recent:level","entities":[1]}"#, false),
    ("/get-online-features", r#"{"features":["recent:level"]}"#, false),
];

/// Goal: what the routes really answer is as described, for each status that they answer with; requests that are
/// described are not turned away for their form, and others are.
#[tokio::test]
async fn routes_do_as_described() {
    let world = World::new().await;
    let document = document(&world).await;
    // Past the sunset of `old_facts`.
    world.clock.set(at("2026-01-01T13:00:00Z"));
    let checker = Checker { document: &document };
    let mut met = BTreeSet::new();
    for (path, body, described) in REQUESTS {
        let operation = format!("/paths/{}/post", path.replace('/', "~1"));
        let request: Json = serde_json::from_str(body).unwrap();
        let schema = checker.schema(&format!("{operation}/requestBody"));
        let problems = checker.problems(schema, &request, "request");
        assert_eq!(problems.is_empty(), described, "{path} {body}: {problems:?}");
        let answer = world.post(path, body).await;
        let (status, answer) = answer.split_once(' ').unwrap();
        assert!(described || status == "422", "{path} {body}: {status} {answer}");
        met.insert(format!("{path} {status}"));
        let answer: Json = serde_json::from_str(answer).unwrap();
        let schema = checker.schema(&format!("{operation}/responses/{status}"));
        let problems = checker.problems(schema, &answer, "answer");
        assert!(problems.is_empty(), "{path} {body}: {status} {answer}: {problems:?}");
    }
    let expected = ["get-online-features 200", "get-online-features 404", "get-online-features 422"];
    let ours = ["200", "404", "409", "422"].map(|status| format!("/v1/online-features {status}"));
    assert_eq!(met, expected.map(|each| format!("/{each}")).into_iter().chain(ours).collect());

    let ready = text(world.send(Request::get("/ready").body(Body::empty()).unwrap()).await).await;
    let (status, ready) = ready.split_once(' ').unwrap();
    let schema = checker.schema(&format!("/paths/~1ready/get/responses/{status}"));
    assert!(checker.problems(schema, &serde_json::from_str(ready).unwrap(), "ready").is_empty(), "{ready}");
    let unloved = json!({"ready": false, "revision": 1, "reasons": [{"kind": "bad"}]});
    assert!(!checker.problems(schema, &unloved, "ready").is_empty());
}

/// Goal: the same of the routes that write and load in Feast's shape, whose good answers are empty or null.
#[tokio::test]
async fn writes_do_as_described() {
    let world = World::new().await;
    let document = document(&world).await;
    let checker = Checker { document: &document };
    let row = r#""df":{"sensor_id":[1],"level":[2],"event_timestamp":["2026-01-01T12:00:00"]}"#;
    for (path, body, described, expected) in [
        ("/push", format!(r#"{{"push_source_name":"recent_readings","to":"online",{row}}}"#), true, 200),
        ("/push", format!(r#"{{"push_source_name":"nobody",{row}}}"#), true, 422),
        ("/push", r#"{"push_source_name":"recent_readings","df":[1]}"#.to_owned(), false, 422),
        ("/write-to-online-store", format!(r#"{{"feature_view_name":"recent",{row}}}"#), true, 200),
        ("/write-to-online-store", format!(r#"{{"feature_view_name":"nobody",{row}}}"#), true, 404),
        ("/write-to-online-store", format!(r#"{{{row}}}"#), false, 422),
        (
            "/materialize",
            r#"{"start_ts":"2026-01-01","end_ts":"2026-01-02","version":null}"#.to_owned(),
            true,
            200,
        ),
        ("/materialize?async=true", r#"{"disable_event_timestamp":true}"#.to_owned(), true, 202),
        (
            "/materialize?force=true",
            r#"{"feature_views":["nobody"],"disable_event_timestamp":true}"#.to_owned(),
            true,
            404,
        ),
        ("/materialize-incremental", r#"{"feature_views":["recent"]}"#.to_owned(), false, 422),
        ("/materialize-incremental", r#"{"end_ts":"soon"}"#.to_owned(), true, 422),
    ] {
        let route = path.split('?').next().unwrap();
        let operation = format!("/paths/{}/post", route.replace('/', "~1"));
        let schema = checker.schema(&format!("{operation}/requestBody"));
        let problems = checker.problems(schema, &serde_json::from_str(&body).unwrap(), "request");
        assert_eq!(problems.is_empty(), described, "{path} {body}: {problems:?}");
        let answer = world.post(path, &body).await;
        let (status, answer) = answer.split_once(' ').unwrap();
        assert_eq!(status, expected.to_string(), "{path} {body}: {answer}");
        if expected == 200 {
            assert!(matches!(answer, "" | "null"), "{answer}");
            continue;
        }
        let schema = checker.schema(&format!("{operation}/responses/{status}"));
        let answer: Json = serde_json::from_str(answer).unwrap();
        let problems = checker.problems(schema, &answer, "answer");
        assert!(problems.is_empty(), "{path} {body}: {status} {answer}: {problems:?}");
    }
}

/// Goal: the document describes every route and nothing else; every reference in it leads somewhere, and every schema
/// is used.
#[tokio::test]
async fn whole() {
    let world = World::new().await;
    let document = document(&world).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let paths = document["paths"].as_object().unwrap();
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys() {
            let request = Request::builder().method(method.to_uppercase().as_str()).uri(path);
            let status = world.send(request.body(Body::empty()).unwrap()).await.status().as_u16();
            assert!(!matches!(status, 404 | 405), "{method} {path}: {status}");
        }
    }
    let described: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    let routes = [
        "/get-online-features",
        "/health",
        "/materialize",
        "/materialize-incremental",
        "/metrics",
        "/openapi.json",
        "/push",
        "/ready",
        "/v1/online-features",
        "/v1/push",
        "/write-to-online-store",
    ];
    assert_eq!(described, BTreeSet::from(routes));

    let checker = Checker { document: &document };
    let mut used = BTreeSet::new();
    references(&document, &mut used);
    for reference in &used {
        checker.resolve(&json!(reference));
    }
    let schemas = document["components"]["schemas"].as_object().unwrap().keys();
    assert_eq!(used, schemas.map(|name| format!("#/components/schemas/{name}")).collect());
}

fn references(json: &Json, found: &mut BTreeSet<String>) {
    match json {
        Json::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Json::as_str).map(str::to_owned));
            fields.values().for_each(|each| references(each, found));
        }
        Json::Array(items) => items.iter().for_each(|each| references(each, found)),
        _ => {}
    }
}
