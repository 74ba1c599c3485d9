//! The joins of a request: which rows are looked up, by which columns.

use std::collections::{BTreeMap, BTreeSet};

use asof_model::name;
use asof_model::plan::Catalog;
use asof_model::spec::{Join, JoinKey, Selection, View};
use asof_model::{ValueType, ViewId};

use super::{Naming, PlannedJoin, RequestPlan, default_of, position_of};
use crate::on_demand::{Need, RequestColumn};
use crate::{Store, StoreError};

impl Store {
    /// The look-up of a view with rows of its own.
    ///
    /// # Errors
    /// [`StoreError::PastSunset`]; [`StoreError::UnknownFeature`]; [`StoreError::NotBackfilled`]; those of history.
    pub(super) async fn plan_join(
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
        Ok(PlannedJoin {
            keys: mapped_keys(catalog, &view, &join.keys, naming),
            defaults: asked.iter().map(|place| default_of(&view.features[*place])).collect(),
            asked,
            prefix: join.alias.clone().unwrap_or_else(|| id.name.clone()),
            table,
            journal,
            view,
        })
    }

    /// How many features of views answer, in order of addition.
    pub(super) async fn answering(
        &self,
        catalog: &Catalog,
        views: &BTreeSet<ViewId>,
    ) -> Result<BTreeMap<ViewId, usize>, StoreError> {
        let mut answering = BTreeMap::new();
        for id in views {
            let Some(view) = catalog.definitions.views.get(id) else { continue };
            let journal = self.view_journal(catalog, id).await?;
            answering.insert(id.clone(), view.answering(journal.answering(view.stored().len())));
        }
        Ok(answering)
    }

    /// The places of the join and of the feature that an input of what is computed is looked up by: of a join that is there
    /// for the same view and keys, else of a new one.
    pub(super) async fn join_of(
        &self,
        catalog: &Catalog,
        joins: &mut Vec<PlannedJoin>,
        need: &Need,
        naming: &Naming,
    ) -> Result<(usize, usize), StoreError> {
        let gone = || StoreError::Unknown { kind: "view", name: need.view.to_string(), hint: None };
        let view = catalog.definitions.views.get(&need.view).ok_or_else(gone)?;
        let keys = mapped_keys(catalog, view, &need.keys, naming);
        let feature = &view.features[need.feature];
        let same = |join: &PlannedJoin| join.view.id == need.view && join.keys == keys;
        let Some(place) = joins.iter().position(same) else {
            let join = Join {
                view: need.view.name.clone(),
                version: Some(need.view.version),
                pinned: true,
                features: Selection::Named(vec![feature.name.clone()]),
                alias: None,
                keys: need.keys.clone(),
            };
            joins.push(self.plan_join(catalog, &need.view, &join, naming).await?);
            return Ok((joins.len() - 1, 0));
        };
        let join = &mut joins[place];
        let asked = join.asked.iter().position(|asked| *asked == need.feature).unwrap_or(join.asked.len());
        if asked == join.asked.len() {
            join.asked.push(need.feature);
            join.defaults.push(default_of(feature));
        }
        Ok((place, asked))
    }
}

/// The join keys of a view, and for each the column of the request that carries it.
fn mapped_keys(
    catalog: &Catalog,
    view: &View,
    mapped: &BTreeMap<String, String>,
    naming: &Naming,
) -> Vec<(JoinKey, String)> {
    let column = |key: JoinKey| {
        let column =
            mapped.get(&key.name).or_else(|| naming.keys.get(&key.name)).unwrap_or(&key.name).clone();
        (key, column)
    };
    catalog.definitions.join_keys(view).into_iter().map(column).collect()
}

/// The columns that carry join keys, each once.
pub(super) fn key_columns(plan: &RequestPlan) -> Result<Vec<(String, ValueType)>, StoreError> {
    let mut columns: Vec<(String, ValueType)> = Vec::new();
    for (key, column) in plan.joins.iter().flat_map(|join| &join.keys) {
        match columns.iter().find(|(known, _)| known == column) {
            None => columns.push((column.clone(), key.value_type)),
            Some((_, known)) if *known == key.value_type => {}
            Some((_, known)) => {
                let message =
                    format!("column `{column}` is a join key of type {known} and of type {}", key.value_type);
                let hint = Some("map one of the views' keys to another column".to_owned());
                return Err(StoreError::Request { message, hint });
            }
        }
    }
    for RequestColumn { name, value_type, view } in &plan.on_demand.request {
        let key = columns.iter().find(|(column, of)| column == name && of != value_type);
        if let Some((column, known)) = key {
            let message = format!(
                "column `{column}` is a join key of type {known} and a request field of type {value_type} of view `{view}`"
            );
            let hint = Some("map the join key to another column".to_owned());
            return Err(StoreError::Request { message, hint });
        }
    }
    Ok(columns)
}

/// Refuses a key mapping that no view of the plan has a use for.
pub(super) fn check_mapped_keys(plan: &RequestPlan, naming: &Naming) -> Result<(), StoreError> {
    let known = || plan.joins.iter().flat_map(|join| &join.keys).map(|(key, _)| key.name.as_str());
    match naming.keys.keys().find(|mapped| !known().any(|key| key == *mapped)) {
        None => Ok(()),
        Some(mapped) => {
            let message = format!("no view of the request has a join key `{mapped}`");
            Err(StoreError::Request { message, hint: name::suggestion(mapped, known()) })
        }
    }
}

/// The places of named features, which must answer.
fn places(view: &View, names: &[String], answering: usize) -> Result<Vec<usize>, StoreError> {
    let mut places = Vec::with_capacity(names.len());
    for wanted in names {
        let place = position_of(view, wanted)?;
        if place >= answering {
            return Err(StoreError::NotBackfilled { view: view.id.clone(), feature: wanted.clone() });
        }
        places.push(place);
    }
    Ok(places)
}
