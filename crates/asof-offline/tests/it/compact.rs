//! Compaction and vacuum: fewer files, the same rows, at every moment.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration as Span, SystemTime};

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use asof_model::{Duration, Instant};
use asof_offline::{JOURNAL, JournalEntry, OfflineStore, Scan, Table, UnitRank, UnitRanks, Vacuum};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{DAY, NAME, data_files, rows, spec, store, table_folder, trips, trips_of};

/// A row as a scan returns it: driver, event, created, trips, unit.
type Row = (i64, i64, i64, Option<i64>, String);

/// Ranks of units in the order given, all of one kind.
fn ranks(units: &[&str]) -> UnitRanks {
    let rank = |place: usize| UnitRank { place: place as u64, kind: 0, folds: true };
    units.iter().enumerate().map(|(place, unit)| ((*unit).to_owned(), rank(place))).collect()
}

fn batch(rows: &[Row]) -> RecordBatch {
    let instants = |of: fn(&Row) -> i64| {
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(of)).with_timezone("UTC"))
    };
    RecordBatch::try_from_iter([
        ("driver", Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>()) as _),
        ("event_timestamp", instants(|row| row.1) as _),
        ("created_timestamp", instants(|row| row.2) as _),
        ("__unit", Arc::new(rows.iter().map(|row| Some(row.4.as_str())).collect::<StringArray>()) as _),
        ("trips", Arc::new(rows.iter().map(|row| row.3).collect::<Int64Array>()) as _),
    ])
    .unwrap()
}

async fn all_rows(table: &Table, units: Option<HashSet<String>>) -> Vec<Row> {
    let columns = ["driver", "event_timestamp", "created_timestamp", "trips", "__unit"];
    let mut found = Vec::new();
    for batch in crate::support::read(table, Scan { units, ..Scan::of(columns) }).await {
        let instants =
            |at: usize| batch.column(at).as_primitive::<TimestampMicrosecondType>().values().to_vec();
        let (events, createds) = (instants(1), instants(2));
        let trips = batch.column(3).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            found.push((
                batch.column(0).as_primitive::<Int64Type>().value(row),
                events[row],
                createds[row],
                trips.is_valid(row).then(|| trips.value(row)),
                batch.column(4).as_string::<i32>().value(row).to_owned(),
            ));
        }
    }
    found.sort();
    found
}

/// What is left of rows when of each that says the same only the one of the first unit stays.
fn folded(rows: &[Row], ranks: &UnitRanks) -> Vec<Row> {
    let mut first: BTreeMap<(i64, i64, i64, Option<i64>, u64), Row> = BTreeMap::new();
    for row in rows {
        let rank = ranks[&row.4];
        let stands = first.entry((row.0, row.1, row.2, row.3, rank.kind)).or_insert_with(|| row.clone());
        if rank.place < ranks[&stands.4].place {
            *stands = row.clone();
        }
    }
    let mut left: Vec<Row> = first.into_values().collect();
    left.sort();
    left
}

/// Runs a future for so many polls, and drops it then: what a kill leaves of it.
async fn killed_after<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Goal: random units, compacted and killed at random points between them: a scan answers, as a set of rows, what was
    /// appended, repeats folded into the first visible at most; for each unit alone too; after a last compaction nothing
    /// is left to do, and a vacuum changes nothing.
    #[test]
    fn the_same_rows_at_every_moment(
        units in proptest::collection::vec(
            (
                0_u64..2,
                proptest::collection::vec((0_i64..3, 0_i64..3, 0_i64..2, proptest::option::of(0_i64..2)), 1..8),
                // How long a compaction behind the unit may go on; `None`: there is none.
                proptest::option::of(prop_oneof![1_usize..40, Just(usize::MAX)]),
            ),
            1..7,
        ),
        // Visible in another order than appended.
        turn in any::<u8>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async move {
            let (folder, store) = store();
            let mut table = store.table(&spec([trips()])).await.unwrap();
            let (mut ranks, mut appended) = (UnitRanks::new(), Vec::new());
            let count = units.len();
            for (place, (kind, rows, compaction)) in units.into_iter().enumerate() {
                let unit = format!("u{place}");
                let row = |(driver, event, created, trips): &(i64, i64, i64, Option<i64>)| {
                    (*driver, event * DAY / 2, event * DAY / 2 + created, *trips, unit.clone())
                };
                let rows: Vec<Row> = rows.iter().map(row).collect();
                table.append(&unit, &[batch(&rows)], json!({})).await.unwrap();
                appended.extend(rows);
                ranks.insert(unit, UnitRank { place: ((place + usize::from(turn)) % count) as u64, kind, folds: true });
                if let Some(polls) = compaction {
                    let mut other = table.clone();
                    killed_after(polls, other.compact(&ranks)).await;
                    table.refresh().await.unwrap();
                }
                assert_eq!(folded(&all_rows(&table, None).await, &ranks), folded(&appended, &ranks));
                assert_eq!(table.units().unwrap().len(), place + 1);
            }
            table.compact(&ranks).await.unwrap();
            let right = folded(&appended, &ranks);
            let left = all_rows(&table, None).await;
            assert_eq!(folded(&left, &ranks), right);
            // Repeats are folded wherever files were brought together; a day of one file is left alone.
            let alone = |row: &Row| appended.iter().all(|other| other.1 / DAY != row.1 / DAY || other.4 == row.4);
            assert!(left.len() == right.len() || left.iter().any(alone), "{left:?} for {right:?}");
            let version = table.version();
            let again = table.compact(&ranks).await.unwrap();
            assert_eq!((again.files_before, table.version(), table.files_to_compact(&ranks).unwrap()), (0, version, 0));
            let reopened = store.existing_table(NAME).await.unwrap().unwrap();
            for unit in ranks.keys() {
                let mut of_unit = left.clone();
                of_unit.retain(|row| row.4 == *unit);
                assert_eq!(all_rows(&reopened, Some(HashSet::from([unit.clone()]))).await, of_unit);
            }
            let vacuum = Vacuum { older_than: Duration::ZERO, alone: true, dry_run: false };
            store.vacuum(NAME, &vacuum).await.unwrap();
            assert_eq!(data_files(&table_folder(&folder)).len(), parquet_of_log(&folder) + reopened.files().unwrap().len());
            assert_eq!(all_rows(&reopened, None).await, left);
        });
    }
}

/// Checkpoints are Parquet too.
fn parquet_of_log(folder: &tempfile::TempDir) -> usize {
    data_files(&table_folder(folder).join("_delta_log")).len()
}

/// Goal: files of units that are not published stay as they are, and so do rows that say the same in them.
#[tokio::test]
async fn unpublished_units_are_left_alone() {
    let (_folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    for unit in ["a", "b", "c"] {
        table.append(unit, &[rows(unit, &[(0, 1)])], json!({})).await.unwrap();
    }
    let done = table.compact(&ranks(&["b", "a"])).await.unwrap();
    assert_eq!((done.files_before, done.files_after, done.rows_folded), (2, 1, 1));
    let found: Vec<String> = all_rows(&table, None).await.into_iter().map(|row| row.4).collect();
    assert_eq!(found, ["b", "c"], "of two that say the same, that of the first visible stays");
    assert_eq!(table.units().unwrap().into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
}

/// Goal: a unit whose files were compacted is known for ever: a repeated append adds nothing and says nothing of rows.
#[tokio::test]
async fn a_compacted_unit_enters_once() {
    let (_folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    for unit in ["a", "b"] {
        table.append(unit, &[rows(unit, &[(0, 1), (1, 2)])], json!({})).await.unwrap();
    }
    table.compact(&ranks(&["a", "b"])).await.unwrap();
    let again = table.append("b", &[rows("b", &[(0, 9)])], json!({})).await.unwrap();
    assert_eq!((again.already_there, again.rows), (true, None));
    assert_eq!(trips_of(&table, Scan::of(["trips"])).await, [1, 2]);
}

/// Goal: appends of others and a compaction, all at once, lose nothing; two compactions don't bring a row twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_and_compactions_together() {
    let (folder, store) = store();
    let root = folder.path().join("off line");
    let mut table = store.table(&spec([trips()])).await.unwrap();
    let names: Vec<String> = (0..30).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (n, unit) in names[..10].iter().enumerate() {
        table.append(unit, &[rows(unit, &[(0, n as i64)])], json!({})).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4_usize {
        let (root, ranks) = (root.clone(), ranks(&names));
        tasks.spawn(async move {
            let store = OfflineStore::open(&root).unwrap();
            let mut table = store.existing_table(NAME).await.unwrap().unwrap();
            for n in 0..10_usize {
                if task < 2 {
                    let n = 10 + task * 10 + n;
                    let unit = format!("u{n}");
                    table.append(&unit, &[rows(&unit, &[(0, n as i64)])], json!({})).await.unwrap();
                } else {
                    table.compact(&ranks).await.unwrap();
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    table.compact(&ranks(&names)).await.unwrap();
    assert_eq!(trips_of(&table, Scan::of(["trips"])).await, (0..30).collect::<Vec<_>>());
    assert_eq!(table.files().unwrap().len(), 1);
}

/// Goal: what compacted files hold survives checkpoints of the log.
#[tokio::test]
async fn units_of_compacted_files_survive_checkpoints() {
    let (_folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    let names: Vec<String> = (0..110).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (n, unit) in names.iter().enumerate() {
        table.append(unit, &[rows(unit, &[(0, n as i64)])], json!({})).await.unwrap();
        if n == 50 {
            table.compact(&ranks(&names[..51])).await.unwrap();
        }
    }
    let reopened = store.existing_table(NAME).await.unwrap().unwrap();
    assert_eq!(reopened.units().unwrap().len(), 110);
    let scan =
        Scan { units: Some(HashSet::from(["u7".to_owned(), "u60".to_owned()])), ..Scan::of(["trips"]) };
    assert_eq!(trips_of(&reopened, scan).await, [7, 60]);
}

/// Goal: a vacuum spares what was replaced within the retention, and young files that no commit names; older ones go, and
/// a reader that is pinned to a version within the retention reads it to its end.
#[tokio::test]
async fn vacuum_spares_what_is_in_use() {
    let (folder, store) = store();
    let mut table = store.table(&spec([trips()])).await.unwrap();
    for unit in ["a", "b"] {
        table.append(unit, &[rows(unit, &[(0, 1)])], json!({})).await.unwrap();
    }
    let pinned = table.clone();
    table.compact(&ranks(&["a", "b"])).await.unwrap();
    let (young, old) = ("part-orphan-0-00000000.parquet", "part-orphan-1-00000000.parquet");
    let day = table_folder(&folder).join("__event_date=1970-01-01");
    std::fs::write(day.join(young), "not yet").unwrap();
    for name in [old, "part-orphan-2-00000000.parquet#123"] {
        std::fs::write(day.join(name), "of a crash").unwrap();
        let file = std::fs::File::options().write(true).open(day.join(name)).unwrap();
        file.set_modified(SystemTime::now() - Span::from_secs(8 * 86_400)).unwrap();
    }
    let week = Vacuum { older_than: Duration::from_micros(7 * DAY), alone: false, dry_run: true };
    for dry_run in [true, false] {
        assert_eq!(store.vacuum(NAME, &Vacuum { dry_run, ..week }).await.unwrap().files, 2, "of the crash");
    }
    assert!(!day.join(old).exists() && day.join(young).exists());
    assert_eq!(trips_of(&pinned, Scan::of(["trips"])).await, [1, 1]);

    let now = Vacuum { older_than: Duration::ZERO, alone: false, dry_run: false };
    assert_eq!(store.vacuum(NAME, &now).await.unwrap().files, 2, "those that were replaced");
    assert!(day.join(young).exists(), "it may be a commit's that is under way");
    assert_eq!(store.vacuum(NAME, &Vacuum { alone: true, ..now }).await.unwrap().files, 1);
    assert_eq!(trips_of(&table, Scan::of(["trips"])).await, [1]);
}

/// Goal: a compacted journal holds the same entries, for readers before and after and for concurrent writers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_journal_too() {
    let (folder, store) = store();
    let root = folder.path().join("off line");
    let entry = |table: &str, n: i64| JournalEntry {
        table: table.to_owned(),
        unit: format!("u{n}"),
        visible: Instant::from_micros(n).unwrap(),
        position: n as u64,
        rows: 1,
        note: "{}".to_owned(),
    };
    let before = OfflineStore::open(&root).unwrap();
    for n in 0..6 {
        store.append_journal(&[entry("a/v1-x", n), entry("b/v1-x", n)]).await.unwrap();
    }
    before.journal("a/v1-x").await.unwrap();
    let writer = tokio::spawn({
        let store = OfflineStore::open(&root).unwrap();
        async move {
            for n in 6..12 {
                store.append_journal(&[entry("a/v1-x", n)]).await.unwrap();
            }
        }
    });
    assert!(store.compact_journal().await.unwrap() >= 12);
    writer.await.unwrap();
    store.compact_journal().await.unwrap();
    assert_eq!(store.compact_journal().await.unwrap(), 0);
    for store in [&store, &before, &OfflineStore::open(&root).unwrap()] {
        let found: Vec<u64> =
            store.journal("a/v1-x").await.unwrap().iter().map(|each| each.position).collect();
        assert_eq!(found, (0..12).collect::<Vec<_>>());
        assert_eq!(store.journal("b/v1-x").await.unwrap().len(), 6);
    }
    let vacuum = Vacuum { older_than: Duration::ZERO, alone: true, dry_run: false };
    assert!(store.vacuum(JOURNAL, &vacuum).await.unwrap().files >= 12);
    assert_eq!(OfflineStore::open(&root).unwrap().journal("a/v1-x").await.unwrap().len(), 12);
    assert_eq!(store.tables().await.unwrap(), Vec::<String>::new(), "the journal is none");
}
