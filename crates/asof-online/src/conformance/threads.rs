//! Cases with readers beside a writer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use asof_model::Instant;

use super::world::{World, at};
use super::{Harness, ManualClock};
use crate::error::OnlineError;
use crate::store::{Clock, EventRule, IncomingRow, OnlineAnswer, Publication, ViewHandle};

const UNITS: i64 = 40;
const KEYS_PER_UNIT: u16 = 300;
const EVENTS_PER_UNIT: i64 = 70;
const READERS: usize = 3;

/// A clock that moves by a microsecond every few times it is asked, so that stamps and answers crowd together.
struct CrowdedClock(AtomicI64);

impl Clock for CrowdedClock {
    fn now(&self) -> Instant {
        let asked = self.0.fetch_add(1, Ordering::SeqCst);
        Instant::from_micros_clamped(at(0).micros() + asked / 4)
    }
}

/// Goal: beside a writer every answer sees exactly the units whose stamp is not after its `t`, each as a whole.
pub fn answers_fall_between_stamps(harness: &impl Harness) {
    run(harness, Arc::new(CrowdedClock(AtomicI64::new(0))));
}

/// Goal: the same on a clock that stands still, where only the store's own order tells instants apart.
pub fn answers_fall_between_stamps_on_a_clock_that_stands_still(harness: &impl Harness) {
    run(harness, ManualClock::new(at(0)));
}

/// Goal: the same of a key of events, all of which are read each time: exactly those of the units whose stamp is not after
/// the answer's `t`.
pub fn answers_of_events_fall_between_stamps(harness: &impl Harness) {
    let world = World::open_on(harness, Arc::new(CrowdedClock(AtomicI64::new(0))));
    let view = world.view("rides@1");
    let rule = EventRule { retention: None, identity: None, withdrawal: None, remembers: None, pushed: true };
    let done = AtomicBool::new(false);
    let events_at = || -> Option<(Instant, usize)> {
        let answer = world.try_read(&[(view, b"k")], None).expect("the present is read");
        let events = answer.rows[0].as_ref()?.events.as_ref()?.held(world.layout.types(), None);
        Some((answer.t, events.expect("events are read").within().len()))
    };
    let seen: Vec<(Instant, usize)> = std::thread::scope(|scope| {
        let read = || {
            let mut seen = Vec::new();
            while !done.load(Ordering::SeqCst) {
                seen.extend(events_at());
            }
            seen
        };
        let readers: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        for unit in 1..=UNITS {
            let rows = (0..EVENTS_PER_UNIT).map(|n| world.row(b"k", at(unit), at(unit), n)).collect();
            let unit = format!("u{unit}");
            let publication = Publication { events: Some(rule), ..world.unit(view, &unit, 1, rows) };
            world.try_publish(publication).expect("events are published");
        }
        done.store(true, Ordering::SeqCst);
        readers.into_iter().flat_map(|reader| reader.join().expect("a reader fails")).collect()
    });
    let journal = harness.wait(world.store.journal(view)).unwrap();
    for (t, events) in &seen {
        let published = journal.iter().filter(|unit| unit.visible <= *t).count();
        assert_eq!(*events, published * EVENTS_PER_UNIT as usize, "at {t}");
    }
    let different: BTreeSet<_> = seen.iter().map(|(_, events)| events).collect();
    assert!(different.len() > 1, "the readers saw nothing change: {different:?}");
}

/// One answer: its `t`, the number in each of its rows, and the position it names.
type Seen = (Instant, Vec<Option<i64>>, Option<u64>);

fn run(harness: &impl Harness, clock: Arc<dyn Clock>) {
    let world = World::open_on(harness, clock.clone());
    let view = world.view("trips@1");
    let done = AtomicBool::new(false);
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let readers: Vec<_> =
            (0..READERS).map(|_| scope.spawn(|| read_on(&world, clock.as_ref(), view, &done))).collect();
        for unit in 1..=UNITS {
            world.publish(view, &format!("u{unit}"), unit as u64, unit_rows(&world, unit));
        }
        done.store(true, Ordering::SeqCst);
        readers.into_iter().flat_map(|reader| reader.join().expect("a reader fails")).collect()
    });

    let journal = harness.wait(world.store.journal(view)).unwrap();
    assert!(journal.windows(2).all(|pair| pair[0].visible < pair[1].visible));
    assert_eq!(journal.len() as i64, UNITS);
    for (t, numbers, position) in &seen {
        let published = journal.iter().filter(|unit| unit.visible <= *t).count() as i64;
        let expected = (published > 0).then_some(published);
        assert!(numbers.iter().all(|number| *number == expected), "at {t}: {numbers:?}, not {expected:?}");
        assert_eq!(*position, expected.map(|unit| unit as u64), "at {t}");
    }
    let different: BTreeSet<_> = seen.iter().map(|(_, numbers, _)| numbers[0]).collect();
    assert!(different.len() > 1, "the readers saw nothing change: {different:?}");
}

fn unit_rows(world: &World<'_, impl Harness>, unit: i64) -> Vec<IncomingRow> {
    let event = at(unit - 1_000);
    (0..KEYS_PER_UNIT).map(|key| world.row(&key.to_be_bytes(), event, event, unit)).collect()
}

/// Reads the first, a middle and the last key of every unit until told to stop, in turn with a `now` of its own.
fn read_on(
    world: &World<'_, impl Harness>,
    clock: &dyn Clock,
    view: ViewHandle,
    done: &AtomicBool,
) -> Vec<Seen> {
    let keys = [0, KEYS_PER_UNIT / 2, KEYS_PER_UNIT - 1].map(u16::to_be_bytes);
    let keys = keys.each_ref().map(|key| (view, &key[..]));
    let mut seen = Vec::new();
    let mut last = false;
    while !last {
        last = done.load(Ordering::SeqCst);
        let now = (seen.len() % 3 == 2).then(|| clock.now());
        let answer = match world.try_read(&keys, now) {
            Ok(answer) => {
                assert!(now.is_none_or(|now| answer.t == now));
                answer
            }
            Err(OnlineError::NowAhead { .. } | OnlineError::NowBehind { .. }) if now.is_some() => {
                // Without a `now` next time, or a clock that stands still would be refused for ever.
                world.try_read(&keys, None).expect("the present is read")
            }
            Err(other) => panic!("{other}"),
        };
        seen.push(summary(world, &answer));
    }
    seen
}

fn summary(world: &World<'_, impl Harness>, answer: &OnlineAnswer) -> Seen {
    let numbers = answer.rows.iter().map(|row| row.as_ref().map(|row| world.number(row))).collect();
    assert!(answer.rows.iter().flatten().all(|row| row.visible <= answer.t));
    (answer.t, numbers, answer.frontiers[0].position)
}
