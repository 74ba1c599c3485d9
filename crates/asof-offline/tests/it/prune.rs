//! What a scan can leave out it never opens.

use std::collections::HashSet;

use asof_model::Instant;
use asof_offline::{OfflineError, Scan};
use futures::TryStreamExt;
use serde_json::json;

use crate::support::{DAY, data_files, read, rows, spec, store, table_folder, trips, trips_of};

fn at(micros: i64) -> Option<Instant> {
    Instant::from_micros(micros)
}

/// Goal: files outside the wanted days, instants or units are not opened: the scan does not miss them when they are
/// gone. Both ends of the range are inside.
#[tokio::test]
async fn files_outside_are_not_opened() {
    let (folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    table.append("a", &[rows("a", &[(5, 1), (DAY + 5, 2)])], json!({})).await.unwrap();
    table.append("b", &[rows("b", &[(5, 3), (DAY - 1, 4), (2 * DAY, 5)])], json!({})).await.unwrap();
    let all = Scan::of(["trips"]);
    let cases = [
        (Scan { event_until: at(DAY - 1), ..all.clone() }, vec![1, 3, 4]),
        (Scan { event_from: at(2 * DAY), ..all.clone() }, vec![5]),
        (Scan { event_from: at(DAY - 1), event_until: at(DAY + 5), ..all.clone() }, vec![2, 3, 4]),
        (Scan { event_from: at(DAY + 5_000_000), event_until: at(2 * DAY - 1), ..all.clone() }, vec![]),
        (Scan { units: Some(HashSet::from(["a".to_owned()])), ..all.clone() }, vec![1, 2]),
        (Scan { units: Some(HashSet::new()), ..all.clone() }, vec![]),
    ];
    for (scan, expected) in cases {
        let wanted: Vec<_> = table.files_to_read(&scan).unwrap().into_iter().map(|file| file.path).collect();
        let hidden: Vec<_> = data_files(&table_folder(&folder))
            .into_iter()
            .filter(|path| !wanted.iter().any(|wanted| path.ends_with(wanted)))
            .collect();
        assert!(!hidden.is_empty());
        for path in &hidden {
            std::fs::rename(path, path.with_extension("hidden")).unwrap();
        }
        assert_eq!(trips_of(&table, scan).await, expected);
        for path in &hidden {
            std::fs::rename(path.with_extension("hidden"), path).unwrap();
        }
    }
    assert_eq!(trips_of(&table, all).await, [1, 2, 3, 4, 5]);
}

/// Goal: batches keep to the bound, a scan of no column still counts, and an unknown column is refused by name.
#[tokio::test]
async fn shapes_of_a_scan() {
    let (_folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    let many: Vec<_> = (0..1_000).map(|n| (n, n)).collect();
    table.append("u", &[rows("u", &many)], json!({})).await.unwrap();
    let found = read(&table, Scan { batch_rows: 100, ..Scan::of(["trips", "driver"]) }).await;
    assert!(
        found.len() == 10 && found.iter().all(|batch| batch.num_rows() == 100 && batch.num_columns() == 2)
    );
    let counted = read(&table, Scan::of(Vec::<String>::new())).await;
    assert_eq!(counted.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1_000);
    for column in ["__event_date", "tripz"] {
        let error = table.scan(Scan::of([column])).try_collect::<Vec<_>>().await.unwrap_err();
        assert!(matches!(error, OfflineError::UnknownColumn { column: found, .. } if found == column));
    }
}

/// Goal: a reader keeps its version while others append, until it moves on.
#[tokio::test]
async fn a_reader_keeps_its_version() {
    let (_folder, store) = store();
    let mut writer = store.table(&spec([trips()])).await.unwrap();
    writer.append("a", &[rows("a", &[(0, 1)])], json!({})).await.unwrap();
    let mut reader = writer.clone();
    writer.append("b", &[rows("b", &[(0, 2)])], json!({})).await.unwrap();
    assert_eq!(trips_of(&reader, Scan::of(["trips"])).await, [1]);
    reader.refresh().await.unwrap();
    assert_eq!(trips_of(&reader, Scan::of(["trips"])).await, [1, 2]);
}
