//! The slow way: answers as messages, field by field, as the library builds them.

use asof_model::time::format_day;
use asof_model::{Instant, ScalarType, Status, Value, ValueType};
use asof_proto::messages::asof::v1;
use asof_proto::messages::feast::serving::get_online_features_response::FeatureVector;
use asof_proto::messages::feast::serving::{
    FeatureList, FeatureViewMetadata, FieldStatus, GetOnlineFeaturesResponse,
    GetOnlineFeaturesResponseMetadata,
};
use asof_proto::messages::feast::types::{self, value::Val};

use crate::random::RandomColumn;

pub fn feast(columns: &[RandomColumn], views: &[(&str, u32)]) -> GetOnlineFeaturesResponse {
    let feature_view_metadata = views
        .iter()
        .map(|(name, version)| FeatureViewMetadata { name: (*name).to_owned(), version: *version as i32 })
        .collect();
    let val = columns.iter().map(|column| column.name.clone()).collect();
    let results = columns.iter().map(|column| FeatureVector {
        values: column.rows.iter().map(|row| feast_value(column.declared, row.0.as_ref())).collect(),
        statuses: column.rows.iter().map(|row| feast_status(row.1).into()).collect(),
        event_timestamps: column.rows.iter().map(|row| feast_event(row.1, row.2)).collect(),
    });
    GetOnlineFeaturesResponse {
        metadata: Some(GetOnlineFeaturesResponseMetadata {
            feature_names: Some(FeatureList { val }),
            feature_view_metadata,
        }),
        results: results.collect(),
        status: false,
    }
}

fn feast_status(status: Status) -> FieldStatus {
    match status.as_str() {
        "PRESENT" => FieldStatus::Present,
        "NULL" => FieldStatus::NullValue,
        "MISSING" => FieldStatus::NotFound,
        "OUTSIDE_TTL" => FieldStatus::OutsideMaxAge,
        _ => FieldStatus::Invalid,
    }
}

fn feast_event(status: Status, event: Option<Instant>) -> prost_types::Timestamp {
    match event {
        Some(event) if status != Status::Missing => prost_types::Timestamp {
            seconds: event.micros().div_euclid(1_000_000),
            nanos: event.micros().rem_euclid(1_000_000) as i32 * 1000,
        },
        _ => prost_types::Timestamp::default(),
    }
}

fn feast_value(declared: ValueType, value: Option<&Value>) -> types::Value {
    let val = value.map(|value| match value {
        Value::Int32(v) => Val::Int32Val(*v),
        Value::Int64(v) => Val::Int64Val(*v),
        Value::Float32(v) => Val::FloatVal(*v),
        Value::Float64(v) => Val::DoubleVal(*v),
        Value::String(v) => Val::StringVal(v.clone()),
        Value::Bool(v) => Val::BoolVal(*v),
        Value::Bytes(v) => Val::BytesVal(v.clone()),
        Value::Timestamp(v) => Val::UnixTimestampVal(v.micros().div_euclid(1_000_000)),
        Value::Date(v) => Val::StringVal(format_day(*v)),
        Value::Decimal(v) => Val::DecimalVal(v.to_string()),
        Value::Uuid(v) => Val::UuidVal(v.to_string()),
        Value::Json(v) => Val::JsonVal(v.clone()),
        Value::List(items) => feast_list(declared, items),
        Value::Map(entries) => {
            let ValueType::Map(of) = declared else { panic!("a map of type {declared}") };
            let value = |(key, value): &(String, Option<Value>)| {
                (key.clone(), feast_value(of.into(), value.as_ref()))
            };
            Val::MapVal(types::Map { val: entries.iter().map(value).collect() })
        }
        Value::Embedding(floats) => Val::FloatListVal(types::FloatList { val: floats.clone() }),
    });
    types::Value { val }
}

fn feast_list(declared: ValueType, items: &[Option<Value>]) -> Val {
    let ValueType::List(of) = declared else { panic!("a list of type {declared}") };
    let all = items.iter().map(|item| feast_value(of.into(), item.as_ref()));
    if items.iter().any(Option::is_none) {
        return Val::ListVal(types::RepeatedValue { val: all.collect() });
    }
    macro_rules! collect {
        ($list:ident, $field:ident, $single:ident) => {
            Val::$field(types::$list {
                val: all
                    .map(|item| match item.val {
                        Some(Val::$single(v)) => v,
                        other => panic!("{other:?}"),
                    })
                    .collect(),
            })
        };
    }
    match of {
        ScalarType::Int32 => collect!(Int32List, Int32ListVal, Int32Val),
        ScalarType::Int64 => collect!(Int64List, Int64ListVal, Int64Val),
        ScalarType::Float32 => collect!(FloatList, FloatListVal, FloatVal),
        ScalarType::Float64 => collect!(DoubleList, DoubleListVal, DoubleVal),
        ScalarType::String | ScalarType::Date => collect!(StringList, StringListVal, StringVal),
        ScalarType::Bool => collect!(BoolList, BoolListVal, BoolVal),
        ScalarType::Bytes => collect!(BytesList, BytesListVal, BytesVal),
        ScalarType::Timestamp => collect!(Int64List, UnixTimestampListVal, UnixTimestampVal),
        ScalarType::Decimal(_) => collect!(StringList, DecimalListVal, DecimalVal),
        ScalarType::Uuid => collect!(StringList, UuidListVal, UuidVal),
    }
}

pub fn ours(
    t: Instant,
    columns: &[RandomColumn],
    views: Vec<v1::ViewState>,
) -> v1::GetOnlineFeaturesResponse {
    let columns = columns.iter().map(|column| v1::Column {
        name: column.name.clone(),
        values: Some(values(column.declared, column.rows.iter().map(|row| row.0.as_ref()).collect())),
        statuses: column.rows.iter().map(|row| our_status(row.1).into()).collect(),
        events_micros: column.rows.iter().map(|row| row.2.map_or(i64::MIN, Instant::micros)).collect(),
    });
    v1::GetOnlineFeaturesResponse { t_micros: t.micros(), columns: columns.collect(), views }
}

fn our_status(status: Status) -> v1::Status {
    v1::Status::from_str_name(&format!("STATUS_{}", status.as_str())).unwrap()
}

pub fn values(declared: ValueType, items: Vec<Option<&Value>>) -> v1::Values {
    use v1::values::Kind;
    let nulls = (0..items.len()).filter(|place| items[*place].is_none()).map(|place| place as u32).collect();
    macro_rules! collect {
        ($value:ident, $v:ident => $item:expr) => {
            items
                .iter()
                .map(|item| match item {
                    None => Default::default(),
                    Some(Value::$value($v)) => $item,
                    Some(other) => panic!("{other:?} in a list of {declared}"),
                })
                .collect()
        };
    }
    let kind = match declared {
        ValueType::Int32 => Kind::Int32s(v1::Int32s { items: collect!(Int32, v => *v) }),
        ValueType::Int64 => Kind::Int64s(v1::Int64s { items: collect!(Int64, v => *v) }),
        ValueType::Float32 => Kind::Floats(v1::Floats { items: collect!(Float32, v => *v) }),
        ValueType::Float64 => Kind::Doubles(v1::Doubles { items: collect!(Float64, v => *v) }),
        ValueType::String => Kind::Strings(v1::Strings { items: collect!(String, v => v.clone()) }),
        ValueType::Bool => Kind::Bools(v1::Bools { items: collect!(Bool, v => *v) }),
        ValueType::Bytes => Kind::Blobs(v1::Blobs { items: collect!(Bytes, v => v.clone()) }),
        ValueType::Timestamp => {
            Kind::Timestamps(v1::Timestamps { micros: collect!(Timestamp, v => v.micros()) })
        }
        ValueType::Date => Kind::Dates(v1::Dates { days: collect!(Date, v => *v) }),
        ValueType::Decimal(_) => Kind::Decimals(v1::Strings { items: collect!(Decimal, v => v.to_string()) }),
        ValueType::Uuid => Kind::Uuids(v1::Strings { items: collect!(Uuid, v => v.to_string()) }),
        ValueType::Json => Kind::Jsons(v1::Strings { items: collect!(Json, v => v.clone()) }),
        ValueType::List(of) => Kind::Lists(v1::Lists {
            items: collect!(List, v => values(of.into(), v.iter().map(Option::as_ref).collect())),
        }),
        ValueType::Map(of) => Kind::Maps(v1::Maps {
            items: collect!(Map, v => v1::Map {
                keys: v.iter().map(|(key, _)| key.clone()).collect(),
                values: Some(values(of.into(), v.iter().map(|(_, value)| value.as_ref()).collect())),
            }),
        }),
        ValueType::Embedding(dimensions) => {
            let vector = |item: &Option<&Value>| match item {
                None => vec![0.0; usize::from(dimensions)],
                Some(Value::Embedding(floats)) => floats.clone(),
                Some(other) => panic!("{other:?}"),
            };
            let floats = items.iter().flat_map(vector).collect();
            Kind::Embeddings(v1::Embeddings { dimensions: dimensions.into(), floats })
        }
    };
    v1::Values { kind: Some(kind), nulls }
}
