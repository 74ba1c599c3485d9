//! A held key says what a look at all of its events says, whatever it was asked before.

use std::sync::Arc;

use asof_model::spec::Repeats;
use asof_model::window::{Edge, Span, Window};
use asof_model::{Cell, Duration, Value, ValueType};
use asof_window::held::{ClosedAt, HeldKey, HeldPlan};
use asof_window::{Aggregate, Ask, Bounds, Closed, Closing, Column, Events, Function, WindowFeature};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::closing::{World, any_large_world, any_world};
use crate::laws::same;

/// Asks a held key and closes the same asks, in the order that is given.
fn agrees(world: &World, asked: &[usize], order: &[Index]) -> Result<(), TestCaseError> {
    let events = world.events();
    let held = HeldKey::new(Arc::new(HeldPlan::new(world.closing.clone())), events.clone());
    says_the_same(world, &events, &held, asked, order)
}

fn says_the_same(
    world: &World,
    events: &Events,
    held: &HeldKey,
    asked: &[usize],
    order: &[Index],
) -> Result<(), TestCaseError> {
    let arguments = world.closing.arguments(events);
    let (mut right, mut found) = (Closed::default(), ClosedAt::default());
    for index in order {
        let ask: &Ask = index.get(&world.asks);
        world.closing.close(events, &arguments, 0..events.len(), &[*ask], &mut right);
        held.close(asked, *ask, &mut found);
        prop_assert_eq!(found.newest, right.newest[0], "{:?}", ask);
        if found.newest.is_none() {
            prop_assert!(found.cells.is_empty());
            continue;
        }
        prop_assert_eq!(found.cells.len(), asked.len());
        for (place, found) in asked.iter().zip(&found.cells) {
            let right = &right.cells[*place][0];
            let feature = world.closing.features[*place];
            prop_assert!(same(found, right), "{:?} at {:?}: {:?}, not {:?}", feature, ask, found, right);
        }
    }
    prop_assert!(held.memory_bytes() > 0);
    Ok(())
}

/// Goal: what is no number is a value that was met, also where nothing else came behind it.
#[test]
fn not_a_number() {
    let of = ValueType::Float64;
    let bounds = Bounds { lower: 0.0.into(), upper: 1.0.into() };
    let functions = [
        (Function::Histogram(bounds, 1), Cell::Value(Value::List(vec![Some(Value::Int64(0)); 3]))),
        (Function::TopN(1), Cell::Null),
        (Function::TopK(1), Cell::Value(Value::List(vec![Some(Value::Float64(f64::NAN))]))),
        (Function::ApproxPercentile(0.5.into()), Cell::Null),
    ];
    let feature = |(function, _): &(Function, Cell)| WindowFeature {
        aggregate: Aggregate::new(*function, of).unwrap(),
        window: Window { span: Span::Lifetime, edge: Edge::Open, delay: Duration::ZERO },
        argument: Some(0),
        filter: None,
        by: None,
    };
    let closing = Closing {
        features: functions.iter().map(feature).collect(),
        edge: Edge::Open,
        retention: None,
        delay: Duration::ZERO,
        repeats: Repeats::default(),
        withdrawal: None,
    };
    let events = |instants: std::ops::Range<i64>, cell: Cell| {
        let mut column = Column::new(of);
        instants.clone().for_each(|_| column.push(&cell));
        let instants: Vec<i64> = instants.collect();
        Events { createds: instants.clone(), instants, inputs: vec![column], ..Events::default() }
    };
    let nan = events(0..50, Cell::Value(Value::Float64(f64::NAN)));
    let mut held = HeldKey::new(Arc::new(HeldPlan::new(closing)), nan);
    let mut closed = ClosedAt::default();
    for at in 100..103 {
        held.close(&[0, 1, 2, 3], Ask { t: 200, known: 200 }, &mut closed);
        for (found, (function, right)) in closed.cells.iter().zip(&functions) {
            assert!(same(found, right), "{function:?} is {found:?}");
        }
        held.append(&events(at..at + 1, Cell::Null));
    }
}

/// Some of the events, in their order.
fn some(events: &Events, of: impl Fn(usize) -> bool) -> Events {
    let places: Vec<usize> = (0..events.len()).filter(|event| of(*event)).collect();
    let moved =
        |of: &[i64]| if of.is_empty() { Vec::new() } else { places.iter().map(|at| of[*at]).collect() };
    let (knowns, untils) = (moved(&events.knowns), moved(&events.untils));
    Events { knowns, untils, ..events.picked(&places) }
}

/// Holds a part of the events, asks, and adds the others part by part. `part`: that of an event.
fn agrees_after_each_part(
    world: &World,
    parts: usize,
    part: impl Fn(usize, usize) -> usize,
    order: &[Index],
) -> Result<(), TestCaseError> {
    let mut events = world.events();
    // Where they are known at their instants and stand for ever, nobody has to say so.
    if events.knowns.iter().all(|known| *known == i64::MIN) {
        events.knowns.clear();
    }
    if events.untils.iter().all(|until| *until == i64::MAX) {
        events.untils.clear();
    }
    let count = events.len();
    let asked: Vec<usize> = (0..world.closing.features.len()).collect();
    let plan = Arc::new(HeldPlan::new(world.closing.clone()));
    let mut held = HeldKey::new(plan, some(&events, |event| part(event, count) == 0));
    for last in 0..parts {
        if last > 0 {
            held.append(&some(&events, |event| part(event, count) == last));
        }
        let until_now = some(&events, |event| part(event, count) <= last);
        says_the_same(world, &until_now, &held, &asked, order)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Goal: a few events of every kind, with late knowledge, replaced ranges and repeats.
    #[test]
    fn a_held_key_is_the_kernel(world in any_world(), order in prop::collection::vec(any::<Index>(), 1..12)) {
        let asked: Vec<usize> = (0..world.closing.features.len()).rev().collect();
        agrees(&world, &asked, &order)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    /// Goal: a few events that come one by one, in their order or in any.
    #[test]
    fn events_that_come(
        world in any_world(), order in prop::collection::vec(any::<Index>(), 1..4), shuffled in any::<bool>(),
    ) {
        let part = |event: usize, _: usize| if shuffled { event * 7 % 5 } else { event / 3 };
        agrees_after_each_part(&world, 9, part, &order)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Goal: many events, and many that come behind them.
    #[test]
    fn many_events_that_come(
        world in any_large_world(), order in prop::collection::vec(any::<Index>(), 1..6), first in 1_usize..10,
    ) {
        let part = |event: usize, count: usize| (event * 10 / count.max(1)).saturating_sub(first);
        agrees_after_each_part(&world, 10 - first, part, &order)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Goal: so many events that none of them is looked at one by one.
    #[test]
    fn many_events(world in any_large_world(), order in prop::collection::vec(any::<Index>(), 1..12)) {
        let asked: Vec<usize> = (0..world.closing.features.len()).collect();
        agrees(&world, &asked, &order)?;
    }
}

/// Goal: a held key is read by many threads at a time.
#[test]
fn many_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<HeldKey>();
    shared::<HeldPlan>();
}
