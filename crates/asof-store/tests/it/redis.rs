//! The online store on a Redis server: the verbs do as they do with a folder, and a server that lost its contents is found out
//! and filled again.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use asof_model::{KnownAt, Status, Value};
use asof_store::push::PushRequest;
use asof_store::verify::VerifyRequest;
use asof_store::{NoProgress, StoreError};
use tempfile::TempDir;

use crate::project::{Ask, Project, features, int_keys, present, without_value};

const DEFINITIONS: &str = "
entities: { id: { keys: { id: int64 } } }
sources: { rows: { path: data, event: event_timestamp, columns: { id: int64, n: int64 } } }
feature_views:
  v: { entities: id, source: rows, features: { n: int64 } }
  counts: { entities: id, source: rows, features: { many: { aggregate: count(), over: 3650d } } }
";

/// How long a server may take to start.
const START_WAIT: Duration = Duration::from_secs(30);

/// A server of its own, which ends with this.
struct Server {
    port: u16,
    process: Child,
    _folder: TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir", folder.path().to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("the tests need redis-server: `scripts/redis_server --install` installs it");
        let server = Self { port, process, _folder: folder };
        let until = Instant::now() + START_WAIT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn project(&self) -> Project {
        let project = Project::new(DEFINITIONS);
        let url = format!("redis://127.0.0.1:{}", self.port);
        project.write("asof.toml", format!("project = \"tests\"\n[online]\nurl = \"{url}\"\n"));
        project
    }

    /// All that the server holds goes.
    fn lose(&self) {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.write_all(b"FLUSHALL\r\n").unwrap();
        let mut said = [0; 5];
        stream.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"+OK\r\n");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn verified(project: &mut Project) -> (u64, u64) {
    let (runtime, store) = project.store();
    let request = VerifyRequest { names: Vec::new(), sample: 100, oracle: true };
    let report = runtime.block_on(Box::pin(store.verify(&request, &NoProgress))).unwrap();
    (report.values, report.identical)
}

/// Goal: what is loaded and pushed is served from Redis, byte for byte what history says.
#[test]
fn loaded_pushed_and_verified() {
    let server = Server::start();
    let mut project = server.project();
    project.write("data/a.csv", "id,event_timestamp,n\n1,2029-12-01T00:00:00Z,5\n2,2029-12-02T00:00:00Z,\n");
    project.apply();
    project.materialize(&[]);
    assert_eq!(
        project.get(&["v:n", "counts:many"], &int_keys("id", &[1, 2, 9])),
        [
            vec![present(Value::Int64(5)), present(Value::Int64(1))],
            vec![without_value(Status::Null), present(Value::Int64(1))],
            vec![without_value(Status::Missing), without_value(Status::Missing)],
        ]
    );
    let push = PushRequest {
        source: "rows".to_owned(),
        rows: vec![r#"{"id": 1, "event_timestamp": "2029-12-31T00:00:00Z", "n": 6}"#.to_owned()],
        key: Some("one".to_owned()),
    };
    let (runtime, store) = project.store();
    runtime.block_on(Box::pin(store.push(&push))).unwrap();
    let found = project.get(&["v:n", "counts:many"], &int_keys("id", &[1]));
    assert_eq!(found, [vec![present(Value::Int64(6)), present(Value::Int64(2))]]);
    let (runtime, store) = project.store();
    let status = runtime.block_on(Box::pin(store.status(&[]))).unwrap();
    assert!(status.online_bytes > 0, "the memory of the server");
    let (values, identical) = verified(&mut project);
    assert_eq!(values, identical);
    assert!(values > 0);
}

/// Goal: a server that lost its contents is an error with the way out, never MISSING; the way out brings all back.
#[test]
fn lost_contents_are_found_out() {
    let server = Server::start();
    let mut project = server.project();
    project.write("data/a.csv", "id,event_timestamp,n\n1,2029-12-01T00:00:00Z,5\n");
    project.apply();
    project.materialize(&[]);
    project.close();
    server.lose();
    let ask = Ask::of(features(&["v:n"]), KnownAt::Served);
    let error = project.try_get(&ask, &int_keys("id", &[1]), 1, None, false).unwrap_err();
    assert!(matches!(error, StoreError::OnlineLost { .. }), "{error}");
    project.materialize(&[]);
    assert_eq!(project.get(&["v:n"], &int_keys("id", &[1])), [vec![present(Value::Int64(5))]]);
}
