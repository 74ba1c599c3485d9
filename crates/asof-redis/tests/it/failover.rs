//! Servers that lose what they had acknowledged: a replica that was behind is promoted, a server comes back empty.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use asof_model::{Explain, Kind};
use asof_online::conformance::{Harness, ManualClock, World, at};
use asof_online::{Clock, OnlineError, OnlineStore};
use asof_redis::RedisStore;

use crate::load::Load;
use crate::servers::{Cluster, Sentinels, Server, Single, try_open, wait_until};

/// A store at a URL whose own counters are asked.
struct Kept {
    url: String,
    /// The store that was opened last, which this does not keep open.
    store: Mutex<Weak<RedisStore>>,
}

impl Kept {
    fn new(url: String) -> Self {
        Self { url, store: Mutex::default() }
    }

    fn healed(&self) -> u64 {
        self.store.lock().unwrap().upgrade().map_or(0, |store| store.calls_healed())
    }
}

impl Harness for Kept {
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn OnlineStore> {
        let store = Arc::new(try_open(&self.url, clock).expect("the store opens"));
        *self.store.lock().unwrap() = Arc::downgrade(&store);
        store
    }
}

fn signal(server: &Server, name: &str) {
    let done = Command::new("kill").args([name, &server.process().to_string()]).status().expect("kill runs");
    assert!(done.success());
}

/// Lets a replica follow no more: what its primary acknowledges from here on, it will not have.
fn freeze(replica: &Server, primary: &Server) {
    signal(replica, "-STOP");
    let _: i64 = primary.ask(&["CLIENT", "KILL", "TYPE", "replica"]);
}

/// The node that serves a slot, by the view of another one.
fn owner(node: &Server, slot: i64) -> u16 {
    let ranges: Vec<Vec<redis::Value>> = node.try_ask(&["CLUSTER", "SLOTS"]).unwrap_or_default();
    for range in ranges {
        if let [redis::Value::Int(from), redis::Value::Int(to), redis::Value::Array(parts), ..] = &range[..]
            && (*from..=*to).contains(&slot)
            && let Some(redis::Value::Int(port)) = parts.get(1)
        {
            return *port as u16;
        }
    }
    0
}

/// Goal: each primary of a cluster in turn dies with units that its replica does not have, under load: afterwards every unit
/// acknowledged is there, once, in every bucket and in the journal, and a new process finds the same.
#[test]
fn replicas_that_were_behind_are_promoted() {
    let mut cluster = Cluster::with(3, 1, "?write_patience=60s&hold=60s");
    let url = cluster.url();
    for dies in 0..3 {
        let kept = Kept::new(url.clone());
        let world = World::open(&kept);
        let mut load = Load::new(&world);
        load.done = wait_journal(&kept, &world, load.trips);
        for _ in 0..10 {
            load.step(&world).unwrap();
        }
        load.check(&world);
        // The pair that has this primary, as it stands by now.
        let (primary, replica) = (dies, dies + 3);
        wait_until("the replica is in step", || cluster.nodes[replica].info("master_link_status") == "up");
        freeze(&cluster.nodes[replica], &cluster.nodes[primary]);
        for _ in 0..10 {
            load.step(&world).unwrap();
        }
        assert_eq!(kept.healed(), 0);
        cluster.nodes[primary].kill();
        signal(&cluster.nodes[replica], "-CONT");
        // The load goes on as if nothing had happened, but for the wait.
        for _ in 0..10 {
            load.step(&world).unwrap();
        }
        load.check(&world);
        assert!(kept.healed() > 0, "the replica was not behind");
        let other = &cluster.nodes[(dies + 1) % 3];
        let port = cluster.nodes[replica].port;
        assert!((0..16_384).step_by(100).any(|slot| owner(other, slot) == port), "nobody was promoted");
        drop(world);
        let world = World::open(&kept);
        load.check(&world);
        drop(world);
        // The one that died comes back and follows.
        assert!(cluster.nodes[primary].run());
        wait_until("the one that died follows", || cluster.nodes[primary].info("master_link_status") == "up");
    }
}

fn wait_journal(
    harness: &impl Harness,
    world: &World<'_, impl Harness>,
    view: asof_online::ViewHandle,
) -> i64 {
    harness.wait(world.store.journal(view)).unwrap().len() as i64
}

/// Goal: readers beside a failover get exact answers or clear errors, never a row of before.
#[test]
fn readers_beside_a_failover() {
    let mut cluster = Cluster::with(3, 1, "?write_patience=60s&hold=60s&read_patience=1s&timeout=500ms");
    let kept = Kept::new(cluster.url());
    let world = World::open(&kept);
    let mut load = Load::new(&world);
    for _ in 0..5 {
        load.step(&world).unwrap();
    }
    let (done, answers, errors) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let reading = Load { ..load };
        let (world, done, answers, errors) = (&world, &done, &answers, &errors);
        scope.spawn(move || {
            let mut newest = 0;
            while !done.load(Ordering::SeqCst) {
                match reading.read(world) {
                    Ok(rows) => {
                        let number = |row: &Option<_>| row.as_ref().map_or(0, |row| world.number(row));
                        let numbers: Vec<i64> = rows[..60].iter().map(number).collect();
                        assert!(numbers.windows(2).all(|pair| pair[0] == pair[1]), "{numbers:?}");
                        assert!(numbers[0] >= newest, "{} after {newest}", numbers[0]);
                        newest = numbers[0];
                        answers.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
                        errors.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }
        });
        freeze(&cluster.nodes[4], &cluster.nodes[1]);
        for _ in 0..5 {
            load.step(world).unwrap();
        }
        cluster.nodes[1].kill();
        signal(&cluster.nodes[4], "-CONT");
        for _ in 0..30 {
            load.step(world).unwrap();
        }
        wait_until("reads go on", || load.read(world).is_ok());
        done.store(true, Ordering::SeqCst);
    });
    load.check(&world);
    assert!(answers.load(Ordering::SeqCst) > 20, "{answers:?} answers, {errors:?} errors");
    assert!(kept.healed() > 0);
}

/// Goal: behind sentinels the promoted replica takes the place of the primary, and gets what it lacks.
#[test]
fn sentinels_promote_a_replica() {
    let mut sentinels = Sentinels::new();
    let kept = Kept::new(sentinels.url("?write_patience=60s&hold=60s"));
    let world = World::open(&kept);
    let mut load = Load::new(&world);
    for _ in 0..5 {
        load.step(&world).unwrap();
    }
    wait_until("the replica is in step", || {
        sentinels.replica.info("master_repl_offset") == sentinels.primary.info("master_repl_offset")
    });
    freeze(&sentinels.replica, &sentinels.primary);
    for _ in 0..5 {
        load.step(&world).unwrap();
    }
    sentinels.primary.kill();
    signal(&sentinels.replica, "-CONT");
    for _ in 0..5 {
        load.step(&world).unwrap();
    }
    load.check(&world);
    assert!(kept.healed() > 0, "the replica was not behind");
    assert_eq!(sentinels.replica.info("role"), "master");
}

/// Goal: a server without files that comes back empty gets everything again that this process wrote.
#[test]
fn a_server_that_comes_back_empty() {
    let mut server = Server::start(&["--save", "", "--appendonly", "no"]);
    let kept = Kept::new(format!("redis://127.0.0.1:{}/0?hold=60s", server.port));
    let world = World::open(&kept);
    let mut load = Load::new(&world);
    for _ in 0..5 {
        load.step(&world).unwrap();
    }
    server.kill();
    assert!(server.run());
    wait_until("reads go on", || load.read(&world).is_ok());
    load.check(&world);
    assert!(kept.healed() > 0);
    load.step(&world).unwrap();
    load.check(&world);
}

/// Goal: what nobody can write again is said to be lost, by reads and writes alike; the next process begins with an empty
/// store, whose views hold no units, so that whoever compares it with its journal finds out; and stamps of a replay are taken.
#[test]
fn a_loss_beyond_repair() {
    let mut server = Server::start(&["--save", "", "--appendonly", "no"]);
    let url = format!("redis://127.0.0.1:{}/0?hold=1s&redo_mib=0", server.port);
    {
        let kept = Kept::new(url.clone());
        let world = World::open(&kept);
        let mut load = Load::new(&world);
        load.step(&world).unwrap();
        server.kill();
        assert!(server.run());
        let mut said = None;
        wait_until("the loss is said", || match load.read(&world) {
            Err(error @ OnlineError::Lost { .. }) => {
                said = Some(error);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), Kind::Unavailable, "{error}");
                false
            }
            Ok(rows) => panic!("{} rows of an empty server", rows.len()),
        });
        let said = said.unwrap();
        assert_eq!(said.kind(), Kind::Unavailable);
        assert!(said.hint().unwrap().contains("asof materialize"));
        assert!(matches!(load.step(&world), Err(OnlineError::Lost { .. })));
        assert!(matches!(kept.wait(world.store.statistics(load.trips)), Err(OnlineError::Lost { .. })));
    }
    let kept = Kept::new(url);
    let world = World::open(&kept);
    let mut load = Load::new(&world);
    assert_eq!(kept.wait(world.store.statistics(load.trips)).unwrap().units, 0);
    assert!(load.read(&world).unwrap().iter().all(Option::is_none));
    load.step(&world).unwrap();
    load.check(&world);
}

/// Goal: buckets of another state than their journal, found when the store is opened, are not answered from.
#[test]
fn a_bucket_that_was_lost_while_nobody_looked() {
    let single = Single::new();
    {
        let world = World::open(&single);
        let mut load = Load::new(&world);
        load.step(&world).unwrap();
    }
    let marks: Vec<String> = single.server.ask(&["KEYS", "asof:{test.*}:mark"]);
    assert!(marks.len() > 20);
    let _: i64 = single.server.ask(&["DEL", &marks[0]]);
    let store = try_open(&single.url(), ManualClock::new(at(0))).unwrap();
    assert_eq!(single.wait(store.find("trips@1")).unwrap(), None, "it began anew");
    let left: Vec<String> = single.server.ask(&["KEYS", "asof:{test.*}:v*"]);
    assert_eq!(left.len(), 0);
}

/// Goal: slots that move from node to node under load lose nothing and double nothing, and readers beside them see whole units.
#[test]
fn slots_move() {
    let cluster = Cluster::with(3, 0, "?hold=60s&write_patience=60s&read_patience=20s");
    let world = World::open(&cluster);
    let mut load = Load::new(&world);
    load.step(&world).unwrap();
    let ids: Vec<String> = cluster.nodes.iter().map(|node| node.ask(&["CLUSTER", "MYID"])).collect();
    let port = cluster.nodes[0].port;
    for (from, to) in [(0, 1), (1, 2)] {
        let mut moving = Command::new("redis-cli")
            .args(["--cluster", "reshard", &format!("127.0.0.1:{port}"), "--cluster-from", &ids[from]])
            .args(["--cluster-to", &ids[to], "--cluster-slots", "1200", "--cluster-yes"])
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("`redis-cli` runs");
        let before = load.done;
        loop {
            load.step(&world).unwrap();
            load.check_rows(&world);
            if let Some(ended) = moving.try_wait().unwrap() {
                assert!(ended.success());
                break;
            }
        }
        assert!(load.done > before + 2, "it moved too fast to be met");
        load.check(&world);
    }
    drop(world);
    load.check(&World::open(&cluster));
}
