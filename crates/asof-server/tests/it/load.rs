//! More than a server can do, slow clients, packed bodies, deadlines: whoever behaves is answered all the same.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use asof_proto::messages::asof::v1;
use asof_proto::messages::asof::v1::feature_store_client::FeatureStoreClient;
use asof_server::BODY_BYTES_MAX;
use axum::body::Body;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::live::Running;
use crate::support::{World, text};

const BODY: &str = r#"{"features":["recent:level"],"entities":{"sensor_id":[1]}}"#;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(body).unwrap();
    packed.finish().unwrap()
}

fn packed(encoding: &str, body: Vec<u8>) -> Request<Body> {
    Request::post("/get-online-features").header("content-encoding", encoding).body(Body::from(body)).unwrap()
}

/// Goal: packed requests are read, and those that can't be are refused with what to do; a small body that unpacks to a
/// huge one does no harm.
#[tokio::test]
async fn packed_requests() {
    let world = World::new().await;
    let plain = text(world.send(packed("identity", BODY.into())).await).await;
    assert!(plain.starts_with("200 "), "{plain}");
    assert_eq!(text(world.send(packed("gzip", gzip(BODY.as_bytes()))).await).await, plain);
    let zstd = zstd::bulk::compress(BODY.as_bytes(), 1).unwrap();
    assert_eq!(text(world.send(packed("zstd", zstd)).await).await, plain);
    let mut said = Vec::new();
    let bomb = gzip(&vec![b' '; BODY_BYTES_MAX + 1]);
    assert!(bomb.len() < 100_000);
    for (encoding, body) in [("br", BODY.into()), ("gzip", BODY.into()), ("gzip", bomb)] {
        said.push(text(world.send(packed(encoding, body)).await).await);
    }
    insta::assert_snapshot!(said.join("\n"), @r#"
    415 "the body has a `content-encoding` that is not known; send it as it is, or packed by gzip or zstd"
    400 "the body is not what its `content-encoding` says; send it as it is, or packed by gzip or zstd"
    413 "the body has more than 10000000 bytes, which is the most that is read; cut the request into several"
    "#);
}

/// Goal: a long answer is packed for a client that takes it so, and is the same answer.
#[tokio::test]
async fn packed_answers() {
    let world = World::new().await;
    let sensors: Vec<i64> = (0..5_000).collect();
    let body = serde_json::json!({ "features": ["recent:level"], "entities": { "sensor_id": sensors } });
    let ask = |accept: &str| {
        Request::post("/get-online-features")
            .header("accept-encoding", accept)
            .body(Body::from(body.to_string()))
            .unwrap()
    };
    let bytes = async |response: axum::http::Response<Body>| {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()
    };
    let plain = bytes(world.send(ask("identity")).await).await;
    let response = world.send(ask("gzip, deflate")).await;
    assert_eq!(response.headers()["content-encoding"], "gzip");
    let packed = bytes(response).await;
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    let response = world.send(ask("zstd, gzip")).await;
    assert_eq!(response.headers()["content-encoding"], "zstd");
    assert_eq!(zstd::stream::decode_all(bytes(response).await.as_slice()).unwrap(), plain);
}

/// Goal: a time that a client allows is a number of milliseconds within bounds.
#[tokio::test]
async fn allowed_times() {
    let world = World::new().await;
    let ask = |path: &str, time: &str| {
        Request::post(path).header("asof-timeout-ms", time).body(Body::from(BODY)).unwrap()
    };
    assert!(text(world.send(ask("/get-online-features", "5000")).await).await.starts_with("200 "));
    for time in ["0", "-1", "soon", "3600001"] {
        let said = text(world.send(ask("/v1/online-features", time)).await).await;
        assert!(said.starts_with("422 ") && said.contains("asof-timeout-ms"), "{said}");
    }
}

/// Goal: a body that does not arrive in the time that its client allows is 504, and nobody waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_passes() {
    let (_dir, _clock, store) = World::stored().await;
    let running = Running::start(store).await;
    let address = running.base.trim_start_matches("http://").to_owned();
    let mut slow = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /get-online-features HTTP/1.1\r\nhost: x\r\nasof-timeout-ms: 50\r\ncontent-length: {}\r\n\r\n",
        BODY.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = slow.read(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
}

/// Goal: HTTP/2 and HTTP/1.1 share the port.
#[tokio::test(flavor = "multi_thread")]
async fn one_port() {
    let (_dir, _clock, store) = World::stored().await;
    let running = Running::start(store).await;
    let stream = TcpStream::connect(running.base.trim_start_matches("http://")).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let service = tower::service_fn(move |request: Request<tonic::body::Body>| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let mut client = FeatureStoreClient::with_origin(service, running.base.parse().unwrap());
    let request = v1::GetOnlineFeaturesRequest {
        wanted: Some(v1::get_online_features_request::Wanted::Features(v1::FeatureList {
            names: vec!["rates:rate".to_owned()],
        })),
        ..Default::default()
    };
    let answer = client.get_online_features(request).await.unwrap().into_inner();
    assert_eq!(answer.columns.len(), 1);
    let mut stream = TcpStream::connect(running.base.trim_start_matches("http://")).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

/// Goal: clients that send nothing, or a part of a request and no more, do not keep others waiting; and of many requests
/// at once each is answered or turned away, none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_and_many_requests() {
    const SLOW: usize = 300;
    const BUSY: usize = 200;
    const EACH: usize = 20;
    let (_dir, _clock, store) = World::stored().await;
    let running = Running::start(store).await;
    let address = running.base.trim_start_matches("http://").to_owned();
    let mut slow = Vec::new();
    for place in 0..SLOW {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        if place % 2 == 0 {
            let half = b"POST /get-online-features HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{";
            stream.write_all(half).await.unwrap();
        }
        slow.push(stream);
    }
    let (answered, turned_away) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let wrong = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let clients = (0..BUSY).map(|_| {
        let (address, answered) = (address.clone(), answered.clone());
        let (turned_away, wrong) = (turned_away.clone(), wrong.clone());
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let head = format!(
                "POST /get-online-features HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{BODY}",
                BODY.len()
            );
            for _ in 0..EACH {
                stream.write_all(head.as_bytes()).await.unwrap();
                let said = one_answer(&mut stream).await;
                match said.as_str() {
                    said if said.starts_with("HTTP/1.1 200 ") && said.contains("\"values\":[3]") => {
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    said if said.starts_with("HTTP/1.1 503 ") && said.contains("retry-after") => {
                        turned_away.fetch_add(1, Ordering::Relaxed);
                    }
                    _ => wrong.store(true, Ordering::Relaxed),
                }
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    assert!(!wrong.load(Ordering::Relaxed));
    let (answered, turned_away) = (answered.load(Ordering::Relaxed), turned_away.load(Ordering::Relaxed));
    assert_eq!(answered + turned_away, (BUSY * EACH) as u64);
    assert!(answered > 0 && started.elapsed() < Duration::from_secs(60));
    drop(slow);
}

/// Reads one answer of a declared length.
async fn one_answer(stream: &mut TcpStream) -> String {
    let mut said = Vec::new();
    let mut part = [0; 4096];
    loop {
        let read = stream.read(&mut part).await.unwrap();
        assert!(read > 0, "the connection ended");
        said.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&said);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase();
        let length =
            length.split_once("content-length: ").unwrap().1.lines().next().unwrap().trim().parse::<usize>();
        if body.len() == length.unwrap() {
            return text.into_owned();
        }
    }
}
