//! A value and a cell: what a feature holds in one row.

use crate::time::Instant;
use crate::types::ValueType;

/// A value in canonical form: never `-0.0`, only one NaN, instants within the years 1 to 9999.
///
/// Floats are compared by their bits, so that equality here is equality of canonical bytes.
#[derive(Debug, Clone)]
pub enum Value {
    /// See [`ValueType::Int32`].
    Int32(i32),
    /// See [`ValueType::Int64`].
    Int64(i64),
    /// See [`ValueType::Float32`]. Build with [`Value::float32`].
    Float32(f32),
    /// See [`ValueType::Float64`]. Build with [`Value::float64`].
    Float64(f64),
    /// See [`ValueType::String`].
    String(String),
    /// See [`ValueType::Bool`].
    Bool(bool),
    /// See [`ValueType::Bytes`].
    Bytes(Vec<u8>),
    /// See [`ValueType::Timestamp`].
    Timestamp(Instant),
    /// See [`ValueType::Date`]: days since 1970-01-01.
    Date(i32),
}

impl Value {
    /// The canonical form of a single-precision float: one zero, one NaN.
    pub fn float32(raw: f32) -> Self {
        Self::Float32(canonical_f32(raw))
    }

    /// The canonical form of a double-precision float: one zero, one NaN.
    pub fn float64(raw: f64) -> Self {
        Self::Float64(canonical_f64(raw))
    }

    /// The type of the value.
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Int32(_) => ValueType::Int32,
            Self::Int64(_) => ValueType::Int64,
            Self::Float32(_) => ValueType::Float32,
            Self::Float64(_) => ValueType::Float64,
            Self::String(_) => ValueType::String,
            Self::Bool(_) => ValueType::Bool,
            Self::Bytes(_) => ValueType::Bytes,
            Self::Timestamp(_) => ValueType::Timestamp,
            Self::Date(_) => ValueType::Date,
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Int32(a), Self::Int32(b)) => a == b,
            (Self::Int64(a), Self::Int64(b)) => a == b,
            (Self::Float32(a), Self::Float32(b)) => a.to_bits() == b.to_bits(),
            (Self::Float64(a), Self::Float64(b)) => a.to_bits() == b.to_bits(),
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Date(a), Self::Date(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

/// One zero and one NaN (the quiet one without sign or payload).
pub fn canonical_f32(raw: f32) -> f32 {
    if raw.is_nan() {
        f32::from_bits(0x7fc0_0000)
    } else if raw == 0.0 {
        0.0
    } else {
        raw
    }
}

/// One zero and one NaN (the quiet one without sign or payload).
pub fn canonical_f64(raw: f64) -> f64 {
    if raw.is_nan() {
        f64::from_bits(0x7ff8_0000_0000_0000)
    } else if raw == 0.0 {
        0.0
    } else {
        raw
    }
}

/// What one feature holds in one row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cell {
    /// The row says that there is no value.
    #[default]
    Null,
    /// The row's input for this feature could not be read or computed.
    Error,
    /// A value.
    Value(Value),
}

impl Cell {
    /// The value, if there is one.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            Self::Null | Self::Error => None,
        }
    }
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}
