//! What the values of a request are, for whoever reads them as the types that are declared.
//!
//! Scalars are handed on as [`Raw`] and borrowed, so that one place decides what a declared type takes
//! ([`asof_model::entry`]); whole rows of a push become JSON objects.

use asof_model::entry::{self, Raw};
use asof_model::time::{checked_day, format_day};
use asof_model::{Instant, Value};
use serde_json::{Map as Object, Number, Value as Json};

use crate::messages::asof::v1;
use crate::messages::feast::types;

/// Microseconds in a second.
const SECOND_MICROS: i64 = 1_000_000;

/// Why the values of a request can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GivenError {
    /// A place beyond the end of a list.
    #[error("it has {rows} values, and one at place {place} (counted from 0) is named")]
    Beyond {
        /// How many values there are.
        rows: usize,
        /// The place.
        place: usize,
    },
    /// A list, a map or an embedding where one value is wanted.
    #[error("a list, a map or a set stands where one value is wanted")]
    Nested,
    /// A number that is no instant between the years 1 and 9999.
    #[error("{0} is not an instant between the years 1 and 9999")]
    NoInstant(i64),
    /// A number that is no day between the years 1 and 9999.
    #[error("day {0} is not between the years 1 and 9999")]
    NoDay(i32),
    /// Vectors whose floats are no multiple of their length, or which have none.
    #[error("{floats} floats are not vectors of {dimensions}")]
    Dimensions {
        /// How many floats there are.
        floats: usize,
        /// The length of a vector.
        dimensions: u32,
    },
    /// A map that has another number of values than of keys.
    #[error("a map has {keys} keys and {values} values")]
    Entries {
        /// How many keys there are.
        keys: usize,
        /// How many values.
        values: usize,
    },
    /// Columns of different lengths.
    #[error("column `{column}` has {rows} rows, the others have {others}")]
    Uneven {
        /// The column.
        column: String,
        /// Its rows.
        rows: usize,
        /// The rows of the first one.
        others: usize,
    },
    /// A value of a column that can't be read.
    #[error("column `{column}`: {reason}")]
    Column {
        /// The column.
        column: String,
        /// Why.
        reason: Box<GivenError>,
    },
}

/// The number of values in a list.
///
/// # Errors
/// [`GivenError::Dimensions`].
pub fn rows(values: &v1::Values) -> Result<usize, GivenError> {
    use v1::values::Kind;
    Ok(match &values.kind {
        None => 0,
        Some(Kind::Int32s(list)) => list.items.len(),
        Some(Kind::Int64s(list)) => list.items.len(),
        Some(Kind::Floats(list)) => list.items.len(),
        Some(Kind::Doubles(list)) => list.items.len(),
        Some(Kind::Strings(list) | Kind::Decimals(list) | Kind::Uuids(list) | Kind::Jsons(list)) => {
            list.items.len()
        }
        Some(Kind::Bools(list)) => list.items.len(),
        Some(Kind::Blobs(list)) => list.items.len(),
        Some(Kind::Timestamps(list)) => list.micros.len(),
        Some(Kind::Dates(list)) => list.days.len(),
        Some(Kind::Lists(list)) => list.items.len(),
        Some(Kind::Maps(list)) => list.items.len(),
        Some(Kind::Embeddings(list)) => {
            let wrong = GivenError::Dimensions { floats: list.floats.len(), dimensions: list.dimensions };
            let dimensions = list.dimensions as usize;
            match list.floats.len().checked_rem(dimensions) {
                Some(0) => list.floats.len() / dimensions,
                None if list.floats.is_empty() => 0,
                _ => return Err(wrong),
            }
        }
    })
}

/// The scalars of a list, each as it was written; `None` is null.
///
/// # Errors
/// [`GivenError::Nested`], [`GivenError::Beyond`], and those of single values.
pub fn scalars(values: &v1::Values) -> Result<Vec<Option<Raw<'_>>>, GivenError> {
    let nulls = nulls(values)?;
    let at = |(place, null): (usize, &bool)| match null {
        true => Ok(None),
        false => scalar(values, place).map(Some),
    };
    nulls.iter().enumerate().map(at).collect()
}

/// For each value of a list whether it is null.
fn nulls(values: &v1::Values) -> Result<Vec<bool>, GivenError> {
    let rows = rows(values)?;
    let mut nulls = vec![false; rows];
    for place in &values.nulls {
        let place = *place as usize;
        *nulls.get_mut(place).ok_or(GivenError::Beyond { rows, place })? = true;
    }
    Ok(nulls)
}

fn scalar(values: &v1::Values, place: usize) -> Result<Raw<'_>, GivenError> {
    use v1::values::Kind;
    let raw = match &values.kind {
        Some(Kind::Int32s(list)) => list.items.get(place).map(|v| Raw::Int((*v).into())),
        Some(Kind::Int64s(list)) => list.items.get(place).map(|v| Raw::Int(*v)),
        Some(Kind::Floats(list)) => list.items.get(place).map(|v| Raw::Float32(*v)),
        Some(Kind::Doubles(list)) => list.items.get(place).map(|v| Raw::Float64(*v)),
        Some(Kind::Strings(list) | Kind::Decimals(list) | Kind::Uuids(list)) => {
            list.items.get(place).map(|v| Raw::Text(v))
        }
        Some(Kind::Jsons(list)) => list.items.get(place).map(|v| Raw::Json(v)),
        Some(Kind::Bools(list)) => list.items.get(place).map(|v| Raw::Bool(*v)),
        Some(Kind::Blobs(list)) => list.items.get(place).map(|v| Raw::Bytes(v)),
        Some(Kind::Timestamps(list)) => list.micros.get(place).map(|v| instant(*v)).transpose()?,
        Some(Kind::Dates(list)) => list.days.get(place).map(|v| Raw::Date((*v).into())),
        Some(Kind::Lists(_) | Kind::Maps(_) | Kind::Embeddings(_)) => return Err(GivenError::Nested),
        None => None,
    };
    raw.ok_or(GivenError::Beyond { rows: rows(values)?, place })
}

fn instant(micros: i64) -> Result<Raw<'static>, GivenError> {
    Instant::from_micros(micros).map(|_| Raw::Instant(micros)).ok_or(GivenError::NoInstant(micros))
}

/// One scalar of Feast's shape, as it was written; `None` is null.
///
/// # Errors
/// [`GivenError::Nested`], [`GivenError::NoInstant`].
pub fn feast_scalar(value: &types::Value) -> Result<Option<Raw<'_>>, GivenError> {
    use types::value::Val;
    Ok(Some(match &value.val {
        None | Some(Val::NullVal(_)) => return Ok(None),
        Some(Val::BytesVal(v)) => Raw::Bytes(v),
        Some(Val::StringVal(v) | Val::UuidVal(v) | Val::TimeUuidVal(v) | Val::DecimalVal(v)) => Raw::Text(v),
        Some(Val::Int32Val(v)) => Raw::Int((*v).into()),
        Some(Val::Int64Val(v)) => Raw::Int(*v),
        Some(Val::DoubleVal(v)) => Raw::Float64(*v),
        Some(Val::FloatVal(v)) => Raw::Float32(*v),
        Some(Val::BoolVal(v)) => Raw::Bool(*v),
        Some(Val::UnixTimestampVal(seconds)) => of_seconds(*seconds)?,
        Some(Val::ZonedTimestampVal(zoned)) => of_seconds(zoned.unix_timestamp)?,
        Some(Val::JsonVal(v)) => Raw::Json(v),
        Some(_) => return Err(GivenError::Nested),
    }))
}

fn of_seconds(seconds: i64) -> Result<Raw<'static>, GivenError> {
    instant(seconds.checked_mul(SECOND_MICROS).ok_or(GivenError::NoInstant(seconds))?)
}

/// The rows of a push as JSON objects, a text each. Nulls are left out.
///
/// # Errors
/// [`GivenError::Uneven`], and [`GivenError::Column`] for what can't be read.
pub fn objects(columns: &v1::ColumnRows) -> Result<Vec<String>, GivenError> {
    let mut objects: Option<Vec<Object<String, Json>>> = None;
    for (column, values) in &columns.columns {
        let of_column = |reason| GivenError::Column { column: column.clone(), reason: Box::new(reason) };
        let items = json_items(values).map_err(of_column)?;
        let objects = objects.get_or_insert_with(|| vec![Object::new(); items.len()]);
        if objects.len() != items.len() {
            let (rows, others) = (items.len(), objects.len());
            return Err(GivenError::Uneven { column: column.clone(), rows, others });
        }
        for (object, item) in objects.iter_mut().zip(items) {
            if !item.is_null() {
                object.insert(column.clone(), item);
            }
        }
    }
    Ok(objects.unwrap_or_default().into_iter().map(|object| Json::Object(object).to_string()).collect())
}

/// The values of a list as JSON.
fn json_items(values: &v1::Values) -> Result<Vec<Json>, GivenError> {
    let at = |(place, null): (usize, bool)| match null {
        true => Ok(Json::Null),
        false => json_item(values, place),
    };
    nulls(values)?.into_iter().enumerate().map(at).collect()
}

fn json_item(values: &v1::Values, place: usize) -> Result<Json, GivenError> {
    use v1::values::Kind;
    let item = match &values.kind {
        Some(Kind::Lists(list)) => list.items.get(place).map(|item| json_items(item).map(Json::Array)),
        Some(Kind::Maps(list)) => list.items.get(place).map(json_map),
        Some(Kind::Embeddings(list)) => {
            let vector = list.floats.chunks(list.dimensions.max(1) as usize).nth(place);
            vector.map(|floats| Ok(floats.iter().map(|each| float((*each).into())).collect()))
        }
        _ => Some(scalar(values, place).and_then(json)),
    };
    item.unwrap_or_else(|| Err(GivenError::Beyond { rows: rows(values)?, place }))
}

fn json_map(map: &v1::Map) -> Result<Json, GivenError> {
    let values = map.values.as_ref().map(json_items).transpose()?.unwrap_or_default();
    if values.len() != map.keys.len() {
        return Err(GivenError::Entries { keys: map.keys.len(), values: values.len() });
    }
    Ok(map.keys.iter().cloned().zip(values).collect())
}

fn json(raw: Raw<'_>) -> Result<Json, GivenError> {
    Ok(match raw {
        Raw::Int(v) => v.into(),
        Raw::UInt(v) => v.into(),
        Raw::Float32(v) => float(v.into()),
        Raw::Float64(v) => float(v),
        Raw::Text(text) | Raw::Number(text) | Raw::Json(text) => text.into(),
        Raw::Bytes(v) => entry::to_text(&Value::Bytes(v.to_vec())).into(),
        Raw::Bool(v) => v.into(),
        Raw::Instant(micros) | Raw::Local(micros) => {
            Instant::from_micros(micros).ok_or(GivenError::NoInstant(micros))?.to_string().into()
        }
        Raw::Date(day) => {
            let checked =
                checked_day(day).ok_or(GivenError::NoDay(i32::try_from(day).unwrap_or(i32::MAX)))?;
            format_day(checked).into()
        }
    })
}

/// A float as JSON: what JSON has no number for is text.
fn float(value: f64) -> Json {
    match Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None if value.is_nan() => "NaN".into(),
        None => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
    }
}
