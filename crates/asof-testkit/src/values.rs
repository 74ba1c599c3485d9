//! The edge values of each type: few, so that equal ones meet, and each one a trap for somebody.

use asof_model::time::parse_day;
use asof_model::{Cell, Decimal, Instant, Uuid, Value, ValueType};
use proptest::prelude::*;

/// The edge values of a type, canonical, all different, in no special order.
pub fn edge_values(of: ValueType) -> Vec<Value> {
    match of {
        ValueType::Int32 => [0, 1, -1, 256, i32::MIN, i32::MAX].map(Value::Int32).to_vec(),
        // The fourth is the first integer that a double cannot hold.
        ValueType::Int64 => [0, 1, -1, 9_007_199_254_740_993, i64::MIN, i64::MAX].map(Value::Int64).to_vec(),
        ValueType::Float32 => {
            [-0.0, 1.5, -1.5, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::from_bits(1), 0.1]
                .map(Value::float32)
                .to_vec()
        }
        ValueType::Float64 => {
            [-0.0, 1.5, -1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::from_bits(1), 0.1]
                .map(Value::float64)
                .to_vec()
        }
        ValueType::String => ["", "a", "ab", "null", "NaN", "a,\"b\"\n|# ", "Zürich", "a\0"]
            .map(|text| Value::String(text.to_owned()))
            .to_vec(),
        ValueType::Bool => vec![Value::Bool(false), Value::Bool(true)],
        ValueType::Bytes => {
            [&[][..], &[0], &[0, 0xff], &[0xff; 9], b"a"].map(|bytes| Value::Bytes(bytes.to_vec())).to_vec()
        }
        ValueType::Timestamp => {
            let before_1970 = Instant::from_micros_clamped(-1);
            [Instant::MIN, before_1970, Instant::EPOCH, Instant::MAX].map(Value::Timestamp).to_vec()
        }
        ValueType::Date => ["0001-01-01", "1969-12-31", "1970-01-01", "2024-02-29", "9999-12-31"]
            .into_iter()
            .filter_map(parse_day)
            .map(Value::Date)
            .collect(),
        ValueType::Decimal(of) => {
            let most = 10_i128.pow(u32::from(of.precision())) - 1;
            let decimal = |units| Value::Decimal(Decimal { units, scale: of.scale() });
            [0, 1, -1, most, -most].map(decimal).to_vec()
        }
        ValueType::Uuid => [0, 1, u128::MAX].map(|bits| Value::Uuid(Uuid::from_u128(bits))).to_vec(),
        ValueType::Json => ["0", "\"\"", "[]", "{}", r#"{"a":[1,null],"é":"x\n"}"#, "18446744073709551615"]
            .map(|text| Value::Json(text.to_owned()))
            .to_vec(),
        ValueType::List(item) => {
            let items: Vec<_> = edge_values(item.into()).into_iter().map(Some).collect();
            let first = items[0].clone();
            [vec![], vec![None], vec![first.clone()], vec![None, first], items].map(Value::List).to_vec()
        }
        ValueType::Map(of) => {
            let named = |(place, value): (usize, Value)| (format!("k{place}"), Some(value));
            let all = edge_values(of.into()).into_iter().enumerate().map(named).collect();
            let empty_key = vec![(String::new(), None), ("ä".to_owned(), None)];
            [vec![], empty_key, all].map(Value::Map).to_vec()
        }
        ValueType::Embedding(dimensions) => [0.0, 1.5, f32::NAN, f32::MIN_POSITIVE]
            .map(|each| Value::embedding(vec![each; usize::from(dimensions)]))
            .to_vec(),
    }
}

/// One of the edge values of a type.
pub fn any_value(of: ValueType) -> impl Strategy<Value = Value> {
    proptest::sample::select(edge_values(of))
}

/// A value, more often than not; else null or an error.
pub fn any_cell(of: ValueType) -> impl Strategy<Value = Cell> {
    prop_oneof![4 => any_value(of).prop_map(Cell::Value), 1 => Just(Cell::Null), 1 => Just(Cell::Error)]
}

/// The same value in a form that is not canonical, as a source may carry it: `-0.0` for zero, another NaN.
/// Other values come back as they are.
pub fn spelled_otherwise(value: &Value) -> Value {
    match value {
        Value::Float32(v) if *v == 0.0 => Value::Float32(-0.0),
        Value::Float64(v) if *v == 0.0 => Value::Float64(-0.0),
        Value::Float32(v) if v.is_nan() => Value::Float32(f32::from_bits(0xffc0_0001)),
        Value::Float64(v) if v.is_nan() => Value::Float64(f64::from_bits(0xfff8_0000_0000_0001)),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every type has at least two edge values, of that type, canonical, and all different.
    #[test]
    fn edge_values_are_of_their_type() {
        for of in ValueType::examples() {
            let values = edge_values(of);
            assert!(values.len() >= 2, "{of}");
            for (index, value) in values.iter().enumerate() {
                assert!(value.is_of(of), "{value:?} is not {of}");
                assert!(!values[..index].contains(value), "{value:?} twice");
                if let Value::Float64(v) = value {
                    assert_eq!(Value::float64(*v), *value);
                }
            }
        }
    }

    /// Goal: the other spelling differs in its bits, and becomes the same value on entry.
    #[test]
    fn other_spellings_are_the_same_value() {
        for raw in [0.0, f64::NAN] {
            let value = Value::float64(raw);
            let Value::Float64(other) = spelled_otherwise(&value) else { panic!("a float stays one") };
            assert_ne!(Value::Float64(other), value);
            assert_eq!(Value::float64(other), value);
        }
    }
}
