//! Values of requests.

use asof_model::entry::Raw;
use asof_model::{Instant, ValueType};
use asof_proto::given::{GivenError, feast_scalar, objects, rows, scalars};
use asof_proto::messages::asof::v1::{self, values::Kind};
use asof_proto::messages::feast::types::{Value, ZonedTimestamp, value::Val};
use proptest::prelude::*;

use crate::messages::values;
use crate::random::columns;

fn of(kind: Kind, nulls: &[u32]) -> v1::Values {
    v1::Values { kind: Some(kind), nulls: nulls.to_vec() }
}

fn integers(items: &[i64], nulls: &[u32]) -> v1::Values {
    of(Kind::Int64s(v1::Int64s { items: items.to_vec() }), nulls)
}

/// Goal: scalars are what was sent, nulls stand where they are named, and what is no scalar is refused.
#[test]
fn keys() {
    assert_eq!(scalars(&integers(&[7, 0, -1], &[1])).unwrap(), [Some(Raw::Int(7)), None, Some(Raw::Int(-1))]);
    assert_eq!(scalars(&v1::Values::default()).unwrap(), []);
    assert_eq!(scalars(&integers(&[7], &[1])), Err(GivenError::Beyond { rows: 1, place: 1 }));
    let far = of(Kind::Timestamps(v1::Timestamps { micros: vec![i64::MAX] }), &[]);
    assert_eq!(scalars(&far), Err(GivenError::NoInstant(i64::MAX)));
    let lists = of(Kind::Lists(v1::Lists { items: vec![integers(&[1], &[])] }), &[]);
    assert_eq!(scalars(&lists), Err(GivenError::Nested));

    let feast = |val| feast_scalar(&Value { val }).map(|raw| format!("{raw:?}"));
    assert_eq!(feast(None).unwrap(), "None");
    assert_eq!(feast(Some(Val::NullVal(0))).unwrap(), "None");
    assert_eq!(feast(Some(Val::StringVal("a".to_owned()))).unwrap(), "Some(Text(\"a\"))");
    assert_eq!(feast(Some(Val::UnixTimestampVal(-2))).unwrap(), "Some(Instant(-2000000))");
    let zoned = ZonedTimestamp { unix_timestamp: 3, zone: "Europe/Bern".to_owned() };
    assert_eq!(feast(Some(Val::ZonedTimestampVal(zoned))).unwrap(), "Some(Instant(3000000))");
    assert_eq!(feast(Some(Val::UnixTimestampVal(i64::MAX))), Err(GivenError::NoInstant(i64::MAX)));
    assert_eq!(feast(Some(Val::Int64ListVal(Default::default()))), Err(GivenError::Nested));
}

/// Goal: columns become the objects of a push: each kind as JSON that reads back as the same value, nulls left out.
#[test]
fn pushed_columns() {
    let text = |items: &[&str]| v1::Strings { items: items.iter().map(|item| (*item).to_owned()).collect() };
    let map = v1::Map { keys: vec!["k".to_owned()], values: Some(integers(&[3], &[])) };
    let columns = [
        ("a", integers(&[i64::MAX, 0], &[1])),
        ("b", of(Kind::Blobs(v1::Blobs { items: vec![b"hi".to_vec(), vec![]] }), &[])),
        ("c", of(Kind::Decimals(text(&["1.50", ""])), &[1])),
        ("d", of(Kind::Dates(v1::Dates { days: vec![1, 2] }), &[])),
        ("e", of(Kind::Timestamps(v1::Timestamps { micros: vec![1_500_000, i64::MIN] }), &[1])),
        ("f", of(Kind::Doubles(v1::Doubles { items: vec![0.1, f64::NAN] }), &[])),
        ("g", of(Kind::Lists(v1::Lists { items: vec![integers(&[1, 0], &[1]), integers(&[], &[])] }), &[])),
        ("h", of(Kind::Maps(v1::Maps { items: vec![map, v1::Map::default()] }), &[1])),
        ("i", of(Kind::Embeddings(v1::Embeddings { dimensions: 2, floats: vec![1.0, 2.0, 0.5, 0.25] }), &[])),
    ];
    let rows = v1::ColumnRows { columns: columns.map(|(name, values)| (name.to_owned(), values)).into() };
    assert_eq!(
        objects(&rows).unwrap(),
        [
            r#"{"a":9223372036854775807,"b":"aGk=","c":"1.50","d":"1970-01-02","e":"1970-01-01T00:00:01.500Z","f":0.1,"g":[1,null],"h":{"k":3},"i":[1.0,2.0]}"#,
            r#"{"b":"","d":"1970-01-03","f":"NaN","g":[],"i":[0.5,0.25]}"#,
        ]
    );
    assert_eq!(objects(&v1::ColumnRows::default()).unwrap(), [""; 0]);
    let uneven = [("a".to_owned(), integers(&[1, 2], &[])), ("b".to_owned(), integers(&[1], &[]))];
    let error = objects(&v1::ColumnRows { columns: uneven.into() }).unwrap_err();
    assert_eq!(error.to_string(), "column `b` has 1 rows, the others have 2");
    let odd = of(Kind::Embeddings(v1::Embeddings { dimensions: 2, floats: vec![1.0] }), &[]);
    let error = objects(&v1::ColumnRows { columns: [("v".to_owned(), odd)].into() }).unwrap_err();
    assert_eq!(error.to_string(), "column `v`: 1 floats are not vectors of 2");
}

proptest! {
    /// Goal: as many values are counted as were put in, and objects hold every value that is not null.
    #[test]
    fn counted(columns in columns()) {
        for column in columns {
            let values = values(column.declared, column.rows.iter().map(|row| row.0.as_ref()).collect());
            prop_assert_eq!(rows(&values).unwrap(), column.rows.len());
            let objects = objects(&v1::ColumnRows { columns: [("v".to_owned(), values.clone())].into() }).unwrap();
            let filled = objects.iter().map(|object| object != "{}");
            prop_assert!(filled.eq(column.rows.iter().map(|row| row.0.is_some())));
            let nested = matches!(column.declared, ValueType::List(_) | ValueType::Map(_) | ValueType::Embedding(_));
            if !nested {
                let scalars = scalars(&values).unwrap();
                prop_assert!(scalars.iter().map(Option::is_some).eq(column.rows.iter().map(|row| row.0.is_some())));
            }
        }
    }
}

/// Goal: the epoch is an instant like any other.
#[test]
fn epoch() {
    let at = of(Kind::Timestamps(v1::Timestamps { micros: vec![Instant::EPOCH.micros()] }), &[]);
    assert_eq!(scalars(&at).unwrap(), [Some(Raw::Instant(0))]);
}
