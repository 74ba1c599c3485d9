//! Label tables in, training sets out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch,
    StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use asof_engine::EngineError;
use asof_model::{Explain, Instant, Value, ValueType, Zone};
use asof_training::TrainingError;
use tempfile::TempDir;

use crate::support::{
    Given, given, make, make_on, names_in, open, read_parquet, times, values, write_parquet,
};

/// Three label rows with a key, a time, and columns that are nobody's business.
fn label_rows() -> RecordBatch {
    let micros = Int64Array::from(vec![1_704_067_200_000_000, 1_704_067_200_250_000, 0]);
    let at = cast(&micros, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("zip", Arc::new(StringArray::from(vec![Some("00501"), Some("94109"), None]))),
        ("at", at),
        ("id", Arc::new(Int64Array::from(vec![Some(7), None, Some(-7)]))),
        ("score", Arc::new(Float64Array::from(vec![Some(0.5), Some(2.0), None]))),
        ("paid", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("note", Arc::new(StringArray::from(vec![Some("a,\"b\"\nc"), None, Some("Zürich")]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

const LABELS_CSV: &str = "zip,at,id,score,paid,note\n\
    00501,2024-01-01T00:00:00Z,7,0.5,true,\"a,\"\"b\"\"\nc\"\n\
    94109,2024-01-01T00:00:00.250Z,,2.0,false,\n\
    ,1970-01-01T00:00:00Z,-7,,,Zürich\n";

/// One feature of each type.
fn features() -> Vec<Given> {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    vec![
        given("count", ValueType::Int32, &[Some(Value::Int32(1)), None, Some(Value::Int32(-3))]),
        given("count__status", ValueType::String, &[text("PRESENT"), text("MISSING"), text("OUTSIDE_TTL")]),
        given("total", ValueType::Int64, &[Some(Value::Int64(i64::MIN)), None, None]),
        given(
            "ratio",
            ValueType::Float32,
            &[Some(Value::float32(0.1)), Some(Value::float32(f32::NAN)), None],
        ),
        given("mean", ValueType::Float64, &[Some(Value::float64(0.1)), Some(Value::float64(1e300)), None]),
        given("city", ValueType::String, &[text("Genève"), text("a\"b"), None]),
        given("good", ValueType::Bool, &[Some(Value::Bool(true)), None, Some(Value::Bool(false))]),
        given("blob", ValueType::Bytes, &[Some(Value::Bytes(vec![0, 255])), None, None]),
        given("seen", ValueType::Timestamp, &[Some(Value::Timestamp(Instant::EPOCH)), None, None]),
        given("born", ValueType::Date, &[Some(Value::Date(19_782)), None, None]),
    ]
}

const FEATURES_CSV: [&str; 4] = [
    "count,count__status,total,ratio,mean,city,good,blob,seen,born",
    "1,PRESENT,-9223372036854775808,0.1,0.1,Genève,true,AP8=,1970-01-01T00:00:00Z,2024-02-29",
    ",MISSING,,NaN,1e300,\"a\"\"b\",,,,",
    "-3,OUTSIDE_TTL,,,,,false,,,",
];

/// A folder with the labels in both formats.
fn folder() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (csv, parquet) = (folder.path().join("labels.csv"), folder.path().join("labels.parquet"));
    std::fs::write(&csv, LABELS_CSV).unwrap();
    write_parquet(&parquet, &label_rows());
    (folder, csv, parquet)
}

/// Goal: Parquet and CSV labels give the same instants and keys, and the same CSV training set, byte for byte: labels
/// as they were, features behind them, rows in order.
#[test]
fn labels_of_either_format_to_csv() {
    let (folder, csv, parquet) = folder();
    let labels = LABELS_CSV.replace("\"\nc\"\n", "\" c\"\n");
    let mut expected = String::new();
    for (label, feature) in labels.lines().zip(FEATURES_CSV) {
        expected.push_str(&format!("{label},{feature}\n"));
    }
    let expected = expected.replace("\" c\"", "\"\nc\"");
    for labels in [csv, parquet] {
        let table = open(&labels, &Zone::utc(), "at", false).unwrap();
        assert_eq!(times(table.as_ref(), "at").unwrap(), [1_704_067_200_000_000, 1_704_067_200_250_000, 0]);
        assert_eq!(table.rows(), 3);
        let ids = values(table.as_ref(), "id", ValueType::Int64, false).unwrap();
        assert_eq!(ids.as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(7), None, Some(-7)]));
        let out = folder.path().join("out.csv");
        let bytes = make(&labels, "at", &features(), &out, &[]).unwrap();
        let written = std::fs::read_to_string(&out).unwrap();
        assert_eq!(written, expected, "{}", labels.display());
        assert_eq!(bytes, written.len() as u64);
    }
}

/// Goal: Parquet labels keep their types in a Parquet training set, CSV labels get the types that all their fields
/// share and no zip code loses its zero; features have their declared types; notes stand in the metadata.
#[test]
fn labels_of_either_format_to_parquet() {
    let (folder, csv, parquet) = folder();
    for labels in [csv, parquet] {
        let out = folder.path().join("out.parquet");
        let bytes = make(&labels, "at", &features(), &out, &[("asof.report", "{}")]).unwrap();
        assert_eq!(bytes, std::fs::metadata(&out).unwrap().len());
        let (rows, metadata) = read_parquet(&out);
        assert_eq!(metadata["asof.report"], "{}");
        let (expected, features) = (label_rows(), features());
        let names: Vec<&str> = expected
            .schema_ref()
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .chain(features.iter().map(|feature| feature.name))
            .collect();
        let found: Vec<&str> = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(found, names);
        for (index, label) in expected.columns().iter().enumerate() {
            assert_eq!(rows.column(index), label, "{}, {}", labels.display(), names[index]);
        }
        for (index, feature) in features.iter().enumerate() {
            assert_eq!(rows.column(expected.num_columns() + index), &feature.values, "{}", feature.name);
        }
    }
}

/// Goal: label columns of types that are no feature types, nested ones too, pass through Parquet unchanged, without
/// the metadata of the file they came from.
#[test]
fn any_label_column_passes_through() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("labels.parquet"), folder.path().join("out.parquet"));
    let list: ArrayRef =
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1)]), None]));
    let nanos = Int64Array::from(vec![1, -1]);
    let columns: Vec<ArrayRef> = vec![
        cast(&nanos, &DataType::Timestamp(TimeUnit::Nanosecond, None)).unwrap(),
        list,
        cast(&nanos, &DataType::Decimal128(20, 3)).unwrap(),
        cast(&StringArray::from(vec!["a", "b"]), &DataType::Utf8View).unwrap(),
        cast(
            &StringArray::from(vec!["a", "b"]),
            &DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)),
        )
        .unwrap(),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .enumerate()
        .map(|(index, array)| Field::new(format!("c{index}"), array.data_type().clone(), true))
        .collect();
    let metadata = HashMap::from([("pandas".to_owned(), "{\"columns\": []}".to_owned())]);
    let schema = Arc::new(Schema::new(fields).with_metadata(metadata));
    write_parquet(&path, &RecordBatch::try_new(schema, columns.clone()).unwrap());
    let table = open(&path, &Zone::utc(), "c0", true).unwrap();
    assert_eq!(times(table.as_ref(), "c0").unwrap(), [0, -1]);
    make(&path, "c0", &[], &out, &[]).unwrap();
    let (rows, metadata) = read_parquet(&out);
    assert_eq!(rows.columns(), columns);
    assert!(metadata.is_empty(), "{metadata:?}");
    let error = values(table.as_ref(), "c1", ValueType::Int64, false).unwrap_err();
    assert_eq!(error.to_string(), "label column `c1`, row 1: [1] is not a whole number");
}

/// Goal: in CSV, instants of every zone and unit and bytes of every layout are written as features are, so that the
/// training set can be labels again.
#[test]
fn texts_of_label_columns() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("labels.parquet"), folder.path().join("out.csv"));
    let counts = Int64Array::from(vec![Some(1_500_000_000), None, Some(-1)]);
    let time: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, 2]));
    let at =
        |unit, zone: Option<&str>| cast(&counts, &DataType::Timestamp(unit, zone.map(Into::into))).unwrap();
    let bytes = BinaryArray::from_opt_vec(vec![Some(b"hi"), Some(b""), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("s", at(TimeUnit::Second, Some("Europe/Zurich"))),
        ("ms", at(TimeUnit::Millisecond, Some("UTC"))),
        ("us", at(TimeUnit::Microsecond, Some("+05:30"))),
        ("ns", at(TimeUnit::Nanosecond, Some("America/New_York"))),
        ("local", at(TimeUnit::Second, None)),
        ("bytes", cast(&bytes, &DataType::BinaryView).unwrap()),
        ("empty", Arc::new(StringArray::from(vec![Some(""), Some(""), None]))),
        ("t", cast(&time, &DataType::Timestamp(TimeUnit::Second, Some("UTC".into()))).unwrap()),
    ];
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    write_parquet(&path, &RecordBatch::try_from_iter_with_nullable(columns).unwrap());
    make(&path, "t", &[], &out, &[]).unwrap();
    assert_eq!(
        std::fs::read_to_string(&out).unwrap(),
        "s,ms,us,ns,local,bytes,empty,t\n\
         2017-07-14T02:40:00Z,1970-01-18T08:40:00Z,1970-01-01T00:25:00Z,1970-01-01T00:00:01.500Z,2017-07-14T02:40:00,aGk=,,1970-01-01T00:00:00Z\n\
         ,,,,,,,1970-01-01T00:00:01Z\n\
         1969-12-31T23:59:59Z,1969-12-31T23:59:59.999Z,1969-12-31T23:59:59.999999Z,1969-12-31T23:59:59.999999999Z,1969-12-31T23:59:59,,,1970-01-01T00:00:02Z\n"
    );
    let micros = |path: &Path| {
        let table = open(path, &Zone::utc(), "t", false).unwrap();
        values(table.as_ref(), "us", ValueType::Timestamp, false).unwrap()
    };
    assert_eq!(&micros(&out), &micros(&path));
}

/// Goal: a label that has no time, or a text that is none, is refused with its row, counted from 1; so is a key that
/// is not of its type; a missing column is answered with the nearest.
#[test]
fn labels_that_cannot_be_used() {
    let (_folder, csv, parquet) = folder();
    for path in [&csv, &parquet] {
        let table = open(path, &Zone::utc(), "at", true).unwrap();
        let message = |name: &str| times(table.as_ref(), name).unwrap_err().to_string();
        assert!(message("zip").starts_with("label column `zip`, row 1: "), "{}", message("zip"));
        assert!(message("note").starts_with("label column `note`, row 1: "));
        let error = values(table.as_ref(), "zip", ValueType::Bool, false).unwrap_err();
        assert_eq!(error.to_string(), "label column `zip`, row 1: \"00501\" is not a bool");
        let error = values(table.as_ref(), "ids", ValueType::Int64, false).unwrap_err();
        assert!(error.to_string().ends_with("has no column `ids`"), "{error}");
        assert_eq!(error.hint().as_deref(), Some("did you mean `id`?"));
    }
    std::fs::write(&csv, "at,x\n2024-01-01,1\n,2\n").unwrap();
    let all = |path: &Path| times(open(path, &Zone::utc(), "at", true).unwrap().as_ref(), "at");
    let error = all(&csv).unwrap_err();
    assert_eq!(error.to_string(), "label column `at`, row 2: the time is null");
    let at =
        cast(&Int64Array::from(vec![Some(0), Some(0), None]), &DataType::Timestamp(TimeUnit::Second, None));
    write_parquet(&parquet, &RecordBatch::try_from_iter([("at", at.unwrap())]).unwrap());
    let error = all(&parquet).unwrap_err();
    assert_eq!(error.to_string(), "label column `at`, row 3: the time is null");
}

/// Goal: a label row is never dropped: a CSV file with a broken row is refused with row and line, and so are text
/// that is not UTF-8 and two columns of one name.
#[test]
fn label_files_that_are_refused() {
    let (_folder, csv, parquet) = folder();
    for (text, message) in [
        (
            &b"at,x\n2024-01-01,\"1\n2\"\n2024-01-01\n"[..],
            "row 2 (line 4): the row has 1 fields, the header has 2",
        ),
        (
            b"at,x\n2024-01-01,1\n2024-01-01,\"2\n2024-01-01,3\n",
            "row 2 (line 3): a quote in the row is never closed: everything behind it was read as one field",
        ),
        (b"at,x\n2024-01-01,1\n2024-01-01,\xff\n", "label column `x`, row 2: the text is not UTF-8"),
        (b"at,x,at\n", "the header has two columns named `at`"),
        (b"", "it is empty, and a header line is expected"),
    ] {
        std::fs::write(&csv, text).unwrap();
        let error = open(&csv, &Zone::utc(), "at", true).and_then(|table| times(table.as_ref(), "at"));
        let error = error.unwrap_err();
        assert!(error.to_string().ends_with(message), "{error}");
    }
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    write_parquet(&parquet, &RecordBatch::try_from_iter([("x", number.clone()), ("x", number)]).unwrap());
    let error = open(&parquet, &Zone::utc(), "x", true).err().unwrap();
    assert!(error.to_string().ends_with("it has two columns named `x`"), "{error}");
}

/// Goal: local times of labels are read in the zone that is given.
#[test]
fn zone_of_labels() {
    let (_folder, csv, _) = folder();
    std::fs::write(&csv, "at\n2024-01-01\n2024-01-01T00:00:00Z\n").unwrap();
    let table = open(&csv, &Zone::named("America/New_York").unwrap(), "at", true).unwrap();
    assert_eq!(times(table.as_ref(), "at").unwrap(), [1_704_085_200_000_000, 1_704_067_200_000_000]);
}

/// Goal: a folder is one label table, file after file; files with other columns are refused.
#[test]
fn a_folder_of_labels() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("b.csv", "at,x\n1970-01-01T00:00:02Z,b\n");
    write("a.csv", "at,x\n1970-01-01T00:00:01Z,a\n");
    write("_c.csv", "nothing");
    let table = open(folder.path(), &Zone::utc(), "at", true).unwrap();
    assert_eq!(times(table.as_ref(), "at").unwrap(), [1_000_000, 2_000_000]);
    write("c.csv", "x,at\n");
    let error = open(folder.path(), &Zone::utc(), "at", true).err().unwrap();
    assert!(error.to_string().contains("c.csv") && error.to_string().contains("columns differ"), "{error}");
}

/// Goal: a table without rows is a training set without rows, in all four combinations.
#[test]
fn no_labels() {
    let (folder, csv, parquet) = folder();
    std::fs::write(&csv, "at,x\n").unwrap();
    let text: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
    write_parquet(&parquet, &RecordBatch::try_from_iter([("at", text.clone()), ("x", text)]).unwrap());
    for labels in [csv, parquet] {
        let table = open(&labels, &Zone::utc(), "at", true).unwrap();
        assert_eq!(times(table.as_ref(), "at").unwrap(), Vec::<i64>::new());
        assert_eq!(table.rows(), 0);
        let columns = [given("count", ValueType::Int32, &[])];
        let (out_csv, out_parquet) = (folder.path().join("out.csv"), folder.path().join("out.parquet"));
        make(&labels, "at", &columns, &out_csv, &[]).unwrap();
        assert_eq!(std::fs::read_to_string(&out_csv).unwrap(), "at,x,count\n");
        make(&labels, "at", &columns, &out_parquet, &[]).unwrap();
        let (rows, _) = read_parquet(&out_parquet);
        assert_eq!((rows.num_rows(), rows.num_columns()), (0, 3));
    }
}

/// Goal: two output columns of one name are refused before anything is written, with where both come from.
#[test]
fn names_that_appear_twice() {
    let (folder, csv, _) = folder();
    let out = folder.path().join("out.parquet");
    for (columns, message) in [
        (
            ["id", "city"],
            "the output has two columns named `id`: the label table and feature `id` of view `trips@1`",
        ),
        (
            ["city", "city"],
            "the output has two columns named `city`: feature `city` of view `trips@1` and feature `city` of view `trips@1`",
        ),
    ] {
        let columns = columns.map(|name| given(name, ValueType::Int32, &[None, None, None]));
        let error = make(&csv, "at", &columns, &out, &[]).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(!out.exists());
    }
}

/// Goal: the output appears whole or not at all: what fails leaves the old file as it was and nothing beside it.
#[test]
fn a_failure_leaves_the_old_file() {
    let (folder, csv, _) = folder();
    let broken = folder.path().join("broken.csv");
    std::fs::write(&broken, "at,x\n2024-01-01T00:00:00Z,1\n2024-01-02T00:00:00Z,2\n").unwrap();
    for name in ["out.parquet", "out.csv"] {
        let out = folder.path().join(name);
        std::fs::write(&out, "old").unwrap();
        let before = names_in(folder.path());
        // Of a feature that has the wrong length no row can be read.
        let short = [given("count", ValueType::Int32, &[None])];
        let error = make(&broken, "at", &short, &out, &[]).unwrap_err();
        assert!(matches!(error, TrainingError::LabelsChanged), "{error}");
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "old");
        assert_eq!(names_in(folder.path()), before);
        make(&csv, "at", &features(), &out, &[]).unwrap();
        assert_ne!(std::fs::read(&out).unwrap(), b"old");
        assert_eq!(names_in(folder.path()), before);
    }
}

/// Goal: an output that can't be written is an error that names the output and not a file of ours, and leaves
/// nothing behind.
#[test]
fn outputs_that_cannot_be_written() {
    let (folder, csv, _) = folder();
    let before = names_in(folder.path());
    for name in ["gone/out.parquet", "gone/out.csv", "labels.csv/out.csv"] {
        let out = folder.path().join(name);
        let error = make(&csv, "at", &features(), &out, &[]).unwrap_err();
        let TrainingError::Engine(error) = error else { panic!("{error}") };
        assert!(matches!(&error, EngineError::Io { doing: "write", path, .. } if *path == out), "{error}");
        assert_eq!(names_in(folder.path()), before);
    }
    let taken = folder.path().join("taken.parquet");
    std::fs::create_dir(&taken).unwrap();
    let error = make(&csv, "at", &features(), &taken, &[]).unwrap_err();
    let TrainingError::Engine(error) = error else { panic!("{error}") };
    assert!(matches!(&error, EngineError::Io { doing: "write", path, .. } if *path == taken), "{error}");
    assert_eq!(names_in(folder.path()).len(), before.len() + 1);
}

/// Goal: label tables of several row groups and ranges keep every row in order, and give the same bytes on any number of
/// threads.
#[test]
fn many_labels() {
    let rows = 300_000;
    let folder = tempfile::tempdir().unwrap();
    let (parquet, csv) = (folder.path().join("labels.parquet"), folder.path().join("labels.csv"));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let times = cast(&numbers, &DataType::Timestamp(TimeUnit::Second, Some("UTC".into()))).unwrap();
    let rows = RecordBatch::try_from_iter([("n", numbers.clone()), ("t", times)]).unwrap();
    write_parquet(&parquet, &rows);
    make(&parquet, "t", &[], &csv, &[]).unwrap();
    let out = folder.path().join("out.parquet");
    make(&csv, "t", &[], &out, &[]).unwrap();
    assert_eq!(read_parquet(&out).0.column(0), &numbers);
    let same: Vec<Option<Value>> =
        (0..300_000).map(|row| (row % 3 > 0).then_some(Value::Int64(row))).collect();
    let given = [given("same", ValueType::Int64, &same)];
    let mut all: Vec<Vec<u8>> = Vec::new();
    for threads in [1, 2, 7] {
        make_on(&parquet, "t", &given, &out, &[], threads).unwrap();
        all.push(std::fs::read(&out).unwrap());
    }
    assert!(all.iter().all(|bytes| *bytes == all[0]));
    let read = read_parquet(&out).0;
    assert_eq!(read.column(2), &given[0].values);
}

/// Goal: columns that folders tell are label columns, typed where the output has types; a column of the file itself goes
/// first.
#[test]
fn a_partitioned_folder() {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = folder.path().join("labels").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("year=2023/country=CH/a.csv", "t,x\n2023-01-01T00:00:00Z,a\n");
    write("year=2024/country=DE/b.csv", "t,x\n2024-01-01T00:00:00Z,b\n");
    let out = folder.path().join("out.parquet");
    make(&folder.path().join("labels"), "t", &[], &out, &[]).unwrap();
    let rows = read_parquet(&out).0;
    let names: Vec<String> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["t", "x", "country", "year"]);
    assert_eq!(rows.column(2).as_string::<i32>(), &StringArray::from(vec!["CH", "DE"]));
    assert_eq!(rows.column(3).as_primitive::<Int64Type>(), &Int64Array::from(vec![2023, 2024]));
}
