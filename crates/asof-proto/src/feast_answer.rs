//! `feast.serving.GetOnlineFeaturesResponse`, written without building it.
//!
//! Rows may come in any order of columns and rows, as a store meets them: each [`FeastColumn`] gathers its own bytes, and
//! [`feast_answer`] puts them together. The bytes are those that the library makes of the same message.
//!
//! | type | field of `feast.types.Value` |
//! | --- | --- |
//! | int32, int64, float32, float64, string, bool, bytes | that of the type |
//! | timestamp | `unix_timestamp_val`: seconds, rounded down, which is all that Feast's clients know |
//! | date | `string_val`, `YYYY-MM-DD` |
//! | decimal | `decimal_val`, all digits |
//! | uuid | `uuid_val` |
//! | json | `json_val` |
//! | list | the list of its item type; `list_val` where an item is null |
//! | map | `map_val` |
//! | embedding | `float_list_val` |
//! | null | a value without a field |
//!
//! The event timestamp of a row that is MISSING is the epoch, as Feast's own server says it.

use std::fmt::Write as _;

use asof_model::time::format_day;
use asof_model::{Instant, ScalarType, Status, Value, ValueType};
use bytes::Bytes;

use crate::messages::feast::serving::FieldStatus;
use crate::wire::{Wire, bytes, nested, number, packed, tag, varint, varint_len};
use crate::{Cell, WrongCell};

/// Microseconds in a second.
const SECOND_MICROS: i64 = 1_000_000;

/// Nanoseconds in a microsecond.
const MICRO_NANOS: i64 = 1_000;

/// Bytes that a row takes of a column, about: room is made for them at the beginning.
const ROW_BYTES: usize = 12;

/// One column of an answer, as it grows.
#[derive(Debug, Clone)]
pub struct FeastColumn {
    name: String,
    declared: ValueType,
    rows: usize,
    /// The fields of a `FeatureVector`.
    values: Vec<u8>,
    statuses: Vec<u8>,
    events: Vec<u8>,
}

impl FeastColumn {
    /// An empty column with room for some rows.
    pub fn new(name: impl Into<String>, declared: ValueType, rows: usize) -> Self {
        Self {
            name: name.into(),
            declared,
            rows: 0,
            values: Vec::with_capacity(rows * ROW_BYTES),
            statuses: Vec::with_capacity(rows),
            events: Vec::with_capacity(rows * ROW_BYTES),
        }
    }

    /// Its rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a row: its value after defaults, why it is what it is, and the event instant of the row that was met.
    ///
    /// # Errors
    /// [`WrongCell`] for a value of another type. The column is of no use then.
    pub fn push(&mut self, cell: Cell<'_>, status: Status, event: Option<Instant>) -> Result<(), WrongCell> {
        let written = nested(&mut self.values, 1, |out| value(out, self.declared, cell));
        if written.is_none() {
            return Err(WrongCell { column: self.name.clone(), declared: self.declared, row: self.rows });
        }
        self.statuses.push(field_status(status) as u8);
        let event = event.filter(|_| status != Status::Missing).unwrap_or(Instant::EPOCH);
        nested(&mut self.events, 3, |out| timestamp(out, event));
        self.rows += 1;
        Ok(())
    }

    fn vector_len(&self) -> usize {
        let statuses = match self.statuses.len() {
            0 => 0,
            length => 1 + varint_len(length as u64) + length,
        };
        self.values.len() + statuses + self.events.len()
    }
}

/// The answer: its columns in this order, join keys first, and where asked for the views that answered with their
/// versions.
pub fn feast_answer(columns: &[FeastColumn], views: &[(&str, u32)]) -> Bytes {
    let vectors: usize = columns.iter().map(|column| column.vector_len() + column.name.len() + 16).sum();
    let mut out = Vec::with_capacity(vectors + 64 + views.len() * 64);
    nested(&mut out, 1, |out| {
        nested(out, 1, |out| columns.iter().for_each(|column| bytes(out, 1, column.name.as_bytes())));
        for (name, version) in views {
            nested(out, 2, |out| {
                if !name.is_empty() {
                    bytes(out, 1, name.as_bytes());
                }
                number(out, 2, u64::from(*version));
            });
        }
    });
    for column in columns {
        tag(&mut out, 2, Wire::Bytes);
        varint(&mut out, column.vector_len() as u64);
        out.extend_from_slice(&column.values);
        packed(&mut out, 2, &column.statuses);
        out.extend_from_slice(&column.events);
    }
    out.into()
}

/// Our status in Feast's words.
pub fn field_status(status: Status) -> FieldStatus {
    match status {
        Status::Present => FieldStatus::Present,
        Status::Null => FieldStatus::NullValue,
        Status::Missing => FieldStatus::NotFound,
        Status::OutsideTtl => FieldStatus::OutsideMaxAge,
        Status::Error => FieldStatus::Invalid,
    }
}

/// Writes the fields of a `google.protobuf.Timestamp`.
fn timestamp(out: &mut Vec<u8>, instant: Instant) {
    number(out, 1, seconds(instant) as u64);
    number(out, 2, (instant.micros().rem_euclid(SECOND_MICROS) * MICRO_NANOS) as u64);
}

fn seconds(instant: Instant) -> i64 {
    instant.micros().div_euclid(SECOND_MICROS)
}

/// Writes the field of a `feast.types.Value`; none for null. `None` where the cell is not of the type.
fn value(out: &mut Vec<u8>, declared: ValueType, cell: Cell<'_>) -> Option<()> {
    let integer = |out: &mut Vec<u8>, field, value: i64| {
        tag(out, field, Wire::Varint);
        varint(out, value as u64);
    };
    match (declared, cell) {
        (_, Cell::Null) => {}
        (ValueType::Bytes, Cell::Bytes(v)) => bytes(out, 1, v),
        (ValueType::String, Cell::String(v)) => bytes(out, 2, v.as_bytes()),
        (ValueType::Date, Cell::Date(day)) => bytes(out, 2, format_day(day).as_bytes()),
        (ValueType::Int32, Cell::Int32(v)) => integer(out, 3, v.into()),
        (ValueType::Int64, Cell::Int64(v)) => integer(out, 4, v),
        (ValueType::Float64, Cell::Float64(v)) => {
            tag(out, 5, Wire::Fixed64);
            out.extend_from_slice(&v.to_le_bytes());
        }
        (ValueType::Float32, Cell::Float32(v)) => {
            tag(out, 6, Wire::Fixed32);
            out.extend_from_slice(&v.to_le_bytes());
        }
        (ValueType::Bool, Cell::Bool(v)) => integer(out, 7, v.into()),
        (ValueType::Timestamp, Cell::Timestamp(v)) => integer(out, 8, seconds(v)),
        (ValueType::Decimal(_), Cell::Decimal(v)) => text(out, 44, v),
        (ValueType::Uuid, Cell::Uuid(v)) => text(out, 36, v),
        (ValueType::Json, Cell::Json(v)) => bytes(out, 32, v.as_bytes()),
        (ValueType::Embedding(dimensions), Cell::Embedding(floats))
            if floats.len() == usize::from(dimensions) =>
        {
            nested(out, 16, |out| {
                if !floats.is_empty() {
                    tag(out, 1, Wire::Bytes);
                    varint(out, floats.len() as u64 * 4);
                    floats.iter().for_each(|each| out.extend_from_slice(&each.to_le_bytes()));
                }
            });
        }
        (ValueType::List(of), Cell::List(items)) => return list(out, of, items),
        (ValueType::Map(of), Cell::Map(entries)) => return nested(out, 20, |out| map(out, of, entries)),
        _ => return None,
    }
    Some(())
}

fn text(out: &mut Vec<u8>, field: u32, shown: impl std::fmt::Display) {
    let mut text = String::new();
    // Into memory: this does not fail.
    let _ = write!(text, "{shown}");
    bytes(out, field, text.as_bytes());
}

/// Writes a list as the one of its item type, or, with null among the items, as one of any values.
fn list(out: &mut Vec<u8>, of: ScalarType, items: &[Option<Value>]) -> Option<()> {
    if items.iter().any(Option::is_none) {
        return nested(out, 42, |out| {
            items
                .iter()
                .try_for_each(|item| nested(out, 1, |out| value(out, of.into(), Cell::from(item.as_ref()))))
        });
    }
    let (field, is_packed) = match of {
        ScalarType::Bytes => (11, false),
        ScalarType::String | ScalarType::Date => (12, false),
        ScalarType::Int32 => (13, true),
        ScalarType::Int64 => (14, true),
        ScalarType::Float64 => (15, true),
        ScalarType::Float32 => (16, true),
        ScalarType::Bool => (17, true),
        ScalarType::Timestamp => (18, true),
        ScalarType::Uuid => (38, false),
        ScalarType::Decimal(_) => (45, false),
    };
    nested(out, field, |out| match is_packed && !items.is_empty() {
        true => nested(out, 1, |out| items.iter().flatten().try_for_each(|item| packed_item(out, of, item))),
        false => items.iter().flatten().try_for_each(|item| text_item(out, of, item)),
    })
}

fn packed_item(out: &mut Vec<u8>, of: ScalarType, item: &Value) -> Option<()> {
    match (of, item) {
        (ScalarType::Int32, Value::Int32(v)) => varint(out, i64::from(*v) as u64),
        (ScalarType::Int64, Value::Int64(v)) => varint(out, *v as u64),
        (ScalarType::Float64, Value::Float64(v)) => out.extend_from_slice(&v.to_le_bytes()),
        (ScalarType::Float32, Value::Float32(v)) => out.extend_from_slice(&v.to_le_bytes()),
        (ScalarType::Bool, Value::Bool(v)) => out.push(u8::from(*v)),
        (ScalarType::Timestamp, Value::Timestamp(v)) => varint(out, seconds(*v) as u64),
        _ => return None,
    }
    Some(())
}

fn text_item(out: &mut Vec<u8>, of: ScalarType, item: &Value) -> Option<()> {
    match (of, item) {
        (ScalarType::Bytes, Value::Bytes(v)) => bytes(out, 1, v),
        (ScalarType::String, Value::String(v)) => bytes(out, 1, v.as_bytes()),
        (ScalarType::Date, Value::Date(day)) => bytes(out, 1, format_day(*day).as_bytes()),
        (ScalarType::Uuid, Value::Uuid(v)) => text(out, 1, v),
        (ScalarType::Decimal(_), Value::Decimal(v)) => text(out, 1, v),
        _ => return None,
    }
    Some(())
}

/// Writes the entries of a map. An empty key is left out, as any default is, and so is a value that is null.
fn map(out: &mut Vec<u8>, of: ScalarType, entries: &[(String, Option<Value>)]) -> Option<()> {
    entries.iter().try_for_each(|(key, item)| {
        nested(out, 1, |out| {
            if !key.is_empty() {
                bytes(out, 1, key.as_bytes());
            }
            match item {
                None => Some(()),
                Some(item) => nested(out, 2, |out| value(out, of.into(), Cell::from(item))),
            }
        })
    })
}
