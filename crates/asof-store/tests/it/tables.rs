//! The same rows in every carrier: CSV, JSON lines, Parquet of text, Parquet of typed columns.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};
use asof_engine::columns::ColumnBuilder;
use asof_model::entry::to_text;
use asof_model::{Cell, Instant, Value, ValueType};
use parquet::arrow::ArrowWriter;

/// How a file carries rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// CSV, in which an empty text would be null.
    Csv,
    /// JSON, one object on each line; nulls are null or left out, in turn.
    Json,
    /// Parquet with a text column for each.
    Text,
    /// Parquet with columns of the declared types, but for those with something that is no value of the type.
    Typed,
}

/// One column of a table.
#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub of: ValueType,
    pub fields: Vec<Option<FieldOf>>,
}

/// One field that is not null.
#[derive(Debug, Clone)]
pub enum FieldOf {
    /// A value, perhaps not in its canonical form.
    Value(Value),
    /// A text, perhaps not of the column's type.
    Text(String),
    /// Bytes that are no text.
    Broken,
}

/// Bytes that are no text.
const NO_TEXT: &[u8] = b"\xff\xfe";

impl Column {
    pub fn new(name: &str, of: ValueType) -> Self {
        Self { name: name.to_owned(), of, fields: Vec::new() }
    }

    /// A column of values.
    pub fn values(name: &str, of: ValueType, values: impl IntoIterator<Item = Option<Value>>) -> Self {
        let fields = values.into_iter().map(|value| value.map(FieldOf::Value)).collect();
        Self { name: name.to_owned(), of, fields }
    }

    /// A column of int64.
    pub fn ints(name: &str, values: impl IntoIterator<Item = i64>) -> Self {
        Self::values(name, ValueType::Int64, values.into_iter().map(|value| Some(Value::Int64(value))))
    }

    /// A column of instants.
    pub fn instants(name: &str, values: impl IntoIterator<Item = Instant>) -> Self {
        Self::values(
            name,
            ValueType::Timestamp,
            values.into_iter().map(|value| Some(Value::Timestamp(value))),
        )
    }

    /// Whether CSV can carry it: it knows no difference between an empty text and null.
    pub fn fits_csv(&self) -> bool {
        self.fields.iter().flatten().all(|field| !field.bytes().is_empty())
    }

    fn typed(&self) -> Option<ArrayRef> {
        let mut builder = ColumnBuilder::new(self.of, self.fields.len());
        for field in &self.fields {
            match field {
                Some(FieldOf::Value(value)) => builder.append(Some(value)),
                None => builder.append(None),
                Some(_) => return None,
            }
        }
        Some(builder.finish())
    }

    fn text(&self) -> ArrayRef {
        if self.fields.iter().flatten().any(|field| matches!(field, FieldOf::Broken)) {
            let bytes: Vec<Option<Vec<u8>>> =
                self.fields.iter().map(|field| field.as_ref().map(FieldOf::bytes)).collect();
            return Arc::new(BinaryArray::from_iter(bytes));
        }
        let text = |field: &FieldOf| String::from_utf8(field.bytes()).unwrap();
        Arc::new(StringArray::from_iter(self.fields.iter().map(|field| field.as_ref().map(text))))
    }
}

impl FieldOf {
    /// A cell, where an error is something that is no value of the type.
    pub fn of_cell(cell: &Cell, of: ValueType) -> Option<Self> {
        match cell {
            Cell::Null => None,
            Cell::Error if of == ValueType::String => Some(Self::Broken),
            Cell::Error => Some(Self::Text("no value".to_owned())),
            Cell::Value(value) => Some(Self::Value(value.clone())),
        }
    }

    /// The field as JSON: numbers and booleans as they are, the rest as text, unless it is nested.
    fn json(&self) -> String {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        match self {
            Self::Value(value) => match value {
                Value::Float32(v) if !v.is_finite() => quoted(&to_text(value)),
                Value::Float64(v) if !v.is_finite() => quoted(&to_text(value)),
                Value::String(_)
                | Value::Bytes(_)
                | Value::Timestamp(_)
                | Value::Date(_)
                | Value::Uuid(_)
                | Value::Json(_) => quoted(&to_text(value)),
                other => to_text(other),
            },
            Self::Text(text) => quoted(text),
            Self::Broken => "\"\\ud800\"".to_owned(),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Value(value) => to_text(value).into_bytes(),
            Self::Text(text) => text.clone().into_bytes(),
            Self::Broken => NO_TEXT.to_vec(),
        }
    }
}

impl Carrier {
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "ndjson",
            Self::Text | Self::Typed => "parquet",
        }
    }

    /// Writes a table of at least one column.
    pub fn write(self, path: &Path, columns: &[Column]) {
        match self {
            Self::Csv => write_csv(path, columns),
            Self::Json => write_json(path, columns),
            Self::Text => write_parquet(path, columns.iter().map(|each| (&each.name, each.text()))),
            Self::Typed => {
                let array = |each: &Column| each.typed().unwrap_or_else(|| each.text());
                write_parquet(path, columns.iter().map(|each| (&each.name, array(each))));
            }
        }
    }
}

fn write_csv(path: &Path, columns: &[Column]) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    let header: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    writeln!(file, "{}", header.join(",")).unwrap();
    for row in 0..columns[0].fields.len() {
        for (place, column) in columns.iter().enumerate() {
            if place > 0 {
                file.write_all(b",").unwrap();
            }
            let bytes = column.fields[row].as_ref().map_or_else(Vec::new, FieldOf::bytes);
            if bytes.iter().any(|byte| b",\"\r\n".contains(byte)) {
                let quoted = bytes.iter().flat_map(|byte| vec![*byte; if *byte == b'"' { 2 } else { 1 }]);
                file.write_all(&[&b"\""[..], &quoted.collect::<Vec<u8>>(), b"\""].concat()).unwrap();
            } else {
                file.write_all(&bytes).unwrap();
            }
        }
        file.write_all(b"\n").unwrap();
    }
    file.flush().unwrap();
}

fn write_json(path: &Path, columns: &[Column]) {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).unwrap());
    for row in 0..columns[0].fields.len() {
        let members = columns.iter().filter_map(|column| match &column.fields[row] {
            Some(field) => Some(format!("{:?}: {}", column.name, field.json())),
            None => (row % 2 == 0).then(|| format!("{:?}:null", column.name)),
        });
        writeln!(file, "{{{}}}", members.collect::<Vec<_>>().join(", ")).unwrap();
    }
    file.flush().unwrap();
}

/// Writes arrays as the columns of a Parquet file.
pub fn write_parquet<'a>(path: &Path, columns: impl IntoIterator<Item = (&'a String, ArrayRef)>) {
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (name, array) in columns {
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
}
