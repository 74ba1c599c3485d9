//! Who may use the store, and how the server must be set up.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asof_model::{Explain, Kind};
use asof_online::conformance::{Harness, ManualClock, World, at};
use asof_online::{Clock, OnlineError, OnlineStore};

use crate::load::Load;
use crate::proxy::Proxy;
use crate::servers::{Cluster, Server, Single, free_port, try_open, wait_until};

/// A store at a URL.
struct At(String);

impl Harness for At {
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn OnlineStore> {
        Arc::new(try_open(&self.0, clock).expect("the store opens"))
    }
}

fn refused(url: &str) -> OnlineError {
    try_open(url, ManualClock::new(at(0))).expect_err("it is refused")
}

/// Goal: a second process is refused with the name of the first, and gets the store when that one has gone.
#[test]
fn a_store_in_use() {
    let single = Single::new();
    let url = format!("{}?hold=4s", single.url());
    let first = try_open(&url, ManualClock::new(at(0))).unwrap();
    let error = refused(&url);
    assert_eq!(error.kind(), Kind::Unavailable);
    let text = error.to_string();
    assert!(
        text.contains(&format!(
            "in use by `test` (process {}, since 2024-01-01T00:00:00Z)",
            std::process::id()
        )),
        "{text}"
    );
    assert!(error.hint().is_some());
    drop(first);
    let begun = Instant::now();
    drop(try_open(&url, ManualClock::new(at(0))).unwrap());
    assert!(begun.elapsed() < Duration::from_secs(3), "it waited for a hold to end");
}

/// Goal: asking whether there is a store makes none, and does not need it to be free.
#[test]
fn asking_for_a_store() {
    let single = Single::new();
    let exists = |project: &str| {
        let settings = asof_redis::RedisSettings::parse(&single.url(), project).unwrap();
        crate::servers::runtime().block_on(asof_redis::RedisStore::exists(settings)).unwrap()
    };
    assert!(!exists("test"));
    assert_eq!(single.server.ask::<i64>(&["DBSIZE"]), 0);
    let store = try_open(&single.url(), ManualClock::new(at(0))).unwrap();
    assert_eq!((exists("test"), exists("other")), (true, false));
    assert!(crate::servers::runtime().block_on(store.memory_bytes()).unwrap() > Some(100_000));
}

/// Goal: a process that was away for longer than its hold, and was replaced meanwhile, writes nothing any more, also what it had
/// begun.
#[test]
fn a_process_that_was_replaced() {
    let single = Single::new();
    let proxy = Proxy::to(single.server.port);
    let behind = At(format!("redis://127.0.0.1:{}/0?hold=400ms&write_patience=30s&timeout=20s", proxy.port));
    let plain = At(format!("{}?hold=400ms", single.url()));
    let slow = World::open(&behind);
    let mut load = Load::new(&slow);
    load.step(&slow).unwrap();
    proxy.stall();
    std::thread::scope(|scope| {
        let (slow, trips) = (&slow, load.trips);
        let held_up = scope.spawn(move || {
            slow.try_publish(slow.unit(trips, "late", 9, vec![slow.row(b"x", at(-1), at(-1), 7)]))
        });
        let quick = World::open(&plain);
        let mut after = Load { done: 1, ..Load::new(&quick) };
        after.step(&quick).unwrap();
        proxy.mend();
        let refused = held_up.join().unwrap().unwrap_err();
        assert!(matches!(refused, OnlineError::TakenOver { .. }), "{refused}");
        assert!(refused.hint().is_some());
        assert!(matches!(load.step(slow), Err(OnlineError::TakenOver { .. })));
        after.step(&quick).unwrap();
        after.check(&quick);
        assert_eq!(quick.number_now(after.trips, b"x"), None);
    });
}

/// Goal: a user with a password and few rights works in a database of its own; a wrong password is said without being shown;
/// two projects and two databases share nothing.
#[test]
fn users_and_databases() {
    let server = Server::start(&[
        "--save",
        "",
        "--user",
        "asof",
        "on",
        ">s3cret",
        "~asof:*",
        "+@all",
        "-@admin",
        "-@dangerous",
        "+info",
    ]);
    let url = format!("redis://asof:s3cret@127.0.0.1:{}/5", server.port);
    let place = At(url.clone());
    let world = World::open(&place);
    let mut load = Load::new(&world);
    load.step(&world).unwrap();
    load.check(&world);
    // BGREWRITEAOF is not allowed: the keys are erased all the same.
    assert_eq!(place.wait(world.store.erase(&[(load.trips, vec![3])])).unwrap(), 1);
    let keys: i64 = server.ask(&["DBSIZE"]);
    assert_eq!(keys, 0, "all is in another database");
    drop(world);
    let wrong = refused(&url.replace("s3cret", "guess99"));
    assert_eq!(wrong.kind(), Kind::Invalid, "{wrong}");
    let shown = format!("{wrong} {wrong:?} {:?} {:?}", wrong.hint(), wrong.causes());
    assert!(!shown.contains("guess99") && !shown.contains("s3cret"), "{shown}");
    let beside = At(url.replace("/5", "/6"));
    let other = World::open(&beside);
    assert_eq!(place.wait(other.store.find("trips@1")).unwrap(), None);
}

/// Goal: a server that would drop rows when memory is short is refused; one that is full says so, and goes on when it is not.
#[test]
fn memory() {
    let server = Server::start(&["--save", "", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let url = format!("redis://127.0.0.1:{}/0?write_patience=500ms&hold=60s", server.port);
    let unfit = refused(&url);
    assert!(unfit.to_string().contains("maxmemory-policy allkeys-lru"), "{unfit}");
    assert!(unfit.hint().unwrap().contains("noeviction"));
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    let place = At(url);
    let world = World::open(&place);
    let mut load = Load::new(&world);
    load.step(&world).unwrap();
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let full = load.step(&world).unwrap_err();
    assert!(matches!(full, OnlineError::Unfit { .. }), "{full}");
    load.check_rows(&world);
    let _: () = server.ask(&["CONFIG", "SET", "maxmemory", "100mb"]);
    load.step(&world).unwrap();
    load.check(&world);
}

/// Goal: over TLS, with a certificate of an authority of one's own, and with one that the client shows.
#[test]
fn tls() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let openssl = |words: &[&str]| {
        let done = Command::new("openssl").args(words).current_dir(folder.path()).output();
        let done =
            done.expect("`openssl` does not start: install it, on Debian by `apt-get install openssl`");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let authority = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority"];
    openssl(&[&authority[..], &["-keyout", "ca.key", "-out", "ca.pem"]].concat());
    std::fs::write(folder.path().join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost").unwrap();
    for name in ["server", "client"] {
        let (key, csr, pem) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        openssl(&[
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &key,
            "-out",
            &csr,
        ]);
        let sign = [
            "x509",
            "-req",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
        ];
        openssl(&[&sign[..], &["-in", &csr, "-out", &pem]].concat());
    }
    let secure = free_port();
    let _server = Server::start(&[
        "--save",
        "",
        "--tls-port",
        &secure.to_string(),
        "--tls-cert-file",
        &file("server.pem"),
        "--tls-key-file",
        &file("server.key"),
        "--tls-ca-cert-file",
        &file("ca.pem"),
        "--tls-auth-clients",
        "yes",
    ]);
    let base = format!("rediss://127.0.0.1:{secure}/0?read_patience=500ms&ca={}", file("ca.pem"));
    let place = At(format!("{base}&cert={}&key={}", file("client.pem"), file("client.key")));
    let world = World::open(&place);
    let mut load = Load::new(&world);
    load.step(&world).unwrap();
    load.check(&world);
    drop(world);
    assert_eq!(refused(&base).kind(), Kind::Unavailable, "without a certificate of its own");
    let unknown = format!("rediss://127.0.0.1:{secure}/0?read_patience=500ms");
    assert_eq!(refused(&unknown).kind(), Kind::Unavailable, "of an authority that nobody knows");
}

/// Goal: from replicas the answers are those of primaries, also while a replica is behind; and a unit waits for replicas where
/// that is asked for.
#[test]
fn replicas_are_read() {
    let cluster = Cluster::with(3, 1, "?read_from=replicas&wait_replicas=1&hold=60s");
    let world = World::open(&cluster);
    let mut load = Load::new(&world);
    for _ in 0..10 {
        load.step(&world).unwrap();
        load.check(&world);
    }
    // What was read is in memory; a process that begins has to ask.
    drop(world);
    let world = World::open(&cluster);
    let reads = |server: &Server| server.info("keyspace_hits").parse::<i64>().unwrap();
    let before: i64 = cluster.nodes[3..].iter().map(reads).sum();
    load.check_rows(&world);
    let after: i64 = cluster.nodes[3..].iter().map(reads).sum();
    assert!(after >= before + 120, "{before} {after}");
    drop(world);
    // Without the wait, and with replicas that follow no more.
    let place = At(cluster.url().replace("wait_replicas=1&", ""));
    let world = World::open(&place);
    for replica in &cluster.nodes[3..] {
        let _: () = replica.ask(&["CONFIG", "SET", "masterauth", "wrong"]);
    }
    for primary in &cluster.nodes[..3] {
        let _: () = primary.ask(&["CONFIG", "SET", "requirepass", ""]);
        let _: i64 = primary.ask(&["CLIENT", "KILL", "TYPE", "replica"]);
    }
    for _ in 0..5 {
        load.step(&world).unwrap();
        load.check(&world);
    }
}

/// Goal: where replicas do not acknowledge a unit, it is not readable, and says so; when they do, it is.
#[test]
fn a_unit_waits_for_replicas() {
    let primary = Server::start(&["--save", "", "--repl-diskless-sync-delay", "0"]);
    let place = At(format!(
        "redis://127.0.0.1:{}/0?wait_replicas=1&timeout=400ms&write_patience=500ms&hold=60s",
        primary.port
    ));
    let world = World::open(&place);
    let mut load = Load::new(&world);
    let waits = load.step(&world).unwrap_err();
    assert_eq!(waits.kind(), Kind::Unavailable);
    assert!(waits.causes().concat().contains("1 replicas"), "{waits} {:?}", waits.causes());
    assert!(load.read(&world).unwrap().iter().all(Option::is_none));
    let replica = Server::start(&["--save", "", "--replicaof", "127.0.0.1", &primary.port.to_string()]);
    wait_until("the replica follows", || replica.info("master_link_status") == "up");
    wait_until("the replica acknowledges", || load.step(&world).is_ok());
    load.check(&world);
}

/// Goal: an erased key leaves no bytes in the files of the server.
#[test]
fn erased_keys_leave_no_bytes() {
    const SECRET: &[u8] = b"somebody-7f3a9c51e2";
    let single = Single::new();
    let world = World::open(&single);
    let view = world.view("trips@1");
    for unit in 0..3_i64 {
        let rows =
            vec![world.row(SECRET, at(unit - 9), at(unit - 9), unit), world.row(b"other", at(-9), at(-9), 1)];
        world.publish(view, &format!("u{unit}"), 1, rows);
    }
    let held = |folder: &std::path::Path| -> usize {
        let mut folders = vec![folder.to_owned()];
        let mut found = 0;
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap().is_dir() {
                    true => folders.push(entry.path()),
                    false => {
                        let bytes = std::fs::read(entry.path()).unwrap();
                        found += usize::from(bytes.windows(SECRET.len()).any(|window| window == SECRET));
                    }
                }
            }
        }
        found
    };
    wait_until("the rows are in the server's file", || held(single.server.folder()) > 0);
    assert_eq!(single.wait(world.store.erase(&[(view, SECRET.to_vec())])).unwrap(), 1);
    assert_eq!(held(single.server.folder()), 0);
    assert_eq!((world.number_now(view, SECRET), world.number_now(view, b"other")), (None, Some(1)));
    let keys: Vec<Vec<u8>> = single.server.ask(&["KEYS", "*"]);
    assert!(keys.iter().all(|key| !key.windows(SECRET.len()).any(|window| window == SECRET)));
}

/// Goal: events of a view with retention expire well past it, those without never; rows never.
#[test]
fn expiry() {
    use asof_online::{EventRule, Publication};
    let single = Single::new();
    let world = World::open(&single);
    let day = 86_400_i64;
    let retention = Some(asof_model::Duration::from_micros(10 * day * 1_000_000));
    let rule = EventRule { retention, identity: None, withdrawal: None, remembers: None, pushed: true };
    let (kept, bounded, rows) = (world.view("kept@1"), world.view("bounded@1"), world.view("rows@1"));
    for (unit, second) in [("u1", 5 * day), ("u2", -9)] {
        for (view, rule) in [(kept, EventRule { retention: None, ..rule }), (bounded, rule)] {
            let rows = vec![world.row(b"k", at(second), at(second), 1)];
            world.try_publish(Publication { events: Some(rule), ..world.unit(view, unit, 1, rows) }).unwrap();
        }
    }
    world.publish(rows, "u1", 1, vec![world.row(b"k", at(-9), at(-9), 1)]);
    let left = |pattern: &str| -> i64 {
        let keys: Vec<String> = single.server.ask(&["KEYS", pattern]);
        assert_eq!(keys.len(), 1, "{pattern}");
        single.server.ask(&["PTTL", &keys[0]])
    };
    assert_eq!((left("asof:*:v1:k"), left("asof:*:v3:k")), (-1, -1));
    let days = left("asof:*:v2:k") as f64 / (day as f64 * 1_000.0);
    assert!(
        (25.9..=26.0).contains(&days),
        "twice the retention, a day, and the five by which the newest lies ahead: {days}"
    );
}
