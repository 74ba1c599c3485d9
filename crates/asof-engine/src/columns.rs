//! Arrow arrays and cells, both ways, and the schema of a history row.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanBuilder, Date32Builder, Float32Builder, Float64Builder,
    Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{
    DataType, Date32Type, Field, Float32Type, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, TimeUnit,
    TimestampMicrosecondType,
};
use asof_model::canonical;
use asof_model::spec::{Feature, JoinKey};
use asof_model::{Cell, Instant, Value, ValueType};

/// The history column of the event instant.
pub const EVENT: &str = "event_timestamp";
/// The history column of the created instant.
pub const CREATED: &str = "created_timestamp";
/// The history column that names a row's publication unit.
pub const UNIT: &str = "__unit";
/// The history column with the names of the features that are in error. Null: none is.
pub const ERRORS: &str = "__errors";

/// The Arrow type in which values of a type are kept. Instants are microseconds in UTC.
pub fn arrow_type(of: ValueType) -> DataType {
    match of {
        ValueType::Int32 => DataType::Int32,
        ValueType::Int64 => DataType::Int64,
        ValueType::Float32 => DataType::Float32,
        ValueType::Float64 => DataType::Float64,
        ValueType::String => DataType::Utf8,
        ValueType::Bool => DataType::Boolean,
        ValueType::Bytes => DataType::Binary,
        ValueType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ValueType::Date => DataType::Date32,
    }
}

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

/// The value at `row` of an array that has [`arrow_type`] of `declared`; `None` for null.
///
/// An array of another type has no values: that is refused where arrays are made.
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
        ValueType::Bool => Value::Bool(array.as_boolean_opt()?.value(row)),
        ValueType::Bytes => Value::Bytes(array.as_binary_opt::<i32>()?.value(row).to_owned()),
        ValueType::Timestamp => {
            let micros = array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
            Value::Timestamp(Instant::from_micros(micros)?)
        }
        ValueType::Date => Value::Date(array.as_primitive_opt::<Date32Type>()?.value(row)),
    })
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

/// Collects values of one declared type into an array of its [`arrow_type`].
pub enum ColumnBuilder {
    /// int32
    Int32(Int32Builder),
    /// int64
    Int64(Int64Builder),
    /// float32
    Float32(Float32Builder),
    /// float64
    Float64(Float64Builder),
    /// string
    String(StringBuilder),
    /// bool
    Bool(BooleanBuilder),
    /// bytes
    Bytes(BinaryBuilder),
    /// timestamp
    Timestamp(TimestampMicrosecondBuilder),
    /// date
    Date(Date32Builder),
}

impl ColumnBuilder {
    /// A builder for values of `declared` with room for `capacity` of them.
    pub fn new(declared: ValueType, capacity: usize) -> Self {
        match declared {
            ValueType::Int32 => Self::Int32(Int32Builder::with_capacity(capacity)),
            ValueType::Int64 => Self::Int64(Int64Builder::with_capacity(capacity)),
            ValueType::Float32 => Self::Float32(Float32Builder::with_capacity(capacity)),
            ValueType::Float64 => Self::Float64(Float64Builder::with_capacity(capacity)),
            ValueType::String => Self::String(StringBuilder::with_capacity(capacity, capacity * 8)),
            ValueType::Bool => Self::Bool(BooleanBuilder::with_capacity(capacity)),
            ValueType::Bytes => Self::Bytes(BinaryBuilder::with_capacity(capacity, capacity * 8)),
            ValueType::Timestamp => {
                let builder = TimestampMicrosecondBuilder::with_capacity(capacity);
                Self::Timestamp(builder.with_data_type(arrow_type(ValueType::Timestamp)))
            }
            ValueType::Date => Self::Date(Date32Builder::with_capacity(capacity)),
        }
    }

    /// Appends a value; null for `None`, and for a value of another type than the builder's (the caller's defect).
    pub fn append(&mut self, value: Option<&Value>) {
        match (self, value) {
            (Self::Int32(b), Some(Value::Int32(v))) => b.append_value(*v),
            (Self::Int64(b), Some(Value::Int64(v))) => b.append_value(*v),
            (Self::Float32(b), Some(Value::Float32(v))) => b.append_value(*v),
            (Self::Float64(b), Some(Value::Float64(v))) => b.append_value(*v),
            (Self::String(b), Some(Value::String(v))) => b.append_value(v),
            (Self::Bool(b), Some(Value::Bool(v))) => b.append_value(*v),
            (Self::Bytes(b), Some(Value::Bytes(v))) => b.append_value(v),
            (Self::Timestamp(b), Some(Value::Timestamp(v))) => b.append_value(v.micros()),
            (Self::Date(b), Some(Value::Date(v))) => b.append_value(*v),
            (this, _) => this.append_null(),
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Int32(b) => b.append_null(),
            Self::Int64(b) => b.append_null(),
            Self::Float32(b) => b.append_null(),
            Self::Float64(b) => b.append_null(),
            Self::String(b) => b.append_null(),
            Self::Bool(b) => b.append_null(),
            Self::Bytes(b) => b.append_null(),
            Self::Timestamp(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
        }
    }

    /// The array of everything appended.
    pub fn finish(mut self) -> ArrayRef {
        match &mut self {
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::Float32(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::String(b) => Arc::new(b.finish()),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Bytes(b) => Arc::new(b.finish()),
            Self::Timestamp(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
        }
    }
}

/// An array of one value, or null, repeated.
pub fn constant(declared: ValueType, value: Option<&Value>, rows: usize) -> ArrayRef {
    let mut builder = ColumnBuilder::new(declared, rows);
    (0..rows).for_each(|_| builder.append(value));
    builder.finish()
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
