//! How raw input becomes a canonical value, once, on entry (SEMANTICS 1 and 2).
//!
//! Every reader (CSV, Parquet, JSON over HTTP, the command line) turns what it found into a [`Raw`] and asks
//! [`from_raw`]; so the same fact gives the same value whatever carried it. Conversions lose nothing but what the
//! declared type cannot hold in a float's last bits, and round once.
//!
//! | declared | accepted |
//! | --- | --- |
//! | int32, int64 | integers in range; floats and text that are whole numbers in range |
//! | float32, float64 | floats, integers, text; rounded once to the nearest |
//! | string | text; integers and booleans as their text |
//! | bool | booleans; 0 and 1; `true`, `false`, `1`, `0` as text, in any letter case |
//! | bytes | bytes; text as standard base64 |
//! | timestamp | instants; local times in the source's zone; dates (their midnight); integers where a unit is named |
//! | date | dates; `YYYY-MM-DD`; instants and local times that are exactly midnight |
//! | decimal | integers, text, floats by their shortest text; rounded once to the scale, ties away from zero |
//! | uuid | text in any of the usual forms; 16 bytes |
//! | json | JSON text; nested values; numbers and booleans as they are |
//! | list, map, embedding | nested values, or their JSON text; each item by this table |
//!
//! A number of a JSON text is handed on as it was written, and is then an integer where it is one, else a float.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::decimal::{Decimal, DecimalError};
use crate::time::{self, Instant, TimeUnit, Zone};
use crate::types::{DecimalType, ValueType};
use crate::value::Value;

mod nested;

/// The longest string or bytes value, in bytes. Longer input is an error in its row.
pub const VALUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The longest encoded entity key, in bytes. A row with a longer key is bad.
pub const KEY_BYTES_MAX: usize = 16 * 1024;

/// A value as a file, a request or a person wrote it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Raw<'a> {
    /// An integer.
    Int(i64),
    /// An integer past the range of `i64`.
    UInt(u64),
    /// A single-precision float.
    Float32(f32),
    /// A double-precision float.
    Float64(f64),
    /// Text.
    Text(&'a str),
    /// A number as written in JSON.
    Number(&'a str),
    /// The text of a JSON array or object.
    Json(&'a str),
    /// Bytes that need not be text.
    Bytes(&'a [u8]),
    /// A boolean.
    Bool(bool),
    /// An instant, as microseconds since 1970 UTC.
    Instant(i64),
    /// A time on a local clock without offset, as microseconds since 1970 on that clock.
    Local(i64),
    /// Days since 1970-01-01.
    Date(i64),
}

/// How times without offset and integer times are read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reading {
    /// The zone of times without offset.
    pub zone: Zone,
    /// The unit of integer times. `None`: integers are not instants.
    pub unit: Option<TimeUnit>,
}

/// Why raw input is not a value of the declared type.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EntryError {
    /// The input is of a kind or form that the type does not take.
    #[error("{found} is not {declared}")]
    NotOfType {
        /// The input, shortened.
        found: String,
        /// What was expected, with its article.
        declared: &'static str,
    },
    /// A number that the type cannot hold.
    #[error("{found} is out of range for {declared}")]
    OutOfRange {
        /// The input, shortened.
        found: String,
        /// The declared type.
        declared: ValueType,
    },
    /// An integer where an instant is wanted and no unit is named.
    #[error("{found} is an integer, and no `unit` of integer times is named")]
    NoUnit {
        /// The input.
        found: String,
    },
    /// An item of a list, a map or an embedding that is not of its type.
    #[error("{place}: {reason}")]
    Item {
        /// Which one: `item 3` or `key "a"`.
        place: String,
        /// Why.
        reason: Box<EntryError>,
    },
    /// An embedding of another length.
    #[error("it has {found} numbers, and an embedding({wanted}) has {wanted}")]
    Dimensions {
        /// How many there are.
        found: usize,
        /// How many there should be.
        wanted: u16,
    },
    /// Text that is not JSON.
    #[error("{found} is not JSON: {reason}")]
    NotJson {
        /// The text, shortened.
        found: String,
        /// Why.
        reason: String,
    },
    /// Text in an encoding that is not UTF-8.
    #[error("the text is not UTF-8")]
    NotText,
    /// Longer than [`VALUE_BYTES_MAX`].
    #[error("the value has {bytes} bytes, at most {VALUE_BYTES_MAX} are stored")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Reads text as a value of the declared type; times without offset are local to `zone`.
///
/// # Errors
/// [`EntryError`], which names the text and what was expected.
pub fn from_text(text: &str, declared: ValueType, zone: &Zone) -> Result<Value, EntryError> {
    from_raw(Raw::Text(text), declared, &Reading { zone: zone.clone(), unit: None })
}

/// The text form of a value, which [`from_text`] reads back to the same value.
///
/// Floats are the shortest text that gives the same bits; instants are RFC 3339 in UTC; bytes are base64; lists, maps
/// and embeddings are JSON.
pub fn to_text(value: &Value) -> String {
    match value {
        Value::Int32(v) => v.to_string(),
        Value::Int64(v) => v.to_string(),
        Value::Float32(v) => format!("{v:?}"),
        Value::Float64(v) => format!("{v:?}"),
        Value::String(v) => v.clone(),
        Value::Bool(v) => v.to_string(),
        Value::Bytes(v) => BASE64.encode(v),
        Value::Timestamp(v) => v.to_string(),
        Value::Date(v) => time::format_day(*v),
        Value::Decimal(v) => v.to_string(),
        Value::Uuid(v) => v.to_string(),
        Value::Json(v) => v.clone(),
        Value::List(_) | Value::Map(_) | Value::Embedding(_) => nested::text(value),
    }
}

/// Turns raw input into a canonical value of the declared type, by the table of this module.
///
/// # Errors
/// [`EntryError`], which names the input and what was expected.
pub fn from_raw(raw: Raw<'_>, declared: ValueType, reading: &Reading) -> Result<Value, EntryError> {
    let raw = match raw {
        Raw::Number(text) => number(text, declared),
        raw => raw,
    };
    match declared {
        ValueType::Int32 => {
            let wide = integer(raw, declared)?;
            i32::try_from(wide).map(Value::Int32).map_err(|_| out_of_range(raw, declared))
        }
        ValueType::Int64 => integer(raw, declared).map(Value::Int64),
        ValueType::Float32 => float32(raw).map(Value::float32).ok_or_else(|| not_of_type(raw, "a float32")),
        ValueType::Float64 => float64(raw).map(Value::float64).ok_or_else(|| not_of_type(raw, "a float64")),
        ValueType::String => string(raw),
        ValueType::Bool => boolean(raw).map(Value::Bool).ok_or_else(|| not_of_type(raw, "a bool")),
        ValueType::Bytes => bytes(raw),
        ValueType::Timestamp => instant(raw, reading).map(Value::Timestamp),
        ValueType::Date => date(raw).map(Value::Date).ok_or_else(|| not_of_type(raw, "a date")),
        ValueType::Decimal(of) => decimal(raw, of).map(Value::Decimal).map_err(|error| match error {
            DecimalError::NotANumber => not_of_type(raw, "a decimal"),
            DecimalError::OutOfRange => out_of_range(raw, declared),
        }),
        ValueType::Uuid => uuid(raw).map(Value::Uuid).ok_or_else(|| not_of_type(raw, "a uuid")),
        ValueType::Json => nested::json(raw),
        ValueType::List(item) => nested::list(raw, item.into(), reading),
        ValueType::Map(of) => nested::map(raw, of.into(), reading),
        ValueType::Embedding(dimensions) => nested::embedding(raw, dimensions),
    }
}

/// A number as written, as what it is: an integer, text where the type rounds it itself, or else a double.
fn number(text: &str, declared: ValueType) -> Raw<'_> {
    if let Ok(integer) = text.parse() {
        return Raw::Int(integer);
    }
    if let Ok(integer) = text.parse() {
        return Raw::UInt(integer);
    }
    match (declared, text.parse()) {
        (ValueType::Float32 | ValueType::Float64 | ValueType::Decimal(_) | ValueType::Json, _)
        | (_, Err(_)) => Raw::Text(text),
        (_, Ok(float)) => Raw::Float64(float),
    }
}

fn decimal(raw: Raw<'_>, of: DecimalType) -> Result<Decimal, DecimalError> {
    match raw {
        Raw::Int(v) => Decimal { units: v.into(), scale: 0 }.rescale(of),
        Raw::UInt(v) => Decimal { units: v.into(), scale: 0 }.rescale(of),
        // By the shortest text: what a CSV of the same number would say.
        Raw::Float32(v) => Decimal::parse(&format!("{v:?}"), of),
        Raw::Float64(v) => Decimal::parse(&format!("{v:?}"), of),
        Raw::Text(text) => Decimal::parse(text, of),
        _ => Err(DecimalError::NotANumber),
    }
}

fn uuid(raw: Raw<'_>) -> Option<uuid::Uuid> {
    match raw {
        Raw::Text(text) => uuid::Uuid::try_parse(text.trim()).ok(),
        Raw::Bytes(bytes) => uuid::Uuid::from_slice(bytes).ok(),
        _ => None,
    }
}

/// Reads raw input as an instant: what [`from_raw`] does for timestamps, also used for event and created columns.
///
/// # Errors
/// [`EntryError`], which names the input and what was expected.
pub fn instant(raw: Raw<'_>, reading: &Reading) -> Result<Instant, EntryError> {
    let raw = match raw {
        Raw::Number(text) => number(text, ValueType::Timestamp),
        raw => raw,
    };
    let out = || out_of_range(raw, ValueType::Timestamp);
    match raw {
        Raw::Instant(micros) => Instant::from_micros(micros).ok_or_else(out),
        Raw::Local(micros) => Instant::from_local_micros(micros, &reading.zone).ok_or_else(out),
        Raw::Date(day) => day
            .checked_mul(86_400_000_000)
            .and_then(|micros| Instant::from_local_micros(micros, &reading.zone))
            .ok_or_else(out),
        Raw::Int(count) => {
            let unit = reading.unit.ok_or_else(|| EntryError::NoUnit { found: count.to_string() })?;
            unit.to_micros(count).and_then(Instant::from_micros).ok_or_else(out)
        }
        Raw::Text(text) => match (Instant::parse(text, &reading.zone), text.trim().parse::<i64>()) {
            (Some(instant), _) => Ok(instant),
            (None, Ok(count)) => instant(Raw::Int(count), reading),
            (None, Err(_)) => Err(not_of_type(raw, "an instant")),
        },
        Raw::UInt(_) => Err(out()),
        Raw::Float32(_) | Raw::Float64(_) | Raw::Bytes(_) | Raw::Bool(_) | Raw::Number(_) | Raw::Json(_) => {
            Err(not_of_type(raw, "an instant"))
        }
    }
}

fn integer(raw: Raw<'_>, declared: ValueType) -> Result<i64, EntryError> {
    match raw {
        Raw::Int(v) => Ok(v),
        Raw::UInt(_) => Err(out_of_range(raw, declared)),
        Raw::Float32(v) => whole(f64::from(v)).ok_or_else(|| not_of_type(raw, "a whole number in range")),
        Raw::Float64(v) => whole(v).ok_or_else(|| not_of_type(raw, "a whole number in range")),
        Raw::Text(text) => {
            let text = text.trim();
            let digits = match text.split_once('.') {
                Some((digits, zeros)) if zeros.bytes().all(|b| b == b'0') => digits,
                _ => text,
            };
            digits.parse().map_err(|error: std::num::ParseIntError| match error.kind() {
                std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => {
                    out_of_range(raw, declared)
                }
                _ => not_of_type(raw, "a whole number"),
            })
        }
        _ => Err(not_of_type(raw, "a whole number")),
    }
}

/// The integer that a float is, exactly. The bound 2^63 is itself out of range.
fn whole(v: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (v.trunc() == v && (-LIMIT..LIMIT).contains(&v)).then_some(v as i64)
}

fn float32(raw: Raw<'_>) -> Option<f32> {
    match raw {
        Raw::Int(v) => Some(v as f32),
        Raw::UInt(v) => Some(v as f32),
        Raw::Float32(v) => Some(v),
        Raw::Float64(v) => Some(v as f32),
        // Straight to single precision: through a double it would be rounded twice.
        Raw::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn float64(raw: Raw<'_>) -> Option<f64> {
    match raw {
        Raw::Int(v) => Some(v as f64),
        Raw::UInt(v) => Some(v as f64),
        Raw::Float32(v) => Some(f64::from(v)),
        Raw::Float64(v) => Some(v),
        Raw::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn string(raw: Raw<'_>) -> Result<Value, EntryError> {
    match raw {
        Raw::Text(text) => sized(text.len()).map(|()| Value::String(text.to_owned())),
        Raw::Int(v) => Ok(Value::String(v.to_string())),
        Raw::UInt(v) => Ok(Value::String(v.to_string())),
        Raw::Bool(v) => Ok(Value::String(v.to_string())),
        Raw::Bytes(_) => Err(not_of_type(raw, "UTF-8 text")),
        _ => Err(not_of_type(raw, "a string")),
    }
}

fn boolean(raw: Raw<'_>) -> Option<bool> {
    match raw {
        Raw::Bool(v) => Some(v),
        Raw::Int(0) => Some(false),
        Raw::Int(1) => Some(true),
        Raw::Text(text) => match text.trim() {
            "0" => Some(false),
            "1" => Some(true),
            word if word.eq_ignore_ascii_case("true") => Some(true),
            word if word.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn bytes(raw: Raw<'_>) -> Result<Value, EntryError> {
    match raw {
        Raw::Bytes(v) => sized(v.len()).map(|()| Value::Bytes(v.to_owned())),
        Raw::Text(text) => {
            sized(text.len())?;
            BASE64.decode(text.trim()).map(Value::Bytes).map_err(|_| not_of_type(raw, "base64"))
        }
        _ => Err(not_of_type(raw, "bytes")),
    }
}

fn date(raw: Raw<'_>) -> Option<i32> {
    const DAY: i64 = 86_400_000_000;
    match raw {
        Raw::Date(day) => time::checked_day(day),
        Raw::Instant(micros) | Raw::Local(micros) if micros.rem_euclid(DAY) == 0 => {
            time::checked_day(micros.div_euclid(DAY))
        }
        Raw::Text(text) => time::parse_day(text).or_else(|| {
            let micros = Instant::parse(text, &Zone::utc())?.micros();
            date(Raw::Instant(micros))
        }),
        _ => None,
    }
}

fn sized(bytes: usize) -> Result<(), EntryError> {
    if bytes > VALUE_BYTES_MAX { Err(EntryError::TooLong { bytes }) } else { Ok(()) }
}

fn not_of_type(raw: Raw<'_>, declared: &'static str) -> EntryError {
    EntryError::NotOfType { found: shown(raw), declared }
}

fn out_of_range(raw: Raw<'_>, declared: ValueType) -> EntryError {
    EntryError::OutOfRange { found: shown(raw), declared }
}

/// The input as a message shows it: text in quotes and cut after a few words.
fn shown(raw: Raw<'_>) -> String {
    /// Characters of the input that a message repeats.
    const SHOWN_CHARS_MAX: usize = 40;
    match raw {
        Raw::Int(v) => v.to_string(),
        Raw::UInt(v) => v.to_string(),
        Raw::Float32(v) => format!("{v:?}"),
        Raw::Float64(v) => format!("{v:?}"),
        Raw::Text(v) if v.chars().count() > SHOWN_CHARS_MAX => {
            format!("{:?}...", v.chars().take(SHOWN_CHARS_MAX).collect::<String>())
        }
        Raw::Text(v) => format!("{v:?}"),
        Raw::Number(v) | Raw::Json(v) if v.chars().count() > SHOWN_CHARS_MAX => {
            format!("{}...", v.chars().take(SHOWN_CHARS_MAX).collect::<String>())
        }
        Raw::Number(v) | Raw::Json(v) => v.to_owned(),
        Raw::Bytes(v) => format!("a sequence of {} bytes", v.len()),
        Raw::Bool(v) => v.to_string(),
        Raw::Instant(v) | Raw::Local(v) => match Instant::from_micros(v) {
            Some(instant) => instant.to_string(),
            None => format!("{v} microseconds since 1970"),
        },
        Raw::Date(v) => match time::checked_day(v) {
            Some(day) => time::format_day(day),
            None => format!("day {v} since 1970"),
        },
    }
}

#[cfg(test)]
mod tests;
