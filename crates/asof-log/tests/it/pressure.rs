//! Back-pressure, and what relieves it.

use asof_log::{Log, LogError, LogOptions};
use asof_model::{Explain, Kind};

use crate::support::{append, open, open_small, segments, texts};

fn fill(log: &Log) -> LogError {
    let entry = "x".repeat(900);
    loop {
        if let Err(error) = append(log, None, &[&entry]) {
            return error;
        }
    }
}

/// Goal: when too much waits, a batch is refused and nothing is written; a repeat is still answered; what is folded
/// makes room for as much.
#[test]
fn full_until_folded() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 5_000, unfolded_bytes_max: 40_000, ..LogOptions::default() };
    let log = Log::open(folder.path(), options).unwrap();
    append(&log, Some("k"), &["x"]).unwrap();
    let error = fill(&log);
    assert_eq!(error.kind(), Kind::Unavailable);
    let LogError::Full { unfolded, max: 40_000 } = error else { panic!("{error}") };
    assert!((39_000..=40_000).contains(&unfolded), "{unfolded}");
    let (before, durable) = (texts(&log), log.durable());
    fill(&log);
    assert_eq!(texts(&log), before);
    assert!(append(&log, Some("k"), &["x"]).unwrap().repeat);

    log.folded(durable / 2).unwrap();
    fill(&log);
    let more = log.durable() - durable;
    // Up to some KiB of what is folded count still.
    assert!((durable / 2 - 6..=durable / 2 + 1).contains(&more), "{more} of {durable}");
    // A position that was told earlier changes nothing.
    log.folded(1).unwrap();
    fill(&log);
    assert_eq!(log.durable(), durable + more);
    log.folded(log.durable()).unwrap();
    let durable = log.durable();
    fill(&log);
    assert!(log.durable() - durable >= 40);

    // Opened again, all that is there counts until somebody says otherwise.
    drop(log);
    let log = Log::open(folder.path(), options).unwrap();
    assert!(matches!(append(&log, None, &[&"x".repeat(900)]), Err(LogError::Full { .. })));
    log.folded(log.durable()).unwrap();
    append(&log, None, &[&"x".repeat(900)]).unwrap();
}

/// Goal: where nothing waits, a batch larger than what may wait is taken: it could never be sent otherwise.
#[test]
fn one_batch_is_always_taken() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { unfolded_bytes_max: 10, ..LogOptions::default() };
    let log = Log::open(folder.path(), options).unwrap();
    for n in 1..4 {
        append(&log, None, &["larger than ten bytes"]).unwrap();
        assert!(matches!(append(&log, None, &["x"]), Err(LogError::Full { .. })));
        log.folded(n).unwrap();
    }
}

/// Goal: whole segments go, the last one never, and readers learn where the log begins.
#[test]
fn folded_segments_go() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_small(folder.path());
    for n in 0..12 {
        append(&log, None, &[&format!("{n:060}"), "x"]).unwrap();
    }
    let before = segments(folder.path()).len();
    assert!(before >= 4);
    // Half a batch holds its segment.
    let second = log.read(3, 0).unwrap()[0].first;
    log.folded(second).unwrap();
    assert_eq!(log.first(), 1);
    log.folded(12).unwrap();
    let first = log.first();
    assert!((5..=13).contains(&first), "{first}");
    assert_eq!(log.read(first, 0).unwrap()[0].first, first);
    let error = log.read(first - 1, 0).unwrap_err();
    assert!(matches!(error, LogError::Reclaimed { .. }), "{error}");
    assert_eq!(error.kind(), Kind::NotFound);
    log.folded(24).unwrap();
    assert_eq!(segments(folder.path()).len(), 1);
    assert!(log.read(24, 0).unwrap()[0].last() == 24);
    drop(log);
    assert_eq!(open(folder.path()).durable(), 24);
}

/// Goal: who has folded a position that the log never gave out has read another log: positions given out from now on
/// would pass for folded.
#[test]
fn a_position_of_another_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, None, &["x"]).unwrap();
    let error = log.folded(2).unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.to_string().ends_with("never gave out position 2, it ends at 1"), "{error}");
    log.folded(1).unwrap();
}
