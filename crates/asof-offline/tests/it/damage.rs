//! Crashes leave a table that opens; damage is named.

use std::fs;

use asof_model::{Explain, Kind};
use asof_offline::{OfflineError, Scan};
use futures::TryStreamExt;
use serde_json::json;

use crate::support::{NAME, data_files, rows, spec, store, table_folder, trips, trips_of};

/// Goal: what an append leaves when it is killed before its commit (data files, half-written ones, a commit without
/// its name) is never read, and the unit can enter afterwards.
#[tokio::test]
async fn an_interrupted_append_leaves_no_trace() {
    let (folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    table.append("a", &[rows("a", &[(0, 1)])], json!({})).await.unwrap();
    let file = data_files(&table_folder(&folder)).remove(0);
    fs::copy(&file, file.with_file_name("part-b-0-deadbeef.parquet")).unwrap();
    fs::write(file.with_file_name("part-b-1-deadbeef.parquet#77"), b"PAR").unwrap();
    let log = table_folder(&folder).join("_delta_log");
    fs::write(log.join("00000000000000000002.json#4711"), b"{\"add\":{\"pa").unwrap();

    let mut table = store.table(&spec([trips()])).await.unwrap();
    assert_eq!(table.version(), 1);
    assert_eq!(trips_of(&table, Scan::of(["trips"])).await, [1]);
    assert!(!table.append("b", &[rows("b", &[(0, 2)])], json!({})).await.unwrap().already_there);
    assert_eq!(trips_of(&table, Scan::of(["trips"])).await, [1, 2]);
}

/// Goal: a making of the table that was killed half-way does not stop the next one.
#[tokio::test]
async fn an_interrupted_making_is_made_again() {
    let (folder, store) = store();
    let log = table_folder(&folder).join("_delta_log");
    fs::create_dir_all(&log).unwrap();
    fs::write(log.join("00000000000000000000.json#4711"), b"{\"proto").unwrap();
    assert!(store.existing_table(NAME).await.unwrap().is_none());
    assert_eq!(store.table(&spec([trips()])).await.unwrap().version(), 0);
}

/// Goal: a damaged, a truncated and a missing data file are each an error that names the file, not missing rows.
#[tokio::test]
async fn a_damaged_file_is_named() {
    let (folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    table.append("a", &[rows("a", &[(0, 1)])], json!({})).await.unwrap();
    let file = data_files(&table_folder(&folder)).remove(0);
    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    let middle = flipped.len() - 60;
    flipped[middle..].fill(0xa5);
    for content in [Some(flipped), Some(whole[..whole.len() / 2].to_vec()), Some(Vec::new()), None] {
        match content {
            Some(bytes) => fs::write(&file, bytes).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let error = table.scan(Scan::of(["trips"])).try_collect::<Vec<_>>().await.unwrap_err();
        assert!(matches!(error, OfflineError::DamagedFile { .. }), "{error:?}");
        assert!(error.to_string().contains(&file.display().to_string()), "{error}");
        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(error.hint().is_some());
    }
}

/// Goal: a log with a hole, with garbage or gone altogether is damage, never an empty table.
#[tokio::test]
async fn a_damaged_log_is_named() {
    let (folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    for unit in ["a", "b"] {
        table.append(unit, &[rows(unit, &[(0, 1)])], json!({})).await.unwrap();
    }
    let log = table_folder(&folder).join("_delta_log");
    let entry = log.join("00000000000000000001.json");
    let whole = fs::read(&entry).unwrap();
    for step in 0..3 {
        match step {
            0 => fs::write(&entry, &whole[..whole.len() / 2]).unwrap(),
            1 => fs::remove_file(&entry).unwrap(),
            _ => fs::remove_dir_all(&log).unwrap(),
        }
        let error = store.table(&spec([trips()])).await.err().expect("damage goes unnoticed");
        assert!(matches!(error, OfflineError::DamagedLog { .. }), "{step}: {error:?}");
        assert!(error.to_string().contains(NAME), "{error}");
    }
}

/// Goal: where the system refuses to write, the error says so, names the place and is not called damage.
#[tokio::test]
async fn a_refusal_is_not_damage() {
    let (folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    // A file where a folder has to be: refused for every user, root included.
    fs::write(table_folder(&folder).join("__event_date=1970-01-01"), b"").unwrap();
    let error = table.append("a", &[rows("a", &[(0, 1)])], json!({})).await.unwrap_err();
    assert!(
        matches!(&error, OfflineError::Storage { path, .. } if path.contains("__event_date=1970-01-01")),
        "{error:?}"
    );
    assert_eq!(error.kind(), Kind::Unavailable);
    fs::remove_file(table_folder(&folder).join("__event_date=1970-01-01")).unwrap();
    assert!(!table.append("a", &[rows("a", &[(0, 1)])], json!({})).await.unwrap().already_there);
}
