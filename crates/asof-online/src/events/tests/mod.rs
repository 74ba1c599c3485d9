//! The layout of events against a list of events in memory.

mod cases;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use asof_model::{Cell, Duration, Instant, Value, ValueType};
use proptest::collection::vec;
use proptest::prelude::*;

use super::cache::EventCache;
use super::head::Head;
use super::segments::{DIRECTORY, Directory, Segments};
use super::stream::StreamEvent;
use super::write::{EventUnit, Sizes, Writer};
use super::{HeldEvents, StoredEvents};
use crate::error::OnlineError;

/// So small that a few events cross every bound.
const SIZES: Sizes = Sizes { tail: 60, segment: 200 };
const RETENTION: i64 = 400;
const TYPES: [ValueType; 3] = [ValueType::Int64, ValueType::String, ValueType::Float64];

/// The records of one key.
#[derive(Default)]
struct Records {
    head: Option<Vec<u8>>,
    segments: BTreeMap<u32, Vec<u8>>,
    /// How many segments were read, without directories.
    read: RefCell<usize>,
}

impl Segments for Records {
    type Record = Vec<u8>;

    fn record(&self, number: u32) -> Result<Option<Vec<u8>>, OnlineError> {
        *self.read.borrow_mut() += usize::from(number != DIRECTORY);
        Ok(self.segments.get(&number).cloned())
    }
}

/// An event as the test knows it: instant, created, number, text, and when it was known.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    event: i64,
    created: i64,
    known: i64,
    pushed: bool,
    cells: Vec<Cell>,
}

/// A unit of events: how far its stamp is behind the one before, whether it was pushed, and a range that it replaces.
#[derive(Debug, Clone)]
struct Unit {
    step: i64,
    pushed: bool,
    inputs: usize,
    replaces: Option<Range<i64>>,
    /// How far before the stamp each lies, how much later it was created, number and text.
    events: Vec<(i64, i64, Option<i64>, Option<u8>)>,
}

fn unit() -> impl Strategy<Value = Unit> {
    let event =
        (-30..600_i64, prop_oneof![3 => Just(0), 1 => -20..20_i64], option(0..4_i64), option(0..3_u8));
    let replaces = prop_oneof![12 => Just(None), 1 => (0..800_i64, 0..400_i64).prop_map(Some)];
    let events = prop_oneof![6 => vec(event.clone(), 0..4), 1 => vec(event, 20..60)];
    (1..120_i64, any::<bool>(), 1..=TYPES.len(), replaces, events).prop_map(
        |(step, pushed, inputs, replaces, events)| {
            let replaces = replaces.map(|(from, length)| from..from + length);
            Unit { step, pushed, inputs, replaces, events }
        },
    )
}

fn option<T: Clone + std::fmt::Debug>(
    of: impl Strategy<Value = T> + Clone,
) -> impl Strategy<Value = Option<T>> + Clone {
    proptest::option::weighted(0.8, of)
}

/// The rule of the layout, with every event in a list.
#[derive(Default)]
struct Model {
    events: Vec<Known>,
    bound: i64,
}

impl Model {
    /// The events in order; those of one place as they came.
    fn ordered(&self, identity: Option<usize>) -> Vec<Known> {
        let mut events = self.events.clone();
        let number = |event: &Known| match identity.map(|identity| &event.cells[identity]) {
            Some(Cell::Value(Value::Int64(number))) => Some(*number),
            _ => None,
        };
        events.sort_by_key(|event| (event.event, event.created, number(event)));
        events
    }
}

fn cells(inputs: usize, number: Option<i64>, text: Option<u8>) -> Vec<Cell> {
    let number = number.map_or(Cell::Null, |number| Cell::Value(Value::Int64(number)));
    let text = match text {
        None => Cell::Null,
        Some(0) => Cell::Error,
        Some(length) => Cell::Value(Value::String("x".repeat(usize::from(length) * 9))),
    };
    let all = [number, text, Cell::Value(Value::Float64(0.5))];
    all[..inputs].to_vec()
}

/// Folds a unit into the records and into the model.
fn fold(records: &mut Records, model: &mut Model, unit: &Unit, visible: i64, identity: Option<usize>) {
    let types = &TYPES[..];
    let retention = Some(Duration::from_micros(RETENTION));
    let stamp = Instant::from_micros_clamped(visible);
    let unit_of = EventUnit { visible: stamp, retention, types, sizes: SIZES };
    let mut coming: Vec<Known> = unit
        .events
        .iter()
        .map(|(before, later, number, text)| {
            let event = visible - before;
            let created = event + later;
            let known = if identity.is_some() { created.max(visible) } else { created };
            Known { event, created, known, pushed: unit.pushed, cells: cells(unit.inputs, *number, *text) }
        })
        .collect();
    coming.sort_by_key(|event| (event.event, event.created));

    let mut writer = Writer::open(records.head.as_deref(), unit_of, &*records).unwrap();
    let bound = model.bound.max(visible - RETENTION);
    assert_eq!(writer.bound(), if records.head.is_some() { bound } else { visible - RETENTION });
    let bound = writer.bound();
    let removed = unit.replaces.as_ref().map_or(0, |range| writer.remove_loaded(range).unwrap());
    coming.retain(|event| event.event >= bound);
    for Known { event, created, known, pushed, cells } in &coming {
        writer
            .add(&StreamEvent { event: *event, created: *created, known: *known, pushed: *pushed, cells })
            .unwrap();
    }

    let gone = |event: &Known| {
        !event.pushed && unit.replaces.as_ref().is_some_and(|range| range.contains(&event.event))
    };
    let expected = model.events.iter().filter(|event| event.event >= bound && gone(event)).count();
    assert_eq!(removed, expected as u64);
    if removed == 0 && coming.is_empty() {
        return;
    }
    model.events.retain(|event| event.event >= bound && !gone(event));
    model.events.extend(coming);
    model.bound = bound;
    let written = writer.finish().unwrap();
    records.head = written.head;
    for (number, record) in written.records {
        match record {
            Some(record) => records.segments.insert(number, record),
            None => records.segments.remove(&number),
        };
    }
    if records.head.is_none() {
        model.bound = i64::MIN;
    }
}

/// The events that are held, with when each is known; `exact`: also where that is not later than it happened.
fn listed(held: &HeldEvents, exact: bool) -> Vec<Known> {
    let events = &held.events;
    held.within()
        .map(|place| {
            let known = events.knowns.get(place).copied().unwrap_or(i64::MIN);
            Known {
                event: events.instants[place],
                created: events.createds[place],
                known: if exact { known } else { known.max(events.instants[place]) },
                pushed: held.pushed[place],
                cells: events.inputs.iter().map(|input| input.cell(place)).collect(),
            }
        })
        .collect()
}

fn expected(model: &Model, identity: Option<usize>) -> Vec<Known> {
    let mut events = model.ordered(identity);
    for event in &mut events {
        event.cells.resize(TYPES.len(), Cell::Null);
        event.known = event.known.max(event.event);
    }
    events
}

/// That the directory says what its segments are, and that nothing else is stored.
fn check_records(records: &Records) {
    let head = records.head.as_deref().map(|head| Head::read(head).unwrap());
    let Some((head, sealed)) = head.and_then(|head| head.sealed.map(|sealed| (head, sealed))) else {
        assert!(records.segments.is_empty(), "segments without a head that has some");
        return;
    };
    assert!(head.tail.bytes.len() <= SIZES.tail);
    let directory = Directory::read(&records.segments[&DIRECTORY]).unwrap();
    assert_eq!(Directory::read(&directory.write()).unwrap(), directory);
    assert_eq!(records.segments.len(), directory.segments.len() + 1);
    let sum = |of: fn(&super::segments::Segment) -> u64| directory.segments.iter().map(of).sum::<u64>();
    assert_eq!((sum(|each| each.count), sum(|each| each.bytes)), (sealed.count, sealed.bytes));
    assert_eq!(directory.segments.iter().map(|each| each.newest).min(), Some(sealed.first_to_go));
    assert_eq!(directory.segments.iter().map(|each| each.newest).max(), Some(sealed.newest));
    for each in &directory.segments {
        assert_eq!(records.segments[&each.number].len() as u64, each.bytes);
        assert!(sealed.first_to_go >= head.bound.unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Goal: after every unit the events that are read, anew or on from what was read before, are those of a list to which
    /// every unit was added, and which retention cuts by the stamps of units.
    #[test]
    fn the_layout_agrees_with_a_list(units in vec((unit(), any::<bool>()), 1..40), identity in any::<bool>()) {
        let identity = identity.then_some(0);
        let (mut records, mut model) = (Records::default(), Model { bound: i64::MIN, ..Model::default() });
        let cache = EventCache::new(1 << 20);
        let mut visible = 1_000;
        let mut kept: Option<Arc<HeldEvents>> = None;
        for (unit, reads) in units {
            visible += unit.step;
            fold(&mut records, &mut model, &unit, visible, identity);
            check_records(&records);
            let Some(head) = records.head.as_deref() else {
                prop_assert_eq!(&model.events, &Vec::new());
                cache.forget(b"k");
                continue;
            };
            let head = Head::read(head).unwrap();
            let held = HeldEvents::read(&head, &TYPES, identity, &records).unwrap();
            prop_assert_eq!(listed(&held, false), expected(&model, identity));
            prop_assert_eq!(Some(head.newest()), model.events.iter().map(|event| event.event).max());
            if held.events.knowns.is_empty() {
                prop_assert!(model.events.iter().all(|event| event.known <= event.event));
            } else {
                let knowns: Vec<i64> = model.ordered(identity).iter().map(|event| event.known).collect();
                prop_assert_eq!(&held.events.knowns, &knowns);
            }
            if reads {
                let followed = cache.held(b"k", cache.forgotten(), &head, (&TYPES, identity), &records).unwrap();
                prop_assert_eq!(listed(&followed, false), expected(&model, identity));
                // Sometimes another reader still has them, so that they have to be copied.
                kept = (unit.step % 3 == 0).then_some(followed);
            }
        }
        drop(kept);
    }

    /// Goal: damaged heads, directories and segments are an error or events, never a panic.
    #[test]
    fn damaged_records_do_not_panic(units in vec(unit(), 4..12), record in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), by in 1..=255_u8, cut in any::<bool>()) {
        let (mut records, mut model) = (Records::default(), Model { bound: i64::MIN, ..Model::default() });
        units.iter().zip(1..).for_each(|(unit, place)| fold(&mut records, &mut model, unit, place * 100, None));
        let Some(mut head) = records.head.clone() else { return Ok(()) };
        let mut damaged: Vec<&mut Vec<u8>> = records.segments.values_mut().collect();
        damaged.push(&mut head);
        let place = record.index(damaged.len());
        let bytes = &mut *damaged[place];
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= by }
        let unit = EventUnit {
            visible: Instant::from_micros_clamped(5_000),
            retention: Some(Duration::from_micros(RETENTION)),
            types: &TYPES,
            sizes: SIZES,
        };
        if let Ok(read) = Head::read(&head) {
            let _ = HeldEvents::read(&read, &TYPES, None, &records);
        }
        if let Ok(mut writer) = Writer::open(Some(&head), unit, &records) {
            let _ = writer.remove_loaded(&(0..i64::MAX));
            let _ = writer.finish();
        }
        let _ = StoredEvents::new(head.into(), None).held(&TYPES, None);
    }
}
