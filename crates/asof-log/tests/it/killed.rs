//! A process that is killed at random moments.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use asof_log::{Log, LogOptions};

use crate::support::{append, read_all};

/// Names the folder to the process that is to be killed.
const FOLDER_VARIABLE: &str = "ASOF_LOG_KILLED_FOLDER";
/// Begins a line that acknowledges a batch: other lines are those of the test runner.
const ACKNOWLEDGED: &str = "acknowledged ";
const ROUNDS: u64 = 12;
const THREADS: u64 = 3;

fn open(folder: &Path) -> Log {
    Log::open(folder, LogOptions { segment_bytes: 4_000, ..LogOptions::default() }).unwrap()
}

fn entries(key: &str) -> [&str; 3] {
    [key, "between", key]
}

/// What the killed process does: it appends without end and says what was acknowledged. Run by the test below.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER_VARIABLE) else { return };
    let log = &open(Path::new(&folder));
    // From the last position on, so that keys of earlier rounds do not come again.
    let begin = log.durable();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                for n in 0_u64.. {
                    let key = format!("{begin}/{thread}/{n}");
                    let appended = append(log, Some(&key), &entries(&key)).unwrap();
                    let line = format!("{ACKNOWLEDGED}{} {key};\n", appended.first);
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                    if thread == 0 && n % 40 == 39 {
                        log.folded(appended.first.saturating_sub(90)).unwrap();
                    }
                }
            });
        }
    });
}

/// What a child acknowledged before it was killed, by position.
fn run_and_kill(folder: &Path, after: Duration) -> BTreeMap<u64, String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["killed::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER_VARIABLE, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        let lines = output.lines().map_while(Result::ok);
        lines.filter_map(|line| acknowledged(&line)).collect()
    });
    thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

fn acknowledged(line: &str) -> Option<(u64, String)> {
    // The runner may have written the name of the test on the same line.
    let (_, said) = line.split_once(ACKNOWLEDGED)?;
    // A line that was cut by the kill acknowledges nothing.
    let (first, key) = said.strip_suffix(';')?.split_once(' ')?;
    Some((first.parse().ok()?, key.to_owned()))
}

/// Goal: whenever the process is killed, every batch that it acknowledged is there exactly once, at the positions that
/// it said, whole; those that were reclaimed meanwhile are remembered.
#[test]
fn killed_at_random_moments() {
    let folder = tempfile::tempdir().unwrap();
    let mut known: BTreeMap<u64, String> = BTreeMap::new();
    for round in 0..ROUNDS {
        let said = run_and_kill(folder.path(), Duration::from_millis(60 + fastrand::u64(0..200)));
        known.extend(said);
        let log = open(folder.path());
        let mut found = BTreeMap::new();
        for record in read_all(&log) {
            let key = String::from_utf8(record.key.clone().unwrap().to_vec()).unwrap();
            let texts: Vec<_> =
                record.entries.iter().map(|entry| std::str::from_utf8(entry).unwrap()).collect();
            assert_eq!(texts, entries(&key));
            assert!(found.insert(key, record.first).is_none(), "a batch is there twice");
        }
        for (first, key) in &known {
            if *first >= log.first() {
                assert_eq!(found.get(key), Some(first), "round {round}: `{key}` is lost");
            }
            let again = append(&log, Some(key), &entries(key)).unwrap();
            assert_eq!((again.first, again.repeat), (*first, true), "round {round}: `{key}`");
        }
    }
    assert!(known.len() > 100, "only {} batches", known.len());
}
