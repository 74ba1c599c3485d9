//! Question: what does one more event of a key cost, and what a read of all its events, for keys of 10, 1,000 and 1,000,000
//! events; what does a small key take on disk; and how fast is a bulk load?
//!
//! Events have an integer and a float. `cargo run --release -p asof-online --example event_keys [small|bulk]`; with `small`
//! it takes a few seconds, with `bulk` only the last is answered. The folder is made below `TMPDIR`, whose disk decides what
//! a durable write costs.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that prints, and stops at the first failure"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant as Stopwatch;

use asof_model::{Cell, Duration, Instant, Value, ValueType};
use asof_online::events::StoredEvents;
use asof_online::{
    Clock, EmbeddedStore, EventRule, IncomingRow, OnlineStore, PUBLICATION_ROWS_MAX, Publication, RowLayout,
    ViewHandle,
};
use futures::executor::block_on;

const DAY: i64 = 86_400_000_000;
const TYPES: [ValueType; 2] = [ValueType::Int64, ValueType::Float64];
const RULE: EventRule = EventRule {
    retention: Some(Duration::from_micros(30 * DAY)),
    identity: None,
    withdrawal: None,
    remembers: None,
    pushed: true,
};

/// 2026-01-01.
const START: i64 = 1_767_225_600_000_000;

struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Instant {
        Instant::from_micros_clamped(self.0.load(Ordering::Relaxed))
    }
}

struct World {
    store: EmbeddedStore,
    clock: Arc<SetClock>,
    view: ViewHandle,
    layout: RowLayout,
    units: u64,
}

impl World {
    fn open(path: &Path) -> Self {
        let clock = Arc::new(SetClock(AtomicI64::new(START + 30 * DAY)));
        let store = EmbeddedStore::open(path, 64 << 20, clock.clone(), "measure").unwrap();
        let view = block_on(store.register("rides@1")).unwrap();
        let units = block_on(store.journal(view)).unwrap().len() as u64;
        Self { store, clock, view, layout: RowLayout::new(&TYPES), units }
    }

    fn row(&self, key: &[u8], micros: i64, number: i64) -> IncomingRow {
        // Mixed, so that the engine's compression finds nothing in it.
        let mixed = (number ^ micros).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) >> 20;
        let cells =
            [Cell::Value(Value::Int64(mixed & 0xff)), Cell::Value(Value::Float64(mixed as f64 / 1e6))];
        let at = Instant::from_micros_clamped(micros);
        IncomingRow { key: key.to_vec(), event: at, created: at, row: self.layout.encode(&cells) }
    }

    fn publish(&mut self, rows: Vec<IncomingRow>) {
        self.units += 1;
        self.clock.0.fetch_add(1, Ordering::Relaxed);
        let publication = Publication {
            view: self.view,
            layout: &self.layout,
            unit: &format!("u{}", self.units),
            position: self.units,
            note: "",
            created_declared: true,
            active_within: None,
            visible: None,
            replaces: None,
            events: Some(RULE),
            waits: false,
            rows,
        };
        block_on(self.store.publish(publication)).unwrap();
    }

    fn events(&self, key: &[u8]) -> StoredEvents {
        let mut answer = block_on(self.store.read(&[(self.view, key)], None)).unwrap();
        answer.rows.remove(0).unwrap().events.unwrap()
    }

    /// How many events a key has, all of them decoded.
    fn read(&self, key: &[u8]) -> usize {
        self.events(key).held(&TYPES, None).unwrap().within().len()
    }
}

/// Bytes that this process has read and written so far, by system calls.
fn io_bytes() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    };
    (of("rchar:"), of("wchar:"))
}

fn folder_bytes(path: &Path, counts: &dyn Fn(&Path) -> bool) -> u64 {
    let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => folder_bytes(&entry.path(), counts),
            false if counts(&entry.path()) => entry.metadata().unwrap().len(),
            false => 0,
        })
        .sum()
}

/// What `times` calls take each: microseconds, bytes read and bytes written.
fn measure(name: &str, times: u32, mut call: impl FnMut(u32) -> usize) {
    let (before, clock) = (io_bytes(), Stopwatch::now());
    let checksum: usize = (0..times).map(&mut call).sum();
    let (micros, after) = (clock.elapsed().as_secs_f64() * 1e6, io_bytes());
    let each = |bytes: u64| bytes / u64::from(times);
    println!(
        "{name:<58} {:>11.1} us  {:>10} B read {:>8} B written  (sum {checksum})",
        micros / f64::from(times),
        each(after.0 - before.0),
        each(after.1 - before.1),
    );
}

fn main() {
    let asked = std::env::args().nth(1).unwrap_or_default();
    let (keys, bulk, large) = match asked.as_str() {
        "small" => (2_000_u32, 40_000_i64, 20_000_i64),
        _ => (100_000, 20_000_000, 1_000_000),
    };
    let folder = tempfile::tempdir().unwrap();
    bulk_load(folder.path(), keys, bulk);
    if asked == "bulk" {
        return;
    }
    small_keys(folder.path(), keys);
    for (count, keys) in [(10, 300), (1_000, 300), (large, 1)] {
        keys_of(&folder.path().join(format!("of{count}")), count, keys);
    }
}

/// Keys of ten events in 30 days, which came one by one: what they take, and what reading one costs.
fn small_keys(folder: &Path, keys: u32) {
    let path = folder.join("small");
    let mut world = World::open(&path);
    let clock = Stopwatch::now();
    for event in 0..10 {
        for first in (0..keys).step_by(PUBLICATION_ROWS_MAX) {
            let rows = (first..keys.min(first + PUBLICATION_ROWS_MAX as u32)).map(|key| {
                let apart = (i64::from(key) * 10 + event) * 7_046_029_254_386 % (3 * DAY);
                world.row(&key_of(key), START + event * 3 * DAY + apart, i64::from(key))
            });
            let rows = rows.collect();
            world.publish(rows);
        }
    }
    println!("{keys} keys, ten units of one event of each: {:.1} s", clock.elapsed().as_secs_f64());
    block_on(world.store.erase(&[])).unwrap();
    let tables = folder_bytes(&path, &|file| file.extension().is_none_or(|ending| ending != "jnl"));
    println!("{} bytes a key on disk, of tables and all beside the log", tables / u64::from(keys));
    measure("read a key of 10 events", 20_000, |n| world.read(&key_of(n * 7 % keys)));
}

/// Many events of many keys, in the largest units: how fast they are folded.
fn bulk_load(folder: &Path, keys: u32, bulk: i64) {
    let path = folder.join("bulk");
    let mut world = World::open(&path);
    let clock = Stopwatch::now();
    let mut next = 0;
    while next < bulk {
        let until = bulk.min(next + PUBLICATION_ROWS_MAX as i64);
        let rows = (next..until).map(|n| {
            let key = (n * 48_271 % i64::from(keys)) as u32;
            world.row(&key_of(key), START + n * 30 * DAY / bulk, n)
        });
        let rows = rows.collect();
        world.publish(rows);
        next = until;
    }
    let seconds = clock.elapsed().as_secs_f64();
    println!("{bulk} events into {keys} keys in bulk: {seconds:.1} s, {:.0} a second", bulk as f64 / seconds);
}

fn key_of(number: u32) -> [u8; 9] {
    let mut key = [1; 9];
    key[5..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Keys of so many events each: what one more of one of them costs, and what reading one.
fn keys_of(path: &Path, count: i64, keys: u32) {
    let mut world = World::open(path);
    let mut next = 0;
    let all = count * i64::from(keys);
    while next < all {
        let until = all.min(next + PUBLICATION_ROWS_MAX as i64);
        let row = |n: i64| world.row(&key_of((n % i64::from(keys)) as u32), START + n * 29 * DAY / all, n);
        let rows = (next..until).map(row).collect();
        world.publish(rows);
        next = until;
    }
    let mut last = START + 29 * DAY;
    let mut add = |world: &mut World, key: u32, late: i64| {
        last += 1_000_000;
        let row = world.row(&key_of(key % keys), last - late, last);
        world.publish(vec![row]);
        1
    };
    let name = |what: &str| format!("{count} events: {what}");
    measure(&name("one more"), 300, |n| add(&mut world, n, 0));
    drop(world);
    let mut world = World::open(path);
    let events = world.events(&key_of(0));
    println!("{}", name(&format!("{} bytes are stored under one", events.bytes().unwrap())));
    drop(events);
    measure(&name("first read"), keys.min(100), |n| world.read(&key_of(n)));
    measure(&name("read again"), 1_000, |n| world.read(&key_of(n % keys.min(100))));
    measure(&name("one more, and read"), 50, |n| add(&mut world, n, 0) + world.read(&key_of(n % keys)));
    measure(&name("one that is late, and read"), 20, |n| {
        add(&mut world, n, DAY) + world.read(&key_of(n % keys))
    });
}
