//! What a running server keeps: the catalog at the registry's current revision, and compiled plans for it.
//!
//! A request shape is compiled once and then found by its names. Compiled plans belong to one catalog: when the
//! registry moves on, both are replaced together, so no plan ever meets a catalog that it was not made from. While
//! the registry can't be read, the last catalog stays in use.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use asof_model::plan::Catalog;
use asof_model::spec::{About, Service};
use asof_model::{Explain, Instant as Time};
use asof_store::answers::AnswerLog;
use asof_store::get::{Answer, GetRequest, OnlinePlan};
use asof_store::request::{Naming, RequestPlan, Wanted};
use asof_store::{Store, StoreError};
use parking_lot::RwLock;

use crate::ServerError;
use crate::workers::Workers;

/// How often the registry is asked whether it has moved on.
pub const REVISION_POLL: Duration = Duration::from_secs(1);

/// The most request shapes whose plans are kept. Past it, one of them makes room and is compiled again when asked for.
pub const PLANS_MAX: usize = 1024;

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

/// A catalog and the plans made from it.
pub(crate) struct Compiled {
    /// The definitions.
    pub catalog: Catalog,
    plans: RwLock<HashMap<Shape, Cached>>,
}

struct Cached {
    plan: Arc<OnlinePlan>,
    /// When an unsettled plan was made; `None` for one that holds as long as its catalog.
    unsettled_since: Option<Instant>,
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
}

impl Compiled {
    fn new(catalog: Catalog) -> Arc<Self> {
        Arc::new(Self { catalog, plans: RwLock::default() })
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
        let answers = store.answer_log();
        let compiled = RwLock::new(Compiled::new(catalog));
        Ok(Self { store, compiled, answers, unrecorded: AtomicBool::new(false), probe, workers })
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
    pub async fn plan(&self, shape: Shape) -> Result<(Arc<Compiled>, Arc<OnlinePlan>), StoreError> {
        let compiled = self.compiled.read().clone();
        if compiled.catalog.revision == 0 {
            return Err(StoreError::NothingApplied { project: self.project().to_owned() });
        }
        if let Some(plan) = self.kept(&compiled, &shape) {
            return Ok((compiled, plan));
        }
        let naming = Naming { full_names: shape.full_names, keys: BTreeMap::new() };
        let made = Instant::now();
        let plan = Arc::new(self.store.online_plan(&compiled.catalog, &shape.wanted, &naming).await?);
        let holds = settled(&compiled.catalog, &shape.wanted, &plan.plan);
        let cached = Cached { plan: plan.clone(), unsettled_since: (!holds).then_some(made) };
        let mut plans = compiled.plans.write();
        if plans.len() >= PLANS_MAX && !plans.contains_key(&shape) {
            let any = plans.keys().next().cloned();
            any.map(|shape| plans.remove(&shape));
        }
        plans.insert(shape, cached);
        drop(plans);
        Ok((compiled, plan))
    }

    /// Answers a request from the online store.
    ///
    /// # Errors
    /// As [`Store::get`]; [`StoreError::NowBehind`] for an instant that only history can answer.
    pub async fn get(
        &self,
        catalog: &Catalog,
        plan: &OnlinePlan,
        request: &GetRequest,
    ) -> Result<Answer, StoreError> {
        let answer = self.store.get(catalog, plan, request).await?;
        self.record(plan, request, &answer);
        Ok(answer)
    }

    /// Keeps the answer for `verify`, as far as the bounds of the record allow. The answer is as good without.
    fn record(&self, plan: &OnlinePlan, request: &GetRequest, answer: &Answer) {
        let failed = self.answers.record(self.store.now(), plan, request, answer).err();
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
        loop {
            poll.tick().await;
            match self.catch_up().await {
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
        Ok(())
    }

    /// A plan from the cache that still means the same.
    fn kept(&self, compiled: &Compiled, shape: &Shape) -> Option<Arc<OnlinePlan>> {
        let plans = compiled.plans.read();
        let cached = plans.get(shape)?;
        let stale = cached.unsettled_since.is_some_and(|since| since.elapsed() >= UNSETTLED_PLAN_AGE_MAX);
        (!stale && !past_sunset(&cached.plan.plan, self.store.now())).then(|| cached.plan.clone())
    }
}

/// Whether a view of the plan is past its sunset: a plan outlives the check that was made when it was compiled.
fn past_sunset(plan: &RequestPlan, now: Time) -> bool {
    plan.joins.iter().any(|join| join.view.sunset.is_some_and(|sunset| sunset <= now))
}

/// Whether nothing but a new revision can change what the plan means.
fn settled(catalog: &Catalog, wanted: &Wanted, plan: &RequestPlan) -> bool {
    let floating =
        matches!(wanted, Wanted::Features(features) if features.iter().any(|each| !each.contains('@')));
    plan.joins.iter().all(|join| {
        let features = join.view.features.len();
        let id = &join.view.id;
        let newer =
            catalog.definitions.views.keys().any(|each| each.name == id.name && each.version > id.version);
        let complete = join.journal.is_active() && join.journal.answering(features) == features;
        complete && !(floating && newer)
    })
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
    GetRequest { entities: BTreeMap::new(), rows: 0, now: None, include_expired: false, from_history: false }
}
