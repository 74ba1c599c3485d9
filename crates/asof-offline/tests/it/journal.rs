//! The journal holds each unit of each table once.

use asof_model::Instant;
use asof_offline::{JournalEntry, OfflineError, OfflineStore};

use crate::support::{NAME, store};

fn entry(table: &str, unit: &str, visible: i64) -> JournalEntry {
    JournalEntry {
        table: table.to_owned(),
        unit: unit.to_owned(),
        visible: Instant::from_micros(visible).unwrap(),
        position: 3,
        rows: 4,
        note: format!("{{\"of\":\"{unit}\"}}"),
    }
}

/// Goal: entries come back per table in order of their instant, and one that is there stands, whoever asks again.
#[tokio::test]
async fn the_first_entry_stands() {
    let (folder, store) = store();
    assert!(store.journal(NAME).await.unwrap().is_empty());
    let (a, b, c) = (entry(NAME, "a", 30), entry(NAME, "b", 10), entry(NAME, "c", 20));
    let other = entry("trips/v2-ffff", "a", 5);
    store.append_journal(&[a.clone(), other.clone(), b.clone(), entry(NAME, "a", 1)]).await.unwrap();
    let fresh = OfflineStore::open(&folder.path().join("off line")).unwrap();
    fresh.append_journal(&[entry(NAME, "b", 99), c.clone()]).await.unwrap();
    fresh.append_journal(&[]).await.unwrap();
    for store in [&store, &fresh] {
        assert_eq!(store.journal(NAME).await.unwrap(), [b.clone(), c.clone(), a.clone()]);
        assert_eq!(store.journal("trips/v2-ffff").await.unwrap(), std::slice::from_ref(&other));
    }
    let log = folder.path().join("off line/__journal/_delta_log");
    let commits = || std::fs::read_dir(&log).unwrap().count();
    let before = commits();
    fresh.append_journal(&[a, c]).await.unwrap();
    assert_eq!(commits(), before);
}

/// Goal: writers that know nothing of each other neither lose an entry nor repeat one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_entries_land_once() {
    let (folder, _) = store();
    let root = folder.path().join("off line");
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..6 {
        let root = root.clone();
        tasks.spawn(async move {
            let store = OfflineStore::open(&root).unwrap();
            let own = entry(NAME, &format!("own-{writer}"), writer);
            store.append_journal(&[own, entry(NAME, "shared", 100 + writer)]).await.unwrap();
        });
    }
    tasks.join_all().await;
    let found = OfflineStore::open(&root).unwrap().journal(NAME).await.unwrap();
    let units: Vec<_> = found.iter().map(|entry| entry.unit.as_str()).collect();
    assert_eq!(units, ["own-0", "own-1", "own-2", "own-3", "own-4", "own-5", "shared"]);
}

/// Goal: what does not fit is refused before anything is written.
#[tokio::test]
async fn a_position_beyond_the_column_is_refused() {
    let (folder, store) = store();
    let wrong = JournalEntry { position: u64::MAX, ..entry(NAME, "a", 1) };
    let error = store.append_journal(&[wrong]).await.unwrap_err();
    assert!(matches!(error, OfflineError::InvalidRows { .. }));
    assert!(!folder.path().join("off line").exists());
}
