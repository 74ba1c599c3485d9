//! Casts, in one row.
//!
//! Text is read, and everything becomes text, by the rule by which values enter and leave (`asof_model::entry`). A float
//! becomes an integer by cutting off its fraction, a decimal by the same; a decimal takes a smaller scale rounded once,
//! ties away from zero. An instant becomes its day in UTC, a day its midnight. What does not fit is ERROR.

use asof_model::decimal::Decimal;
use asof_model::entry::{self, Raw, Reading};
use asof_model::json::{self, JsonValue};
use asof_model::{Instant, Value, ValueType, Zone};

use crate::function::{Failed, Outcome};

/// Whether there is a cast at all; otherwise the expression is refused.
pub(crate) fn exists(from: ValueType, to: ValueType) -> bool {
    use ValueType::{Bool, Bytes, Date, Decimal, Embedding, Float32, Float64, Int32, Int64, Json, List, Map};
    use ValueType::{String as Text, Timestamp, Uuid};
    match (from, to) {
        (a, b) if a == b => true,
        (Text, _) | (_, Text) | (Json, _) => true,
        (Int32 | Int64 | Float32 | Float64 | Decimal(_), Int32 | Int64 | Float32 | Float64 | Decimal(_)) => {
            true
        }
        (Bool, Int32 | Int64) | (Int32 | Int64, Bool) => true,
        (Timestamp, Date) | (Date, Timestamp) => true,
        (Uuid, Bytes) | (Bytes, Uuid) => true,
        (List(from), List(to)) | (Map(from), Map(to)) => exists(from.into(), to.into()),
        (Embedding(_), List(to)) => exists(Float32, to.into()),
        (List(from), Embedding(_)) => exists(from.into(), Float32),
        (Int32 | Int64 | Float32 | Float64 | Decimal(_) | Bool | List(_) | Map(_) | Embedding(_), Json) => {
            true
        }
        (Timestamp | Date | Uuid | Bytes, Json) => true,
        _ => false,
    }
}

/// Whether a cast can fail for some value.
pub(crate) fn can_fail(from: ValueType, to: ValueType) -> bool {
    use ValueType::{Bool, Float32, Float64, Int32, Int64, Json, List, Map};
    match (from, to) {
        (from, to) if from == to => false,
        (_, ValueType::String | Json) => matches!(from, ValueType::String),
        (Bool, Int32 | Int64)
        | (ValueType::Timestamp, ValueType::Date)
        | (ValueType::Uuid, ValueType::Bytes) => false,
        (Int32 | Int64 | Float32 | Float64 | ValueType::Decimal(_), Float32 | Float64) => false,
        (List(from), List(to)) | (Map(from), Map(to)) => can_fail(from.into(), to.into()),
        (ValueType::Embedding(_), List(to)) => can_fail(Float32, to.into()),
        (from, to) => !crate::widen::widens(from, to),
    }
}

/// The value as one of type `to`. JSON `null` becomes null.
pub(crate) fn cast(value: &Value, to: ValueType) -> Outcome {
    match (value, to) {
        (value, to) if value.is_of(to) => Ok(Some(value.clone())),
        (Value::Json(text), ValueType::String) => Ok(Some(Value::String(text.clone()))),
        (Value::Json(text), _) => match JsonValue::of(text).raw() {
            None => Ok(None),
            Some(raw) => read(raw, to),
        },
        (value, ValueType::Json) => to_json(value).map(|text| Some(Value::Json(text))),
        (value, ValueType::String) => Ok(Some(Value::String(entry::to_text(value)))),
        (Value::String(text), _) => read(Raw::Text(text), to),
        (Value::Float32(v), ValueType::Int32 | ValueType::Int64) => whole(f64::from(*v), to),
        (Value::Float64(v), ValueType::Int32 | ValueType::Int64) => whole(*v, to),
        (Value::Decimal(v), _) => decimal(*v, to),
        (Value::Bool(v), ValueType::Int32) => Ok(Some(Value::Int32(i32::from(*v)))),
        (Value::Bool(v), ValueType::Int64) => Ok(Some(Value::Int64(i64::from(*v)))),
        (Value::Timestamp(v), ValueType::Date) => Ok(Some(Value::Date(v.day()))),
        (Value::Uuid(v), ValueType::Bytes) => Ok(Some(Value::Bytes(v.as_bytes().to_vec()))),
        (Value::List(items), ValueType::List(of)) => {
            items_as(items, of.into()).map(|list| Some(Value::List(list)))
        }
        (Value::Map(members), ValueType::Map(of)) => {
            let members = members.iter().map(|(key, value)| {
                Ok((key.clone(), value.as_ref().map(|value| cast(value, of.into())).transpose()?.flatten()))
            });
            Ok(Some(Value::Map(members.collect::<Result<_, Failed>>()?)))
        }
        (Value::Embedding(items), ValueType::List(of)) => {
            let items: Vec<Option<Value>> = items.iter().map(|v| Some(Value::Float32(*v))).collect();
            items_as(&items, of.into()).map(|list| Some(Value::List(list)))
        }
        (Value::List(items), ValueType::Embedding(dimensions)) => {
            let items = items_as(items, ValueType::Float32)?;
            let floats: Option<Vec<f32>> = items
                .into_iter()
                .map(|item| match item {
                    Some(Value::Float32(v)) => Some(v),
                    _ => None,
                })
                .collect();
            let fits = floats.filter(|floats| floats.len() == usize::from(dimensions));
            fits.map(|floats| Some(Value::Embedding(floats))).ok_or(Failed)
        }
        (value, to) => read(raw(value).ok_or(Failed)?, to),
    }
}

/// A value that is one number, boolean, time or text, as entry reads it.
fn raw(value: &Value) -> Option<Raw<'_>> {
    Some(match value {
        Value::Int32(v) => Raw::Int(i64::from(*v)),
        Value::Int64(v) => Raw::Int(*v),
        Value::Float32(v) => Raw::Float32(*v),
        Value::Float64(v) => Raw::Float64(*v),
        Value::String(v) => Raw::Text(v),
        Value::Bool(v) => Raw::Bool(*v),
        Value::Bytes(v) => Raw::Bytes(v),
        Value::Timestamp(v) => Raw::Instant(v.micros()),
        Value::Date(v) => Raw::Date(i64::from(*v)),
        _ => return None,
    })
}

fn read(raw: Raw<'_>, to: ValueType) -> Outcome {
    let reading = Reading { zone: Zone::utc(), unit: None };
    entry::from_raw(raw, to, &reading).map(Some).map_err(|_| Failed)
}

/// The float without its fraction.
fn whole(v: f64, to: ValueType) -> Outcome {
    read(Raw::Float64(libm::trunc(v)), to)
}

fn decimal(v: Decimal, to: ValueType) -> Outcome {
    let unit = 10_i128.pow(u32::from(v.scale));
    let value = match to {
        ValueType::Decimal(of) => v.rescale(of).ok().map(Value::Decimal),
        ValueType::Int32 => i32::try_from(v.units / unit).ok().map(Value::Int32),
        ValueType::Int64 => i64::try_from(v.units / unit).ok().map(Value::Int64),
        ValueType::Float64 => Some(Value::float64(v.to_f64())),
        // Straight to single precision: through a double it would be rounded twice.
        ValueType::Float32 => v.to_string().parse().ok().map(Value::float32),
        _ => None,
    };
    value.map(Some).ok_or(Failed)
}

fn items_as(items: &[Option<Value>], to: ValueType) -> Result<Vec<Option<Value>>, Failed> {
    items
        .iter()
        .map(|item| item.as_ref().map(|item| cast(item, to)).transpose().map(Option::flatten))
        .collect()
}

/// The value as canonical JSON: numbers and booleans as such, NaN and infinities as null, everything else as text.
pub(crate) fn to_json(value: &Value) -> Result<String, Failed> {
    let mut out = String::new();
    write_json(&mut out, Some(value));
    json::canonical_text(&out).map_err(|_| Failed)
}

fn write_json(out: &mut String, value: Option<&Value>) {
    match value {
        None => out.push_str("null"),
        Some(Value::Json(text)) => out.push_str(text),
        Some(Value::Float32(v)) if !v.is_finite() => out.push_str("null"),
        Some(Value::Float64(v)) if !v.is_finite() => out.push_str("null"),
        Some(
            value @ (Value::Int32(_)
            | Value::Int64(_)
            | Value::Float32(_)
            | Value::Float64(_)
            | Value::Decimal(_)
            | Value::Bool(_)),
        ) => out.push_str(&entry::to_text(value)),
        Some(Value::List(items)) => write_items(out, items.iter().map(Option::as_ref)),
        Some(Value::Embedding(items)) => {
            let items: Vec<Value> = items.iter().map(|v| Value::Float32(*v)).collect();
            write_items(out, items.iter().map(Some));
        }
        Some(Value::Map(members)) => {
            out.push('{');
            for (place, (key, value)) in members.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                json::write_text(out, key);
                out.push(':');
                write_json(out, value.as_ref());
            }
            out.push('}');
        }
        Some(value) => json::write_text(out, &entry::to_text(value)),
    }
}

fn write_items<'a>(out: &mut String, items: impl Iterator<Item = Option<&'a Value>>) {
    out.push('[');
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push(',');
        }
        write_json(out, item);
    }
    out.push(']');
}

/// An instant from microseconds, or ERROR outside the years 1 to 9999.
pub(crate) fn instant(micros: Option<i64>) -> Outcome {
    micros.and_then(Instant::from_micros).map(|instant| Some(Value::Timestamp(instant))).ok_or(Failed)
}
