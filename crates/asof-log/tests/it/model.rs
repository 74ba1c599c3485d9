//! Random operations against a model that keeps every batch in a list.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use asof_log::{Appended, Log, LogError, LogOptions, Record};
use asof_model::Duration;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{append_at, at, copy, read_all};

/// Microseconds.
const KEEP: i64 = 20;

#[derive(Debug, Clone)]
enum Operation {
    Append {
        key: Option<u8>,
        entries: Vec<u8>,
        later: i64,
    },
    /// A part of all positions in percent.
    Folded(u64),
    /// Closes the log and opens it again.
    Reopen,
    /// Goes on with the folder as it is at this moment.
    Crash,
    Read(u64),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => (proptest::option::of(0..12_u8), vec(0..3_u8, 1..4), 0..4_i64)
            .prop_map(|(key, entries, later)| Operation::Append { key, entries, later }),
        1 => (0..=100_u64).prop_map(Operation::Folded),
        1 => Just(Operation::Reopen),
        1 => Just(Operation::Crash),
        2 => (0..=110_u64).prop_map(Operation::Read),
    ]
}

/// What should be in the log.
#[derive(Default)]
struct Model {
    batches: Vec<Record>,
    /// Key to its last batch.
    keys: HashMap<String, usize>,
    now: i64,
    durable: u64,
    /// The last position that was told as folded since the log was opened.
    folded: u64,
}

impl Model {
    /// What appending a batch answers. `None`: the key is reused.
    fn append(&mut self, first_there: u64, key: Option<&str>, entries: &[String]) -> Option<Appended> {
        let entries: Vec<_> = entries.iter().cloned().map(bytes::Bytes::from).collect();
        let newest = self.batches.last().map_or(self.now, |batch| batch.admitted.micros());
        let known = key.and_then(|key| self.keys.get(key)).map(|known| &self.batches[*known]);
        if let Some(known) = known
            && (known.first >= first_there || newest - known.admitted.micros() <= KEEP)
        {
            let (first, last, admitted) = (known.first, known.last(), known.admitted);
            return (known.entries == entries).then_some(Appended { first, last, admitted, repeat: true });
        }
        let batch = Record {
            first: self.durable + 1,
            topic: "t".to_owned(),
            key: key.map(|key| bytes::Bytes::copy_from_slice(key.as_bytes())),
            admitted: at(self.now),
            entries,
        };
        let appended =
            Appended { first: batch.first, last: batch.last(), admitted: batch.admitted, repeat: false };
        self.durable = batch.last();
        if let Some(key) = key {
            self.keys.insert(key.to_owned(), self.batches.len());
        }
        self.batches.push(batch);
        Some(appended)
    }

    fn from(&self, position: u64) -> &[Record] {
        let before = self.batches.partition_point(|batch| batch.last() < position);
        &self.batches[before..]
    }
}

/// A log in a folder that changes when it crashes.
struct World {
    folder: tempfile::TempDir,
    crashes: usize,
    options: LogOptions,
    log: Option<Log>,
    model: Model,
}

impl World {
    fn new(segment_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options =
            LogOptions { segment_bytes, key_keep: Duration::from_micros(KEEP), ..LogOptions::default() };
        let mut world = Self { folder, crashes: 0, options, log: None, model: Model::default() };
        world.open();
        world
    }

    fn path(&self, crashes: usize) -> PathBuf {
        self.folder.path().join(crashes.to_string())
    }

    fn open(&mut self) {
        self.log = None;
        let path = self.path(self.crashes);
        self.model.folded = 0;
        self.log = Some(Log::open(Path::new(&path), self.options).unwrap());
    }

    fn run(&mut self, operation: Operation) {
        let log = self.log.as_ref().unwrap();
        match operation {
            Operation::Append { key, entries, later } => {
                self.model.now += later;
                let key = key.map(|key| format!("key {key}"));
                let entries: Vec<String> =
                    entries.iter().map(|length| "e".repeat(usize::from(*length) * 9)).collect();
                let expected = self.model.append(log.first(), key.as_deref(), &entries);
                let entries: Vec<&str> = entries.iter().map(String::as_str).collect();
                match append_at(log, key.as_deref(), &entries, self.model.now) {
                    Ok(appended) => assert_eq!(Some(appended), expected),
                    Err(LogError::KeyReused { .. }) => assert_eq!(expected, None),
                    Err(error) => panic!("{error}"),
                }
            }
            Operation::Folded(percent) => {
                let (position, before) = (self.model.durable * percent / 100, log.first());
                log.folded(position).unwrap();
                self.model.folded = self.model.folded.max(position);
                assert!(log.first() >= before && log.first() <= before.max(self.model.folded + 1));
            }
            Operation::Reopen => self.open(),
            Operation::Crash => {
                copy(&self.path(self.crashes), &self.path(self.crashes + 1));
                self.crashes += 1;
                self.open();
            }
            Operation::Read(percent) => {
                let from = self.model.durable * percent / 100;
                match log.read(from, 60) {
                    Ok(records) => assert!(self.model.from(from).starts_with(&records)),
                    Err(LogError::Reclaimed { .. }) => assert!(from < log.first()),
                    Err(error) => panic!("{error}"),
                }
            }
        }
        let log = self.log.as_ref().unwrap();
        assert_eq!(log.durable(), self.model.durable);
        assert_eq!(read_all(log), self.model.from(log.first()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// Goal: whatever is appended, repeated, folded, closed and crashed, the log holds what a list would hold, from
    /// where it was reclaimed on, and answers repeats as the list does.
    #[test]
    fn the_log_is_a_list(operations in vec(operation(), 1..60), segment_bytes in 1..900_u64) {
        let mut world = World::new(segment_bytes);
        for operation in operations {
            world.run(operation);
        }
    }
}
