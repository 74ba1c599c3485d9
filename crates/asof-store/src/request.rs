//! What a request means: which rows to look up, which features to answer, and what their columns are called.
//!
//! A request is compiled once into a [`RequestPlan`]; training and serving use the same one. `joins` says which rows are
//! looked up, by which columns.

mod joins;

use std::collections::{BTreeMap, HashMap};

use asof_model::name::{self, ViewRef};
use asof_model::plan::Catalog;
use asof_model::spec::{Feature, Join, JoinKey, Selection, View};
use asof_model::{Instant, Value, ValueType, ViewId, Zone, entry};
use serde::{Deserialize, Serialize};

use crate::journal::ViewJournal;
use crate::materialize::view_ref;
use crate::on_demand::{Compiling, OnDemandPlan, RequestColumn};
use crate::{InPlaceWant, Store, StoreError, catalog};
use joins::{check_mapped_keys, key_columns};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// The features of a service.
    Service(String),
    /// Features as `view:feature`, `view@2:feature` or `view:*`.
    Features(Vec<String>),
}

/// A compiled request.
#[derive(Debug, Clone)]
pub struct RequestPlan {
    /// The views to look up: those asked for, and behind them those that only features on demand read.
    pub joins: Vec<PlannedJoin>,
    /// The answer's feature columns, in request order.
    pub columns: Vec<PlannedColumn>,
    /// The columns that carry join keys, each once, with their types.
    pub key_columns: Vec<(String, ValueType)>,
    /// What is computed, and the request columns that it reads.
    pub on_demand: OnDemandPlan,
}

/// One view, looked up by one choice of key columns.
#[derive(Debug, Clone)]
pub struct PlannedJoin {
    /// The view.
    pub view: View,
    /// The name of its stored rows.
    pub table: String,
    /// Its join keys, and for each the column of the request that carries it.
    pub keys: Vec<(JoinKey, String)>,
    /// The features asked for, and behind them those that only features on demand read: places in the view's order of
    /// addition.
    pub asked: Vec<usize>,
    /// For each of `asked` the default, if the feature has one.
    pub defaults: Vec<Option<Value>>,
    /// The prefix in full names.
    pub prefix: String,
    /// The view's journal, as of when the plan was made.
    pub journal: ViewJournal,
}

/// One column of the answer.
#[derive(Debug, Clone)]
pub struct PlannedColumn {
    /// Its name in the answer.
    pub name: String,
    /// The prefix in full names.
    pub prefix: String,
    /// Where its values come from.
    pub origin: Origin,
}

/// Where the values of a column come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A feature of a view with rows of its own.
    Stored {
        /// The place of its join in [`RequestPlan::joins`].
        join: usize,
        /// The place of its feature in [`PlannedJoin::asked`].
        feature: usize,
    },
    /// A feature that is computed on demand.
    Computed {
        /// The place of its step in [`OnDemandPlan::steps`].
        step: usize,
    },
}

/// How a request's columns are named and where its keys come from.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// Whether features are called `view__feature` or `alias__feature`.
    pub full_names: bool,
    /// Join key to column, for views whose service does not say.
    pub keys: BTreeMap<String, String>,
}

impl PlannedColumn {
    /// The places of its join and of its feature among those asked of it. `None`: it is computed on demand.
    pub fn stored(&self) -> Option<(usize, usize)> {
        match self.origin {
            Origin::Stored { join, feature } => Some((join, feature)),
            Origin::Computed { .. } => None,
        }
    }
}

impl RequestPlan {
    /// The feature behind a column.
    pub fn feature(&self, column: &PlannedColumn) -> &Feature {
        match column.origin {
            Origin::Stored { join, feature } => {
                let join = &self.joins[join];
                &join.view.features[join.asked[feature]]
            }
            Origin::Computed { step } => &self.on_demand.steps[step].feature,
        }
    }

    /// The view of a column's feature.
    pub fn view(&self, column: &PlannedColumn) -> &ViewId {
        match column.origin {
            Origin::Stored { join, .. } => &self.joins[join].view.id,
            Origin::Computed { step } => &self.on_demand.steps[step].view,
        }
    }

    /// Where a column comes from, in words.
    pub fn origin(&self, column: &PlannedColumn) -> String {
        let (view, prefix) = (self.view(column), &column.prefix);
        let alias = if *prefix == view.name { String::new() } else { format!(" as `{prefix}`") };
        format!("feature `{}` of view `{view}`{alias}", self.feature(column).name)
    }

    /// The first view of the plan that is past its sunset at `now`.
    pub fn past_sunset(&self, now: Instant) -> Option<&ViewId> {
        let joins = self.joins.iter().map(|join| (&join.view.id, join.view.sunset));
        let steps = self.on_demand.steps.iter().map(|step| (&step.view, step.sunset));
        let mut past = joins.chain(steps).filter(|(_, sunset)| sunset.is_some_and(|sunset| sunset <= now));
        past.next().map(|(view, _)| view)
    }

    /// Refuses a request that lacks a column which features on demand read. `known`: the columns that it has; null is a
    /// value of a column.
    ///
    /// # Errors
    /// [`StoreError::MissingField`] names the column and a view that reads it.
    pub fn check_request_columns<'k>(
        &self,
        known: impl Iterator<Item = &'k str> + Clone,
    ) -> Result<(), StoreError> {
        let lacks = |column: &&RequestColumn| !known.clone().any(|known| known == column.name);
        let Some(RequestColumn { name: field, view, .. }) = self.on_demand.request.iter().find(lacks) else {
            return Ok(());
        };
        let hint = match name::nearest(field, known.clone()) {
            Some(near) => format!("there is `{near}`; call it `{field}`"),
            None => format!("give `{field}` in every row; null is allowed"),
        };
        Err(StoreError::MissingField { field: field.clone(), view: view.clone(), hint: Some(hint) })
    }

    /// Refuses names that appear twice.
    ///
    /// # Errors
    /// [`StoreError::SameName`].
    pub fn check_names(&self) -> Result<(), StoreError> {
        let mut seen: HashMap<&str, &PlannedColumn> = HashMap::new();
        for column in &self.columns {
            if let Some(first) = seen.insert(&column.name, column) {
                return Err(StoreError::SameName {
                    name: column.name.clone(),
                    first: self.origin(first),
                    second: self.origin(column),
                });
            }
        }
        Ok(())
    }

    /// Refuses a view that reads its source in place.
    ///
    /// # Errors
    /// [`StoreError::InPlace`].
    pub fn refuse_in_place(&self, wanted: InPlaceWant) -> Result<(), StoreError> {
        match self.joins.iter().find(|join| join.view.in_place) {
            None => Ok(()),
            Some(join) => Err(StoreError::InPlace { view: join.view.id.clone(), wanted }),
        }
    }
}

impl Store {
    /// Compiles a request.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] and [`StoreError::UnknownFeature`] with the nearest name; [`StoreError::Request`];
    /// [`StoreError::NotBackfilled`]; [`StoreError::PastSunset`]; those of registry and history.
    pub async fn request(
        &self,
        catalog: &Catalog,
        wanted: &Wanted,
        naming: &Naming,
    ) -> Result<RequestPlan, StoreError> {
        let (items, turns) = match wanted {
            Wanted::Service(name) => (service_joins(catalog, name)?, Vec::new()),
            Wanted::Features(features) => self.feature_joins(catalog, features).await?,
        };
        let mut plan = RequestPlan {
            joins: Vec::new(),
            columns: Vec::new(),
            key_columns: Vec::new(),
            on_demand: OnDemandPlan::default(),
        };
        // Each column with the item that it comes from, and its place there.
        let mut columns: Vec<(usize, usize, PlannedColumn)> = Vec::new();
        let mut compiling = Compiling::new(catalog, self.now());
        for (item, (id, join)) in items.iter().enumerate() {
            let prefix = join.alias.clone().unwrap_or_else(|| id.name.clone());
            let mut add = |place: usize, feature: &str, origin: Origin| {
                let name =
                    if naming.full_names { format!("{prefix}__{feature}") } else { feature.to_owned() };
                columns.push((item, place, PlannedColumn { name, prefix: prefix.clone(), origin }));
            };
            let gone = || StoreError::Unknown { kind: "view", name: id.to_string(), hint: None };
            let view = catalog.definitions.views.get(id).ok_or_else(gone)?;
            if view.is_on_demand() {
                let answering = self.answering(catalog, &compiling.stored_inputs(view)?).await?;
                let selected = compiling.selected(view, &join.features, &answering)?;
                for (place, feature) in selected.into_iter().enumerate() {
                    let step = compiling.step(id, feature, &join.keys)?;
                    add(place, &view.features[feature].name, Origin::Computed { step });
                }
                continue;
            }
            let planned = self.plan_join(catalog, id, join, naming).await?;
            for (feature, asked) in planned.asked.iter().enumerate() {
                let origin = Origin::Stored { join: plan.joins.len(), feature };
                add(feature, &planned.view.features[*asked].name, origin);
            }
            plan.joins.push(planned);
        }
        let needs;
        (plan.on_demand, needs) = compiling.finish();
        for (place, need) in needs.iter().enumerate() {
            let (join, feature) = self.join_of(catalog, &mut plan.joins, need, naming).await?;
            (plan.on_demand.inputs[place].join, plan.on_demand.inputs[place].feature) = (join, feature);
        }
        columns.sort_by_key(|(item, place, _)| turn(&turns, *item, *place));
        plan.columns = columns.into_iter().map(|(.., column)| column).collect();
        plan.key_columns = key_columns(&plan)?;
        check_mapped_keys(&plan, naming)?;
        Ok(plan)
    }

    /// Joins for a list of features, and for each feature the place of its join. Features of one view share a join.
    async fn feature_joins(
        &self,
        catalog: &Catalog,
        features: &[String],
    ) -> Result<(Vec<(ViewId, Join)>, Vec<usize>), StoreError> {
        if features.is_empty() {
            let hint = Some("name features as `view:feature`, or a service".to_owned());
            return Err(StoreError::Request { message: "the request names no feature".to_owned(), hint });
        }
        let mut joins: Vec<(ViewId, Join)> = Vec::new();
        let mut turns = Vec::with_capacity(features.len());
        for text in features {
            let (view, feature) = text.split_once(':').ok_or_else(|| StoreError::Request {
                message: format!("`{text}` is not a feature of a view"),
                hint: Some("write `view:feature`, or `view:*` for all of them".to_owned()),
            })?;
            let id = self.newest_active(catalog, &view_ref(view)?).await?;
            let selection = match feature {
                "*" => Selection::All,
                name => Selection::Named(vec![name.to_owned()]),
            };
            turns.push(joins.iter().position(|(known, _)| *known == id).unwrap_or(joins.len()));
            match joins.iter_mut().find(|(known, _)| *known == id) {
                Some((_, Join { features: Selection::Named(known), .. }))
                    if known.iter().any(|each| each == feature) =>
                {
                    let message = format!("`{text}` is asked for twice");
                    return Err(StoreError::Request { message, hint: Some("ask for it once".to_owned()) });
                }
                Some((_, Join { features: Selection::Named(known), .. })) if feature != "*" => {
                    known.push(feature.to_owned());
                }
                Some(_) => {
                    let message = format!("`{view}:*` and a feature of `{view}` are asked for together");
                    return Err(StoreError::Request {
                        message,
                        hint: Some("ask for one of them".to_owned()),
                    });
                }
                None => joins.push((
                    id.clone(),
                    Join {
                        view: id.name.clone(),
                        version: Some(id.version),
                        pinned: true,
                        features: selection,
                        alias: None,
                        keys: BTreeMap::new(),
                    },
                )),
            }
        }
        Ok((joins, turns))
    }

    /// The version that a name means now: the one written, or the newest whose data is complete.
    pub(crate) async fn newest_active(
        &self,
        catalog: &Catalog,
        wanted: &ViewRef,
    ) -> Result<ViewId, StoreError> {
        let mut active = Vec::new();
        let versions = catalog.definitions.views.keys().filter(|id| id.name == wanted.name);
        let several = wanted.version.is_none() && versions.clone().count() > 1;
        for id in versions.filter(|_| several) {
            if self.is_active(catalog, id).await? {
                active.push(id.clone());
            }
        }
        Ok(catalog::find_view(catalog, wanted, |id| active.contains(id))?.id.clone())
    }
}

/// When a column is asked for: the place, among the items in the order of the features asked, that is its own. Columns
/// of one `*` share a place, and a service's columns all do: they stand in the order of its items already. `place`: that of
/// the column among those of its item.
fn turn(turns: &[usize], item: usize, place: usize) -> Option<usize> {
    let mut of_item = turns.iter().enumerate().filter(|(_, of)| **of == item).map(|(turn, _)| turn);
    let first = of_item.next();
    if place == 0 { first } else { of_item.nth(place - 1).or(first) }
}

/// What replaces the value of a feature in every state but PRESENT. The text was made from a value of its type when the
/// definition was read.
pub(crate) fn default_of(feature: &Feature) -> Option<Value> {
    let text = feature.default.as_ref()?;
    entry::from_text(text, feature.value_type, &Zone::utc()).ok()
}

/// The place of a feature of that name.
///
/// # Errors
/// [`StoreError::UnknownFeature`] with the nearest name.
pub(crate) fn position_of(view: &View, wanted: &str) -> Result<usize, StoreError> {
    let found = view.features.iter().position(|feature| feature.name == *wanted);
    found.ok_or_else(|| StoreError::UnknownFeature {
        view: view.id.clone(),
        feature: wanted.to_owned(),
        hint: name::suggestion(wanted, view.features.iter().map(|feature| feature.name.as_str())),
    })
}

fn service_joins(catalog: &Catalog, wanted: &str) -> Result<Vec<(ViewId, Join)>, StoreError> {
    let services = &catalog.definitions.services;
    let service = services.get(wanted).ok_or_else(|| StoreError::Unknown {
        kind: "service",
        name: wanted.to_owned(),
        hint: name::suggestion(wanted, services.keys().map(String::as_str)),
    })?;
    let join = |join: &Join| {
        let version = join.version.ok_or_else(|| {
            StoreError::Corrupt(format!("service `{wanted}` records no version of view `{}`", join.view))
        })?;
        Ok((ViewId::new(join.view.clone(), version), join.clone()))
    };
    service.joins.iter().map(join).collect()
}

/// The rule by which a view's values are chosen.
pub(crate) fn rule(view: &View, known_at: asof_model::KnownAt, include_expired: bool) -> asof_model::Rule {
    asof_model::Rule { known_at, ttl: view.ttl, keep: view.keep, include_expired }
}
