//! The types a value can have.

use serde::{Deserialize, Serialize};

/// A scalar type, spelled in definitions as its lower-case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// IEEE 754 single precision.
    Float32,
    /// IEEE 754 double precision.
    Float64,
    /// UTF-8 text.
    String,
    /// True or false.
    Bool,
    /// Any bytes. Written as standard base64 in text formats.
    Bytes,
    /// An instant: microseconds since 1970-01-01T00:00:00Z.
    Timestamp,
    /// A calendar day: days since 1970-01-01.
    Date,
}

impl ValueType {
    /// Every type, in the order of their tags.
    pub const ALL: [ValueType; 9] = [
        Self::Int32,
        Self::Int64,
        Self::Float32,
        Self::Float64,
        Self::String,
        Self::Bool,
        Self::Bytes,
        Self::Timestamp,
        Self::Date,
    ];

    /// The name used in definitions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
            Self::String => "string",
            Self::Bool => "bool",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Date => "date",
        }
    }

    /// The type of that name, if there is one. Names are exact.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|each| each.as_str() == name)
    }

    /// Whether values of this type can be join keys: floats have no exact equality worth the name, and a date is
    /// written as a timestamp or a string.
    pub fn can_be_key(self) -> bool {
        !matches!(self, Self::Float32 | Self::Float64 | Self::Date)
    }
}

impl std::fmt::Display for ValueType {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}
