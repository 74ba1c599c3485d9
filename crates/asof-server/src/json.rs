//! Values as JSON text, written by hand where a number needs care.
//!
//! | type | JSON |
//! | --- | --- |
//! | int32, int64 | a number without fraction |
//! | float32, float64 | the shortest number that reads back to the same double, always with a point or an exponent; `"NaN"`, `"Infinity"`, `"-Infinity"` as text |
//! | string | text |
//! | bool | `true`, `false` |
//! | bytes | standard base64 |
//! | timestamp | RFC 3339 in UTC with `Z` |
//! | date | `YYYY-MM-DD` |
//! | decimal | text with all its digits |
//! | uuid | text |
//! | json | as it is |
//! | list, embedding | an array |
//! | map | an object |

use asof_model::{Instant, Value, entry};

/// Writes a value; `None` is null.
pub(crate) fn value(out: &mut Vec<u8>, given: Option<&Value>) {
    match given {
        None => out.extend_from_slice(b"null"),
        Some(Value::Float32(v)) => float(out, f64::from(*v)),
        Some(Value::Float64(v)) => float(out, *v),
        Some(Value::String(v)) => text(out, v),
        Some(number @ (Value::Int32(_) | Value::Int64(_) | Value::Bool(_))) => {
            out.extend_from_slice(entry::to_text(number).as_bytes());
        }
        Some(
            other @ (Value::Bytes(_)
            | Value::Timestamp(_)
            | Value::Date(_)
            | Value::Decimal(_)
            | Value::Uuid(_)),
        ) => plain(out, &entry::to_text(other)),
        // Its canonical text is JSON.
        Some(Value::Json(text)) => out.extend_from_slice(text.as_bytes()),
        Some(Value::List(items)) => {
            out.push(b'[');
            list(out, items, |out, item| value(out, item.as_ref()));
            out.push(b']');
        }
        Some(Value::Map(entries)) => {
            out.push(b'{');
            list(out, entries, |out, (key, item)| {
                text(out, key);
                out.push(b':');
                value(out, item.as_ref());
            });
            out.push(b'}');
        }
        Some(Value::Embedding(floats)) => {
            out.push(b'[');
            list(out, floats, |out, each| float(out, f64::from(*each)));
            out.push(b']');
        }
    }
}

/// Writes text with quotes and escapes.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    // Into memory, and text always has a JSON form: this does not fail.
    let _ = serde_json::to_writer(out, text);
}

/// Text with quotes and escapes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes an instant; `None` is null.
pub(crate) fn instant(out: &mut Vec<u8>, instant: Option<Instant>) {
    match instant {
        None => out.extend_from_slice(b"null"),
        Some(instant) => plain(out, &instant.to_string()),
    }
}

/// Writes `items` with commas between, each by `write`.
pub(crate) fn list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(out, item);
    }
}

/// Writes text that needs no escapes.
pub(crate) fn plain(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn float(out: &mut Vec<u8>, v: f64) {
    if v.is_nan() {
        plain(out, "NaN");
    } else if v.is_infinite() {
        plain(out, if v > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        // Rust's shortest form: `1.0`, `0.1`, `1e16`; never an integer.
        out.extend_from_slice(format!("{v:?}").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a float is never printed as an integer, and single precision is printed as the double it is.
    #[test]
    fn floats() {
        for (given, expected) in [
            (Value::float64(1.0), "1.0"),
            (Value::float64(-0.0), "0.0"),
            (Value::float64(1e16), "1e16"),
            (Value::float64(-2.5e-9), "-2.5e-9"),
            (Value::float64(f64::MAX), "1.7976931348623157e308"),
            (Value::float32(0.1), "0.10000000149011612"),
            (Value::float32(0.965_925_4), "0.965925395488739"),
            (Value::float64(f64::NAN), "\"NaN\""),
            (Value::float64(f64::INFINITY), "\"Infinity\""),
            (Value::float32(f32::NEG_INFINITY), "\"-Infinity\""),
            (Value::Int64(i64::MIN), "-9223372036854775808"),
        ] {
            let mut out = Vec::new();
            value(&mut out, Some(&given));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    /// Goal: text is escaped as JSON asks.
    #[test]
    fn escapes() {
        let mut out = Vec::new();
        text(&mut out, "a\"b\\\n\u{1}é");
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\\\n\\u0001é\"");
        assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
    }
}
