//! Training sets of several files.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type, TimeUnit, TimestampMicrosecondType};
use asof_engine::EngineError;
use asof_model::entry::Reading;
use asof_model::{Value, ValueType, Zone};
use asof_training::TrainingError;
use asof_training::output::folder::{FOLDERS_MAX, MARKER};
use asof_training::output::spec::ParquetOptions;
use asof_training::output::{FolderOptions, Layout, Split, Written};

use crate::support::{Given, given, make_laid_out, names_in, open, read_parquet, write_parquet};

const ROWS: i64 = 50_000;

/// What is asked of a folder, unless a test asks for more: row groups of one range.
fn options() -> FolderOptions {
    FolderOptions {
        parquet: ParquetOptions { row_group_rows: 16_384, ..ParquetOptions::default() },
        file_rows: None,
        partition_by: Vec::new(),
        split: None,
    }
}

/// A label table: numbers, a time each, a city or null, and a customer.
fn labels() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("labels.parquet");
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..ROWS));
    // Not in the order of the rows.
    let seconds: ArrayRef = Arc::new(Int64Array::from_iter_values((0..ROWS).map(|n| n * 7_919 % ROWS)));
    let times = cast(&seconds, &DataType::Timestamp(TimeUnit::Second, Some("UTC".into()))).unwrap();
    let times = cast(&times, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))).unwrap();
    let city = |n: i64| ["Zürich", "a/b=c", "Genf"].get((n % 4) as usize).copied();
    let cities: ArrayRef = Arc::new((0..ROWS).map(city).collect::<StringArray>());
    let customers: ArrayRef = Arc::new(Int64Array::from_iter_values((0..ROWS).map(|n| n * 31 % 997)));
    let rows = [("n", numbers), ("t", times), ("city", cities), ("customer", customers)];
    write_parquet(&path, &RecordBatch::try_from_iter(rows).unwrap());
    (folder, path)
}

fn feature() -> Vec<Given> {
    let values: Vec<Option<Value>> =
        (0..ROWS).map(|n| (n % 3 > 0).then_some(Value::Int64(n / 7 % 2))).collect();
    vec![given("half", ValueType::Int64, &values)]
}

fn make(
    labels: &Path,
    given: &[Given],
    out: &Path,
    options: FolderOptions,
    on: (usize, u64),
) -> Result<Written, TrainingError> {
    make_laid_out(labels, "t", given, out, Layout::Folder(options), &[("of", "a test")], on)
}

/// The rows of the files of a folder, by the folder below it that they stand in.
fn rows_of(out: &Path, written: &Written) -> BTreeMap<String, RecordBatch> {
    let mut parts: BTreeMap<String, Vec<RecordBatch>> = BTreeMap::new();
    for file in &written.files {
        let (rows, _) = read_parquet(&out.join(&file.path));
        assert_eq!(rows.num_rows() as u64, file.rows, "{}", file.path);
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        parts.entry(folder.to_owned()).or_default().push(rows);
    }
    let joined = |(folder, parts): (String, Vec<RecordBatch>)| {
        (folder, concat_batches(&parts[0].schema(), &parts).unwrap())
    };
    parts.into_iter().map(joined).collect()
}

fn integers(rows: &RecordBatch, column: &str) -> Vec<i64> {
    rows.column_by_name(column).unwrap().as_primitive::<Int64Type>().values().to_vec()
}

/// All files below a folder with their bytes.
fn contents(folder: &Path, below: &str, all: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{below}/{}", path.file_name().unwrap().to_string_lossy());
        match path.is_dir() {
            true => contents(&path, &name, all),
            false => drop(all.insert(name, std::fs::read(&path).unwrap())),
        }
    }
}

/// Goal: files of about so many rows hold all rows in order, and an earlier training set is replaced by the next.
#[test]
fn files_one_after_the_other() {
    let (folder, labels) = labels();
    let out = folder.path().join("set");
    let one = make(&labels, &feature(), &out, options(), (2, 1 << 30)).unwrap();
    assert_eq!(one.files.len(), 1);
    let cut = FolderOptions { file_rows: Some(20_000), ..options() };
    let several = make(&labels, &feature(), &out, cut, (2, 1 << 30)).unwrap();
    assert_eq!(several.files.iter().map(|file| file.rows).collect::<Vec<_>>(), [16_384, 16_384, 16_384, 848]);
    assert_eq!(several.bytes, several.files.iter().map(|file| file.bytes).sum::<u64>());
    let rows = &rows_of(&out, &several)[""];
    assert_eq!(integers(rows, "n"), (0..ROWS).collect::<Vec<_>>());
    assert_eq!(rows.num_columns() as u64, several.columns);
    let names = names_in(&out);
    assert_eq!(names.len(), 5, "{names:?}");
    let note: serde_json::Value = serde_json::from_slice(&std::fs::read(out.join(MARKER)).unwrap()).unwrap();
    assert_eq!((note["of"].as_str(), note["files"][3]["rows"].as_u64()), (Some("a test"), Some(848)));
    assert_eq!(names_in(folder.path()), ["labels.parquet", "set"], "nothing else is left");
    // What we wrote is a label table.
    assert_eq!(open(&out, &Zone::utc(), "t", true).unwrap().rows(), ROWS as u64);
}

/// Goal: rows go to the folders that their values name, in order and each once; training and validation part at an
/// instant; and the bytes are the same on any number of threads and within any memory.
#[test]
fn partitions_and_a_split_by_time() {
    let (folder, labels) = labels();
    let reading = Reading { zone: Zone::utc(), unit: None };
    let from = ROWS * 800_000;
    let parted = FolderOptions {
        file_rows: Some(4_000),
        partition_by: vec!["city".to_owned(), "half".to_owned()],
        split: Some(Split::Time { column: "t".to_owned(), reading, from }),
        ..options()
    };
    let mut first: Option<BTreeMap<String, Vec<u8>>> = None;
    for on in [(1, 1 << 30), (3, 0)] {
        let out = folder.path().join(format!("set-{}", on.0));
        let written = make(&labels, &feature(), &out, parted.clone(), on).unwrap();
        let rows = rows_of(&out, &written);
        assert_eq!(rows.len(), 2 * 4 * 3, "{:?}", rows.keys());
        let mut all = 0;
        for (path, rows) in &rows {
            let numbers = integers(rows, "n");
            assert!(numbers.is_sorted(), "{path}");
            assert_eq!(rows.num_columns() as u64, written.columns - 2, "{path}");
            all += numbers.len();
            let validates = path.starts_with("validation/");
            let times = rows.column_by_name("t").unwrap().as_primitive::<TimestampMicrosecondType>();
            assert!(times.values().iter().all(|time| (*time >= from) == validates), "{path}");
            let city = match path.split('/').nth(1).unwrap() {
                "city=Zürich" => 0,
                "city=a%2Fb%3Dc" => 1,
                "city=Genf" => 2,
                "city=__HIVE_DEFAULT_PARTITION__" => 3,
                other => panic!("{other}"),
            };
            assert!(numbers.iter().all(|n| n % 4 == city), "{path}");
            assert!(rows.num_rows() <= 8_000, "{path}");
        }
        assert_eq!(all, ROWS as usize);
        assert!(written.files.iter().all(|file| file.rows <= 4_000));
        let mut bytes = BTreeMap::new();
        contents(&out, "", &mut bytes);
        let first = first.get_or_insert_with(|| bytes.clone());
        assert!(*first == bytes, "the bytes differ on {on:?}");
    }
    let table = open(&folder.path().join("set-1/train"), &Zone::utc(), "t", true).unwrap();
    assert_eq!(table.schema().field_with_name("city").unwrap().data_type(), &DataType::Utf8);
    assert_eq!(table.schema().field_with_name("half").unwrap().data_type(), &DataType::Int64);
}

/// Goal: all labels of a key stand on one side, and about the asked share of keys validates.
#[test]
fn a_split_by_keys() {
    let (folder, labels) = labels();
    let reading = Reading { zone: Zone::utc(), unit: None };
    let columns = vec![("customer".to_owned(), ValueType::Int64)];
    let split = |share| Some(Split::Keys { columns: columns.clone(), reading: reading.clone(), share });
    let out = folder.path().join("set");
    let parted = FolderOptions { split: split(0.25), ..options() };
    let written = make(&labels, &[], &out, parted, (2, 1 << 30)).unwrap();
    let rows = rows_of(&out, &written);
    let mut sides: HashMap<i64, &str> = HashMap::new();
    for (side, rows) in &rows {
        for customer in integers(rows, "customer") {
            assert_eq!(sides.insert(customer, side).unwrap_or(side), side, "{customer}");
        }
    }
    assert_eq!(sides.len(), 997);
    let validate = sides.values().filter(|side| **side == "validation").count();
    assert!((200..300).contains(&validate), "{validate}");
    let parted = FolderOptions { split: split(0.0), ..options() };
    let written = make(&labels, &[], &out, parted, (2, 1 << 30)).unwrap();
    assert_eq!(rows_of(&out, &written).keys().collect::<Vec<_>>(), ["train"]);
}

/// Goal: what is no training set is not replaced, columns that are not there are named, values beyond the bound are
/// refused; and nothing is left behind.
#[test]
fn folders_that_cannot_be() {
    let (folder, labels) = labels();
    let before = names_in(folder.path());
    let out = folder.path().join("set");
    let by = |column: &str| FolderOptions { partition_by: vec![column.to_owned()], ..options() };
    let error = make(&labels, &[], &out, by("town"), (2, 1 << 30)).unwrap_err();
    assert!(
        matches!(&error, TrainingError::Engine(EngineError::NoColumn { column, .. }) if column == "town")
    );
    let error = make(&labels, &[], &out, by("n"), (2, 1 << 30)).unwrap_err();
    assert!(matches!(error, TrainingError::TooManyFolders { max } if max == FOLDERS_MAX), "{error}");
    let nowhere = folder.path().join("gone/set");
    let error = make(&labels, &[], &nowhere, options(), (2, 1 << 30)).unwrap_err();
    assert!(
        matches!(&error, TrainingError::Engine(EngineError::Io { doing: "write", path, .. }) if *path == nowhere),
        "{error}"
    );
    assert_eq!(names_in(folder.path()), before);
    std::fs::create_dir(&out).unwrap();
    make(&labels, &[], &out, options(), (2, 1 << 30)).unwrap();
    std::fs::remove_file(out.join(MARKER)).unwrap();
    for taken in [&out, &labels] {
        let error = make(&labels, &[], taken, options(), (2, 1 << 30)).unwrap_err();
        assert!(matches!(&error, TrainingError::FolderTaken { path } if path == taken), "{error}");
    }
    assert_eq!(names_in(folder.path()), ["labels.parquet", "set"]);
}
