//! How long does it take to close windows of one key at one instant, online? Eight windows from an hour to thirty days, for a
//! key of 10, 1,000 and 100,000 events over thirty days: each kind of function in all of the eight windows, and a mixed view.
//! Prints nanoseconds of one close of all eight: of a held key the median, also
//! where an event comes before each close, and the whole kernel for comparison.
//!
//! `cargo run --release -p asof-window --example held_speed [EVENTS ...]`

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use asof_model::window::{Edge, Span, Window};
use asof_model::{Duration, Value, ValueType};
use asof_window::{
    Aggregate, Ask, Closed, ClosedAt, Closing, Column, Events, Function, HeldKey, HeldPlan, WindowFeature,
};

const HOUR: i64 = 3_600_000_000;
const SPAN: i64 = 720 * HOUR;

/// Lengths of windows in hours.
const HOURS: [i64; 8] = [1, 3, 6, 24, 72, 168, 336, 720];

/// Places of the inputs.
const AMOUNT: usize = 0;
const CATEGORY: usize = 1;
const LARGE: usize = 2;
const SHOP: usize = 3;

const TYPES: [ValueType; 4] = [ValueType::Float64, ValueType::String, ValueType::Bool, ValueType::Int64];

/// Random numbers that are the same in every run.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 31)
}

fn events(count: usize) -> Events {
    let mut state = 7;
    let inputs = TYPES.iter().map(|of| Column::new(*of)).collect();
    let mut instants: Vec<i64> = (0..count).map(|_| (random(&mut state) % SPAN as u64) as i64).collect();
    instants.sort_unstable();
    let mut events = Events { createds: instants.clone(), instants, inputs, ..Events::default() };
    for _ in 0..count {
        let amount = (1 + random(&mut state) % 63_999) as f64 / 100.0;
        events.inputs[AMOUNT].push_float(amount);
        events.inputs[CATEGORY].push_bytes(format!("category_{}", random(&mut state) % 50).as_bytes());
        events.inputs[LARGE].push(&asof_model::Cell::Value(Value::Bool(amount > 400.0)));
        events.inputs[SHOP].push_integer((random(&mut state) % 20_000) as i64);
    }
    events
}

/// A function in all windows, by its name, its parameters, its argument, its filter and its bucket.
type Written<'w> = (&'w str, &'w [f64], Option<usize>, Option<usize>, Option<usize>);

fn features((name, parameters, argument, filter, by): &Written<'_>) -> Vec<WindowFeature> {
    let of = |hours: &i64| {
        let span = Span::Sliding { length: Duration::from_micros(hours * HOUR), resolution: None };
        let input = argument.map_or(ValueType::Bool, |argument| TYPES[argument]);
        Some(WindowFeature {
            aggregate: Aggregate::new(Function::of(name, parameters)?.ok()?, input)?,
            window: Window { span, edge: Edge::Open, delay: Duration::ZERO },
            argument: *argument,
            filter: *filter,
            by: *by,
        })
    };
    HOURS.iter().filter_map(of).collect()
}

/// The median nanoseconds of one call, and all that it takes to make what is called.
fn median(rounds: usize, mut call: impl FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..rounds)
        .map(|round| {
            let begun = Instant::now();
            call(round);
            begun.elapsed().as_nanos() as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

fn measure(title: &str, features: Vec<WindowFeature>, events: &Events) {
    let retention = Some(Duration::from_micros(SPAN));
    let (edge, delay, repeats) = (Edge::Open, Duration::ZERO, Default::default());
    let closing = Closing { features, edge, retention, delay, repeats, withdrawal: None };
    let asked: Vec<usize> = (0..closing.features.len()).collect();
    let plan = Arc::new(HeldPlan::new(closing.clone()));
    let ask = |round: usize| {
        // At the end of what is held, a moment later each time.
        let t = SPAN + round as i64 * 1_000_003;
        Ask { t, known: t }
    };
    let begun = Instant::now();
    let held = HeldKey::new(plan, events.clone());
    let mut out = ClosedAt::default();
    held.close(&asked, ask(0), &mut out);
    let prepared = begun.elapsed();
    let fast = median(1_001, |round| {
        held.close(&asked, ask(round), &mut out);
        black_box(&out);
    });
    let mut closed = Closed::default();
    let whole = median(if events.len() > 10_000 { 11 } else { 1_001 }, |round| {
        let arguments = closing.arguments(events);
        closing.close(events, &arguments, 0..events.len(), &[ask(round)], &mut closed);
        black_box(&closed);
    });
    let bytes = held.memory_bytes();
    // An event comes, then the windows are closed.
    let mut held = held;
    let comes = median(if title.contains("top_") || title.contains("appr") { 21 } else { 501 }, |round| {
        let at = SPAN + round as i64;
        let inputs = TYPES.iter().enumerate().map(|(place, of)| {
            let mut column = Column::new(*of);
            column.push(&events.inputs[place].cell(round % events.len()));
            column
        });
        let inputs = inputs.collect();
        held.append(&Events { instants: vec![at], createds: vec![at], inputs, ..Events::default() });
        held.close(&asked, ask(round), &mut out);
        black_box(&out);
    });
    println!(
        "{title:<24} {:>7} events {fast:>11.0} ns held {comes:>11.0} ns with an event {whole:>12.0} ns whole, prepared in {:>8.1} us, {:>6} KiB",
        events.len(),
        prepared.as_secs_f64() * 1e6,
        bytes / 1024,
    );
}

fn main() {
    let counts: Vec<usize> = std::env::args().skip(1).filter_map(|each| each.parse().ok()).collect();
    let counts = if counts.is_empty() { vec![10, 1_000, 100_000] } else { counts };
    let written: [(&str, Written<'_>); 18] = [
        ("count", ("count", &[], None, None, None)),
        ("count where", ("count", &[], None, Some(LARGE), None)),
        ("sum", ("sum", &[], Some(AMOUNT), None, None)),
        ("avg", ("avg", &[], Some(AMOUNT), None, None)),
        ("max", ("max", &[], Some(AMOUNT), None, None)),
        ("stddev", ("stddev", &[], Some(AMOUNT), None, None)),
        ("last", ("last", &[], Some(CATEGORY), None, None)),
        ("last_n 3", ("last_n", &[3.0], Some(CATEGORY), None, None)),
        ("distinct_last_n 3", ("distinct_last_n", &[3.0], Some(CATEGORY), None, None)),
        ("count_distinct, 50", ("count_distinct", &[], Some(CATEGORY), None, None)),
        ("count_distinct, 20,000", ("count_distinct", &[], Some(SHOP), None, None)),
        ("approx_count_distinct", ("approx_count_distinct", &[], Some(SHOP), None, None)),
        ("top_n 5", ("top_n", &[5.0], Some(AMOUNT), None, None)),
        ("top_k 3 of 20,000", ("top_k", &[3.0], Some(SHOP), None, None)),
        ("histogram 10", ("histogram", &[0.0, 640.0, 10.0], Some(AMOUNT), None, None)),
        ("approx_percentile", ("approx_percentile", &[0.95], Some(AMOUNT), None, None)),
        ("any", ("any", &[], Some(LARGE), None, None)),
        ("sum by 50", ("sum", &[], Some(AMOUNT), None, Some(CATEGORY))),
    ];
    for count in counts {
        let events = events(count);
        for (title, of) in &written {
            measure(title, features(of), &events);
        }
        // One function in each of the eight windows.
        let mixed = ["count", "sum", "avg", "min", "max", "sum", "avg", "count"];
        let mixed = mixed.iter().enumerate().filter_map(|(place, name)| {
            let argument = (*name != "count").then_some(AMOUNT);
            features(&(name, &[], argument, None, None)).get(place).copied()
        });
        measure("eight windows, mixed", mixed.collect(), &events);
    }
}
