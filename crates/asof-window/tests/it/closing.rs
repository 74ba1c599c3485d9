//! The parity law at its heart: what the kernel makes of the events of a key is what a look at every event says, for random
//! definitions, events, rules of knowledge and instants.

use std::ops::Range;

use asof_model::knowledge::KnownAt;
use asof_model::spec::Repeats;
use asof_model::window::{Edge, Span, Window};
use asof_model::{Cell, Duration, Instant, ScalarType, Status, Value, ValueType};
use asof_oracle::OracleRow;
use asof_oracle::windowed::{OracleEvents, OracleWindow, close};
use asof_window::{Aggregate, Ask, Closed, Closing, Column, Events, WindowFeature};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::laws::{TYPES, functions, same, value};
use crate::windows::any_span;

/// The inputs of every world: an argument of some type, a condition, a bucket, an identity, whether it takes its event away.
const ARGUMENT: usize = 0;
const FILTER: usize = 1;
const BUCKET: usize = 2;
const IDENTITY: usize = 3;
const WITHDRAWAL: usize = 4;

#[derive(Debug, Clone)]
pub struct World {
    of: ValueType,
    features: Vec<WindowFeature>,
    pub closing: Closing,
    identity: bool,
    rows: Vec<OracleRow>,
    pub asks: Vec<Ask>,
    known_at: KnownAt,
}

/// Of `values` cells and five more, four hold nothing and one is in error.
fn cell(of: BoxedStrategy<Value>, values: u32) -> impl Strategy<Value = Cell> {
    prop_oneof![values => of.prop_map(Cell::Value), 4 => Just(Cell::Null), 1 => Just(Cell::Error)]
}

fn instant(micros: i64) -> Instant {
    Instant::from_micros_clamped(micros)
}

/// An event within `reach` of the asks. `late`: of so many one is known late, and one is replaced.
fn row(of: ValueType, reach: i64, late: u32) -> impl Strategy<Value = OracleRow> {
    let values = late * late + 4;
    let cells = (
        cell(value(of), values),
        cell(any::<bool>().prop_map(Value::Bool).boxed(), values),
        cell("[ab]{0,1}".prop_map(Value::String).boxed(), values),
        prop_oneof![9 => (0..i64::from(late).pow(4) / 100).prop_map(|id| Cell::Value(Value::Int64(id))), 1 => Just(Cell::Null)],
        prop_oneof![9 => (-1_i64..3).prop_map(|mark| Cell::Value(Value::Int64(mark))), 1 => Just(Cell::Null)],
        prop_oneof![late => Just(true), 2 => Just(false)],
    );
    let replaced = prop_oneof![late => Just(None), 1 => (0_i64..60).prop_map(Some)];
    let late = || prop_oneof![late => Just(0_i64), 1 => 0_i64..30];
    (-reach..60, late(), late(), replaced, cells).prop_map(|(event, created, visible, replaced, cells)| {
        let created = event + created;
        OracleRow {
            key: Vec::new(),
            event: instant(event),
            created: instant(created),
            visible: instant(created + visible),
            replaced: replaced.map(|after| instant(created + visible + after)),
            cells: vec![
                cells.0,
                cells.1,
                cells.2,
                cells.3,
                // Most events stand.
                if cells.5 { Cell::Value(Value::Int64(0)) } else { cells.4 },
            ],
        }
    })
}

/// A few events with everything that may happen to them.
pub fn any_world() -> impl Strategy<Value = World> {
    world(0..25, 40, 6, any_span().boxed())
}

/// Hundreds of events, of which windows of up to all of them are asked for.
pub fn any_large_world() -> impl Strategy<Value = World> {
    let lengths = prop::sample::select(vec![40_i64, 200, 900]);
    let long =
        lengths.prop_map(|length| Span::Sliding { length: Duration::from_micros(length), resolution: None });
    world(0..700, 1_000, 60, prop_oneof![2 => long, 1 => any_span()].boxed())
}

fn world(
    count: Range<usize>,
    reach: i64,
    late: u32,
    spans: BoxedStrategy<Span>,
) -> impl Strategy<Value = World> {
    let shape = (
        select(TYPES.to_vec()),
        select(vec![Edge::Open, Edge::Closed]),
        prop::collection::vec((any::<Index>(), spans, 0_i64..6, any::<bool>(), any::<bool>()), 1..6),
        prop::option::of(0_i64..60),
        prop::option::of(select(vec![Repeats::KeepFirst, Repeats::Replace])),
        select(vec![KnownAt::Event, KnownAt::Created, KnownAt::Served]),
    );
    shape.prop_flat_map(move |(of, edge, written, retention, repeats, known_at)| {
        let rows = prop::collection::vec(row(of, reach, late), count.clone());
        let asks =
            prop::collection::vec((-50_i64..100, prop_oneof![3 => Just(0_i64), 1 => -20_i64..20]), 1..12);
        (rows, asks).prop_map(move |(rows, asks)| {
            let feature = |(function, span, delay, filter, by): &(Index, _, i64, bool, bool)| {
                let window = Window { span: *span, edge, delay: Duration::from_micros(*delay) };
                let known = functions();
                let aggregate = Aggregate::new(*function.get(&known), of)?;
                let by = *by && ScalarType::try_from(aggregate.result()).is_ok();
                Some(WindowFeature {
                    aggregate,
                    window,
                    argument: Some(ARGUMENT),
                    filter: filter.then_some(FILTER),
                    by: by.then_some(BUCKET),
                })
            };
            let mut features: Vec<WindowFeature> = written.iter().filter_map(feature).collect();
            let span = written[0].1;
            // Events are counted whatever they hold.
            let count = asof_window::Function::named("count").unwrap();
            features.push(WindowFeature {
                aggregate: Aggregate::new(count, ValueType::Bool).unwrap(),
                window: Window { span, edge, delay: Duration::ZERO },
                argument: None,
                filter: None,
                by: None,
            });
            let reach = features.iter().map(|feature| feature.window.reach()).collect::<Option<Vec<_>>>();
            let furthest = reach.and_then(|reaches| reaches.into_iter().max());
            // At least what the furthest window reaches.
            let retention = retention.map(|more| furthest.map_or(more, |most| most.micros() + more));
            let closing = Closing {
                features: features.clone(),
                edge,
                retention: retention.map(Duration::from_micros),
                delay: features.iter().map(|feature| feature.window.delay).min().unwrap(),
                repeats: repeats.unwrap_or_default(),
                withdrawal: (repeats == Some(Repeats::Replace)).then_some(WITHDRAWAL),
            };
            let mut asks: Vec<Ask> = asks.into_iter().map(|(t, known)| Ask { t, known: t + known }).collect();
            asks.sort();
            World { of, features, closing, identity: repeats.is_some(), rows, asks, known_at }
        })
    })
}

impl World {
    fn types(&self) -> [ValueType; 5] {
        [self.of, ValueType::Bool, ValueType::String, ValueType::Int64, ValueType::Int64]
    }

    /// The events as the kernel takes them, in the order of their places.
    pub fn events(&self) -> Events {
        let inputs = self.types().iter().map(|of| Column::new(*of)).collect();
        let identity = self.identity.then_some(IDENTITY);
        let mut events = Events { inputs, identity, ..Events::default() };
        for row in &self.rows {
            let (known, until) = match (self.known_at, row.replaced) {
                (KnownAt::Event, None) => (i64::MIN, i64::MAX),
                (KnownAt::Created, None) => (row.created.micros(), i64::MAX),
                (KnownAt::Served, until) => {
                    (row.created.max(row.visible).micros(), until.map_or(i64::MAX, Instant::micros))
                }
                _ => continue,
            };
            events.instants.push(row.event.micros());
            events.createds.push(row.created.micros());
            events.knowns.push(known);
            events.untils.push(until);
            events.inputs.iter_mut().zip(&row.cells).for_each(|(input, cell)| input.push(cell));
        }
        let mut order: Vec<usize> = (0..events.len()).collect();
        order.sort_by(|one, other| events.order(*one, *other));
        let moved = |of: &[i64]| order.iter().map(|place| of[*place]).collect();
        let (knowns, untils) = (moved(&events.knowns), moved(&events.untils));
        Events { knowns, untils, ..events.picked(&order) }
    }

    fn oracle(&self) -> OracleEvents {
        let feature = |feature: &WindowFeature| OracleWindow {
            aggregate: feature.aggregate,
            window: feature.window,
            argument: feature.argument,
            filter: feature.filter,
            by: feature.by,
            default: None,
        };
        OracleEvents {
            features: self.features.iter().map(feature).collect(),
            edge: self.closing.edge,
            retention: self.closing.retention,
            delay: self.closing.delay,
            identity: self.identity.then_some(IDENTITY),
            repeats: self.closing.repeats,
            withdrawal: self.closing.withdrawal,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6_000))]

    /// Goal: at every ask the kernel gives what the oracle gives: values, errors, missing keys, and the newest event.
    #[test]
    fn the_kernel_is_the_oracle(world in any_world()) {
        let events = world.events();
        let arguments = world.closing.arguments(&events);
        let mut closed = Closed::default();
        world.closing.close(&events, &arguments, 0..events.len(), &world.asks, &mut closed);
        let oracle = world.oracle();
        for (place, ask) in world.asks.iter().enumerate() {
            let at = (instant(ask.t), instant(ask.known));
            let right = close(&oracle, &world.rows, &world.types(), Some(&Vec::new()), at, world.known_at);
            let newest = closed.newest[place].map(instant);
            prop_assert_eq!(newest, right.event, "{:?}", ask);
            if newest.is_none() {
                continue;
            }
            for (feature, right) in right.values.iter().enumerate() {
                let found = &closed.cells[feature][place];
                let status = match found {
                    Cell::Value(_) => Status::Present,
                    Cell::Null => Status::Null,
                    Cell::Error => Status::Error,
                };
                prop_assert_eq!(status, right.status, "{:?} at {:?}", world.features[feature], ask);
                let shown = if status == Status::Present { found.clone() } else { Cell::Null };
                prop_assert!(same(&shown, &right.cell), "{:?} at {:?}: {:?}, not {:?}", world.features[feature], ask, found, right.cell);
            }
        }
    }
}
