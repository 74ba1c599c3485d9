//! Events on their way to the shard of their key: bytes that are written once and read once.

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray,
};
use arrow::datatypes::{Float32Type, Float64Type, Int32Type, Int64Type};
use asof_engine::columns::{has_error, value_at};
use asof_model::ValueType;
use asof_model::spec::Feature;
use asof_window::events::bytes_of;
use asof_window::{Column, Mark};

use crate::buckets::Record;
use crate::join::KeyForm;

const NULL: u8 = 0;
const VALUE: u8 = 1;
const ERROR: u8 = 2;

/// An event without its key and its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Microseconds.
    pub event: i64,
    /// Microseconds.
    pub created: i64,
    /// Its publication unit.
    pub unit: u32,
}

/// Writes the key of an event and when it was. `key`: its bytes, where keys are bytes; else its number.
pub(super) fn write_head(out: &mut Vec<u8>, number: i64, key: Option<&[u8]>, head: Head) {
    out.extend(head.event.to_le_bytes());
    out.extend(head.created.to_le_bytes());
    out.extend(head.unit.to_le_bytes());
    match key {
        None => out.extend(number.to_le_bytes()),
        Some(key) => {
            out.extend((key.len() as u32).to_le_bytes());
            out.extend_from_slice(key);
        }
    }
}

/// Reads what [`write_head`] wrote, with the key as a number or as bytes.
pub(super) fn read_head<'r>(record: &mut Record<'r>, form: KeyForm) -> (Head, i64, &'r [u8]) {
    let head = Head { event: record.i64(), created: record.i64(), unit: record.u32() };
    match form {
        KeyForm::Number => (head, record.i64(), &[]),
        KeyForm::Bytes => {
            let length = record.u32() as usize;
            (head, 0, record.bytes(length))
        }
    }
}

/// A column of inputs, as its cells are written.
pub(super) struct InputColumn<'a> {
    name: &'a str,
    errors: Option<&'a ArrayRef>,
    values: Typed<'a>,
}

enum Typed<'a> {
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Float32(&'a Float32Array),
    Float64(&'a Float64Array),
    Text(&'a StringArray),
    Bool(&'a BooleanArray),
    Other(&'a ArrayRef, ValueType),
}

impl<'a> InputColumn<'a> {
    /// The columns of a batch that has one for each input, then one that names those in error.
    pub fn all(columns: &'a RecordBatch, inputs: &'a [(usize, Feature)]) -> Vec<Self> {
        let errors = columns.columns().last().filter(|errors| errors.null_count() < errors.len());
        let of = |(array, (_, input)): (&'a ArrayRef, &'a (usize, Feature))| {
            let values = match input.value_type {
                ValueType::Int32 => array.as_primitive_opt::<Int32Type>().map(Typed::Int32),
                ValueType::Int64 => array.as_primitive_opt::<Int64Type>().map(Typed::Int64),
                ValueType::Float32 => array.as_primitive_opt::<Float32Type>().map(Typed::Float32),
                ValueType::Float64 => array.as_primitive_opt::<Float64Type>().map(Typed::Float64),
                ValueType::String => array.as_string_opt::<i32>().map(Typed::Text),
                ValueType::Bool => array.as_boolean_opt().map(Typed::Bool),
                _ => None,
            };
            Self {
                name: &input.name,
                errors,
                values: values.unwrap_or(Typed::Other(array, input.value_type)),
            }
        };
        columns.columns().iter().zip(inputs).map(of).collect()
    }

    /// Writes the cell of a row.
    #[inline]
    pub fn write(&self, out: &mut Vec<u8>, row: usize) {
        if self.errors.is_some_and(|errors| errors.is_valid(row) && has_error(errors, row, self.name)) {
            out.push(ERROR);
            return;
        }
        macro_rules! fixed {
            ($array:expr) => {
                match $array.is_valid(row) {
                    false => out.push(NULL),
                    true => {
                        out.push(VALUE);
                        out.extend($array.value(row).to_le_bytes());
                    }
                }
            };
        }
        match &self.values {
            Typed::Int32(array) => fixed!(array),
            Typed::Int64(array) => fixed!(array),
            Typed::Float32(array) => fixed!(array),
            Typed::Float64(array) => fixed!(array),
            Typed::Text(array) if array.is_valid(row) => text(out, array.value(row).as_bytes()),
            Typed::Bool(array) if array.is_valid(row) => text(out, &[u8::from(array.value(row))]),
            Typed::Text(_) | Typed::Bool(_) => out.push(NULL),
            Typed::Other(array, of) => match value_at(array.as_ref(), *of, row) {
                None => out.push(NULL),
                Some(value) => text(out, &bytes_of(&value)),
            },
        }
    }
}

fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(VALUE);
    out.extend((bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Passes the cells of an event.
pub(super) fn pass_cells(record: &mut Record<'_>, inputs: &[(usize, Feature)]) {
    for (_, input) in inputs {
        if record.bytes(1) == [VALUE] {
            match input.value_type {
                ValueType::Int32 | ValueType::Float32 => drop(record.u32()),
                ValueType::Int64 | ValueType::Float64 => drop(record.u64()),
                _ => {
                    let length = record.u32() as usize;
                    record.bytes(length);
                }
            }
        }
    }
}

/// Reads the cells of an event, each into its column.
pub(super) fn read_cells(record: &mut Record<'_>, columns: &mut [Column]) {
    for column in columns {
        match record.bytes(1) {
            [VALUE] => match column.value_type() {
                ValueType::Int32 => column.push_integer(i64::from(record.u32() as i32)),
                ValueType::Int64 => column.push_integer(record.i64()),
                ValueType::Float32 => column.push_float(f64::from(f32::from_bits(record.u32()))),
                ValueType::Float64 => column.push_float(f64::from_bits(record.u64())),
                _ => {
                    let length = record.u32() as usize;
                    if !column.push_bytes(record.bytes(length)) {
                        column.push_mark(Mark::Error);
                    }
                }
            },
            [ERROR] => column.push_mark(Mark::Error),
            _ => column.push_mark(Mark::Null),
        }
    }
}
