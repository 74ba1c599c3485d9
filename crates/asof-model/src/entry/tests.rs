//! What carriers agree on, and what is refused.

use super::*;
use crate::types::{DecimalType, ScalarType, ValueType as T};

fn read(raw: Raw<'_>, declared: T) -> Result<Value, String> {
    from_raw(raw, declared, &Reading::default()).map_err(|e| e.to_string())
}

/// Goal: the same fact gives the same value, whatever carried it.
#[test]
fn carriers_agree() {
    for (raws, declared, value) in [
        (vec![Raw::Int(5), Raw::Float64(5.0), Raw::Text("5"), Raw::Text(" 5.0 ")], T::Int32, Value::Int32(5)),
        (vec![Raw::Int(-1), Raw::Float32(-1.0), Raw::Text("-1")], T::Int64, Value::Int64(-1)),
        (vec![Raw::Float64(0.1), Raw::Text("0.1")], T::Float32, Value::float32(0.1)),
        (vec![Raw::Float64(-0.0), Raw::Text("-0.0"), Raw::Int(0)], T::Float64, Value::float64(0.0)),
        (
            vec![Raw::Float64(-f64::NAN), Raw::Text("nan"), Raw::Text("NaN")],
            T::Float64,
            Value::float64(f64::NAN),
        ),
        (vec![Raw::Bool(true), Raw::Int(1), Raw::Text("True"), Raw::Text("1")], T::Bool, Value::Bool(true)),
        (vec![Raw::Bytes(b"hi"), Raw::Text("aGk=")], T::Bytes, Value::Bytes(b"hi".to_vec())),
        (vec![Raw::Date(1), Raw::Text("1970-01-02"), Raw::Local(86_400_000_000)], T::Date, Value::Date(1)),
        (vec![Raw::Int(7), Raw::Text("7")], T::String, Value::String("7".into())),
    ] {
        for raw in raws {
            assert_eq!(read(raw, declared), Ok(value.clone()), "{raw:?}");
        }
    }
}

/// Goal: what a type cannot hold is refused with a sentence that names it.
#[test]
fn refusals() {
    for (raw, declared, message) in [
        (Raw::Float64(1.5), T::Int64, "1.5 is not a whole number in range"),
        (Raw::Text("1.5"), T::Int64, "\"1.5\" is not a whole number"),
        (Raw::Int(1 << 40), T::Int32, "1099511627776 is out of range for int32"),
        (Raw::Text("9223372036854775808"), T::Int64, "\"9223372036854775808\" is out of range for int64"),
        (Raw::Float64(9.3e18), T::Int64, "9.3e18 is not a whole number in range"),
        (Raw::Text("abc"), T::Float64, "\"abc\" is not a float64"),
        (Raw::Int(2), T::Bool, "2 is not a bool"),
        (Raw::Text("?"), T::Bytes, "\"?\" is not base64"),
        (Raw::Int(7), T::Timestamp, "7 is an integer, and no `unit` of integer times is named"),
        (Raw::Local(1), T::Date, "1970-01-01T00:00:00.000001Z is not a date"),
        (Raw::Bytes(&[255]), T::String, "a sequence of 1 bytes is not UTF-8 text"),
    ] {
        assert_eq!(read(raw, declared), Err(message.to_owned()));
    }
}

/// Goal: single precision is rounded once: this text lies so near a tie that a detour through double moves it.
#[test]
fn text_is_rounded_once() {
    let text = "1.00000017881393432617187499";
    assert_eq!(read(Raw::Text(text), T::Float32), Ok(Value::Float32(f32::from_bits(0x3f80_0001))));
}

/// Goal: the text of a value reads back to the same value.
#[test]
fn text_round_trips() {
    let money = DecimalType::new(10, 2).unwrap();
    for (of, value) in [
        (T::Float32, Value::Float32(0.1)),
        (T::Float64, Value::float64(f64::NAN)),
        (T::Float64, Value::Float64(1e300)),
        (T::Float64, Value::Float64(f64::INFINITY)),
        (T::Timestamp, Value::Timestamp(Instant::from_micros(-1).unwrap())),
        (T::Date, Value::Date(-1)),
        (T::Bytes, Value::Bytes(vec![0, 255])),
        (T::String, Value::String(" x ".into())),
        (T::Decimal(money), Value::Decimal(Decimal { units: -5, scale: 2 })),
        (T::Uuid, Value::Uuid(uuid::Uuid::from_u128(7))),
        (T::Json, Value::Json("{\"a\":[1,null]}".into())),
        (
            T::List(ScalarType::Float64),
            Value::List(vec![Some(Value::float64(f64::NAN)), None, Some(Value::float64(0.1))]),
        ),
        (T::List(ScalarType::Bytes), Value::List(vec![Some(Value::Bytes(vec![0, 255]))])),
        (
            T::Map(ScalarType::Timestamp),
            Value::Map(vec![("a\"".into(), Some(Value::Timestamp(Instant::EPOCH))), ("b".into(), None)]),
        ),
        (T::Embedding(2), Value::embedding(vec![0.1, -0.0])),
    ] {
        assert!(value.is_of(of), "{value:?}");
        assert_eq!(from_text(&to_text(&value), of, &Zone::utc()), Ok(value));
    }
}

/// Goal: values with a structure are the same from text and from JSON, item by item.
#[test]
fn nested_values() {
    let ints = T::List(ScalarType::Int64);
    let list = Value::List(vec![Some(Value::Int64(1)), None, Some(Value::Int64(2))]);
    for raw in [Raw::Json("[1, null, 2.0]"), Raw::Text("[\"1\",null,2]")] {
        assert_eq!(read(raw, ints), Ok(list.clone()));
    }
    let map = Value::Map(vec![("a".into(), Some(Value::String("1".into()))), ("b".into(), None)]);
    assert_eq!(read(Raw::Json(r#"{"b": null, "a": 1}"#), T::Map(ScalarType::String)), Ok(map));
    for (raw, of, message) in [
        (Raw::Json("[1, \"x\"]"), ints, "item 2: \"x\" is not a whole number"),
        (Raw::Json("[1, [2]]"), ints, "item 2: [2] is not a whole number"),
        (Raw::Text("x"), ints, "\"x\" is not a list"),
        (Raw::Int(1), ints, "1 is not a list"),
        (
            Raw::Json("{\"a\": 1.5}"),
            T::Map(ScalarType::Int32),
            "key \"a\": 1.5 is not a whole number in range",
        ),
        (
            Raw::Json("{\"a\": 1, \"a\": 1}"),
            T::Map(ScalarType::Int32),
            "{\"a\": 1, \"a\": 1} is not a map in which each key stands once",
        ),
        (Raw::Json("[1]"), T::Embedding(2), "it has 1 numbers, and an embedding(2) has 2"),
        (Raw::Json("[1, null]"), T::Embedding(2), "item 2: null is not a float32"),
        (Raw::Text("{"), T::Json, "\"{\" is not JSON: EOF while parsing an object"),
        (Raw::Json("{}"), T::String, "{} is not a string"),
    ] {
        assert_eq!(read(raw, of), Err(message.to_owned()));
    }
}

/// Goal: a number of JSON is the same value as in CSV and in Parquet.
#[test]
fn numbers_as_written() {
    let money = T::Decimal(DecimalType::new(10, 2).unwrap());
    for (carriers, of) in [
        (
            vec![Raw::Number("5"), Raw::Text("5"), Raw::Int(5), Raw::Number("5.0"), Raw::Number("5e0")],
            T::Int64,
        ),
        (vec![Raw::Number("0.1"), Raw::Text("0.1"), Raw::Float64(0.1)], T::Float32),
        (vec![Raw::Number("1.005"), Raw::Text("1.005"), Raw::Float64(1.005)], money),
        (vec![Raw::Number("7"), Raw::Text("7"), Raw::Int(7)], T::String),
        (vec![Raw::Number("1"), Raw::Text("1"), Raw::Bool(true)], T::Bool),
        (vec![Raw::Number("1.50"), Raw::Text("1.5"), Raw::Float64(1.5)], T::Json),
    ] {
        let values: Vec<_> = carriers.iter().map(|raw| read(*raw, of)).collect();
        assert!(values[0].is_ok(), "{values:?}");
        assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
    }
    let halfway = "1.00000017881393432617187499";
    assert_eq!(read(Raw::Number(halfway), T::Float32), Ok(Value::Float32(f32::from_bits(0x3f80_0001))));
}

/// Goal: a fraction of any length floors at microseconds.
#[test]
fn fractions_floor() {
    for fraction in ["1234567", "123456789", "1234569999", "12345699999999999999"] {
        let text = format!("2026-11-20T23:46:44.{fraction}Z");
        let expected = Instant::parse("2026-11-20T23:46:44.123456Z", &Zone::utc()).unwrap();
        assert_eq!(read(Raw::Text(&text), T::Timestamp), Ok(Value::Timestamp(expected)), "{text}");
    }
    assert!(read(Raw::Text("2026-11-20T23:46:44.12345678901x"), T::Timestamp).is_err());
}
