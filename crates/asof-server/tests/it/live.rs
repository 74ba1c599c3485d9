//! A real server, bound to a port.

use std::sync::Arc;
use std::time::Duration;

use asof_model::{Explain, Kind};
use asof_server::{REVISION_POLL, Server, ServerError};
use asof_testkit::clock::SteppedClock;

use crate::support::{World, at, open};

/// How long a test waits for what should take a second or two.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs until it is told to stop.
pub struct Running {
    pub base: String,
    pub stop: tokio::sync::oneshot::Sender<()>,
    pub done: tokio::task::JoinHandle<Result<(), ServerError>>,
}

impl Running {
    pub async fn start(store: Arc<asof_store::Store>) -> Self {
        let server = Server::bind(store, "127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", server.local_addr());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let done = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        Self { base, stop, done }
    }

    /// Its address, as the beginning of a url.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Tells it to stop, and waits until it has.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        tokio::time::timeout(PATIENCE, self.done).await.unwrap().unwrap().unwrap();
    }

    /// Posts in Feast's shape; answers status and body.
    async fn post(&self, body: &'static str) -> (u16, String) {
        let url = format!("{}/get-online-features", self.base);
        let call = move || {
            let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
            let mut response = agent.post(&url).send(body).unwrap();
            (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
        };
        tokio::task::spawn_blocking(call).await.unwrap()
    }
}

const BODY: &str = r#"{"features":["recent:level"],"entities":{"sensor_id":[1]}}"#;

/// Goal: a bound server answers over TCP; told to stop, it finishes the request that it has begun to read, then ends
/// and lets go of port and store.
#[tokio::test(flavor = "multi_thread")]
async fn serves_and_stops() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (dir, clock, store) = World::stored().await;
    let running = Running::start(store.clone()).await;
    let (status, body) = running.post(BODY).await;
    assert_eq!((status, body.contains("\"values\":[3]")), (200, true), "{body}");

    // A request of which only a half has arrived when the server is told to stop.
    let address = running.base.trim_start_matches("http://").to_owned();
    let mut slow = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head =
        format!("POST /get-online-features HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", BODY.len());
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&BODY.as_bytes()[..10]).await.unwrap();
    // An answer on another connection, so that the server has taken up the slow one before it is told to stop.
    running.post(BODY).await;
    running.stop.send(()).unwrap();
    let refused = async {
        while tokio::net::TcpStream::connect(&address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert!(!running.done.is_finished());
    slow.write_all(&BODY.as_bytes()[10..]).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"values\":[3]"), "{answer}");
    tokio::time::timeout(PATIENCE, running.done).await.unwrap().unwrap().unwrap();

    // Nothing of it is left: another store opens the same folder.
    drop(store);
    let again = Server::bind(open(dir.path(), clock), &address).await.unwrap();
    assert_eq!(again.local_addr().to_string(), address);
}

/// Goal: what keeps a server from starting is said at start, with the next step.
#[tokio::test]
async fn start_errors() {
    let (dir, clock, store) = World::stored().await;
    let first = Server::bind(store, "127.0.0.1:0").await.unwrap();
    let taken = first.local_addr().to_string();

    let failure = async |listen: &str| {
        let other = open(dir.path(), clock.clone());
        Server::bind(other, listen).await.map(|_| ()).unwrap_err()
    };
    let error = failure(&taken).await;
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().starts_with(&format!("cannot listen on `{taken}`: ")), "{error}");
    assert!(error.hint().unwrap().contains("--listen HOST:PORT"));

    let error = failure("6566").await;
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.hint().unwrap().contains("HOST:PORT"), "{error}");

    let error = failure("127.0.0.1:0").await;
    assert!(matches!(error, ServerError::Store(_)), "{error}");
    assert!(error.to_string().contains("is in use by `a test`"), "{error}");
}

/// Goal: a service that is applied while the server runs is served without a restart, and one that is removed is not
/// served any more.
#[tokio::test(flavor = "multi_thread")]
async fn follows_the_registry() {
    let (dir, clock, store) = World::stored().await;
    let running = Running::start(store.clone()).await;
    let body = r#"{"feature_service":"added","entities":{"sensor_id":[1]}}"#;
    assert_eq!(running.post(body).await.0, 404);

    // Another process applies: it needs the registry alone.
    let other = open(dir.path(), Arc::new(SteppedClock::at(at("2026-01-01T12:40:00Z"))));
    let file = dir.path().join("added.yaml");
    std::fs::write(&file, "feature_services: { added: { features: [ { recent: [level] } ] } }").unwrap();
    other.apply(&[], "tester").await.unwrap();
    let until = async |status: u16| {
        while running.post(body).await.0 != status {
            tokio::time::sleep(REVISION_POLL / 10).await;
        }
    };
    tokio::time::timeout(PATIENCE, until(200)).await.unwrap();
    std::fs::remove_file(file).unwrap();
    other.apply(&["added".to_owned()], "tester").await.unwrap();
    tokio::time::timeout(PATIENCE, until(404)).await.unwrap();

    // The registry is lost: what was applied last goes on being served.
    drop((other, clock));
    for file in ["registry.db", "registry.db-wal", "registry.db-shm"] {
        overwrite(&dir.path().join(".asof").join(file));
    }
    assert!(store.revision().await.is_err());
    tokio::time::sleep(REVISION_POLL * 2).await;
    assert_eq!(running.post(BODY).await.0, 200);
}

/// Damages a file in place: whoever has it open meets the damage, and whoever has it mapped keeps the mapping.
fn overwrite(path: &std::path::Path) {
    use std::io::Write;
    let Ok(mut file) = std::fs::OpenOptions::new().write(true).open(path) else { return };
    let length = file.metadata().unwrap().len() as usize;
    file.write_all(&vec![7; length]).unwrap();
}
