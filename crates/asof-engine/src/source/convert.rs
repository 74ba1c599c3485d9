//! From a raw column to canonical values of a declared type: value by value, or as it stands where that gives the same.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, Float64Array, ListArray};
use arrow::compute::{max, min};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Field, Float32Type, TimestampMicrosecondType};
use asof_model::entry::{self, EntryError, Raw, Reading, VALUE_BYTES_MAX};
use asof_model::value::{canonical_f32, canonical_f64};
use asof_model::{Decimal, Instant, ScalarType, ValueType, time};

use super::raw::{Cow, Form, RawColumn};
use crate::columns::{ColumnBuilder, arrow_type};

/// Turns a raw column into canonical values of the declared type. Rows that can't be are null in the array and named
/// in the list; rows that were null are null and not named.
pub fn convert(
    column: &RawColumn,
    rows: usize,
    declared: ValueType,
    reading: &Reading,
) -> (ArrayRef, Vec<(usize, EntryError)>) {
    if column.form == Form::Typed
        && let Some(array) = as_it_stands(&column.array, declared)
    {
        return (array, Vec::new());
    }
    let mut builder = ColumnBuilder::new(declared, rows);
    let mut failed = Vec::new();
    for row in 0..rows {
        let value = column.at(row).map(|raw| match raw {
            // A decimal travels as text, but its digits are not base64.
            Cow::Text(found) if declared == ValueType::Bytes => {
                Err(EntryError::NotOfType { found, declared: "bytes" })
            }
            Cow::Raw(Raw::Bytes(_)) if column.form != Form::Typed => Err(EntryError::NotText),
            raw => entry::from_raw(raw.raw(), declared, reading),
        });
        match value {
            Some(Ok(value)) => builder.append(Some(&value)),
            Some(Err(error)) => {
                failed.push((row, error));
                builder.append(None);
            }
            None => builder.append(None),
        }
    }
    (builder.finish(), failed)
}

/// The column itself, where it already holds canonical values of the declared type: the same result as going value by
/// value, without going.
fn as_it_stands(array: &ArrayRef, declared: ValueType) -> Option<ArrayRef> {
    match declared {
        ValueType::Embedding(dimensions) => return embeddings_as_they_stand(array, dimensions.into()),
        ValueType::List(item) => return lists_as_they_stand(array, item),
        _ if *array.data_type() != arrow_type(declared) => return None,
        _ => {}
    }
    match declared {
        ValueType::Int32 | ValueType::Int64 | ValueType::Bool => Some(array.clone()),
        ValueType::Float32 => {
            let floats: &Float32Array = array.as_primitive();
            Some(Arc::new(floats.unary::<_, arrow::datatypes::Float32Type>(canonical_f32)))
        }
        ValueType::Float64 => {
            let floats: &Float64Array = array.as_primitive();
            Some(Arc::new(floats.unary::<_, arrow::datatypes::Float64Type>(canonical_f64)))
        }
        ValueType::String => {
            (array.as_string::<i32>().value_data().len() <= VALUE_BYTES_MAX).then(|| array.clone())
        }
        ValueType::Bytes => {
            (array.as_binary::<i32>().value_data().len() <= VALUE_BYTES_MAX).then(|| array.clone())
        }
        ValueType::Timestamp => {
            let instants = array.as_primitive::<TimestampMicrosecondType>();
            let fits = |micros: i64| Instant::from_micros(micros).is_some();
            [min(instants), max(instants)].into_iter().flatten().all(fits).then(|| array.clone())
        }
        ValueType::Date => {
            let days = array.as_primitive::<Date32Type>();
            days.iter().flatten().all(|day| time::checked_day(day.into()).is_some()).then(|| array.clone())
        }
        ValueType::Decimal(of) => {
            let units = array.as_primitive::<Decimal128Type>();
            units.iter().flatten().all(|units| Decimal::checked(units, of).is_ok()).then(|| array.clone())
        }
        // Their texts are canonical only once they were read.
        ValueType::Uuid | ValueType::Json => None,
        // Keys have to be sorted, and looked at for repeats.
        ValueType::Map(_) => None,
        ValueType::List(_) | ValueType::Embedding(_) => None,
    }
}

/// Lists whose items stand as they are.
fn lists_as_they_stand(array: &ArrayRef, item: ScalarType) -> Option<ArrayRef> {
    let lists = array.as_list_opt::<i32>()?;
    if lists.values().get_buffer_memory_size() > VALUE_BYTES_MAX {
        return None;
    }
    let items = as_it_stands(lists.values(), item.into())?;
    let field = Arc::new(Field::new_list_field(arrow_type(item.into()), true));
    Some(Arc::new(ListArray::new(field, lists.offsets().clone(), items, lists.nulls().cloned())))
}

/// Lists of single-precision floats that all have `dimensions` items, none of them null.
fn embeddings_as_they_stand(array: &ArrayRef, dimensions: i32) -> Option<ArrayRef> {
    let declared =
        DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Float32, false)), dimensions);
    let exact = match array.data_type() {
        DataType::FixedSizeList(item, found)
            if *found == dimensions && *item.data_type() == DataType::Float32 =>
        {
            array.as_fixed_size_list().clone()
        }
        DataType::List(item) if *item.data_type() == DataType::Float32 => {
            let lists = array.as_list::<i32>();
            // A null list may take no room; casting makes it some.
            let lengths =
                (0..lists.len()).filter(|row| lists.is_valid(*row)).map(|row| lists.value_length(row));
            if lengths.into_iter().any(|length| length != dimensions) {
                return None;
            }
            let nullable = Field::new_list_field(DataType::Float32, true);
            let cast = arrow::compute::cast(array, &DataType::FixedSizeList(Arc::new(nullable), dimensions));
            cast.ok()?.as_fixed_size_list().clone()
        }
        _ => return None,
    };
    let floats = exact.values().as_primitive_opt::<Float32Type>()?;
    // A null under a null row counts for nothing, one in a row makes it wrong: row by row will tell.
    let nulls_inside = (0..exact.len()).any(|row| exact.is_valid(row) && exact.value(row).null_count() > 0);
    if nulls_inside {
        return None;
    }
    let values = floats.values().iter().map(|each| canonical_f32(*each)).collect::<Vec<_>>();
    let DataType::FixedSizeList(item, _) = declared else { return None };
    let values = Arc::new(Float32Array::from(values));
    Some(Arc::new(FixedSizeListArray::new(item, dimensions, values, exact.nulls().cloned())))
}
