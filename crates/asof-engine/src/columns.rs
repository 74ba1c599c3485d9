//! The columns of a history row: their names, their schema, and the cells and keys in them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
pub use asof_arrow::{ColumnBuilder, arrow_type, constant, value_at};
use asof_model::canonical;
use asof_model::spec::{Feature, JoinKey};
use asof_model::{Cell, Value, ValueType};

/// The history column of the event instant.
pub const EVENT: &str = "event_timestamp";
/// The history column of the created instant.
pub const CREATED: &str = "created_timestamp";
/// The history column that names a row's publication unit.
pub const UNIT: &str = "__unit";
/// The history column with the names of the features that are in error. Null: none is.
pub const ERRORS: &str = "__errors";

/// The columns of a history row: join keys, event, created, unit, features in order of addition, errors.
pub fn history_schema(keys: &[JoinKey], features: &[Feature]) -> SchemaRef {
    let instant = arrow_type(ValueType::Timestamp);
    let mut fields: Vec<Field> = Vec::with_capacity(keys.len() + features.len() + 4);
    fields.extend(keys.iter().map(|key| Field::new(&key.name, arrow_type(key.value_type), false)));
    fields.push(Field::new(EVENT, instant.clone(), false));
    fields.push(Field::new(CREATED, instant, false));
    fields.push(Field::new(UNIT, DataType::Utf8, false));
    fields.extend(
        features.iter().map(|feature| Field::new(&feature.name, arrow_type(feature.value_type), true)),
    );
    fields.push(Field::new(ERRORS, DataType::new_list(DataType::Utf8, true), true));
    Arc::new(Schema::new(fields))
}

/// Whether the list of names at `row` holds `feature`.
pub fn has_error(errors: &dyn Array, row: usize, feature: &str) -> bool {
    let Some(lists) = errors.as_list_opt::<i32>() else { return false };
    if lists.is_null(row) {
        return false;
    }
    let names = lists.value(row);
    names.as_string_opt::<i32>().is_some_and(|names| names.iter().flatten().any(|name| name == feature))
}

/// The cells of a history row, in the order of `features`.
pub fn cells_at(columns: &[ArrayRef], errors: &dyn Array, features: &[Feature], row: usize) -> Vec<Cell> {
    cells(columns, errors, features, row).collect()
}

fn cells<'a>(
    columns: &'a [ArrayRef],
    errors: &'a dyn Array,
    features: &'a [Feature],
    row: usize,
) -> impl Iterator<Item = Cell> + 'a {
    let any_error = errors.is_valid(row);
    columns.iter().zip(features).map(move |(column, feature)| {
        if any_error && has_error(errors, row, &feature.name) {
            return Cell::Error;
        }
        value_at(column, feature.value_type, row).map_or(Cell::Null, Cell::Value)
    })
}

/// The canonical bytes of a history row's first `features.len()` features.
pub fn row_bytes_at(columns: &[ArrayRef], errors: &dyn Array, features: &[Feature], row: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(features.len() * 10);
    for (cell, feature) in cells(columns, errors, features, row).zip(features) {
        canonical::write_cell(&mut bytes, feature.value_type, &cell);
    }
    bytes
}

/// Writes the encoded keys of the rows of a batch, one after the other.
pub struct KeyColumns<'a> {
    columns: Vec<(&'a ArrayRef, ValueType)>,
}

impl<'a> KeyColumns<'a> {
    /// The join keys' columns with their types; each array has [`arrow_type`] of its type.
    pub fn new(columns: Vec<(&'a ArrayRef, ValueType)>) -> Self {
        Self { columns }
    }

    /// Puts the key of `row` in `out`, which is cleared first. False: a part is null, and `out` is of no use.
    pub fn encode(&self, row: usize, out: &mut Vec<u8>) -> bool {
        out.clear();
        for (array, declared) in &self.columns {
            if array.is_null(row) {
                return false;
            }
            match declared {
                ValueType::Int64 => match array.as_primitive_opt::<Int64Type>() {
                    Some(array) => asof_model::key::encode_part(out, &Value::Int64(array.value(row))),
                    None => return false,
                },
                ValueType::String => match array.as_string_opt::<i32>() {
                    // Without a copy of the text: this is the inner loop of the join.
                    Some(array) => asof_model::key::encode_text(out, array.value(row).as_bytes()),
                    None => return false,
                },
                ValueType::Bytes => match array.as_binary_opt::<i32>() {
                    Some(array) => asof_model::key::encode_text(out, array.value(row)),
                    None => return false,
                },
                _ => match value_at(array, *declared, row) {
                    Some(value) => asof_model::key::encode_part(out, &value),
                    None => return false,
                },
            }
        }
        true
    }
}
