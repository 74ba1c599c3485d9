//! Requests with a `now` of their own.

use asof_server::{PAST_ANSWERS_MAX, PAST_ROWS_MAX};
use asof_store::NoProgress;
use asof_store::materialize::MaterializeRequest;
use axum::body::Body;
use axum::http::Request;
use insta::assert_snapshot;
use serde_json::{Value as Json, json};
use tower::ServiceExt;

use crate::support::{World, at, text};

/// The world of the other tests, where sensor 1 was corrected at 12:20: the answer depends on `now`.
async fn corrected() -> World {
    let (dir, clock, store) = World::stored().await;
    clock.set(at("2026-01-01T12:20:00Z"));
    let file = dir.path().join("data/recent.csv");
    std::fs::write(&file, "sensor_id,event_timestamp,temperature,level\n1,2026-01-01T11:50:00Z,30,8\n")
        .unwrap();
    let request = MaterializeRequest { views: vec!["recent".to_owned()], ..Default::default() };
    store.materialize(&request, &NoProgress).await.unwrap();
    clock.set(at("2026-01-01T12:30:00Z"));
    World::over(dir, clock, store).await
}

const ENTITIES: &str = r#""features":["recent:level"],"entities":[{"sensor_id":1}]"#;

/// Goal: both shapes take `now`: the present state where it still holds, history where the view has moved on since, and
/// nothing beyond the clock.
#[tokio::test]
async fn both_shapes() {
    let world = corrected().await;
    let mut answers = Vec::new();
    for now in ["12:30:00Z", "13:25:00+01:00", "12:10:00Z", "11:00:00", "12:30:00.000001Z"] {
        let now = format!("2026-01-01T{now}");
        answers.push(world.native(&format!("{{{ENTITIES},\"now\":\"{now}\"}}")).await);
        let feast = json!({"features": ["recent:level"], "entities": {"sensor_id": [1]}, "now": now});
        let request = Request::post("/get-online-features").body(Body::from(feast.to_string())).unwrap();
        let response = world.send(request).await;
        let t = response.headers().get("asof-t").map(|t| t.to_str().unwrap().to_owned());
        answers.push(format!("  {} {}", t.unwrap_or_default(), text(response).await));
    }
    assert_snapshot!(answers.join("\n"), @r#"
    200 {"t":"2026-01-01T12:30:00Z","rows":[{"features":{"level":8},"statuses":{"level":"PRESENT"},"events":{"level":"2026-01-01T11:50:00Z"}}],"positions":{"recent@1":2},"freshness_ms":{"recent@1":2099999}}
      2026-01-01T12:30:00Z 200 {"results":[{"values":[1],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},{"values":[8],"statuses":["PRESENT"],"event_timestamps":["2026-01-01T11:50:00Z"]}],"metadata":{"feature_names":["sensor_id","level"]}}
    200 {"t":"2026-01-01T12:25:00Z","rows":[{"features":{"level":8},"statuses":{"level":"PRESENT"},"events":{"level":"2026-01-01T11:50:00Z"}}],"positions":{"recent@1":2},"freshness_ms":{"recent@1":1799999}}
      2026-01-01T12:25:00Z 200 {"results":[{"values":[1],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},{"values":[8],"statuses":["PRESENT"],"event_timestamps":["2026-01-01T11:50:00Z"]}],"metadata":{"feature_names":["sensor_id","level"]}}
    200 {"t":"2026-01-01T12:10:00Z","rows":[{"features":{"level":3},"statuses":{"level":"PRESENT"},"events":{"level":"2026-01-01T11:45:00Z"}}],"positions":{},"freshness_ms":{"recent@1":899999}}
      2026-01-01T12:10:00Z 200 {"results":[{"values":[1],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},{"values":[3],"statuses":["PRESENT"],"event_timestamps":["2026-01-01T11:45:00Z"]}],"metadata":{"feature_names":["sensor_id","level"]}}
    200 {"t":"2026-01-01T11:00:00Z","rows":[{"features":{"level":null},"statuses":{"level":"MISSING"},"events":{"level":null}}],"positions":{},"freshness_ms":{"recent@1":-3300001}}
      2026-01-01T11:00:00Z 200 {"results":[{"values":[1],"statuses":["PRESENT"],"event_timestamps":["1970-01-01T00:00:00Z"]},{"values":[null],"statuses":["NOT_FOUND"],"event_timestamps":["1970-01-01T00:00:00Z"]}],"metadata":{"feature_names":["sensor_id","level"]}}
    422 {"error":{"kind":"invalid","message":"`now` 2026-01-01T12:30:00.000001Z is beyond the store's clock, which stands at 2026-01-01T12:30:00Z","hint":"leave `now` out to ask for the present, or ask again in a moment"}}
       422 "{\"module\": \"feast.errors\", \"class\": \"FeastError\", \"message\": \"`now` 2026-01-01T12:30:00.000001Z is beyond the store's clock, which stands at 2026-01-01T12:30:00Z (leave `now` out to ask for the present, or ask again in a moment)\"}"
    "#);
}

/// Goal: a `now` that is none is refused in the words of each shape.
#[tokio::test]
async fn no_instant() {
    let world = World::new().await;
    let native = world.native(&format!("{{{ENTITIES},\"now\":\"noon\"}}")).await;
    let feast = world.feast(r#"{"features":["recent:level"],"entities":{"sensor_id":[1]},"now":12}"#).await;
    assert_snapshot!(format!("{native}\n{feast}"), @r#"
    422 {"error":{"kind":"invalid","message":"`now` is \"noon\", not an instant","hint":"write it like \"2026-01-31T12:00:00Z\", or leave it out to ask for the present"}}
    422 {"detail":[{"type":"datetime_parsing","loc":["body","now"],"msg":"Input should be a valid datetime","input":12}]}
    "#);
}

/// Goal: history answers so many rows at once and no more; the present answers more of them.
#[tokio::test]
async fn bounds() {
    let world = corrected().await;
    let rows = |count: usize| vec![json!({"sensor_id": 1}); count];
    let body = |rows: Vec<Json>, now: &str| {
        json!({"features": ["recent:level"], "entities": rows, "now": now}).to_string()
    };
    let (past, present) = ("2026-01-01T12:10:00Z", "2026-01-01T12:30:00Z");
    assert!(world.native(&body(rows(PAST_ROWS_MAX), past)).await.starts_with("200 "));
    assert!(world.native(&body(rows(PAST_ROWS_MAX + 1), present)).await.starts_with("200 "));
    assert_snapshot!(world.native(&body(rows(PAST_ROWS_MAX + 1), past)).await, @r#"422 {"error":{"kind":"invalid","message":"`now` 2026-01-01T12:10:00Z is before the last update of a view, 2026-01-01T12:20:00.000003Z; history answers at most 100 entity rows at once, and the request has 101","hint":"cut the request into several"}}"#);
}

/// Goal: more requests for the past than are answered at a time are turned away in the shape asked, and none is
/// answered wrongly.
#[tokio::test]
async fn a_few_at_a_time() {
    let world = corrected().await;
    let body = format!("{{{ENTITIES},\"now\":\"2026-01-01T12:10:00Z\"}}");
    let ask = || {
        let request = Request::post("/v1/online-features").body(Body::from(body.clone())).unwrap();
        let router = world.router.clone();
        async move {
            let response = router.oneshot(request).await.unwrap();
            let retry = response.headers().contains_key("retry-after");
            (retry, text(response).await)
        }
    };
    let answers = futures::future::join_all((0..PAST_ANSWERS_MAX * 16).map(|_| ask())).await;
    let busy = |answer: &str| {
        answer
            == r#"503 {"error":{"kind":"unavailable","message":"the server is busy","hint":"try again in a second"}}"#
    };
    for (retry, answer) in &answers {
        let good = answer.starts_with("200 ") && answer.contains(r#""features":{"level":3}"#) && !retry;
        assert!(good || busy(answer) && *retry, "{answer}");
    }
    assert!(answers.iter().any(|(_, answer)| busy(answer)));
    assert!(answers.iter().any(|(_, answer)| !busy(answer)));
    assert!(ask().await.1.starts_with("200 "), "the places are given back");
}
