//! Servers that refuse, shed, are slow, break off, or are not there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asof_load::{LoadError, LoadPlan, Target, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;

use crate::server::{Server, body, ms, plan, report};

/// Goal: a plan that can't be is refused before anything is sent.
#[test]
fn plans_that_cannot_be() {
    let right = plan("127.0.0.1:9".parse().unwrap());
    for (wrong, reason) in [
        (LoadPlan { targets: vec![], ..right.clone() }, "there must be a server to ask"),
        (LoadPlan { asked: vec![], ..right.clone() }, "there must be a service or features to ask for"),
        (LoadPlan { entities: vec![], ..right.clone() }, "there must be a number of entity rows"),
        (LoadPlan { connections: 0, ..right.clone() }, "a run has 1 to 10000 connections"),
        (LoadPlan { threads: 2, ..right.clone() }, "a run has at least one thread, and no more"),
        (LoadPlan { duration: ms(0), ..right.clone() }, "there must be time to measure"),
        (LoadPlan { timeout: ms(0), ..right.clone() }, "a request must have time for its answer"),
        (LoadPlan { headers: vec![("a b".into(), "c".into())], ..right.clone() }, "a header's name"),
        (LoadPlan { headers: vec![("a".into(), "b\r\nc: d".into())], ..right.clone() }, "a header's value"),
        (LoadPlan { headers: vec![("Host".into(), "x".into())], ..right }, "`host`"),
    ] {
        let refused = run(&wrong, &mut |_| true).unwrap_err();
        assert!(
            matches!(refused, LoadError::Plan { .. }) && refused.to_string().starts_with(reason),
            "{refused}"
        );
    }
}

/// Goal: where the first request is refused, nothing else is sent, and the server's words are told.
#[test]
fn refused_at_once() {
    let server = Server::new(|_| (ms(0), 404, r#"{"error": {"message": "no service `churn`"}}"#.to_owned()));
    let refused = run(&plan(server.address), &mut |_| true).unwrap_err();
    let url = format!("http://{}", server.address);
    let told = format!(
        "`{url}` answers `churn` for 1 entity with 404: {{\"error\": {{\"message\": \"no service `churn`\"}}}}"
    );
    assert_eq!(refused.to_string(), told);
    assert_eq!(server.asked().len(), 1);
}

/// A port that is held, on which nobody listens yet. One that nobody held might be given to whoever connects to it.
fn held(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket
}

/// Any port of this machine.
fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Listens on a port that was held, and answers everybody.
fn listen(socket: TcpSocket) -> Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(async { socket.listen(128) }).unwrap();
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(stream, (u64::MAX, OK)));
        }
    });
    runtime
}

/// Goal: nobody there, and nobody who speaks HTTP, is said at once.
#[test]
fn nobody_there() {
    let socket = held(any_port());
    let closed = socket.local_addr().unwrap();
    let refused = run(&plan(closed), &mut |_| true).unwrap_err();
    assert!(matches!(refused, LoadError::Connect { .. }), "{refused}");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = LoadPlan { timeout: ms(50), ..plan(silent.local_addr().unwrap()) };
    let refused = run(&slow, &mut |_| true).unwrap_err();
    assert!(refused.to_string().ends_with("did not answer `churn` for 1 entity within 50ms"), "{refused}");
    let name = Target::parse("http://no.such.host.invalid:1").unwrap();
    let refused = run(&LoadPlan { targets: vec![name], ..plan(closed) }, &mut |_| true).unwrap_err();
    assert!(matches!(refused, LoadError::Connect { .. }), "{refused}");
}

/// Goal: a server that is waited for is asked once it is there, and one that does not come is missed in good time.
#[test]
fn waited_for() {
    let socket = held(any_port());
    let patient = LoadPlan { wait: ms(60_000), ..plan(socket.local_addr().unwrap()) };
    let run_it = std::thread::spawn(move || report(&patient));
    std::thread::sleep(ms(150));
    let _runtime = listen(socket);
    let told = run_it.join().unwrap();
    assert!(told.all.answers > 0 && !told.failed());
    let socket = held(any_port());
    let gone = socket.local_addr().unwrap();
    let begun = std::time::Instant::now();
    let refused = run(&LoadPlan { wait: ms(200), ..plan(gone) }, &mut |_| true).unwrap_err();
    assert!(matches!(refused, LoadError::Connect { .. }) && begun.elapsed() >= ms(200), "{refused}");
}

/// Goal: shedding is counted apart and is no failure; other statuses are errors, each with a text; both are without latency.
#[test]
fn shedding_and_errors() {
    let server = Server::new(|n| match n % 4 {
        1 => (ms(0), 503, "busy".to_owned()),
        2 => (ms(0), 429, "busy".to_owned()),
        3 if n > 20 => (ms(0), 500, "oh\n  no".to_owned()),
        _ => (ms(0), 200, body("PRESENT")),
    });
    let mixed = report(&LoadPlan { connections: 2, duration: ms(1_000), ..plan(server.address) });
    let asked = server.asked().len() as u64;
    assert!(asked > 60, "{asked}");
    let count = |from: u64, rest: u64| (from..asked).filter(|n| n % 4 == rest).count() as u64;
    assert_eq!(mixed.all.sheds, count(1, 1) + count(1, 2));
    assert_eq!(mixed.all.errors.http.iter().collect::<Vec<_>>(), [(&500, &count(21, 3))]);
    assert_eq!(mixed.all.errors.total, count(21, 3));
    assert_eq!(mixed.error_texts["http 500"], "oh no");
    assert!(mixed.failed());
    let busy = Server::new(|_| (ms(1), 503, String::new()));
    let busy = report(&plan(busy.address));
    assert!(!busy.failed() && busy.all.sheds == busy.all.requests && busy.all.answers == 0, "{busy:?}");
    assert_eq!(busy.all.latency.max_us, 0.0);
}

/// Goal: an answer that takes too long is a timeout, its connection is not used again, and a late answer is no one else's.
#[test]
fn timeouts() {
    let server = Server::new(|n| (if n % 3 == 2 { ms(20_000) } else { ms(0) }, 200, body("PRESENT")));
    let report = report(&LoadPlan { timeout: ms(700), duration: ms(1_500), ..plan(server.address) });
    let asked = server.asked().len() as u64;
    let timeouts = (1..asked).filter(|n| n % 3 == 2).count() as u64;
    assert_eq!((report.all.errors.timeout, report.all.errors.total), (timeouts, timeouts));
    assert!(timeouts >= 2 && report.all.answers >= 3, "{report:?}");
    assert!(report.all.latency.max_us <= 700_000.0);
    // One at first, and one after each timeout but, it may be, the last.
    assert!((timeouts..=timeouts + 1).contains(&report.client.connections_opened), "{report:?}");
    assert_eq!(report.client.resent, 0);
}

/// A server that is told for its `n`-th connection how many requests it answers, and with what. It closes the connection
/// behind them.
fn closing(
    answers: impl Fn(u64) -> (u64, &'static str) + Send + Sync + 'static,
) -> (Runtime, SocketAddr, Arc<AtomicU64>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicU64::new(0));
    let (count, answers) = (connections.clone(), Arc::new(answers));
    runtime.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream, answers(number)));
        }
    });
    (runtime, address, connections)
}

async fn serve(mut stream: TcpStream, (count, answer): (u64, &'static str)) {
    let mut buffer = vec![0; 4096];
    for _ in 0..count {
        // A request of one entity comes in one piece.
        if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
            return;
        }
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
    // Closed in good order, as a server does with what is idle too long.
    let _ = stream.shutdown().await;
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const CLOSE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
const CUT: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{";

/// Goal: a connection that the server closes between two requests is opened anew, and nothing is an error.
#[test]
fn closed_while_idle() {
    let (_runtime, address, connections) = closing(|_| (5, OK));
    let told = report(&plan(address));
    assert_eq!((told.all.errors.total, told.all.answers), (0, told.all.requests), "{told:?}");
    assert!(told.client.resent > 2, "{told:?}");
    let opened = connections.load(Ordering::Relaxed);
    // One more for the first request.
    assert_eq!(opened, told.client.connections_opened + 1);
    assert!(told.all.requests <= opened * 5);
    let (_runtime, address, connections) = closing(|_| (1, CLOSE));
    let told = report(&plan(address));
    assert_eq!((told.all.errors.total, told.client.resent), (0, 0), "{told:?}");
    assert_eq!(connections.load(Ordering::Relaxed), told.client.connections_opened + 1);
    assert!(told.all.requests > 10);
}

/// Goal: an answer that breaks off is an error, what is no HTTP another; both are told, and the run goes on.
#[test]
fn broken_answers() {
    let (_runtime, address, _) = closing(|n| match n {
        0 => (1, OK),
        n if n % 2 == 1 => (1, CUT),
        _ => (1, "hello\r\n\r\n"),
    });
    let told = report(&LoadPlan { connections: 3, ..plan(address) });
    let errors = &told.all.errors;
    assert!(errors.connection_lost > 0 && errors.protocol > 0, "{errors:?}");
    assert_eq!(errors.total, errors.connection_lost + errors.protocol);
    assert_eq!(told.all.answers, 0);
    assert_eq!(told.error_texts["protocol"], "the answer can't be read: it does not begin as HTTP/1.1 does");
    assert!(told.error_texts["connection lost"].starts_with("the connection was lost: "));
}

/// Goal: a server that goes away is errors of connecting, at a bearable pace; one that comes back is asked again.
#[test]
fn gone_and_back() {
    let (runtime, address, _) = closing(|_| (u64::MAX, OK));
    let gone_and_back = std::thread::spawn(move || {
        std::thread::sleep(ms(200));
        drop(runtime);
        let socket = held(address);
        std::thread::sleep(ms(300));
        listen(socket)
    });
    let told = report(&LoadPlan { duration: ms(1_200), ..plan(address) });
    let _back = gone_and_back.join().unwrap();
    let errors = &told.all.errors;
    assert!(errors.connect >= 3 && errors.connect < 150, "{errors:?}");
    assert!(told.error_texts["connect"].starts_with("cannot connect: "), "{:?}", told.error_texts);
    assert!(told.client.connections_opened >= 2, "{told:?}");
    assert!(told.all.answers > 2 && told.failed());
}
