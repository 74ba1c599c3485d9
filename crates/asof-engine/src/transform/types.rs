//! The types of the columns in a source's files, as queries read them where nobody declared any.
//!
//! Parquet says its types, and all files are asked. Text formats are read up to a bound: a column is a number, a truth
//! value or a time only where every value that was seen says so in full; a zip code with a leading zero stays text. What
//! was found is recorded when definitions are applied, so that a file that comes later changes no type.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use asof_model::entry::Raw;
use asof_model::spec::{FileFormat, Source};
use asof_model::types::EMBEDDING_DIMENSIONS_MAX;
use asof_model::{DecimalType, Instant, ScalarType, ValueType, Zone, time};

use super::table::{KnownColumn, SourceColumns};
use crate::EngineError;
use crate::source::raw::{Form, RawColumn};
use crate::source::{self, SourceFile, WantedColumn, infer};

/// Files whose schema is looked at; of more, these many spread over all of them.
const SCHEMA_FILES_MAX: usize = 1_000;

/// Files of a text format of which rows are read.
const SAMPLE_FILES_MAX: usize = 8;

/// Rows that are read of each of them. A batch more or less.
const SAMPLE_ROWS: usize = 20_000;

/// The columns of the files with their types, by their names here. What `declared` names has the type given there,
/// whatever the files say.
///
/// # Errors
/// Those of reading the files.
pub fn of_files(
    source: &Source,
    files: &[SourceFile],
    declared: &dyn Fn(&str) -> Option<ValueType>,
) -> Result<SourceColumns, EngineError> {
    let what = format!("source `{}`", source.name);
    let mut found = Found { source, order: Vec::new(), types: HashMap::new() };
    for file in spread(files, SCHEMA_FILES_MAX, |file| file.format == FileFormat::Parquet) {
        let footer = source::parquet_file::footer(file)?;
        for field in footer.noted().fields() {
            found.add(field.name(), of_arrow(field.data_type()).ok_or_else(|| field.data_type().to_string()));
        }
        for name in file.partitions.names() {
            let text = file.partitions.get(name).flatten();
            found.add(name, Ok(of_text(text.into_iter(), &source.zone()).unwrap_or(ValueType::String)));
        }
    }
    for file in spread(files, SAMPLE_FILES_MAX, |file| file.format != FileFormat::Parquet) {
        let names = match source::names(file)? {
            Some(names) => names,
            None => source::sampled_json_names(file, SAMPLE_ROWS)?,
        };
        let names: Vec<String> =
            names.into_iter().chain(file.partitions.names().map(str::to_owned)).collect();
        let wanted: Vec<WantedColumn> =
            names.iter().map(|name| WantedColumn { name: name.clone(), required: false }).collect();
        let mut guesses: Vec<Guess> = names.iter().map(|_| Guess::Nothing).collect();
        let mut rows = 0;
        for batch in source::open(&what, file, &wanted)? {
            let batch = batch?;
            for (guess, column) in guesses.iter_mut().zip(&batch.columns) {
                guess.learn(column, batch.rows, &source.zone());
            }
            rows += batch.rows;
            if rows >= SAMPLE_ROWS {
                break;
            }
        }
        for (name, guess) in names.iter().zip(guesses) {
            match guess.value_type() {
                Some(value_type) => found.add(name, Ok(value_type)),
                // Any type holds nulls.
                None => {
                    found.note(name);
                }
            }
        }
    }
    Ok(found.finish(declared))
}

/// So many of the files that qualify, the first and the last among them.
fn spread(files: &[SourceFile], most: usize, which: impl Fn(&SourceFile) -> bool) -> Vec<&SourceFile> {
    let all: Vec<&SourceFile> = files.iter().filter(|file| which(file)).collect();
    if all.len() <= most {
        return all;
    }
    (0..most).map(|place| all[place * (all.len() - 1) / (most - 1).max(1)]).collect()
}

/// The types that were found so far, by name here.
struct Found<'a> {
    source: &'a Source,
    order: Vec<String>,
    types: HashMap<String, Result<ValueType, String>>,
}

impl Found<'_> {
    fn note(&mut self, column: &str) -> String {
        let here = self.source.fields.get(column).map_or(column, String::as_str);
        if !self.order.iter().any(|known| known == here) {
            self.order.push(here.to_owned());
        }
        here.to_owned()
    }

    fn add(&mut self, column: &str, of: Result<ValueType, String>) {
        let name = self.note(column);
        let of = of.map_err(|found| format!("{found} holds nothing that can be read"));
        let merged = match (self.types.remove(&name), of) {
            (None, of) => of,
            (Some(Ok(one)), Ok(other)) => {
                widest(one, other).ok_or_else(|| format!("it is {one} in some files and {other} in others"))
            }
            (Some(Err(why)), _) | (Some(Ok(_)), Err(why)) => Err(why),
        };
        self.types.insert(name, merged);
    }

    fn finish(mut self, declared: &dyn Fn(&str) -> Option<ValueType>) -> SourceColumns {
        let columns = self.order.into_iter().map(|name| {
            let found = self.types.remove(&name).unwrap_or(Ok(ValueType::String));
            KnownColumn { value_type: declared(&name).map_or(found, Ok), name }
        });
        SourceColumns { columns: columns.collect(), complete: true }
    }
}

/// The type that holds the values of both without loss.
fn widest(one: ValueType, other: ValueType) -> Option<ValueType> {
    use ValueType::{Float32, Float64, Int32, Int64};
    match (one, other) {
        _ if one == other => Some(one),
        (Int32, Int64) | (Int64, Int32) => Some(Int64),
        (Float32 | Int32, Float64) | (Float64, Float32 | Int32) => Some(Float64),
        (Int32, Float32) | (Float32, Int32) => Some(Float64),
        (ValueType::Decimal(a), ValueType::Decimal(b)) => {
            let scale = a.scale().max(b.scale());
            let whole = (a.precision() - a.scale()).max(b.precision() - b.scale());
            DecimalType::new(whole + scale, scale).map(ValueType::Decimal)
        }
        _ => None,
    }
}

/// The type that holds the values of an Arrow type. `None`: it holds nothing that can be read.
pub fn of_arrow(data_type: &DataType) -> Option<ValueType> {
    Some(match data_type {
        DataType::Boolean => ValueType::Bool,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::UInt8 | DataType::UInt16 => {
            ValueType::Int32
        }
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => ValueType::Int64,
        DataType::Float16 | DataType::Float32 => ValueType::Float32,
        DataType::Float64 => ValueType::Float64,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => ValueType::String,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            ValueType::Bytes
        }
        DataType::Date32 | DataType::Date64 => ValueType::Date,
        DataType::Timestamp(..) => ValueType::Timestamp,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            // A negative scale is zeros before the point; more digits than there are types for stay behind.
            let precision = i16::from(*precision) - i16::from((*scale).min(0));
            let precision = u8::try_from(precision).ok()?.min(asof_model::types::DECIMAL_DIGITS_MAX);
            ValueType::Decimal(DecimalType::new(precision, u8::try_from((*scale).max(0)).ok()?)?)
        }
        DataType::Dictionary(_, values) => of_arrow(values)?,
        DataType::RunEndEncoded(_, values) => of_arrow(values.data_type())?,
        DataType::FixedSizeList(item, dimensions) if *item.data_type() == DataType::Float32 => {
            match u16::try_from(*dimensions) {
                Ok(dimensions @ 1..=EMBEDDING_DIMENSIONS_MAX) => ValueType::Embedding(dimensions),
                _ => ValueType::List(ScalarType::Float32),
            }
        }
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            match ScalarType::try_from(of_arrow(item.data_type())?) {
                Ok(item) => ValueType::List(item),
                Err(()) => ValueType::Json,
            }
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else { return None };
            let (key, value) = (fields.first()?, fields.get(1)?);
            match (of_arrow(key.data_type())?, ScalarType::try_from(of_arrow(value.data_type())?)) {
                (ValueType::String, Ok(value)) => ValueType::Map(value),
                _ => ValueType::Json,
            }
        }
        DataType::Struct(fields) => {
            fields.iter().all(|field| of_arrow(field.data_type()).is_some()).then_some(ValueType::Json)?
        }
        _ => return None,
    })
}

/// What the values of a column that were seen could all be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guess {
    /// Nulls alone.
    Nothing,
    All(ValueType),
}

impl Guess {
    fn learn(&mut self, column: &RawColumn, rows: usize, zone: &Zone) {
        for row in 0..rows {
            if *self == Self::All(ValueType::String) {
                return;
            }
            let Some(found) = column.at(row) else { continue };
            let of = match found.raw() {
                Raw::Int(_) => ValueType::Int64,
                Raw::UInt(_) | Raw::Float32(_) | Raw::Float64(_) => ValueType::Float64,
                Raw::Number(text) => of_number(text),
                Raw::Bool(_) => ValueType::Bool,
                Raw::Instant(_) | Raw::Local(_) => ValueType::Timestamp,
                Raw::Date(_) => ValueType::Date,
                Raw::Json(_) => ValueType::Json,
                Raw::Text(text) if column.form == Form::Text => of_field(text, zone),
                // In JSON, what is in quotes is no number.
                Raw::Text(text) => match of_field(text, zone) {
                    time @ (ValueType::Timestamp | ValueType::Date) => time,
                    _ => ValueType::String,
                },
                _ => ValueType::String,
            };
            self.add(of);
        }
    }

    fn add(&mut self, of: ValueType) {
        use ValueType::{Float64, Int64};
        *self = Self::All(match *self {
            Self::Nothing => of,
            Self::All(known) if known == of => known,
            Self::All(Int64) if of == Float64 => Float64,
            Self::All(Float64) if of == Int64 => Float64,
            Self::All(_) => ValueType::String,
        });
    }

    fn value_type(self) -> Option<ValueType> {
        match self {
            Self::Nothing => None,
            Self::All(of) => Some(of),
        }
    }
}

fn of_text<'a>(texts: impl Iterator<Item = &'a str>, zone: &Zone) -> Option<ValueType> {
    let mut guess = Guess::Nothing;
    for text in texts {
        guess.add(of_field(text, zone));
    }
    guess.value_type()
}

/// A JSON number.
fn of_number(text: &str) -> ValueType {
    if text.parse::<i64>().is_ok() { ValueType::Int64 } else { ValueType::Float64 }
}

/// What a field of text says in full.
fn of_field(text: &str, zone: &Zone) -> ValueType {
    if infer::integer(text).is_some() {
        ValueType::Int64
    } else if infer::decimal(text).is_some() {
        ValueType::Float64
    } else if infer::boolean(text).is_some() {
        ValueType::Bool
    } else if time::parse_day(text).is_some() {
        ValueType::Date
    } else if text.contains(':') && Instant::parse(text, zone).is_some() {
        ValueType::Timestamp
    } else if text.starts_with(['[', '{']) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        ValueType::Json
    } else {
        ValueType::String
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray};

    use super::*;

    fn guessed(fields: &[&str]) -> Option<ValueType> {
        let values: Vec<Option<&[u8]>> =
            fields.iter().map(|field| (!field.is_empty()).then_some(field.as_bytes())).collect();
        let array: ArrayRef = Arc::new(BinaryArray::from(values));
        let mut guess = Guess::Nothing;
        guess.learn(&RawColumn { name: "a".to_owned(), array, form: Form::Text }, fields.len(), &Zone::utc());
        guess.value_type()
    }

    /// Goal: text has the type that all of it says in full, and stays text where anything would be lost.
    #[test]
    fn types_of_text() {
        for (fields, expected) in [
            (vec!["1", "", "-20"], Some(ValueType::Int64)),
            (vec!["1", "2.5"], Some(ValueType::Float64)),
            (vec!["2.5", "1"], Some(ValueType::Float64)),
            (vec!["00501", "94109"], Some(ValueType::String)),
            (vec!["true", "False"], Some(ValueType::Bool)),
            (vec!["2024-01-02"], Some(ValueType::Date)),
            (vec!["2024-01-02T10:00:00Z", "2024-01-02 10:00:00"], Some(ValueType::Timestamp)),
            (vec!["2024-01-02", "2024-01-02T10:00:00Z"], Some(ValueType::String)),
            (vec!["[1, 2]", "{}"], Some(ValueType::Json)),
            (vec!["[1, 2"], Some(ValueType::String)),
            (vec!["1", "x"], Some(ValueType::String)),
            (vec!["", ""], None),
        ] {
            assert_eq!(guessed(&fields), expected, "{fields:?}");
        }
    }

    /// Goal: types of two files become one that holds both, or none.
    #[test]
    fn types_of_two_files() {
        let of = |text: &str| ValueType::parse(text).unwrap();
        for (one, other, expected) in [
            ("int32", "int64", Some("int64")),
            ("int32", "float32", Some("float64")),
            ("int64", "float64", None),
            ("decimal(5, 2)", "decimal(6, 0)", Some("decimal(8, 2)")),
            ("decimal(38, 2)", "decimal(38, 0)", None),
            ("string", "int64", None),
        ] {
            let expected = expected.map(of);
            assert_eq!(widest(of(one), of(other)), expected, "{one} and {other}");
            assert_eq!(widest(of(other), of(one)), expected, "{other} and {one}");
        }
    }
}
