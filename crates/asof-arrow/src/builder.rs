//! From values to arrays.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, FixedSizeListArray,
    Float32Array, Float32Builder, Float64Builder, Int32Builder, Int64Builder, ListArray, MapArray,
    NullBufferBuilder, StringBuilder, StructArray, TimestampMicrosecondBuilder,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::Field;
use asof_model::{ScalarType, Value, ValueType};

use crate::{MAP_ENTRIES, arrow_type, embedding_field, item_field, map_fields};

/// Collects values of one declared type into an array of its [`arrow_type`].
pub struct ColumnBuilder(Values);

enum Values {
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    String(StringBuilder),
    Json(StringBuilder),
    Uuid(StringBuilder),
    Bool(BooleanBuilder),
    Bytes(BinaryBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Date(Date32Builder),
    Decimal(Decimal128Builder, u8),
    List(ScalarType, Box<ColumnBuilder>, Runs),
    Map(ScalarType, StringBuilder, Box<ColumnBuilder>, Runs),
    Embedding(u16, Vec<f32>, NullBufferBuilder),
}

/// How many items each list has, and which lists are null.
struct Runs {
    lengths: Vec<usize>,
    nulls: NullBufferBuilder,
}

impl Runs {
    fn with_capacity(capacity: usize) -> Self {
        Self { lengths: Vec::with_capacity(capacity), nulls: NullBufferBuilder::new(capacity) }
    }

    fn push(&mut self, length: Option<usize>) {
        self.lengths.push(length.unwrap_or(0));
        self.nulls.append(length.is_some());
    }
}

impl ColumnBuilder {
    /// A builder for values of `declared` with room for `capacity` of them.
    pub fn new(declared: ValueType, capacity: usize) -> Self {
        let text = || StringBuilder::with_capacity(capacity, capacity * 8);
        Self(match declared {
            ValueType::Int32 => Values::Int32(Int32Builder::with_capacity(capacity)),
            ValueType::Int64 => Values::Int64(Int64Builder::with_capacity(capacity)),
            ValueType::Float32 => Values::Float32(Float32Builder::with_capacity(capacity)),
            ValueType::Float64 => Values::Float64(Float64Builder::with_capacity(capacity)),
            ValueType::String => Values::String(text()),
            ValueType::Json => Values::Json(text()),
            ValueType::Uuid => Values::Uuid(text()),
            ValueType::Bool => Values::Bool(BooleanBuilder::with_capacity(capacity)),
            ValueType::Bytes => Values::Bytes(BinaryBuilder::with_capacity(capacity, capacity * 8)),
            ValueType::Timestamp => {
                let builder = TimestampMicrosecondBuilder::with_capacity(capacity);
                Values::Timestamp(builder.with_data_type(arrow_type(declared)))
            }
            ValueType::Date => Values::Date(Date32Builder::with_capacity(capacity)),
            ValueType::Decimal(of) => {
                let builder = Decimal128Builder::with_capacity(capacity);
                Values::Decimal(builder.with_data_type(arrow_type(declared)), of.scale())
            }
            ValueType::List(item) => {
                let items = Box::new(Self::new(item.into(), capacity));
                Values::List(item, items, Runs::with_capacity(capacity))
            }
            ValueType::Map(of) => {
                let values = Box::new(Self::new(of.into(), capacity));
                Values::Map(of, text(), values, Runs::with_capacity(capacity))
            }
            ValueType::Embedding(dimensions) => {
                let floats = Vec::with_capacity(capacity * usize::from(dimensions));
                Values::Embedding(dimensions, floats, NullBufferBuilder::new(capacity))
            }
        })
    }

    /// Appends a value; null for `None`, and for a value of another type than the builder's (the caller's defect).
    pub fn append(&mut self, value: Option<&Value>) {
        match (&mut self.0, value) {
            (Values::Int32(b), Some(Value::Int32(v))) => b.append_value(*v),
            (Values::Int64(b), Some(Value::Int64(v))) => b.append_value(*v),
            (Values::Float32(b), Some(Value::Float32(v))) => b.append_value(*v),
            (Values::Float64(b), Some(Value::Float64(v))) => b.append_value(*v),
            (Values::String(b), Some(Value::String(v))) => b.append_value(v),
            (Values::Json(b), Some(Value::Json(v))) => b.append_value(v),
            (Values::Uuid(b), Some(Value::Uuid(v))) => {
                let mut text = uuid_text();
                b.append_value(v.hyphenated().encode_lower(&mut text));
            }
            (Values::Bool(b), Some(Value::Bool(v))) => b.append_value(*v),
            (Values::Bytes(b), Some(Value::Bytes(v))) => b.append_value(v),
            (Values::Timestamp(b), Some(Value::Timestamp(v))) => b.append_value(v.micros()),
            (Values::Date(b), Some(Value::Date(v))) => b.append_value(*v),
            (Values::Decimal(b, scale), Some(Value::Decimal(v))) if v.scale == *scale => {
                b.append_value(v.units);
            }
            (Values::List(_, items, runs), Some(Value::List(list))) => {
                list.iter().for_each(|item| items.append(item.as_ref()));
                runs.push(Some(list.len()));
            }
            (Values::Map(_, keys, values, runs), Some(Value::Map(entries))) => {
                for (key, value) in entries {
                    keys.append_value(key);
                    values.append(value.as_ref());
                }
                runs.push(Some(entries.len()));
            }
            (Values::Embedding(dimensions, floats, nulls), Some(Value::Embedding(v)))
                if v.len() == usize::from(*dimensions) =>
            {
                floats.extend(v);
                nulls.append_non_null();
            }
            (values, _) => values.append_null(),
        }
    }

    /// Appends an [`ValueType::Int64`]. Null elsewhere (the caller's defect).
    #[inline]
    pub fn append_int64(&mut self, value: i64) {
        match &mut self.0 {
            Values::Int64(b) => b.append_value(value),
            values => values.append_null(),
        }
    }

    /// Appends a [`ValueType::Float64`]. Null elsewhere (the caller's defect).
    #[inline]
    pub fn append_float64(&mut self, value: f64) {
        match &mut self.0 {
            Values::Float64(b) => b.append_value(value),
            values => values.append_null(),
        }
    }

    /// Appends text where the builder takes it as it is: [`ValueType::String`] and [`ValueType::Json`]. Null elsewhere (the
    /// caller's defect).
    #[inline]
    pub fn append_text(&mut self, text: &str) {
        match &mut self.0 {
            Values::String(b) | Values::Json(b) => b.append_value(text),
            values => values.append_null(),
        }
    }

    /// The array of everything appended.
    pub fn finish(self) -> ArrayRef {
        match self.0 {
            Values::Int32(mut b) => Arc::new(b.finish()),
            Values::Int64(mut b) => Arc::new(b.finish()),
            Values::Float32(mut b) => Arc::new(b.finish()),
            Values::Float64(mut b) => Arc::new(b.finish()),
            Values::String(mut b) | Values::Json(mut b) | Values::Uuid(mut b) => Arc::new(b.finish()),
            Values::Bool(mut b) => Arc::new(b.finish()),
            Values::Bytes(mut b) => Arc::new(b.finish()),
            Values::Timestamp(mut b) => Arc::new(b.finish()),
            Values::Date(mut b) => Arc::new(b.finish()),
            Values::Decimal(mut b, _) => Arc::new(b.finish()),
            Values::List(item, items, mut runs) => {
                let offsets = OffsetBuffer::from_lengths(runs.lengths);
                Arc::new(ListArray::new(item_field(item), offsets, items.finish(), runs.nulls.finish()))
            }
            Values::Map(of, mut keys, values, mut runs) => {
                let fields = map_fields(of);
                let columns = vec![Arc::new(keys.finish()) as ArrayRef, values.finish()];
                let entries = StructArray::new(fields, columns, None);
                let field = Arc::new(Field::new(MAP_ENTRIES, entries.data_type().clone(), false));
                let offsets = OffsetBuffer::from_lengths(runs.lengths);
                Arc::new(MapArray::new(field, offsets, entries, runs.nulls.finish(), false))
            }
            Values::Embedding(dimensions, floats, mut nulls) => {
                let floats = Arc::new(Float32Array::from(floats));
                let nulls = nulls.finish();
                Arc::new(FixedSizeListArray::new(embedding_field(), dimensions.into(), floats, nulls))
            }
        }
    }
}

impl Values {
    fn append_null(&mut self) {
        match self {
            Self::Int32(b) => b.append_null(),
            Self::Int64(b) => b.append_null(),
            Self::Float32(b) => b.append_null(),
            Self::Float64(b) => b.append_null(),
            Self::String(b) | Self::Json(b) | Self::Uuid(b) => b.append_null(),
            Self::Bool(b) => b.append_null(),
            Self::Bytes(b) => b.append_null(),
            Self::Timestamp(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Decimal(b, _) => b.append_null(),
            Self::List(_, _, runs) | Self::Map(_, _, _, runs) => runs.push(None),
            Self::Embedding(dimensions, floats, nulls) => {
                floats.extend(std::iter::repeat_n(0.0, usize::from(*dimensions)));
                nulls.append_null();
            }
        }
    }
}

/// Room for the text of a uuid.
fn uuid_text() -> [u8; 36] {
    [0; 36]
}

/// An array of one value, or null, repeated.
pub fn constant(declared: ValueType, value: Option<&Value>, rows: usize) -> ArrayRef {
    let mut builder = ColumnBuilder::new(declared, rows);
    (0..rows).for_each(|_| builder.append(value));
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value_at;
    use asof_testkit::values::edge_values;

    /// Goal: values of every type, and nulls among them, come back as they went in, in the array of their type.
    #[test]
    fn values_come_back() {
        for of in ValueType::examples() {
            let mut values: Vec<_> = edge_values(of).into_iter().map(Some).collect();
            values.insert(1, None);
            let mut builder = ColumnBuilder::new(of, 0);
            values.iter().for_each(|value| builder.append(value.as_ref()));
            // A value of another type is no value.
            builder.append(Some(&if of == ValueType::Bool { Value::Int32(1) } else { Value::Bool(true) }));
            let array = builder.finish();
            assert_eq!(*array.data_type(), arrow_type(of));
            values.push(None);
            let back: Vec<_> = (0..array.len()).map(|row| value_at(&array, of, row)).collect();
            assert_eq!(back, values, "{of}");
        }
    }
}
