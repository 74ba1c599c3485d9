//! Join keys as JSON carries them become typed values, without loss or not at all.

use asof_model::entry::{self, EntryError, KEY_BYTES_MAX, Raw, Reading};
use asof_model::{Value, ValueType, name};
use asof_store::StoreError;
use asof_store::request::{PlannedJoin, RequestPlan};
use serde_json::Value as Json;

/// From here on a JSON number with a fraction or an exponent may stand for several integers.
const EXACT_FLOAT_END: f64 = 9_007_199_254_740_992.0;

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
    json: &Json,
) -> Result<Option<Value>, StoreError> {
    let bad = |reason: String| StoreError::BadKey {
        key: column.to_owned(),
        reason: format!("row {row} (counted from 0): {reason}"),
    };
    let raw = match json {
        Json::Null => return Ok(None),
        Json::Bool(flag) => Raw::Bool(*flag),
        Json::String(text) if text.len() > KEY_BYTES_MAX => {
            return Err(bad(format!("a text of {} bytes, a key has at most {KEY_BYTES_MAX}", text.len())));
        }
        Json::String(text) => Raw::Text(text),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), _, _) => Raw::Int(integer),
            (None, Some(integer), _) => Raw::UInt(integer),
            (None, None, Some(float)) if float.abs() < EXACT_FLOAT_END => Raw::Float64(float),
            _ => return Err(bad(format!("{number} cannot be read exactly as {declared}"))),
        },
        Json::Array(_) => return Err(bad(format!("a list is not of type {declared}"))),
        Json::Object(_) => return Err(bad(format!("an object is not of type {declared}"))),
    };
    match entry::from_raw(raw, declared, &Reading::default()) {
        Ok(value) => Ok(Some(value)),
        // A request names no unit for integer times.
        Err(EntryError::NoUnit { found }) => {
            Err(bad(format!("{found} is an integer, not an RFC 3339 instant")))
        }
        Err(error) => Err(bad(error.to_string())),
    }
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
