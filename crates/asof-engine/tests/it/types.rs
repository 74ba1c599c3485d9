//! Every Arrow type that a source may carry, as every declared type.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int64Array, ListArray, NullArray, RecordBatch, StringArray, StructArray,
    UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, TimeUnit as Unit};
use asof_engine::columns::{arrow_type, value_at};
use asof_engine::source::convert::convert;
use asof_engine::source::raw::{Form, RawColumn, normalise};
use asof_engine::source::{self, WantedColumn};
use asof_model::entry::{Reading, from_raw, to_text};
use asof_model::{Cell, DecimalType, ScalarType, TimeUnit, ValueType, Zone, canonical};
use asof_testkit::values::{any_value, edge_values, spelled_otherwise};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use crate::list;

use ValueType as T;

/// The types that the tables of these tests speak of. The others have tests of their own.
const PLAIN: [ValueType; 9] =
    [T::Int32, T::Int64, T::Float32, T::Float64, T::String, T::Bool, T::Bytes, T::Timestamp, T::Date];

/// What a column becomes: for each declared type the text of each value, or "!" where it is an error. Types that are
/// not named make an error of every value.
type Becomes = Vec<(ValueType, Vec<&'static str>)>;

fn raw(array: ArrayRef) -> RawColumn {
    RawColumn { name: "value".to_owned(), array, form: Form::Typed }
}

/// The texts of a column's values as `declared`.
fn texts(column: &RawColumn, declared: ValueType, reading: &Reading) -> Vec<String> {
    let (array, failed) = convert(column, column.array.len(), declared, reading);
    assert_eq!(*array.data_type(), arrow_type(declared));
    let text = |row| match value_at(&array, declared, row) {
        Some(value) => to_text(&value),
        None if failed.iter().any(|(at, _)| *at == row) => "!".to_owned(),
        None => "null".to_owned(),
    };
    (0..array.len()).map(text).collect()
}

/// Checks a column, with a null at its end, as every declared type, as it stands and by way of a Parquet file.
fn check(array: &ArrayRef, becomes: &Becomes, reading: &Reading) {
    let plain = normalise(array).unwrap_or_else(|| panic!("{} is scalar", array.data_type()));
    let stored = by_parquet(array);
    for declared in PLAIN {
        let named = becomes.iter().find(|(of, _)| *of == declared).map(|(_, texts)| texts.clone());
        let mut expected = named.unwrap_or_else(|| vec!["!"; array.len() - 1]);
        expected.push("null");
        let what = format!("{} as {declared}", array.data_type());
        assert_eq!(texts(&raw(plain.clone()), declared, reading), expected, "{what}");
        if let Some(stored) = &stored {
            assert_eq!(texts(stored, declared, reading), expected, "{what}, by Parquet");
        }
    }
}

/// The column after a Parquet file; `None` where the writer has no form for its type.
fn by_parquet(array: &ArrayRef) -> Option<RawColumn> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let rows = RecordBatch::try_from_iter_with_nullable([("value", array.clone(), true)]).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), rows.schema(), None).ok()?;
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let file = list("source `s`", &path, None).unwrap().remove(0);
    let mut batches = source::open("source `s`", &file, &[WantedColumn::required("value")]).unwrap();
    Some(batches.next().unwrap().unwrap().columns.remove(0))
}

/// The column in each of those types.
fn in_types(array: ArrayRef, types: Vec<DataType>) -> Vec<ArrayRef> {
    types.iter().map(|to| cast(&array, to).unwrap()).collect()
}

fn dictionary(index: DataType, of: DataType) -> DataType {
    DataType::Dictionary(Box::new(index), Box::new(of))
}

fn runs(of: DataType) -> DataType {
    let ends = Arc::new(Field::new("run_ends", DataType::Int32, false));
    DataType::RunEndEncoded(ends, Arc::new(Field::new("values", of, true)))
}

fn timestamps(unit: Unit, counts: &[i64]) -> Vec<ArrayRef> {
    let mut counts: Vec<Option<i64>> = counts.iter().copied().map(Some).collect();
    counts.push(None);
    let counts: ArrayRef = Arc::new(Int64Array::from(counts));
    let zones = [None, Some("UTC"), Some("+00:00"), Some("+05:30"), Some("America/New_York")];
    in_types(counts, zones.map(|zone| DataType::Timestamp(unit, zone.map(Into::into))).to_vec())
}

/// Goal: small integers of every width are the same values.
#[test]
fn integers_of_every_width() {
    let types = vec![
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::UInt8,
        DataType::UInt16,
        DataType::UInt32,
        DataType::UInt64,
        dictionary(DataType::Int8, DataType::Int16),
        runs(DataType::Int64),
    ];
    let values: ArrayRef = Arc::new(Int64Array::from(vec![Some(0), Some(1), Some(7), None]));
    let becomes = vec![
        (T::Int32, vec!["0", "1", "7"]),
        (T::Int64, vec!["0", "1", "7"]),
        (T::Float32, vec!["0.0", "1.0", "7.0"]),
        (T::Float64, vec!["0.0", "1.0", "7.0"]),
        (T::String, vec!["0", "1", "7"]),
        (T::Bool, vec!["false", "true", "!"]),
    ];
    for array in in_types(values, types) {
        check(&array, &becomes, &Reading::default());
    }
}

/// Goal: integers are exact to the ends of their range, also past int64, and refused where the type can't hold them.
#[test]
fn large_integers() {
    let wide: ArrayRef = Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(9_007_199_254_740_993), None]));
    let becomes = vec![
        (T::Int64, vec!["-9223372036854775808", "9007199254740993"]),
        (T::Float32, vec!["-9.223372e18", "9007199000000000.0"]),
        (T::Float64, vec!["-9.223372036854776e18", "9007199254740992.0"]),
        (T::String, vec!["-9223372036854775808", "9007199254740993"]),
    ];
    check(&wide, &becomes, &Reading::default());

    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![Some(1), Some(1 << 63), Some(u64::MAX), None]));
    let becomes = vec![
        (T::Int32, vec!["1", "!", "!"]),
        (T::Int64, vec!["1", "!", "!"]),
        (T::Float32, vec!["1.0", "9.223372e18", "1.8446744e19"]),
        (T::Float64, vec!["1.0", "9.223372036854776e18", "1.8446744073709552e19"]),
        (T::String, vec!["1", "9223372036854775808", "18446744073709551615"]),
        (T::Bool, vec!["true", "!", "!"]),
    ];
    check(&unsigned, &becomes, &Reading::default());
}

/// Goal: floats of every width keep their bits, in one zero and one NaN, and are integers only where they are whole.
#[test]
fn floats() {
    let values: ArrayRef = Arc::new(Float32Array::from(vec![
        Some(1.5),
        Some(-0.0),
        Some(f32::from_bits(0xffc0_0001)),
        Some(f32::NEG_INFINITY),
        None,
    ]));
    let becomes = vec![
        (T::Int32, vec!["!", "0", "!", "!"]),
        (T::Int64, vec!["!", "0", "!", "!"]),
        (T::Float32, vec!["1.5", "0.0", "NaN", "-inf"]),
        (T::Float64, vec!["1.5", "0.0", "NaN", "-inf"]),
    ];
    for array in in_types(values, vec![DataType::Float16, DataType::Float32, DataType::Float64]) {
        check(&array, &becomes, &Reading::default());
    }
    let single: ArrayRef = Arc::new(Float32Array::from(vec![Some(0.1), None]));
    let becomes = vec![(T::Float32, vec!["0.1"]), (T::Float64, vec!["0.10000000149011612"])];
    check(&single, &becomes, &Reading::default());
    let double: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.1), Some(1e300), Some(-2.0), None]));
    let becomes = vec![
        (T::Int32, vec!["!", "!", "-2"]),
        (T::Int64, vec!["!", "!", "-2"]),
        (T::Float32, vec!["0.1", "inf", "-2.0"]),
        (T::Float64, vec!["0.1", "1e300", "-2.0"]),
    ];
    check(&double, &becomes, &Reading::default());
}

/// Goal: text in every layout is read as the declared type, as CSV would be.
#[test]
fn texts_in_every_layout() {
    let types = vec![
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        dictionary(DataType::Int8, DataType::Utf8),
        dictionary(DataType::UInt32, DataType::LargeUtf8),
        runs(DataType::Utf8),
    ];
    let values = [
        Some(" 5 "),
        Some("aGk="),
        Some("TRUE"),
        Some("2024-02-29"),
        Some("1.5"),
        Some(""),
        Some("-0"),
        None,
    ];
    let values: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    let becomes = vec![
        (T::Int32, vec!["5", "!", "!", "!", "!", "!", "0"]),
        (T::Int64, vec!["5", "!", "!", "!", "!", "!", "0"]),
        (T::Float32, vec!["5.0", "!", "!", "!", "1.5", "!", "0.0"]),
        (T::Float64, vec!["5.0", "!", "!", "!", "1.5", "!", "0.0"]),
        (T::String, vec![" 5 ", "aGk=", "TRUE", "2024-02-29", "1.5", "", "-0"]),
        (T::Bool, vec!["!", "!", "true", "!", "!", "!", "!"]),
        (T::Bytes, vec!["!", "aGk=", "TRUE", "!", "!", "", "!"]),
        (T::Timestamp, vec!["!", "!", "!", "2024-02-29T00:00:00Z", "!", "!", "!"]),
        (T::Date, vec!["!", "!", "!", "2024-02-29", "!", "!", "!"]),
    ];
    for array in in_types(values, types) {
        check(&array, &becomes, &Reading::default());
    }
}

/// Goal: bytes in every layout are bytes and nothing else.
#[test]
fn bytes_in_every_layout() {
    let values: ArrayRef = Arc::new(BinaryArray::from_opt_vec(vec![Some(b"hi"), Some(&[0, 255]), None]));
    let becomes = vec![(T::Bytes, vec!["aGk=", "AP8="])];
    let mut arrays = in_types(
        values,
        vec![
            DataType::Binary,
            DataType::LargeBinary,
            DataType::BinaryView,
            dictionary(DataType::Int16, DataType::Binary),
        ],
    );
    let fixed = [Some(b"hi".to_vec()), Some(vec![0, 255]), None];
    arrays
        .push(Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(fixed.into_iter(), 2).unwrap()));
    for array in arrays {
        check(&array, &becomes, &Reading::default());
    }
}

/// Goal: booleans are booleans and text.
#[test]
fn booleans() {
    let values: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]));
    let becomes = vec![(T::String, vec!["true", "false"]), (T::Bool, vec!["true", "false"])];
    check(&values, &becomes, &Reading::default());
}

/// Goal: a decimal is the number it is, whatever its width and scale, and never base64.
#[test]
fn decimals() {
    let becomes = vec![
        (T::Int32, vec!["5", "!", "!"]),
        (T::Int64, vec!["5", "!", "!"]),
        (T::Float32, vec!["5.0", "1.5", "-0.01"]),
        (T::Float64, vec!["5.0", "1.5", "-0.01"]),
        (T::String, vec!["5.00", "1.50", "-0.01"]),
    ];
    let cents = Decimal128Array::from(vec![Some(500), Some(150), Some(-1), None]);
    let cents: ArrayRef = Arc::new(cents.with_precision_and_scale(9, 2).unwrap());
    let widths = vec![
        DataType::Decimal32(9, 2),
        DataType::Decimal64(18, 2),
        DataType::Decimal128(38, 2),
        DataType::Decimal256(76, 2),
        dictionary(DataType::Int8, DataType::Decimal128(9, 2)),
    ];
    for array in in_types(cents, widths) {
        check(&array, &becomes, &Reading::default());
    }
    let whole = Decimal128Array::from(vec![Some(1), Some(1234), Some(10_i128.pow(37)), None]);
    let whole: ArrayRef = Arc::new(whole.with_precision_and_scale(38, 0).unwrap());
    let becomes = vec![
        (T::Int32, vec!["1", "1234", "!"]),
        (T::Int64, vec!["1", "1234", "!"]),
        (T::Float32, vec!["1.0", "1234.0", "1e37"]),
        (T::Float64, vec!["1.0", "1234.0", "1e37"]),
        (T::String, vec!["1", "1234", "10000000000000000000000000000000000000"]),
        (T::Bool, vec!["true", "!", "!"]),
    ];
    check(&whole, &becomes, &Reading::default());
}

/// Goal: days are days, and their midnight where an instant is wanted; days past the year 9999 are neither.
#[test]
fn dates() {
    let days = [Some(19_782), Some(-1), Some(2_932_896), Some(2_932_897), None];
    let days: ArrayRef = Arc::new(Date32Array::from(days.to_vec()));
    let becomes = vec![
        (T::Timestamp, vec!["2024-02-29T00:00:00Z", "1969-12-31T00:00:00Z", "9999-12-31T00:00:00Z", "!"]),
        (T::Date, vec!["2024-02-29", "1969-12-31", "9999-12-31", "!"]),
    ];
    for array in in_types(days, vec![DataType::Date32, DataType::Date64]) {
        check(&array, &becomes, &Reading::default());
    }
}

/// Goal: instants of every unit floor to microseconds, and a zone is how they are shown, not what they are.
#[test]
fn instants_of_every_unit() {
    for (unit, counts, before_1970) in [
        (Unit::Second, [1_709_164_800, -1], "1969-12-31T23:59:59Z"),
        (Unit::Millisecond, [1_709_164_800_000, -1], "1969-12-31T23:59:59.999Z"),
        (Unit::Microsecond, [1_709_164_800_000_000, -1], "1969-12-31T23:59:59.999999Z"),
        (Unit::Nanosecond, [1_709_164_800_000_000_000, -1], "1969-12-31T23:59:59.999999Z"),
    ] {
        let becomes = vec![
            (T::Timestamp, vec!["2024-02-29T00:00:00Z", before_1970]),
            (T::Date, vec!["2024-02-29", "!"]),
        ];
        for array in timestamps(unit, &counts) {
            check(&array, &becomes, &Reading::default());
        }
    }
    for unit in [Unit::Second, Unit::Millisecond, Unit::Microsecond] {
        for array in timestamps(unit, &[i64::MIN + 1, i64::MAX, 0]) {
            let becomes = vec![
                (T::Timestamp, vec!["!", "!", "1970-01-01T00:00:00Z"]),
                (T::Date, vec!["!", "!", "1970-01-01"]),
            ];
            // Parquet has no seconds: what overflows in milliseconds can't be written.
            let plain = normalise(&array).unwrap();
            for (declared, expected) in becomes {
                assert_eq!(
                    texts(&raw(plain.clone()), declared, &Reading::default())[..3],
                    expected,
                    "{unit:?}"
                );
            }
        }
    }
}

/// Goal: a source's zone moves local times and days and nothing that has an offset; its unit makes integers instants.
#[test]
fn zone_and_unit_of_a_source() {
    let reading =
        Reading { zone: Zone::named("America/New_York").unwrap(), unit: Some(TimeUnit::Milliseconds) };
    let midnight = "2024-02-29T05:00:00Z";
    let count: ArrayRef = Arc::new(Int64Array::from(vec![Some(1_709_164_800_000), Some(i64::MAX), None]));
    assert_eq!(texts(&raw(count), T::Timestamp, &reading), ["2024-02-29T00:00:00Z", "!", "null"]);
    let texts_in = ["2024-02-29", "2024-02-29 00:00:00", "2024-02-29T00:00:00Z", "1709164800000"];
    let text: ArrayRef = Arc::new(StringArray::from(texts_in.to_vec()));
    let expected = [midnight, midnight, "2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"];
    assert_eq!(texts(&raw(text), T::Timestamp, &reading), expected);
    let day: ArrayRef = Arc::new(Date32Array::from(vec![19_782]));
    assert_eq!(texts(&raw(day.clone()), T::Timestamp, &reading), [midnight]);
    assert_eq!(texts(&raw(day), T::Date, &reading), ["2024-02-29"]);
    for array in timestamps(Unit::Microsecond, &[1_709_164_800_000_000]) {
        let local = matches!(array.data_type(), DataType::Timestamp(_, None));
        let expected = if local { midnight } else { "2024-02-29T00:00:00Z" };
        assert_eq!(texts(&raw(array), T::Timestamp, &reading)[0], expected);
    }
}

/// Goal: a column of nulls fits every type.
#[test]
fn nulls_of_no_type() {
    let nulls: ArrayRef = Arc::new(NullArray::new(3));
    for column in [raw(normalise(&nulls).unwrap()), by_parquet(&nulls).unwrap()] {
        for declared in ValueType::examples() {
            assert_eq!(texts(&column, declared, &Reading::default()), ["null"; 3], "{declared}");
        }
    }
}

/// Goal: types that hold nothing that can be read are told from those that do.
#[test]
fn types_that_hold_no_values() {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    for to in [DataType::Time64(Unit::Microsecond), DataType::Duration(Unit::Second)] {
        assert!(normalise(&cast(&numbers, &to).unwrap()).is_none(), "{to}");
    }
}

/// Goal: lists, maps and structs of a file become lists, maps, embeddings and json by the rules of their JSON text, and
/// are no scalars.
#[test]
fn nested_columns() {
    let numbers =
        [Some(vec![Some(1.0), Some(f32::NAN)]), Some(vec![None, Some(0.1)]), Some(vec![Some(2.0)]), None];
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(numbers));
    let large = DataType::LargeList(Arc::new(Field::new("element", DataType::Float32, true)));
    let fixed = DataType::FixedSizeList(Arc::new(Field::new("x", DataType::Float32, true)), 2);
    let two: ArrayRef = list.slice(0, 2);
    let money = DecimalType::new(10, 2).unwrap();
    for (array, rows) in
        [(list.clone(), 4), (cast(&list, &large).unwrap(), 4), (cast(&two, &fixed).unwrap(), 2)]
    {
        for (declared, mut expected) in [
            (T::List(ScalarType::Float32), vec!["[1.0,\"NaN\"]", "[null,0.1]", "[2.0]", "null"]),
            (
                T::List(ScalarType::Float64),
                vec!["[1.0,\"NaN\"]", "[null,0.10000000149011612]", "[2.0]", "null"],
            ),
            (T::List(ScalarType::Decimal(money)), vec!["!", "[null,\"0.10\"]", "[\"2.00\"]", "null"]),
            (T::List(ScalarType::Int32), vec!["!", "!", "[2]", "null"]),
            (T::Embedding(2), vec!["[1.0,\"NaN\"]", "!", "!", "null"]),
            (T::Json, vec!["[1,\"NaN\"]", "[null,0.10000000149011612]", "[2]", "null"]),
            (T::Map(ScalarType::Float32), vec!["!", "!", "!", "null"]),
            (T::Float32, vec!["!", "!", "!", "null"]),
            (T::String, vec!["!", "!", "!", "null"]),
        ] {
            expected.truncate(rows);
            let what = format!("{} as {declared}", array.data_type());
            assert_eq!(texts(&raw(array.clone()), declared, &Reading::default()), expected, "{what}");
            assert_eq!(
                texts(&by_parquet(&array).unwrap(), declared, &Reading::default()),
                expected,
                "{what}"
            );
        }
    }
    let member = |name: &str, of| Arc::new(Field::new(name, of, true));
    let group: ArrayRef = Arc::new(StructArray::from(vec![
        (member("b", DataType::Int64), Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
        (member("a", DataType::Float64), Arc::new(Float64Array::from(vec![0.5, 2.0]))),
    ]));
    for column in [raw(group.clone()), by_parquet(&group).unwrap()] {
        let as_type = |of| texts(&column, of, &Reading::default());
        assert_eq!(as_type(T::Json), [r#"{"a":0.5,"b":1}"#, r#"{"a":2,"b":null}"#]);
        assert_eq!(as_type(T::Map(ScalarType::Float64)), [r#"{"a":0.5,"b":1.0}"#, r#"{"a":2.0,"b":null}"#]);
        assert_eq!(as_type(T::Map(ScalarType::Int64)), ["!", r#"{"a":2,"b":null}"#]);
    }
}

/// Goal: decimals, uuids and json are read from every carrier that can say them.
#[test]
fn decimals_uuids_and_json() {
    let money = T::Decimal(DecimalType::new(10, 2).unwrap());
    let read = |array: ArrayRef, of| texts(&raw(normalise(&array).unwrap()), of, &Reading::default());
    let exact = Decimal128Array::from(vec![1_005, -1_005, 1]).with_precision_and_scale(20, 3).unwrap();
    assert_eq!(read(Arc::new(exact), money), ["1.01", "-1.01", "0.00"]);
    assert_eq!(read(Arc::new(Float64Array::from(vec![1.005, f64::NAN, 1e9])), money), ["1.01", "!", "!"]);
    assert_eq!(read(Arc::new(Int64Array::from(vec![5, 100_000_000])), money), ["5.00", "!"]);
    assert_eq!(read(Arc::new(StringArray::from(vec!["1.5", "x"])), money), ["1.50", "!"]);
    let uuid = "00000000-0000-0000-0000-00000000000a";
    let spelled = StringArray::from(vec![uuid, "0000000000000000000000000000000A", "x"]);
    assert_eq!(read(Arc::new(spelled), T::Uuid), [uuid, uuid, "!"]);
    let bytes = FixedSizeBinaryArray::try_from_iter(
        [[0_u8; 15].iter().chain(&[10]).copied().collect::<Vec<_>>()].iter(),
    )
    .unwrap();
    assert_eq!(read(Arc::new(bytes), T::Uuid), [uuid]);
    let text = StringArray::from(vec!["{\"b\": 1, \"a\": 2.0}", "{", "null"]);
    assert_eq!(read(Arc::new(text), T::Json), ["{\"a\":2,\"b\":1}", "!", "null"]);
    assert_eq!(read(Arc::new(Float64Array::from(vec![1.5, f64::INFINITY])), T::Json), ["1.5", "!"]);
}

/// A column of the declared type's own Arrow type, with values that are not canonical or not in range.
fn any_column(of: ValueType) -> BoxedStrategy<ArrayRef> {
    let odd = match of {
        T::Timestamp => {
            let micros = prop_oneof![any::<i64>(), -10_i64..10, Just(i64::MAX)];
            let micros = proptest::collection::vec(proptest::option::of(micros), 0..8);
            return micros
                .prop_map(move |micros| {
                    cast(&(Arc::new(Int64Array::from(micros)) as ArrayRef), &arrow_type(of)).unwrap()
                })
                .boxed();
        }
        T::Date => {
            let days = prop_oneof![any::<i32>(), -10_i32..10];
            let days = proptest::collection::vec(proptest::option::of(days), 0..8);
            return days.prop_map(|days| Arc::new(Date32Array::from(days)) as ArrayRef).boxed();
        }
        _ => (any_value(of), any::<bool>())
            .prop_map(|(value, otherwise)| if otherwise { spelled_otherwise(&value) } else { value }),
    };
    proptest::collection::vec(proptest::option::of(odd), 0..8)
        .prop_map(move |values| {
            let mut builder = asof_engine::columns::ColumnBuilder::new(of, 0);
            values.iter().for_each(|value| builder.append(value.as_ref()));
            builder.finish()
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Goal: a column that is taken as it stands holds, in canonical bytes, what going value by value gives, and the
    /// same rows fail; also where it is a slice of another.
    #[test]
    fn taking_a_column_as_it_stands_is_no_shortcut(
        (of, array, from) in proptest::sample::select(ValueType::examples())
            .prop_flat_map(|of| (Just(of), any_column(of), 0_usize..8)),
    ) {
        let from = from.min(array.len());
        let column = raw(array.slice(from, array.len() - from));
        let (fast, failed) = convert(&column, column.array.len(), of, &Reading::default());
        prop_assert_eq!(fast.data_type(), &arrow_type(of));
        for row in 0..column.array.len() {
            let slow = column.at(row).map(|raw| from_raw(raw.raw(), of, &Reading::default()));
            let error = failed.iter().find(|(at, _)| *at == row).map(|(_, error)| error);
            prop_assert_eq!(error, slow.as_ref().and_then(|slow| slow.as_ref().err()));
            let slow = slow.and_then(Result::ok).map_or(Cell::Null, Cell::Value);
            let fast = value_at(&fast, of, row).map_or(Cell::Null, Cell::Value);
            let bytes = |cell: &Cell| canonical::row_bytes(&[of], std::slice::from_ref(cell));
            prop_assert_eq!(bytes(&fast), bytes(&slow), "{:?}", slow);
        }
    }
}

/// Goal: CSV and Parquet agree on every edge value (but for empty text, which CSV can't tell from null).
#[test]
fn csv_and_parquet_agree() {
    for of in ValueType::examples() {
        let values =
            edge_values(of).into_iter().filter(|value| !to_text(value).is_empty()).collect::<Vec<_>>();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        let mut writer = csv::Writer::from_path(&path).unwrap();
        writer.write_record(["value"]).unwrap();
        let mut builder = asof_engine::columns::ColumnBuilder::new(of, 0);
        for value in &values {
            writer.write_record([to_text(value)]).unwrap();
            builder.append(Some(&spelled_otherwise(value)));
        }
        writer.flush().unwrap();
        let file = list("source `s`", &path, None).unwrap().remove(0);
        let mut batches = source::open("source `s`", &file, &[WantedColumn::required("value")]).unwrap();
        let from_csv = batches.next().unwrap().unwrap().columns.remove(0);
        let from_parquet = by_parquet(&builder.finish()).unwrap();
        let (csv, csv_failed) = convert(&from_csv, values.len(), of, &Reading::default());
        let (parquet, parquet_failed) = convert(&from_parquet, values.len(), of, &Reading::default());
        assert_eq!((csv_failed, parquet_failed), (vec![], vec![]), "{of}");
        for (row, value) in values.iter().enumerate() {
            assert_eq!(value_at(&csv, of, row).as_ref(), Some(value), "{of}, CSV");
            assert_eq!(value_at(&parquet, of, row).as_ref(), Some(value), "{of}, Parquet");
        }
    }
}
