//! What stands in a file, before it is judged: columns of raw values.

use std::path::Path;
use std::sync::Arc;

use super::nested::{is_nested, json_text};
use arrow::array::types::{
    Date32Type, Date64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use asof_model::entry::Raw;

/// A batch of rows of one file: the asked columns, in the asked order.
pub struct RawBatch {
    /// The file.
    pub file: Arc<Path>,
    /// The number of rows in each column.
    pub rows: usize,
    /// The columns.
    pub columns: Vec<RawColumn>,
    /// Places among `columns` of those that the file does not have: they are null.
    pub lacking: Vec<usize>,
    /// Where each row stands.
    pub places: Places,
    /// Rows that could not even be split into columns. They are in no column.
    pub broken: Vec<BrokenRow>,
}

impl RawBatch {
    /// Some of the columns, by their places.
    pub fn project(&self, places: &[usize]) -> Self {
        let lacks = |place: &(usize, &usize)| self.lacking.contains(place.1);
        Self {
            file: self.file.clone(),
            rows: self.rows,
            columns: places.iter().map(|place| self.columns[*place].clone()).collect(),
            lacking: places.iter().enumerate().filter(lacks).map(|(place, _)| place).collect(),
            places: self.places.clone(),
            broken: self.broken.clone(),
        }
    }

    /// The bytes that the columns take in memory, about.
    pub fn approximate_bytes(&self) -> u64 {
        self.columns.iter().map(|column| column.array.get_buffer_memory_size() as u64).sum()
    }
}

/// Where the rows of a batch stand in their file.
#[derive(Clone)]
pub enum Places {
    /// Rows follow each other from this one on, counted from 1.
    From(u64),
    /// Of the rows behind this one, counted from 1, those so far behind it.
    Of {
        /// The number of the first of them.
        first: u64,
        /// How far behind it each row is.
        rows: Vec<u32>,
    },
    /// For each row, its number and its line, both from 1; the header is no row.
    Each(Vec<(u64, u64)>),
}

impl Places {
    /// The number of the row at `index`, from 1, and its line where the format has lines.
    pub fn at(&self, index: usize) -> (u64, Option<u64>) {
        match self {
            Self::From(first) => (first + index as u64, None),
            Self::Of { first, rows } => (first + rows.get(index).copied().map_or(0, u64::from), None),
            Self::Each(places) => places.get(index).map_or((0, None), |(row, line)| (*row, Some(*line))),
        }
    }
}

/// A row that could not be split into columns.
#[derive(Clone)]
pub struct BrokenRow {
    /// Its number, from 1.
    pub row: u64,
    /// Its line, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
    /// The beginning of its text.
    pub text: String,
}

/// One column of raw values.
#[derive(Clone)]
pub struct RawColumn {
    /// The column's name in the file.
    pub name: String,
    /// The values, in one of the types that [`normalise`] leaves.
    pub array: ArrayRef,
    /// What the values of `array` are.
    pub form: Form,
}

/// What the values of a raw column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Values of the array's type.
    Typed,
    /// Bytes that are text as a person typed it, and no value of type bytes.
    Text,
    /// Strings that are the text of a JSON value each.
    Json,
}

impl RawColumn {
    /// The raw value at `row`; `None` for null.
    pub fn at(&self, row: usize) -> Option<Cow<'_>> {
        if self.array.is_null(row) {
            return None;
        }
        let array = self.array.as_ref();
        Some(match array.data_type() {
            DataType::Utf8 if self.form == Form::Json => json(array.as_string::<i32>().value(row)),
            DataType::Binary if self.form == Form::Text => {
                match std::str::from_utf8(array.as_binary::<i32>().value(row)) {
                    Ok(text) => Cow::Raw(Raw::Text(text)),
                    Err(_) => Cow::Raw(Raw::Bytes(array.as_binary::<i32>().value(row))),
                }
            }
            DataType::Binary => Cow::Raw(Raw::Bytes(array.as_binary::<i32>().value(row))),
            DataType::Utf8 => Cow::Raw(Raw::Text(array.as_string::<i32>().value(row))),
            DataType::Boolean => Cow::Raw(Raw::Bool(array.as_boolean().value(row))),
            DataType::Int8 => int(array.as_primitive::<Int8Type>().value(row)),
            DataType::Int16 => int(array.as_primitive::<Int16Type>().value(row)),
            DataType::Int32 => int(array.as_primitive::<Int32Type>().value(row)),
            DataType::Int64 => int(array.as_primitive::<Int64Type>().value(row)),
            DataType::UInt8 => int(array.as_primitive::<UInt8Type>().value(row)),
            DataType::UInt16 => int(array.as_primitive::<UInt16Type>().value(row)),
            DataType::UInt32 => int(array.as_primitive::<UInt32Type>().value(row)),
            DataType::UInt64 => {
                let value = array.as_primitive::<UInt64Type>().value(row);
                Cow::Raw(i64::try_from(value).map_or(Raw::UInt(value), Raw::Int))
            }
            DataType::Float16 => {
                Cow::Raw(Raw::Float32(array.as_primitive::<Float16Type>().value(row).to_f32()))
            }
            DataType::Float32 => Cow::Raw(Raw::Float32(array.as_primitive::<Float32Type>().value(row))),
            DataType::Float64 => Cow::Raw(Raw::Float64(array.as_primitive::<Float64Type>().value(row))),
            DataType::Date32 => Cow::Raw(Raw::Date(array.as_primitive::<Date32Type>().value(row).into())),
            DataType::Date64 => {
                Cow::Raw(Raw::Date(array.as_primitive::<Date64Type>().value(row).div_euclid(86_400_000)))
            }
            DataType::Decimal128(..) => {
                Cow::Text(array.as_primitive::<Decimal128Type>().value_as_string(row))
            }
            DataType::Decimal256(..) => {
                Cow::Text(array.as_primitive::<Decimal256Type>().value_as_string(row))
            }
            DataType::Timestamp(unit, zone) => {
                let micros = match unit {
                    TimeUnit::Second => {
                        scaled(array.as_primitive::<TimestampSecondType>().value(row), 1_000_000)
                    }
                    TimeUnit::Millisecond => {
                        scaled(array.as_primitive::<TimestampMillisecondType>().value(row), 1_000)
                    }
                    TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().value(row),
                    // Finer units floor, also before 1970.
                    TimeUnit::Nanosecond => {
                        array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000)
                    }
                };
                Cow::Raw(if zone.is_some() { Raw::Instant(micros) } else { Raw::Local(micros) })
            }
            // Every other type was refused by `normalise`; what has no JSON form reads as a text that says so.
            _ => Cow::Json(json_text(array, row).unwrap_or_else(|| "a value without JSON form".to_owned())),
        })
    }

    /// The text of a JSON value as it was written; `None` for null.
    pub(super) fn written_at(&self, row: usize) -> Option<String> {
        let texts = self.array.as_string_opt::<i32>()?;
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    }

    /// The value at `row` as text for people; `None` for null.
    pub fn text_at(&self, row: usize) -> Option<String> {
        if self.array.is_null(row) {
            return None;
        }
        match self.form {
            Form::Text => {
                return Some(String::from_utf8_lossy(self.array.as_binary::<i32>().value(row)).into_owned());
            }
            Form::Json => {
                let written = self.array.as_string::<i32>().value(row);
                return Some(serde_json::from_str(written).unwrap_or_else(|_| written.to_owned()));
            }
            Form::Typed => {}
        }
        arrow::util::display::array_value_to_string(&in_utc(&self.array), row).ok()
    }
}

/// A raw value that borrows from its column, or text made for it.
pub enum Cow<'a> {
    /// As it stands in the column.
    Raw(Raw<'a>),
    /// A decimal, as text: exact, whatever its scale.
    Text(String),
    /// A text whose escapes were replaced.
    Unescaped(String),
    /// A list, map or struct, as JSON.
    Json(String),
}

impl Cow<'_> {
    /// The raw value.
    pub fn raw(&self) -> Raw<'_> {
        match self {
            Self::Raw(raw) => *raw,
            Self::Text(text) | Self::Unescaped(text) => Raw::Text(text),
            Self::Json(text) => Raw::Json(text),
        }
    }
}

/// The value that a JSON text holds, which is not null.
fn json(written: &str) -> Cow<'_> {
    match written.as_bytes() {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => {
            Cow::Raw(Raw::Text(&written[1..written.len() - 1]))
        }
        [b'"', ..] => match serde_json::from_str(written) {
            Ok(text) => Cow::Unescaped(text),
            // Half of a surrogate pair: what was meant can't be told.
            Err(_) => Cow::Raw(Raw::Bytes(written.as_bytes())),
        },
        [b'[' | b'{', ..] => Cow::Raw(Raw::Json(written)),
        [b't' | b'f', ..] => Cow::Raw(Raw::Bool(written == "true")),
        _ => Cow::Raw(Raw::Number(written)),
    }
}

fn int<'a>(value: impl Into<i64>) -> Cow<'a> {
    Cow::Raw(Raw::Int(value.into()))
}

/// Microseconds; a product past the range stays past the range of instants.
fn scaled(count: i64, factor: i64) -> i64 {
    count.saturating_mul(factor)
}

/// The same instants, shown in UTC: the zones that Arrow itself can show are offsets. Other arrays stay as they are.
pub fn in_utc(array: &ArrayRef) -> ArrayRef {
    let zone = Some("+00:00");
    match array.data_type() {
        DataType::Timestamp(unit, Some(_)) => match unit {
            TimeUnit::Second => {
                Arc::new(array.as_primitive::<TimestampSecondType>().clone().with_timezone_opt(zone))
            }
            TimeUnit::Millisecond => {
                Arc::new(array.as_primitive::<TimestampMillisecondType>().clone().with_timezone_opt(zone))
            }
            TimeUnit::Microsecond => {
                Arc::new(array.as_primitive::<TimestampMicrosecondType>().clone().with_timezone_opt(zone))
            }
            TimeUnit::Nanosecond => {
                Arc::new(array.as_primitive::<TimestampNanosecondType>().clone().with_timezone_opt(zone))
            }
        },
        _ => array.clone(),
    }
}

/// Brings an array to a type that [`RawColumn::at`] reads: dictionaries and runs are unfolded, the several string and
/// binary layouts become one; lists, maps and structs stay. `None`: the type holds nothing that can be read.
pub fn normalise(array: &ArrayRef) -> Option<ArrayRef> {
    let plain = match array.data_type() {
        DataType::Dictionary(_, values) => return normalise(&cast(array, values).ok()?),
        DataType::RunEndEncoded(_, values) => return normalise(&cast(array, values.data_type()).ok()?),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        // A column of nulls has no type; any type holds them.
        DataType::Null => DataType::Int64,
        DataType::Decimal32(_, scale) => DataType::Decimal128(38, *scale),
        DataType::Decimal64(_, scale) => DataType::Decimal128(38, *scale),
        same if is_scalar(same) || is_nested(same) => return Some(array.clone()),
        _ => return None,
    };
    cast(array, &plain).ok()
}

fn is_scalar(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_floating()
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Utf8
                | DataType::Binary
                | DataType::Date32
                | DataType::Date64
                | DataType::Decimal128(..)
                | DataType::Decimal256(..)
                | DataType::Timestamp(..)
        )
}
