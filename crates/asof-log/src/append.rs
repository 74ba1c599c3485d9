//! Appending: many threads, one write and one sync for all that wait.
//!
//! A batch gets its position and is *staged* under the lock. Who then finds the writer free takes it and *leads*: it
//! writes all that is staged as one group, syncs once, and tells everybody. Batches that come meanwhile are staged for
//! the next group, so the slower the disk the larger the groups. No thread of the log's own is needed.

use parking_lot::MutexGuard;

use crate::batch::{Appended, Batch};
use crate::error::LogError;
use crate::format::{self, Digest, POSITION_MAX};
use crate::keys::KeyRecord;
use crate::log::{Log, State};
use crate::segment::Segment;
use crate::writer::{Staged, Writer};

/// Bytes that wait for the next group, after which a batch waits before it is staged. One batch may go past it.
const STAGED_BYTES_MAX: u64 = 64 << 20;

/// A write that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    error: LogError,
    /// The last position of the group that was to be written.
    last: u64,
}

/// All of a batch that needs no lock.
struct Prepared {
    staged: Staged,
    /// Name and digest, where the batch has a key.
    key: Option<(Digest, Digest)>,
}

impl Prepared {
    /// The batch must have been checked.
    fn new(batch: &Batch<'_>) -> Self {
        let key = batch
            .key
            .map(|key| (format::digest_key(batch.topic, key), format::digest_entries(batch.entries)));
        let payload = format::encode_payload(batch, key.map(|(_, digest)| digest));
        let checksum = crc32fast::hash(&payload);
        // The bound of a batch fits 32 bits. The position is given under the lock.
        let staged = Staged { first: 0, entries: batch.entries.len() as u32, checksum, payload };
        Self { staged, key }
    }
}

impl Log {
    /// Appends a batch and returns when it is durable.
    ///
    /// - returns the positions of its entries. A batch whose key came before is not appended again: the positions and
    ///   the `admitted` of the first one come back, once that one is durable
    ///
    /// Positions are in the order in which batches were taken; of two calls at the same time either may be first.
    ///
    /// # Errors
    /// Nothing was appended after [`LogError::Empty`], [`LogError::TooLarge`], [`LogError::KeyReused`] and
    /// [`LogError::Full`]. After [`LogError::DiskFull`], [`LogError::Io`] and [`LogError::Poisoned`] the log takes no
    /// more until it is opened again, and only then it is known whether the batch is in it; with a key it can be
    /// repeated safely.
    pub fn append(&self, batch: Batch<'_>) -> Result<Appended, LogError> {
        batch.check()?;
        let prepared = Prepared::new(&batch);
        let mut state = self.state.lock();
        loop {
            if state.failure.is_some() {
                return Err(LogError::Poisoned { path: self.folder.clone() });
            }
            if let Some(repeated) = state.repeated(&batch, &prepared)? {
                self.settle(&mut state, repeated.last)?;
                return Ok(repeated);
            }
            state.check_room(&prepared, self.options.unfolded_bytes_max)?;
            if state.staged_bytes < STAGED_BYTES_MAX {
                break;
            }
            // The same key may be staged meanwhile, so everything is looked at again.
            self.settled.wait(&mut state);
        }
        let appended = state.stage(&batch, prepared);
        self.settle(&mut state, appended.last)?;
        Ok(appended)
    }

    /// Waits until `last`, which was staged, is durable. Leads where nobody does.
    fn settle(&self, state: &mut MutexGuard<'_, State>, last: u64) -> Result<(), LogError> {
        while state.durable < last {
            if let Some(failure) = &state.failure {
                // Who was not in the group that failed was not written at all.
                return Err(match last <= failure.last {
                    true => failure.error.clone(),
                    false => LogError::Poisoned { path: self.folder.clone() },
                });
            }
            match state.writer.take() {
                Some(writer) => self.lead(state, writer),
                None => self.settled.wait(state),
            }
        }
        Ok(())
    }

    /// Begins a new segment, so that all that is durable can be reclaimed. Nothing where the last one holds no entry.
    ///
    /// # Errors
    /// [`LogError::Poisoned`]; failures of the file system, after which the log takes no more until it is opened again.
    pub fn seal(&self) -> Result<(), LogError> {
        let mut state = self.state.lock();
        loop {
            if state.failure.is_some() {
                return Err(LogError::Poisoned { path: self.folder.clone() });
            }
            let Some(mut writer) = state.writer.take() else {
                self.settled.wait(&mut state);
                continue;
            };
            let sealed = MutexGuard::unlocked(&mut state, || writer.seal());
            let done = match sealed {
                Ok(begun) => {
                    if begun {
                        let start = state.segments.back().map_or(0, Segment::end);
                        let segment = Segment::new(state.durable + 1, start);
                        state.segments.push_back(segment);
                    }
                    state.writer = Some(writer);
                    Ok(())
                }
                Err(error) => {
                    state.failure = Some(Failure { error: error.clone(), last: state.durable });
                    Err(error)
                }
            };
            // Who came meanwhile waits for whoever had the writer.
            self.tell();
            return done;
        }
    }

    /// Writes all that is staged.
    fn lead(&self, state: &mut MutexGuard<'_, State>, mut writer: Writer) {
        let group = std::mem::take(&mut state.staged);
        state.group_bytes = std::mem::take(&mut state.staged_bytes);
        if state.group_bytes >= STAGED_BYTES_MAX {
            // Some may wait for room.
            self.settled.notify_all();
        }
        let written = MutexGuard::unlocked(state, || writer.commit(&group));
        let last = group.last().map_or(state.durable, Staged::last);
        match written {
            Ok(written) => {
                if written.rotated {
                    let start = state.segments.back().map_or(0, Segment::end);
                    let segment = Segment::new(state.durable + 1, start);
                    state.segments.push_back(segment);
                }
                if let Some(segment) = state.segments.back_mut() {
                    written.frames.iter().for_each(|frame| segment.push(frame));
                }
                state.durable = last;
                state.syncs += 1;
                state.writer = Some(writer);
            }
            // The writer stays out: what its file holds is not known before the log is opened again.
            Err(error) => state.failure = Some(Failure { error, last }),
        }
        state.group_bytes = 0;
        self.tell();
    }
}

impl State {
    /// Where the batch is, if its key came before.
    fn repeated(&self, batch: &Batch<'_>, prepared: &Prepared) -> Result<Option<Appended>, LogError> {
        let Some((name, digest)) = &prepared.key else { return Ok(None) };
        match self.keys.find(name) {
            None => Ok(None),
            Some(record) if record.digest == *digest => Ok(Some(record.repeated())),
            Some(record) => Err(LogError::KeyReused {
                topic: batch.topic.to_owned(),
                key: batch.key.map(readable).unwrap_or_default(),
                first: record.first,
            }),
        }
    }

    fn check_room(&self, prepared: &Prepared, max: u64) -> Result<(), LogError> {
        let unfolded = self.unfolded();
        // Where nothing waits, one batch may be larger than what may wait.
        if unfolded > 0 && unfolded.saturating_add(prepared.staged.frame_bytes()) > max {
            return Err(LogError::Full { unfolded, max });
        }
        let left = POSITION_MAX - self.next.min(POSITION_MAX);
        if u64::from(prepared.staged.entries) > left {
            let found = self.next.saturating_add(u64::from(prepared.staged.entries));
            return Err(LogError::TooLarge { what: "the log", unit: "entries", found, max: POSITION_MAX });
        }
        Ok(())
    }

    /// Gives a batch its position. It is in the next group.
    fn stage(&mut self, batch: &Batch<'_>, prepared: Prepared) -> Appended {
        let admitted = batch.admitted;
        let staged = Staged { first: self.next, ..prepared.staged };
        let (first, last, entries) = (staged.first, staged.last(), staged.entries);
        self.keys.admit(admitted);
        if let Some((name, digest)) = prepared.key {
            self.keys.push(KeyRecord { name, digest, first, entries, admitted });
        }
        self.next = last + 1;
        self.staged_bytes += staged.frame_bytes();
        self.staged.push(staged);
        Appended { first, last, admitted, repeat: false }
    }
}

/// A key for a message: its text, or hexadecimal digits where it is none.
fn readable(key: &[u8]) -> String {
    match std::str::from_utf8(key) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => key.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use asof_model::{Explain, Instant, Kind};
    use bytes::Bytes;

    use super::*;
    use crate::LogOptions;

    fn append(log: &Log, key: &'static str) -> Result<Appended, LogError> {
        let entries = [Bytes::from(key)];
        log.append(Batch {
            topic: "t",
            key: Some(key.as_bytes()),
            admitted: Instant::EPOCH,
            entries: &entries,
        })
    }

    fn replace_file(log: &Log, file: File) {
        log.state.lock().writer.as_mut().unwrap().replace_file(file);
    }

    /// Goal: the batch that met a full disk says so, the log takes no more, reads go on, and after opening again
    /// everything acknowledged is there and the rest can be repeated.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_poisons_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), LogOptions::default()).unwrap();
        let first = append(&log, "a").unwrap();
        // A device that takes no byte: writes fail as on a disk without space.
        replace_file(&log, File::options().write(true).open("/dev/full").unwrap());
        let error = append(&log, "b").unwrap_err();
        assert!(matches!(error, LogError::DiskFull { .. }), "{error}");
        assert!(error.to_string().starts_with("no space is left for the log at `"), "{error}");
        for key in ["b", "c", "a"] {
            let error = append(&log, key).unwrap_err();
            assert!(matches!(error, LogError::Poisoned { .. }), "{error}");
            assert_eq!(error.kind(), Kind::Unavailable);
        }
        assert_eq!((log.durable(), log.read(1, 100).unwrap().len()), (1, 1));
        drop(log);
        let log = Log::open(folder.path(), LogOptions::default()).unwrap();
        assert_eq!(append(&log, "a").unwrap(), Appended { repeat: true, ..first });
        assert_eq!(append(&log, "b").unwrap().first, 2);
    }

    /// Goal: all batches of a group that fails are told why; those that were not yet in it hear that the log is closed
    /// to them. Nobody waits for ever.
    #[test]
    fn a_group_fails_together() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), LogOptions::default()).unwrap();
        // A file that was opened to be read takes no byte.
        replace_file(&log, File::open(folder.path().join("lock")).unwrap());
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let errors = std::thread::scope(|scope| {
            let threads = keys.map(|key| scope.spawn(|| append(&log, key).unwrap_err()));
            threads.map(|thread| thread.join().unwrap())
        });
        assert!(errors.iter().any(|error| matches!(error, LogError::Io { .. })), "{errors:?}");
        for error in &errors {
            assert!(matches!(error, LogError::Io { .. } | LogError::Poisoned { .. }), "{error}");
        }
        assert_eq!(log.durable(), 0);
    }

    /// Appends a batch for each key in one group: the writer comes back when all are staged.
    fn append_together(log: &Log, keys: &[&'static str]) -> Vec<Appended> {
        let writer = log.state.lock().writer.take();
        std::thread::scope(|scope| {
            let threads: Vec<_> = keys.iter().map(|key| scope.spawn(|| append(log, key).unwrap())).collect();
            while log.state.lock().staged.len() < keys.len() {
                std::thread::yield_now();
            }
            log.state.lock().writer = writer;
            log.tell();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// Goal: one sync serves all batches that wait for it.
    #[test]
    fn one_sync_for_a_group() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), LogOptions::default()).unwrap();
        for round in 0..2 {
            let keys: &[&'static str] = [&["a", "b", "c", "d", "e"][..], &["f", "g", "h"]][round];
            let mut positions: Vec<u64> =
                append_together(&log, keys).iter().map(|appended| appended.first).collect();
            positions.sort_unstable();
            assert_eq!(positions, [&[1, 2, 3, 4, 5][..], &[6, 7, 8]][round]);
            assert_eq!(log.syncs(), round as u64 + 1);
        }
    }

    /// Goal: a group that was torn in its first batch, with its others whole, is a torn write: none was acknowledged.
    /// With a group behind it, it is damage.
    #[test]
    fn a_group_is_torn_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let torn = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path(), LogOptions::default()).unwrap();
        append(&log, "before").unwrap();
        let group = log.state.lock().segments[0].length as usize;
        append_together(&log, &["a", "b", "c"]);
        let segment = "00000000000000000001.segment";
        let tear = || {
            let mut bytes = std::fs::read(folder.path().join(segment)).unwrap();
            bytes[group..group + 40].fill(0);
            std::fs::write(torn.path().join(segment), bytes).unwrap();
            Log::open(torn.path(), LogOptions::default())
        };
        assert_eq!(tear().unwrap().durable(), 1);
        append(&log, "after").unwrap();
        let error = tear().unwrap_err();
        assert!(matches!(error, LogError::Damaged { offset, .. } if offset == group as u64), "{error}");
    }

    /// Goal: a key in a message is its text where that can be shown, and its bytes where it can't.
    #[test]
    fn keys_in_messages() {
        assert_eq!(readable(b"order 7"), "order 7");
        assert_eq!(readable(&[0xff, 0x00]), "ff00");
        assert_eq!(readable(b"a\n"), "610a");
    }
}
