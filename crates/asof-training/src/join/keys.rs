//! Keys of a batch of rows, in the cheapest form in which equal keys are equal.
//!
//! A key of one number is that number. A key of one text, bytes or uuid is its bytes; every other key is its canonical
//! encoding, which is injective ([`asof_model::key`]). Two keys of one entity are equal when these are, whatever their
//! hashes.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{Date32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use asof_engine::columns::KeyColumns;
use asof_model::ValueType;
use foldhash::quality::FixedState;
use std::hash::BuildHasher;

/// Whether the keys of an entity are numbers or bytes. The same for labels and history, as it follows from the types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyForm {
    Number,
    Bytes,
}

/// The keys of some rows.
pub(crate) struct Keys {
    pub values: KeyValues,
    /// Rows without a key: a part of it is null.
    pub nulls: Option<NullBuffer>,
}

/// The values of keys, one for each row.
pub(crate) enum KeyValues {
    Numbers(ScalarBuffer<i64>),
    /// The key of row `i` lies from `ends[i]` to `ends[i + 1]`.
    Bytes {
        bytes: Buffer,
        ends: ScalarBuffer<i32>,
    },
}

impl KeyForm {
    /// The form of keys of these types.
    pub fn of(types: &[ValueType]) -> Self {
        match types {
            [
                ValueType::Int32
                | ValueType::Int64
                | ValueType::Timestamp
                | ValueType::Bool
                | ValueType::Date,
            ] => Self::Number,
            _ => Self::Bytes,
        }
    }
}

impl Keys {
    /// The keys in these columns, each of which has the Arrow type of its value type. A batch whose encoded keys come to
    /// two gigabytes has no keys beyond: batches are bounded far below.
    pub fn new(columns: &[(&ArrayRef, ValueType)], rows: usize) -> Self {
        if let [(array, _)] = columns
            && let Some(values) = one(array)
        {
            return Self { values, nulls: array.nulls().cloned() };
        }
        let encoder = KeyColumns::new(columns.to_vec());
        let (mut bytes, mut ends, mut key) = (Vec::new(), Vec::with_capacity(rows + 1), Vec::new());
        let mut valid = Vec::with_capacity(rows);
        ends.push(0);
        for row in 0..rows {
            let there = encoder.encode(row, &mut key);
            if there {
                bytes.extend_from_slice(&key);
            }
            valid.push(there);
            ends.push(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        }
        let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
        Self { values: KeyValues::Bytes { bytes: Buffer::from_vec(bytes), ends: ends.into() }, nulls }
    }

    /// The hash of each key; anything for rows without one.
    pub fn hashes(&self, out: &mut Vec<u64>) {
        out.clear();
        match &self.values {
            KeyValues::Numbers(numbers) => out.extend(numbers.iter().map(|number| hash_number(*number))),
            KeyValues::Bytes { bytes, ends } => {
                let key = |pair: &[i32]| hash_bytes(&bytes[pair[0] as usize..pair[1] as usize]);
                out.extend(ends.windows(2).map(key));
            }
        }
    }

    /// Whether a row has a key.
    pub fn is_valid(&self, row: usize) -> bool {
        self.nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row))
    }
}

impl KeyValues {
    /// The key of a row, where keys are bytes.
    pub fn bytes_at(&self, row: usize) -> &[u8] {
        match self {
            Self::Numbers(_) => &[],
            Self::Bytes { bytes, ends } => &bytes[ends[row] as usize..ends[row + 1] as usize],
        }
    }
}

/// The one column of a key as it stands, where that tells keys apart.
fn one(array: &ArrayRef) -> Option<KeyValues> {
    use arrow::datatypes::DataType;
    let widened = |values: &[i32]| KeyValues::Numbers(values.iter().map(|each| i64::from(*each)).collect());
    Some(match array.data_type() {
        DataType::Int64 => KeyValues::Numbers(array.as_primitive::<Int64Type>().values().clone()),
        DataType::Timestamp(..) => {
            KeyValues::Numbers(array.as_primitive_opt::<TimestampMicrosecondType>()?.values().clone())
        }
        DataType::Int32 => widened(array.as_primitive::<Int32Type>().values()),
        DataType::Date32 => widened(array.as_primitive::<Date32Type>().values()),
        DataType::Boolean => KeyValues::Numbers(array.as_boolean().values().iter().map(i64::from).collect()),
        DataType::Utf8 => {
            let texts = array.as_string::<i32>();
            KeyValues::Bytes { bytes: texts.values().clone(), ends: texts.offsets().inner().clone() }
        }
        DataType::Binary => {
            let texts = array.as_binary::<i32>();
            KeyValues::Bytes { bytes: texts.values().clone(), ends: texts.offsets().inner().clone() }
        }
        _ => return None,
    })
}

/// Spreads a number over all bits: the upper ones choose a shard, the lower ones a place in it.
pub(crate) fn hash_number(number: i64) -> u64 {
    let product = u128::from(number as u64 ^ 0x243f_6a88_85a3_08d3) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
    (product >> 64) as u64 ^ product as u64
}

pub(crate) fn hash_bytes(bytes: &[u8]) -> u64 {
    FixedState::default().hash_one(bytes)
}
