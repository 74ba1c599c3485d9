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
use asof_engine::columns::ColumnBuilder;
use asof_engine::training::{LabelTable, OutputColumn, output};
use asof_model::{Explain, Instant, Value, ValueType, Zone};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;

use crate::read_labels;

fn write_parquet(path: &Path, rows: &RecordBatch) {
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    writer.close().unwrap();
}

/// The rows of a Parquet file, and the metadata of its schema.
fn read_parquet(path: &Path) -> (RecordBatch, HashMap<String, String>) {
    let builder = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap()).unwrap();
    let (schema, metadata) = (builder.schema().clone(), builder.schema().metadata().clone());
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    (arrow::compute::concat_batches(&schema, &batches).unwrap(), metadata)
}

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

fn column(name: &str, value_type: ValueType, values: &[Option<Value>]) -> OutputColumn {
    let mut builder = ColumnBuilder::new(value_type, values.len());
    values.iter().for_each(|value| builder.append(value.as_ref()));
    OutputColumn {
        name: name.to_owned(),
        origin: format!("feature `{name}` of view `trips@1`"),
        value_type,
        values: builder.finish(),
    }
}

/// One feature of each type, and the statuses of the first.
fn features() -> Vec<OutputColumn> {
    let text = |text: &str| Some(Value::String(text.to_owned()));
    vec![
        column("count", ValueType::Int32, &[Some(Value::Int32(1)), None, Some(Value::Int32(-3))]),
        column("count__status", ValueType::String, &[text("PRESENT"), text("MISSING"), text("OUTSIDE_TTL")]),
        column("total", ValueType::Int64, &[Some(Value::Int64(i64::MIN)), None, None]),
        column(
            "ratio",
            ValueType::Float32,
            &[Some(Value::float32(0.1)), Some(Value::float32(f32::NAN)), None],
        ),
        column("mean", ValueType::Float64, &[Some(Value::float64(0.1)), Some(Value::float64(1e300)), None]),
        column("city", ValueType::String, &[text("Genève"), text("a\"b"), None]),
        column("good", ValueType::Bool, &[Some(Value::Bool(true)), None, Some(Value::Bool(false))]),
        column("blob", ValueType::Bytes, &[Some(Value::Bytes(vec![0, 255])), None, None]),
        column("seen", ValueType::Timestamp, &[Some(Value::Timestamp(Instant::EPOCH)), None, None]),
        column("born", ValueType::Date, &[Some(Value::Date(19_782)), None, None]),
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

fn read(path: &Path) -> LabelTable {
    read_labels(path, &Zone::utc()).unwrap()
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
        let table = read(&labels);
        assert_eq!(table.len(), 3);
        assert_eq!(table.times("at").unwrap(), [1_704_067_200_000_000, 1_704_067_200_250_000, 0]);
        let ids = table.values("id", ValueType::Int64).unwrap();
        assert_eq!(ids.as_primitive::<Int64Type>(), &Int64Array::from(vec![Some(7), None, Some(-7)]));
        let out = folder.path().join("out.csv");
        let bytes = output::write(&out, &table, &features(), &[]).unwrap();
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
        let table = read(&labels);
        let out = folder.path().join("out.parquet");
        let notes = [("asof.report".to_owned(), "{}".to_owned())];
        let bytes = output::write(&out, &table, &features(), &notes).unwrap();
        assert_eq!(bytes, std::fs::metadata(&out).unwrap().len());
        let (rows, metadata) = read_parquet(&out);
        assert_eq!(metadata["asof.report"], "{}");
        let (expected, features) = (label_rows(), features());
        let names: Vec<&str> = expected
            .schema_ref()
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .chain(features.iter().map(|feature| feature.name.as_str()))
            .collect();
        let found: Vec<&str> = rows.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(found, names);
        for (index, label) in expected.columns().iter().enumerate() {
            // Times of CSV labels stay the text they were.
            if !(table.is_text() && index == 1) {
                assert_eq!(rows.column(index), label, "{}, {}", labels.display(), names[index]);
            }
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
    let table = read(&path);
    assert_eq!(table.times("c0").unwrap(), [0, -1]);
    output::write(&out, &table, &[], &[]).unwrap();
    let (rows, metadata) = read_parquet(&out);
    assert_eq!(rows.columns(), columns);
    assert!(metadata.is_empty(), "{metadata:?}");
    let error = table.values("c1", ValueType::Int64).unwrap_err();
    assert_eq!(error.to_string(), "label column `c1`, row 1: [1] is not a whole number");
}

/// Goal: in CSV, instants of every zone and unit and bytes of every layout are written as features are, so that the
/// training set can be labels again.
#[test]
fn texts_of_label_columns() {
    let folder = tempfile::tempdir().unwrap();
    let (path, out) = (folder.path().join("labels.parquet"), folder.path().join("out.csv"));
    let counts = Int64Array::from(vec![Some(1_500_000_000), None, Some(-1)]);
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
    ];
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    write_parquet(&path, &RecordBatch::try_from_iter_with_nullable(columns).unwrap());
    output::write(&out, &read(&path), &[], &[]).unwrap();
    assert_eq!(
        std::fs::read_to_string(&out).unwrap(),
        "s,ms,us,ns,local,bytes,empty\n\
         2017-07-14T02:40:00Z,1970-01-18T08:40:00Z,1970-01-01T00:25:00Z,1970-01-01T00:00:01.500Z,2017-07-14T02:40:00,aGk=,\n\
         ,,,,,,\n\
         1969-12-31T23:59:59Z,1969-12-31T23:59:59.999Z,1969-12-31T23:59:59.999999Z,1969-12-31T23:59:59.999999999Z,1969-12-31T23:59:59,,\n"
    );
    let micros = |path: &Path| read(path).values("us", ValueType::Timestamp).unwrap();
    assert_eq!(&micros(&out), &micros(&path));
}

/// Goal: a label that has no time, or a text that is none, is refused with its row, counted from 1; so is a key that
/// is not of its type; a missing column is answered with the nearest.
#[test]
fn labels_that_cannot_be_used() {
    let (_folder, csv, parquet) = folder();
    for path in [&csv, &parquet] {
        let table = read(path);
        let message = |result: Result<Vec<i64>, EngineError>| result.unwrap_err().to_string();
        assert!(
            message(table.times("zip")).starts_with("label column `zip`, row 1: "),
            "{}",
            message(table.times("zip"))
        );
        assert!(message(table.times("note")).starts_with("label column `note`, row 1: "));
        let error = table.values("zip", ValueType::Bool).unwrap_err();
        assert_eq!(error.to_string(), "label column `zip`, row 1: \"00501\" is not a bool");
        let error = table.values("ids", ValueType::Int64).unwrap_err();
        assert!(error.to_string().ends_with("has no column `ids`"), "{error}");
        assert_eq!(error.hint().as_deref(), Some("did you mean `id`?"));
    }
    std::fs::write(&csv, "at,x\n2024-01-01,1\n,2\n").unwrap();
    let error = read(&csv).times("at").unwrap_err();
    assert_eq!(error.to_string(), "label column `at`, row 2: the time is null");
    let at =
        cast(&Int64Array::from(vec![Some(0), Some(0), None]), &DataType::Timestamp(TimeUnit::Second, None));
    write_parquet(&parquet, &RecordBatch::try_from_iter([("at", at.unwrap())]).unwrap());
    let error = read(&parquet).times("at").unwrap_err();
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
        let error = read_labels(&csv, &Zone::utc()).err().unwrap();
        assert!(error.to_string().ends_with(message), "{error}");
    }
    let number: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    write_parquet(&parquet, &RecordBatch::try_from_iter([("x", number.clone()), ("x", number)]).unwrap());
    let error = read_labels(&parquet, &Zone::utc()).err().unwrap();
    assert!(error.to_string().ends_with("it has two columns named `x`"), "{error}");
}

/// Goal: local times of labels are read in the zone that is given.
#[test]
fn zone_of_labels() {
    let (_folder, csv, _) = folder();
    std::fs::write(&csv, "at\n2024-01-01\n2024-01-01T00:00:00Z\n").unwrap();
    let table = read_labels(&csv, &Zone::named("America/New_York").unwrap()).unwrap();
    assert_eq!(table.times("at").unwrap(), [1_704_085_200_000_000, 1_704_067_200_000_000]);
}

/// Goal: a folder is one label table, file after file; files with other columns are refused.
#[test]
fn a_folder_of_labels() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("b.csv", "at,x\n1970-01-01T00:00:02Z,b\n");
    write("a.csv", "at,x\n1970-01-01T00:00:01Z,a\n");
    write("_c.csv", "nothing");
    assert_eq!(read(folder.path()).times("at").unwrap(), [1_000_000, 2_000_000]);
    write("c.csv", "x,at\n");
    let error = read_labels(folder.path(), &Zone::utc()).err().unwrap();
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
        let table = read(&labels);
        assert!(table.is_empty());
        assert_eq!(table.times("at").unwrap(), Vec::<i64>::new());
        let columns = [column("count", ValueType::Int32, &[])];
        let (out_csv, out_parquet) = (folder.path().join("out.csv"), folder.path().join("out.parquet"));
        output::write(&out_csv, &table, &columns, &[]).unwrap();
        assert_eq!(std::fs::read_to_string(&out_csv).unwrap(), "at,x,count\n");
        output::write(&out_parquet, &table, &columns, &[]).unwrap();
        let (rows, _) = read_parquet(&out_parquet);
        assert_eq!((rows.num_rows(), rows.num_columns()), (0, 3));
    }
}

/// Goal: two output columns of one name are refused before anything is written, with where both come from.
#[test]
fn names_that_appear_twice() {
    let (folder, csv, _) = folder();
    let table = read(&csv);
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
        let columns = columns.map(|name| column(name, ValueType::Int32, &[None, None, None]));
        let error = output::write(&out, &table, &columns, &[]).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(!out.exists());
    }
}

/// The names in a folder, sorted.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Goal: the output appears whole or not at all: what fails leaves the old file as it was and nothing beside it.
#[test]
fn a_failure_leaves_the_old_file() {
    let (folder, csv, _) = folder();
    let table = read(&csv);
    for name in ["out.parquet", "out.csv"] {
        let out = folder.path().join(name);
        std::fs::write(&out, "old").unwrap();
        // One value too few: the file can't be completed.
        let mut short = features();
        short[0] = column("count", ValueType::Int32, &[None]);
        let before = names_in(folder.path());
        let error = output::write(&out, &table, &short, &[]).unwrap_err();
        assert!(matches!(error, EngineError::Arrow(_)), "{name}: {error}");
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "old");
        assert_eq!(names_in(folder.path()), before);
        output::write(&out, &table, &features(), &[]).unwrap();
        assert_ne!(std::fs::read(&out).unwrap(), b"old");
        assert_eq!(names_in(folder.path()), before);
    }
}

/// Goal: an output that can't be written is an error that names the output and not a file of ours, and leaves
/// nothing behind.
#[test]
fn outputs_that_cannot_be_written() {
    let (folder, csv, _) = folder();
    let table = read(&csv);
    let before = names_in(folder.path());
    for name in ["gone/out.parquet", "gone/out.csv", "labels.csv/out.csv"] {
        let out = folder.path().join(name);
        let error = output::write(&out, &table, &features(), &[]).unwrap_err();
        assert!(matches!(&error, EngineError::Io { doing: "write", path, .. } if *path == out), "{error}");
        assert_eq!(names_in(folder.path()), before);
    }
    let taken = folder.path().join("taken.parquet");
    std::fs::create_dir(&taken).unwrap();
    let error = output::write(&taken, &table, &features(), &[]).unwrap_err();
    assert!(matches!(&error, EngineError::Io { doing: "write", path, .. } if *path == taken), "{error}");
    assert_eq!(names_in(folder.path()).len(), before.len() + 1);
    for name in ["out.txt", "out"] {
        let error = output::write(&folder.path().join(name), &table, &[], &[]).unwrap_err();
        assert!(matches!(error, EngineError::UnknownFormat { .. }), "{error}");
    }
}

/// Goal: label tables past one write and one read batch keep every row in order.
#[test]
fn many_labels() {
    let rows = 150_000;
    let folder = tempfile::tempdir().unwrap();
    let (parquet, csv) = (folder.path().join("labels.parquet"), folder.path().join("labels.csv"));
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    write_parquet(&parquet, &RecordBatch::try_from_iter([("n", numbers.clone())]).unwrap());
    output::write(&csv, &read(&parquet), &[], &[]).unwrap();
    let out = folder.path().join("out.parquet");
    output::write(&out, &read(&csv), &[], &[]).unwrap();
    assert_eq!(read_parquet(&out).0.column(0), &numbers);
}
