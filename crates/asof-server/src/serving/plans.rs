//! Compiled plans of a catalog, found by the shape of a request or by its text.
//!
//! Plans belong to one catalog: when the registry moves on, both are replaced together.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, Instant};

use asof_model::plan::Catalog;
use asof_model::{Instant as Time, ViewId};
use asof_store::StoreError;
use asof_store::get::OnlinePlan;
use asof_store::request::{Naming, RequestPlan, Wanted};
use foldhash::fast::{FixedState, RandomState};
use parking_lot::RwLock;

use super::Serving;
use crate::json;
use crate::metrics::{Served, Tally};

/// The most request shapes whose plans are kept. Past it, one of them makes room and is compiled again when asked for.
pub const PLANS_MAX: usize = 1024;

/// The most plans that are compiled at a time.
const COMPILED_AT_ONCE: usize = 16;

/// The longest text of a request shape by which its plan is found, in bytes. Longer ones are read each time.
const SHAPE_TEXT_BYTES_MAX: usize = 64 << 10;

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

impl Compiled {
    pub(super) fn new(catalog: Catalog) -> Arc<Self> {
        let compiling = Default::default();
        Arc::new(Self { catalog, plans: RwLock::default(), texts: Default::default(), compiling })
    }
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

impl Serving {
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
