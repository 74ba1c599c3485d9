//! What is read of each view of a request, and how it is joined.

use std::collections::BTreeSet;
use std::sync::Arc;

use asof_engine::source::SourceFile;
use asof_model::plan::Catalog;
use asof_model::spec::{Feature, JoinKey};
use asof_model::{KnownAt, ValueType, ViewId};
use asof_training::TrainingError;
use asof_training::history::{HistorySource, TableFile, TableHistory};
use asof_training::join::{JoinSpec, Joined, Joins, Resources, ViewSpec};
use asof_training::windows::WindowView;

use super::instant;
use super::report::JoinReport;
use crate::in_place::{self, InPlace};
use crate::request::{PlannedJoin, RequestPlan, rule};
use crate::windows::windows;
use crate::{Store, StoreError};

/// What is asked beyond the plan.
pub(crate) struct Asked {
    pub known_at: KnownAt,
    pub include_expired: bool,
    pub statuses: bool,
    pub events: bool,
    /// The label column with the times.
    pub time: String,
    /// The label column with the instants of knowledge.
    pub known: Option<String>,
    /// The label columns that are read to compute.
    pub request: Vec<(String, ValueType)>,
    pub resources: Resources,
}

/// A join of the views of a plan.
pub(crate) struct Histories {
    pub spec: JoinSpec,
    /// For each join of the plan the view, and where its rows come from.
    origins: Vec<Origin>,
}

struct Origin {
    view: ViewId,
    from: From,
}

/// A source that is read in place, and the views over it that are asked for.
type SourceOfViews = (Arc<InPlace>, Vec<ViewId>);

enum From {
    /// The version of its table.
    Table(Option<u64>),
    /// A source, and the place of the view among those over it.
    InPlace(Arc<InPlace>, usize),
}

impl Store {
    /// Lists what is read of each view of a plan. Tables and sources are pinned to what they are now.
    ///
    /// # Errors
    /// Those of history and of listing sources; [`StoreError::HistoryLost`].
    pub(crate) async fn histories(
        &self,
        catalog: &Catalog,
        plan: &RequestPlan,
        asked: Asked,
    ) -> Result<Histories, StoreError> {
        let mut spec = JoinSpec {
            histories: Vec::new(),
            keys: Vec::new(),
            views: Vec::new(),
            windows: Vec::new(),
            order: Vec::new(),
            time: asked.time,
            known: asked.known,
            request: asked.request,
            statuses: asked.statuses,
            events: asked.events,
            resources: asked.resources,
        };
        let mut origins: Vec<Origin> = Vec::new();
        let in_place = self.sources_in_place(catalog, plan)?;
        for join in &plan.joins {
            let keys: Vec<(String, ValueType)> =
                join.keys.iter().map(|(key, column)| (column.clone(), key.value_type)).collect();
            let keys = place_of(&mut spec.keys, keys);
            if join.view.aggregates() {
                let (view, from) = self.window_view(catalog, join, keys, asked.known_at).await?;
                spec.order.push(Joins::Windows(spec.windows.len()));
                spec.windows.push(view);
                origins.push(Origin { view: join.view.id.clone(), from });
                continue;
            }
            let before = origins.iter().position(|origin| origin.view == join.view.id);
            let before = before.and_then(|place| match spec.order.get(place)? {
                Joins::Values(of) => spec.views.get(*of).zip(origins.get(place)),
                Joins::Windows(_) => None,
            });
            let (history, view, from) = match before {
                Some((before, origin)) => (before.history, before.view, origin.from.again()),
                None if join.view.in_place => {
                    let (source, view) = in_place
                        .iter()
                        .find_map(|(source, views)| {
                            Some((source, views.iter().position(|id| *id == join.view.id)?))
                        })
                        .ok_or_else(|| StoreError::Corrupt(format!("`{}` has no source", join.view.id)))?;
                    let known =
                        origins.iter().zip(&spec.order).find_map(|(origin, of)| match (&origin.from, of) {
                            (From::InPlace(known, _), Joins::Values(of)) if Arc::ptr_eq(known, source) => {
                                Some(spec.views[*of].history)
                            }
                            _ => None,
                        });
                    let history = known.unwrap_or_else(|| {
                        spec.histories.push(source.history());
                        spec.histories.len() - 1
                    });
                    (history, view, From::InPlace(source.clone(), view))
                }
                None => {
                    let (table, version) = self.table_history(catalog, join).await?;
                    spec.histories.push(Arc::new(table));
                    (spec.histories.len() - 1, 0, From::Table(version))
                }
            };
            let units = match join.view.in_place {
                true => in_place::units(join.view.features.len()),
                false => join.journal.units.clone(),
            };
            spec.order.push(Joins::Values(spec.views.len()));
            spec.views.push(ViewSpec {
                history,
                view,
                keys,
                rule: rule(&join.view, asked.known_at, asked.include_expired),
                features: join.view.features.clone(),
                asked: join.asked.clone(),
                units,
                compares: !join.view.in_place,
            });
            origins.push(Origin { view: join.view.id.clone(), from });
        }
        Ok(Histories { spec, origins })
    }

    /// A view of events, and where they come from.
    async fn window_view(
        &self,
        catalog: &Catalog,
        join: &PlannedJoin,
        keys: usize,
        known_at: KnownAt,
    ) -> Result<(WindowView, From), StoreError> {
        let (view, source) = (&join.view, catalog.definitions.sources.get(&join.view.source));
        let windows = windows(view, source, &join.asked)?;
        let stored = view.stored();
        let (history, from, units): (SharedHistory, From, _) = match (view.in_place, source) {
            (true, Some(source)) => {
                let views = [(catalog.definitions.join_keys(view), stored.to_vec())];
                let in_place = Arc::new(self.in_place(catalog, &view.reads(source), &views)?);
                (in_place.history(), From::InPlace(in_place, 0), in_place::units(stored.len()))
            }
            (true, None) => return Err(StoreError::Corrupt(format!("`{}` has no source", view.id))),
            (false, _) => {
                let (table, version) = self.table_history(catalog, join).await?;
                (Arc::new(table), From::Table(version), join.journal.units.clone())
            }
        };
        let view = WindowView {
            history,
            keys,
            inputs: windows.inputs.iter().map(|place| (*place, stored[*place].clone())).collect(),
            identity: windows.identity,
            closing: windows.closing,
            features: join.asked.iter().map(|place| view.features[*place].clone()).collect(),
            known_at,
            units,
            compares: !view.in_place,
        };
        Ok((view, from))
    }

    /// The sources that views of a plan read in place, each once, with these views.
    fn sources_in_place(
        &self,
        catalog: &Catalog,
        plan: &RequestPlan,
    ) -> Result<Vec<SourceOfViews>, StoreError> {
        let mut found: Vec<(String, Vec<&PlannedJoin>)> = Vec::new();
        let in_place = |join: &&PlannedJoin| join.view.in_place && !join.view.aggregates();
        for join in plan.joins.iter().filter(in_place) {
            let place =
                found.iter().position(|(source, _)| *source == join.view.source).unwrap_or(found.len());
            match found.get_mut(place) {
                None => found.push((join.view.source.clone(), vec![join])),
                Some((_, joins)) if joins.iter().all(|known| known.view.id != join.view.id) => {
                    joins.push(join)
                }
                Some(_) => {}
            }
        }
        let open = |(source, joins): (String, Vec<&PlannedJoin>)| {
            let views: Vec<(Vec<JoinKey>, Vec<Feature>)> = joins
                .iter()
                .map(|join| (catalog.definitions.join_keys(&join.view), join.view.features.clone()))
                .collect();
            let ids = joins.iter().map(|join| join.view.id.clone()).collect();
            let known = catalog.definitions.sources.get(&source);
            let known =
                known.ok_or_else(|| StoreError::Corrupt(format!("the registry has no source `{source}`")))?;
            Ok((Arc::new(self.in_place(catalog, known, &views)?), ids))
        };
        found.into_iter().map(open).collect()
    }

    /// The history of a view, and the version of its table.
    async fn table_history(
        &self,
        catalog: &Catalog,
        join: &PlannedJoin,
    ) -> Result<(TableHistory, Option<u64>), StoreError> {
        let mut history = TableHistory {
            what: format!("view `{}`", join.view.id),
            keys: catalog.definitions.join_keys(&join.view),
            features: join.view.stored().into_owned(),
            units: join.journal.units.clone(),
            cut: None,
            files: Vec::new(),
        };
        if join.journal.units.is_empty() {
            return Ok((history, None));
        }
        let published = &join.journal.row_units;
        let lost = |missing: usize| StoreError::HistoryLost {
            view: join.view.id.clone(),
            missing,
            units: published.len(),
            path: self.project().history_path().join(&join.table),
        };
        let Some(table) = self.offline().await?.existing_table(&join.table).await? else {
            return Err(lost(published.len()));
        };
        let files = table.files()?;
        let there: BTreeSet<&str> =
            files.iter().flat_map(|file| file.units.iter().map(String::as_str)).collect();
        let missing = published.keys().filter(|unit| !there.contains(unit.as_str())).count();
        if missing > 0 {
            return Err(lost(missing));
        }
        history.cut = table.cut()?.map(|cut| cut.micros());
        history.files = files
            .iter()
            .map(|file| TableFile {
                file: SourceFile::data_file(&table.path_of(file), file.size),
                units: file.units.clone(),
                event_min: file.event_from().micros(),
                event_max: file.event_until().micros(),
                rows: file.rows,
            })
            .collect();
        Ok((history, Some(table.version())))
    }
}

/// The place of a thing in a list that holds each once.
fn place_of<T: PartialEq>(all: &mut Vec<T>, thing: T) -> usize {
    all.iter().position(|known| *known == thing).unwrap_or_else(|| {
        all.push(thing);
        all.len() - 1
    })
}

impl From {
    fn again(&self) -> Self {
        match self {
            Self::Table(version) => Self::Table(*version),
            Self::InPlace(source, view) => Self::InPlace(source.clone(), *view),
        }
    }
}

impl Histories {
    /// How each join of the plan came out.
    pub fn reports(&self, plan: &RequestPlan, joined: &Joined<'_>) -> Vec<JoinReport> {
        let report = |(place, join): (usize, &PlannedJoin)| {
            let (in_place, version) = match &self.origins[place].from {
                From::Table(version) => (None, *version),
                From::InPlace(source, view) => (Some(source.read(*view)), None),
            };
            JoinReport {
                view: join.view.id.to_string(),
                prefix: join.prefix.clone(),
                history_rows: joined.rows_read(place),
                history_version: version,
                in_place,
                labels: joined.report(place),
                ttl: join.view.ttl.map(|ttl| ttl.to_string()),
                complete: join.journal.is_active() || join.view.in_place,
                first_visible: first_visible(join),
                last_label: joined.last_label().map(|label| instant(label).to_string()),
            }
        };
        plan.joins.iter().enumerate().map(report).collect()
    }

    /// An error of a join in the words of the store.
    pub fn explain(&self, error: TrainingError) -> StoreError {
        match error {
            TrainingError::HistoryCut { history, cut, label } => {
                let what = |joins: &Joins| match *joins {
                    Joins::Values(view) => self.spec.histories[self.spec.views[view].history].what(),
                    Joins::Windows(view) => self.spec.windows[view].history.what(),
                };
                let of = self.spec.order.iter().position(|joins| what(joins) == history);
                match of.and_then(|place| self.origins.get(place)) {
                    Some(origin) => {
                        let (cut, label) = (instant(cut), instant(label));
                        StoreError::HistoryCut { view: origin.view.clone(), cut, label }
                    }
                    None => StoreError::Corrupt(format!("{history} is cut")),
                }
            }
            error => error.into(),
        }
    }
}

fn first_visible(join: &PlannedJoin) -> Option<String> {
    let units = &join.journal.units;
    let first = (0..units.len()).map(|number| units.facts(number as u32).visible).min();
    first.map(|at| at.to_string())
}

/// Where rows of a view come from, for a join.
pub(crate) type SharedHistory = Arc<dyn HistorySource>;
