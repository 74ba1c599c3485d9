//! A value and a cell: what a feature holds in one row.

use uuid::Uuid;

use crate::decimal::Decimal;
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
    /// See [`ValueType::Decimal`]: at the scale of its type.
    Decimal(Decimal),
    /// See [`ValueType::Uuid`].
    Uuid(Uuid),
    /// See [`ValueType::Json`]: its canonical text.
    Json(String),
    /// See [`ValueType::List`]: items of its scalar type, or null.
    List(Vec<Option<Value>>),
    /// See [`ValueType::Map`]: sorted by key, each key once. Build with [`Value::map`].
    Map(Vec<(String, Option<Value>)>),
    /// See [`ValueType::Embedding`]: as many floats as it has dimensions. Build with [`Value::embedding`].
    Embedding(Vec<f32>),
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

    /// Whether it is a float that is NaN.
    pub fn is_nan(&self) -> bool {
        match self {
            Self::Float32(value) => value.is_nan(),
            Self::Float64(value) => value.is_nan(),
            _ => false,
        }
    }

    /// The canonical form of a map: sorted by key. `None` where a key stands twice.
    pub fn map(mut entries: Vec<(String, Option<Value>)>) -> Option<Self> {
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let unique = entries.windows(2).all(|pair| pair[0].0 != pair[1].0);
        unique.then_some(Self::Map(entries))
    }

    /// The canonical form of an embedding: each float with one zero and one NaN.
    pub fn embedding(mut floats: Vec<f32>) -> Self {
        floats.iter_mut().for_each(|each| *each = canonical_f32(*each));
        Self::Embedding(floats)
    }

    /// Whether this is a value of that type.
    pub fn is_of(&self, declared: ValueType) -> bool {
        match (self, declared) {
            (Self::Int32(_), ValueType::Int32)
            | (Self::Int64(_), ValueType::Int64)
            | (Self::Float32(_), ValueType::Float32)
            | (Self::Float64(_), ValueType::Float64)
            | (Self::String(_), ValueType::String)
            | (Self::Bool(_), ValueType::Bool)
            | (Self::Bytes(_), ValueType::Bytes)
            | (Self::Timestamp(_), ValueType::Timestamp)
            | (Self::Date(_), ValueType::Date)
            | (Self::Uuid(_), ValueType::Uuid)
            | (Self::Json(_), ValueType::Json) => true,
            (Self::Decimal(v), ValueType::Decimal(of)) => Decimal::checked(v.units, of) == Ok(*v),
            (Self::List(items), ValueType::List(of)) => {
                items.iter().flatten().all(|item| item.is_of(of.into()))
            }
            (Self::Map(entries), ValueType::Map(of)) => {
                entries.iter().all(|(_, value)| value.as_ref().is_none_or(|value| value.is_of(of.into())))
            }
            (Self::Embedding(floats), ValueType::Embedding(dimensions)) => {
                floats.len() == usize::from(dimensions)
            }
            _ => false,
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
            (Self::Decimal(a), Self::Decimal(b)) => a == b,
            (Self::Uuid(a), Self::Uuid(b)) => a == b,
            (Self::Json(a), Self::Json(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (Self::Map(a), Self::Map(b)) => a == b,
            (Self::Embedding(a), Self::Embedding(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
            }
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
