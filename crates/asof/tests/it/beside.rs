//! Commands beside a running server: they print the same, and survive what happens to either side.
#![cfg(unix)]
#![allow(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use insta::assert_snapshot;

use crate::support::{LABELS, Scene, TRIPS};

/// How long a test waits for what should take a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what} within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Commands of every kind with their good and their bad outcomes, in an order that builds on what came before.
const COMMANDS: [&str; 21] = [
    "get --service ranking driver_id=7",
    "verify",
    "materialize",
    "materialize",
    "materialize --start 2026-01-02 --end 2026-01-02",
    "materialize nobody",
    "get --service ranking driver_id=7",
    "get --features trips:* --full-names driver_id=8 --format json",
    "get --service ranking driver_id=99",
    "get --service ranking driver_id=",
    "get --service ranking driver_id=seven",
    "get --service ranking driver=7",
    "get --service ranking",
    "get --service rank driver_id=7",
    "get --service ranking driver_id=7 --now 2026-01-03",
    "get --service ranking driver_id=7 --now 2126-01-03",
    "status nobody",
    "verify --oracle",
    "verify nobody",
    "verify --sample 0",
    "list",
];

/// Goal: every command prints and exits the same with and without a server, its failures included.
#[test]
fn prints_the_same() {
    let (alone, served) = (Scene::applied(), Scene::applied());
    let rows = format!("{TRIPS}x,yesterday,,,\n9,2026-01-05T10:00:00Z,2026-01-05T10:00:00Z,many,3\n");
    for scene in [&alone, &served] {
        scene.write("data/trips.csv", &rows);
    }
    let server = served.serve();
    for command in COMMANDS {
        assert_eq!(alone.masked(command), served.masked(command), "asof {command}");
    }
    // Both did the work: what the one served is what the other has.
    let asked = served.ask(&server, r#"{"service": "ranking", "entities": [{"driver_id": 7}]}"#);
    assert_eq!(asked["rows"][0]["features"]["trip_count"], 5);
    served.does("train --labels labels.csv --service ranking -o out.csv");
}

/// Goal: with `-v` the course of the work is told the same too.
#[test]
fn tells_progress() {
    let (alone, served) = (Scene::applied(), Scene::applied());
    let _server = served.serve();
    let told = alone.masked("materialize -v");
    assert!(told.contains("trips@1: 3 rows"), "{told}");
    assert_eq!(told, served.masked("materialize -v"));
    assert_eq!(alone.masked("verify -v"), served.masked("verify -v"));
}

/// Goal: what is applied is served before `apply` is done.
#[test]
fn apply_is_followed_at_once() {
    let scene = Scene::loaded();
    let server = scene.serve();
    scene.write("more.yaml", "feature_services: { more: { features: [ { trips: [rating] } ] } }");
    scene.does("apply");
    let answer = scene.ask(&server, r#"{"service": "more", "entities": [{"driver_id": 8}]}"#);
    assert_eq!(answer["rows"][0]["features"]["rating"], 2.25);
}

/// Goal: the socket is for its owner alone, and goes with its server.
#[test]
fn owner_only() {
    let scene = Scene::loaded();
    let server = scene.serve();
    let folder = scene.path().join(".asof/server");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let socket = folder.join("socket");
    assert_eq!(mode(&socket), 0o600);
    assert!(std::fs::metadata(&socket).expect("metadata").file_type().is_socket());
    // What it says there, it says nowhere else.
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    for route in ["hello", "forget", "follow"] {
        let answer = agent.post(format!("http://{}/{route}", server.address)).send("{}").expect("an answer");
        assert_eq!(answer.status(), 404, "{route}");
    }
    assert_eq!(server.stop(), Some(0));
    assert!(!socket.exists());
}

/// Goal: a server that was killed leaves a file that misleads nobody: commands work alone, and the next server takes
/// its place.
#[test]
fn stale_socket() {
    let scene = Scene::loaded();
    let mut server = scene.serve();
    server.child.kill().expect("killed");
    server.child.wait().expect("an end");
    assert!(scene.path().join(".asof/server/socket").exists());
    let alone = scene.masked("get --service ranking driver_id=7");
    assert!(alone.starts_with("exit 0"), "{alone}");
    let _server = scene.serve();
    assert_eq!(scene.masked("get --service ranking driver_id=7"), alone);
    scene.does("materialize");
}

/// Goal: a second server on the same folder is refused, and told who is first.
#[test]
fn second_server() {
    let scene = Scene::loaded();
    let _server = scene.serve();
    assert_snapshot!(scene.run("serve --listen 127.0.0.1:0"), @"
    exit 1
    --- stdout
    --- stderr
    error: the online store in `[DIR]/.asof/online` is in use by `asof serve` (process [PID], since [NOW])

    hint: run it again when that process has ended, or stop it first
    ");
    // Also where its online store is another one.
    scene.write("asof.toml", "project = \"fleet\"\n[online]\nurl = \".asof/elsewhere\"\n");
    let refused = scene.run("serve --listen 127.0.0.1:0");
    assert!(refused.contains("serves this project already"), "{refused}");
}

/// Goal: a project whose path is too long for a socket is served, and its commands find the server.
#[test]
#[cfg(target_os = "linux")]
fn long_path() {
    let scene = Scene::empty();
    let deep = format!("{}/{}/project", "a".repeat(120), "b".repeat(120));
    for (file, text) in [
        ("asof.toml", ""),
        ("features.yaml", crate::support::FEATURES),
        ("data/trips.csv", TRIPS),
        ("labels.csv", LABELS),
    ] {
        scene.write(&format!("{deep}/{file}"), text);
    }
    scene.does(&format!("apply --project {deep}"));
    let server = scene.serve_with(&format!("--project {deep}"));
    scene.does(&format!("materialize --project {deep}"));
    let answer = scene.ask(&server, r#"{"service": "ranking", "entities": [{"driver_id": 8}]}"#);
    assert_eq!(answer["rows"][0]["features"]["trip_count"], 1);
}

/// Goal: where no socket can be made, the server serves, and commands that need it are told who holds the store.
#[test]
fn no_socket() {
    let scene = Scene::loaded();
    scene.write(".asof/server", "not a folder");
    let server = scene.serve();
    let answer = scene.ask(&server, r#"{"service": "ranking", "entities": [{"driver_id": 8}]}"#);
    assert_eq!(answer["rows"][0]["features"]["trip_count"], 1);
    assert_snapshot!(scene.run("materialize"), @"
    exit 1
    --- stdout
    --- stderr
    error: the online store in `[DIR]/.asof/online` is in use by `asof serve` (process [PID], since [NOW])

    hint: run it again when that process has ended, or stop it first
    ");
}

/// A server of another time: it answers every request with `answer`, as HTTP.
fn impostor(scene: &Scene, answer: String) {
    std::fs::create_dir_all(scene.path().join(".asof/server")).expect("a folder");
    let listener = UnixListener::bind(scene.path().join(".asof/server/socket")).expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            while stream.read(&mut request).is_ok_and(|read| read > 0) {
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        }
    });
}

/// Goal: a server of another version is not talked to, and both versions are told.
#[test]
fn other_version() {
    let scene = Scene::loaded();
    let hello = r#"{"protocol":"9.9.9/7","process":12}"#;
    impostor(&scene, format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{hello}", hello.len()));
    assert_snapshot!(scene.run("get --service ranking driver_id=7").replace(env!("CARGO_PKG_VERSION"), "[VERSION]"), @"
    exit 1
    --- stdout
    --- stderr
    error: the server (process [PID]) speaks `9.9.9/7`, this command `[VERSION]/1`

    hint: restart the server with this program, or run the command with the server's
    ");
}

/// Goal: a command of another version is refused by the server.
#[test]
fn other_command() {
    let scene = Scene::loaded();
    let _server = scene.serve();
    let mut stream =
        std::os::unix::net::UnixStream::connect(scene.path().join(".asof/server/socket")).expect("a server");
    let head = "POST /materialize HTTP/1.1\r\nhost: x\r\nasof-protocol: 9.9.9/7\r\nconnection: close\r\n";
    stream.write_all(format!("{head}content-length: 2\r\n\r\n{{}}").as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert!(answer.contains("the command `9.9.9/7`"), "{answer}");
}

/// Rows enough for a load that takes a while: `files` files of 5,000 rows.
fn many_rows(scene: &Scene, files: usize) {
    scene.edit("features.yaml", "data/trips.csv", "data/trips");
    let header = TRIPS.lines().next().expect("a header");
    for file in 0..files {
        let mut text = format!("{header}\n");
        for row in 0..5_000 {
            let driver = file * 5_000 + row;
            text.push_str(&format!("{driver},2026-01-01T10:00:00Z,2026-01-01T11:00:00Z,{row},{file}.5\n"));
        }
        scene.write(&format!("data/trips/{file:03}.csv"), text);
    }
    scene.does("apply");
}

fn begin(scene: &Scene, line: &str) -> Child {
    scene.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a command")
}

/// Whether a first unit of the load has reached history.
fn begun(scene: &Scene) -> bool {
    let folder = std::fs::read_dir(scene.path().join(".asof/history/trips"));
    let mut versions = folder.into_iter().flatten().flatten();
    versions.any(|version| version.path().join("_delta_log/00000000000000000001.json").exists())
}

/// Goal: a command that is killed takes its work along, and the same command again finishes it.
#[test]
fn killed_command() {
    let scene = Scene::project();
    many_rows(&scene, 40);
    let server = scene.serve();
    let mut command = begin(&scene, "materialize");
    until("a unit", || begun(&scene));
    command.kill().expect("killed");
    command.wait().expect("an end");
    // The turn is free once the work has ended, so this waits for that, and finds what it did.
    let loads = scene.json("materialize --format json");
    let count = |field: &str| loads["views"][0][field].as_u64().expect("a count");
    assert_eq!(loads["views"][0]["unchanged"], false, "the work ended with its command");
    assert!(count("rows_written") < 200_000, "{loads}");
    let answer = scene.ask(&server, r#"{"service": "ranking", "entities": [{"driver_id": 199999}]}"#);
    assert_eq!(answer["rows"][0]["features"]["trip_count"], 4999);
    assert!(scene.does("verify").contains("values are byte-identical"));
}

/// Goal: a server that is told to stop, or killed, while it loads fails the command with what to do, and doing it
/// finishes the load.
#[test]
fn stopped_server() {
    for signal in ["-TERM", "-KILL"] {
        let scene = Scene::project();
        many_rows(&scene, 40);
        let mut server = scene.serve();
        let command = begin(&scene, "materialize");
        until("a unit", || begun(&scene));
        let pid = server.child.id().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().expect("kill").success());
        let output = command.wait_with_output().expect("an end");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{signal}: {told}");
        let expected =
            if signal == "-TERM" { "error: the work was stopped before its end" } else { "broke off" };
        assert!(told.contains(expected), "{signal}: {told}");
        assert!(told.contains("hint: run the command again: it goes on where this one ended"), "{told}");
        server.child.wait().expect("an end");
        scene.does("materialize");
        let row = scene.json("get --service ranking driver_id=199999 --format json");
        assert_eq!(row["features"]["trip_count"], 4999);
        assert!(scene.does("verify").contains("values are byte-identical"));
    }
}

/// Goal: while one command loads and others wait, ask and verify, requests are answered, and every answer is what
/// history says of its instant.
#[test]
fn loads_while_serving() {
    let scene = Scene::project();
    many_rows(&scene, 20);
    let server = scene.serve();
    let loads = [begin(&scene, "materialize"), begin(&scene, "materialize")];
    let mut answered = 0_u32;
    let mut loads = loads.map(Some);
    while loads.iter().any(Option::is_some) {
        let driver = answered * 37 % 100_000;
        let body = format!(r#"{{"features": ["trips:*"], "entities": [{{"driver_id": {driver}}}]}}"#);
        let answer = scene.ask(&server, &body);
        assert!(answer["t"].is_string(), "{answer}");
        answered += 1;
        if answered.is_multiple_of(20) {
            assert!(scene.does("verify --sample 50").contains("byte-identical") || !begun(&scene));
        }
        for load in &mut loads {
            if load.as_mut().is_some_and(|load| load.try_wait().expect("a state").is_some()) {
                let output = load.take().expect("a command").wait_with_output().expect("an end");
                let told = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{told}");
            }
        }
    }
    let report = scene.json("verify --oracle --sample 1000 --format json");
    assert_eq!(report["values"], report["identical"], "{report}");
    assert!(report["views"][0]["recorded_values"].as_u64().expect("a count") > 0, "{report}");
}
