//! What goes in comes out; what is refused; who holds the folder.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use asof_log::{
    BATCH_BYTES_MAX, BATCH_ENTRIES_MAX, Batch, KEY_BYTES_MAX, Log, LogError, LogOptions, TOPIC_BYTES_MAX,
};
use asof_model::{Explain, Kind};
use bytes::Bytes;

use crate::support::{append, append_at, at, bytes, open, open_small, read_all, segments, texts};

/// Goal: everything of a batch comes back, empty entries, keys and topics included.
#[test]
fn a_batch_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(&folder.path().join("a/new/folder"));
    assert_eq!((log.first(), log.durable()), (1, 0));
    assert_eq!(log.read(1, 100).unwrap(), []);
    let entries = [Bytes::from_static(b"one"), Bytes::new(), Bytes::from(vec![0; 300])];
    let batches = [
        Batch { topic: "trips", key: Some(&[0, 255]), admitted: at(-7), entries: &entries },
        Batch { topic: "", key: Some(b""), admitted: at(8), entries: &entries[..1] },
        Batch { topic: "fahrgäste", key: None, admitted: at(8), entries: &entries[1..2] },
    ];
    let firsts: Vec<u64> = batches.iter().map(|batch| log.append(*batch).unwrap().first).collect();
    assert_eq!(firsts, [1, 4, 5]);
    let records = read_all(&log);
    for (record, batch) in records.iter().zip(&batches) {
        assert_eq!((record.topic.as_str(), record.admitted), (batch.topic, batch.admitted));
        assert_eq!((record.key.as_deref(), record.entries.as_slice()), (batch.key, batch.entries));
    }
    assert_eq!((log.durable(), records[2].last()), (5, 5));
}

/// Goal: a read begins with the batch that holds the position, brings at least one, and goes on over segments.
#[test]
fn where_a_read_begins_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_small(folder.path());
    for n in 0..20 {
        append_at(&log, None, &["left", "right"], n).unwrap();
    }
    assert!(segments(folder.path()).len() > 3);
    for from in 1..=40 {
        let one = log.read(from, 0).unwrap();
        assert_eq!(one.iter().map(|record| record.first).collect::<Vec<_>>(), [from - (from - 1) % 2]);
        let rest = log.read(from, usize::MAX).unwrap();
        assert_eq!(rest.len() as u64, (42 - one[0].first) / 2);
    }
    assert_eq!(log.read(41, 100).unwrap(), []);
    let error = log.read(0, 100).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert_eq!(error.to_string(), "position 0 is no longer in the log, which begins at 1");
}

/// Goal: what is empty or past a bound is refused with its size, and leaves no trace.
#[test]
fn what_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let (one, many) = (bytes(&["x"]), vec![Bytes::new(); BATCH_ENTRIES_MAX + 1]);
    let large = [Bytes::from(vec![0; BATCH_BYTES_MAX]), one[0].clone()];
    let long = "x".repeat(TOPIC_BYTES_MAX.max(KEY_BYTES_MAX) + 1);
    let batch = Batch { topic: "t", key: None, admitted: at(0), entries: &one };
    for (batch, text) in [
        (Batch { entries: &[], ..batch }, "a batch for topic `t` has no entries"),
        (Batch { entries: &many, ..batch }, "a batch has 100001 entries, the most is 100000"),
        (Batch { entries: &large, ..batch }, "a batch has 67108865 bytes, the most is 67108864"),
        (Batch { topic: &long, ..batch }, "a topic has 1025 bytes, the most is 1024"),
        (Batch { key: Some(long.as_bytes()), ..batch }, "a key has 1025 bytes, the most is 1024"),
    ] {
        let error = log.append(batch).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Invalid, text));
    }
    assert_eq!(log.durable(), 0);
    // At the bounds it is taken, and found again.
    let largest = Batch {
        topic: &long[..TOPIC_BYTES_MAX],
        key: Some(&long.as_bytes()[..KEY_BYTES_MAX]),
        entries: &large[..1],
        ..batch
    };
    log.append(largest).unwrap();
    log.append(Batch { entries: &many[1..], ..batch }).unwrap();
    drop(log);
    let log = open(folder.path());
    assert_eq!(log.durable(), 1 + BATCH_ENTRIES_MAX as u64);
    assert_eq!(log.read(1, 0).unwrap()[0].entries, large[..1]);
    assert!(log.append(largest).unwrap().repeat);
}

/// Goal: positions go on over reopenings, as often as the log is opened and whether or not anything was appended.
#[test]
fn positions_go_on() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..5_u64 {
        drop(open_small(folder.path()));
        let log = open_small(folder.path());
        assert_eq!(log.durable(), n);
        assert_eq!(append(&log, None, &["x"]).unwrap().first, n + 1);
    }
    assert_eq!(texts(&open(folder.path())), ["1: x", "2: x", "3: x", "4: x", "5: x"]);
}

/// Goal: a second opening is refused with the folder and the holder, until the first is dropped.
#[test]
fn one_holder() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let error = Log::open(folder.path(), LogOptions::default()).unwrap_err();
    assert!(matches!(error, LogError::Locked { .. }));
    assert_eq!(error.kind(), Kind::Unavailable);
    let (path, process) = (folder.path().display(), std::process::id());
    assert_eq!(error.to_string(), format!("the log in `{path}` is in use by process {process}"));
    drop(log);
    open(folder.path());
}

/// Goal: a log that was dropped is free at once, also while this process starts another one, which has its files for a
/// moment.
#[test]
fn free_when_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.arg("--list").stdout(Stdio::null()).status().unwrap();
            }
        });
        let opened = (0..200).find_map(|_| Log::open(folder.path(), LogOptions::default()).err());
        stop.store(true, Ordering::Relaxed);
        assert!(opened.is_none(), "{opened:?}");
    });
}

/// Goal: a path that can't be a folder is named.
#[test]
fn a_file_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Log::open(&file, LogOptions::default()).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
    assert_eq!(error.kind(), Kind::Unavailable);
}
