//! What a running server keeps: the catalog at the registry's current revision, and compiled plans for it.
//!
//! A request shape is compiled once and then found by its names (`plans`). Compiled plans belong to one catalog: when the
//! registry moves on, both are replaced together, so no plan ever meets a catalog that it was not made from. While
//! the registry can't be read, the last catalog stays in use. What goes on beside answering is in `upkeep`.

mod plans;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use asof_model::plan::Catalog;
use asof_model::spec::{About, Service};
use asof_model::{Instant as Time, ViewId};
use asof_store::answers::AnswerLog;
use asof_store::get::{Answer, GetRequest, OnlinePlan, OpenAnswer};
use asof_store::request::{Naming, Wanted};
use asof_store::{Store, StoreError};
use parking_lot::RwLock;
use tokio::sync::Notify;

pub(crate) use plans::{Compiled, Planned, Shape, ShapeText};
pub use plans::{PLANS_MAX, UNSETTLED_PLAN_AGE_MAX};
pub use upkeep::REVISION_POLL;

use crate::ServerError;
use crate::metrics;
use crate::past::{GetError, Past};
use crate::watch::Watch;
use crate::workers::Workers;

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

    /// Says that something was pushed.
    pub fn pushed(&self) {
        self.pushed.notify_one();
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
