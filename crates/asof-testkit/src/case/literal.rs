//! What stands in a cell, and how a value is written there.

use asof_model::time::{format_day, parse_day};
use asof_model::{Cell, Instant, Value, ValueType, Zone, entry};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::CaseCell;

/// The day of times that name none.
const DAY: &str = "2024-01-01";
/// The text that stands for `ERROR` in a source: a value of no type but string.
const NO_VALUE: &str = "not a value";

/// Reads a cell of a view's column. Times without offset are local in `zone`.
pub(super) fn read_cell(of: ValueType, text: &str, zone: &Zone) -> Result<CaseCell, String> {
    if text == "null" {
        return Ok(CaseCell { cell: Cell::Null, text: None });
    }
    let raw = if text == "ERROR" { Some(NO_VALUE) } else { text.strip_prefix("raw:") };
    if let Some(raw) = raw {
        if of == ValueType::String {
            return Err("every text is a string, so a string cannot be in error".into());
        }
        let raw = if raw.starts_with('"') { unquote(raw)? } else { raw.to_owned() };
        return Ok(CaseCell { cell: Cell::Error, text: Some(raw) });
    }
    let value = read_value(of, text, zone)?;
    let in_source = match (&value, of) {
        (Value::Timestamp(_), _) => full_time(text),
        (Value::Bytes(bytes), _) => STANDARD.encode(bytes),
        (Value::String(string), _) => string.clone(),
        _ => text.to_owned(),
    };
    Ok(CaseCell { cell: Cell::Value(value), text: Some(in_source) })
}

/// Reads what an answer shows: a value or null.
pub(super) fn read_answer(of: ValueType, text: &str) -> Result<Cell, String> {
    match text {
        "null" => Ok(Cell::Null),
        "ERROR" | "absent" => Err(format!("an answer shows null, and `{text}` is a status or none")),
        _ => read_value(of, text, &Zone::utc()).map(Cell::Value),
    }
}

/// Reads an instant: `10:00`, `2024-01-02T10:00` or RFC 3339; local in `zone` where it has no offset.
pub(super) fn read_instant(text: &str, zone: &Zone) -> Result<Instant, String> {
    Instant::parse(&full_time(text), zone).ok_or_else(|| format!("`{text}` is not a time"))
}

/// Writes what an answer shows, so that [`read_answer`] reads the same.
pub(super) fn write_answer(cell: &Cell) -> String {
    let value = match cell {
        Cell::Null | Cell::Error => return "null".to_owned(),
        Cell::Value(value) => value,
    };
    match value {
        Value::Int32(v) => v.to_string(),
        Value::Int64(v) => v.to_string(),
        Value::Float32(v) => format!("{v:?}"),
        Value::Float64(v) => format!("{v:?}"),
        Value::String(v) if reads_bare(v) => v.clone(),
        Value::String(v) => serde_json::Value::String(v.clone()).to_string(),
        Value::Bool(v) => v.to_string(),
        Value::Bytes(v) => {
            let digits: String = v.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{digits}")
        }
        Value::Timestamp(v) => v.to_string(),
        Value::Date(v) => format_day(*v),
        other @ (Value::Decimal(_)
        | Value::Uuid(_)
        | Value::Json(_)
        | Value::List(_)
        | Value::Map(_)
        | Value::Embedding(_)) => entry::to_text(other),
    }
}

fn read_value(of: ValueType, text: &str, zone: &Zone) -> Result<Value, String> {
    let wrong = || format!("`{text}` is not {of}");
    match of {
        ValueType::Int32 => text.parse().map(Value::Int32).map_err(|_| wrong()),
        ValueType::Int64 => text.parse().map(Value::Int64).map_err(|_| wrong()),
        ValueType::Float32 => text.parse().map(Value::float32).map_err(|_| wrong()),
        ValueType::Float64 => text.parse().map(Value::float64).map_err(|_| wrong()),
        ValueType::String if text.starts_with('"') => unquote(text).map(Value::String),
        ValueType::String if reads_bare(text) => Ok(Value::String(text.to_owned())),
        ValueType::String => Err(format!("write `{text}` as a JSON string, in quotes")),
        ValueType::Bool => text.parse().map(Value::Bool).map_err(|_| wrong()),
        ValueType::Bytes => text.strip_prefix("0x").and_then(read_hex).map(Value::Bytes).ok_or_else(wrong),
        ValueType::Timestamp => read_instant(text, zone).map(Value::Timestamp),
        ValueType::Date => parse_day(text).map(Value::Date).ok_or_else(wrong),
        ValueType::Decimal(_)
        | ValueType::Uuid
        | ValueType::Json
        | ValueType::List(_)
        | ValueType::Map(_)
        | ValueType::Embedding(_) => entry::from_text(text, of, zone).map_err(|error| error.to_string()),
    }
}

/// Whether a string stands for itself without quotes.
fn reads_bare(text: &str) -> bool {
    let plain = |each: char| each.is_alphanumeric() || " _-.,:/".contains(each);
    let taken = ["null", "ERROR", "absent"].contains(&text) || text.starts_with("raw:");
    !text.is_empty() && text.trim() == text && text.chars().all(plain) && !taken
}

fn unquote(text: &str) -> Result<String, String> {
    serde_json::from_str(text).map_err(|_| format!("`{text}` is not a JSON string"))
}

fn read_hex(digits: &str) -> Option<Vec<u8>> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return None;
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok()).collect()
}

/// A time of day alone is one of [`DAY`].
fn full_time(text: &str) -> String {
    if text.as_bytes().get(2) == Some(&b':') { format!("{DAY}T{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::edge_values;

    /// Goal: every edge value of every type is written so that it reads as itself.
    #[test]
    fn what_is_written_reads_as_itself() {
        for of in ValueType::examples() {
            for value in edge_values(of) {
                let cell = Cell::Value(value);
                let text = write_answer(&cell);
                assert_eq!(read_answer(of, &text), Ok(cell), "{text}");
            }
            assert_eq!(read_answer(of, "null"), Ok(Cell::Null));
        }
    }

    /// Goal: times are read in their three forms, in the zone unless they have an offset.
    #[test]
    fn times() {
        let new_york = Zone::named("America/New_York").unwrap();
        for (text, zone, expected) in [
            ("10:00", Zone::utc(), "2024-01-01T10:00:00Z"),
            ("10:00:00.000001", Zone::utc(), "2024-01-01T10:00:00.000001Z"),
            ("2024-01-02T10:00", Zone::utc(), "2024-01-02T10:00:00Z"),
            ("2024-01-02T10:00Z", Zone::utc(), "2024-01-02T10:00:00Z"),
            ("2024-01-02T10:00+01:00", Zone::utc(), "2024-01-02T09:00:00Z"),
            ("10:00", new_york.clone(), "2024-01-01T15:00:00Z"),
            ("10:00Z", new_york, "2024-01-01T10:00:00Z"),
        ] {
            assert_eq!(read_instant(text, &zone).map(|i| i.to_string()), Ok(expected.to_owned()), "{text}");
        }
        assert!(read_instant("noon", &Zone::utc()).is_err());
    }

    /// Goal: a source carries an error as text that is no value, and a float as it was written.
    #[test]
    fn the_text_of_a_source() {
        let read = |of, text| read_cell(of, text, &Zone::utc()).unwrap();
        assert_eq!(read(ValueType::Int64, "raw:12a").text.as_deref(), Some("12a"));
        assert_eq!(read(ValueType::Int64, "raw:\"\"").text.as_deref(), Some(""));
        assert_eq!(read(ValueType::Int64, "ERROR").cell, Cell::Error);
        assert_eq!(read(ValueType::Float64, "-0.0").text.as_deref(), Some("-0.0"));
        assert_eq!(read(ValueType::Bytes, "0x00ff").text.as_deref(), Some("AP8="));
        assert_eq!(read(ValueType::String, "\"null\"").text.as_deref(), Some("null"));
        assert!(read_cell(ValueType::String, "ERROR", &Zone::utc()).is_err());
        assert!(read_cell(ValueType::Int64, "12a", &Zone::utc()).is_err());
    }
}
