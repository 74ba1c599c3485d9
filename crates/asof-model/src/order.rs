//! How two values compare: one total order for each type.
//!
//! Numbers by size, where NaN equals NaN and is greater than every other number (as in PostgreSQL): so `=` says what
//! equality of canonical bytes says, and sorting, `greatest`, `between` and `<` agree. Text and bytes by their bytes,
//! false before true, uuids by their bits. Lists, maps, json and embeddings are equal or not; they have no order in
//! comparisons, and by their items or text where something must be sorted.

use std::cmp::Ordering;

use crate::{Value, ValueType, canonical};

/// Whether values of this type have an order.
pub fn has_order(of: ValueType) -> bool {
    !matches!(of, ValueType::Json | ValueType::List(_) | ValueType::Map(_) | ValueType::Embedding(_))
}

/// The order of two values of one type. Values of different types are in the order of their canonical bits: a defect of the
/// caller that must not become a panic.
pub fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Int32(a), Value::Int32(b)) => a.cmp(b),
        (Value::Int64(a), Value::Int64(b)) => a.cmp(b),
        // Canonical floats have one zero and one NaN, a positive one: the greatest of the total order.
        (Value::Float32(a), Value::Float32(b)) => a.total_cmp(b),
        (Value::Float64(a), Value::Float64(b)) => a.total_cmp(b),
        (Value::String(a), Value::String(b)) | (Value::Json(a), Value::Json(b)) => {
            a.as_bytes().cmp(b.as_bytes())
        }
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.units.cmp(&b.units),
        (Value::Uuid(a), Value::Uuid(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::List(a), Value::List(b)) => {
            compare_all(a, b, |a, b| compare_nulls_last(a.as_ref(), b.as_ref()))
        }
        (Value::Map(a), Value::Map(b)) => compare_all(a, b, |(a, x), (b, y)| {
            a.as_bytes().cmp(b.as_bytes()).then_with(|| compare_nulls_last(x.as_ref(), y.as_ref()))
        }),
        (Value::Embedding(a), Value::Embedding(b)) => compare_all(a, b, f32::total_cmp),
        _ => canonical::bits(left).cmp(&canonical::bits(right)),
    }
}

/// The order of two values of one type, null greatest.
pub fn compare_nulls_last(left: Option<&Value>, right: Option<&Value>) -> Ordering {
    match (left, right) {
        (Some(a), Some(b)) => compare(a, b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

fn compare_all<T>(left: &[T], right: &[T], compare: impl Fn(&T, &T) -> Ordering) -> Ordering {
    let firsts = left.iter().zip(right).map(|(a, b)| compare(a, b));
    firsts.fold(Ordering::Equal, Ordering::then).then(left.len().cmp(&right.len()))
}
