//! Servers that answer: what they are asked, and what is counted.

use std::collections::HashSet;
use std::time::Duration;

use asof_load::{
    Asked, Entities, KeySpec, Keys, KeysFile, LoadPlan, Mode, Popularity, Shape, Target, What, run,
};
use serde_json::Value;

use crate::server::{Server, body, ms, plan, report};

/// Goal: the server gets each request that is counted and one of each kind before, in the right shape and mix, and the report
/// counts them exactly, of each kind.
#[test]
fn counts_are_exact() {
    let server = Server::new(|_| (ms(0), 200, body("PRESENT")));
    let asked = |name: &str| Asked { what: What::Service(name.to_owned()), weight: 1 };
    let report = report(&LoadPlan {
        asked: vec![asked("one"), asked("five")],
        entities: vec![Entities { rows: 1, weight: 3 }, Entities { rows: 10, weight: 1 }],
        connections: 5,
        threads: 2,
        ..plan(server.address)
    });
    assert!(report.all.requests > 20 && !report.failed(), "{report:?}");
    assert_eq!((report.all.answers, report.warm_up.requests), (report.all.requests, 0));
    let mut of_kind = [0_u64; 4];
    for (route, text) in &server.asked() {
        assert_eq!(route, "/v1/online-features");
        let request: Value = serde_json::from_str(text).unwrap();
        let rows = request["entities"].as_array().unwrap().len();
        of_kind[usize::from(request["service"] == "five") * 2 + usize::from(rows == 10)] += 1;
        assert!([1, 10].contains(&rows));
        assert!(request["entities"][0]["id"].as_i64().is_some_and(|id| (0..1000).contains(&id)));
    }
    let counted: Vec<u64> = report.mix.iter().map(|kind| kind.measured.requests + 1).collect();
    assert_eq!(counted, of_kind);
    let rows: Vec<usize> = report.mix.iter().map(|kind| kind.entities).collect();
    assert_eq!(rows, [1, 10, 1, 10]);
    assert_eq!(report.mix.iter().map(|kind| kind.share).collect::<Vec<_>>(), [0.375, 0.125, 0.375, 0.125]);
    let rate = report.all.answers as f64 / 0.3;
    assert!((report.all.answers_per_second - rate).abs() < 0.01);
    assert_eq!((report.client.connections_opened, report.client.resent), (5, 0));
}

/// Goal: requests of the warm-up are counted apart, and have no part in what is measured.
#[test]
fn warm_up_is_apart() {
    // Slow while it warms up, which no latency may show.
    let server = Server::new(|n| (if n < 5 { ms(700) } else { ms(0) }, 200, body("PRESENT")));
    let report =
        report(&LoadPlan { warm_up: ms(500), duration: ms(700), connections: 4, ..plan(server.address) });
    assert_eq!(report.warm_up.requests, 4);
    assert_eq!(server.asked().len() as u64, report.all.requests + 4 + 1);
    assert!(report.all.requests > 4 && report.all.latency.p50_us < 500_000.0, "{report:?}");
}

/// Goal: bytes are those on the wire, both ways.
#[test]
fn bytes_on_the_wire() {
    let server = Server::new(|_| (ms(0), 200, "x".repeat(100_000)));
    let keys = Keys::new(vec![KeySpec::parse("id", "int:10..11").unwrap()], None).unwrap();
    let plan =
        LoadPlan { keys, headers: vec![("authorization".into(), "secret".into())], ..plan(server.address) };
    let report = report(&plan);
    let each = |bytes: u64| (bytes / report.all.requests, bytes % report.all.requests);
    let (sent, rest) = each(report.all.bytes_sent);
    let body = r#"{"service":"churn","entities":[{"id":10}]}"#.len() as u64;
    assert!(rest == 0 && sent > body + 100 && sent < body + 250, "{sent}");
    let (received, rest) = each(report.all.bytes_received);
    assert!(rest == 0 && (100_050..100_300).contains(&received), "{received}");
    // What was sent is told, but not its secrets.
    let saved = serde_json::to_value(&report).unwrap();
    assert_eq!(saved["plan"]["headers"][0], "authorization");
    assert!(!saved.to_string().contains("secret"));
}

/// Goal: percentiles are those of known delays: nine answers of ten in 5 ms, one in 300 ms.
#[test]
fn percentiles_of_known_delays() {
    let server = Server::new(|n| (if n % 10 == 9 { ms(300) } else { ms(5) }, 200, body("PRESENT")));
    let plan = LoadPlan { connections: 8, duration: ms(2_000), ..plan(server.address) };
    let latency = report(&plan).all.latency;
    assert!((5_000.0..250_000.0).contains(&latency.p50_us), "{latency:?}");
    assert!(latency.p99_us >= 300_000.0 && latency.p99_9_us >= latency.p99_us, "{latency:?}");
    assert!(latency.max_us >= latency.p99_9_us && latency.p90_us >= latency.p50_us, "{latency:?}");
    assert!(latency.mean_us > 20_000.0, "{latency:?}");
}

/// Goal: Feast's shape is asked on its route with columns, and statuses other than those of join keys are counted.
#[test]
fn the_shape_of_feast() {
    let answer = r#"{"results":[{"values":[1],"statuses":["PRESENT"]},{"values":[null],"statuses":["NOT_FOUND"]}],
        "metadata":{"feature_names":["id","a"]}}"#;
    let server = Server::new(move |_| (ms(0), 200, answer.to_owned()));
    let features = What::Features(vec!["v:a".to_owned()]);
    let plan = LoadPlan {
        shape: Shape::Feast,
        asked: vec![Asked { what: features, weight: 1 }],
        entities: vec![Entities { rows: 3, weight: 1 }],
        ..plan(server.address)
    };
    let report = report(&plan);
    let (route, text) = server.asked().pop().unwrap();
    let request: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(route, "/get-online-features");
    assert_eq!(request["features"][0], "v:a");
    assert_eq!(request["entities"]["id"].as_array().unwrap().len(), 3);
    assert!(report.statuses.answers >= 1);
    assert_eq!(
        report.statuses.values.iter().collect::<Vec<_>>(),
        [(&"NOT_FOUND".to_owned(), &report.statuses.answers)]
    );
}

/// Goal: the same seed asks for the same, in the same order, whatever the time that answers take.
#[test]
fn the_same_from_the_same_seed() {
    let asked = |delay: Duration, seed| {
        let server = Server::new(move |_| (delay, 200, body("PRESENT")));
        let popularity = Popularity::Zipf { exponent: 1.1 };
        report(&LoadPlan { popularity, seed, ..plan(server.address) });
        // The first is the one before the run.
        server.asked().into_iter().skip(1).map(|(_, text)| text).collect::<Vec<_>>()
    };
    let (fast, slow, other) = (asked(ms(0), 7), asked(ms(5), 7), asked(ms(5), 8));
    let both = fast.len().min(slow.len());
    assert!(both >= 5 && other.len() >= 5);
    assert_eq!(fast[..both], slow[..both]);
    assert_ne!(slow[..5], other[..5]);
}

/// Goal: keys of a file are asked for, and those of a rule beside them.
#[test]
fn keys_of_a_file() {
    let server = Server::new(|_| (ms(0), 200, body("PRESENT")));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.csv");
    std::fs::write(&path, "zip:int,ssn\n94109,a\n7,b\n").unwrap();
    let made = vec![KeySpec::parse("user", "text:u%d:5..6").unwrap()];
    let keys = Keys::new(made.clone(), Some(KeysFile::read(&path).unwrap())).unwrap();
    let report = report(&LoadPlan { keys, ..plan(server.address) });
    let seen: HashSet<String> = server.asked().into_iter().map(|(_, text)| text).collect();
    let right = [("94109", "a"), ("7", "b")].map(|(zip, ssn)| {
        format!(r#"{{"service":"churn","entities":[{{"user":"u5","zip":{zip},"ssn":"{ssn}"}}]}}"#)
    });
    assert_eq!(seen, right.into_iter().collect());
    let saved = serde_json::to_value(&report).unwrap();
    assert_eq!(saved["plan"]["keys"]["made"][0]["values"], "text:u%d:5..6");
    assert_eq!(saved["plan"]["keys"]["file"]["rows"], 2);
    let twice = KeySpec::parse("zip", "int:0..5").unwrap();
    let refused = Keys::new(vec![twice], Some(KeysFile::read(&path).unwrap())).unwrap_err();
    assert_eq!(refused.to_string(), "the join key `zip` is given twice");
}

/// Goal: connections are dealt to all servers.
#[test]
fn several_servers() {
    let servers = [(); 2].map(|()| Server::new(|_| (ms(1), 200, body("PRESENT"))));
    let targets = servers.each_ref().map(|each| Target::parse(&format!("http://{}", each.address)).unwrap());
    let report = report(&LoadPlan { targets: targets.to_vec(), connections: 4, ..plan(servers[0].address) });
    let each = servers.each_ref().map(|server| server.asked().len() as u64);
    assert!(each.iter().all(|count| *count > 2), "{each:?}");
    assert_eq!(each.iter().sum::<u64>(), report.all.requests + 2);
}

/// Goal: a run that is no longer wanted ends at once and tells what it has; one that measured nothing says so.
#[test]
fn told_to_end() {
    let server = Server::new(|_| (ms(1), 200, body("PRESENT")));
    let plan = LoadPlan { duration: Duration::from_secs(60), ..plan(server.address) };
    let begun = std::time::Instant::now();
    let mut told = Vec::new();
    let report = run(&plan, &mut |so_far| {
        told.push(*so_far);
        so_far.requests < 20
    })
    .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(!report.complete && report.all.requests >= 20 && report.seconds < 30.0, "{report:?}");
    assert!(told.is_sorted_by_key(|so_far| (so_far.elapsed, so_far.requests)));
    let never = LoadPlan { warm_up: Duration::from_secs(60), mode: Mode::Closed, ..plan };
    assert_eq!(run(&never, &mut |_| false).unwrap_err().to_string(), "stopped before anything was measured");
}

/// Goal: a run can be called within a runtime, as commands do, whether it goes well or not.
#[tokio::test(flavor = "multi_thread")]
async fn within_a_runtime() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert!(run(&plan(gone), &mut |_| true).is_err());
    let router = axum::Router::new().fallback(async || body("PRESENT"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    assert!(report(&plan(address)).all.answers > 0);
}
