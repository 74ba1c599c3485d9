//! A folder, the table of one view in it, and rows that are easy to recognise.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use asof_offline::{OfflineStore, Scan, Table, TableSpec};
use futures::TryStreamExt;
use tempfile::TempDir;

pub const DAY: i64 = 86_400_000_000;
pub const NAME: &str = "trips/v1-1a2b3c4d";

/// A store in a folder of its own; the space in its name must not matter.
pub fn store() -> (TempDir, OfflineStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = OfflineStore::open(&folder.path().join("off line")).unwrap();
    (folder, store)
}

pub fn table_folder(folder: &TempDir) -> PathBuf {
    folder.path().join("off line").join(NAME)
}

pub fn instant_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// `driver`, the columns of every history row, then `features`.
pub fn spec(features: impl IntoIterator<Item = Field>) -> TableSpec {
    let mut fields = vec![
        Field::new("driver", DataType::Int64, false),
        Field::new("event_timestamp", instant_type(), false),
        Field::new("created_timestamp", instant_type(), false),
        Field::new("__unit", DataType::Utf8, false),
    ];
    fields.extend(features);
    fields.push(Field::new("__errors", DataType::new_list(DataType::Utf8, true), true));
    TableSpec { name: NAME.to_owned(), schema: Arc::new(Schema::new(fields)) }
}

pub fn trips() -> Field {
    Field::new("trips", DataType::Int64, true)
}

/// Rows of (event in microseconds, trips), all of driver 7, without an error.
pub fn rows(unit: &str, rows: &[(i64, i64)]) -> RecordBatch {
    let instants = || rows.iter().map(|row| row.0);
    let instant = |values| {
        Arc::new(TimestampMicrosecondArray::from_iter_values::<Vec<i64>>(values).with_timezone("UTC"))
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("driver", Arc::new(Int64Array::from(vec![7; rows.len()]))),
        ("event_timestamp", instant(instants().collect())),
        ("created_timestamp", instant(instants().collect())),
        ("__unit", Arc::new(StringArray::from(vec![unit; rows.len()]))),
        ("trips", Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>())),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

pub async fn read(table: &Table, scan: Scan) -> Vec<RecordBatch> {
    table.scan(scan).try_collect().await.unwrap()
}

/// The trips that a scan returns, sorted.
pub async fn trips_of(table: &Table, mut scan: Scan) -> Vec<i64> {
    scan.columns = vec!["trips".to_owned()];
    let mut found = Vec::new();
    for batch in read(table, scan).await {
        found.extend(batch.column(0).as_primitive::<Int64Type>().iter().flatten());
    }
    found.sort_unstable();
    found
}

/// Every data file below `folder`.
pub fn data_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(data_files(&path));
        } else if path.extension().is_some_and(|end| end == "parquet") {
            found.push(path);
        }
    }
    found.sort();
    found
}
