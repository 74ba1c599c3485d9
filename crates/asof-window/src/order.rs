//! The order of values of one type.

use std::cmp::Ordering;

use asof_model::{Value, ValueType, canonical};

/// Whether values of this type have an order.
pub(crate) fn has_order(of: ValueType) -> bool {
    !matches!(of, ValueType::Json | ValueType::List(_) | ValueType::Map(_) | ValueType::Embedding(_))
}

pub(crate) fn is_nan(value: &Value) -> bool {
    match value {
        Value::Float32(value) => value.is_nan(),
        Value::Float64(value) => value.is_nan(),
        _ => false,
    }
}

/// The order of two values of one type; text and bytes by their bytes.
pub(crate) fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Int32(a), Value::Int32(b)) => a.cmp(b),
        (Value::Int64(a), Value::Int64(b)) => a.cmp(b),
        (Value::Float32(a), Value::Float32(b)) => a.total_cmp(b),
        (Value::Float64(a), Value::Float64(b)) => a.total_cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.units.cmp(&b.units),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        _ => canonical::bits(one).cmp(&canonical::bits(other)),
    }
}
