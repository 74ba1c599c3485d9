//! What a running server keeps: the catalog at the registry's current revision, and compiled plans for it.
//!
//! A request shape is compiled once and then found by its names. Compiled plans belong to one catalog: when the
//! registry moves on, both are replaced together, so no plan ever meets a catalog that it was not made from. While
//! the registry can't be read, the last catalog stays in use.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use asof_model::plan::Catalog;
use asof_model::spec::{About, Service};
use asof_model::{Explain, Instant as Time, ViewId};
use asof_store::answers::AnswerLog;
use asof_store::get::{Answer, GetRequest, OnlinePlan, OpenAnswer};
use asof_store::push::{Flush, PushReport};
use asof_store::request::{Naming, RequestPlan, Wanted};
use asof_store::{Store, StoreError};
use foldhash::fast::{FixedState, RandomState};
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::metrics::{self, Served, Tally};
use crate::past::{GetError, Past};
use crate::watch::{LOOK_EVERY, Watch};
use crate::workers::Workers;
use crate::{ServerError, json};

/// How often the registry is asked whether it has moved on.
pub const REVISION_POLL: Duration = Duration::from_secs(1);

/// The most request shapes whose plans are kept. Past it, one of them makes room and is compiled again when asked for.
pub const PLANS_MAX: usize = 1024;

/// The most plans that are compiled at a time.
const COMPILED_AT_ONCE: usize = 16;

/// The longest text of a request shape by which its plan is found, in bytes. Longer ones are read each time.
const SHAPE_TEXT_BYTES_MAX: usize = 64 << 10;

/// The pause before what is pushed is folded again where that failed.
const FOLD_RETRY: Duration = Duration::from_secs(1);

/// How often it is looked whether history answered for keys, whose rows are then put back online.
const COLD_LOOK: Duration = Duration::from_secs(5);

/// Putting rows back may take one part in so many of the time of its threads: it reads history.
const COLD_SHARE: u32 = 20;

/// How often it is looked whether enough waits for history.
const FLUSH_LOOK: Duration = Duration::from_millis(500);

/// How long a plan is used whose meaning can change without a new revision: a view that was never loaded, an added
/// feature that waits for its backfill, a name whose newest version is not complete yet.
pub const UNSETTLED_PLAN_AGE_MAX: Duration = Duration::from_secs(1);

/// What names a plan in the cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Shape {
    /// What is asked for.
    pub wanted: Wanted,
    /// Whether features are called by their full names.
    pub full_names: bool,
}

/// What names a plan, as a request has it: the JSON text of its list of features, or of the name of its service. Most
/// requests have the same text again and again, so a plan is found without reading it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ShapeText<'b> {
    /// The JSON text.
    pub text: &'b str,
    /// See [`Shape::full_names`].
    pub full_names: bool,
}

/// A catalog and the plans made from it.
pub(crate) struct Compiled {
    /// The definitions.
    pub catalog: Catalog,
    plans: RwLock<HashMap<Shape, Cached>>,
    /// The same plans by the text of a request, short names and full names.
    texts: [RwLock<HashMap<Box<str>, Cached, RandomState>>; 2],
    /// Held while a plan is compiled, by the hash of its shape: who asks for the same meanwhile waits for it.
    compiling: [tokio::sync::Mutex<()>; COMPILED_AT_ONCE],
}

/// A compiled request, what its answers repeat, and its counters.
pub(crate) struct Planned {
    /// The request.
    pub online: OnlinePlan,
    /// The names of its columns as JSON text.
    pub names: Vec<String>,
    served: Served,
}

#[derive(Clone)]
struct Cached {
    plan: Arc<Planned>,
    /// When an unsettled plan was made; `None` for one that holds as long as its catalog.
    unsettled_since: Option<Instant>,
}

/// How fresh a view is in an answer.
pub(crate) struct ViewHealth {
    /// The view.
    pub view: String,
    /// Its newest event that is known. `None`: it has none.
    pub newest: Option<Time>,
    /// Milliseconds from that to the instant of the answer.
    pub freshness_ms: Option<i64>,
    /// Whether it is behind its freshness promise (SEMANTICS 6).
    pub degraded: bool,
}

/// The state behind every route.
pub(crate) struct Serving {
    store: Arc<Store>,
    compiled: RwLock<Arc<Compiled>>,
    /// A sample of answers is kept, for `verify`.
    answers: AnswerLog,
    /// Whether the last answer could not be recorded, so that an outage is logged once.
    unrecorded: AtomicBool,
    /// A request for nothing: it opens the online store when it is made, and reads its clock and snapshot when asked.
    probe: OnlinePlan,
    workers: Workers,
    past: Past,
    watch: Arc<Watch>,
    started: Instant,
    /// Whether the registry could be read when it was last asked.
    registry_up: AtomicBool,
    /// Whether the server is told to stop.
    stopping: Arc<AtomicBool>,
    /// Told when something was pushed.
    pushed: Arc<Notify>,
}

impl Compiled {
    fn new(catalog: Catalog) -> Arc<Self> {
        let compiling = Default::default();
        Arc::new(Self { catalog, plans: RwLock::default(), texts: Default::default(), compiling })
    }
}

impl Serving {
    /// Reads the catalog and opens the online store, which is held from here on.
    ///
    /// # Errors
    /// Those of the registry and of the online store, such as one that is in use.
    pub async fn open(store: Arc<Store>) -> Result<Self, ServerError> {
        let workers = Workers::start()?;
        let catalog = store.catalog().await?;
        let probe = probe(&store).await?;
        if catalog.revision == 0 {
            tracing::warn!("nothing has been applied yet; run `asof apply`, and the server follows");
        }
        for (service, view, sunset) in past_their_sunset(&catalog, store.now()) {
            tracing::error!(service, view, %sunset, "the view is past its sunset: requests for it are refused");
        }
        let answers = store.answer_log();
        let compiled = RwLock::new(Compiled::new(catalog));
        let serving = Self {
            store,
            compiled,
            answers,
            unrecorded: AtomicBool::new(false),
            probe,
            workers,
            past: Past::new(),
            watch: Arc::default(),
            started: Instant::now(),
            registry_up: AtomicBool::new(true),
            stopping: Arc::new(AtomicBool::new(false)),
            pushed: Arc::default(),
        };
        metrics::recorder();
        serving.look().await;
        Ok(serving)
    }

    /// The catalog that is served.
    pub fn catalog(&self) -> Arc<Compiled> {
        self.compiled.read().clone()
    }

    /// Brings rows into memory before they are asked for, beside whatever else is done.
    pub fn warm_up(&self) {
        let (store, stopping) = (self.store.clone(), self.stopping.clone());
        let started = Instant::now();
        self.workers.spawn(async move {
            match store.warm_up(&|| !stopping.load(Ordering::Relaxed)).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, took = ?started.elapsed(), "rows are in memory"),
                Err(error) => {
                    tracing::warn!(%error, "rows are not brought into memory; they are read when asked for")
                }
            }
        });
    }

    /// Says that something was pushed.
    pub fn pushed(&self) {
        self.pushed.notify_one();
    }

    /// Folds what is pushed, for as long as the server runs: at once, and one after the other, so that what comes meanwhile
    /// is folded together.
    pub async fn fold(&self) {
        // Counters that nobody has counted yet are there, at 0.
        metrics::pushed(&PushReport::default());
        let mut failed = false;
        loop {
            let store = self.store.clone();
            let folded = self.workers.spawn(async move { store.fold_pushed().await });
            let outcome = match folded {
                Some(folded) => folded.await,
                None => return,
            };
            match outcome {
                Ok(Ok(folded)) => {
                    if std::mem::take(&mut failed) {
                        tracing::info!("what is pushed is folded again");
                    }
                    metrics::folded(&folded);
                    self.pushed.notified().await;
                }
                Ok(Err(StoreError::NothingApplied { .. })) => self.pushed.notified().await,
                Ok(Err(error)) => {
                    if !std::mem::replace(&mut failed, true) {
                        let hint = error.hint();
                        tracing::error!(%error, hint, "what is pushed can't be folded; it stays in the log");
                    }
                    tokio::time::sleep(FOLD_RETRY).await;
                }
                // The work panicked or the threads are gone; what is durable is folded when it is asked for again.
                Err(_) => tokio::time::sleep(FOLD_RETRY).await,
            }
        }
    }

    /// Brings what is folded into history, for as long as the server runs.
    pub async fn flush(&self) {
        let mut failed = false;
        loop {
            tokio::time::sleep(FLUSH_LOOK).await;
            let store = self.store.clone();
            let flushed = self.workers.spawn(async move { store.flush_pushed(Flush::Due).await });
            let Some(flushed) = flushed else { return };
            match flushed.await {
                Ok(Ok(_)) => {
                    if std::mem::take(&mut failed) {
                        tracing::info!("what is pushed comes into history again");
                    }
                }
                Ok(Err(StoreError::NothingApplied { .. })) | Err(_) => {}
                Ok(Err(error)) => {
                    if !std::mem::replace(&mut failed, true) {
                        let hint = error.hint();
                        tracing::error!(%error, hint, "what is pushed can't be brought into history; it stays in the log");
                    }
                }
            }
        }
    }

    /// Puts rows that history answered for back online, for as long as the server runs.
    pub async fn bring_back(&self) {
        let mut pause = COLD_LOOK;
        loop {
            tokio::time::sleep(pause).await;
            pause = COLD_LOOK;
            if !self.store.has_cold_keys() {
                continue;
            }
            let (store, compiled, begun) = (self.store.clone(), self.catalog(), Instant::now());
            let work = self.workers.spawn(async move { store.bring_back(&compiled.catalog).await });
            let Some(work) = work else { return };
            match work.await {
                Ok(Ok(keys)) => tracing::debug!(keys, took = ?begun.elapsed(), "rows are back online"),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "rows that were asked for stay with history for now")
                }
                Err(_) => {}
            }
            pause = pause.max(begun.elapsed() * COLD_SHARE);
        }
    }

    /// Brings all that was pushed into history, as far as that is possible: what is left stays in the log.
    pub async fn settle(&self) {
        if let Err(error) = self.store.settle_pushed().await
            && !matches!(error, StoreError::NothingApplied { .. })
        {
            tracing::warn!(%error, "what was pushed is not all in history; it stays in the log");
        }
    }

    /// Whether the server is told to stop: set once, for all who ask.
    pub fn stopping(&self) -> &Arc<AtomicBool> {
        &self.stopping
    }

    /// The registry revision that is served; 0 where nothing was applied.
    pub fn revision(&self) -> u64 {
        self.compiled.read().catalog.revision
    }

    /// The names of the services.
    pub fn services(&self) -> Vec<String> {
        self.compiled.read().catalog.definitions.services.keys().cloned().collect()
    }

    /// How fresh the views of a plan are at the instant of an answer, in order of their names.
    pub fn health(&self, plan: &Planned, answer: &Answer, open: &OpenAnswer<'_>) -> Vec<ViewHealth> {
        let t = answer.t;
        let mut views: Vec<ViewHealth> = Vec::new();
        for (place, join) in plan.online.plan.joins.iter().enumerate() {
            // What is answered may be newer than what was seen when all views were looked at.
            let met = (0..answer.rows()).filter_map(|row| open.event(place, row)).max();
            let newest = met.max(self.watch.newest(&join.view.id));
            let freshness_ms = newest.map(|newest| (t.micros() - newest.micros()) / 1_000);
            let promise = join.view.freshness;
            let degraded =
                promise.is_some_and(|promise| newest.is_none_or(|newest| newest.plus(promise) < t));
            let view = join.view.id.to_string();
            match views.iter_mut().find(|known| known.view == view) {
                Some(known) if known.freshness_ms > freshness_ms => {
                    *known = ViewHealth { view, newest, freshness_ms, degraded }
                }
                Some(_) => {}
                None => views.push(ViewHealth { view, newest, freshness_ms, degraded }),
            }
        }
        views.sort_by(|one, other| one.view.cmp(&other.view));
        views
    }

    /// Looks at what is not looked at for each request.
    pub async fn look(&self) {
        let (watch, store, compiled) = (self.watch.clone(), self.store.clone(), self.compiled.read().clone());
        let look = async move { watch.look(&store, &compiled.catalog).await };
        if let Some(look) = self.workers.spawn(look) {
            // Where it fails, what was seen before stays.
            let _ = look.await;
        }
    }

    /// The metrics of this process in Prometheus' text form. `None` where they are recorded elsewhere.
    pub fn metrics(&self) -> Option<String> {
        let recorder = metrics::recorder()?;
        metrics::state(&metrics::State {
            revision: self.revision(),
            registry_up: self.registry_up.load(Ordering::Relaxed),
            freshness_seconds: self.watch.freshness_seconds(self.store.now()),
            online_bytes: self.watch.online_bytes(),
            online_cache: self.store.online_cache(),
            uptime_seconds: self.started.elapsed().as_secs_f64(),
        });
        Some(recorder.render())
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The threads for long work.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The name of the project.
    pub fn project(&self) -> &str {
        &self.store.project().settings.project
    }

    /// The plan of a request shape, and the catalog that it belongs to.
    ///
    /// # Errors
    /// As [`Store::online_plan`]. Nothing is remembered then.
    pub async fn plan(&self, shape: Shape) -> Result<(Arc<Compiled>, Arc<Planned>), StoreError> {
        let compiled = self.compiled.read().clone();
        if compiled.catalog.revision == 0 {
            return Err(StoreError::NothingApplied { project: self.project().to_owned() });
        }
        if let Some(plan) = self.kept(&compiled, &shape) {
            return Ok((compiled, plan));
        }
        let turn = FixedState::default().hash_one(&shape) as usize % COMPILED_AT_ONCE;
        let _turn = compiled.compiling[turn].lock().await;
        if let Some(plan) = self.kept(&compiled, &shape) {
            return Ok((compiled.clone(), plan));
        }
        let naming = Naming { full_names: shape.full_names, keys: BTreeMap::new() };
        let made = Instant::now();
        let online = self.compile(compiled.clone(), shape.wanted.clone(), naming).await?;
        let holds = settled(&compiled.catalog, &shape.wanted, &online.plan);
        let names = online.plan.columns.iter().map(|column| json::quoted(&column.name)).collect();
        let plan = Arc::new(Planned { served: Served::new(&online), names, online });
        let cached = Cached { plan: plan.clone(), unsettled_since: (!holds).then_some(made) };
        let mut plans = compiled.plans.write();
        if plans.len() >= PLANS_MAX && !plans.contains_key(&shape) {
            let any = plans.keys().next().cloned();
            any.map(|shape| plans.remove(&shape));
        }
        plans.insert(shape, cached);
        drop(plans);
        Ok((compiled.clone(), plan))
    }

    /// Compiles a request on the threads for long work: it asks the registry and history.
    async fn compile(
        &self,
        compiled: Arc<Compiled>,
        wanted: Wanted,
        naming: Naming,
    ) -> Result<OnlinePlan, StoreError> {
        let store = self.store.clone();
        let work = async move { store.online_plan(&compiled.catalog, &wanted, &naming).await };
        let failed =
            |why: &dyn std::fmt::Display| StoreError::Corrupt(format!("a request was not compiled: {why}"));
        match self.workers.spawn(work) {
            Some(work) => work.await.map_err(|error| failed(&error))?,
            None => Err(failed(&"the server is stopping")),
        }
    }

    /// The plan of a request shape by its text, which `read` makes a shape of where it is not known yet.
    ///
    /// # Errors
    /// As [`Serving::plan`], and those of `read`.
    pub async fn plan_of_text<E: From<StoreError>>(
        &self,
        text: ShapeText<'_>,
        read: impl FnOnce() -> Result<Wanted, E>,
    ) -> Result<(Arc<Compiled>, Arc<Planned>), E> {
        let compiled = self.compiled.read().clone();
        let texts = &compiled.texts[usize::from(text.full_names)];
        let known = texts.read().get(text.text).and_then(|cached| self.holding(cached));
        if let Some(plan) = known {
            return Ok((compiled, plan));
        }
        let shape = Shape { wanted: read()?, full_names: text.full_names };
        let (compiled, plan) = self.plan(shape.clone()).await?;
        if text.text.len() <= SHAPE_TEXT_BYTES_MAX
            && let Some(cached) = compiled.plans.read().get(&shape).cloned()
        {
            let mut texts = compiled.texts[usize::from(text.full_names)].write();
            if texts.len() >= PLANS_MAX {
                texts.clear();
            }
            texts.insert(text.text.into(), cached);
        }
        Ok((compiled, plan))
    }

    /// Answers a request: from the online store, or, where its `now` lies before the last update of a view, from history.
    ///
    /// # Errors
    /// As [`Store::get`], and where history is asked for more than its bounds.
    pub async fn get(
        &self,
        compiled: Arc<Compiled>,
        plan: &Arc<Planned>,
        request: &GetRequest,
    ) -> Result<Answer, GetError> {
        let answer = match self.store.get(&compiled.catalog, &plan.online, request).await {
            Err(StoreError::NowBehind { now, last }) => {
                let (store, planned) = (self.store.clone(), plan.clone());
                let why = format!("`now` {now} is before the last update of a view, {last}");
                self.past.answer(&self.workers, store, compiled, planned, request.clone(), &why).await?
            }
            Err(error @ StoreError::Inactive { .. }) => {
                let (store, planned) = (self.store.clone(), plan.clone());
                let why = error.to_string();
                let asked = request.clone();
                let answer = self.past.answer(&self.workers, store, compiled, planned, asked, &why).await?;
                self.record(&plan.online, request, &answer);
                answer
            }
            answer => {
                let answer = answer?;
                self.record(&plan.online, request, &answer);
                answer
            }
        };
        Ok(answer)
    }

    /// Keeps the answer for `verify`, as far as the bounds of the record allow. The answer is as good without.
    fn record(&self, plan: &OnlinePlan, request: &GetRequest, answer: &Answer) {
        let recorded = self.answers.record(self.store.now(), plan, request, answer);
        let rows = *recorded.as_ref().unwrap_or(&0);
        metrics::recorded(rows, answer.rows() - rows);
        let failed = recorded.err();
        if let (Some(error), false) = (&failed, self.unrecorded.swap(failed.is_some(), Ordering::Relaxed)) {
            tracing::warn!(%error, "answers can't be recorded for `asof verify`; serving goes on");
        }
    }

    /// Whether the online store can be read.
    ///
    /// # Errors
    /// Why it can't.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.store.get(&Catalog::default(), &self.probe, &nothing()).await.map(|_| ())
    }

    /// Follows the registry until the task ends. An outage is logged when it begins and when it is over.
    pub async fn follow(&self) {
        let mut poll = tokio::time::interval(REVISION_POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut lost = false;
        let mut looked = Instant::now();
        loop {
            poll.tick().await;
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                self.look().await;
            }
            if let Some(recorder) = metrics::recorder() {
                // Request times wait in memory until they are put into their buckets.
                recorder.run_upkeep();
            }
            let caught_up = self.catch_up().await;
            self.registry_up.store(caught_up.is_ok(), Ordering::Relaxed);
            match caught_up {
                Ok(()) if lost => {
                    lost = false;
                    tracing::info!("the registry can be read again");
                }
                Ok(()) => {}
                Err(error) if !lost => {
                    lost = true;
                    let hint = error.hint();
                    tracing::warn!(%error, hint, "the registry can't be read; serving goes on as last applied");
                }
                Err(_) => {}
            }
        }
    }

    /// Takes up the registry's current revision, where it is another one.
    ///
    /// # Errors
    /// Those of the registry.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let known = self.compiled.read().catalog.revision;
        if self.store.revision().await? == known {
            return Ok(());
        }
        let catalog = self.store.catalog().await?;
        tracing::info!(revision = catalog.revision, "the registry moved on");
        *self.compiled.write() = Compiled::new(catalog);
        self.look().await;
        Ok(())
    }

    /// A plan from the cache that still means the same.
    fn kept(&self, compiled: &Compiled, shape: &Shape) -> Option<Arc<Planned>> {
        self.holding(compiled.plans.read().get(shape)?)
    }

    /// A plan that still means the same.
    fn holding(&self, cached: &Cached) -> Option<Arc<Planned>> {
        let stale = cached.unsettled_since.is_some_and(|since| since.elapsed() >= UNSETTLED_PLAN_AGE_MAX);
        (!stale && !past_sunset(&cached.plan.online.plan, self.store.now())).then(|| cached.plan.clone())
    }
}

/// The views past their sunset that a service still reads.
fn past_their_sunset(catalog: &Catalog, now: Time) -> Vec<(String, String, Time)> {
    let joins = catalog.definitions.services.values().flat_map(|service| {
        service
            .joins
            .iter()
            .map(|join| (service.name.clone(), ViewId::new(&join.view, join.version.unwrap_or(1))))
    });
    joins
        .filter_map(|(service, id)| {
            let sunset = catalog.definitions.views.get(&id)?.sunset.filter(|sunset| *sunset <= now)?;
            Some((service, id.to_string(), sunset))
        })
        .collect()
}

impl Planned {
    /// A count of an answer to it, of nothing yet.
    pub fn tally(&self) -> Tally {
        self.served.tally()
    }

    /// Counts what was answered for so many entity rows.
    pub fn count(&self, rows: usize, tally: &Tally) {
        self.served.count(rows, tally);
    }
}

/// Whether a view of the plan is past its sunset: a plan outlives the check that was made when it was compiled.
fn past_sunset(plan: &RequestPlan, now: Time) -> bool {
    plan.past_sunset(now).is_some()
}

/// Whether nothing but a new revision can change what the plan means.
fn settled(catalog: &Catalog, wanted: &Wanted, plan: &RequestPlan) -> bool {
    let floating =
        matches!(wanted, Wanted::Features(features) if features.iter().any(|each| !each.contains('@')));
    let views = || catalog.definitions.views.keys();
    let newer = |id: &ViewId| views().any(|each| each.name == id.name && each.version > id.version);
    let complete = plan.joins.iter().all(|join| {
        let features = join.view.features.len();
        join.journal.is_active() && join.journal.answering(features) == features
    });
    let mut ids =
        plan.joins.iter().map(|join| &join.view.id).chain(plan.on_demand.steps.iter().map(|step| &step.view));
    complete && !(floating && ids.any(newer))
}

/// Compiles a request for nothing. A service without joins is what asks for nothing; no user can define one.
async fn probe(store: &Store) -> Result<OnlinePlan, StoreError> {
    let name = "__probe".to_owned();
    let mut catalog = Catalog::default();
    let service = Service { name: name.clone(), joins: Vec::new(), about: About::default() };
    catalog.definitions.services.insert(name.clone(), service);
    store.online_plan(&catalog, &Wanted::Service(name), &Naming::default()).await
}

fn nothing() -> GetRequest {
    GetRequest {
        entities: BTreeMap::new(),
        fields: BTreeMap::new(),
        rows: 0,
        now: None,
        include_expired: false,
        from_history: false,
    }
}
