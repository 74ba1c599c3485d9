//! Join keys as JSON carries them become typed values, without loss or not at all.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

use asof_model::entry::{self, EntryError, KEY_BYTES_MAX, Raw, Reading};
use asof_model::{Value, ValueType, name};
use asof_store::StoreError;
use asof_store::on_demand::RequestColumn;
use asof_store::request::{PlannedJoin, RequestPlan};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value as Json};

/// From here on a JSON number with a fraction or an exponent may stand for several integers.
const EXACT_FLOAT_END: f64 = 9_007_199_254_740_992.0;

/// A value as a request gives it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Given<'b> {
    Null,
    Bool(bool),
    Int(i64),
    /// Above the range of a signed integer.
    UInt(u64),
    Float(f64),
    Text(Cow<'b, str>),
    List,
    Object,
}

impl<'b> Given<'b> {
    /// The same of JSON that was read.
    pub fn of(json: &Json) -> Given<'static> {
        match json {
            Json::Null => Given::Null,
            Json::Bool(flag) => Given::Bool(*flag),
            Json::String(text) => Given::Text(Cow::Owned(text.clone())),
            Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(integer), _, _) => Given::Int(integer),
                (None, Some(integer), _) => Given::UInt(integer),
                (None, None, float) => Given::Float(float.unwrap_or(f64::NAN)),
            },
            Json::Array(_) => Given::List,
            Json::Object(_) => Given::Object,
        }
    }
}

impl<'de: 'b, 'b> Deserialize<'de> for Given<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Given<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Given<'de>, E> {
        Ok(Given::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Given<'de>, E> {
        Ok(Given::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Given<'de>, E> {
        Ok(Given::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Given<'de>, E> {
        Ok(i64::try_from(value).map_or(Given::UInt(value), Given::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Given<'de>, E> {
        Ok(Given::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Given<'de>, E> {
        Ok(Given::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Given<'de>, E> {
        Ok(Given::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Given<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Given::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Given<'de>, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Given::Object)
    }
}

/// Fields by name in the order given, as of an object in which no name stands twice.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Named<'b, T>(pub Vec<(Cow<'b, str>, T)>);

impl<'b, T> Named<'b, T> {
    /// The field of that name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl<'de: 'b, 'b, T: Deserialize<'de>> Deserialize<'de> for Named<'b, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Named<'de, T>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
                let mut all: Vec<(Cow<'de, str>, T)> = Vec::new();
                while let Some(Name(name)) = fields.next_key()? {
                    if all.iter().any(|(known, _)| *known == name) {
                        return Err(serde::de::Error::custom("a name stands twice"));
                    }
                    all.push((name, fields.next_value()?));
                }
                Ok(Named(all))
            }
        }

        deserializer.deserialize_map(Fields(std::marker::PhantomData))
    }
}

/// A name in an object, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'b>(#[serde(borrow)] Cow<'b, str>);

/// Reads one join key. `None` is a null key.
///
/// Integers, whole floats that are exact, booleans and text are read as the declared type by the rules of
/// [`asof_model::entry`]; times without offset are UTC.
///
/// # Errors
/// [`StoreError::BadKey`], which names column, row (from 0) and reason.
pub(crate) fn key(
    column: &str,
    row: usize,
    declared: ValueType,
    given: &Given<'_>,
) -> Result<Option<Value>, StoreError> {
    let bad = |reason| bad_key(column, row, reason);
    let raw = match given {
        Given::Null => return Ok(None),
        Given::Bool(flag) => Raw::Bool(*flag),
        Given::Text(text) if text.len() > KEY_BYTES_MAX => {
            return Err(bad(format!("a text of {} bytes, a key has at most {KEY_BYTES_MAX}", text.len())));
        }
        Given::Text(text) => Raw::Text(text),
        Given::Int(integer) => Raw::Int(*integer),
        Given::UInt(integer) => Raw::UInt(*integer),
        Given::Float(float) => Raw::Float64(*float),
        Given::List => return Err(bad(format!("a list is not of type {declared}"))),
        Given::Object => return Err(bad(format!("an object is not of type {declared}"))),
    };
    raw_key(column, row, declared, raw).map(Some)
}

/// Reads one join key that is there, as [`key`] does.
///
/// # Errors
/// As [`key`].
pub(crate) fn raw_key(
    column: &str,
    row: usize,
    declared: ValueType,
    raw: Raw<'_>,
) -> Result<Value, StoreError> {
    let bad = |reason| bad_key(column, row, reason);
    let float = match raw {
        Raw::Float64(float) => Some(float),
        Raw::Float32(float) => Some(f64::from(float)),
        _ => None,
    };
    // What is no number is not below it either.
    let exact = |float: &f64| float.abs().partial_cmp(&EXACT_FLOAT_END) == Some(Ordering::Less);
    if let Some(float) = float.filter(|float| !exact(float)) {
        let number = Number::from_f64(float).map_or_else(|| float.to_string(), |number| number.to_string());
        return Err(bad(format!("{number} cannot be read exactly as {declared}")));
    }
    match entry::from_raw(raw, declared, &Reading::default()) {
        Ok(value) => Ok(value),
        // A request names no unit for integer times.
        Err(EntryError::NoUnit { found }) => {
            Err(bad(format!("{found} is an integer, not an RFC 3339 instant")))
        }
        Err(error) => Err(bad(error.to_string())),
    }
}

/// Reads one value of a request column that features on demand read. `None` is null.
///
/// # Errors
/// [`StoreError::Request`], which names column, row (from 0) and reason.
pub(crate) fn field(
    column: &RequestColumn,
    row: usize,
    given: &Given<'_>,
) -> Result<Option<Value>, StoreError> {
    let raw = match given {
        Given::Null => return Ok(None),
        Given::Bool(flag) => Raw::Bool(*flag),
        Given::Text(text) => Raw::Text(text),
        Given::Int(integer) => Raw::Int(*integer),
        Given::UInt(integer) => Raw::UInt(*integer),
        Given::Float(float) => Raw::Float64(*float),
        Given::List => return Err(bad_field(column, row, "it is a list")),
        Given::Object => return Err(bad_field(column, row, "it is an object")),
    };
    raw_field(column, row, raw).map(Some)
}

/// Reads one value of a request column that is there, as [`field`] does.
///
/// # Errors
/// As [`field`].
pub(crate) fn raw_field(column: &RequestColumn, row: usize, raw: Raw<'_>) -> Result<Value, StoreError> {
    let read = entry::from_raw(raw, column.value_type, &Reading::default());
    read.map_err(|error| bad_field(column, row, error))
}

fn bad_field(column: &RequestColumn, row: usize, reason: impl fmt::Display) -> StoreError {
    let RequestColumn { name, value_type, view } = column;
    StoreError::Request {
        message: format!("`{name}` in row {row} (counted from 0) is not of type {value_type}: {reason}"),
        hint: Some(format!("view `{view}` reads it; give a value of that type, or null")),
    }
}

/// A join key that can't be read.
pub(crate) fn bad_key(column: &str, row: usize, reason: String) -> StoreError {
    StoreError::BadKey { key: column.to_owned(), reason: format!("row {row} (counted from 0): {reason}") }
}

/// A view that is looked up by `column`.
pub(crate) fn needed_by<'a>(plan: &'a RequestPlan, column: &str) -> Option<&'a PlannedJoin> {
    plan.joins.iter().find(|join| join.keys.iter().any(|(_, each)| each == column))
}

/// What to do about a join key that is not among the `given` columns: one of them may be a misspelling of it.
pub(crate) fn missing_hint<'a>(
    plan: &RequestPlan,
    column: &str,
    given: impl Iterator<Item = &'a str>,
) -> String {
    let others = given.filter(|each| plan.key_columns.iter().all(|(known, _)| known != each));
    match name::nearest(column, others) {
        Some(wrong) => format!("rename `{wrong}` to `{column}`"),
        None => "give every join key, with null where it is not known".to_owned(),
    }
}
