//! Servers of the tests' own: processes on free ports, in folders that go with them.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use asof_online::conformance::Harness;
use asof_online::{Clock, OnlineError, OnlineStore};
use asof_redis::{RedisSettings, RedisStore};

/// How long a server or a cluster may take to answer.
const START_TIME_MAX: Duration = Duration::from_secs(30);
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The runtime on which stores have their connections.
pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
    })
}

/// Asks until it is so.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < START_TIME_MAX, "waited too long until {what}");
        std::thread::sleep(LOOK_PAUSE);
    }
}

/// A port that nobody uses. Below 32768, where the system takes none by itself, and cluster ports (10,000 above) fit.
pub fn free_port() -> u16 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    loop {
        let step = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let port = 12_000 + ((std::process::id().wrapping_mul(101)).wrapping_add(step * 7) % 10_000) as u16;
        let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        if free(port) && free(port + 10_000) {
            return port;
        }
    }
}

/// A running server.
pub struct Server {
    child: Option<Child>,
    pub port: u16,
    folder: tempfile::TempDir,
    options: Vec<String>,
}

impl Server {
    /// Starts one with these options, beside those that every one has.
    pub fn start(options: &[&str]) -> Self {
        for _ in 0..20 {
            let options = options.iter().map(|option| (*option).to_owned()).collect();
            let folder = tempfile::tempdir().expect("a folder");
            let mut server = Self { child: None, port: free_port(), folder, options };
            if server.run() {
                return server;
            }
            // The port was taken meanwhile.
        }
        panic!("no server starts");
    }

    /// Starts it again where it was stopped. Answers whether it runs.
    pub fn run(&mut self) -> bool {
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log");
        let mut command = Command::new("redis-server");
        if self.options.iter().any(|option| option == "--sentinel") {
            // It notes there what it learns.
            let file = self.folder.path().join("sentinel.conf");
            std::fs::write(&file, "").expect("a file");
            command.arg(file);
        }
        let child = command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(self.folder.path())
            .args(["--loglevel", "notice"])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(log)
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("`redis-server` does not start ({error}): install it, on Debian by `scripts/redis_server --install`")
        });
        self.child = Some(child);
        let begun = Instant::now();
        loop {
            if let Some(Ok(Some(_))) = self.child.as_mut().map(Child::try_wait) {
                return false;
            }
            if self.answers() {
                return true;
            }
            assert!(begun.elapsed() < START_TIME_MAX, "the server does not answer");
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    fn answers(&self) -> bool {
        // Through a plain port, also where the other speaks TLS.
        let reply: redis::RedisResult<String> = self.try_ask(&["PING"]);
        match reply {
            Ok(_) => true,
            Err(error) => matches!(error.code(), Some("NOAUTH" | "NOPERM")),
        }
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it is killed");
            child.wait().expect("it ends");
        }
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn process(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub fn try_ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port))?;
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(2))?;
        let mut command = redis::cmd(words[0]);
        for word in &words[1..] {
            command.arg(*word);
        }
        command.query(&mut connection)
    }

    /// Asks it directly.
    pub fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    pub fn info(&self, field: &str) -> String {
        let info: String = self.ask(&["INFO", "everything"]);
        let found = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        found.unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Memory of a store for what it read.
const CACHE_BYTES: u64 = 1 << 20;

/// A store somewhere.
pub fn try_open(url: &str, clock: Arc<dyn Clock>) -> Result<RedisStore, OnlineError> {
    let settings = RedisSettings::parse(url, "test").expect("a URL");
    runtime().block_on(RedisStore::connect(settings, CACHE_BYTES, clock, "test"))
}

/// One server, for one store.
pub struct Single {
    pub server: Server,
}

impl Single {
    pub fn new() -> Self {
        Self { server: Server::start(&["--save", "", "--appendonly", "yes"]) }
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.server.port)
    }
}

impl Harness for Single {
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn OnlineStore> {
        Arc::new(try_open(&self.url(), clock).expect("the store opens"))
    }
}

/// A cluster, for one store.
pub struct Cluster {
    /// Primaries, then as many replicas of each.
    pub nodes: Vec<Server>,
    pub options: String,
}

impl Cluster {
    /// Three primaries.
    pub fn new() -> Self {
        Self::with(3, 0, "")
    }

    /// Primaries with so many replicas each; `options` go into the URL.
    pub fn with(primaries: usize, replicas: usize, options: &str) -> Self {
        // Nobody is promoted where there are no replicas, however busy the machine is.
        let node_timeout = if replicas == 0 { "15000" } else { "2000" };
        let settings = [
            "--save",
            "",
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            node_timeout,
            "--appendonly",
            "no",
        ];
        let more = ["--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0"];
        let settings: Vec<&str> = settings.into_iter().chain(more).collect();
        let nodes: Vec<Server> = (0..primaries * (1 + replicas)).map(|_| Server::start(&settings)).collect();
        let cluster = Self { nodes, options: options.to_owned() };
        let slots = 16_384 / primaries;
        for (place, node) in cluster.nodes.iter().enumerate() {
            let _: () = node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(place + 1).to_string()]);
            if place < primaries {
                let from = place * slots;
                let to = if place + 1 == primaries { 16_383 } else { from + slots - 1 };
                let _: () = node.ask(&["CLUSTER", "ADDSLOTSRANGE", &from.to_string(), &to.to_string()]);
            }
            if place > 0 {
                let _: () = node.ask(&["CLUSTER", "MEET", "127.0.0.1", &cluster.nodes[0].port.to_string()]);
            }
        }
        let known =
            |node: &Server| node.ask::<String>(&["CLUSTER", "NODES"]).lines().count() == cluster.nodes.len();
        wait_until("all nodes know each other", || cluster.nodes.iter().all(known));
        for (place, node) in cluster.nodes.iter().enumerate().skip(primaries) {
            let primary: String = cluster.nodes[place % primaries].ask(&["CLUSTER", "MYID"]);
            wait_until("a replica follows", || {
                node.try_ask::<()>(&["CLUSTER", "REPLICATE", &primary]).is_ok()
            });
        }
        let healthy = |node: &Server| node.ask::<String>(&["CLUSTER", "INFO"]).contains("cluster_state:ok");
        wait_until("the cluster is healthy", || cluster.nodes.iter().all(healthy));
        for replica in &cluster.nodes[primaries..] {
            wait_until("a replica is in step", || replica.info("master_link_status") == "up");
        }
        let slots = |node: &Server| {
            let answer: Vec<Vec<redis::Value>> = node.ask(&["CLUSTER", "SLOTS"]);
            answer.len() == primaries && answer.iter().all(|range| range.len() == 3 + replicas)
        };
        wait_until("all nodes know who holds what", || cluster.nodes.iter().all(slots));
        cluster
    }

    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis-cluster://{}/{}", hosts.join(","), self.options)
    }
}

impl Harness for Cluster {
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn OnlineStore> {
        Arc::new(try_open(&self.url(), clock).expect("the store opens"))
    }
}

/// A primary, a replica, and a sentinel that watches them.
pub struct Sentinels {
    pub primary: Server,
    pub replica: Server,
    sentinel: Server,
}

impl Sentinels {
    pub fn new() -> Self {
        let primary = Server::start(&["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]);
        let port = primary.port.to_string();
        let replica = Server::start(&["--save", "", "--appendonly", "no", "--replicaof", "127.0.0.1", &port]);
        wait_until("the replica follows", || replica.info("master_link_status") == "up");
        let sentinel = Server::start(&["--sentinel"]);
        let _: () = sentinel.ask(&["SENTINEL", "MONITOR", "main", "127.0.0.1", &port, "1"]);
        for (name, value) in [("down-after-milliseconds", "1000"), ("failover-timeout", "5000")] {
            let _: () = sentinel.ask(&["SENTINEL", "SET", "main", name, value]);
        }
        let known =
            |sentinel: &Server| sentinel.ask::<Vec<redis::Value>>(&["SENTINEL", "replicas", "main"]).len();
        wait_until("the sentinel knows the replica", || known(&sentinel) == 1);
        Self { primary, replica, sentinel }
    }

    pub fn url(&self, options: &str) -> String {
        format!("redis-sentinel://127.0.0.1:{}/main/0{options}", self.sentinel.port)
    }
}
