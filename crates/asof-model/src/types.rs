//! The types a value can have.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most digits of a decimal.
pub const DECIMAL_DIGITS_MAX: u8 = 38;

/// The most dimensions of an embedding.
pub const EMBEDDING_DIMENSIONS_MAX: u16 = 16_384;

/// The type of a value, spelled in definitions as [`fmt::Display`] writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// `decimal(precision, scale)`: an exact decimal number.
    Decimal(DecimalType),
    /// 128 bits, written as `8-4-4-4-12` hexadecimal digits.
    Uuid,
    /// Any JSON, kept in one canonical text form ([`crate::json::canonical_text`]).
    Json,
    /// `list(type)`: values of one scalar type, null among them, in an order.
    List(ScalarType),
    /// `map(string, type)`: text to values of one scalar type, null among them.
    Map(ScalarType),
    /// `embedding(n)`: that many single-precision floats, none of them null.
    Embedding(u16),
}

/// The types that the items of a list or a map can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScalarType {
    /// See [`ValueType::Int32`].
    Int32,
    /// See [`ValueType::Int64`].
    Int64,
    /// See [`ValueType::Float32`].
    Float32,
    /// See [`ValueType::Float64`].
    Float64,
    /// See [`ValueType::String`].
    String,
    /// See [`ValueType::Bool`].
    Bool,
    /// See [`ValueType::Bytes`].
    Bytes,
    /// See [`ValueType::Timestamp`].
    Timestamp,
    /// See [`ValueType::Date`].
    Date,
    /// See [`ValueType::Decimal`].
    Decimal(DecimalType),
    /// See [`ValueType::Uuid`].
    Uuid,
}

/// How many digits a decimal has, and how many of them behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecimalType {
    precision: u8,
    scale: u8,
}

impl DecimalType {
    /// `None` unless `1 <= precision <= 38` and `scale <= precision`.
    pub fn new(precision: u8, scale: u8) -> Option<Self> {
        let fits = (1..=DECIMAL_DIGITS_MAX).contains(&precision) && scale <= precision;
        fits.then_some(Self { precision, scale })
    }

    /// Digits in all, from 1 to [`DECIMAL_DIGITS_MAX`].
    pub fn precision(self) -> u8 {
        self.precision
    }

    /// Digits behind the point.
    pub fn scale(self) -> u8 {
        self.scale
    }
}

/// Why a text names no type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// No type has this name.
    #[error("`{0}` is not a type")]
    Unknown(String),
    /// The type exists, what stands in its parentheses doesn't fit it.
    #[error("`{written}` is not a type: {reason}")]
    Parameters {
        /// As written.
        written: String,
        /// What the type takes.
        reason: &'static str,
    },
}

/// The types without parameters, by name.
const PLAIN: [(&str, ValueType); 11] = [
    ("int32", ValueType::Int32),
    ("int64", ValueType::Int64),
    ("float32", ValueType::Float32),
    ("float64", ValueType::Float64),
    ("string", ValueType::String),
    ("bool", ValueType::Bool),
    ("bytes", ValueType::Bytes),
    ("timestamp", ValueType::Timestamp),
    ("date", ValueType::Date),
    ("uuid", ValueType::Uuid),
    ("json", ValueType::Json),
];

impl ValueType {
    /// One way to write each type, as messages list them.
    pub const SPELLINGS: [&'static str; 15] = [
        "int32",
        "int64",
        "float32",
        "float64",
        "string",
        "bool",
        "bytes",
        "timestamp",
        "date",
        "decimal(10, 2)",
        "uuid",
        "json",
        "list(int64)",
        "map(string, float64)",
        "embedding(3)",
    ];

    /// One type of each kind: what [`Self::SPELLINGS`] spells.
    pub fn examples() -> Vec<Self> {
        Self::SPELLINGS.iter().filter_map(|spelling| Self::parse(spelling).ok()).collect()
    }

    /// The type that a text names. Names are exact; spaces don't count, and `<>` may stand for `()`.
    ///
    /// # Errors
    /// [`TypeError`].
    pub fn parse(text: &str) -> Result<Self, TypeError> {
        let plain = |name: &str| PLAIN.iter().find(|(each, _)| *each == name).map(|(_, of)| *of);
        let written = text.trim();
        let unknown = || TypeError::Unknown(written.to_owned());
        let Some(at) = written.find(['(', '<']) else {
            let bare = match written {
                "decimal" => "write its digits, and those behind the point: `decimal(10, 2)`",
                "list" => "write the type of its items: `list(int64)`",
                "map" => "write the types of its keys and values: `map(string, float64)`",
                "embedding" => "write its dimensions: `embedding(768)`",
                _ => return plain(written).ok_or_else(unknown),
            };
            return Err(TypeError::Parameters { written: written.to_owned(), reason: bare });
        };
        let close = if written.as_bytes()[at] == b'(' { ')' } else { '>' };
        let (name, inside) = (written[..at].trim_end(), &written[at + 1..]);
        let wrong = |reason| TypeError::Parameters { written: written.to_owned(), reason };
        let inside = inside.strip_suffix(close).ok_or_else(|| wrong("a bracket is not closed"))?;
        match name {
            "decimal" => {
                let (precision, scale) = inside.split_once(',').unwrap_or((inside, "0"));
                digits(precision)
                    .zip(digits(scale))
                    .and_then(|(precision, scale)| DecimalType::new(precision, scale))
                    .map(Self::Decimal)
                    .ok_or_else(|| {
                        wrong("a decimal has 1 to 38 digits, and no more of them behind the point")
                    })
            }
            "embedding" => match digits::<u16>(inside) {
                Some(dimensions @ 1..=EMBEDDING_DIMENSIONS_MAX) => Ok(Self::Embedding(dimensions)),
                _ => Err(wrong("an embedding has 1 to 16384 dimensions")),
            },
            "list" => {
                let item = Self::parse(inside)?;
                ScalarType::try_from(item)
                    .map(Self::List)
                    .map_err(|()| wrong("the items of a list are scalars"))
            }
            "map" => {
                let (key, value) =
                    inside.split_once(',').ok_or_else(|| wrong("a map is `map(string, type)`"))?;
                if key.trim() != "string" {
                    return Err(wrong("the keys of a map are strings"));
                }
                let value = Self::parse(value)?;
                ScalarType::try_from(value)
                    .map(Self::Map)
                    .map_err(|()| wrong("the values of a map are scalars"))
            }
            _ if plain(name).is_some() => Err(wrong("this type takes no parameters")),
            _ => Err(unknown()),
        }
    }

    /// Whether values of this type can be join keys (SEMANTICS 2): floats have no exact equality worth the name, and a
    /// date or a decimal is written as a timestamp, an integer or a string.
    pub fn can_be_key(self) -> bool {
        matches!(
            self,
            Self::Int32
                | Self::Int64
                | Self::String
                | Self::Bool
                | Self::Bytes
                | Self::Timestamp
                | Self::Uuid
        )
    }
}

fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let text = text.trim();
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for ValueType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal(of) => write!(out, "decimal({}, {})", of.precision, of.scale),
            Self::List(item) => write!(out, "list({item})"),
            Self::Map(value) => write!(out, "map(string, {value})"),
            Self::Embedding(dimensions) => write!(out, "embedding({dimensions})"),
            // Every other type stands in the table.
            plain => out.write_str(PLAIN.iter().find(|(_, of)| of == plain).map_or("", |(name, _)| name)),
        }
    }
}

impl fmt::Display for ScalarType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        ValueType::from(*self).fmt(out)
    }
}

impl From<ScalarType> for ValueType {
    fn from(of: ScalarType) -> Self {
        match of {
            ScalarType::Int32 => Self::Int32,
            ScalarType::Int64 => Self::Int64,
            ScalarType::Float32 => Self::Float32,
            ScalarType::Float64 => Self::Float64,
            ScalarType::String => Self::String,
            ScalarType::Bool => Self::Bool,
            ScalarType::Bytes => Self::Bytes,
            ScalarType::Timestamp => Self::Timestamp,
            ScalarType::Date => Self::Date,
            ScalarType::Decimal(of) => Self::Decimal(of),
            ScalarType::Uuid => Self::Uuid,
        }
    }
}

/// Fails for json, lists, maps and embeddings.
impl TryFrom<ValueType> for ScalarType {
    type Error = ();

    fn try_from(of: ValueType) -> Result<Self, ()> {
        Ok(match of {
            ValueType::Int32 => Self::Int32,
            ValueType::Int64 => Self::Int64,
            ValueType::Float32 => Self::Float32,
            ValueType::Float64 => Self::Float64,
            ValueType::String => Self::String,
            ValueType::Bool => Self::Bool,
            ValueType::Bytes => Self::Bytes,
            ValueType::Timestamp => Self::Timestamp,
            ValueType::Date => Self::Date,
            ValueType::Decimal(of) => Self::Decimal(of),
            ValueType::Uuid => Self::Uuid,
            ValueType::Json | ValueType::List(_) | ValueType::Map(_) | ValueType::Embedding(_) => {
                return Err(());
            }
        })
    }
}

impl Serialize for ValueType {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ValueType {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: every type is written so that it reads as itself, and the other bracket means the same.
    #[test]
    fn spellings_read_back() {
        for text in ValueType::SPELLINGS {
            let of = ValueType::parse(text).unwrap();
            assert_eq!(of.to_string(), text);
            let angled = text.replace('(', "<").replace(')', ">").replace(' ', "");
            assert_eq!(ValueType::parse(&angled), Ok(of));
        }
        assert_eq!(ValueType::parse("decimal(5)"), ValueType::parse("decimal(5, 0)"));
        assert_eq!(ValueType::parse("list(decimal(5,2))").unwrap().to_string(), "list(decimal(5, 2))");
    }

    /// Goal: what is no type is refused with what would be one.
    #[test]
    fn refusals() {
        for (text, message) in [
            ("integer", "`integer` is not a type"),
            (
                "decimal",
                "`decimal` is not a type: write its digits, and those behind the point: `decimal(10, 2)`",
            ),
            (
                "decimal(39, 2)",
                "`decimal(39, 2)` is not a type: a decimal has 1 to 38 digits, and no more of them behind the point",
            ),
            (
                "decimal(2,-1)",
                "`decimal(2,-1)` is not a type: a decimal has 1 to 38 digits, and no more of them behind the point",
            ),
            ("embedding(0)", "`embedding(0)` is not a type: an embedding has 1 to 16384 dimensions"),
            ("list(json)", "`list(json)` is not a type: the items of a list are scalars"),
            ("map(int64, string)", "`map(int64, string)` is not a type: the keys of a map are strings"),
            ("int64(5)", "`int64(5)` is not a type: this type takes no parameters"),
            ("list(int64", "`list(int64` is not a type: a bracket is not closed"),
        ] {
            assert_eq!(ValueType::parse(text).map_err(|e| e.to_string()), Err(message.to_owned()));
        }
    }
}
