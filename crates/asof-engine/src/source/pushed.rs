//! Rows that are pushed: JSON objects, a text each.

use serde_json::{Map, Number, Value};

use asof_model::Instant;
use asof_model::entry::{self, Raw};
use asof_model::time::format_day;

use super::raw::{Form, RawBatch, RawColumn};

pub use super::json_file::batch_of;

/// The rows of a batch as JSON objects, a text each, that read as the same values. Null members are left out.
pub fn objects_of(batch: &RawBatch) -> Vec<String> {
    let object = |row: usize| {
        let mut members = String::from("{");
        for column in &batch.columns {
            let Some(text) = json_at(column, row) else { continue };
            if members.len() > 1 {
                members.push(',');
            }
            members.push_str(&Value::from(column.name.as_str()).to_string());
            members.push(':');
            members.push_str(&text);
        }
        members.push('}');
        members
    };
    (0..batch.rows).map(object).collect()
}

/// A value as JSON; `None` for null.
fn json_at(column: &RawColumn, row: usize) -> Option<String> {
    if column.form == Form::Json {
        return column.written_at(row);
    }
    let value = column.at(row)?;
    let float = |value: f64| match Number::from_f64(value) {
        Some(number) => number.to_string(),
        // What JSON has no number for is text.
        None if value.is_nan() => "\"NaN\"".to_owned(),
        None => if value > 0.0 { "\"inf\"" } else { "\"-inf\"" }.to_owned(),
    };
    Some(match value.raw() {
        Raw::Int(value) => value.to_string(),
        Raw::UInt(value) => value.to_string(),
        Raw::Float32(value) => float(value.into()),
        Raw::Float64(value) => float(value),
        Raw::Number(text) | Raw::Json(text) => text.to_owned(),
        Raw::Text(text) => Value::from(text).to_string(),
        Raw::Bytes(bytes) => {
            // As text formats write them.
            Value::from(entry::to_text(&asof_model::Value::Bytes(bytes.to_vec()))).to_string()
        }
        Raw::Bool(value) => value.to_string(),
        Raw::Instant(micros) => Value::from(Instant::from_micros(micros)?.to_string()).to_string(),
        Raw::Local(micros) => {
            // Without an offset, as it stands there: the zone of its source says what it means.
            let text = Instant::from_micros(micros)?.to_string();
            Value::from(text.trim_end_matches('Z')).to_string()
        }
        Raw::Date(day) => Value::from(format_day(i32::try_from(day).ok()?)).to_string(),
    })
}

/// One object of a table by columns, as a text: `row` of each.
pub fn object_of_columns(columns: &Map<String, Value>, row: usize) -> String {
    let of = |(name, values): (&String, &Value)| Some((name.clone(), values.get(row)?.clone()));
    Value::Object(columns.iter().filter_map(of).collect()).to_string()
}
