//! What each function says: against naive computations, and at the edges.

use asof_model::{Cell, Decimal, DecimalType, ScalarType, Value, ValueType};
use asof_window::function::ITEMS_MAX;
use asof_window::{Aggregate, Bounds, Function, Place};
use proptest::prelude::*;

use crate::laws::{argument, folded, functions, same};

fn of(function: Function, input: ValueType, values: &[Value]) -> Cell {
    let aggregate = Aggregate::new(function, input).unwrap();
    let mut state = aggregate.state();
    values.iter().for_each(|value| aggregate.add(&mut state, &Cell::Value(value.clone())));
    aggregate.value(&state)
}

fn float(value: f64) -> Cell {
    Cell::Value(Value::Float64(value))
}

fn int(value: i64) -> Cell {
    Cell::Value(Value::Int64(value))
}

fn ints(values: &[i64]) -> Vec<Value> {
    values.iter().map(|value| Value::Int64(*value)).collect()
}

fn list(values: impl IntoIterator<Item = Value>) -> Cell {
    Cell::Value(Value::List(values.into_iter().map(Some).collect()))
}

/// Goal: over nothing, and over nulls alone, counts are 0 and all else is null.
#[test]
fn over_nothing() {
    for function in functions() {
        for input in [ValueType::Int64, ValueType::Bool, ValueType::String] {
            let Some(aggregate) = Aggregate::new(function, input) else { continue };
            let counts =
                matches!(function, Function::Count | Function::CountDistinct | Function::ApproxCountDistinct);
            let right = if counts { int(0) } else { Cell::Null };
            let mut state = aggregate.state();
            assert_eq!(aggregate.value(&state), right, "{function:?}");
            aggregate.add(&mut state, &Cell::Null);
            assert_eq!(aggregate.value(&state), right, "{function:?} of null");
            aggregate.add(&mut state, &Cell::Error);
            assert_eq!(aggregate.value(&state), Cell::Error, "{function:?} of an error");
        }
    }
}

/// Goal: integers are exact on the way and in error only at the end; means are exact.
#[test]
fn integers() {
    let big = ints(&[i64::MAX, i64::MAX, -i64::MAX, i64::MIN + 1]);
    assert_eq!(of(Function::Sum, ValueType::Int64, &big), int(0));
    assert_eq!(of(Function::Sum, ValueType::Int64, &big[..2]), Cell::Error);
    assert_eq!(of(Function::Avg, ValueType::Int64, &big[..2]), float(i64::MAX as f64));
    assert_eq!(of(Function::Avg, ValueType::Int64, &ints(&[1, 2, -4])), float(-1.0 / 3.0));
    assert_eq!(of(Function::CountDistinct, ValueType::Int64, &ints(&[1, 1, 2])), int(2));
    assert_eq!(Aggregate::new(Function::Sum, ValueType::String), None);
}

/// Goal: decimals keep their scale and overflow at the end only; min and max skip NaN, and are null over nothing else.
#[test]
fn decimals_and_extremes() {
    let decimal = |units| Value::Decimal(Decimal { units, scale: 2 });
    let of_two = ValueType::Decimal(DecimalType::new(38, 2).unwrap());
    let large = 99_999_999_999_999_999_999_999_999_999_999_999_999_i128;
    let sum = of(Function::Sum, of_two, &[decimal(large), decimal(large), decimal(-large), decimal(-5)]);
    assert_eq!(sum, Cell::Value(decimal(large - 5)));
    assert_eq!(of(Function::Sum, of_two, &[decimal(large), decimal(1)]), Cell::Error);
    let floats = [f64::NAN, 2.0, -1.0].map(Value::Float64);
    assert_eq!(of(Function::Max, ValueType::Float64, &floats), float(2.0));
    assert_eq!(of(Function::Min, ValueType::Float64, &floats), float(-1.0));
    for function in [Function::Min, Function::Max, Function::TopN(2), Function::ApproxPercentile(0.5.into())]
    {
        assert_eq!(of(function, ValueType::Float64, &floats[..1]), Cell::Null, "{function:?}");
    }
    let texts = ["b", "a"].map(|text| Value::String(text.to_owned()));
    assert_eq!(of(Function::Max, ValueType::String, &texts), Cell::Value(texts[0].clone()));
    let top = of(Function::TopN(2), ValueType::Float64, &[3.0, f64::NAN, 9.0, 3.0].map(Value::Float64));
    assert_eq!(top, list([9.0, 3.0].map(Value::Float64)));
    let least = of(Function::BottomN(3), ValueType::Int64, &ints(&[5, 1, 1, 7]));
    assert_eq!(least, list(ints(&[1, 1, 5])));
}

/// Goal: variances are exact where a naive formula loses everything, and follow IEEE at its ends.
#[test]
fn variances() {
    let far = [1e15, 1e15 + 1.0, 1e15 + 2.0].map(Value::Float64);
    assert_eq!(of(Function::VarSamp, ValueType::Float64, &far), float(1.0));
    assert_eq!(of(Function::VarPop, ValueType::Float64, &far), float(2.0 / 3.0));
    assert_eq!(of(Function::StddevSamp, ValueType::Float64, &far), float(1.0));
    assert_eq!(of(Function::VarSamp, ValueType::Float64, &far[..1]), Cell::Null);
    assert_eq!(of(Function::VarPop, ValueType::Float64, &far[..1]), float(0.0));
    let ends = ints(&[i64::MIN, i64::MAX]);
    // The distance is 2^64 - 1; half of its square rounds to 2^127.
    assert_eq!(of(Function::VarSamp, ValueType::Int64, &ends), float(2.0_f64.powi(127)));
    let huge = [1e308, -1e308].map(Value::Float64);
    assert_eq!(of(Function::VarPop, ValueType::Float64, &huge), float(f64::INFINITY));
    let tiny = [5e-324, 0.0].map(Value::Float64);
    assert_eq!(of(Function::VarPop, ValueType::Float64, &tiny), float(0.0));
    let odd = [1.0, f64::INFINITY].map(Value::Float64);
    assert!(
        matches!(of(Function::VarPop, ValueType::Float64, &odd), Cell::Value(Value::Float64(nan)) if nan.is_nan())
    );
}

/// Goal: histograms hold their lower edges, and count what lies outside.
#[test]
fn histograms() {
    let bounds = Bounds { lower: 0.0.into(), upper: 3.0.into() };
    let values = [-0.1, 0.0, 0.9, 1.0, 2.999, 3.0, f64::INFINITY, f64::NAN].map(Value::Float64);
    let found = of(Function::Histogram(bounds, 3), ValueType::Float64, &values);
    assert_eq!(found, list(ints(&[1, 2, 1, 1, 2])));
}

/// Goal: sketches keep their promises: distinct counts within some standard errors, percentiles within one percent.
#[test]
fn sketches() {
    for count in [1_i64, 50, 3_000, 200_000] {
        let aggregate = Aggregate::new(Function::ApproxCountDistinct, ValueType::Int64).unwrap();
        let mut state = aggregate.state();
        (0..count * 2).for_each(|n| aggregate.add(&mut state, &int(n % count)));
        let Cell::Value(Value::Int64(found)) = aggregate.value(&state) else { panic!() };
        let error = (found - count).abs() as f64 / count as f64;
        // Less than four standard errors.
        assert!(error < 0.064, "{found} of {count}");
    }
    let values: Vec<f64> = (1..=5_000).map(|n| f64::from(n) * f64::from(n) - 1e6).collect();
    for part in [0.0, 0.1, 0.5, 0.9, 1.0] {
        let as_values: Vec<Value> = values.iter().map(|value| Value::Float64(*value)).collect();
        let Cell::Value(Value::Float64(found)) =
            of(Function::ApproxPercentile(part.into()), ValueType::Float64, &as_values)
        else {
            panic!()
        };
        let rank = ((part * 5_000.0).ceil() as usize).clamp(1, 5_000);
        let right = values[rank - 1];
        assert!((found - right).abs() <= right.abs() * 0.010_000_1, "{part}: {found}, not {right}");
    }
}

/// Goal: functions are found by name, and what they take is said where it is wrong.
#[test]
fn names() {
    for (name, takes) in Function::names() {
        let given: &[f64] = match takes {
            "" => &[],
            "n" => &[3.0],
            "part" => &[0.5],
            _ => &[0.0, 1.0, 4.0],
        };
        assert!(Function::of(name, given).unwrap().is_ok(), "{name}");
        assert!(
            Function::of(name, &[1.0, 2.0]).unwrap().unwrap_err().starts_with(&format!("`{name}` takes"))
        );
    }
    assert_eq!(Function::named("last_n"), None);
    assert_eq!(Function::of("median", &[]), None);
    for wrong in [0.0, 1.5, f64::from(ITEMS_MAX) + 1.0, f64::NAN, -1.0] {
        assert!(Function::of("top_k", &[wrong]).unwrap().is_err(), "{wrong}");
    }
    assert!(Function::of("histogram", &[2.0, 1.0, 4.0]).unwrap().is_err());
    assert!(Function::of("approx_percentile", &[1.1]).unwrap().is_err());
    let last = Aggregate::new(Function::LastN(3), ValueType::String).unwrap();
    assert_eq!(last.result(), ValueType::List(ScalarType::String));
}

proptest! {
    /// Goal: the first and the last are those that a sort finds.
    #[test]
    fn ranked(arguments in prop::collection::vec(argument(ValueType::String), 0..20), n in 1_u32..5) {
        let mut sorted: Vec<(&Place, &Value)> =
            arguments.iter().filter_map(|(cell, place)| Some((place, cell.value()?))).collect();
        sorted.sort_by_key(|(place, value)| (*place, asof_model::canonical::bits(value)));
        let values: Vec<Value> = sorted.iter().map(|(_, value)| (*value).clone()).collect();
        let reversed: Vec<Value> = values.iter().rev().cloned().collect();
        let mut distinct: Vec<Value> = Vec::new();
        for value in &reversed {
            if !distinct.contains(value) {
                distinct.push(value.clone());
            }
        }
        let first = |values: &[Value]| match values.is_empty() {
            true => Cell::Null,
            false => list(values.iter().take(n as usize).cloned()),
        };
        let one = |values: &[Value]| values.first().cloned().map_or(Cell::Null, Cell::Value);
        for (function, right) in [
            (Function::FirstN(n), first(&values)),
            (Function::LastN(n), first(&reversed)),
            (Function::DistinctLastN(n), first(&distinct)),
            (Function::First, one(&values)),
            (Function::Last, one(&reversed)),
        ] {
            let aggregate = Aggregate::new(function, ValueType::String).unwrap();
            prop_assert_eq!(aggregate.value(&folded(&aggregate, &arguments)), right, "{:?}", function);
        }
    }

    /// Goal: the most frequent are those that a count finds, the least value first among equals.
    #[test]
    fn most_frequent(arguments in prop::collection::vec(argument(ValueType::String), 0..20), n in 1_u32..5) {
        let mut counted: std::collections::BTreeMap<String, i64> = Default::default();
        for (cell, _) in &arguments {
            if let Some(Value::String(text)) = cell.value() {
                *counted.entry(text.clone()).or_default() += 1;
            }
        }
        let mut all: Vec<(String, i64)> = counted.into_iter().collect();
        all.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(&other.0)));
        let right = match all.is_empty() {
            true => Cell::Null,
            false => list(all.into_iter().take(n as usize).map(|(text, _)| Value::String(text))),
        };
        let aggregate = Aggregate::new(Function::TopK(n), ValueType::String).unwrap();
        prop_assert!(same(&aggregate.value(&folded(&aggregate, &arguments)), &right));
    }

    /// Goal: the exact variance of small integers, computed in whole numbers, is what comes out.
    #[test]
    fn variances_of_small_integers(values in prop::collection::vec(-1_000_i64..1_000, 2..40)) {
        let count = values.len() as i128;
        let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
        let squares: i128 = values.iter().map(|value| i128::from(value * value)).sum();
        let scaled = (count * squares - sum * sum) as f64 / count as f64;
        let floats: Vec<Value> = values.iter().map(|value| Value::Float64(*value as f64)).collect();
        for (input, values) in [(ValueType::Int64, ints(&values)), (ValueType::Float64, floats)] {
            prop_assert_eq!(of(Function::VarPop, input, &values), float(scaled / count as f64));
            prop_assert_eq!(of(Function::StddevSamp, input, &values), float((scaled / (count - 1) as f64).sqrt()));
        }
    }
}
