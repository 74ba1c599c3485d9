//! `serve`.

use std::net::TcpListener;

use insta::assert_snapshot;

use crate::support::Scene;

/// Goal: a server answers, and ends well when told to.
#[test]
#[cfg(unix)]
fn answers_and_stops() {
    let scene = Scene::loaded();
    let server = scene.serve();
    let url = format!("http://{}/v1/online-features", server.address);
    let body = r#"{"service": "ranking", "entities": [{"driver_id": 7}]}"#;
    let mut answer =
        ureq::post(&url).header("content-type", "application/json").send(body).expect("an answer");
    let answer: serde_json::Value =
        serde_json::from_str(&answer.body_mut().read_to_string().expect("a body")).expect("JSON");
    assert_eq!(answer["rows"][0]["features"]["trip_count"], 5);
    assert_eq!(answer["rows"][0]["statuses"]["rating"], "NULL");
    assert_eq!(server.stop(), Some(0));
}

/// Goal: a server that can't listen says so.
#[test]
fn no_listener() {
    let scene = Scene::loaded();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    assert_snapshot!(scene.run(&format!("serve --listen {address}")), @r"
    exit 1
    --- stdout
    --- stderr
    error: cannot listen on `127.0.0.1:[PORT]`: Address already in use (os error 98)

    hint: stop the process that listens there, or choose another with `--listen HOST:PORT`
    ");
    assert_snapshot!(scene.run("serve --listen nowhere"), @r"
    exit 1
    --- stdout
    --- stderr
    error: `nowhere` is not an address to listen on: invalid socket address

    hint: write it as `HOST:PORT`, like `127.0.0.1:[PORT]`
    ");
}

/// Goal: a server that starts before anything is applied waits for it, and tells askers so.
#[test]
#[cfg(unix)]
fn nothing_applied() {
    let scene = Scene::project();
    let server = scene.serve();
    let url = format!("http://{}/v1/online-features", server.address);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let body = r#"{"service": "ranking", "entities": [{"driver_id": 7}]}"#;
    let mut answer =
        agent.post(&url).header("content-type", "application/json").send(body).expect("an answer");
    assert_snapshot!(answer.body_mut().read_to_string().expect("a body"), @r#"{"error":{"kind":"conflict","message":"nothing has been applied to project `fleet` yet","hint":"run `asof apply`"}}"#);
    assert_eq!(server.stop(), Some(0));
}
