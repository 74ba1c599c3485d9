//! What a crash leaves: torn writes, unfinished segments, segments that were about to be removed.

use std::fs;
use std::path::Path;

use asof_log::{Appended, Log, LogOptions};

use crate::support::{append, append_at, copy, open, open_small, segments, texts};

/// Appends batches of one to three entries and remembers, for each, the end of the last segment when it was
/// acknowledged.
fn write(folder: &Path, log: &Log, count: usize) -> Vec<(u64, Appended)> {
    let appended = (0..count).map(|n| {
        let (key, one) = (format!("key {n}"), format!("entry {n}"));
        let entries = vec![one.as_str(); n % 3 + 1];
        let appended = append_at(log, Some(&key), &entries, n as i64).unwrap();
        (fs::metadata(segments(folder).last().unwrap()).unwrap().len(), appended)
    });
    appended.collect()
}

/// Goal: wherever the last write was torn, every batch acknowledged before is there, nothing is there by half, and
/// the log goes on as if the torn batch had never come.
#[test]
fn the_last_segment_is_cut_at_any_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole"), folder.path().join("cut"));
    let log = open_small(&whole);
    let earlier = write(&whole, &log, 7);
    drop(log);
    let log = open(&whole);
    let later: Vec<_> = write_more(&whole, &log);
    let before = texts(&log);
    copy(&whole, &cut);
    let segment = segments(&cut).pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    assert!(segments(&whole).len() >= 2);
    for end in 0..=bytes.len() {
        fs::write(&segment, &bytes[..end]).unwrap();
        let log = open(&cut);
        let in_earlier_segments = earlier.iter().filter(|(_, batch)| batch.last < first_of(&segment)).count();
        let in_last = earlier[in_earlier_segments..].iter().chain(&later);
        let acknowledged = in_earlier_segments + in_last.clone().filter(|(at, _)| *at <= end as u64).count();
        assert_eq!(texts(&log), before[..acknowledged], "cut at {end}");
        let (next, key) = (log.durable() + 1, "key after");
        assert_eq!(append(&log, Some(key), &["after", "the", "crash"]).unwrap().first, next);
        // Again a crash, this time without a torn write.
        let again = folder.path().join("again");
        copy(&cut, &again);
        let log = open(&again);
        assert_eq!(texts(&log).len(), acknowledged + 1);
        assert_eq!(append(&log, Some(key), &["after", "the", "crash"]).unwrap().first, next);
    }
}

fn write_more(folder: &Path, log: &Log) -> Vec<(u64, Appended)> {
    let appended = ["x", "y", "z"].map(|key| {
        let appended = append(log, Some(key), &[key, "more"]).unwrap();
        (fs::metadata(segments(folder).last().unwrap()).unwrap().len(), appended)
    });
    appended.to_vec()
}

fn first_of(segment: &Path) -> u64 {
    segment.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

/// Goal: a torn write whose parts reached the disk in any order is cut off, not called damage: pages of one group
/// may be there, zero or old, whichever came first.
#[test]
fn a_group_torn_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    let (path, torn) = (folder.path().join("log"), folder.path().join("torn"));
    let log = open(&path);
    append(&log, None, &["before"]).unwrap();
    let before = fs::metadata(&segments(&path)[0]).unwrap().len() as usize;
    let entry = "a".repeat(1_000);
    append(&log, None, &[&entry, &entry]).unwrap();
    copy(&path, &torn);
    let segment = segments(&torn).pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    for hole in (before..bytes.len()).step_by(100) {
        let mut holed = bytes.clone();
        let end = (hole + 512).min(bytes.len());
        holed[hole..end].fill(0);
        // The file may also have grown further than what came.
        holed.resize(bytes.len() + hole % 700, 0);
        fs::write(&segment, &holed).unwrap();
        assert_eq!(texts(&open(&torn)), ["1: before"], "zeros from {hole}");
    }
}

/// Goal: a segment that was made and not finished, or not used, is no obstacle.
#[test]
fn an_unfinished_segment() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_small(folder.path());
    write(folder.path(), &log, 7);
    let (before, next) = (texts(&log), log.durable() + 1);
    drop(log);
    let segment = folder.path().join(format!("{next:020}.segment"));
    let whole = {
        let other = folder.path().join("other");
        open(&other);
        fs::read(&segments(&other)[0]).unwrap()
    };
    assert_eq!(whole.len(), 24);
    for unfinished in [vec![], whole[..10].to_vec(), vec![0; 24]] {
        fs::write(&segment, unfinished).unwrap();
        let log = open_small(folder.path());
        assert_eq!(texts(&log), before);
        drop(log);
        fs::remove_file(&segment).unwrap();
    }
    // Made, finished, and not used: it is what comes next.
    fs::write(&segment, []).unwrap();
    drop(open_small(folder.path()));
    let log = open_small(folder.path());
    assert_eq!(append(&log, None, &["next"]).unwrap().first, next);
    assert_eq!(segments(folder.path()).last().unwrap(), &segment);
}

/// Goal: a crash while segments are removed leaves some of them, in any choice; the next opening removes the rest,
/// and knows their keys.
#[test]
fn a_crash_while_segments_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, crashed) = (folder.path().join("log"), folder.path().join("crashed"));
    let log = open_small(&path);
    let appended = write(&path, &log, 20);
    let before = segments(&path);
    let contents: Vec<_> = before.iter().map(|segment| fs::read(segment).unwrap()).collect();
    log.folded(log.durable()).unwrap();
    let after = texts(&log);
    let removed = before.len() - segments(&path).len();
    assert!(removed >= 3);
    for left in 0..1_u32 << removed.min(4) {
        copy(&path, &crashed);
        for at in (0..removed).filter(|at| left & (1 << at) != 0) {
            fs::write(crashed.join(before[at].file_name().unwrap()), &contents[at]).unwrap();
        }
        fs::write(crashed.join("keys.unfinished"), "half").unwrap();
        let log = open_small(&crashed);
        assert_eq!(texts(&log), after);
        assert_eq!(segments(&crashed).len(), 1);
        for (n, (_, batch)) in appended.iter().enumerate() {
            let one = format!("entry {n}");
            let entries = vec![one.as_str(); n % 3 + 1];
            let repeated = append(&log, Some(&format!("key {n}")), &entries).unwrap();
            assert_eq!(repeated, Appended { repeat: true, ..*batch });
        }
    }
}

/// Goal: a crash right after the keys were written, before any segment went, loses no position.
#[test]
fn positions_never_go_back() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 1, ..LogOptions::default() };
    for n in 1..=6 {
        let log = Log::open(folder.path(), options).unwrap();
        assert_eq!(append(&log, None, &["x"]).unwrap().first, n);
        log.folded(n).unwrap();
        assert_eq!((log.first(), segments(folder.path()).len()), (n, 1));
    }
}
