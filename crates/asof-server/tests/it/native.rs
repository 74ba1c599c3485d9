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
    assert_snapshot!(lines(&world.native(body).await), @"");
    let body = r#"{"features":["recent:level"],"entities":[{"sensor_id":2,"other":1}],"include_expired":true,"full_names":true}"#;
    assert_snapshot!(lines(&world.native(body).await), @"");
    let body = r#"{"features":["every_type:*"],"entities":[{"sensor_id":1}]}"#;
    assert_snapshot!(lines(&world.native(body).await), @"");
    let body = r#"{"features":["rates:rate"]}"#;
    assert_snapshot!(lines(&world.native(body).await), @"");
    let body = r#"{"features":["recent:level"],"entities":[]}"#;
    assert_snapshot!(lines(&world.native(body).await), @"");
}

/// Goal: an instant of the client is answered as of then, unless the store's clock has not reached it or the views
/// have moved on since.
#[tokio::test]
async fn instants_of_the_client() {
    let world = World::new().await;
    let ask = async |now: &str| {
        let body = format!(r#"{{"features":["recent:level"],"entities":[{{"sensor_id":1}}],"now":{now}}}"#);
        world.native(&body).await
    };
    let mut answers = Vec::new();
    for now in ["\"2026-01-01T13:20:00+01:00\"", "\"2026-01-01T12:30:00.000001Z\"", "\"2026-01-01T11:59:59Z\"", "17", "\"soon\""] {
        answers.push(ask(now).await);
    }
    assert_snapshot!(answers.join("\n"), @"");
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
    assert_snapshot!(answers.join("\n"), @"");
}
