//! A table accepts added features and nothing else.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use asof_offline::{OfflineError, Scan};
use serde_json::json;

use crate::support::{DAY, read, rows, spec, store, trips};

fn city() -> Field {
    Field::new("city", DataType::Utf8, true)
}

/// Goal: an added feature is null in older files and in units written without it, and stands behind all else.
#[tokio::test]
async fn an_added_feature_reads_as_null_before() {
    let (_folder, store) = store();
    let mut old = store.table(&spec([trips()])).await.unwrap();
    old.append("a", &[rows("a", &[(0, 1)])], json!({})).await.unwrap();
    let mut new = store.table(&spec([trips(), city()])).await.unwrap();
    let batch = rows("b", &[(DAY, 2)]);
    let mut columns: Vec<(String, ArrayRef)> = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| (field.name().clone(), column.clone()))
        .collect();
    columns.push(("city".to_owned(), Arc::new(StringArray::from(vec!["bern"]))));
    new.append("b", &[RecordBatch::try_from_iter(columns).unwrap()], json!({})).await.unwrap();
    // A writer that has not heard of the feature yet.
    old.append("c", &[rows("c", &[(2 * DAY, 3)])], json!({})).await.unwrap();

    let table = store.table(&spec([trips(), city()])).await.unwrap();
    assert_eq!(table.version(), 4);
    assert_eq!(table.schema().fields().last().unwrap().name(), "city");
    let mut found = Vec::new();
    for batch in read(&table, Scan::of(["city", "__unit"])).await {
        for row in 0..batch.num_rows() {
            let city = batch.column(0).as_string::<i32>();
            found.push((
                batch.column(1).as_string::<i32>().value(row).to_owned(),
                city.is_valid(row).then(|| city.value(row).to_owned()),
            ));
        }
    }
    found.sort();
    let expected = [("a", None), ("b", Some("bern")), ("c", None)];
    assert_eq!(found, expected.map(|(unit, city)| (unit.to_owned(), city.map(str::to_owned))));
}

/// Goal: several processes that add the same feature at once add it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_feature_added_at_once() {
    let (_folder, store) = store();
    store.table(&spec([trips()])).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        tasks.spawn(async move { store.table(&spec([trips(), city()])).await.unwrap().version() });
    }
    assert_eq!(tasks.join_all().await, [1; 4]);
}

/// Goal: any other difference is refused with the column and both types.
#[tokio::test]
async fn other_differences_are_refused() {
    let (_folder, store) = store();
    store.table(&spec([trips()])).await.unwrap();
    for (features, expected) in [
        (
            vec![Field::new("trips", DataType::Float64, true)],
            "column `trips` of `trips/v1-1a2b3c4d` is int64 in history and float64",
        ),
        (vec![], "is int64 in history and absent"),
        (
            vec![trips(), Field::new("city", DataType::Utf8, false)],
            "is absent in history and string, never null",
        ),
    ] {
        let error = store.table(&spec(features)).await.err().unwrap();
        assert!(matches!(error, OfflineError::SchemaMismatch { .. }));
        assert!(error.to_string().contains(expected), "{error}");
    }
    for (features, expected) in [
        (vec![Field::new("n", DataType::UInt8, true)], "is uint8, which history cannot hold"),
        (vec![trips(), Field::new("TRIPS", DataType::Int64, true)], "is there twice"),
        (vec![Field::new("__event_date", DataType::Date32, true)], "is made by history itself"),
    ] {
        let error = store.table(&spec(features)).await.err().unwrap();
        assert!(error.to_string().contains(expected), "{error}");
    }
}
