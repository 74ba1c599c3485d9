//! Values with a structure: json, lists, maps, embeddings.

use super::{EntryError, Raw, Reading, from_raw, not_of_type, shown, sized, to_text};
use crate::json::{self, JsonValue};
use crate::types::ValueType;
use crate::value::Value;

/// The text of a list, a map or an embedding, as JSON. Floats that JSON has no number for, and every item that is
/// not a number or a boolean, stand in quotes.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::List(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                separate(&mut out, place);
                write_item(&mut out, item.as_ref());
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (place, (key, value)) in entries.iter().enumerate() {
                separate(&mut out, place);
                json::write_text(&mut out, key);
                out.push(':');
                write_item(&mut out, value.as_ref());
            }
            out.push('}');
        }
        Value::Embedding(floats) => {
            out.push('[');
            for (place, float) in floats.iter().enumerate() {
                separate(&mut out, place);
                write_item(&mut out, Some(&Value::Float32(*float)));
            }
            out.push(']');
        }
        scalar => write_item(&mut out, Some(scalar)),
    }
    out
}

fn separate(out: &mut String, place: usize) {
    if place > 0 {
        out.push(',');
    }
}

fn write_item(out: &mut String, item: Option<&Value>) {
    let Some(item) = item else { return out.push_str("null") };
    let bare = match item {
        Value::Int32(_) | Value::Int64(_) | Value::Bool(_) => true,
        Value::Float32(v) => v.is_finite(),
        Value::Float64(v) => v.is_finite(),
        _ => false,
    };
    if bare { out.push_str(&to_text(item)) } else { json::write_text(out, &to_text(item)) }
}

/// Any JSON in its canonical text.
pub(super) fn json(raw: Raw<'_>) -> Result<Value, EntryError> {
    let text = match raw {
        Raw::Text(text) | Raw::Json(text) | Raw::Number(text) => text.to_owned(),
        Raw::Int(v) => v.to_string(),
        Raw::UInt(v) => v.to_string(),
        Raw::Bool(v) => v.to_string(),
        Raw::Float32(v) if v.is_finite() => format!("{v:?}"),
        Raw::Float64(v) if v.is_finite() => format!("{v:?}"),
        _ => return Err(not_of_type(raw, "JSON")),
    };
    sized(text.len())?;
    let canonical =
        json::canonical_text(&text).map_err(|reason| EntryError::NotJson { found: shown(raw), reason })?;
    sized(canonical.len())?;
    Ok(Value::Json(canonical))
}

/// A list of values of `item`.
pub(super) fn list(raw: Raw<'_>, item: ValueType, reading: &Reading) -> Result<Value, EntryError> {
    let items = items(raw, "a list")?;
    let read = |(place, each): (usize, &JsonValue<'_>)| {
        let place = || format!("item {}", place + 1);
        value(each, item, reading).map_err(|reason| at(place(), reason))
    };
    items.iter().enumerate().map(read).collect::<Result<_, _>>().map(Value::List)
}

/// A map from text to values of `of`.
pub(super) fn map(raw: Raw<'_>, of: ValueType, reading: &Reading) -> Result<Value, EntryError> {
    let text = nested_text(raw, "a map")?;
    let members = json::members(text).ok_or_else(|| not_of_type(raw, "a map"))?;
    let mut entries = Vec::with_capacity(members.len());
    for (key, member) in members {
        let value = value(&member, of, reading).map_err(|reason| at(format!("key {key:?}"), reason))?;
        entries.push((key, value));
    }
    Value::map(entries).ok_or_else(|| not_of_type(raw, "a map in which each key stands once"))
}

/// That many single-precision floats.
pub(super) fn embedding(raw: Raw<'_>, dimensions: u16) -> Result<Value, EntryError> {
    let items = items(raw, "an embedding")?;
    if items.len() != usize::from(dimensions) {
        return Err(EntryError::Dimensions { found: items.len(), wanted: dimensions });
    }
    let mut floats = Vec::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        let float = match value(item, ValueType::Float32, &Reading::default()) {
            Ok(Some(Value::Float32(float))) => float,
            Ok(_) => {
                let reason = EntryError::NotOfType { found: "null".to_owned(), declared: "a float32" };
                return Err(at(format!("item {}", place + 1), reason));
            }
            Err(reason) => return Err(at(format!("item {}", place + 1), reason)),
        };
        floats.push(float);
    }
    Ok(Value::embedding(floats))
}

fn items<'a>(raw: Raw<'a>, declared: &'static str) -> Result<Vec<JsonValue<'a>>, EntryError> {
    json::items(nested_text(raw, declared)?).ok_or_else(|| not_of_type(raw, declared))
}

fn nested_text<'a>(raw: Raw<'a>, declared: &'static str) -> Result<&'a str, EntryError> {
    match raw {
        Raw::Text(text) | Raw::Json(text) => sized(text.len()).map(|()| text),
        _ => Err(not_of_type(raw, declared)),
    }
}

fn value(item: &JsonValue<'_>, of: ValueType, reading: &Reading) -> Result<Option<Value>, EntryError> {
    item.raw().map(|raw| from_raw(raw, of, reading)).transpose()
}

fn at(place: String, reason: EntryError) -> EntryError {
    EntryError::Item { place, reason: Box::new(reason) }
}
