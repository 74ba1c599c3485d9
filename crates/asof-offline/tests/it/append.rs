//! Units go in once and come out as they went in.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float32Array, Float64Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field};
use asof_model::Instant;
use asof_offline::{OfflineError, Scan};
use serde_json::json;

use crate::support::{
    DAY, NAME, data_files, instant_type, read, rows, spec, store, table_folder, trips, trips_of,
};

/// Goal: every type comes back as it went in, with nulls and errors, at the ends of time too, and so do the log's
/// ranges of it.
#[tokio::test]
async fn all_types_come_back() {
    let (_folder, store) = store();
    let types = [
        ("i32", DataType::Int32),
        ("i64", DataType::Int64),
        ("f32", DataType::Float32),
        ("f64", DataType::Float64),
        ("text", DataType::Utf8),
        ("truth", DataType::Boolean),
        ("raw", DataType::Binary),
        ("at", instant_type()),
        ("on", DataType::Date32),
    ];
    let spec = spec(types.map(|(name, each)| Field::new(name, each, true)));
    let events = [Instant::MIN.micros(), -1, Instant::MAX.micros()];
    let instants =
        |values: Vec<Option<i64>>| Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"));
    let event = || instants(events.iter().copied().map(Some).collect());
    let mut errors = arrow::array::ListBuilder::new(arrow::array::StringBuilder::new());
    errors.append_value([Some("i32"), Some("text")]);
    errors.append_null();
    errors.append_value([] as [Option<&str>; 0]);
    let errors: ListArray = errors.finish();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![1, 2, 3])),
        event(),
        event(),
        Arc::new(StringArray::from(vec!["u"; 3])),
        Arc::new(Int32Array::from(vec![Some(i32::MIN), None, Some(i32::MAX)])),
        Arc::new(Int64Array::from(vec![None, Some(i64::MIN), Some(i64::MAX)])),
        Arc::new(Float32Array::from(vec![Some(f32::INFINITY), Some(1.5), None])),
        Arc::new(Float64Array::from(vec![Some(0.1), None, Some(-f64::MAX)])),
        Arc::new(StringArray::from(vec![Some(""), Some("zürich\0"), None])),
        Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)])),
        Arc::new(BinaryArray::from(vec![Some(b"".as_slice()), None, Some(b"\xff\x00".as_slice())])),
        instants(vec![None, Some(Instant::MIN.micros()), Some(Instant::MAX.micros())]),
        Arc::new(Date32Array::from(vec![Some(Instant::MIN.day()), Some(-1), None])),
        Arc::new(errors),
    ];
    let given = RecordBatch::try_new(spec.schema.clone(), columns).unwrap();
    let mut table = store.table(&spec).await.unwrap();
    let done = table.append("u", std::slice::from_ref(&given), json!({})).await.unwrap();
    assert_eq!((done.files, done.rows, done.already_there), (3, Some(3), false));

    let table = store.existing_table(NAME).await.unwrap().unwrap();
    assert_eq!(table.schema(), &spec.schema);
    let scan = Scan::of(spec.schema.fields().iter().map(|field| field.name().as_str()));
    let found = concat_batches(&spec.schema, &read(&table, scan.clone()).await).unwrap();
    let by_driver = arrow::compute::sort_to_indices(found.column(0), None, None).unwrap();
    assert_eq!(arrow::compute::take_record_batch(&found, &by_driver).unwrap(), given);
    for (from, files) in [(Instant::MIN, 3), (Instant::EPOCH, 1), (Instant::MAX, 1)] {
        let scan = Scan { event_from: Some(from), ..scan.clone() };
        assert_eq!(table.files_to_read(&scan).unwrap().len(), files, "from {}", from.micros());
    }
}

/// Goal: a unit enters once, whatever is given under its name later, through other handles and after a restart.
#[tokio::test]
async fn a_unit_enters_once() {
    let (folder, store) = store();
    let spec = spec([trips()]);
    let mut table = store.table(&spec).await.unwrap();
    let mut stale = table.clone();
    let first = table.append("u-1", &[rows("u-1", &[(0, 1), (DAY, 2)])], json!({"path": "a"})).await.unwrap();
    assert_eq!((first.version, first.files, first.rows, first.already_there), (1, 2, Some(2), false));

    let again = stale.append("u-1", &[rows("u-1", &[(0, 9)])], json!({"path": "b"})).await.unwrap();
    assert_eq!(again, asof_offline::Appended { already_there: true, ..first });
    let mut reopened = store.table(&spec).await.unwrap();
    assert!(reopened.append("u-1", &[rows("u-1", &[(0, 9)])], json!({})).await.unwrap().already_there);
    assert_eq!(trips_of(&reopened, Scan::of(["trips"])).await, [1, 2]);
    assert_eq!(data_files(&table_folder(&folder)).len(), 2);

    let inputs = reopened.inputs().await.unwrap();
    assert_eq!(inputs.len(), 1);
    assert_eq!((inputs[0].unit.as_str(), &inputs[0].inputs), ("u-1", &json!({"path": "a"})));
}

/// Goal: no rows, no commit, and the unit can still come.
#[tokio::test]
async fn nothing_is_not_committed() {
    let (folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    for batches in [vec![], vec![rows("u", &[])]] {
        let done = table.append("u", &batches, json!({})).await.unwrap();
        assert_eq!((done.version, done.files, done.rows, done.already_there), (0, 0, Some(0), false));
    }
    assert!(data_files(&table_folder(&folder)).is_empty());
    assert!(!table.append("u", &[rows("u", &[(0, 1)])], json!({})).await.unwrap().already_there);
}

/// Goal: handles that know nothing of each other all land, the same unit once, and making the table together is safe.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_appends_land() {
    let (folder, _) = store();
    let root = folder.path().join("off line");
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..8_i64 {
        let root = root.clone();
        tasks.spawn(async move {
            let store = asof_offline::OfflineStore::open(&root).unwrap();
            let mut table = store.table(&spec([trips()])).await.unwrap();
            let own = format!("own-{writer}");
            table.append(&own, &[rows(&own, &[(0, writer)])], json!({})).await.unwrap();
            table.append("shared", &[rows("shared", &[(DAY, 100)])], json!({})).await.unwrap().already_there
        });
    }
    let repeats = tasks.join_all().await.into_iter().filter(|already_there| *already_there).count();
    assert_eq!(repeats, 7);
    let table = asof_offline::OfflineStore::open(&root).unwrap().existing_table(NAME).await.unwrap().unwrap();
    assert_eq!(trips_of(&table, Scan::of(["trips"])).await, [0, 1, 2, 3, 4, 5, 6, 7, 100]);
    assert_eq!(table.version(), 9);
    assert_eq!(table.units().unwrap().len(), 9);
}

/// Goal: rows of many days, mixed over batches, land in one commit, one file a day, each in the order given.
#[tokio::test]
async fn many_days_in_one_commit() {
    let (_folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    let batch = |from: i64| rows("u", &(0..600).map(|n| (n % 200 * DAY, from + n)).collect::<Vec<_>>());
    let done = table.append("u", &[batch(0), batch(600)], json!({})).await.unwrap();
    assert_eq!((done.version, done.files, done.rows), (1, 200, Some(1_200)));
    assert_eq!(table.units().unwrap().into_iter().collect::<Vec<_>>(), ["u"]);
    assert!(table.files().unwrap().iter().all(|file| file.rows == 6));
    assert_eq!(trips_of(&table, Scan::of(["trips"])).await, (0..1_200).collect::<Vec<_>>());

    let day = Instant::from_micros(3 * DAY);
    let scan = Scan { event_from: day, event_until: day, ..Scan::of(["trips"]) };
    let found = read(&table, scan).await;
    let expected: ArrayRef = Arc::new(Int64Array::from(vec![3, 203, 403, 603, 803, 1_003]));
    assert_eq!(found.iter().map(|batch| batch.column(0).clone()).collect::<Vec<_>>(), [expected]);
}

/// Goal: more commits than a checkpoint is apart; the table and the memory of its units survive it, and no log entry
/// goes.
#[tokio::test]
async fn checkpoints_keep_everything() {
    let (folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    for n in 0..101 {
        let unit = format!("u{n}");
        table.append(&unit, &[rows(&unit, &[(n, n)])], json!(n)).await.unwrap();
    }
    let log = table_folder(&folder).join("_delta_log");
    assert!(log.join("00000000000000000099.checkpoint.parquet").exists());
    assert!(log.join("00000000000000000000.json").exists());
    let mut table = store.table(&spec([trips()])).await.unwrap();
    assert_eq!(table.units().unwrap().len(), 101);
    assert_eq!(trips_of(&table, Scan::of(["trips"])).await.len(), 101);
    assert_eq!(table.inputs().await.unwrap()[100].inputs, json!(0));
    assert!(table.append("u7", &[rows("u7", &[(0, 0)])], json!({})).await.unwrap().already_there);
    let late = Instant::from_micros(DAY);
    let scan = Scan { event_from: late, ..Scan::of(["trips"]) };
    assert!(table.files_to_read(&scan).unwrap().is_empty());
}

/// Goal: rows that no history may hold are refused with the reason, before a file is written.
#[tokio::test]
async fn bad_rows_are_refused() {
    let (folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    let good = rows("u", &[(0, 1)]);
    let without = |name: &str| {
        let at = good.schema().index_of(name).unwrap();
        let keep: Vec<_> = (0..good.num_columns()).filter(|each| *each != at).collect();
        good.project(&keep).unwrap()
    };
    for (unit, batch, expected) in [
        ("a/b", good.clone(), "`a/b` cannot name a publication unit"),
        ("u", rows("v", &[(0, 1)]), "`__unit` names another unit"),
        ("u", rows("u", &[(i64::MAX, 1)]), "`event_timestamp` is outside the years 1 to 9999"),
        (
            "u",
            without("driver"),
            "column `driver` of `trips/v1-1a2b3c4d` is int64, never null in history and absent",
        ),
    ] {
        let error = table.append(unit, &[batch], json!({})).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert!(data_files(&table_folder(&folder)).is_empty());
    let error = store.existing_table("../trips").await.err().unwrap();
    assert!(matches!(error, OfflineError::InvalidName { .. }), "{error}");
}
