//! The columns of a history row: their names, their types on both sides, and what may differ.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use deltalake_core::kernel as delta;

use crate::error::OfflineError;

/// When the fact became true. `timestamp(us, UTC)`, never null.
pub const EVENT_TIMESTAMP: &str = "event_timestamp";
/// When its source says it was known. `timestamp(us, UTC)`, never null.
pub const CREATED_TIMESTAMP: &str = "created_timestamp";
/// The publication unit that brought the row. Text, never null.
pub const UNIT: &str = "__unit";
/// The UTC day of [`EVENT_TIMESTAMP`], by which files are partitioned. Not a column of a row: it is in no file, and
/// neither given nor returned.
pub const EVENT_DATE: &str = "__event_date";

/// The column and type of instants: microseconds, UTC.
pub(crate) fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Checks that `schema` is one of history rows.
pub(crate) fn check_spec(table: &str, schema: &Schema) -> Result<(), OfflineError> {
    let invalid = |column: &str, reason: String| OfflineError::InvalidColumn {
        table: table.to_owned(),
        column: column.to_owned(),
        reason,
    };
    for (at, field) in schema.fields().iter().enumerate() {
        if to_delta(field.data_type()).is_none() {
            return Err(invalid(field.name(), format!("is {}, which history cannot hold", describe(field))));
        }
        // Delta compares names without case.
        let same = |other: &&FieldRef| other.name().eq_ignore_ascii_case(field.name());
        if schema.fields()[..at].iter().any(|other| same(&other)) {
            return Err(invalid(field.name(), "is there twice, letter case aside".to_owned()));
        }
        if field.name().eq_ignore_ascii_case(EVENT_DATE) {
            return Err(invalid(field.name(), "is made by history itself".to_owned()));
        }
    }
    for (name, wanted) in
        [(EVENT_TIMESTAMP, instant_type()), (CREATED_TIMESTAMP, instant_type()), (UNIT, DataType::Utf8)]
    {
        let wanted = Field::new(name, wanted, false);
        match schema.field_with_name(name) {
            Ok(found) if found.data_type() == wanted.data_type() && !found.is_nullable() => {}
            Ok(found) => {
                return Err(invalid(name, format!("must be {}, not {}", describe(&wanted), describe(found))));
            }
            Err(_) => return Err(invalid(name, "is missing".to_owned())),
        }
    }
    Ok(())
}

/// The columns of `given` that `stored` lacks and may accept: nullable ones. Order does not matter.
///
/// # Errors
/// [`OfflineError::SchemaMismatch`] for every other difference (SEMANTICS 9).
pub(crate) fn added_columns(
    table: &str,
    stored: &Schema,
    given: &Schema,
) -> Result<Vec<Field>, OfflineError> {
    let mismatch = |column: &str, stored: String, given: String| OfflineError::SchemaMismatch {
        table: table.to_owned(),
        column: column.to_owned(),
        stored,
        given,
    };
    for field in stored.fields() {
        match given.field_with_name(field.name()) {
            Ok(other) if same_type(field, other) && field.is_nullable() == other.is_nullable() => {}
            Ok(other) => return Err(mismatch(field.name(), describe(field), describe(other))),
            Err(_) => return Err(mismatch(field.name(), describe(field), "absent".to_owned())),
        }
    }
    let mut added = Vec::new();
    for field in given.fields() {
        if stored.field_with_name(field.name()).is_ok() {
            continue;
        }
        if !field.is_nullable() {
            return Err(mismatch(field.name(), "absent".to_owned(), describe(field)));
        }
        added.push(field.as_ref().clone());
    }
    Ok(added)
}

/// Whether two fields hold the same type, names inside of lists aside.
pub(crate) fn same_type(one: &Field, other: &Field) -> bool {
    one.data_type().equals_datatype(other.data_type())
}

/// A column's type in words: `int64`, `string, never null`.
pub(crate) fn describe(field: &Field) -> String {
    let name = type_name(field.data_type());
    if field.is_nullable() { name } else { format!("{name}, never null") }
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 => "string".to_owned(),
        DataType::Boolean => "bool".to_owned(),
        DataType::Binary => "bytes".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::List(item) => format!("list of {}", type_name(item.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                format!("map to {}", type_name(fields[1].data_type()))
            }
            other => format!("map of {other}"),
        },
        DataType::FixedSizeList(_, length) => format!("embedding of {length}"),
        each if *each == instant_type() => "timestamp".to_owned(),
        each => each.to_string().to_lowercase(),
    }
}

/// The metadata of a Delta column that says how many items each of its lists has: Delta's own types lose it.
const LENGTH: &str = "asof.length";

/// A field as Delta keeps it. `None` for a type that history does not hold.
pub(crate) fn to_delta_field(field: &Field) -> Option<delta::StructField> {
    let kept =
        delta::StructField::new(field.name().as_str(), to_delta(field.data_type())?, field.is_nullable());
    Some(match field.data_type() {
        DataType::FixedSizeList(_, length) => kept.with_metadata([(LENGTH, i64::from(*length))]),
        _ => kept,
    })
}

fn to_delta(data_type: &DataType) -> Option<delta::DataType> {
    Some(match data_type {
        DataType::Int32 => delta::DataType::INTEGER,
        DataType::Int64 => delta::DataType::LONG,
        DataType::Float32 => delta::DataType::FLOAT,
        DataType::Float64 => delta::DataType::DOUBLE,
        DataType::Utf8 => delta::DataType::STRING,
        DataType::Boolean => delta::DataType::BOOLEAN,
        DataType::Binary => delta::DataType::BINARY,
        DataType::Date32 => delta::DataType::DATE,
        DataType::List(item) => delta::ArrayType::new(to_delta(item.data_type())?, item.is_nullable()).into(),
        DataType::FixedSizeList(item, _) => {
            delta::ArrayType::new(to_delta(item.data_type())?, item.is_nullable()).into()
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => delta::MapType::new(
                to_delta(fields[0].data_type())?,
                to_delta(fields[1].data_type())?,
                fields[1].is_nullable(),
            )
            .into(),
            _ => return None,
        },
        DataType::Decimal128(precision, scale) => {
            delta::DataType::decimal(*precision, u8::try_from(*scale).ok()?).ok()?
        }
        each if *each == instant_type() => delta::DataType::TIMESTAMP,
        _ => return None,
    })
}

/// The columns of a stored table, in its order, without the partition column.
///
/// # Errors
/// The name of a column whose type this crate never writes.
pub(crate) fn from_delta(schema: &delta::StructType, without: &str) -> Result<SchemaRef, String> {
    let mut fields = Vec::new();
    for field in schema.fields().filter(|field| field.name() != without) {
        let mut data_type = from_delta_type(field.data_type()).ok_or_else(|| field.name().clone())?;
        if let (DataType::List(item), Some(delta::MetadataValue::Number(length))) =
            (&data_type, field.metadata().get(LENGTH))
        {
            let length = i32::try_from(*length).map_err(|_| field.name().clone())?;
            data_type = DataType::FixedSizeList(item.clone(), length);
        }
        fields.push(Field::new(field.name(), data_type, field.is_nullable()));
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn from_delta_type(data_type: &delta::DataType) -> Option<DataType> {
    Some(match data_type {
        each if *each == delta::DataType::INTEGER => DataType::Int32,
        each if *each == delta::DataType::LONG => DataType::Int64,
        each if *each == delta::DataType::FLOAT => DataType::Float32,
        each if *each == delta::DataType::DOUBLE => DataType::Float64,
        each if *each == delta::DataType::STRING => DataType::Utf8,
        each if *each == delta::DataType::BOOLEAN => DataType::Boolean,
        each if *each == delta::DataType::BINARY => DataType::Binary,
        each if *each == delta::DataType::DATE => DataType::Date32,
        each if *each == delta::DataType::TIMESTAMP => instant_type(),
        delta::DataType::Array(list) => DataType::List(Arc::new(Field::new(
            Field::LIST_FIELD_DEFAULT_NAME,
            from_delta_type(list.element_type())?,
            list.contains_null(),
        ))),
        delta::DataType::Map(map) => {
            let fields = vec![
                Field::new("key", from_delta_type(map.key_type())?, false),
                Field::new("value", from_delta_type(map.value_type())?, map.value_contains_null()),
            ];
            let entries = Field::new("key_value", DataType::Struct(fields.into()), false);
            DataType::Map(Arc::new(entries), false)
        }
        delta::DataType::Primitive(delta::PrimitiveType::Decimal(of)) => {
            DataType::Decimal128(of.precision(), i8::try_from(of.scale()).ok()?)
        }
        _ => return None,
    })
}
