//! Files of a source: what is listed, what is read, what is admitted, and what is set aside with its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit as Unit, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use asof_engine::EngineError;
use asof_engine::columns::value_at;
use asof_engine::source::admission::FeatureErrors;
use asof_engine::source::{self, Admission, BadRow, RAW_BATCH_ROWS, WantedColumn};
use asof_model::entry::{KEY_BYTES_MAX, to_text};
use asof_model::spec::{About, Feature, FileFormat, JoinKey, Source};
use asof_model::{Explain, Instant, ValueType};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

use crate::list;

const WHAT: &str = "source `loans`";

/// A source with the key `id`, the event column `at`, the created column `known` (in the files: `seen`), and two
/// features.
fn loans() -> Source {
    Source {
        name: "loans".to_owned(),
        path: "loans".to_owned(),
        event: "at".to_owned(),
        created: Some("known".to_owned()),
        fields: BTreeMap::from([("seen".to_owned(), "known".to_owned())]),
        ..Source::default()
    }
}

fn key(name: &str, value_type: ValueType) -> JoinKey {
    JoinKey { name: name.to_owned(), value_type }
}

fn feature(name: &str, value_type: ValueType) -> Feature {
    Feature {
        name: name.to_owned(),
        value_type,
        default: None,
        aggregation: None,
        computation: None,
        about: About::default(),
    }
}

fn admission_between(from: Instant, until: Option<Instant>) -> Admission {
    let features = [feature("amount", ValueType::Int64), feature("city", ValueType::String)];
    Admission::new(&loans(), &[key("id", ValueType::Int64)], &features, from, until).unwrap()
}

fn admission() -> Admission {
    admission_between(Instant::MIN, None)
}

/// Everything that came of a path.
#[derive(Debug, Default)]
struct Outcome {
    /// Each row's columns with `|` between them.
    rows: Vec<String>,
    bad: Vec<BadRow>,
    errors: Vec<(String, FeatureErrors)>,
    outside: u64,
    batches: usize,
}

impl Outcome {
    /// Row, line, column and reason of each bad row.
    fn bad(&self) -> Vec<(u64, Option<u64>, Option<&str>, &str)> {
        self.bad.iter().map(|bad| (bad.row, bad.line, bad.column.as_deref(), bad.reason.as_str())).collect()
    }
}

fn admit(path: &Path, admission: &Admission) -> Result<Outcome, EngineError> {
    let mut outcome = Outcome::default();
    for file in list(WHAT, path, None)? {
        for raw in source::open(WHAT, &file, admission.columns())? {
            let admitted = admission.admit(&raw?)?;
            let text = |row| {
                let cells = admitted.rows.columns().iter().map(|column| match column.data_type() {
                    DataType::Timestamp(..) => to_text(&value_at(column, ValueType::Timestamp, row).unwrap()),
                    _ => array_value_to_string(column, row).unwrap(),
                });
                cells.collect::<Vec<_>>().join("|")
            };
            outcome.rows.extend((0..admitted.rows.num_rows()).map(text));
            outcome.bad.extend(admitted.bad);
            outcome.errors.extend(admitted.feature_errors);
            outcome.outside += admitted.outside;
            outcome.batches += 1;
        }
    }
    Ok(outcome)
}

/// Writes text to a file in a folder of its own.
fn csv(text: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loans.csv");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn admit_csv(text: impl AsRef<[u8]>) -> Outcome {
    let (_folder, path) = csv(text);
    admit(&path, &admission()).unwrap()
}

fn parquet(columns: Vec<(&str, ArrayRef)>, group_rows: usize) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loans.parquet");
    let rows =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, a)| (n, a, true))).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = ArrowWriter::try_new(file, rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    (folder, path)
}

fn integers(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(Int64Array::from_iter(values))
}

fn seconds(values: impl IntoIterator<Item = Option<i64>>) -> ArrayRef {
    cast(&integers(values), &DataType::Timestamp(Unit::Second, None)).unwrap()
}

fn strings(values: impl IntoIterator<Item = Option<&'static str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

/// Goal: rows become history rows: keys, event, created, features, errors, whatever order the file has them in; the
/// columns nobody asked for are left alone.
#[test]
fn csv_rows_are_admitted() {
    let outcome = admit_csv(
        "city,id,junk,at,seen,amount\n\
         Zürich,7,x,2024-01-01,2024-01-02T00:00:00+01:00,5\n\
         \"a,\"\"b\"\"\",8,,2024-01-01 10:00:00.25,2024-01-03,\n\
         ,9,,2024-01-01,2024-01-03,many\n",
    );
    assert_eq!(
        outcome.rows,
        [
            "7|2024-01-01T00:00:00Z|2024-01-01T23:00:00Z|5|Zürich|",
            "8|2024-01-01T10:00:00.250Z|2024-01-03T00:00:00Z||a,\"b\"|",
            "9|2024-01-01T00:00:00Z|2024-01-03T00:00:00Z|||[amount]",
        ]
    );
    assert_eq!(outcome.bad(), []);
    let (name, errors) = &outcome.errors[0];
    assert_eq!((name.as_str(), errors.count), ("amount", 1));
    assert!(
        errors.first.ends_with("loans.csv row 3 (line 4): \"many\" is not a whole number"),
        "{}",
        errors.first
    );
}

/// Goal: rows that can't be are set aside with row, line, column, reason and what stood there, each once, for the
/// first reason, in the order of the file; the others are taken.
#[test]
fn bad_csv_rows_are_set_aside() {
    let text = b"id,at,seen,amount,city\n\
        1,2024-01-01,2024-01-01,1,a\n\
        ,2024-01-01,2024-01-01,1,b\n\
        x,yesterday,2024-01-01,1,c\n\
        4,,2024-01-01,1,d\n\
        5,2024-01-01,,1,e\n\
        6,2024-01-01\n\
        7,2024-01-01,2024-01-01,1,\"two\nlines\",more\n\
        8,2024-01-01,2024-01-01,1,\"two\nlines\"\n\
        9,2024-01-01,1704067200,1,f\n\
        10,2024-01-01,2024-01-01,1,\xff\n\
        \xff,2024-01-01,2024-01-01,1,g\n\
        99999999999999999999,2024-01-01,2024-01-01,1,h\n";
    let outcome = admit_csv(text);
    let taken = "2024-01-01T00:00:00Z|2024-01-01T00:00:00Z";
    assert_eq!(
        outcome.rows,
        [format!("1|{taken}|1|a|"), format!("8|{taken}|1|two\nlines|"), format!("10|{taken}|1||[city]")]
    );
    assert_eq!(
        outcome.bad(),
        [
            (2, Some(3), Some("id"), "the join key is null"),
            (3, Some(4), Some("id"), "the join key: \"x\" is not a whole number"),
            (4, Some(5), Some("at"), "the event time is null"),
            (5, Some(6), Some("seen"), "the created time is null"),
            (6, Some(7), None, "the row has 2 fields, the header has 5"),
            (7, Some(8), None, "the row has 6 fields, the header has 5"),
            (
                9,
                Some(12),
                Some("seen"),
                "the created time: 1704067200 is an integer, and no `unit` of integer times is named"
            ),
            (11, Some(14), Some("id"), "the join key: the text is not UTF-8"),
            (12, Some(15), Some("id"), "the join key: \"99999999999999999999\" is out of range for int64"),
        ]
    );
    let bad = &outcome.bad[1];
    assert!(bad.file.ends_with("loans.csv"), "{}", bad.file);
    assert_eq!(bad.values["at"].as_deref(), Some("yesterday"));
    assert_eq!(outcome.bad[0].values["id"], None);
    assert_eq!(outcome.bad[4].values["*"].as_deref(), Some("6,2024-01-01"));
}

/// Goal: a byte-order mark, also before a quoted name, either line ending, a missing last one and blank lines are no
/// part of the data, and lines stay right.
#[test]
fn forms_of_csv() {
    let expected = ["1|2024-01-01T00:00:00Z|2024-01-02T00:00:00Z|5|a|"];
    for text in [
        "\u{feff}id,at,seen,amount,city\n1,2024-01-01,2024-01-02,5,a\n",
        "\u{feff}\"id\",\"at\",\"seen\",\"amount\",\"city\"\n\"1\",\"2024-01-01\",\"2024-01-02\",\"5\",\"a\"\n",
        "id,at,seen,amount,city\r\n1,2024-01-01,2024-01-02,5,a\r\n",
        "id,at,seen,amount,city\n1,2024-01-01,2024-01-02,5,a",
        "id,at,seen,amount,city\n\n1,2024-01-01,2024-01-02,5,a\n\n\n",
        " id , at,seen,amount,city\n1,2024-01-01,2024-01-02, 5 ,a\n",
    ] {
        let outcome = admit_csv(text);
        assert_eq!(outcome.rows, expected, "{text:?}");
        assert_eq!(outcome.bad(), [], "{text:?}");
    }
    for ending in ["\n", "\r\n"] {
        for last in ["\n", "", "\n\n"] {
            let rows = "1,x,2024-01-02,5,\"a\nb\"\n2,x,2024-01-02,5,a\n\n\n3,x\n4,x,x,5,\"a\nb\"";
            let text = format!("id,at,seen,amount,city\n{rows}{last}").replace('\n', ending);
            let outcome = admit_csv(&text);
            let places: Vec<_> = outcome.bad.iter().map(|bad| (bad.row, bad.line)).collect();
            let expected = [(1, Some(2)), (2, Some(4)), (3, Some(7)), (4, Some(8))];
            assert_eq!(places, expected, "{text:?}");
        }
    }
}

/// Goal: a quote that is never closed is told, wherever in the row it opens: what it swallowed may be rows.
#[test]
fn a_quote_that_is_never_closed() {
    let good = "id,at,seen,amount,city\n1,2024-01-01,2024-01-02,5,a\n";
    for text in
        ["2,2024-01-01,2024-01-02,5,\"b\n3,2024-01-01,2024-01-02,5,c\n", "2,\"2024-01-01", "\"", "2,\"a\"\""]
    {
        let outcome = admit_csv(format!("{good}{text}"));
        assert_eq!(outcome.rows.len(), 1, "{text:?}");
        let [bad] = &outcome.bad[..] else { panic!("{text:?}: {:?}", outcome.bad) };
        assert_eq!((bad.row, bad.line), (2, Some(3)));
        assert!(bad.reason.starts_with("a quote in the row is never closed"), "{text:?}: {}", bad.reason);
    }
    for text in [
        "2,2024-01-01,2024-01-02,5,\"b\n\"",
        "2,2024-01-01,2024-01-02,5,\"\"\"b\"",
        "2,2024-01-01,2024-01-02,5,5\"",
    ] {
        let outcome = admit_csv(format!("{good}{text}"));
        assert_eq!((outcome.rows.len(), outcome.bad()), (2, vec![]), "{text:?}");
    }
}

/// Goal: files that are no table are refused with what is wrong, and a table without rows is one.
#[test]
fn csv_files_that_are_no_table() {
    for (text, reason) in [
        (&b""[..], "it is empty, and a header line is expected"),
        (b"id,at,seen,amount,at\n", "it has two columns named `at`"),
        (b"id,\xff,seen,amount,city\n", "the name of column 2 is not UTF-8 text"),
    ] {
        let (_folder, path) = csv(text);
        let error = admit(&path, &admission()).unwrap_err();
        assert!(matches!(error, EngineError::Damaged { .. }));
        assert!(error.to_string().ends_with(reason), "{error}");
    }
    // Two columns of one name that nobody asks for do no harm.
    let outcome = admit_csv("id,at,seen,amount,city,x,x\n");
    assert_eq!((outcome.rows.len(), outcome.bad.len(), outcome.batches), (0, 0, 0));
}

/// Goal: a missing column is named as the file would have it, with the nearest one, in both formats.
#[test]
fn missing_columns_are_named() {
    let (_folder, text) = csv("id,at,known,amount,citi\n");
    let (_other, binary) = parquet(
        vec![
            ("id", integers([])),
            ("at", seconds([])),
            ("known", seconds([])),
            ("amount", integers([])),
            ("citi", strings([])),
        ],
        10,
    );
    for path in [text, binary] {
        let error = admit(&path, &admission()).unwrap_err();
        assert!(error.to_string().ends_with("has no column `seen`"), "{error}");
        assert!(error.to_string().starts_with(WHAT), "{error}");
        assert_eq!(error.hint().as_deref(), Some("there is `amount`, `at`, `citi`, `id`, `known`"));
        let columns = [WantedColumn::required("city")];
        let file = list(WHAT, &path, None).unwrap().remove(0);
        let error = source::open(WHAT, &file, &columns).err().unwrap();
        assert_eq!(error.hint().as_deref(), Some("did you mean `citi`?"));
    }
}

/// Goal: with several batches, rows, lines and row groups, every bad row keeps its number, in both formats.
#[test]
fn rows_are_numbered_across_batches() {
    let rows = 2 * RAW_BATCH_ROWS + 100;
    // Every thousandth row has no key, and one is ragged.
    let bad = |row: usize| row.is_multiple_of(1000);
    let mut text = "id,at,seen,amount,city\n".to_owned();
    for row in 1..=rows {
        let id = if bad(row) { String::new() } else { row.to_string() };
        text.push_str(&format!("{id},2024-01-01,2024-01-02,{row},\"x\ny\"\n"));
    }
    let numbers = || (1..=rows).map(|row| Some(row as i64));
    let (_folder, binary) = parquet(
        vec![
            ("amount", integers(numbers())),
            ("id", integers((1..=rows).map(|row| (!bad(row)).then_some(row as i64)))),
            ("at", seconds(numbers())),
            ("seen", seconds(numbers())),
            ("city", strings((1..=rows).map(|_| Some("x")))),
        ],
        10_007,
    );
    let (_other, csv) = csv(text);
    for path in [csv, binary] {
        let outcome = admit(&path, &admission()).unwrap();
        // Batches of a Parquet file end with its row groups.
        let parquet = path.extension().is_some_and(|suffix| suffix == "parquet");
        assert_eq!(outcome.batches, if parquet { 4 } else { 3 });
        let expected: Vec<u64> = (1..=rows).filter(|row| bad(*row)).map(|row| row as u64).collect();
        assert_eq!(outcome.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), expected);
        assert_eq!(outcome.rows.len(), rows - expected.len());
        for bad in &outcome.bad {
            let line = path.extension().is_some_and(|suffix| suffix == "csv").then_some(2 * bad.row);
            assert_eq!(bad.line, line);
            assert_eq!(bad.values["amount"], Some(bad.row.to_string()));
        }
    }
}

/// Goal: in Parquet too a bad row is set aside with its number, and a bad feature is an error of that feature alone.
#[test]
fn bad_parquet_rows_are_set_aside() {
    let (_folder, path) = parquet(
        vec![
            ("id", integers([Some(1), None, Some(3), Some(4), Some(5)])),
            ("at", seconds([Some(0), Some(0), None, Some(i64::MAX / 1_000_000), Some(0)])),
            ("seen", seconds([Some(0); 5])),
            ("amount", strings([Some("1"), Some("2"), Some("3"), Some("4"), Some("5.5")])),
            ("city", integers([Some(1), None, None, None, None])),
        ],
        2,
    );
    let outcome = admit(&path, &admission()).unwrap();
    let epoch = "1970-01-01T00:00:00Z|1970-01-01T00:00:00Z";
    assert_eq!(outcome.rows, [format!("1|{epoch}|1|1|"), format!("5|{epoch}|||[amount]")]);
    assert_eq!(
        outcome.bad(),
        [
            (2, None, Some("id"), "the join key is null"),
            (3, None, Some("at"), "the event time is null"),
            (
                4,
                None,
                Some("at"),
                "the event time: 9223372036854000000 microseconds since 1970 is out of range for timestamp"
            ),
        ]
    );
    assert!(outcome.errors[0].1.first.ends_with("loans.parquet row 5: \"5.5\" is not a whole number"));
}

/// Goal: what stood in a bad row is shown, also instants of a zone that only a database knows.
#[test]
fn bad_rows_show_what_stood_there() {
    let at =
        cast(&integers([Some(0)]), &DataType::Timestamp(Unit::Millisecond, Some("Europe/Zurich".into())));
    let (_folder, path) = parquet(
        vec![
            ("id", integers([None])),
            ("at", at.unwrap()),
            ("seen", seconds([Some(0)])),
            ("amount", cast(&integers([Some(5)]), &DataType::Decimal128(20, 2)).unwrap()),
            ("city", cast(&strings([Some("a")]), &DataType::Binary).unwrap()),
        ],
        10,
    );
    let outcome = admit(&path, &admission()).unwrap();
    let shown = |text: &str| Some(text.to_owned());
    let expected = [
        ("amount", shown("5.00")),
        ("at", shown("1970-01-01T00:00:00Z")),
        ("city", shown("61")),
        ("id", None),
        ("seen", shown("1970-01-01T00:00:00")),
    ];
    let expected: BTreeMap<String, Option<String>> =
        expected.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    assert_eq!(outcome.bad[0].values, expected);
}

/// Goal: a Parquet file that was not written to its end, or is no Parquet file, or is damaged inside, is refused and
/// named.
#[test]
fn damaged_parquet_files() {
    let rows = 5_000;
    let numbers = || (0..rows).map(Some);
    let columns = || {
        vec![
            ("id", integers(numbers())),
            ("at", seconds(numbers())),
            ("seen", seconds(numbers())),
            ("amount", integers(numbers())),
            ("city", strings((0..rows).map(|_| Some("x")))),
        ]
    };
    let (_folder, path) = parquet(columns(), 10_000);
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(admit(&path, &admission()).unwrap().rows.len(), rows as usize);
    for part in
        [&bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], &bytes[..6], b"PAR1", b"", b"id,at\n1,2\n"]
    {
        std::fs::write(&path, part).unwrap();
        let error = admit(&path, &admission()).unwrap_err();
        assert!(matches!(error, EngineError::Damaged { format: "Parquet", .. }), "{error}");
        assert!(error.to_string().contains("loans.parquet"), "{error}");
    }
}

/// Goal: a nested column that is asked for is refused by its type; one that is not asked for does no harm.
#[test]
fn nested_columns() {
    let list = || -> ArrayRef {
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), Some(2)])]))
    };
    let good = || vec![("id", integers([Some(1)])), ("at", seconds([Some(0)])), ("seen", seconds([Some(0)]))];
    let mut columns = good();
    columns.extend([("tags", list()), ("amount", list()), ("city", strings([Some("x")]))]);
    let (_folder, path) = parquet(columns, 10);
    let admitted = admit(&path, &admission()).unwrap();
    assert_eq!(admitted.rows, ["1|1970-01-01T00:00:00Z|1970-01-01T00:00:00Z||x|[amount]"]);
    assert!(admitted.errors[0].1.first.ends_with("row 1: [1,2] is not a whole number"));
    let mut columns = vec![("tags", list())];
    columns.extend(good());
    columns.extend([("amount", integers([Some(3)])), ("city", strings([Some("x")]))]);
    let (_folder, path) = parquet(columns, 10);
    assert_eq!(
        admit(&path, &admission()).unwrap().rows,
        ["1|1970-01-01T00:00:00Z|1970-01-01T00:00:00Z|3|x|"]
    );
}

/// Goal: the range is `[from, until)` of the event; rows outside it are counted and not taken, nor are their errors.
#[test]
fn the_range_is_half_open() {
    let text = "id,at,seen,amount,city\n\
        1,2023-12-31T23:59:59.999999Z,2024-01-02,x,\n\
        2,2024-01-01,2024-01-02,2,\n\
        3,2024-01-01T23:59:59.999999Z,2024-01-02,y,\n\
        4,2024-01-02,2024-01-02,x,\n\
        x,2024-01-01,2024-01-02,x,\n\
        6,9999-12-31T23:59:59.999999Z,2024-01-02,6,\n";
    let (_folder, path) = csv(text);
    let day = |text: &str| Instant::parse(text, &asof_model::Zone::utc()).unwrap();
    let ids = |from, until| {
        let outcome = admit(&path, &admission_between(from, until)).unwrap();
        let ids =
            outcome.rows.iter().map(|row| row.split('|').next().unwrap().to_owned()).collect::<Vec<_>>();
        let errors = outcome.errors.iter().map(|(_, errors)| errors.count).sum::<u64>();
        (ids.join(","), outcome.outside, outcome.bad.len(), errors)
    };
    let (first, second) = (day("2024-01-01"), day("2024-01-02"));
    assert_eq!(ids(first, Some(second)), ("2,3".to_owned(), 3, 1, 1));
    assert_eq!(ids(Instant::MIN, Some(first)), ("1".to_owned(), 4, 1, 1));
    assert_eq!(ids(second, None), ("4,6".to_owned(), 3, 1, 1));
    assert_eq!(ids(Instant::MIN, None), ("1,2,3,4,6".to_owned(), 0, 1, 3));
    assert_eq!(ids(first, Some(first)), (String::new(), 5, 1, 0));
}

/// Goal: without a created column, created is the event; a column may serve several purposes; keys past their bound
/// are bad, and keys at it are not.
#[test]
fn created_shared_columns_and_long_keys() {
    let source = Source { created: None, fields: BTreeMap::new(), ..loans() };
    let keys = [key("name", ValueType::String), key("at", ValueType::Timestamp)];
    let features = [feature("name", ValueType::String), feature("at", ValueType::Date)];
    let admission = Admission::new(&source, &keys, &features, Instant::MIN, None).unwrap();
    assert_eq!(admission.columns(), [WantedColumn::required("name"), WantedColumn::required("at")]);
    // The other key takes 8 bytes, and the end of text 2.
    let (fits, long) = ("x".repeat(KEY_BYTES_MAX - 10), "x".repeat(KEY_BYTES_MAX - 9));
    let (_folder, path) = csv(format!("at,name\n2024-01-01,{fits}\n2024-01-01T01:00:00Z,{long}\n"));
    let outcome = admit(&path, &admission).unwrap();
    let day = "2024-01-01T00:00:00Z";
    assert_eq!(outcome.rows, [format!("{fits}|{day}|{day}|{day}|{fits}|2024-01-01|")]);
    let reason = format!("the join key has {} bytes, at most {KEY_BYTES_MAX} are stored", KEY_BYTES_MAX + 1);
    assert_eq!(outcome.bad(), [(2, Some(3), Some("name"), reason.as_str())]);
}

/// Goal: an admitted batch has the history's columns and types, also where every row is bad.
#[test]
fn admitted_batches_have_the_history_schema() {
    let (_folder, path) = csv("id,at,seen,amount,city\nx,x,x,x,x\n");
    let admission = admission();
    let file = list(WHAT, &path, None).unwrap().remove(0);
    let raw = source::open(WHAT, &file, admission.columns()).unwrap().next().unwrap().unwrap();
    assert!(raw.approximate_bytes() > 0);
    let rows = admission.admit(&raw).unwrap().rows;
    assert_eq!(rows.num_rows(), 0);
    let names: Vec<_> = rows.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["id", "event_timestamp", "created_timestamp", "amount", "city", "__errors"]);
    assert!(rows.column(1).as_primitive_opt::<TimestampMicrosecondType>().is_some());
    assert!(rows.column(5).is_empty());
}

/// Goal: a folder means its Parquet and CSV files, at any depth, sorted by path; hidden names and other suffixes are
/// skipped; a format limits a folder, and tells that of a file with another suffix.
#[test]
fn listing_of_folders() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for name in [
        "b.csv",
        "a.PARQUET",
        "c.pq",
        "notes.txt",
        ".hidden.csv",
        "_SUCCESS.csv",
        "a/x.csv",
        "a/_tmp/y.csv",
        ".git/z.csv",
        "a.csv/w.parquet",
    ] {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
    let names = |format| -> Vec<String> {
        let listed = list(WHAT, root, format).unwrap();
        listed.iter().map(|file| file.path.strip_prefix(root).unwrap().display().to_string()).collect()
    };
    assert_eq!(names(None), ["a/x.csv", "a.PARQUET", "a.csv/w.parquet", "b.csv", "c.pq"]);
    assert_eq!(names(Some(FileFormat::Csv)), ["a/x.csv", "b.csv"]);
    assert_eq!(names(Some(FileFormat::Parquet)), ["a.PARQUET", "a.csv/w.parquet", "c.pq"]);

    let text = root.join("notes.txt");
    let listed = list(WHAT, &text, Some(FileFormat::Csv)).unwrap();
    assert_eq!((listed[0].format, listed[0].bytes), (FileFormat::Csv, 9));
    assert!(matches!(list(WHAT, &text, None), Err(EngineError::UnknownFormat { .. })));
    assert!(matches!(list(WHAT, &root.join("gone"), None), Err(EngineError::NoSuchPath { .. })));
    assert!(matches!(
        list(WHAT, &root.join("a/_tmp"), Some(FileFormat::Parquet)),
        Err(EngineError::NoFiles { .. })
    ));
}

/// Goal: rows of a folder come file by file, and each file numbers its own.
#[test]
fn files_of_a_folder_number_their_own_rows() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.csv", "a.csv"] {
        let text =
            format!("id,at,seen,amount,city\n1,2024-01-01,2024-01-01,1,{name}\n2,x,2024-01-01,1,{name}\n");
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let outcome = admit(folder.path(), &admission()).unwrap();
    let cities: Vec<_> = outcome.rows.iter().map(|row| row.split('|').nth(4).unwrap()).collect();
    assert_eq!(cities, ["a.csv", "b.csv"]);
    assert_eq!(outcome.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [2, 2]);
    assert!(outcome.bad[0].file.ends_with("a.csv") && outcome.bad[1].file.ends_with("b.csv"));
}

/// Goal: a fingerprint is that of the content; a file that grew, shrank or was touched since is noticed.
#[test]
fn fingerprints() {
    let (folder, path) = csv("id\n1\n");
    let file = list(WHAT, &path, None).unwrap().remove(0);
    let print = file.fingerprint().unwrap();
    assert_eq!((print.size, print.path.as_str()), (5, path.to_str().unwrap()));
    assert_eq!(print.hash, blake3::hash(b"id\n1\n").to_hex().to_string());
    assert!(print.modified > 0);
    file.check_unchanged(&print).unwrap();

    // The same content under another name and time has the same hash.
    let twin = folder.path().join("twin.csv");
    std::fs::write(&twin, "id\n1\n").unwrap();
    assert_eq!(list(WHAT, &twin, None).unwrap()[0].fingerprint().unwrap().hash, print.hash);

    let touched = std::time::UNIX_EPOCH + std::time::Duration::from_micros(1_000_001);
    let handle = std::fs::File::options().write(true).open(&path).unwrap();
    handle.set_modified(touched).unwrap();
    assert!(matches!(file.check_unchanged(&print), Err(EngineError::Changed { .. })));
    let again = file.fingerprint().unwrap();
    assert_eq!((again.modified, &again.hash), (1_000_001, &print.hash));
    std::fs::write(&path, "id\n1\n2\n").unwrap();
    handle.set_modified(touched).unwrap();
    assert!(matches!(file.check_unchanged(&again), Err(EngineError::Changed { .. })));
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(file.check_unchanged(&again), Err(EngineError::Io { doing: "read", .. })));
    assert!(matches!(file.fingerprint(), Err(EngineError::Io { doing: "read", .. })));
}
