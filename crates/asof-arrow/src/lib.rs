//! Values as Arrow columns, both ways.
//!
//! One job: which Arrow type keeps the values of which type, and the way from an array to values and back. The crate
//! **must not know** where arrays come from, what a row is, or anything of files.
//!
//! | type | Arrow |
//! | --- | --- |
//! | int32, int64, float32, float64, bool | the same |
//! | string, json, uuid | Utf8; a uuid in lower case with hyphens, as every reader can show it |
//! | bytes | Binary |
//! | timestamp | Timestamp(microsecond, UTC) |
//! | date | Date32 |
//! | decimal(p, s) | Decimal128(p, s) |
//! | list(type) | List of nullable items |
//! | map(string, type) | Map from Utf8 to nullable values, sorted by key |
//! | embedding(n) | FixedSizeList of n Float32 that are never null |

mod builder;

pub use builder::{ColumnBuilder, constant};

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Fields, Float32Type, Float64Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType,
};
use asof_model::{Decimal, Instant, ScalarType, Uuid, Value, ValueType};

/// The Arrow type in which values of a type are kept. Instants are microseconds in UTC.
pub fn arrow_type(of: ValueType) -> DataType {
    match of {
        ValueType::Int32 => DataType::Int32,
        ValueType::Int64 => DataType::Int64,
        ValueType::Float32 => DataType::Float32,
        ValueType::Float64 => DataType::Float64,
        ValueType::String | ValueType::Json | ValueType::Uuid => DataType::Utf8,
        ValueType::Bool => DataType::Boolean,
        ValueType::Bytes => DataType::Binary,
        ValueType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ValueType::Date => DataType::Date32,
        // A scale is at most 38.
        ValueType::Decimal(of) => DataType::Decimal128(of.precision(), of.scale() as i8),
        ValueType::List(item) => DataType::List(item_field(item)),
        ValueType::Map(value) => {
            let entries = DataType::Struct(map_fields(value));
            DataType::Map(Arc::new(Field::new(MAP_ENTRIES, entries, false)), false)
        }
        ValueType::Embedding(dimensions) => DataType::FixedSizeList(embedding_field(), dimensions.into()),
    }
}

/// The name that Parquet gives the entries of a map.
const MAP_ENTRIES: &str = "key_value";

fn item_field(item: ScalarType) -> Arc<Field> {
    Arc::new(Field::new_list_field(arrow_type(item.into()), true))
}

fn map_fields(value: ScalarType) -> Fields {
    let key = Field::new("key", DataType::Utf8, false);
    Fields::from(vec![key, Field::new("value", arrow_type(value.into()), true)])
}

fn embedding_field() -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Float32, false))
}

/// The value at `row` of an array that has [`arrow_type`] of `declared`; `None` for null.
///
/// An array of another type has no values: that is refused where arrays are made. Neither has a text that is no uuid,
/// or an instant out of range.
pub fn value_at(array: &dyn Array, declared: ValueType, row: usize) -> Option<Value> {
    if array.is_null(row) {
        return None;
    }
    Some(match declared {
        ValueType::Int32 => Value::Int32(array.as_primitive_opt::<Int32Type>()?.value(row)),
        ValueType::Int64 => Value::Int64(array.as_primitive_opt::<Int64Type>()?.value(row)),
        ValueType::Float32 => Value::Float32(array.as_primitive_opt::<Float32Type>()?.value(row)),
        ValueType::Float64 => Value::Float64(array.as_primitive_opt::<Float64Type>()?.value(row)),
        ValueType::String => Value::String(array.as_string_opt::<i32>()?.value(row).to_owned()),
        ValueType::Json => Value::Json(array.as_string_opt::<i32>()?.value(row).to_owned()),
        ValueType::Uuid => Value::Uuid(Uuid::try_parse(array.as_string_opt::<i32>()?.value(row)).ok()?),
        ValueType::Bool => Value::Bool(array.as_boolean_opt()?.value(row)),
        ValueType::Bytes => Value::Bytes(array.as_binary_opt::<i32>()?.value(row).to_owned()),
        ValueType::Timestamp => {
            let micros = array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
            Value::Timestamp(Instant::from_micros(micros)?)
        }
        ValueType::Date => Value::Date(array.as_primitive_opt::<Date32Type>()?.value(row)),
        ValueType::Decimal(of) => {
            let units = array.as_primitive_opt::<Decimal128Type>()?.value(row);
            Value::Decimal(Decimal::checked(units, of).ok()?)
        }
        ValueType::List(item) => Value::List(items(&array.as_list_opt::<i32>()?.value(row), item)),
        ValueType::Map(of) => {
            let entries = array.as_map_opt()?.value(row);
            let keys = entries.column(0).as_string_opt::<i32>()?;
            let keys = keys.iter().map(|key| key.unwrap_or_default().to_owned());
            Value::map(keys.zip(items(entries.column(1), of)).collect())?
        }
        ValueType::Embedding(_) => {
            let floats = array.as_fixed_size_list_opt()?.value(row);
            Value::Embedding(floats.as_primitive_opt::<Float32Type>()?.values().to_vec())
        }
    })
}

fn items(values: &ArrayRef, of: ScalarType) -> Vec<Option<Value>> {
    (0..values.len()).map(|row| value_at(values, of.into(), row)).collect()
}
