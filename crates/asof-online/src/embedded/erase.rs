//! Erasing keys so that no file below the folder holds them any more (SEMANTICS 8).
//!
//! A removal in an LSM tree is one more record: the old ones stay in tables until they are compacted, and in the log of
//! the engine until it is rotated. The engine rotates its log when it has grown by [`LOG_BYTES`], so that much is
//! written to a keyspace of its own; then all is flushed, the log of before is gone, the trees are compacted as a whole,
//! and the filler goes. Readers go on meanwhile; a writer waits.

use std::sync::Arc;
use std::time::Duration;

use fjall::{Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{EmbeddedStore, records};
use crate::error::OnlineError;
use crate::events::is_events;
use crate::store::ViewHandle;

/// The keyspace of the filler. One that a crash has left is used again, and goes with the next erasure.
const FILLER: &str = "filler";
/// The engine rotates its log at the first flush beyond 64,000,000 bytes.
const LOG_BYTES: usize = 66_000_000;
/// What is written at a time.
const FILLER_VALUE_BYTES: usize = 1_000_000;
/// How often it is looked whether the readers and the log of before are gone, with a pause between.
const LOOKS_MAX: u32 = 200;
const LOOK_PAUSE: Duration = Duration::from_millis(25);

impl EmbeddedStore {
    pub(super) fn erase_now(&self, keys: &[(ViewHandle, Vec<u8>)]) -> Result<u64, OnlineError> {
        let mut writer = self.writer.lock();
        writer.clear();
        if self.stamps.frozen() {
            return Err(OnlineError::Poisoned { path: self.path.clone() });
        }
        let failed = |error| self.failed(error);
        let (mut erased, mut gone) = (0, Vec::new());
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        for (view, key) in keys {
            self.stamps.frontier(*view)?;
            self.awaited.touch(*view, std::iter::once(&key[..]));
            let stored_key = records::row_key(*view, key);
            let Some(entry) = self.rows.get(&stored_key).map_err(failed)? else { continue };
            erased += 1;
            if is_events(&entry) {
                self.remove_segments(&mut batch, &stored_key, &entry)
                    .map_err(|error| error.at(*view, key))?;
            }
            batch.remove(&self.rows, stored_key.clone());
            batch.remove(&self.waiting, stored_key.clone());
            gone.push(stored_key);
        }
        self.forget_versions(&mut batch, keys)?;
        batch.commit().map_err(failed)?;
        gone.iter().for_each(|stored_key| self.cache.forget(stored_key));
        self.entries.clear();
        self.outlive_readers()?;
        // Those that read before the commit may have kept what they found.
        self.entries.clear();
        self.forget_log()?;
        // Twice: the first pass may have met a listing of keys that still held what was.
        for _ in 0..2 {
            drop(self.database.snapshot());
            self.flush()?;
            for tree in [&self.rows, &self.waiting, &self.segments, &self.identities] {
                tree.major_compact().map_err(failed)?;
            }
        }
        let filler = self.filler()?;
        self.database.delete_keyspace(filler).map_err(failed)?;
        Ok(erased)
    }

    /// Waits until nobody reads what was there before: a snapshot keeps it in the tables.
    fn outlive_readers(&self) -> Result<(), OnlineError> {
        let before = std::mem::take(&mut *self.readers.lock());
        for _ in 0..LOOKS_MAX {
            if Arc::strong_count(&before) == 1 {
                return Ok(());
            }
            std::thread::sleep(LOOK_PAUSE);
        }
        Err(OnlineError::Io {
            path: self.path.clone(),
            source: std::io::Error::other("events of an answer from before the erasure are still held"),
        })
    }

    fn filler(&self) -> Result<Keyspace, OnlineError> {
        let opened = self.database.keyspace(FILLER, KeyspaceCreateOptions::default);
        opened.map_err(|error| self.failed(error))
    }

    /// Lets the engine's log of before go.
    fn forget_log(&self) -> Result<(), OnlineError> {
        let failed = |error| self.failed(error);
        let filler = self.filler()?;
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        for number in 0..LOG_BYTES.div_ceil(FILLER_VALUE_BYTES) as u32 {
            // Noise, since the log is compressed.
            filler.insert(number.to_be_bytes(), noise.bytes(FILLER_VALUE_BYTES)).map_err(failed)?;
        }
        for _ in 0..LOOKS_MAX {
            self.flush()?;
            if self.database.journal_count() == 1 {
                return Ok(());
            }
            std::thread::sleep(LOOK_PAUSE);
        }
        Err(OnlineError::Io {
            path: self.path.clone(),
            source: std::io::Error::other("the engine did not let go of its log"),
        })
    }

    /// Writes what is in memory to tables, in every tree.
    fn flush(&self) -> Result<(), OnlineError> {
        let failed = |error| self.failed(error);
        let filler = self.filler()?;
        // An empty tree has nothing to write; with this one there is always a flush.
        filler.insert([0xff; 5], [0]).map_err(failed)?;
        let held = [&self.rows, &self.waiting, &self.segments, &self.identities];
        for tree in held.into_iter().chain([&self.journal, &self.meta, &filler]) {
            tree.rotate_memtable_and_wait().map_err(failed)?;
        }
        Ok(())
    }
}

/// Bytes that don't compress (xorshift).
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(count + 8);
        while bytes.len() < count {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            bytes.extend(self.0.to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}
