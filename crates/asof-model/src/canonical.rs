//! Canonical bytes: the one form in which values are compared (SEMANTICS 2).
//!
//! Version 1 of the table. A cell is its type tag, a mark, and for a value its bits:
//!
//! | type | tag | bits |
//! | --- | --- | --- |
//! | int32 | 1 | 4 bytes, little-endian |
//! | int64 | 2 | 8 bytes, little-endian |
//! | float32 | 3 | 4 bytes, IEEE 754, little-endian |
//! | float64 | 4 | 8 bytes, IEEE 754, little-endian |
//! | string | 5 | length as 4 bytes little-endian, then UTF-8 |
//! | bool | 6 | 1 byte, 0 or 1 |
//! | bytes | 7 | length as 4 bytes little-endian, then the bytes |
//! | timestamp | 8 | 8 bytes, microseconds since 1970 UTC, little-endian |
//! | date | 9 | 4 bytes, days since 1970, little-endian |
//! | decimal | 10 | 16 bytes, units of `10^-scale`, little-endian |
//! | uuid | 11 | its 16 bytes in the order they are written |
//! | json | 12 | length as 4 bytes little-endian, then its canonical text in UTF-8 |
//! | list | 13 | count as 4 bytes little-endian, then for each item its mark, and for a value its bits |
//! | map | 14 | count as 4 bytes little-endian, then sorted by key: the key as a string's bits, mark, bits |
//! | embedding | 15 | 4 bytes, IEEE 754, little-endian, for each dimension |
//!
//! Marks: 0 null, 1 error, 2 value; an item of a list or map is null or a value. A row is its cells one after the other, in order of addition, without a count:
//! so the bytes of a row that a later feature extends begin with the bytes of the row before.
//! Tags are never reused and never change: bytes written today are readable for ever.

use uuid::Uuid;

use crate::decimal::Decimal;
use crate::time::Instant;
use crate::types::{ScalarType, ValueType};
use crate::value::{Cell, Value, canonical_f32, canonical_f64};

/// The mark of a null.
pub const MARK_NULL: u8 = 0;
/// The mark of an error.
pub const MARK_ERROR: u8 = 1;
/// The mark of a value.
pub const MARK_VALUE: u8 = 2;

/// The tag of a type in canonical bytes.
pub fn type_tag(of: ValueType) -> u8 {
    match of {
        ValueType::Int32 => 1,
        ValueType::Int64 => 2,
        ValueType::Float32 => 3,
        ValueType::Float64 => 4,
        ValueType::String => 5,
        ValueType::Bool => 6,
        ValueType::Bytes => 7,
        ValueType::Timestamp => 8,
        ValueType::Date => 9,
        ValueType::Decimal(_) => 10,
        ValueType::Uuid => 11,
        ValueType::Json => 12,
        ValueType::List(_) => 13,
        ValueType::Map(_) => 14,
        ValueType::Embedding(_) => 15,
    }
}

/// Appends the canonical bytes of a cell whose declared type is `declared`.
///
/// A value of another type than `declared` is a defect of the caller; it is written as an error.
pub fn write_cell(out: &mut Vec<u8>, declared: ValueType, cell: &Cell) {
    match cell {
        Cell::Null => out.extend([type_tag(declared), MARK_NULL]),
        Cell::Error => out.extend([type_tag(declared), MARK_ERROR]),
        Cell::Value(value) if value.is_of(declared) => {
            out.extend([type_tag(declared), MARK_VALUE]);
            write_bits(out, value);
        }
        Cell::Value(_) => out.extend([type_tag(declared), MARK_ERROR]),
    }
}

/// The canonical bytes of a row: its cells in order of addition.
pub fn row_bytes(types: &[ValueType], cells: &[Cell]) -> Vec<u8> {
    let mut out = Vec::with_capacity(cells.len() * 10);
    for (declared, cell) in types.iter().zip(cells) {
        write_cell(&mut out, *declared, cell);
    }
    out
}

/// The bits of a value, without tag and mark.
pub fn bits(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_bits(&mut out, value);
    out
}

/// Appends the bits of a value, without tag and mark.
pub fn write_bits(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int32(v) => out.extend(v.to_le_bytes()),
        Value::Int64(v) => out.extend(v.to_le_bytes()),
        Value::Float32(v) => out.extend(v.to_bits().to_le_bytes()),
        Value::Float64(v) => out.extend(v.to_bits().to_le_bytes()),
        Value::String(v) | Value::Json(v) => write_sized(out, v.as_bytes()),
        Value::Bool(v) => out.push(u8::from(*v)),
        Value::Bytes(v) => write_sized(out, v),
        Value::Timestamp(v) => out.extend(v.micros().to_le_bytes()),
        Value::Date(v) => out.extend(v.to_le_bytes()),
        Value::Decimal(v) => out.extend(v.units.to_le_bytes()),
        Value::Uuid(v) => out.extend(v.as_bytes()),
        Value::List(items) => {
            write_length(out, items.len());
            items.iter().for_each(|item| write_item(out, item.as_ref()));
        }
        Value::Map(entries) => {
            write_length(out, entries.len());
            for (key, value) in entries {
                write_sized(out, key.as_bytes());
                write_item(out, value.as_ref());
            }
        }
        Value::Embedding(floats) => out.extend(floats.iter().flat_map(|v| v.to_bits().to_le_bytes())),
    }
}

fn write_item(out: &mut Vec<u8>, item: Option<&Value>) {
    match item {
        None => out.push(MARK_NULL),
        Some(value) => {
            out.push(MARK_VALUE);
            write_bits(out, value);
        }
    }
}

/// Writes a length and the bytes.
fn write_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    write_length(out, bytes.len());
    out.extend(bytes);
}

/// Lengths past `u32::MAX` are cut off at entry ([`crate::entry::VALUE_BYTES_MAX`]).
fn write_length(out: &mut Vec<u8>, length: usize) {
    out.extend((length as u32).to_le_bytes());
}

/// The value of that type with these bits. `None`: they are the bits of none, or not canonical.
pub fn read_bits(declared: ValueType, bits: &[u8]) -> Option<Value> {
    let mut rest = bits;
    let value = take_value(&mut rest, declared)?;
    rest.is_empty().then_some(value)
}

fn take_value(from: &mut &[u8], declared: ValueType) -> Option<Value> {
    Some(match declared {
        ValueType::Int32 => Value::Int32(i32::from_le_bytes(take(from)?)),
        ValueType::Int64 => Value::Int64(i64::from_le_bytes(take(from)?)),
        ValueType::Float32 => Value::Float32(take_float(from)?),
        ValueType::Float64 => {
            let float = f64::from_bits(u64::from_le_bytes(take(from)?));
            (canonical_f64(float).to_bits() == float.to_bits()).then_some(Value::Float64(float))?
        }
        ValueType::String => Value::String(take_text(from)?),
        ValueType::Json => Value::Json(take_text(from)?),
        ValueType::Bool => match take(from)? {
            [0] => Value::Bool(false),
            [1] => Value::Bool(true),
            _ => return None,
        },
        ValueType::Bytes => Value::Bytes(take_sized(from)?.to_vec()),
        ValueType::Timestamp => Value::Timestamp(Instant::from_micros(i64::from_le_bytes(take(from)?))?),
        ValueType::Date => Value::Date(i32::from_le_bytes(take(from)?)),
        ValueType::Decimal(of) => {
            Value::Decimal(Decimal::checked(i128::from_le_bytes(take(from)?), of).ok()?)
        }
        ValueType::Uuid => Value::Uuid(Uuid::from_bytes(take(from)?)),
        ValueType::List(item) => {
            let count = take_count(from)?;
            Value::List((0..count).map(|_| take_item(from, item)).collect::<Option<_>>()?)
        }
        ValueType::Map(of) => {
            let count = take_count(from)?;
            let entry = |_| Some((take_text(from)?, take_item(from, of)?));
            let entries = (0..count).map(entry).collect::<Option<Vec<_>>>()?;
            let sorted = entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
            sorted.then_some(Value::Map(entries))?
        }
        ValueType::Embedding(dimensions) => {
            Value::Embedding((0..dimensions).map(|_| take_float(from)).collect::<Option<_>>()?)
        }
    })
}

fn take_item(from: &mut &[u8], of: ScalarType) -> Option<Option<Value>> {
    match take(from)? {
        [MARK_NULL] => Some(None),
        [MARK_VALUE] => take_value(from, of.into()).map(Some),
        _ => None,
    }
}

fn take_float(from: &mut &[u8]) -> Option<f32> {
    let float = f32::from_bits(u32::from_le_bytes(take(from)?));
    (canonical_f32(float).to_bits() == float.to_bits()).then_some(float)
}

/// A count of items. Each has at least one byte, so a count beyond what is left is refused before room is made.
fn take_count(from: &mut &[u8]) -> Option<usize> {
    let count = u32::from_le_bytes(take(from)?) as usize;
    (count <= from.len()).then_some(count)
}

fn take_text(from: &mut &[u8]) -> Option<String> {
    std::str::from_utf8(take_sized(from)?).ok().map(str::to_owned)
}

fn take_sized<'b>(from: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = u32::from_le_bytes(take(from)?) as usize;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*head)
}
