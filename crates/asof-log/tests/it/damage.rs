//! Damage is an error that names file and offset, never a loss in silence.

use std::path::{Path, PathBuf};
use std::{fs, io};

use asof_log::{Log, LogError, LogOptions};
use asof_model::{Explain, Kind};

use crate::support::{append, copy, open, open_small, segments, texts};

/// What opening the folder answers, by error.
fn refused(folder: &Path) -> LogError {
    Log::open(folder, LogOptions::default()).unwrap_err()
}

fn assert_damaged(error: &LogError, in_file: &Path, context: &str) -> u64 {
    assert_eq!(error.kind(), Kind::Corrupt, "{context}: {error}");
    let LogError::Damaged { file, offset, .. } = error else { panic!("{context}: {error}") };
    assert_eq!(file, in_file, "{context}");
    *offset
}

/// Goal: whichever byte of a batch changes that was known to be synced, opening names the batch. The process was
/// killed, so there is no mark.
#[test]
fn any_byte_of_a_middle_batch() {
    let folder = tempfile::tempdir().unwrap();
    let (path, damaged) = (folder.path().join("log"), folder.path().join("damaged"));
    let log = open(&path);
    let mut ends = Vec::new();
    for key in ["a", "b", "c"] {
        append(&log, Some(key), &["some entry", "another one"]).unwrap();
        ends.push(fs::metadata(&segments(&path)[0]).unwrap().len() as usize);
    }
    copy(&path, &damaged);
    let segment = segments(&damaged).pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    for at in ends[0]..ends[1] {
        for bit in [0x01, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            fs::write(&segment, changed).unwrap();
            let offset = assert_damaged(&refused(&damaged), &segment, &format!("byte {at}"));
            assert_eq!(offset, ends[0] as u64);
        }
    }
    // The header of the segment too.
    for at in 0..24 {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        fs::write(&segment, changed).unwrap();
        assert_eq!(assert_damaged(&refused(&damaged), &segment, &format!("byte {at}")), 0);
    }
}

/// Goal: after a log was closed, and in every segment but the last, a change in the last batch is damage as well.
#[test]
fn any_byte_of_a_closed_log() {
    let folder = tempfile::tempdir().unwrap();
    let (path, damaged) = (folder.path().join("log"), folder.path().join("damaged"));
    let log = open_small(&path);
    for n in 0..6 {
        append(&log, Some(&format!("key {n}")), &["some entry", "another one"]).unwrap();
    }
    drop(log);
    let expected = texts(&open(&path));
    copy(&path, &damaged);
    assert!(segments(&damaged).len() >= 2);
    for segment in segments(&damaged) {
        let bytes = fs::read(&segment).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x04;
            fs::write(&segment, changed).unwrap();
            match Log::open(&damaged, LogOptions::default()) {
                Err(error) => _ = assert_damaged(&error, &segment, &format!("byte {at}")),
                // The closing mark itself may go: it holds nothing.
                Ok(log) => {
                    assert_eq!(texts(&log), expected, "byte {at}");
                    assert!(at >= bytes.len() - 36, "byte {at}");
                }
            }
        }
        fs::write(&segment, bytes).unwrap();
    }
}

/// A change of the files of a log.
type Change = fn(&[PathBuf]) -> io::Result<()>;

/// Goal: a segment that is gone, shorter than it was, or has another one's name is told.
#[test]
fn segments_that_do_not_follow() {
    let folder = tempfile::tempdir().unwrap();
    let (path, damaged) = (folder.path().join("log"), folder.path().join("damaged"));
    let log = open_small(&path);
    for n in 0..12 {
        append(&log, None, &[&"x".repeat(60 + n)]).unwrap();
    }
    drop(log);
    let count = segments(&path).len();
    assert!(count >= 4);
    let changes: [(&str, Change); 6] = [
        ("follow the end", |segments| fs::remove_file(&segments[0])),
        ("follow the end", |segments| fs::remove_file(&segments[1])),
        ("by its header", |segments| fs::rename(&segments[2], &segments[1])),
        ("cut short", |segments| {
            let bytes = fs::read(&segments[1])?;
            fs::write(&segments[1], &bytes[..bytes.len() - 1])
        }),
        // Cut where a batch ends: every batch in it is whole.
        ("follow the end", |segments| fs::write(&segments[1], &fs::read(&segments[1])?[..24])),
        ("is no position", |segments| fs::rename(&segments[0], segments[0].with_file_name("1.segment"))),
    ];
    for (text, change) in changes {
        copy(&path, &damaged);
        change(&segments(&damaged)).unwrap();
        let error = refused(&damaged);
        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(error.to_string().contains(text), "{text}: {error}");
    }
}

/// Goal: after a reclaim the log knows that it had a beginning: with its segments or its keys lost, it is not taken
/// for a new one.
#[test]
fn a_log_that_lost_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let (path, damaged) = (folder.path().join("log"), folder.path().join("damaged"));
    let log = open_small(&path);
    for _ in 0..12 {
        append(&log, None, &[&"x".repeat(60)]).unwrap();
    }
    log.folded(12).unwrap();
    drop(log);
    copy(&path, &damaged);
    let segment = segments(&damaged).pop().unwrap();
    fs::remove_file(damaged.join("keys")).unwrap();
    assert_damaged(&refused(&damaged), &segment, "without keys");
    copy(&path, &damaged);
    fs::remove_file(&segment).unwrap();
    let error = refused(&damaged);
    assert_damaged(&error, &segment, "without segments");
    assert!(error.to_string().contains("is missing"), "{error}");
}

/// Goal: bytes that change while the log is open are found by the read that meets them.
#[test]
fn damage_found_by_a_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, None, &["whole"]).unwrap();
    let before = fs::metadata(&segments(folder.path())[0]).unwrap().len() as usize;
    append(&log, None, &["broken"]).unwrap();
    let segment = segments(folder.path()).pop().unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&segment, bytes).unwrap();
    assert_eq!(log.read(1, 0).unwrap().len(), 1);
    let error = log.read(2, 0).unwrap_err();
    assert_eq!(assert_damaged(&error, &segment, "read"), before as u64);
}

/// Goal: a log inside an entry is not mistaken for the log around it.
#[test]
fn a_log_within_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let (path, torn) = (folder.path().join("log"), folder.path().join("torn"));
    let log = open(&path);
    append(&log, None, &["before"]).unwrap();
    let inner = {
        let other = folder.path().join("other");
        let log = open(&other);
        (0..9).for_each(|_| _ = append(&log, None, &["inner"]).unwrap());
        drop(log);
        fs::read(&segments(&other)[0]).unwrap()
    };
    let entries = [bytes::Bytes::from(inner)];
    let batch = asof_log::Batch { topic: "t", key: None, admitted: crate::support::at(0), entries: &entries };
    log.append(batch).unwrap();
    copy(&path, &torn);
    let segment = segments(&torn).pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(texts(&open(&torn)), ["1: before"]);
}
