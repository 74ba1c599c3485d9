//! Many threads at once.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use asof_log::{Log, LogOptions, Record};

use crate::support::{append, open, read_all};

const THREADS: usize = 8;
const BATCHES_PER_THREAD: usize = 60;

/// Goal: batches of many threads have consecutive positions, each whole; and is synced before it is acknowledged; a
/// reader who follows sees every batch once and in order.
#[test]
fn appenders_and_a_follower() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 8_000, ..LogOptions::default() };
    let opened = Log::open(folder.path(), options).unwrap();
    let log = &opened;
    let total = (0..BATCHES_PER_THREAD).map(|n| n as u64 % 3 + 1).sum::<u64>() * THREADS as u64;
    let (mut appended, followed) = thread::scope(|scope| {
        let follower = scope.spawn(|| follow(log, total));
        let appenders: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || append_many(log, thread))).collect();
        let appended: Vec<_> = appenders.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        (appended, follower.join().unwrap())
    });
    appended.sort();
    let seen: Vec<_> = followed.iter().map(|record| (record.first, entries(record))).collect();
    assert_eq!(seen, appended);
    let mut next = 1;
    for record in &followed {
        assert_eq!(record.first, next);
        next = record.last() + 1;
    }
    assert_eq!(next, total + 1);
    let batches = (THREADS * BATCHES_PER_THREAD) as u64;
    assert!(log.syncs() >= 1 && log.syncs() <= batches, "{} syncs for {batches} batches", log.syncs());
    drop(opened);
    assert_eq!(read_all(&open(folder.path())), followed);
}

fn entries(record: &Record) -> Vec<String> {
    record.entries.iter().map(|entry| String::from_utf8(entry.to_vec()).unwrap()).collect()
}

fn append_many(log: &Log, thread: usize) -> Vec<(u64, Vec<String>)> {
    let appended = (0..BATCHES_PER_THREAD).map(|n| {
        let entries: Vec<String> = (0..n % 3 + 1).map(|part| format!("{thread}/{n}/{part}")).collect();
        let parts: Vec<&str> = entries.iter().map(String::as_str).collect();
        let appended = append(log, Some(&format!("{thread}/{n}")), &parts).unwrap();
        assert!(!appended.repeat && log.durable() >= appended.last);
        (appended.first, entries)
    });
    appended.collect()
}

fn follow(log: &Log, total: u64) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut seen = 0;
    while seen < total {
        let durable = log.wait_past(seen, Duration::from_secs(60));
        assert!(durable > seen, "nothing came for a minute");
        records.extend(log.read(seen + 1, 500).unwrap());
        seen = records.last().unwrap().last();
        assert!(seen <= log.durable());
    }
    records
}

/// Goal: threads that send the same batch at once are all answered with the same positions, and one appended it.
#[test]
fn the_same_batch_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    for round in 0..40 {
        let (key, start) = (format!("key {round}"), Barrier::new(THREADS));
        let answers: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let appended = append(&log, Some(&key), &["a", "b"]).unwrap();
                        assert!(log.durable() >= appended.last);
                        appended
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(answers.iter().filter(|answer| !answer.repeat).count(), 1);
        assert!(answers.iter().all(|answer| (answer.first, answer.last) == (2 * round + 1, 2 * round + 2)));
    }
    assert_eq!(read_all(&log).len(), 40);
}

/// Goal: segments are reclaimed while others append and read; a reader in the way is told where the log begins.
#[test]
fn reclaiming_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 2_000, unfolded_bytes_max: 20_000, ..LogOptions::default() };
    let log = Log::open(folder.path(), options).unwrap();
    const BATCHES: u64 = 400;
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = 0;
            while seen < BATCHES {
                seen = log.wait_past(seen, Duration::from_secs(60));
                log.folded(seen).unwrap();
            }
        });
        scope.spawn(|| {
            let mut seen = 0;
            while seen < BATCHES {
                log.wait_past(seen, Duration::from_secs(60));
                match log.read(seen + 1, 300) {
                    Ok(records) => seen = records.last().map_or(seen, Record::last),
                    Err(asof_log::LogError::Reclaimed { first, .. }) => {
                        assert!(first > seen + 1);
                        seen = first - 1;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        for n in 0..BATCHES {
            let key = format!("key {n}");
            while append(&log, Some(&key), &[&"x".repeat(200)]).is_err() {
                thread::yield_now();
            }
        }
    });
    for n in 0..BATCHES {
        let again = append(&log, Some(&format!("key {n}")), &[&"x".repeat(200)]).unwrap();
        assert_eq!((again.first, again.repeat), (n + 1, true));
    }
}

/// Goal: who waits for entries that do not come is released in time.
#[test]
fn a_wait_ends() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    assert_eq!(log.wait_past(0, Duration::from_millis(1)), 0);
    append(&log, None, &["x", "y"]).unwrap();
    assert_eq!(log.wait_past(1, Duration::from_secs(60)), 2);
    assert_eq!(log.wait_past(2, Duration::ZERO), 2);
}
