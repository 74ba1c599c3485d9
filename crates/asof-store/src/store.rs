//! What is open: each engine when it is first needed, once.

use std::sync::Arc;
use std::time::Duration;

use asof_log::{Log, LogOptions};
use asof_model::Instant;
use asof_objects::Objects;
use asof_offline::OfflineStore;
use asof_online::entry_cache::CacheCounts;
use asof_online::{Clock, EmbeddedStore, OnlineStore};
use asof_redis::{RedisSettings, RedisStore};
use asof_registry::sqlite::SqliteOptions;
use asof_registry::{Registry, RegistryError, SqliteRegistry};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::get::cold::ColdKeys;
use crate::push::Pushes;
use crate::{Progress, Project, StoreError};

/// How often work that waits for its turn asks whether it is still wanted.
const TURN_WAIT: Duration = Duration::from_millis(200);

/// The clock of this machine.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = since.ok().and_then(|since| i64::try_from(since.as_micros()).ok());
        micros.map_or(Instant::EPOCH, Instant::from_micros_clamped)
    }
}

/// A project's feature store. Its verbs are in the modules of their names.
pub struct Store {
    project: Project,
    clock: Arc<dyn Clock>,
    /// The command that runs, for whoever finds the online store held.
    holder: String,
    objects: Objects,
    registry: OnceCell<Box<dyn Registry>>,
    offline: OnceCell<OfflineStore>,
    online: OnceCell<Arc<dyn OnlineStore>>,
    log: OnceCell<Arc<Log>>,
    pushes: Pushes,
    /// Keys that history answered for.
    cold: ColdKeys,
    /// Held by the one verb that writes rows.
    turn: Mutex<()>,
    /// Held from a verdict on what arrives until that is remembered.
    judging: Mutex<()>,
}

impl Store {
    /// The store of a project. Nothing is opened yet, and nothing is created.
    pub fn new(project: Project, clock: Arc<dyn Clock>, holder: &str) -> Self {
        Self {
            project,
            clock,
            holder: holder.to_owned(),
            objects: Objects::of_process(),
            registry: OnceCell::new(),
            offline: OnceCell::new(),
            online: OnceCell::new(),
            log: OnceCell::new(),
            pushes: Pushes::default(),
            cold: ColdKeys::default(),
            turn: Mutex::new(()),
            judging: Mutex::new(()),
        }
    }

    /// The project.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// The object stores that URLs name.
    pub(crate) fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The present, by the injected clock.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The turn to write rows: one verb at a time has it, the others wait until it ends.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] where nobody wants the work any more before its turn comes.
    pub(crate) async fn turn(&self, progress: &dyn Progress) -> Result<MutexGuard<'_, ()>, StoreError> {
        if let Ok(turn) = self.turn.try_lock() {
            return Ok(turn);
        }
        let wait = "waiting for another load to end";
        progress.begin(wait, "loads", None);
        loop {
            match tokio::time::timeout(TURN_WAIT, self.turn.lock()).await {
                Ok(turn) => {
                    progress.finish(wait, "it has ended");
                    return Ok(turn);
                }
                Err(_) if !progress.wanted() => return Err(StoreError::Stopped),
                Err(_) => {}
            }
        }
    }

    /// The registry, to write: created where it is missing.
    pub(crate) async fn registry(&self) -> Result<&dyn Registry, StoreError> {
        Ok(self.open_registry(true).await?.as_ref())
    }

    /// The registry, to read. `None` where nothing was ever applied.
    pub(crate) async fn existing_registry(&self) -> Result<Option<&dyn Registry>, StoreError> {
        match self.open_registry(false).await {
            Ok(registry) => Ok(Some(registry.as_ref())),
            Err(StoreError::Registry(RegistryError::Missing { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn open_registry(&self, create: bool) -> Result<&Box<dyn Registry>, StoreError> {
        let open = async || {
            let options = SqliteOptions { create, ..SqliteOptions::default() };
            let path = self.project.registry_path();
            let registry = SqliteRegistry::open_with(&path, &self.project.settings.project, options).await?;
            Ok::<Box<dyn Registry>, StoreError>(Box::new(registry))
        };
        self.registry.get_or_try_init(open).await
    }

    /// History.
    pub(crate) async fn offline(&self) -> Result<&OfflineStore, StoreError> {
        self.offline.get_or_try_init(async || Ok(OfflineStore::open(&self.project.history_path())?)).await
    }

    /// The admission log, which is created where it is missing. Whoever opens it holds the online store: one process takes
    /// pushes and folds them.
    pub(crate) async fn log(&self) -> Result<Arc<Log>, StoreError> {
        self.online().await?;
        let open = async || {
            // Views that are defined later begin with what was pushed before them.
            let options = LogOptions { archive: true, ..LogOptions::default() };
            Ok::<_, StoreError>(Arc::new(Log::open(&self.project.log_path(), options)?))
        };
        Ok(self.log.get_or_try_init(open).await?.clone())
    }

    /// What is held from a verdict on what arrives until that is remembered.
    pub(crate) fn judging(&self) -> &Mutex<()> {
        &self.judging
    }

    /// Keys that history answered for.
    pub(crate) fn cold(&self) -> &ColdKeys {
        &self.cold
    }

    /// What this process knows of what was pushed.
    pub(crate) fn pushes(&self) -> &Pushes {
        &self.pushes
    }

    /// How often rows were found in the memory of the online store, and how often not, since it was opened.
    pub fn online_cache(&self) -> CacheCounts {
        self.online.get().map(|online| online.cache_counts()).unwrap_or_default()
    }

    /// Brings rows into the memory of the online store, as long as there is room and `wanted` says so; answers how many.
    ///
    /// # Errors
    /// Those of the online store.
    pub async fn warm_up(&self, wanted: &(dyn Fn() -> bool + Sync)) -> Result<u64, StoreError> {
        Ok(self.online().await?.warm_up(wanted).await?)
    }

    /// The online store. It is held by one process at a time, from here to its end.
    pub(crate) async fn online(&self) -> Result<&dyn OnlineStore, StoreError> {
        let open = async || {
            let settings = &self.project.settings;
            let store: Arc<dyn OnlineStore> = match settings.online_is_remote() {
                true => {
                    let server = RedisSettings::parse(&settings.online_url, &settings.project)?;
                    let (cache, clock) = (settings.online_cache_bytes, self.clock.clone());
                    let connected = RedisStore::connect(server, cache, clock, &self.holder);
                    Arc::new(Box::pin(connected).await?)
                }
                false => {
                    let (path, cache) = (self.project.online_path(), settings.online_cache_bytes);
                    Arc::new(EmbeddedStore::open(&path, cache, self.clock.clone(), &self.holder)?)
                }
            };
            Ok::<_, StoreError>(store)
        };
        Ok(self.online.get_or_try_init(open).await?.as_ref())
    }
}
