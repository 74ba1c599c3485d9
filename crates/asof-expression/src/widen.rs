//! The types that values become without being asked: only where nothing is lost, or where everybody expects it.
//!
//! int32 becomes int64, both become float64 and decimals that hold all their digits; float32 becomes float64; a date
//! becomes its midnight in UTC. Everything else is written as a cast.

use asof_model::ValueType;
use asof_model::types::{DecimalType, ScalarType};

/// Digits of the largest int32 and int64.
const INT32_DIGITS: u8 = 10;
const INT64_DIGITS: u8 = 19;

/// Whether a value of type `from` becomes one of type `to` by itself.
pub(crate) fn widens(from: ValueType, to: ValueType) -> bool {
    use ValueType::{Date, Decimal, Float32, Float64, Int32, Int64, List, Map, Timestamp};
    match (from, to) {
        (a, b) if a == b => true,
        (Int32, Int64 | Float64) | (Int64 | Float32, Float64) | (Date, Timestamp) => true,
        (Int32 | Int64, Decimal(to)) => {
            integer_digits(from).is_some_and(|digits| to.precision() - to.scale() >= digits)
        }
        (Decimal(from), Decimal(to)) => {
            to.scale() >= from.scale() && to.precision() - to.scale() >= from.precision() - from.scale()
        }
        (List(from), List(to)) | (Map(from), Map(to)) => widens(from.into(), to.into()),
        _ => false,
    }
}

/// The type that values of both types become by themselves. `None` where there is none.
pub(crate) fn common(a: ValueType, b: ValueType) -> Option<ValueType> {
    use ValueType::{Decimal, Float32, Float64, Int32, Int64, List, Map};
    if widens(a, b) {
        return Some(b);
    }
    if widens(b, a) {
        return Some(a);
    }
    match (a, b) {
        (Int32 | Int64, Float32) | (Float32, Int32 | Int64) => Some(Float64),
        (Decimal(a), Decimal(b)) => {
            let scale = a.scale().max(b.scale());
            let whole = (a.precision() - a.scale()).max(b.precision() - b.scale());
            DecimalType::new(whole + scale, scale).map(Decimal)
        }
        (Decimal(a), b @ (Int32 | Int64)) | (b @ (Int32 | Int64), Decimal(a)) => {
            common(Decimal(a), Decimal(integer_as_decimal(b)?))
        }
        (List(a), List(b)) => scalar(common(a.into(), b.into())?).map(List),
        (Map(a), Map(b)) => scalar(common(a.into(), b.into())?).map(Map),
        _ => None,
    }
}

/// Whether the type is a number.
pub(crate) fn is_number(of: ValueType) -> bool {
    matches!(
        of,
        ValueType::Int32 | ValueType::Int64 | ValueType::Float32 | ValueType::Float64 | ValueType::Decimal(_)
    )
}

/// The decimal that holds every value of an integer type.
pub(crate) fn integer_as_decimal(of: ValueType) -> Option<DecimalType> {
    DecimalType::new(integer_digits(of)?, 0)
}

/// The type as the item of a list. `None` for json, lists, maps and embeddings.
pub(crate) fn scalar(of: ValueType) -> Option<ScalarType> {
    ScalarType::try_from(of).ok()
}

fn integer_digits(of: ValueType) -> Option<u8> {
    match of {
        ValueType::Int32 => Some(INT32_DIGITS),
        ValueType::Int64 => Some(INT64_DIGITS),
        _ => None,
    }
}
