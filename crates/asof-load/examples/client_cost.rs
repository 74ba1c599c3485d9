//! What does a request cost the client, and how late does it send? Against a server in the same process that says the same to
//! everybody, one thread each: `cargo run --release -p asof-load --example client_cost`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that somebody watches")]

use std::time::Duration;

use asof_load::{
    Arrivals, Asked, Entities, KeySpec, Keys, LoadPlan, Mode, Popularity, Shape, TIMEOUT_DEFAULT, Target,
    WAITING_DEFAULT, What, run,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream));
            }
        });
    });
    println!(
        "{:<22} {:>8} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "entities", "answers/s", "us each", "p50 us", "p99 us", "late p50", "late p99"
    );
    let open = |rate| Mode::Open { rate, arrivals: Arrivals::Poisson, waiting_max: WAITING_DEFAULT };
    for (mode, name) in
        [(Mode::Closed, "closed"), (open(2_000.0), "open, 2,000/s"), (open(10_000.0), "open, 10,000/s")]
    {
        for rows in [1, 100] {
            let plan = LoadPlan {
                targets: vec![Target::parse(&format!("http://{address}")).unwrap()],
                shape: Shape::Native,
                headers: vec![],
                asked: vec![Asked { what: What::Service("s".to_owned()), weight: 1 }],
                entities: vec![Entities { rows, weight: 1 }],
                keys: Keys::new(vec![KeySpec::parse("entity_id", "int:0..1000000").unwrap()], None).unwrap(),
                popularity: Popularity::Zipf { exponent: 0.99 },
                connections: 16,
                threads: 1,
                mode,
                wait: Duration::ZERO,
                warm_up: Duration::from_millis(500),
                duration: Duration::from_secs(3),
                timeout: TIMEOUT_DEFAULT,
                seed: 1,
            };
            let report = run(&plan, &mut |_| true).unwrap();
            let (all, latency) = (&report.all, report.all.latency);
            let each = report.client.busy.unwrap_or(0.0) * 1e6 / all.answers_per_second;
            let late = report.open.map_or((0.0, 0.0), |open| (open.lateness.p50_us, open.lateness.p99_us));
            println!(
                "{name:<22} {rows:>8} {:>11.0} {each:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
                all.answers_per_second, latency.p50_us, latency.p99_us, late.0, late.1
            );
        }
    }
}

/// Answers every piece that comes: a request of this run is one.
async fn answer(mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let body = r#"{"rows":[{"statuses":{"a":"PRESENT"}}]}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut buffer = vec![0; 64 << 10];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
