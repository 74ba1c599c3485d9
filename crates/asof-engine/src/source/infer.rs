//! Types for columns of text, where the output has types: those of a CSV label table, and those that folders tell.
//!
//! A column becomes int64 or float64 only where every field reads back to the text it came from or, for floats, is a
//! plain decimal number; so a zip code with a leading zero stays text.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;

/// What the fields of a column can be, as far as they were seen.
#[derive(Debug, Clone, Copy)]
pub struct Guess {
    integer: bool,
    decimal: bool,
    boolean: bool,
    /// Whether there was a field that is not null.
    any: bool,
}

impl Default for Guess {
    fn default() -> Self {
        Self { integer: true, decimal: true, boolean: true, any: false }
    }
}

impl Guess {
    /// Takes in some fields; nulls fit any type.
    pub fn learn<'a>(&mut self, fields: impl Iterator<Item = &'a str>) {
        for field in fields {
            self.any = true;
            self.integer = self.integer && integer(field).is_some();
            self.decimal = self.decimal && decimal(field).is_some();
            self.boolean = self.boolean && boolean(field).is_some();
            if !(self.integer || self.decimal || self.boolean) {
                return;
            }
        }
    }

    /// The type that all fields share: int64, float64, bool, or else text. A column of nulls stays text.
    pub fn data_type(&self) -> DataType {
        match self {
            Self { any: false, .. } => DataType::Utf8,
            Self { integer: true, .. } => DataType::Int64,
            Self { decimal: true, .. } => DataType::Float64,
            Self { boolean: true, .. } => DataType::Boolean,
            _ => DataType::Utf8,
        }
    }
}

/// A text column as values of a type that [`Guess`] gave it.
pub fn typed(text: &StringArray, data_type: &DataType) -> ArrayRef {
    match data_type {
        DataType::Int64 => Arc::new(text.iter().map(|field| integer(field?)).collect::<Int64Array>()),
        DataType::Float64 => Arc::new(text.iter().map(|field| decimal(field?)).collect::<Float64Array>()),
        DataType::Boolean => Arc::new(text.iter().map(|field| boolean(field?)).collect::<BooleanArray>()),
        _ => Arc::new(text.clone()),
    }
}

/// The fields of a text column that are not null.
pub fn fields(column: &ArrayRef) -> impl Iterator<Item = &str> {
    column.as_string_opt::<i32>().into_iter().flat_map(|text| text.iter().flatten())
}

/// A whole number that is written in no other way.
pub fn integer(field: &str) -> Option<i64> {
    let digits = field.strip_prefix('-').unwrap_or(field);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits == "0" || !digits.starts_with('0');
    (plain && canonical && field != "-0").then(|| field.parse().ok()).flatten()
}

/// True or false.
pub fn boolean(field: &str) -> Option<bool> {
    match field {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

/// A plain decimal number: digits with an optional sign, point and exponent, and no leading zero before a digit.
pub fn decimal(field: &str) -> Option<f64> {
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
    use arrow::array::Array;

    /// Goal: numbers become numbers, and nothing that would lose a character does; however the fields are cut.
    #[test]
    fn types_of_columns() {
        for (all, expected) in [
            (vec![Some("1"), None, Some("-20")], DataType::Int64),
            (vec![Some("0"), Some("10")], DataType::Int64),
            (vec![Some("-0")], DataType::Float64),
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
            (vec![Some("")], DataType::Utf8),
            (vec![None], DataType::Utf8),
        ] {
            let mut guess = Guess::default();
            for field in &all {
                let column: ArrayRef = Arc::new(StringArray::from(vec![*field]));
                guess.learn(fields(&column));
            }
            assert_eq!(guess.data_type(), expected, "{all:?}");
            let text = StringArray::from(all.clone());
            let read = typed(&text, &guess.data_type());
            assert_eq!(read.null_count(), text.null_count(), "{all:?}");
        }
    }
}
