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

use asof_model::{Cell, Instant, Value, entry};
use asof_store::get::{CellRef, ValueRef};

/// Writes a value of an answer; `None` is null. What is stored is written from where it stands.
#[inline]
pub(crate) fn answered(out: &mut Vec<u8>, given: Option<ValueRef<'_>>) {
    match given {
        None => out.extend_from_slice(b"null"),
        Some(ValueRef::Held(held)) => value(out, Some(held)),
        Some(ValueRef::Stored(cell)) => match cell {
            CellRef::Null | CellRef::Error => out.extend_from_slice(b"null"),
            CellRef::Int32(v) => integer(out, i64::from(v)),
            CellRef::Int64(v) => integer(out, v),
            CellRef::Float32(v) => float(out, f64::from(v)),
            CellRef::Float64(v) => float(out, v),
            CellRef::String(v) => text(out, v),
            CellRef::Bool(v) => out.extend_from_slice(if v { b"true" } else { b"false" }),
            CellRef::Timestamp(v) => instant(out, Some(v)),
            CellRef::Json(v) => out.extend_from_slice(v.as_bytes()),
            other => match other.to_cell() {
                Cell::Value(of) => value(out, Some(&of)),
                Cell::Null | Cell::Error => out.extend_from_slice(b"null"),
            },
        },
    }
}

/// Writes a value; `None` is null.
pub(crate) fn value(out: &mut Vec<u8>, given: Option<&Value>) {
    match given {
        None => out.extend_from_slice(b"null"),
        Some(Value::Int32(v)) => integer(out, i64::from(*v)),
        Some(Value::Int64(v)) => integer(out, *v),
        Some(Value::Bool(v)) => out.extend_from_slice(if *v { b"true" } else { b"false" }),
        Some(Value::Float32(v)) => float(out, f64::from(*v)),
        Some(Value::Float64(v)) => float(out, *v),
        Some(Value::String(v)) => text(out, v),
        Some(Value::Timestamp(v)) => instant(out, Some(*v)),
        Some(other @ (Value::Bytes(_) | Value::Date(_) | Value::Decimal(_) | Value::Uuid(_))) => {
            plain(out, &entry::to_text(other));
        }
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
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        return plain(out, text);
    }
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
        Some(instant) => plain(out, &instant.text()),
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

/// Lists that come again and again: columns of one view share their event instants, and most columns their statuses. What
/// was written last is written again as it is.
pub(crate) struct Repeated<T> {
    items: Vec<T>,
    text: Vec<u8>,
}

impl<T> Default for Repeated<T> {
    fn default() -> Self {
        Self { items: Vec::new(), text: Vec::new() }
    }
}

impl<T: Copy + PartialEq> Repeated<T> {
    /// Writes `items` with commas between, each by `write`, which must depend on the item alone.
    pub fn write(&mut self, out: &mut Vec<u8>, items: &[T], write: impl FnMut(&mut Vec<u8>, T)) {
        if self.items != items {
            self.items.clear();
            self.items.extend_from_slice(items);
            self.text.clear();
            list(&mut self.text, items.iter().copied(), write);
        }
        out.extend_from_slice(&self.text);
    }
}

fn integer(out: &mut Vec<u8>, v: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(v).as_bytes());
}

fn float(out: &mut Vec<u8>, v: f64) {
    if v.is_nan() {
        plain(out, "NaN");
    } else if v.is_infinite() {
        plain(out, if v > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        // The shortest form: `1.0`, `0.1`, `1e+16`; never an integer.
        out.extend_from_slice(zmij::Buffer::new().format_finite(v).as_bytes());
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
            (Value::float64(1e15), "1000000000000000.0"),
            (Value::float64(1e16), "1e+16"),
            (Value::float64(-2.5e-9), "-2.5e-9"),
            (Value::float64(f64::MAX), "1.7976931348623157e+308"),
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

    /// Goal: any finite float reads back as itself and never as an integer.
    #[test]
    fn floats_read_back() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..100_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let v = f64::from_bits(state ^ state >> 29);
            if v.is_finite() {
                let mut out = Vec::new();
                float(&mut out, v);
                let text = String::from_utf8(out).unwrap();
                assert_eq!(text.parse::<f64>().unwrap().to_bits(), v.to_bits(), "{text}");
                assert!(text.contains(['.', 'e']), "{text}");
                let read: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert!(read.is_f64(), "{text}");
            }
        }
    }

    /// Goal: text is escaped as JSON asks.
    #[test]
    fn escapes() {
        let mut out = Vec::new();
        text(&mut out, "a\"b\\\n\u{1}é");
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\\\"b\\\\\\n\\u0001é\"");
        let mut out = Vec::new();
        text(&mut out, "plain é\u{7f}");
        assert_eq!(String::from_utf8(out).unwrap(), "\"plain é\u{7f}\"");
        assert_eq!(quoted("a\"b"), "\"a\\\"b\"");
    }

    /// Goal: a list that comes again is written again, and another one is not taken for it.
    #[test]
    fn repeated() {
        let mut memory = Repeated::default();
        let mut out = Vec::new();
        for items in [&[1, 2][..], &[1, 2], &[1], &[], &[1]] {
            memory.write(&mut out, items, integer);
            out.push(b';');
        }
        assert_eq!(String::from_utf8(out).unwrap(), "1,2;1,2;1;;1;");
    }
}
