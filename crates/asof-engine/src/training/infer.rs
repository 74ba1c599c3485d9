//! Types for the columns of a CSV label table, where the output has types.
//!
//! A column becomes int64 or float64 only where every field reads back to the text it came from or, for floats, is a
//! plain decimal number; so a zip code with a leading zero stays text.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};

/// The column with the type that all its fields share: int64, float64, bool, or else text. Nulls fit any type; a
/// column of nulls stays text.
pub fn typed(column: &ArrayRef) -> ArrayRef {
    let text: &StringArray = column.as_string();
    if text.null_count() == text.len() {
        return column.clone();
    }
    if let Some(values) = all(text, integer) {
        return Arc::new(Int64Array::from(values));
    }
    if let Some(values) = all(text, decimal) {
        return Arc::new(Float64Array::from(values));
    }
    match all(text, boolean) {
        Some(values) => Arc::new(BooleanArray::from(values)),
        None => column.clone(),
    }
}

/// Every field read, nulls as null; `None` as soon as one can't be.
fn all<T>(text: &StringArray, read: impl Fn(&str) -> Option<T>) -> Option<Vec<Option<T>>> {
    text.iter().map(|field| field.map_or(Some(None), |field| read(field).map(Some))).collect()
}

/// A whole number that is written in no other way.
pub(crate) fn integer(field: &str) -> Option<i64> {
    field.parse::<i64>().ok().filter(|value| value.to_string() == field)
}

/// True or false.
pub(crate) fn boolean(field: &str) -> Option<bool> {
    match field {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A plain decimal number: digits with an optional sign, point and exponent, and no leading zero before a digit.
pub(crate) fn decimal(field: &str) -> Option<f64> {
    let digits = field.strip_prefix(['-', '+']).unwrap_or(field);
    let padded = digits.len() > 1 && digits.starts_with('0') && digits.as_bytes()[1].is_ascii_digit();
    let plain = digits.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'.');
    // A whole number that a double cannot hold is an identifier, not a measure; and infinity is not what stood there.
    let whole = digits.bytes().all(|b| b.is_ascii_digit());
    let exact = !whole || digits.len() <= f64::DIGITS as usize;
    if padded || !plain || !exact { None } else { field.parse().ok().filter(|value: &f64| value.is_finite()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::DataType;

    /// Goal: numbers become numbers, and nothing that would lose a character does.
    #[test]
    fn types_of_columns() {
        for (fields, expected) in [
            (vec![Some("1"), None, Some("-20")], DataType::Int64),
            (vec![Some("1"), Some("2.5")], DataType::Float64),
            (vec![Some("00501"), Some("94109")], DataType::Utf8),
            (vec![Some("+1")], DataType::Float64),
            (vec![Some("true"), Some("False")], DataType::Boolean),
            (vec![Some("nan")], DataType::Utf8),
            (vec![Some("9223372036854775807")], DataType::Int64),
            (vec![Some("9223372036854775808")], DataType::Utf8),
            (vec![Some("1"), Some("2.5"), Some("9007199254740993")], DataType::Utf8),
            (vec![Some("1e400")], DataType::Utf8),
            (vec![Some("1e300"), Some(".5"), Some("-0")], DataType::Float64),
            (vec![None], DataType::Utf8),
        ] {
            let column: ArrayRef = Arc::new(StringArray::from(fields.clone()));
            assert_eq!(*typed(&column).data_type(), expected, "{fields:?}");
        }
    }
}
