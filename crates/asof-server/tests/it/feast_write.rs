//! Rows and loads in Feast's shape, without a client: every mistake that a client can't make, and what becomes of it.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use insta::assert_snapshot;

use crate::support::{World, columns};

/// How long a test waits for what should take a moment.
const PATIENCE: Duration = Duration::from_secs(30);

impl World {
    async fn write(&self, body: &str) -> String {
        self.post("/write-to-online-store", body).await
    }

    async fn levels(&self, view: &str, sensors: &str) -> String {
        let body = format!(r#"{{"features":["{view}:level"],"entities":{{"sensor_id":{sensors}}}}}"#);
        let answer = columns(&self.feast(&body).await);
        answer.lines().nth(1).unwrap_or(&answer).to_owned()
    }
}

/// Goal: what is written to a view is served when the answer is there, and served by that view alone; times without offset
/// are UTC, a feature that is not given is null, columns are called as the view calls them or as the source does.
#[tokio::test]
async fn writes_one_view() {
    let world = World::new().await;
    let load = r#"{"start_ts":"2026-01-01","end_ts":"2026-01-01T12:00:00","feature_views":["never_loaded"]}"#;
    assert_eq!(world.post("/materialize", load).await, "200 null");
    let before = world.levels("never_loaded", "[1,7]").await;
    let row = r#"{"feature_view_name":"recent","df":{"sensor_id":[1,"7"],"level":[8,9],"temperature":[20.5,null],
        "event_timestamp":["2026-01-01T12:00:00","2026-01-01T13:30:00+02:00"],"created":[null,null]},
        "allow_registry_cache":false,"transform_on_write":true}"#;
    assert_eq!(world.write(row).await, "200 null");
    assert_snapshot!(world.levels("recent", "[1,7]").await, @r#"{"values":[8,null],"statuses":["PRESENT","OUTSIDE_MAX_AGE"],"event_timestamps":["2026-01-01T12:00:00Z","2026-01-01T11:30:00Z"]}],"#);
    assert_eq!(world.levels("never_loaded", "[1,7]").await, before);
    let row = r#"{"feature_view_name":"recent@1","df":{"sensor_id":[1],"temperature":[1],"event_timestamp":["2026-01-01T12:01:00"]}}"#;
    assert_eq!(world.write(row).await, "200 null");
    assert_snapshot!(world.levels("recent", "[1]").await, @r#"{"values":[null],"statuses":["NULL_VALUE"],"event_timestamps":["2026-01-01T12:01:00Z"]}],"#);
    // A push to the source reaches both, and is served too.
    let push = r#"{"push_source_name":"recent_readings","to":"online_and_offline","df":{"sensor_id":[1],"level":[11],
        "event_timestamp":["2026-01-01T12:02:00Z"]}}"#;
    assert_eq!(world.post("/push", push).await, "200 ");
    for view in ["recent", "never_loaded"] {
        assert!(world.levels(view, "[1]").await.contains("\"values\":[11]"), "{view}");
    }
    assert_eq!(world.write(r#"{"feature_view_name":"recent","df":{}}"#).await.get(..3), Some("422"));
    let none = r#"{"feature_view_name":"recent","df":{"sensor_id":[],"event_timestamp":[]}}"#;
    assert_eq!(world.write(none).await, "200 null");
}

/// Goal: instants of features are seconds, or times; one that is neither is in error in its row, which is taken; what
/// pandas makes of none is null.
#[tokio::test]
async fn instants() {
    let world = World::new().await;
    let row = r#"{"feature_view_name":"every_type","df":{"sensor_id":[21,22,23,24],"seen":[1767225600,"2026-01-01T01:00:00",true,-9223372036854775808],
        "words":["a","b","c","d"],
        "event_timestamp":["2026-01-01T12:00:00","2026-01-01T12:00:00","2026-01-01T12:00:00","2026-01-01T12:00:00"],
        "created":[null,null,null,null]}}"#;
    assert_eq!(world.write(row).await, "200 null");
    let answer =
        world.feast(r#"{"features":["every_type:seen"],"entities":{"sensor_id":[21,22,23,24]}}"#).await;
    assert_snapshot!(columns(&answer).lines().nth(1).unwrap(), @r#"{"values":["2026-01-01T00:00:00Z","2026-01-01T01:00:00Z",null,null],"statuses":["PRESENT","PRESENT","INVALID","NULL_VALUE"],"event_timestamps":["2026-01-01T12:00:00Z","2026-01-01T12:00:00Z","2026-01-01T12:00:00Z","2026-01-01T12:00:00Z"]}],"#);
}

/// Goal: what can't be written is refused whole, in the body that a client turns into its own exception, with row and reason.
#[tokio::test]
async fn refused_writes() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for body in [
        r#"{"feature_view_name":"nope","df":{"sensor_id":[1],"event_timestamp":["2026-01-01T12:00:00"]}}"#,
        r#"{"feature_view_name":"recnt","df":{"sensor_id":[1],"event_timestamp":["2026-01-01T12:00:00"]}}"#,
        r#"{"feature_view_name":"recent","df":{"sensor":[1],"level":[3],"event_timestamp":["2026-01-01T12:00:00"]}}"#,
        r#"{"feature_view_name":"recent","df":{"sensor_id":[1],"level":[3]}}"#,
        r#"{"feature_view_name":"recent","df":{"sensor_id":[1],"levl":[3],"event_timestamp":["2026-01-01T12:00:00"]}}"#,
        r#"{"feature_view_name":"recent","df":{"sensor_id":[31,"x",null],"level":[1,2,3],
            "event_timestamp":["2026-01-01T12:00:00","2026-01-01T12:00:00","2026-01-01T12:00:00"]}}"#,
        r#"{"feature_view_name":"recent","df":{"sensor_id":[31,32],"level":[1,2],"event_timestamp":["2026-01-01T12:00:00","soon"]}}"#,
        r#"{"feature_view_name":"recent","df":{"sensor_id":[31,32],"level":[1]}}"#,
        r#"{"feature_view_name":7,"df":[1],"transform_on_write":"maybe"}"#,
        r#"{"df":{"sensor_id":1}}"#,
        r#"{"feature_view_name":"recent","#,
        r#"[]"#,
        "",
    ] {
        answers.push(world.write(body).await);
    }
    assert_snapshot!(answers.join("\n"), @r#"
    404 "{\"module\": \"feast.errors\", \"class\": \"FeastObjectNotFoundException\", \"message\": \"Feature view nope does not exist in project demo (there is `every_type`, `never_loaded`, `odd_facts`, `old_facts`, `place_facts`, `rates`, `recent`)\"}"
    404 "{\"module\": \"feast.errors\", \"class\": \"FeastObjectNotFoundException\", \"message\": \"Feature view recnt does not exist in project demo (did you mean `recent`?)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"`df` lacks the column `sensor_id` of view `recent@1` (did you mean `sensor`?)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"`df` lacks the column `event_timestamp` of view `recent@1`\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"view `recent@1` has no column `levl` (did you mean `level`?)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"2 rows can't be taken, and none was; row 2 (counted from 1): the join key: \\\"x\\\" is not a whole number\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"1 row can't be taken, and none was; row 2 (counted from 1): the event time: \\\"soon\\\" is not an instant\"}"
    422 {"detail":[{"type":"value_error","loc":["body","df","level"],"msg":"All columns should have the same length","input":1}]}
    422 {"detail":[{"type":"string_type","loc":["body","feature_view_name"],"msg":"Input should be a valid string","input":7},{"type":"dict_type","loc":["body","df"],"msg":"Input should be a valid dictionary","input":[1]},{"type":"bool_parsing","loc":["body","transform_on_write"],"msg":"Input should be a valid boolean","input":"maybe"}]}
    422 {"detail":[{"type":"missing","loc":["body","feature_view_name"],"msg":"Field required","input":{"df":{"sensor_id":1}}},{"type":"list_type","loc":["body","df","sensor_id"],"msg":"Input should be a valid list","input":1}]}
    422 {"detail":[{"type":"json_invalid","loc":["body",29],"msg":"JSON decode error","input":{},"ctx":{"error":"EOF while parsing a value"}}]}
    422 {"detail":[{"type":"model_attributes_type","loc":["body"],"msg":"Input should be a valid dictionary or object to extract fields from","input":[]}]}
    422 {"detail":[{"type":"missing","loc":["body"],"msg":"Field required","input":null}]}
    "#);
    assert!(world.levels("recent", "[31]").await.contains("NOT_FOUND"));
}

/// Goal: the same of pushes: a source that is not there is Feast's own error, and where rows may go is one of three.
#[tokio::test]
async fn refused_pushes() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for body in [
        r#"{"push_source_name":"recent_reading","df":{"sensor_id":[1]}}"#,
        r#"{"push_source_name":"recent_readings","to":"nowhere","df":{"sensor_id":[1],"event_timestamp":["2026-01-01T12:00:00Z"]}}"#,
        r#"{"push_source_name":"recent_readings","allow_registry_cache":3,"df":{}}"#,
        r#"{"push_source_name":"recent_readings","df":{"sensor_id":[41,null],"event_timestamp":["2026-01-01T12:00:00Z",null]}}"#,
        r#"{"push_source":"recent_readings"}"#,
    ] {
        answers.push(world.post("/push", body).await);
    }
    assert_snapshot!(answers.join("\n"), @r#"
    422 "{\"module\": \"feast.errors\", \"class\": \"PushSourceNotFoundException\", \"message\": \"Unable to find push source 'recent_reading'. (did you mean `recent_readings`?)\"}"
    422 {"detail":[{"type":"value_error","loc":["body","to"],"msg":"Input should be one of 'online', 'offline', 'online_and_offline'","input":"nowhere"}]}
    422 {"detail":[{"type":"bool_parsing","loc":["body","allow_registry_cache"],"msg":"Input should be a valid boolean","input":3}]}
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"1 of 2 rows can't be taken; row 2 (counted from 1): the join key is null\"}"
    422 {"detail":[{"type":"missing","loc":["body","push_source_name"],"msg":"Field required","input":{"push_source":"recent_readings"}},{"type":"missing","loc":["body","df"],"msg":"Field required","input":{"push_source":"recent_readings"}}]}
    "#);
    // Of a push, what is good is taken.
    assert!(world.levels("recent", "[41]").await.contains("NULL_VALUE"));
}

/// Goal: loads with their range, incremental ones, and without waiting; what can't be loaded is refused before anything begins.
#[tokio::test]
async fn loads() {
    let world = World::new().await;
    let mut answers = Vec::new();
    for (path, body) in [
        (
            "/materialize",
            r#"{"start_ts":"2026-01-01T11:00:00","end_ts":"2026-01-01T11:45:00+00:00","feature_views":["never_loaded"]}"#,
        ),
        (
            "/materialize-incremental",
            r#"{"end_ts":"2026-01-01T11:50:00","feature_views":["never_loaded"],"version":"v1"}"#,
        ),
        ("/materialize-incremental", r#"{"end_ts":"2027-01-01T00:00:00Z"}"#),
        ("/materialize", r#"{"disable_event_timestamp":true,"feature_views":null}"#),
    ] {
        answers.push(format!(
            "{} {}",
            world.post(path, body).await,
            world.levels("never_loaded", "[1,2,3,4]").await
        ));
    }
    assert_snapshot!(answers.join("\n"), @r#"
    200 null {"values":[3,null,null,null],"statuses":["PRESENT","NOT_FOUND","NOT_FOUND","NOT_FOUND"],"event_timestamps":["2026-01-01T11:45:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z","1970-01-01T00:00:00Z"]}],
    200 null {"values":[3,4,null,null],"statuses":["PRESENT","PRESENT","NULL_VALUE","NOT_FOUND"],"event_timestamps":["2026-01-01T11:45:00Z","2026-01-01T10:00:00Z","2026-01-01T11:50:00Z","1970-01-01T00:00:00Z"]}],
    200 null {"values":[3,4,null,null],"statuses":["PRESENT","PRESENT","NULL_VALUE","INVALID"],"event_timestamps":["2026-01-01T11:45:00Z","2026-01-01T10:00:00Z","2026-01-01T11:50:00Z","2026-01-01T11:55:00Z"]}],
    200 null {"values":[3,4,null,null],"statuses":["PRESENT","PRESENT","NULL_VALUE","INVALID"],"event_timestamps":["2026-01-01T11:45:00Z","2026-01-01T10:00:00Z","2026-01-01T11:50:00Z","2026-01-01T11:55:00Z"]}],
    "#);
    let mut answers = Vec::new();
    for (path, body) in [
        ("/materialize", r#"{"start_ts":"2026-01-02","end_ts":"2026-01-01"}"#),
        ("/materialize", r#"{"start_ts":"yesterday","end_ts":7}"#),
        ("/materialize", r#"{"feature_views":["recent"]}"#),
        (
            "/materialize",
            r#"{"start_ts":"2026-01-01","end_ts":"2026-01-02","feature_views":["recent","recnt"]}"#,
        ),
        ("/materialize", r#"{"start_ts":"2026-01-01","end_ts":"2026-01-02","feature_views":[]}"#),
        ("/materialize-incremental", r#"{"end_ts":"2026-01-02","feature_views":"recent"}"#),
        ("/materialize-incremental", r#"{"end_ts":"2026-01-02","version":"v2"}"#),
        ("/materialize-incremental", r#"{"end_ts":"2026-01-02","feature_views":["recent"],"version":"v2"}"#),
        ("/materialize?async=perhaps", r#"{"start_ts":"2026-01-01","end_ts":"2026-01-02"}"#),
    ] {
        answers.push(world.post(path, body).await);
    }
    assert_snapshot!(answers.join("\n"), @r#"
    422 {"detail":[{"type":"value_error","loc":["body","start_ts"],"msg":"start_ts must be before end_ts","input":"2026-01-02"}]}
    422 {"detail":[{"type":"value_error","loc":["body","start_ts"],"msg":"Input should be a time like 2026-01-31T12:00:00Z","input":"yesterday"},{"type":"string_type","loc":["body","end_ts"],"msg":"Input should be a valid string","input":7}]}
    422 {"detail":[{"type":"missing","loc":["body","start_ts"],"msg":"Field required","input":{"feature_views":["recent"]}},{"type":"missing","loc":["body","end_ts"],"msg":"Field required","input":{"feature_views":["recent"]}}]}
    404 "{\"module\": \"feast.errors\", \"class\": \"FeatureViewNotFoundException\", \"message\": \"Feature view recnt does not exist in project demo (did you mean `recent`?)\"}"
    422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"`feature_views` is empty (leave it out to load every view)\"}"
    422 {"detail":[{"type":"list_type","loc":["body","feature_views"],"msg":"Input should be a valid list","input":"recent"}]}
    422 {"detail":[{"type":"value_error","loc":["body","version"],"msg":"A version like 'v2' goes with exactly one feature view","input":"v2"}]}
    404 "{\"module\": \"feast.errors\", \"class\": \"FeatureViewNotFoundException\", \"message\": \"Feature view recent@2 does not exist in project demo (there is `recent@1`)\"}"
    422 {"detail":[{"type":"bool_parsing","loc":["query","async"],"msg":"Input should be a valid boolean","input":"perhaps"}]}
    "#);
}

/// Goal: a client that does not wait, and one that goes away, get what they asked for.
#[tokio::test(flavor = "multi_thread")]
async fn loads_without_their_client() {
    let world = World::new().await;
    let load = r#"{"start_ts":"2026-01-01","end_ts":"2026-01-01T11:45:00","feature_views":["never_loaded"]}"#;
    let accepted = r#"202 {"status":"accepted","feature_views":["never_loaded"]}"#;
    assert_eq!(world.post("/materialize?async=true", load).await, accepted);
    let until = async |found: &str| {
        while !world.levels("never_loaded", "[1,3]").await.contains(found) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, until(r#""values":[3,null],"statuses":["PRESENT","NOT_FOUND"]"#))
        .await
        .unwrap();

    let load = r#"{"end_ts":"2026-01-01T12:00:00","feature_views":["never_loaded"]}"#;
    // The first load may hold its place for a moment after its rows are there.
    let request = Request::post("/materialize-incremental?force=true").body(Body::from(load)).unwrap();
    // Asked once, and dropped before there can be an answer.
    let gone = tokio::time::timeout(Duration::ZERO, world.send(request)).await;
    assert!(gone.is_err(), "it was answered at once");
    tokio::time::timeout(PATIENCE, until(r#""statuses":["PRESENT","NULL_VALUE"]"#)).await.unwrap();
}
