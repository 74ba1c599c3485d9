//! What is read and kept, case by case.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use asof_model::Explain;

use super::super::HeldEvents;
use super::super::cache::EventCache;
use super::super::head::Head;
use super::super::segments::{DIRECTORY, Directory};
use super::{Model, RETENTION, Records, TYPES, Unit, expected, fold, listed};
use crate::error::OnlineError;

/// Many events, one at a time, on a clock that goes by `step`.
fn pushed_one_by_one(records: &mut Records, model: &mut Model, count: i64, step: i64) {
    for place in 1..=count {
        let unit =
            Unit { step, pushed: true, inputs: 2, replaces: None, events: vec![(0, 0, Some(1), None)] };
        fold(records, model, &unit, place * step, None);
    }
}

/// Goal: one more event reads no segment but the one that a full tail joins; a reader who knew what was before reads only
/// what came since.
#[test]
fn one_more_event_reads_little() {
    let (mut records, mut model) = (Records::default(), Model::default());
    pushed_one_by_one(&mut records, &mut model, 300, 1);
    let segments = records.segments.len() - 1;
    assert!(segments > 3, "{segments}");
    // Each segment was read a few times, to be joined by a tail, and never again.
    let read = *records.read.borrow();
    assert!(read < 4 * segments, "{read} reads of {segments} segments");

    let cache = EventCache::new(1 << 20);
    let mut most = 0;
    for place in 301..400 {
        let before = *records.read.borrow();
        let head = Head::read(records.head.as_deref().unwrap()).unwrap();
        let held = cache.held(b"k", 0, &head, (&TYPES, None), &records).unwrap();
        assert_eq!(listed(&held, false), expected(&model, None));
        if place > 301 {
            most = most.max(*records.read.borrow() - before);
        }
        let unit =
            Unit { step: 1, pushed: true, inputs: 2, replaces: None, events: vec![(0, 0, Some(1), None)] };
        fold(&mut records, &mut model, &unit, place, None);
    }
    assert!(most <= 1, "{most}");
    let again = *records.read.borrow();
    let head = Head::read(records.head.as_deref().unwrap()).unwrap();
    let first = cache.held(b"k", 0, &head, (&TYPES, None), &records).unwrap();
    let read_once = *records.read.borrow();
    let second = cache.held(b"k", 0, &head, (&TYPES, None), &records).unwrap();
    assert!(Arc::ptr_eq(&first, &second) && read_once <= again + 1);
    assert_eq!(*records.read.borrow(), read_once);
}

/// Goal: what has left retention leaves the store too: of segments as a whole, of a small key in parts.
#[test]
fn what_left_retention_goes() {
    let (mut records, mut model) = (Records::default(), Model::default());
    pushed_one_by_one(&mut records, &mut model, 3_000, 1);
    let stored: usize = records.segments.values().map(Vec::len).sum();
    assert!(stored < 60 * RETENTION as usize / 10, "{stored} bytes");

    // Eight events in retention, in a tail.
    let (mut records, mut model) = (Records::default(), Model::default());
    let mut most = 0;
    for place in 1..200 {
        let unit =
            Unit { step: 50, pushed: true, inputs: 1, replaces: None, events: vec![(0, 0, Some(1), None)] };
        fold(&mut records, &mut model, &unit, place * 50, None);
        let head = Head::read(records.head.as_deref().unwrap()).unwrap();
        assert!(head.sealed.is_none());
        most = most.max(head.count());
    }
    assert!((9..=11).contains(&most), "{most}");
}

/// Goal: a tail never joins a segment that is not the last of the stream, which a late one was that has gone: readers who
/// go on from where they were would miss it.
#[test]
fn a_gap_is_not_filled() {
    let (mut records, mut model) = (Records::default(), Model { bound: i64::MIN, ..Model::default() });
    let cache = EventCache::new(1 << 20);
    let mut publish = |visible: i64, befores: Range<i64>| {
        let events = befores.map(|before| (before, 0, Some(1), None)).collect();
        let unit = Unit { step: 1, pushed: true, inputs: 2, replaces: None, events };
        fold(&mut records, &mut model, &unit, visible, None);
        let head = Head::read(records.head.as_deref().unwrap()).unwrap();
        let held = cache.held(b"k", 0, &head, (&TYPES, None), &records).unwrap();
        assert_eq!(listed(&held, false), expected(&model, None));
        Directory::read(&records.segments[&DIRECTORY]).unwrap().segments.len()
    };
    assert_eq!(publish(1_000, 0..12), 1);
    // Late, and too many for the first segment.
    assert_eq!(publish(1_001, 370..400), 2);
    assert_eq!(publish(1_100, 0..1), 1);
    // There would be room in the first segment.
    assert_eq!(publish(1_101, 0..12), 2);
}

/// Goal: bytes of other versions are told apart from damage, and say what to do.
#[test]
fn other_versions() {
    let (mut records, mut model) = (Records::default(), Model::default());
    pushed_one_by_one(&mut records, &mut model, 1, 1);
    let mut head = records.head.unwrap();
    assert_eq!(head[0], 130);
    head[0] = 129;
    let retired = Head::read(&head).unwrap_err();
    assert_eq!(
        retired.to_string(),
        "a stored entry of events has version 129, this program reads versions from 130 on"
    );
    assert!(retired.hint().unwrap().contains("asof materialize"));
    head[0] = 131;
    assert!(matches!(Head::read(&head), Err(OnlineError::UnknownVersion { found: 131, newest: 130, .. })));
}

/// Goal: the cache keeps what was asked for last within its bytes, forgets what it is told to, and does not take in what
/// was read from before.
#[test]
fn the_cache_is_bounded() {
    let mut keys = HashMap::new();
    for name in ["a", "b", "c"] {
        let (mut records, mut model) = (Records::default(), Model::default());
        pushed_one_by_one(&mut records, &mut model, 40, 1);
        keys.insert(name, records);
    }
    let ask = |cache: &EventCache, name: &str, forgotten: u64| {
        let records = &keys[name];
        let before = *records.read.borrow();
        let head = Head::read(records.head.as_deref().unwrap()).unwrap();
        let held = cache.held(name.as_bytes(), forgotten, &head, (&TYPES, None), records).unwrap();
        assert_eq!(held.events.len(), 40);
        (*records.read.borrow() > before, held.memory_bytes().unwrap())
    };
    let bytes = ask(&EventCache::new(1 << 20), "a", 0).1;
    let cache = EventCache::new(2 * bytes + bytes / 2 + 600);
    let missed = |name: &str| ask(&cache, name, cache.forgotten()).0;
    assert_eq!(["a", "b", "a", "b"].map(missed), [true, true, false, false]);
    assert_eq!(["c", "b", "a", "c"].map(missed), [true, false, true, true]);
    assert_eq!(["a", "c"].map(missed), [false, false]);
    let before = cache.forgotten();
    cache.forget(b"a");
    assert!(ask(&cache, "a", before).0 && ask(&cache, "a", before).0);
    assert_eq!(["a", "a"].map(missed), [true, false]);
    let none = EventCache::new(0);
    assert_eq!([0, 0].map(|_| ask(&none, "a", 0).0), [true, true]);
}

/// Goal: what a caller attaches is made once, and again when the events have changed.
#[test]
fn what_is_attached() {
    let (mut records, mut model) = (Records::default(), Model::default());
    pushed_one_by_one(&mut records, &mut model, 40, 1);
    let cache = EventCache::new(1 << 20);
    let held = |records: &Records| {
        let head = Head::read(records.head.as_deref().unwrap()).unwrap();
        cache.held(b"k", 0, &head, (&TYPES, None), records).unwrap()
    };
    let alone = held(&records).memory_bytes().unwrap();
    let count = |events: &HeldEvents| events.to_events().len();
    let first = held(&records).attached(count, |_| 999);
    assert!(Arc::ptr_eq(&first, &held(&records).attached(|_| 0_usize, |_| 0)));
    assert_eq!(held(&records).memory_bytes(), Some(alone + 999));
    assert_eq!(*held(&records).attached(|_| "another type", |_| 0), "another type");
    assert_eq!(*first, 40);
    let unit = Unit { step: 1, pushed: true, inputs: 2, replaces: None, events: vec![(0, 0, None, None)] };
    fold(&mut records, &mut model, &unit, 41, None);
    assert_eq!(*held(&records).attached(count, |_| 0), 41);
}
