//! The store, put together: what it holds in memory, and the trait.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use asof_model::Instant;
use asof_online::awaited::AwaitedKeys;
use asof_online::change::check_size;
use asof_online::entry_cache::{CacheCounts, EntryCache};
use asof_online::events::cache::{CACHED_BYTES_MAX, EventCache};
use asof_online::stamps::Stamps;
use asof_online::store::NAME_BYTES_MAX;
use asof_online::{
    BoxFuture, Clock, EventRange, OnlineAnswer, OnlineError, OnlineStore, Publication, Published, StoredRow,
    UnitStamp, Version, ViewHandle, ViewStatistics,
};
use parking_lot::{Mutex, RwLock};
use tokio::runtime::Handle;

use crate::hold;
use crate::keys::{BUCKETS, Keys};
use crate::link::{Lane, Link, Request};
use crate::loading::Loading;
use crate::open::check_fit;
use crate::runtime::within;
use crate::scripts::Scripts;
use crate::settings::RedisSettings;
use crate::writer::Writer;

/// An online store on Redis or Valkey, held by this process until dropped.
pub struct RedisStore {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) link: Link,
    pub(crate) keys: Keys,
    pub(crate) scripts: Scripts,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) handle: Handle,
    /// What stands in the hold.
    pub(crate) holder: String,
    pub(crate) epoch: u64,
    pub(crate) views: RwLock<HashMap<String, ViewHandle>>,
    /// The snapshot of an answer: the calls to each bucket that are acknowledged by then.
    pub(crate) stamps: Stamps<Arc<Vec<u64>>>,
    pub(crate) committed: Mutex<Arc<Vec<u64>>>,
    /// Held while something is written.
    pub(crate) writer: tokio::sync::Mutex<Writer>,
    /// Values that were read. This process alone writes, so it knows what changes.
    pub(crate) entries: EntryCache,
    pub(crate) loading: Loading,
    /// The events of large keys that were read.
    pub(crate) cache: RwLock<Arc<EventCache>>,
    /// Keys whose rows are being fetched from history.
    pub(crate) awaited: AwaitedKeys,
    pub(crate) taken_over: AtomicBool,
    /// Until then nobody else can take the store.
    pub(crate) held_until: Mutex<tokio::time::Instant>,
    /// What the servers lost beyond repair.
    pub(crate) lost: Mutex<Option<String>>,
    /// Calls that were sent again to servers that lost them.
    pub(crate) healed: AtomicU64,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("RedisStore").field("address", &self.inner.link.address()).finish_non_exhaustive()
    }
}

impl Drop for RedisStore {
    fn drop(&mut self) {
        hold::let_go(self.inner.clone());
    }
}

impl RedisStore {
    /// Connects, and holds the store of the project for as long as it is not dropped. Takes back what an earlier process left
    /// half done. To be called within a runtime of tokio, on which connections live; the futures of the store may be awaited
    /// anywhere.
    ///
    /// - `cache_bytes`: memory for what was read
    /// - `holder`: the command that opens it, for the message that others get meanwhile
    ///
    /// Stamps and `t` go on after the greatest stamp stored, also where `clock` has stepped back since.
    ///
    /// # Errors
    /// [`OnlineError::Locked`] where another process holds it; [`OnlineError::Unreachable`]; [`OnlineError::Unfit`] for a
    /// server that evicts rows, is too old, or refuses the login; damaged or newer contents.
    pub async fn connect(
        settings: RedisSettings,
        cache_bytes: u64,
        clock: Arc<dyn Clock>,
        holder: &str,
    ) -> Result<Self, OnlineError> {
        let keys = Keys::new(&settings.project);
        let settings = Arc::new(settings);
        let link = Link::connect(settings.clone()).await?;
        check_fit(&link).await?;
        let scripts = Scripts::new();
        let holder = hold::holder_text(holder, clock.now());
        let held_until = tokio::time::Instant::now() + settings.hold;
        let epoch = hold::acquire(&link, &keys, &scripts, &holder, 1).await?;
        let mut writer = Writer::new(epoch, settings.redo_bytes);
        let mut inner = Inner {
            link,
            keys,
            scripts,
            clock,
            handle: Handle::current(),
            holder,
            epoch,
            views: RwLock::default(),
            stamps: Stamps::new(Instant::MIN, HashMap::new()),
            committed: Mutex::new(Arc::new(vec![0; BUCKETS + 1])),
            writer: tokio::sync::Mutex::new(Writer::new(epoch, 0)),
            entries: EntryCache::new(cache_bytes),
            loading: Loading::default(),
            cache: RwLock::new(Arc::new(EventCache::new(CACHED_BYTES_MAX))),
            awaited: AwaitedKeys::default(),
            taken_over: AtomicBool::new(false),
            held_until: Mutex::new(held_until),
            lost: Mutex::new(None),
            healed: AtomicU64::new(0),
        };
        let loaded = inner.recover(&mut writer).await?;
        inner.stamps = Stamps::new(loaded.high.unwrap_or(Instant::MIN), loaded.frontiers);
        *inner.views.get_mut() = loaded.views;
        inner.note_marks(&writer);
        *inner.writer.get_mut() = writer;
        let inner = Arc::new(inner);
        inner.handle.spawn(hold::keep(Arc::downgrade(&inner), settings.hold));
        Ok(Self { inner })
    }

    /// Whether the project has a store there. Never makes one, and does not ask whether it is held.
    ///
    /// # Errors
    /// [`OnlineError::Unreachable`], [`OnlineError::Unfit`].
    pub async fn exists(settings: RedisSettings) -> Result<bool, OnlineError> {
        let keys = Keys::new(&settings.project);
        let link = Link::connect(Arc::new(settings)).await?;
        let mut command = redis::cmd("HEXISTS");
        command.arg(keys.of(BUCKETS, "state")).arg("format");
        let answers = link.send(Lane::Read, vec![Request::new(keys.slot(BUCKETS), command)]).await?;
        Ok(matches!(answers.first(), Some(redis::Value::Int(1))))
    }

    /// The address, without user, password and options.
    pub fn address(&self) -> &str {
        self.inner.link.address()
    }

    /// How many calls were sent again so far, to servers that lost what they had acknowledged.
    pub fn calls_healed(&self) -> u64 {
        self.inner.healed.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn run<'a, T: 'a>(&'a self, future: impl Future<Output = T> + Send + 'a) -> BoxFuture<'a, T> {
        within(&self.inner.handle, future)
    }
}

impl Inner {
    pub(crate) fn cache(&self) -> Arc<EventCache> {
        self.cache.read().clone()
    }

    /// Drops the values that were read: something changed that is no unit, and nobody says which.
    pub(crate) fn forget_entries(&self) {
        self.entries.change_all(self.stamps.coming());
        self.stamps.pass();
    }

    /// Looks after buckets whose servers lack calls.
    pub(crate) async fn heal_all(&self, buckets: &[usize]) -> Result<(), OnlineError> {
        let mut writer = self.writer.lock().await;
        self.check_writable()?;
        for bucket in buckets {
            self.heal(&mut writer, *bucket).await?;
        }
        Ok(())
    }

    async fn register_now(&self, identity: &str) -> Result<ViewHandle, OnlineError> {
        let mut writer = self.writer.lock().await;
        if let Some(view) = self.views.read().get(identity) {
            return Ok(*view);
        }
        check_size("the identity of a view", "bytes", identity.len(), NAME_BYTES_MAX)?;
        self.resume(&mut writer).await?;
        if let Some(view) = self.views.read().get(identity) {
            return Ok(*view);
        }
        let number = self.views.read().values().map(|view| view.number()).max().unwrap_or(0) + 1;
        let command = ("HSET", "views".to_owned(), vec![identity.into(), number.to_string().into_bytes()]);
        self.write_journal(&mut writer, vec![command]).await?;
        self.note_marks(&writer);
        let view = ViewHandle::from_number(number);
        self.stamps.add_view(view);
        self.views.write().insert(identity.to_owned(), view);
        Ok(view)
    }
}

impl OnlineStore for RedisStore {
    fn memory_bytes(&self) -> BoxFuture<'_, Result<Option<u64>, OnlineError>> {
        self.run(async {
            let mut bytes = 0_u64;
            for primary in self.inner.link.primaries() {
                let info = self.inner.info(&primary, "memory").await?;
                bytes +=
                    crate::erase::field(&info, "used_memory").and_then(|used| used.parse().ok()).unwrap_or(0);
            }
            Ok(Some(bytes))
        })
    }

    fn register<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<ViewHandle, OnlineError>> {
        self.run(self.inner.register_now(identity))
    }

    fn find<'a>(&'a self, identity: &'a str) -> BoxFuture<'a, Result<Option<ViewHandle>, OnlineError>> {
        Box::pin(std::future::ready(Ok(self.inner.views.read().get(identity).copied())))
    }

    fn publish<'a>(&'a self, publication: Publication<'a>) -> BoxFuture<'a, Result<Published, OnlineError>> {
        self.run(self.inner.publish_now(publication))
    }

    fn read<'a>(
        &'a self,
        keys: &'a [(ViewHandle, &'a [u8])],
        now: Option<Instant>,
    ) -> BoxFuture<'a, Result<OnlineAnswer, OnlineError>> {
        self.run(self.inner.read_now(keys, now))
    }

    fn await_restored(&self, view: ViewHandle, keys: HashSet<Vec<u8>>) {
        self.inner.awaited.begin(view, keys);
    }

    fn restore<'a>(
        &'a self,
        view: ViewHandle,
        rows: Vec<(Vec<u8>, Vec<StoredRow>)>,
    ) -> BoxFuture<'a, Result<u64, OnlineError>> {
        self.run(self.inner.restore_now(view, rows))
    }

    fn journal(&self, view: ViewHandle) -> BoxFuture<'_, Result<Vec<UnitStamp>, OnlineError>> {
        self.run(self.inner.units_now(view, false))
    }

    fn waiting(&self, view: ViewHandle) -> BoxFuture<'_, Result<Vec<UnitStamp>, OnlineError>> {
        self.run(self.inner.units_now(view, true))
    }

    fn settle<'a>(&'a self, view: ViewHandle, unit: &'a UnitStamp) -> BoxFuture<'a, Result<(), OnlineError>> {
        self.run(self.inner.settle_now(view, unit))
    }

    fn keys<'a>(
        &'a self,
        view: ViewHandle,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, OnlineError>> {
        self.run(self.inner.keys_now(view, after, limit))
    }

    fn keys_resting_in<'a>(
        &'a self,
        view: ViewHandle,
        events: EventRange,
        after: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Vec<u8>>, OnlineError>> {
        self.run(self.inner.keys_resting_now(view, events, after, limit))
    }

    fn version_keys(&self, view: ViewHandle) -> BoxFuture<'_, Result<Vec<Vec<u8>>, OnlineError>> {
        self.run(self.inner.version_keys_now(view))
    }

    fn versions<'a>(
        &'a self,
        view: ViewHandle,
        identities: &'a [Vec<u8>],
    ) -> BoxFuture<'a, Result<Vec<Vec<Version>>, OnlineError>> {
        self.run(self.inner.versions_now(view, identities))
    }

    fn statistics(&self, view: ViewHandle) -> BoxFuture<'_, Result<ViewStatistics, OnlineError>> {
        let now = || {
            self.inner.check_whole()?;
            let (frontier, units) = self.inner.stamps.frontier(view)?;
            Ok(ViewStatistics { position: frontier.position, last_visible: frontier.last_visible, units })
        };
        Box::pin(std::future::ready(now()))
    }

    fn cache_counts(&self) -> CacheCounts {
        self.inner.entries.counts()
    }

    fn erase<'a>(&'a self, keys: &'a [(ViewHandle, Vec<u8>)]) -> BoxFuture<'a, Result<u64, OnlineError>> {
        self.run(self.inner.erase_now(keys))
    }
}
