//! `/metrics` of a running server.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::{Scene, Server};

fn scrape(server: &Server) -> String {
    let mut answer = ureq::get(format!("http://{}/metrics", server.address)).call().expect("an answer");
    let form = answer.headers()["content-type"].to_str().expect("text").to_owned();
    assert!(form.starts_with("text/plain; version=0.0.4"), "{form}");
    answer.body_mut().read_to_string().expect("a body")
}

/// The value of a sample.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in\n{text}")).parse().expect("a number")
}

/// Goal: what happened is counted, by view and status; the document lists exactly the metrics that are exported, with
/// their kinds; labels that a client could invent do not appear.
#[test]
fn counts_and_documents() {
    let scene = Scene::applied();
    let server = scene.serve();
    scene.does("materialize");
    let body = r#"{"service": "ranking", "entities": [{"driver_id": 7}, {"driver_id": 99}]}"#;
    scene.ask(&server, body);
    scene.ask(&server, r#"{"service": "nobody"}"#);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    for path in ["/invented", "/v1/invented", "/health"] {
        agent.get(format!("http://{}{path}", server.address)).call().expect("an answer");
    }
    let text = scrape(&server);
    for (name, expected) in [
        (r#"asof_http_requests_total{route="/v1/online-features",status="200"}"#, 1.0),
        (r#"asof_http_requests_total{route="/v1/online-features",status="404"}"#, 1.0),
        (r#"asof_http_requests_total{route="other",status="404"}"#, 2.0),
        (r#"asof_http_request_duration_seconds_count{route="/v1/online-features"}"#, 2.0),
        (r#"asof_entities_served_total{view="trips@1"}"#, 2.0),
        (r#"asof_values_served_total{view="trips@1",status="present"}"#, 1.0),
        (r#"asof_values_served_total{view="trips@1",status="null"}"#, 1.0),
        (r#"asof_values_served_total{view="trips@1",status="missing"}"#, 2.0),
        (r#"asof_commands_total{command="materialize",outcome="done"}"#, 1.0),
        (r#"asof_materialized_rows_read_total{view="trips@1"}"#, 3.0),
        (r#"asof_materialized_rows_written_total{view="trips@1"}"#, 3.0),
        ("asof_answers_recorded_total", 2.0),
        ("asof_answers_dropped_total", 0.0),
        ("asof_registry_revision", 1.0),
        ("asof_registry_up", 1.0),
    ] {
        assert_eq!(sample(&text, name), expected, "{name} in\n{text}");
    }
    assert!(sample(&text, r#"asof_view_freshness_seconds{view="trips@1"}"#) > 0.0);
    assert!(sample(&text, "asof_online_store_bytes") > 0.0);
    assert!(!text.contains("invented"), "{text}");

    let exported: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    let document = std::fs::read_to_string(path).expect("a document");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `asof_"));
    let documented: BTreeMap<String, &str> = rows
        .map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next().expect("a name").trim_end_matches('`');
            (format!("asof_{name}"), cells.next().expect("a kind"))
        })
        .collect();
    let documented: BTreeMap<&str, &str> =
        documented.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    assert_eq!(exported, documented);
    let helped: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    assert_eq!(helped, exported.keys().copied().collect());
}
