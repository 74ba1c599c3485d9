//! A value that lies elsewhere, as an answer is written from it.

use asof_model::{Decimal, Instant, Uuid, Value, ValueType};

/// What one feature holds in one row of an answer, borrowed from wherever it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// A 32-bit integer.
    Int32(i32),
    /// A 64-bit integer.
    Int64(i64),
    /// A single-precision float.
    Float32(f32),
    /// A double-precision float.
    Float64(f64),
    /// Text.
    String(&'a str),
    /// True or false.
    Bool(bool),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An instant.
    Timestamp(Instant),
    /// Days since 1970-01-01.
    Date(i32),
    /// An exact decimal number.
    Decimal(Decimal),
    /// A uuid.
    Uuid(Uuid),
    /// JSON in its canonical text.
    Json(&'a str),
    /// Items of one scalar type, or null.
    List(&'a [Option<Value>]),
    /// Sorted by key, each once.
    Map(&'a [(String, Option<Value>)]),
    /// As many floats as it has dimensions.
    Embedding(&'a [f32]),
}

/// A value that is not of its column's type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}` is declared as {declared}, and row {row} (counted from 0) holds something else")]
pub struct WrongCell {
    /// The column.
    pub column: String,
    /// Its type.
    pub declared: ValueType,
    /// The row.
    pub row: usize,
}

impl<'a> From<&'a Value> for Cell<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Int32(v) => Self::Int32(*v),
            Value::Int64(v) => Self::Int64(*v),
            Value::Float32(v) => Self::Float32(*v),
            Value::Float64(v) => Self::Float64(*v),
            Value::String(v) => Self::String(v),
            Value::Bool(v) => Self::Bool(*v),
            Value::Bytes(v) => Self::Bytes(v),
            Value::Timestamp(v) => Self::Timestamp(*v),
            Value::Date(v) => Self::Date(*v),
            Value::Decimal(v) => Self::Decimal(*v),
            Value::Uuid(v) => Self::Uuid(*v),
            Value::Json(v) => Self::Json(v),
            Value::List(v) => Self::List(v),
            Value::Map(v) => Self::Map(v),
            Value::Embedding(v) => Self::Embedding(v),
        }
    }
}

impl<'a> From<Option<&'a Value>> for Cell<'a> {
    fn from(value: Option<&'a Value>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}
