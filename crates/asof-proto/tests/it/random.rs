//! Random columns: a type, and for each row a value of it or null, a status and an event.

use asof_model::{Decimal, DecimalType, Instant, ScalarType, Status, Uuid, Value, ValueType};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// One row of a column.
pub type Row = (Option<Value>, Status, Option<Instant>);

/// A column.
#[derive(Debug, Clone)]
pub struct RandomColumn {
    pub name: String,
    pub declared: ValueType,
    pub rows: Vec<Row>,
}

pub fn columns() -> impl Strategy<Value = Vec<RandomColumn>> {
    vec(column(), 0..5)
}

fn column() -> impl Strategy<Value = RandomColumn> {
    declared().prop_flat_map(|declared| {
        let row = (option::weighted(0.8, value(declared)), status(), option::of(instant())).boxed();
        // Long ones too: lengths of two and three bytes.
        ("[a-z_]{0,12}", prop_oneof![5 => vec(row.clone(), 0..6), 1 => vec(row, 130..200)])
            .prop_map(move |(name, rows)| RandomColumn { name, declared, rows })
    })
}

fn scalar_type() -> impl Strategy<Value = ScalarType> {
    prop_oneof![
        Just(ScalarType::Int32),
        Just(ScalarType::Int64),
        Just(ScalarType::Float32),
        Just(ScalarType::Float64),
        Just(ScalarType::String),
        Just(ScalarType::Bool),
        Just(ScalarType::Bytes),
        Just(ScalarType::Timestamp),
        Just(ScalarType::Date),
        Just(ScalarType::Decimal(DecimalType::new(20, 3).unwrap())),
        Just(ScalarType::Uuid),
    ]
}

fn declared() -> impl Strategy<Value = ValueType> {
    prop_oneof![
        6 => scalar_type().prop_map(ValueType::from),
        1 => Just(ValueType::Json),
        2 => scalar_type().prop_map(ValueType::List),
        2 => scalar_type().prop_map(ValueType::Map),
        1 => (1_u16..5).prop_map(ValueType::Embedding),
    ]
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        Just(Status::Present),
        Just(Status::Null),
        Just(Status::Missing),
        Just(Status::OutsideTtl),
        Just(Status::Error),
    ]
}

pub fn instant() -> impl Strategy<Value = Instant> {
    prop_oneof![
        any::<i64>().prop_map(Instant::from_micros_clamped),
        (-5_i64..5).prop_map(|seconds| Instant::from_micros_clamped(seconds * 1_000_000)),
        Just(Instant::EPOCH),
        Just(Instant::MIN),
    ]
}

fn value(declared: ValueType) -> BoxedStrategy<Value> {
    match declared {
        ValueType::Int32 => prop_oneof![Just(0), any::<i32>()].prop_map(Value::Int32).boxed(),
        ValueType::Int64 => prop_oneof![Just(0), any::<i64>()].prop_map(Value::Int64).boxed(),
        ValueType::Float32 => any::<f32>().prop_map(Value::float32).boxed(),
        ValueType::Float64 => any::<f64>().prop_map(Value::float64).boxed(),
        ValueType::String => any::<String>().prop_map(Value::String).boxed(),
        ValueType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        ValueType::Bytes => vec(any::<u8>(), 0..200).prop_map(Value::Bytes).boxed(),
        ValueType::Timestamp => instant().prop_map(Value::Timestamp).boxed(),
        ValueType::Date => (-700_000..2_900_000).prop_map(Value::Date).boxed(),
        ValueType::Decimal(of) => {
            let units = -99_999_999_999_999_999_999_i128..=99_999_999_999_999_999_999;
            units.prop_map(move |units| Value::Decimal(Decimal::checked(units, of).unwrap())).boxed()
        }
        ValueType::Uuid => any::<u128>().prop_map(|bits| Value::Uuid(Uuid::from_u128(bits))).boxed(),
        ValueType::Json => Just(Value::Json("{\"a\":[1,null]}".to_owned())).boxed(),
        ValueType::List(of) => {
            vec(option::weighted(0.9, value(of.into())), 0..5).prop_map(Value::List).boxed()
        }
        ValueType::Map(of) => {
            let entries =
                proptest::collection::btree_map("[a-z]{0,3}", option::weighted(0.8, value(of.into())), 0..4);
            entries.prop_map(|entries| Value::map(entries.into_iter().collect()).unwrap()).boxed()
        }
        ValueType::Embedding(dimensions) => {
            vec(any::<f32>(), usize::from(dimensions)).prop_map(Value::embedding).boxed()
        }
    }
}
