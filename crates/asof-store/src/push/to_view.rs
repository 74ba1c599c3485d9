//! Rows that are written to one view, by the names of its own features: they take the way of a push to its source, and no
//! other view over the source sees them. So a row need not hold what the others read.

use asof_model::name;
use asof_model::plan::Catalog;
use asof_model::spec::{Source, View};
use asof_model::{ValueType, ViewId};

use super::{PushReport, ToAdmit, pushed_source};
use crate::materialize::view_ref;
use crate::{InPlaceWant, Store, StoreError};

/// How a view that rows can be written to calls its columns, and its source calls them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewColumns {
    /// The view.
    pub view: ViewId,
    /// Its source.
    pub source: String,
    /// The column of the event instant, in the source.
    pub event: String,
    /// The column of the created instant, in the source, which may name none.
    pub created: Option<String>,
    /// Join keys, then features.
    pub columns: Vec<ViewColumn>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewColumn {
    /// What the view calls it.
    pub name: String,
    /// What the source calls it.
    pub in_source: String,
    /// Its type.
    pub value_type: ValueType,
    /// Whether it is a join key.
    pub key: bool,
}

impl Store {
    /// The columns of a view, for whoever writes rows to it. A name without version means the one that answers now.
    ///
    /// # Errors
    /// [`StoreError::Unknown`]; [`StoreError::InPlace`]; [`StoreError::Request`] for a view whose rows are computed, which takes
    /// what they are computed from.
    pub async fn view_columns(&self, catalog: &Catalog, wanted: &str) -> Result<ViewColumns, StoreError> {
        let id = self.newest_active(catalog, &view_ref(wanted)?).await?;
        let (view, source) = written(catalog, &id)?;
        let column = |(name, value_type, key): (&str, ValueType, bool)| ViewColumn {
            name: name.to_owned(),
            in_source: source.column_of(name).to_owned(),
            value_type,
            key,
        };
        let keys = catalog.definitions.join_keys(view);
        let keys = keys.iter().map(|key| (key.name.as_str(), key.value_type, true));
        let features = view.features.iter().map(|feature| (feature.name.as_str(), feature.value_type, false));
        Ok(ViewColumns {
            source: source.name.clone(),
            event: source.column_of(&source.event).to_owned(),
            created: source.created.as_deref().map(|created| source.column_of(created).to_owned()),
            columns: keys.chain(features).map(column).collect(),
            view: id,
        })
    }

    /// Admits rows for one view, all of them or none: when it returns with none rejected they are durable in the log. Rows are
    /// JSON objects with the columns of the source, as [`ViewColumns`] names them.
    ///
    /// # Errors
    /// As [`Store::admit`] and [`Store::view_columns`].
    pub async fn admit_to_view(
        &self,
        catalog: &Catalog,
        view: &ViewId,
        rows: &[String],
        key: Option<&str>,
    ) -> Result<PushReport, StoreError> {
        let (_, source) = written(catalog, view)?;
        let admit = ToAdmit { source: &source.name, view: Some(view), rows, key };
        self.admit_rows(catalog, admit).await
    }
}

/// A view that takes rows by the names of its features, and its source.
fn written<'c>(catalog: &'c Catalog, id: &ViewId) -> Result<(&'c View, &'c Source), StoreError> {
    let views = &catalog.definitions.views;
    let view = views.get(id).ok_or_else(|| StoreError::Unknown {
        kind: "view",
        name: id.to_string(),
        hint: name::suggestion(&id.name, views.keys().map(|id| id.name.as_str())),
    })?;
    if view.in_place {
        return Err(StoreError::InPlace { view: id.clone(), wanted: InPlaceWant::Load });
    }
    let source = pushed_source(catalog, &view.source)?;
    let computed = match (view.aggregates(), source.transform.is_some()) {
        (true, _) => "aggregates events",
        (_, true) => "has what the sql of its source makes of rows",
        _ => return Ok((view, source)),
    };
    Err(StoreError::Request {
        message: format!("view `{id}` {computed}, so its features can't be written"),
        hint: Some(format!("push rows to source `{}`", source.name)),
    })
}
