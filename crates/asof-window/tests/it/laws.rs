//! One test over all functions: a result is a function of the multiset of arguments.

use asof_model::{Cell, Instant, Value, ValueType};
use asof_window::{Aggregate, Function, Place, State};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Every function there is, with small and large parameters.
pub fn functions() -> Vec<Function> {
    let parameters = |takes: &str| -> Vec<Vec<f64>> {
        match takes {
            "" => vec![vec![]],
            "n" => vec![vec![1.0], vec![3.0], vec![100.0]],
            "part" => vec![vec![0.0], vec![0.5], vec![0.99], vec![1.0]],
            "lower, upper, parts" => vec![vec![-1.0, 4.0, 3.0]],
            other => panic!("what is `{other}`?"),
        }
    };
    let named = |(name, takes): (&str, &str)| {
        let with = |given: Vec<f64>| Function::of(name, &given).unwrap().unwrap();
        parameters(takes).into_iter().map(with).collect::<Vec<_>>()
    };
    let mut all: Vec<Function> = Function::names().flat_map(named).collect();
    // Some have two names.
    all.sort();
    all.dedup();
    all
}

pub const TYPES: [ValueType; 6] = [
    ValueType::Int64,
    ValueType::Float64,
    ValueType::Float32,
    ValueType::String,
    ValueType::Bool,
    ValueType::Timestamp,
];

pub fn value(of: ValueType) -> BoxedStrategy<Value> {
    match of {
        ValueType::Int64 => {
            prop_oneof![-3_i64..4, select(vec![i64::MIN, i64::MAX, 1 << 40])].prop_map(Value::Int64).boxed()
        }
        ValueType::Float64 => prop_oneof![
            6 => select(vec![
                0.1, 1e16, -1e16, 1e308, -1e308, 5e-324, 3.5, -0.25, 0.0, f64::NAN, f64::INFINITY,
                f64::NEG_INFINITY,
            ]),
            4 => -5.0..5.0_f64,
        ]
        .prop_map(Value::float64)
        .boxed(),
        ValueType::Float32 => {
            select(vec![0.1_f32, 1e30, -3.5, f32::NAN, 1e-45]).prop_map(Value::float32).boxed()
        }
        ValueType::String => "[a-c]{0,2}".prop_map(Value::String).boxed(),
        ValueType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        _ => (0_i64..5).prop_map(|at| Value::Timestamp(Instant::from_micros_clamped(at))).boxed(),
    }
}

/// An argument, seldom null, and where its event stands, often beside others.
pub fn argument(of: ValueType) -> impl Strategy<Value = (Cell, Place)> {
    let cell = prop_oneof![9 => value(of).prop_map(Cell::Value), 1 => Just(Cell::Null)];
    let place = (0_i64..4, 0_i64..2, prop::collection::vec(0_u8..3, 0..2))
        .prop_map(|(event, created, id)| Place { event, created, id: id.into() });
    (cell, place)
}

fn any_arguments() -> impl Strategy<Value = (ValueType, Vec<(Cell, Place)>)> {
    select(TYPES.to_vec()).prop_flat_map(|of| (Just(of), prop::collection::vec(argument(of), 0..25)))
}

pub fn folded(aggregate: &Aggregate, arguments: &[(Cell, Place)]) -> State {
    let mut state = aggregate.state();
    arguments.iter().for_each(|(cell, place)| aggregate.add_at(&mut state, cell, place));
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Goal: any order, any split into any number of parts, and any way through bytes give the same state and result;
    /// nothing added changes nothing; and what slides gives back what was added.
    #[test]
    fn any_order(
        (of, arguments) in any_arguments(),
        moves in prop::collection::vec(any::<Index>(), 0..25),
        cuts in (any::<Index>(), any::<Index>()),
        error in any::<bool>(),
    ) {
        let mut arguments = arguments;
        if error {
            arguments.push((Cell::Error, Place::default()));
        }
        let mut other_order = arguments.clone();
        let length = other_order.len();
        for (place, index) in moves.iter().take(length).enumerate() {
            other_order.swap(place, index.index(length));
        }
        let (one, two) = (cuts.0.index(arguments.len() + 1), cuts.1.index(arguments.len() + 1));
        let (first, second) = (one.min(two), one.max(two));
        for function in functions() {
            let Some(aggregate) = Aggregate::new(function, of) else { continue };
            let whole = folded(&aggregate, &arguments);
            prop_assert_eq!(folded(&aggregate, &other_order).to_bytes(), whole.to_bytes(), "{:?} in another order", function);
            let parts = [&arguments[..first], &arguments[first..second], &arguments[second..]];
            let [a, b, c] = parts.map(|part| folded(&aggregate, part));
            // (a + b) + c, and c + (b + a), one of them through bytes.
            let (mut left, mut right) = (a.clone(), b.clone());
            prop_assert!(left.merge(&b) && left.merge(&c) && right.merge(&a));
            let mut all = aggregate.read_state(&c.to_bytes()).unwrap();
            prop_assert!(all.merge(&right) && all.merge(&aggregate.state()));
            for merged in [&left, &all] {
                prop_assert_eq!(merged.to_bytes(), whole.to_bytes(), "{:?} in parts", function);
                prop_assert!(same(&aggregate.value(merged), &aggregate.value(&whole)), "{:?}", function);
            }
            let mut settled = whole.clone();
            aggregate.settle(&mut settled);
            prop_assert!(same(&aggregate.value(&settled), &aggregate.value(&whole)), "{:?} settled", function);
            if aggregate.slides() {
                parts[2].iter().for_each(|(cell, _)| aggregate.remove(&mut left, cell));
                parts[1].iter().for_each(|(cell, _)| aggregate.remove(&mut left, cell));
                prop_assert_eq!(left.to_bytes(), a.to_bytes(), "{:?} taken away", function);
            }
        }
    }

    /// Goal: bytes that are of no state are refused, and never a panic.
    #[test]
    fn bytes_of_nobody(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        for function in functions() {
            for of in TYPES {
                let Some(aggregate) = Aggregate::new(function, of) else { continue };
                if let Some(state) = aggregate.read_state(&bytes) {
                    let _ = (aggregate.value(&state), state.size());
                }
            }
        }
    }
}

/// Equal cells, NaN equal to itself.
pub fn same(one: &Cell, other: &Cell) -> bool {
    match (one, other) {
        (Cell::Value(one), Cell::Value(other)) => {
            asof_model::canonical::bits(one) == asof_model::canonical::bits(other)
        }
        (one, other) => one == other,
    }
}
