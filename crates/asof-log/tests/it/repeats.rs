//! A batch with a key is appended once.

use asof_log::{Appended, Batch, Log, LogError, LogOptions};
use asof_model::{Duration, Explain, Kind};

use crate::support::{append, append_at, at, bytes, copy, open, open_small, read_all, segments};

/// Goal: a repeat is answered as the first was, whatever time it says, and appends nothing; also after opening again.
#[test]
fn a_repeat_appends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    append(&log, None, &["other"]).unwrap();
    let first = append_at(&log, Some("k"), &["a", "b"], 5).unwrap();
    assert_eq!(first, Appended { first: 2, last: 3, admitted: at(5), repeat: false });
    assert_eq!(append_at(&log, Some("k"), &["a", "b"], 9).unwrap(), Appended { repeat: true, ..first });
    drop(log);
    let log = open(folder.path());
    assert_eq!(append_at(&log, Some("k"), &["a", "b"], 9).unwrap(), Appended { repeat: true, ..first });
    assert_eq!(read_all(&log).len(), 2);
    // Without a key the same batch is another one.
    assert!(!append(&log, None, &["other"]).unwrap().repeat);
}

/// Goal: a key of another topic is another key.
#[test]
fn keys_belong_to_topics() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let entries = bytes(&["x"]);
    for topic in ["a", "b", "ab"] {
        let batch = Batch { topic, key: Some(b"k"), admitted: at(0), entries: &entries };
        assert!(!log.append(batch).unwrap().repeat);
        assert!(log.append(batch).unwrap().repeat);
    }
}

/// Goal: a key with other entries is refused and named, as long as the key is remembered.
#[test]
fn a_key_that_is_reused() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_small(folder.path());
    append(&log, Some("order 7"), &["a", "b"]).unwrap();
    let refused = |log: &Log| {
        for entries in [&["a"][..], &["ab"], &["a", "b", ""], &["", "a", "b"], &["b", "a"]] {
            let error = append(log, Some("order 7"), entries).unwrap_err();
            assert!(matches!(error, LogError::KeyReused { first: 1, .. }), "{error}");
            assert_eq!(error.kind(), Kind::Conflict);
            let text = "key `order 7` of topic `t` was used for other entries, at position 1";
            assert_eq!(error.to_string(), text);
        }
    };
    refused(&log);
    (0..20).for_each(|_| _ = append(&log, None, &["more"]).unwrap());
    log.folded(log.durable()).unwrap();
    assert!(log.first() > 2);
    refused(&log);
    drop(log);
    refused(&open(folder.path()));
}

/// Goal: keys outlive their segments: after a reclaim, after opening again, after a crash.
#[test]
fn keys_outlive_their_segments() {
    let folder = tempfile::tempdir().unwrap();
    let (path, crashed) = (folder.path().join("log"), folder.path().join("crashed"));
    let log = open_small(&path);
    let mut appended = Vec::new();
    for n in 0..60 {
        appended.push(append_at(&log, Some(&format!("key {n}")), &["x", "y"], n).unwrap());
        if n % 20 == 19 {
            log.folded(log.durable() - 7).unwrap();
        }
    }
    assert!(log.first() > 80 && segments(&path).len() < 9);
    let all_known = |log: &Log| {
        for (n, first) in appended.iter().enumerate() {
            let again = append_at(log, Some(&format!("key {n}")), &["x", "y"], 99).unwrap();
            assert_eq!(again, Appended { repeat: true, ..*first });
        }
    };
    all_known(&log);
    copy(&path, &crashed);
    all_known(&open(&crashed));
    drop(log);
    all_known(&open(&path));
}

/// Goal: a reclaimed key is remembered exactly as long as `key_keep`, before and after opening again, and is then free.
#[test]
fn a_key_has_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        LogOptions { segment_bytes: 1, key_keep: Duration::from_micros(10), ..LogOptions::default() };
    let log = Log::open(folder.path(), options).unwrap();
    append_at(&log, Some("k"), &["old"], 100).unwrap();
    append_at(&log, None, &["x"], 110).unwrap();
    log.folded(2).unwrap();
    assert!(append_at(&log, Some("k"), &["old"], 110).unwrap().repeat);
    drop(log);
    let log = Log::open(folder.path(), options).unwrap();
    assert!(append_at(&log, Some("k"), &["old"], 110).unwrap().repeat);
    append_at(&log, None, &["x"], 111).unwrap();
    assert_eq!(append_at(&log, Some("k"), &["new"], 111).unwrap().first, 4);
    drop(log);
    let log = Log::open(folder.path(), options).unwrap();
    assert_eq!(append_at(&log, Some("k"), &["new"], 111).unwrap().first, 4);
}

/// Goal: past the bound the oldest keys go, and only those.
#[test]
fn the_oldest_keys_go() {
    let folder = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 1, keys_max: 3, ..LogOptions::default() };
    let log = Log::open(folder.path(), options).unwrap();
    for n in 0..8 {
        append(&log, Some(&format!("key {n}")), &["x"]).unwrap();
    }
    log.folded(6).unwrap();
    drop(log);
    let log = Log::open(folder.path(), options).unwrap();
    // Reclaimed were the first six.
    for n in (3..8).rev() {
        assert!(append(&log, Some(&format!("key {n}")), &["x"]).unwrap().repeat, "key {n}");
    }
    for n in 0..3 {
        assert!(!append(&log, Some(&format!("key {n}")), &["x"]).unwrap().repeat, "key {n}");
    }
}
