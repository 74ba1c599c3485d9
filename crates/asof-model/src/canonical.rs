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
//!
//! Marks: 0 null, 1 error, 2 value. A row is its cells one after the other, in order of addition, without a count:
//! so the bytes of a row that a later feature extends begin with the bytes of the row before.
//! Tags are never reused and never change: bytes written today are readable for ever.

use crate::types::ValueType;
use crate::value::{Cell, Value};

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
    }
}

/// Appends the canonical bytes of a cell whose declared type is `declared`.
///
/// A value of another type than `declared` is a defect of the caller; its own tag is written, so that it never
/// equals a value of the declared type.
pub fn write_cell(out: &mut Vec<u8>, declared: ValueType, cell: &Cell) {
    match cell {
        Cell::Null => out.extend([type_tag(declared), MARK_NULL]),
        Cell::Error => out.extend([type_tag(declared), MARK_ERROR]),
        Cell::Value(value) => {
            out.extend([type_tag(value.value_type()), MARK_VALUE]);
            write_bits(out, value);
        }
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

fn write_bits(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int32(v) => out.extend(v.to_le_bytes()),
        Value::Int64(v) => out.extend(v.to_le_bytes()),
        Value::Float32(v) => out.extend(v.to_bits().to_le_bytes()),
        Value::Float64(v) => out.extend(v.to_bits().to_le_bytes()),
        Value::String(v) => write_sized(out, v.as_bytes()),
        Value::Bool(v) => out.push(u8::from(*v)),
        Value::Bytes(v) => write_sized(out, v),
        Value::Timestamp(v) => out.extend(v.micros().to_le_bytes()),
        Value::Date(v) => out.extend(v.to_le_bytes()),
    }
}

/// Writes a length and the bytes. Lengths past `u32::MAX` are cut off at entry ([`crate::entry::VALUE_BYTES_MAX`]).
fn write_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend(bytes);
}
