//! How long does it take to close the windows of keys in training? 200 events and 10 labels for each key over 90 days, 22
//! features over four windows (1 h, 1 d, 7 d, 30 d): count, sum, mean, least and greatest of a double, distinct texts, the
//! last three of them. Prints events, labels, nanoseconds for each key, and a checksum.
//!
//! `cargo run --release -p asof-window --example closing_speed [KEYS] [EVENTS OF A KEY] [LABELS OF A KEY]`

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::Instant;

use asof_model::window::{Edge, Span, Window};
use asof_model::{Cell, Duration, Value, ValueType, canonical};
use asof_window::{Aggregate, Ask, Closed, Closing, Column, Events, Function, Mark, WindowFeature};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
const SPAN: i64 = 90 * DAY;

/// Places of the inputs.
const IDENTITY: usize = 0;
const AMOUNT: usize = 1;
const CATEGORY: usize = 2;

/// Random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as i64
    }

    fn ascending(&mut self, count: usize, from: i64) -> Vec<i64> {
        let mut instants: Vec<i64> =
            (0..count).map(|_| from + self.below((SPAN - from) / SECOND) * SECOND).collect();
        instants.sort_unstable();
        instants
    }
}

fn features() -> Vec<WindowFeature> {
    let of = |function: &str, parameters: &[f64], argument: Option<usize>, days: f64| {
        let input = match argument {
            Some(AMOUNT) => ValueType::Float64,
            Some(_) => ValueType::String,
            None => ValueType::Bool,
        };
        let function = Function::of(function, parameters)?.ok()?;
        let span =
            Span::Sliding { length: Duration::from_micros((days * DAY as f64) as i64), resolution: None };
        let window = Window { span, edge: Edge::Closed, delay: Duration::ZERO };
        let aggregate = Aggregate::new(function, input)?;
        Some(WindowFeature { aggregate, window, argument, filter: None, by: None })
    };
    let mut features = Vec::new();
    for days in [1.0 / 24.0, 1.0, 7.0, 30.0] {
        features.extend(of("count", &[], None, days));
        for function in ["sum", "avg", "min", "max"] {
            features.extend(of(function, &[], Some(AMOUNT), days));
        }
    }
    features.extend(of("count_distinct", &[], Some(CATEGORY), 7.0));
    features.extend(of("last_n", &[3.0], Some(CATEGORY), 30.0));
    features
}

fn events(keys: usize, each: usize, random: &mut Random) -> Events {
    let types = [ValueType::Int64, ValueType::Float64, ValueType::String];
    let inputs = types.iter().map(|of| Column::new(*of)).collect();
    let mut events = Events { inputs, identity: Some(IDENTITY), ..Events::default() };
    let mut identity = 0;
    for _ in 0..keys {
        for instant in random.ascending(each, 0) {
            events.instants.push(instant);
            events.createds.push(instant);
            events.inputs[IDENTITY].push_integer(identity);
            identity += 1;
            // One of fifty amounts is not there; sums of 64ths are exact.
            match random.below(50) {
                0 => events.inputs[AMOUNT].push_mark(Mark::Null),
                _ => events.inputs[AMOUNT].push_float((1 + random.below(63_999)) as f64 / 64.0),
            }
            let category = format!("cat_{}", random.below(50));
            events.inputs[CATEGORY].push_bytes(category.as_bytes());
        }
    }
    events
}

/// A number that changes with any cell.
fn checksum(cells: &[Vec<Cell>], mut sum: u64) -> u64 {
    for cell in cells.iter().flatten() {
        let part = match cell {
            Cell::Null => 1,
            Cell::Error => 2,
            Cell::Value(Value::Int64(value)) => *value as u64,
            Cell::Value(Value::Float64(value)) => value.to_bits(),
            Cell::Value(other) => {
                canonical::bits(other).iter().fold(3, |sum, byte| sum * 31 + u64::from(*byte))
            }
        };
        sum = (sum ^ part).wrapping_mul(0x0100_0000_01b3);
    }
    sum
}

fn main() {
    let written: Vec<usize> = std::env::args().skip(1).filter_map(|each| each.parse().ok()).collect();
    let asked = |place: usize, default: usize| written.get(place).copied().unwrap_or(default);
    let (keys, each, labels) = (asked(0, 5_000), asked(1, 200), asked(2, 10));
    let mut random = Random(1);
    let events = events(keys, each, &mut random);
    let asks: Vec<Vec<Ask>> = (0..keys)
        .map(|_| random.ascending(labels, 5 * DAY).into_iter().map(|t| Ask { t, known: t }).collect())
        .collect();
    let closing = Closing {
        features: features(),
        edge: Edge::Closed,
        retention: None,
        delay: Duration::ZERO,
        repeats: Default::default(),
        withdrawal: None,
    };
    let mut closed = Closed::default();
    let (mut fastest, mut sum) = (f64::MAX, 0);
    for round in 0..20 {
        let begun = Instant::now();
        let arguments = closing.arguments(&events);
        for (key, asks) in asks.iter().enumerate() {
            closing.close(&events, &arguments, key * each..(key + 1) * each, asks, &mut closed);
            if round == 0 {
                sum = checksum(&closed.cells, sum);
            }
        }
        if round > 0 {
            fastest = fastest.min(begun.elapsed().as_secs_f64());
        }
    }
    let features = closing.features.len();
    println!(
        "{keys} keys, {} events, {} labels, {features} features: {:.3} s, {:.0} ns a key, {:.1} ns a cell, checksum {sum:016x}",
        keys * each,
        keys * labels,
        fastest,
        fastest * 1e9 / keys as f64,
        fastest * 1e9 / (keys * labels * features) as f64,
    );
}
