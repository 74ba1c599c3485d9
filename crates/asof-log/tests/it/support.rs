//! What the tests share: batches of text, and folders as a crash would leave them.

use std::fs;
use std::path::{Path, PathBuf};

use asof_log::{Appended, Batch, Log, LogError, LogOptions, Record};
use asof_model::Instant;
use bytes::Bytes;

pub fn at(micros: i64) -> Instant {
    Instant::from_micros_clamped(micros)
}

pub fn open(folder: &Path) -> Log {
    Log::open(folder, LogOptions::default()).unwrap()
}

/// A log whose segments hold a few small batches.
pub fn open_small(folder: &Path) -> Log {
    Log::open(folder, LogOptions { segment_bytes: 300, ..LogOptions::default() }).unwrap()
}

pub fn bytes(entries: &[&str]) -> Vec<Bytes> {
    entries.iter().map(|entry| Bytes::copy_from_slice(entry.as_bytes())).collect()
}

/// Appends under topic `t`, admitted at the epoch.
pub fn append(log: &Log, key: Option<&str>, entries: &[&str]) -> Result<Appended, LogError> {
    append_at(log, key, entries, 0)
}

/// Appends under topic `t`.
pub fn append_at(log: &Log, key: Option<&str>, entries: &[&str], micros: i64) -> Result<Appended, LogError> {
    let entries = bytes(entries);
    log.append(Batch { topic: "t", key: key.map(str::as_bytes), admitted: at(micros), entries: &entries })
}

/// Everything in the log, read in small parts as a follower does.
pub fn read_all(log: &Log) -> Vec<Record> {
    let mut records: Vec<Record> = Vec::new();
    let mut next = log.first();
    loop {
        let part = log.read(next, 100).unwrap();
        let Some(last) = part.last() else { return records };
        assert_eq!(part[0].first, next, "a gap");
        next = last.last() + 1;
        records.extend(part);
    }
}

/// The entries of the log as text, one string per batch.
pub fn texts(log: &Log) -> Vec<String> {
    read_all(log).iter().map(text).collect()
}

pub fn text(record: &Record) -> String {
    let entries = record.entries.iter().map(|entry| std::str::from_utf8(entry).unwrap());
    format!("{}: {}", record.first, entries.collect::<Vec<_>>().join(" "))
}

/// The segments in a folder, in order.
pub fn segments(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|extension| extension == "segment")).collect();
    segments.sort();
    segments
}

/// The folder as it is at this moment, which is what a crash of the process leaves.
pub fn copy(from: &Path, to: &Path) {
    if to.exists() {
        fs::remove_dir_all(to).unwrap();
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
