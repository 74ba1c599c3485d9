//! What a request means: which rows to look up, which features to answer, and what their columns are called.
//!
//! A request is compiled once into a [`RequestPlan`]; training and serving use the same one.

use std::collections::{BTreeMap, HashMap};

use asof_model::name::{self, ViewRef};
use asof_model::plan::Catalog;
use asof_model::spec::{Feature, Join, JoinKey, Selection, View};
use asof_model::{Value, ValueType, ViewId, Zone, entry};
use serde::{Deserialize, Serialize};

use crate::journal::ViewJournal;
use crate::materialize::view_ref;
use crate::{InPlaceWant, Store, StoreError, catalog};

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
    /// The views to look up.
    pub joins: Vec<PlannedJoin>,
    /// The answer's feature columns, in request order.
    pub columns: Vec<PlannedColumn>,
    /// The columns that carry join keys, each once, with their types.
    pub key_columns: Vec<(String, ValueType)>,
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
    /// The features asked for: places in the view's order of addition.
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
    /// The place of its join in [`RequestPlan::joins`].
    pub join: usize,
    /// The place of its feature in [`PlannedJoin::asked`].
    pub feature: usize,
}

/// How a request's columns are named and where its keys come from.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    /// Whether features are called `view__feature` or `alias__feature`.
    pub full_names: bool,
    /// Join key to column, for views whose service does not say.
    pub keys: BTreeMap<String, String>,
}

impl RequestPlan {
    /// The feature behind a column.
    pub fn feature(&self, column: &PlannedColumn) -> &Feature {
        let join = &self.joins[column.join];
        &join.view.features[join.asked[column.feature]]
    }

    /// Where a column comes from, in words.
    pub fn origin(&self, column: &PlannedColumn) -> String {
        let join = &self.joins[column.join];
        let alias =
            if join.prefix == join.view.id.name { String::new() } else { format!(" as `{}`", join.prefix) };
        format!("feature `{}` of view `{}`{alias}", self.feature(column).name, join.view.id)
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
        let (joins, turns) = match wanted {
            Wanted::Service(name) => (service_joins(catalog, name)?, Vec::new()),
            Wanted::Features(features) => self.feature_joins(catalog, features).await?,
        };
        let mut plan = RequestPlan { joins: Vec::new(), columns: Vec::new(), key_columns: Vec::new() };
        for (id, join) in joins {
            let planned = self.plan_join(catalog, &id, &join, naming).await?;
            for (column, value_type) in planned.keys.iter().map(|(key, column)| (column, key.value_type)) {
                match plan.key_columns.iter().find(|(known, _)| known == column) {
                    None => plan.key_columns.push((column.clone(), value_type)),
                    Some((_, known)) if *known == value_type => {}
                    Some((_, known)) => {
                        let message = format!(
                            "column `{column}` is a join key of type {known} and of type {value_type}"
                        );
                        let hint = Some("map one of the views' keys to another column".to_owned());
                        return Err(StoreError::Request { message, hint });
                    }
                }
            }
            let place = plan.joins.len();
            for feature in 0..planned.asked.len() {
                let short = &planned.view.features[planned.asked[feature]].name;
                let name =
                    if naming.full_names { format!("{}__{short}", planned.prefix) } else { short.clone() };
                plan.columns.push(PlannedColumn { name, join: place, feature });
            }
            plan.joins.push(planned);
        }
        plan.columns.sort_by_key(|column| turn(&turns, column));
        check_mapped_keys(&plan, naming)?;
        Ok(plan)
    }

    async fn plan_join(
        &self,
        catalog: &Catalog,
        id: &ViewId,
        join: &Join,
        naming: &Naming,
    ) -> Result<PlannedJoin, StoreError> {
        let gone = || StoreError::Unknown { kind: "view", name: id.to_string(), hint: None };
        let view = catalog.definitions.views.get(id).ok_or_else(gone)?.clone();
        let table = catalog.table_name(id).ok_or_else(gone)?;
        if let Some(sunset) = view.sunset.filter(|sunset| *sunset <= self.now()) {
            return Err(StoreError::PastSunset { view: id.clone(), sunset });
        }
        let journal = self.view_journal(catalog, id).await?;
        let answering = view.answering(journal.answering(view.stored().len()));
        let asked = match &join.features {
            Selection::All => (0..answering).collect(),
            Selection::Named(names) => places(&view, names, answering)?,
        };
        let keys = catalog.definitions.join_keys(&view).into_iter().map(|key| {
            let column =
                join.keys.get(&key.name).or_else(|| naming.keys.get(&key.name)).unwrap_or(&key.name).clone();
            (key, column)
        });
        let default = |place: &usize| {
            let feature = &view.features[*place];
            feature
                .default
                .as_ref()
                .and_then(|text| entry::from_text(text, feature.value_type, &Zone::utc()).ok())
        };
        Ok(PlannedJoin {
            keys: keys.collect(),
            defaults: asked.iter().map(default).collect(),
            asked,
            prefix: join.alias.clone().unwrap_or_else(|| id.name.clone()),
            table,
            journal,
            view,
        })
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
            if self.view_journal(catalog, id).await?.is_active() {
                active.push(id.clone());
            }
        }
        Ok(catalog::find_view(catalog, wanted, |id| active.contains(id))?.id.clone())
    }
}

/// When a column is asked for: the place, among the joins in the order of the features asked, that is its own. Columns
/// of one `*` share a place, and a service's columns all do: they stand in the order of its joins already.
fn turn(turns: &[usize], column: &PlannedColumn) -> Option<usize> {
    let mut of_join =
        turns.iter().enumerate().filter(|(_, join)| **join == column.join).map(|(place, _)| place);
    let first = of_join.next();
    if column.feature == 0 { first } else { of_join.nth(column.feature - 1).or(first) }
}

/// Refuses a key mapping that no view of the plan has a use for.
fn check_mapped_keys(plan: &RequestPlan, naming: &Naming) -> Result<(), StoreError> {
    let known = || plan.joins.iter().flat_map(|join| &join.keys).map(|(key, _)| key.name.as_str());
    match naming.keys.keys().find(|mapped| !known().any(|key| key == *mapped)) {
        None => Ok(()),
        Some(mapped) => {
            let message = format!("no view of the request has a join key `{mapped}`");
            Err(StoreError::Request { message, hint: name::suggestion(mapped, known()) })
        }
    }
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

/// The places of named features, which must answer.
fn places(view: &View, names: &[String], answering: usize) -> Result<Vec<usize>, StoreError> {
    let mut places = Vec::with_capacity(names.len());
    for wanted in names {
        let found = view.features.iter().position(|feature| feature.name == *wanted);
        let place = found.ok_or_else(|| StoreError::UnknownFeature {
            view: view.id.clone(),
            feature: wanted.clone(),
            hint: name::suggestion(wanted, view.features.iter().map(|feature| feature.name.as_str())),
        })?;
        if place >= answering {
            return Err(StoreError::NotBackfilled { view: view.id.clone(), feature: wanted.clone() });
        }
        places.push(place);
    }
    Ok(places)
}

/// The rule by which a view's values are chosen.
pub(crate) fn rule(view: &View, known_at: asof_model::KnownAt, include_expired: bool) -> asof_model::Rule {
    asof_model::Rule { known_at, ttl: view.ttl, keep: view.keep, include_expired }
}
