//! Lists, maps and structs of a file, as the JSON text that says the same.
//!
//! One way in for everything nested: what a Parquet list holds is read by the rules that a CSV field or a JSON value
//! with the same items is read by.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use asof_model::entry::{self, Raw};
use asof_model::{Instant, Value, json, time};

use super::raw::{Cow, Form, RawColumn, normalise};

/// The deepest nesting that is read. Deeper columns are refused as a whole.
const DEPTH_MAX: usize = 16;

/// Whether arrays of this type hold lists, maps or structs of what can be read.
pub(super) fn is_nested(data_type: &DataType) -> bool {
    readable(data_type, DEPTH_MAX) && data_type.is_nested()
}

fn readable(data_type: &DataType, depth: usize) -> bool {
    let below = |field: &arrow::datatypes::FieldRef| depth > 0 && readable(field.data_type(), depth - 1);
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => below(item),
        DataType::Map(entries, _) => below(entries),
        DataType::Struct(fields) => fields.iter().all(below),
        leaf => !leaf.is_nested(),
    }
}

/// The JSON text of the value at `row`, which is not null. `None`: it holds something that has no JSON form, such as
/// a time of day.
pub(super) fn json_text(array: &dyn Array, row: usize) -> Option<String> {
    let mut out = String::new();
    write(&mut out, array, row)?;
    Some(out)
}

fn write(out: &mut String, array: &dyn Array, row: usize) -> Option<()> {
    if array.is_null(row) {
        out.push_str("null");
        return Some(());
    }
    match array.data_type() {
        DataType::List(_) => write_items(out, &array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => write_items(out, &array.as_list::<i64>().value(row)),
        DataType::FixedSizeList(..) => write_items(out, &array.as_fixed_size_list().value(row)),
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let keys = leaf(entries.column(0))?;
            let values = entries.column(1);
            write_all(out, ['{', '}'], entries.len(), |out, entry| {
                let key = keys.at(entry)?;
                let key =
                    entry::from_raw(key.raw(), asof_model::ValueType::String, &Default::default()).ok()?;
                json::write_text(out, &entry::to_text(&key));
                out.push(':');
                write(out, values, entry)
            })
        }
        DataType::Struct(_) => {
            let members = array.as_struct();
            let names = members.column_names();
            write_all(out, ['{', '}'], names.len(), |out, member| {
                json::write_text(out, names[member]);
                out.push(':');
                write(out, members.column(member), row)
            })
        }
        _ => write_leaf(out, &leaf(&array.slice(row, 1))?, 0),
    }
}

fn write_items(out: &mut String, items: &ArrayRef) -> Option<()> {
    if items.data_type().is_nested() {
        return write_all(out, ['[', ']'], items.len(), |out, item| write(out, items, item));
    }
    let items = leaf(items)?;
    write_all(out, ['[', ']'], items.array.len(), |out, item| write_leaf(out, &items, item))
}

fn write_all(
    out: &mut String,
    [open, close]: [char; 2],
    count: usize,
    mut write: impl FnMut(&mut String, usize) -> Option<()>,
) -> Option<()> {
    out.push(open);
    for place in 0..count {
        if place > 0 {
            out.push(',');
        }
        write(out, place)?;
    }
    out.push(close);
    Some(())
}

fn leaf(array: &ArrayRef) -> Option<RawColumn> {
    Some(RawColumn { name: String::new(), array: normalise(array)?, form: Form::Typed })
}

fn write_leaf(out: &mut String, column: &RawColumn, row: usize) -> Option<()> {
    let Some(found) = column.at(row) else {
        out.push_str("null");
        return Some(());
    };
    let quoted = |out: &mut String, text: String| json::write_text(out, &text);
    match found {
        // A decimal: a number with all its digits.
        Cow::Text(digits) => out.push_str(&digits),
        Cow::Json(text) => out.push_str(&text),
        Cow::Unescaped(text) => json::write_text(out, &text),
        Cow::Raw(raw) => match raw {
            Raw::Int(v) => write!(out, "{v}").ok()?,
            Raw::UInt(v) => write!(out, "{v}").ok()?,
            Raw::Bool(v) => write!(out, "{v}").ok()?,
            // As the double that it is, so that an item and a column of the same type become the same double.
            Raw::Float32(v) => write_float(out, f64::from(v))?,
            Raw::Float64(v) => write_float(out, v)?,
            Raw::Text(text) => json::write_text(out, text),
            Raw::Bytes(bytes) => quoted(out, entry::to_text(&Value::Bytes(bytes.to_vec()))),
            Raw::Instant(micros) => quoted(out, Instant::from_micros(micros)?.to_string()),
            // Without offset, as it was: the zone of the source says what it means.
            Raw::Local(micros) => {
                quoted(out, Instant::from_micros(micros)?.to_string().trim_end_matches('Z').to_owned());
            }
            Raw::Date(day) => quoted(out, time::format_day(time::checked_day(day)?)),
            Raw::Number(text) | Raw::Json(text) => out.push_str(text),
        },
    }
    Some(())
}

fn write_float(out: &mut String, v: f64) -> Option<()> {
    if v.is_finite() { write!(out, "{v:?}").ok() } else { write!(out, "\"{v:?}\"").ok() }
}
