//! A wire that is cut: anywhere in a publication, for a while, or for good.

use std::sync::Arc;
use std::time::{Duration, Instant};

use asof_model::{Explain, Kind};
use asof_online::conformance::{Harness, ManualClock, World, at};
use asof_online::{Clock, EventRule, IncomingRow, OnlineError, OnlineStore, Publication, ViewHandle};

use crate::proxy::Proxy;
use crate::servers::{Single, try_open};

const EVENTS: EventRule =
    EventRule { retention: None, identity: None, withdrawal: None, remembers: None, pushed: true };

/// A store behind a wire.
struct Wired {
    single: Single,
    proxy: Proxy,
    options: &'static str,
}

impl Wired {
    fn new(options: &'static str) -> Self {
        let single = Single::new();
        let proxy = Proxy::to(single.server.port);
        Self { single, proxy, options }
    }
}

impl Harness for Wired {
    fn open(&self, clock: Arc<dyn Clock>) -> Arc<dyn OnlineStore> {
        let url = format!("redis://127.0.0.1:{}/0?{}", self.proxy.port, self.options);
        let mut opened = None;
        // On a machine that is busy the short patience of these tests may not do the first time.
        crate::servers::wait_until("the store opens", || {
            opened = try_open(&url, clock.clone()).ok();
            opened.is_some()
        });
        Arc::new(opened.expect("the store opens"))
    }
}

fn rows(world: &World<'_, impl Harness>, number: i64) -> Vec<IncomingRow> {
    (0..40_u8).map(|key| world.row(&[key], at(number - 900), at(number - 900), number)).collect()
}

/// Publishes a unit of rows.
fn publish(world: &World<'_, impl Harness>, view: ViewHandle, number: i64) -> Result<bool, OnlineError> {
    let unit = format!("u{number}");
    world.try_publish(world.unit(view, &unit, number as u64, rows(world, number))).map(|done| done.already)
}

/// Publishes a unit of events: two for each key.
fn publish_events(
    world: &World<'_, impl Harness>,
    view: ViewHandle,
    number: i64,
) -> Result<bool, OnlineError> {
    let rows = [rows(world, number), rows(world, number)].concat();
    let unit = format!("u{number}");
    let publication = Publication { events: Some(EVENTS), ..world.unit(view, &unit, number as u64, rows) };
    world.try_publish(publication).map(|done| done.already)
}

/// The number under every key, which is one.
fn number(world: &World<'_, impl Harness>, view: ViewHandle) -> Option<i64> {
    let keys: Vec<[u8; 1]> = (0..40_u8).map(|key| [key]).collect();
    let keys: Vec<(ViewHandle, &[u8])> = keys.iter().map(|key| (view, &key[..])).collect();
    let answer = world.try_read(&keys, None).expect("rows are read");
    let numbers: Vec<Option<i64>> =
        answer.rows.iter().map(|row| row.as_ref().map(|row| world.number(row))).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] == pair[1]), "a unit is there in part: {numbers:?}");
    assert!(answer.rows.iter().flatten().all(|row| row.visible <= answer.t));
    assert_eq!(answer.frontiers[0].position, numbers[0].map(|number| number as u64));
    numbers[0]
}

/// How many events every key has, which is one number.
fn events(world: &World<'_, impl Harness>, view: ViewHandle) -> usize {
    let keys: Vec<[u8; 1]> = (0..40_u8).map(|key| [key]).collect();
    let keys: Vec<(ViewHandle, &[u8])> = keys.iter().map(|key| (view, &key[..])).collect();
    let answer = world.try_read(&keys, None).expect("events are read");
    let count = |row: &Option<asof_online::AnswerRow>| {
        let events = row.as_ref().and_then(|row| row.events.as_ref());
        events.map_or(0, |events| events.held(world.layout.types(), None).expect("events").within().len())
    };
    let counts: Vec<usize> = answer.rows.iter().map(count).collect();
    assert!(counts.windows(2).all(|pair| pair[0] == pair[1]), "a unit is there in part: {counts:?}");
    counts[0]
}

/// Goal: wherever a publication is cut off, and the process with it, the next one finds the unit as a whole or not at all,
/// and publishing it again ends in the same state, each event once.
#[test]
fn a_unit_cut_short_is_there_or_not() {
    let wired = Wired::new("write_patience=500ms&timeout=500ms&read_patience=500ms&hold=600ms");
    let (mut whole, mut none, mut cut) = (0, 0, 0);
    let mut done = 1;
    {
        let world = World::open(&wired);
        let (view, other) = (world.view("trips@1"), world.view("rides@1"));
        publish(&world, view, 1).unwrap();
        publish_events(&world, other, 1).unwrap();
    }
    let bytes = {
        let world = World::open(&wired);
        let (view, other) = (world.view("trips@1"), world.view("rides@1"));
        let before = wired.proxy.passed();
        publish(&world, view, 2).unwrap();
        publish_events(&world, other, 2).unwrap();
        done += 1;
        wired.proxy.passed() - before
    };
    for step in 0..16 {
        let unit = done + 1;
        {
            let world = World::open(&wired);
            let (view, other) = (world.view("trips@1"), world.view("rides@1"));
            wired.proxy.cut_after(1 + bytes * step / 16);
            let first = publish(&world, view, unit);
            let second = publish_events(&world, other, unit);
            cut += u32::from(first.is_err() || second.is_err());
        }
        wired.proxy.mend();
        // Another process, on another wire.
        let world = World::open(&wired.single);
        let (view, other) = (world.view("trips@1"), world.view("rides@1"));
        let found = (number(&world, view), events(&world, other));
        match found {
            (Some(number), count) if number == unit && count == 2 * unit as usize => whole += 1,
            (Some(number), count) => {
                assert!(number == done || number == unit, "step {step}: {found:?}");
                assert!(count == 2 * done as usize || count == 2 * unit as usize, "step {step}: {found:?}");
                none += 1;
            }
            other => panic!("step {step}: {other:?}"),
        }
        let journaled = |world: &World<'_, Single>, view| {
            wired.single.wait(world.store.journal(view)).unwrap().len() as i64
        };
        assert_eq!(journaled(&world, view), found.0.unwrap());
        assert_eq!(2 * journaled(&world, other), found.1 as i64);
        publish(&world, view, unit).unwrap();
        publish_events(&world, other, unit).unwrap();
        done = unit;
        assert_eq!((number(&world, view), events(&world, other)), (Some(done), 2 * done as usize));
        assert_eq!((journaled(&world, view), journaled(&world, other)), (done, done));
    }
    assert!(none > 3 && cut > 8, "whole {whole}, not at all {none}, cut {cut}");
}

/// Goal: a publication that outlives a cut comes through once, and one that does not is finished by the next write of the same
/// process; meanwhile readers see the unit before it.
#[test]
fn a_wire_that_is_mended() {
    let wired = Wired::new("write_patience=600ms&timeout=600ms&hold=60s");
    let world = World::open(&wired);
    let (view, other) = (world.view("trips@1"), world.view("rides@1"));
    publish(&world, view, 1).unwrap();
    publish_events(&world, other, 1).unwrap();
    let before = wired.proxy.passed();
    publish(&world, view, 2).unwrap();
    publish_events(&world, other, 2).unwrap();
    let bytes = wired.proxy.passed() - before;
    // A key that was read is kept in memory, so another one is asked for each time.
    let (mut failed, mut asked) = (0, 0);
    for step in 0..12 {
        let unit = step + 3;
        wired.proxy.cut_after(1 + bytes * step / 12);
        let first = publish(&world, view, unit);
        let second = publish_events(&world, other, unit);
        wired.proxy.mend();
        failed += i64::from(first.is_err()) + i64::from(second.is_err());
        for refused in [&first, &second] {
            if let Err(error) = refused {
                assert_eq!(error.kind(), Kind::Unavailable, "{error}");
                assert!(error.hint().is_some());
            }
        }
        // The breaker is open for a while.
        crate::servers::wait_until("reads go on", || {
            asked += 1_u32;
            world.try_read(&[(view, &asked.to_be_bytes())], None).is_ok()
        });
        let (now, held) = (number(&world, view).unwrap(), events(&world, other) as i64);
        assert!((unit - 1..=unit).contains(&now) && (unit - 1..=unit).contains(&(held / 2)), "{now} {held}");
        // The same again, as whoever got an error does.
        publish(&world, view, unit).unwrap();
        publish_events(&world, other, unit).unwrap();
        assert_eq!(
            (number(&world, view), events(&world, other) as i64),
            (Some(unit), 2 * unit),
            "step {step}"
        );
    }
    assert!(failed >= 6, "{failed} publications failed");
    let journal = wired.wait(world.store.journal(other)).unwrap();
    assert!(journal.windows(2).all(|pair| pair[0].visible < pair[1].visible));
    assert_eq!(journal.len(), 14);
}

/// Goal: a caller that gives up in the middle of a publication leaves nothing half done, and nothing that stands in the way.
#[test]
fn a_caller_that_gives_up() {
    let wired = Wired::new("hold=60s");
    let world = World::open(&wired);
    let view = world.view("trips@1");
    publish(&world, view, 1).unwrap();
    for unit in 2..30 {
        let name = format!("u{unit}");
        let publication = world.unit(view, &name, unit as u64, rows(&world, unit));
        let patience = Duration::from_micros(300 * unit as u64);
        let published = world.store.publish(publication);
        let _ = crate::servers::runtime().block_on(async { tokio::time::timeout(patience, published).await });
        let now = number(&world, view).unwrap();
        assert!(now == unit || now == unit - 1, "{now} of {unit}");
        publish(&world, view, unit).unwrap();
        assert_eq!(number(&world, view), Some(unit));
    }
    assert_eq!(wired.wait(world.store.journal(view)).unwrap().len(), 29);
    assert_eq!(wired.wait(world.store.statistics(view)).unwrap().units, 29);
}

/// Goal: while the server is away reads fail within their patience, then at once, with the reason and never the password; and
/// go on by themselves when it is back.
#[test]
fn a_server_that_is_away() {
    let mut single = Single::new();
    let url = format!("{}?timeout=500ms&read_patience=900ms&connect_timeout=500ms&hold=60s", single.url());
    let store = try_open(&url, ManualClock::new(at(0))).unwrap();
    let view = single.wait(store.register("trips@1")).unwrap();
    let known = || futures_wait(store.read(&[(view, b"known")], None));
    let asked = std::cell::Cell::new(0_u32);
    let read = |store: &asof_redis::RedisStore| {
        asked.set(asked.get() + 1);
        futures_wait(store.read(&[(view, &asked.get().to_be_bytes())], None))
    };
    read(&store).unwrap();
    known().unwrap();
    single.server.kill();
    let begun = Instant::now();
    let first = read(&store).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(first.kind(), Kind::Unavailable);
    assert!(first.to_string().contains(&format!("redis://127.0.0.1:{}/0", single.server.port)), "{first}");
    let mut at_once = false;
    for _ in 0..20 {
        let begun = Instant::now();
        let refused = read(&store).unwrap_err();
        if let OnlineError::Resting { failures, .. } = &refused {
            assert!(*failures >= 5 && begun.elapsed() < Duration::from_millis(150));
            assert!(refused.hint().is_some());
            at_once = true;
        }
    }
    assert!(at_once, "the breaker never opened");
    assert_eq!(known().unwrap().rows, [None], "what is in memory is answered all the same");
    assert!(single.server.run());
    crate::servers::wait_until("reads go on", || read(&store).is_ok());
}

fn futures_wait<T>(future: asof_online::BoxFuture<'_, T>) -> T {
    crate::servers::runtime().block_on(future)
}
