//! A cell read in place from stored bytes.

use asof_model::{Cell, Decimal, Instant, Uuid, Value, ValueType, canonical};

/// What one feature holds in a stored row, borrowed from its bytes.
///
/// The discriminant takes a whole word, so that nothing of a value stands at an odd place: moving a cell in pieces of odd
/// lengths made the processor wait for each of them.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(u64)]
pub enum CellRef<'r> {
    /// The row says that there is no value.
    Null,
    /// The row's input for this feature could not be read or computed.
    Error,
    /// A 32-bit integer.
    Int32(i32),
    /// A 64-bit integer.
    Int64(i64),
    /// A single-precision float.
    Float32(f32),
    /// A double-precision float.
    Float64(f64),
    /// Text.
    String(&'r str),
    /// True or false.
    Bool(bool),
    /// Bytes.
    Bytes(&'r [u8]),
    /// An instant.
    Timestamp(Instant),
    /// Days since 1970-01-01.
    Date(i32),
    /// An exact decimal number.
    Decimal(Decimal),
    /// A uuid.
    Uuid(Uuid),
    /// JSON in its canonical text.
    Json(&'r str),
    /// A list, a map or an embedding: its type and canonical bits, which were checked.
    Nested(ValueType, &'r [u8]),
}

impl CellRef<'_> {
    /// The same cell as an owned value.
    #[inline]
    pub fn to_cell(self) -> Cell {
        Cell::Value(match self {
            Self::Null => return Cell::Null,
            Self::Error => return Cell::Error,
            Self::Int32(v) => Value::Int32(v),
            Self::Int64(v) => Value::Int64(v),
            Self::Float32(v) => Value::Float32(v),
            Self::Float64(v) => Value::Float64(v),
            Self::String(v) => Value::String(v.to_owned()),
            Self::Bool(v) => Value::Bool(v),
            Self::Bytes(v) => Value::Bytes(v.to_vec()),
            Self::Timestamp(v) => Value::Timestamp(v),
            Self::Date(v) => Value::Date(v),
            Self::Decimal(v) => Value::Decimal(v),
            Self::Uuid(v) => Value::Uuid(v),
            Self::Json(v) => Value::Json(v.to_owned()),
            Self::Nested(declared, bits) => match canonical::read_bits(declared, bits) {
                Some(value) => value,
                None => return Cell::Error,
            },
        })
    }
}
