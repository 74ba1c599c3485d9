//! The online store in a folder of this machine, on one LSM tree database.
//!
//! | keyspace | key | value |
//! | --- | --- | --- |
//! | `rows` | view `u32` big-endian, encoded key | entry ([`crate::entry`]), or head of events ([`crate::events`]) |
//! | `waiting` | the same | overflow record of the entry |
//! | `segments` | the same, number `u32` big-endian | segment of events, or under 0 their directory |
//! | `identities` | view, identity of an event | its versions ([`crate::versions`]) |
//! | `journal` | see `records` | unit to stamp, stamp to unit |
//! | `meta` | see `records` | identity to view, view to frontier, format |
//!
//! A publication is one batch over all of them, synced before it is acknowledged. Everything is computed inline and
//! futures come back ready. One process holds the folder at a time; `holder.json` says which.

mod erase;
mod events;
mod failure;
mod folder;
mod heads;
mod identities;
mod publish;
mod read;
mod records;
mod restore;
mod settle;

use std::collections::{HashMap, HashSet};
use std::future::ready;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use asof_model::Instant;
use fjall::{Database, Keyspace, PersistMode, Readable, Snapshot};
use parking_lot::{Mutex, RwLock};

use heads::Heads;

use crate::awaited::AwaitedKeys;
use crate::change::check_size;
use crate::entry::{StoredRow, smallest_event};
use crate::entry_cache::{CacheCounts, EntryCache};
use crate::error::OnlineError;
use crate::events::cache::{CACHED_BYTES_MAX, EventCache};
use crate::stamps::Stamps;
use crate::store::{
    BoxFuture, Clock, EventRange, NAME_BYTES_MAX, OnlineAnswer, OnlineStore, Publication, Published,
    UnitStamp, ViewHandle, ViewStatistics,
};
use crate::versions::Version;

/// The share of the cache that is for blocks of files: one byte in so many. Rows that are read again are found among the
/// entries, which take far less room than the blocks around them.
const BLOCKS_SHARE: u64 = 16;
/// The least the blocks are given: below it every read would go to the file.
const BLOCK_BYTES_MIN: u64 = 1 << 20;

/// How many rows are brought into memory from one snapshot.
const WARMED_AT_ONCE: usize = 4_096;

/// The embedded online store.
pub struct EmbeddedStore {
    // Dropped first: it removes `holder.json` while the folder is still held.
    _holder: folder::Holder,
    path: PathBuf,
    clock: Arc<dyn Clock>,
    database: Database,
    rows: Keyspace,
    waiting: Keyspace,
    segments: Keyspace,
    identities: Keyspace,
    journal: Keyspace,
    meta: Keyspace,
    views: RwLock<HashMap<String, ViewHandle>>,
    stamps: Stamps<Snapshot>,
    /// Held by every read, and by events in answers: an erasure waits until those from before it are gone.
    readers: Mutex<Arc<()>>,
    /// Entries that were read.
    entries: EntryCache,
    /// The events of large keys that were read.
    cache: Arc<EventCache>,
    /// Keys whose rows are being fetched from history.
    awaited: AwaitedKeys,
    /// Held while something is written: there is one writer at a time, who knows what was written last.
    writer: Mutex<Heads>,
}

impl std::fmt::Debug for EmbeddedStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("EmbeddedStore").field("path", &self.path).finish_non_exhaustive()
    }
}

impl EmbeddedStore {
    /// Opens the store in that folder, which is created where it is missing, and holds it until dropped.
    ///
    /// - `cache_bytes`: memory for what was read, most of it for entries, some for blocks of files, at least 1 MiB. Beside it the events of keys that have many are kept once they were read, in at most 256 MiB.
    /// - `holder`: the command that opens it, for the message that others get meanwhile
    ///
    /// Stamps and `t` go on after the greatest stamp stored, also where `clock` has stepped back since.
    ///
    /// # Errors
    /// [`OnlineError::Locked`], [`OnlineError::ReadOnly`], [`OnlineError::DiskFull`], [`OnlineError::DamagedStore`],
    /// [`OnlineError::UnknownVersion`], [`OnlineError::Io`].
    pub fn open(
        path: &Path,
        cache_bytes: u64,
        clock: Arc<dyn Clock>,
        holder: &str,
    ) -> Result<Self, OnlineError> {
        folder::create_whole(path)?;
        let database = folder::open_database(path, (cache_bytes / BLOCKS_SHARE).max(BLOCK_BYTES_MIN))?;
        let [rows, waiting, segments, identities, journal, meta] = folder::open_keyspaces(path, &database)?;
        let snapshot = database.snapshot();
        folder::check_format(path, &database, &meta)?;
        let loaded = records::load(&snapshot, &meta, |error| failure::explain(path, error))?;
        let _holder = folder::Holder::write(path, holder, clock.now())?;
        Ok(Self {
            _holder,
            path: path.to_owned(),
            clock,
            rows,
            waiting,
            segments,
            identities,
            journal,
            meta,
            views: RwLock::new(loaded.views),
            stamps: Stamps::new(loaded.high.unwrap_or(Instant::MIN), loaded.frontiers),
            readers: Mutex::default(),
            entries: EntryCache::new(cache_bytes - cache_bytes / BLOCKS_SHARE),
            cache: Arc::new(EventCache::new(CACHED_BYTES_MAX)),
            awaited: AwaitedKeys::default(),
            writer: Mutex::default(),
            database,
        })
    }

    /// Whether there is a store in that folder. Says nothing about its health, and never creates one.
    pub fn exists(path: &Path) -> bool {
        folder::exists(path)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, error: fjall::Error) -> OnlineError {
        failure::explain(&self.path, error)
    }

    fn register_now(&self, identity: &str) -> Result<ViewHandle, OnlineError> {
        let _writer = self.writer.lock();
        if let Some(view) = self.views.read().get(identity) {
            return Ok(*view);
        }
        check_size("the identity of a view", "bytes", identity.len(), NAME_BYTES_MAX)?;
        if self.stamps.frozen() {
            return Err(OnlineError::Poisoned { path: self.path.clone() });
        }
        let number = self.views.read().values().map(|view| view.number()).max().unwrap_or(0) + 1;
        let view = ViewHandle::from_number(number);
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&self.meta, records::identity_key(identity), number.to_le_bytes());
        batch.commit().map_err(|error| self.failed(error))?;
        self.stamps.add_view(view);
        self.views.write().insert(identity.to_owned(), view);
        Ok(view)
    }

    fn journal_now(&self, view: ViewHandle) -> Result<Vec<UnitStamp>, OnlineError> {
        self.stamps.frontier(view)?;
        let drawn = self.stamps.draw(self.clock.now(), None, || self.database.snapshot())?;
        let mut units = Vec::new();
        for each in drawn.snapshot.prefix(&self.journal, records::stamps_prefix(view)) {
            let (key, value) = each.into_inner().map_err(|error| self.failed(error))?;
            units.push(records::decode_stamp(&key, &value)?);
        }
        Ok(units)
    }

    fn keys_now(
        &self,
        view: ViewHandle,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, OnlineError> {
        self.stamps.frontier(view)?;
        let drawn = self.stamps.draw(self.clock.now(), None, || self.database.snapshot())?;
        let prefix = view.number().to_be_bytes();
        let mut keys = Vec::new();
        let range = (publish::behind(view, after), Bound::Unbounded);
        for each in drawn.snapshot.range(&self.rows, range).take(limit) {
            let key = each.key().map_err(|error| self.failed(error))?;
            match key.strip_prefix(&prefix) {
                Some(key) => keys.push(key.to_vec()),
                None => break,
            }
        }
        Ok(keys)
    }

    fn keys_resting_now(
        &self,
        view: ViewHandle,
        events: EventRange,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, OnlineError> {
        self.stamps.frontier(view)?;
        let drawn = self.stamps.draw(self.clock.now(), None, || self.database.snapshot())?;
        let mut keys = Vec::new();
        self.each_entry(&drawn.snapshot, view, after, |key, entry, overflow| {
            if smallest_event(entry, overflow)?.is_some_and(|event| events.contains(event)) {
                keys.push(key.to_vec());
            }
            Ok(keys.len() < limit)
        })?;
        Ok(keys)
    }

    fn warm_up_now(&self, wanted: &(dyn Fn() -> bool + Sync)) -> Result<u64, OnlineError> {
        let (mut kept, mut after) = (0, None::<Vec<u8>>);
        while wanted() {
            // An erasure waits for those who may bring back what it erases.
            let _reader = self.readers.lock().clone();
            // A snapshot for each part: one that is held for long keeps the engine from tidying up.
            let drawn = self.stamps.draw(self.clock.now(), None, || self.database.snapshot())?;
            let from = after.take().map_or(Bound::Unbounded, Bound::Excluded);
            for each in drawn.snapshot.range(&self.rows, (from, Bound::Unbounded)).take(WARMED_AT_ONCE) {
                let (stored_key, entry) = each.into_inner().map_err(|error| self.failed(error))?;
                if !self.entries.put_ahead(&stored_key, &entry, drawn.finished) {
                    return Ok(kept);
                }
                kept += 1;
                after = Some(stored_key.to_vec());
            }
            if after.is_none() {
                break;
            }
        }
        Ok(kept)
    }

    fn statistics_now(&self, view: ViewHandle) -> Result<ViewStatistics, OnlineError> {
        let (frontier, units) = self.stamps.frontier(view)?;
        Ok(ViewStatistics { position: frontier.position, last_visible: frontier.last_visible, units })
    }
}

impl OnlineStore for EmbeddedStore {
    fn register<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<ViewHandle, OnlineError>> {
        Box::pin(ready(self.register_now(identity)))
    }

    fn find<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<ViewHandle>, OnlineError>> {
        Box::pin(ready(Ok(self.views.read().get(identity).copied())))
    }

    fn publish<'a>(&'a self, publication: Publication<'a>) -> BoxFuture<'a, Result<Published, OnlineError>> {
        Box::pin(ready(self.publish_now(publication)))
    }

    fn read<'a>(
        &'a self,
        keys: &'a [(ViewHandle, &'a [u8])],
        now: Option<Instant>,
    ) -> BoxFuture<'a, Result<OnlineAnswer, OnlineError>> {
        Box::pin(ready(self.read_now(keys, now)))
    }

    fn await_restored(&self, view: ViewHandle, keys: HashSet<Vec<u8>>) {
        self.awaited.begin(view, keys);
    }

    fn restore<'a>(
        &'a self,
        view: ViewHandle,
        rows: Vec<(Vec<u8>, Vec<StoredRow>)>,
    ) -> BoxFuture<'a, Result<u64, OnlineError>> {
        Box::pin(ready(self.restore_now(view, rows)))
    }

    fn journal(&self, view: ViewHandle) -> BoxFuture<'_, Result<Vec<UnitStamp>, OnlineError>> {
        Box::pin(ready(self.journal_now(view)))
    }

    fn waiting(&self, view: ViewHandle) -> BoxFuture<'_, Result<Vec<UnitStamp>, OnlineError>> {
        Box::pin(ready(self.waiting_now(view)))
    }

    fn settle<'a>(&'a self, view: ViewHandle, unit: &'a UnitStamp) -> BoxFuture<'a, Result<(), OnlineError>> {
        Box::pin(ready(self.settle_now(view, unit)))
    }

    fn keys<'a>(
        &'a self,
        view: ViewHandle,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, OnlineError>> {
        Box::pin(ready(self.keys_now(view, after, limit)))
    }

    fn keys_resting_in<'a>(
        &'a self,
        view: ViewHandle,
        events: EventRange,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, OnlineError>> {
        Box::pin(ready(self.keys_resting_now(view, events, after, limit)))
    }

    fn version_keys(&self, view: ViewHandle) -> BoxFuture<'_, Result<Vec<Vec<u8>>, OnlineError>> {
        Box::pin(ready(self.version_keys_now(view)))
    }

    fn versions<'a>(
        &'a self,
        view: ViewHandle,
        identities: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<Vec<Version>>, OnlineError>> {
        Box::pin(ready(self.versions_now(view, identities)))
    }

    fn statistics(&self, view: ViewHandle) -> BoxFuture<'_, Result<ViewStatistics, OnlineError>> {
        Box::pin(ready(self.statistics_now(view)))
    }

    fn warm_up<'a>(
        &'a self,
        wanted: &'a (dyn Fn() -> bool + Sync),
    ) -> BoxFuture<'a, Result<u64, OnlineError>> {
        Box::pin(ready(self.warm_up_now(wanted)))
    }

    fn cache_counts(&self) -> CacheCounts {
        self.entries.counts()
    }

    fn erase<'a>(&'a self, keys: &'a [(ViewHandle, Vec<u8>)]) -> BoxFuture<'a, Result<u64, OnlineError>> {
        Box::pin(ready(self.erase_now(keys)))
    }
}
