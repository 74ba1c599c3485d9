//! Join keys as bytes: injective, and in the order of the values (SEMANTICS 2).
//!
//! A key is its parts one after the other, each self-delimiting, so ("a", "bc") is never ("ab", "c"):
//!
//! | type | bytes |
//! | --- | --- |
//! | int32, int64, timestamp | big-endian with the sign bit flipped |
//! | bool | 0 or 1 |
//! | uuid | its 16 bytes |
//! | string, bytes | each 0x00 becomes 0x00 0xFF; the end is 0x00 0x00 |
//!
//! The key of a view without entities is empty: one row for the whole world.

use uuid::Uuid;

use crate::canonical;
use crate::time::Instant;
use crate::types::ValueType;
use crate::value::Value;

/// The bytes of one entity key.
pub type EncodedKey = Vec<u8>;

/// The bytes of a key: the values of its join keys in the view's order.
///
/// Values of types that can't be keys ([`ValueType::can_be_key`]) are refused when definitions are read; should one
/// come here, its canonical bits are written, which keeps the form injective but not ordered.
pub fn encode_key(parts: &[Value]) -> EncodedKey {
    let mut out = Vec::with_capacity(parts.len() * 9);
    for part in parts {
        encode_part(&mut out, part);
    }
    out
}

/// Appends one part of a key.
pub fn encode_part(out: &mut Vec<u8>, part: &Value) {
    match part {
        Value::Int32(v) => out.extend(((*v as u32) ^ (1 << 31)).to_be_bytes()),
        Value::Int64(v) => out.extend(((*v as u64) ^ (1 << 63)).to_be_bytes()),
        Value::Timestamp(v) => out.extend(((v.micros() as u64) ^ (1 << 63)).to_be_bytes()),
        Value::Bool(v) => out.push(u8::from(*v)),
        Value::String(v) => encode_text(out, v.as_bytes()),
        Value::Bytes(v) => encode_text(out, v),
        Value::Float32(v) => out.extend(v.to_bits().to_be_bytes()),
        Value::Float64(v) => out.extend(v.to_bits().to_be_bytes()),
        Value::Date(v) => out.extend(((*v as u32) ^ (1 << 31)).to_be_bytes()),
        Value::Uuid(v) => out.extend(v.as_bytes()),
        Value::Decimal(_) | Value::Json(_) | Value::List(_) | Value::Map(_) | Value::Embedding(_) => {
            encode_text(out, &canonical::bits(part));
        }
    }
}

/// Appends text or bytes as one part of a key.
pub fn encode_text(out: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        out.push(*byte);
        if *byte == 0 {
            out.push(0xff);
        }
    }
    out.extend([0, 0]);
}

/// The values of a key. `None` where the bytes are not a key of these types.
pub fn decode_key(types: &[ValueType], mut bytes: &[u8]) -> Option<Vec<Value>> {
    let mut parts = Vec::with_capacity(types.len());
    for each in types {
        parts.push(match each {
            ValueType::Int32 => Value::Int32((u32::from_be_bytes(take(&mut bytes)?) ^ (1 << 31)) as i32),
            ValueType::Date => Value::Date((u32::from_be_bytes(take(&mut bytes)?) ^ (1 << 31)) as i32),
            ValueType::Int64 => Value::Int64((u64::from_be_bytes(take(&mut bytes)?) ^ (1 << 63)) as i64),
            ValueType::Timestamp => {
                let micros = (u64::from_be_bytes(take(&mut bytes)?) ^ (1 << 63)) as i64;
                Value::Timestamp(Instant::from_micros(micros)?)
            }
            ValueType::Bool => match take::<1>(&mut bytes)? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                _ => return None,
            },
            ValueType::String => Value::String(String::from_utf8(take_text(&mut bytes)?).ok()?),
            ValueType::Bytes => Value::Bytes(take_text(&mut bytes)?),
            ValueType::Float32 => Value::Float32(f32::from_bits(u32::from_be_bytes(take(&mut bytes)?))),
            ValueType::Float64 => Value::Float64(f64::from_bits(u64::from_be_bytes(take(&mut bytes)?))),
            ValueType::Uuid => Value::Uuid(Uuid::from_bytes(take(&mut bytes)?)),
            ValueType::Decimal(_)
            | ValueType::Json
            | ValueType::List(_)
            | ValueType::Map(_)
            | ValueType::Embedding(_) => canonical::read_bits(*each, &take_text(&mut bytes)?)?,
        });
    }
    bytes.is_empty().then_some(parts)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*head)
}

fn take_text(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    loop {
        match take::<1>(bytes)? {
            [0] => match take::<1>(bytes)? {
                [0] => return Some(text),
                [0xff] => text.push(0),
                _ => return None,
            },
            [byte] => text.push(byte),
        }
    }
}
