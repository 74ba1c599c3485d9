//! `get`: the values of features for entity keys at one instant.
//!
//! The present is answered from the online store, in one snapshot. An instant before the last update of a view is
//! answered from history under `served`, never from state that has moved on (SEMANTICS 1). So are keys that a view with
//! `online: { active_within }` left to history, at the instant of the answer.
//!
//! `plan` compiles a request, `keys` encodes its keys, each once, `answer` holds what was read and judges it value by value
//! without copying, `history` asks history, `cold` puts back what history answered for.

mod answer;
pub(crate) mod cold;
mod history;
mod keys;
mod plan;

use std::collections::BTreeMap;

use asof_model::plan::Catalog;
use asof_model::{EncodedKey, Instant, Value, key, name};
use asof_online::{OnlineError, ViewHandle};

use answer::Fetched;
pub use answer::{Answer, Answered, AnsweredRef, OpenAnswer, OpenColumn, ValueRef};
pub use asof_online::CellRef;
pub use cold::COLD_KEYS_MAX;
use keys::RequestKeys;
pub use plan::OnlinePlan;

use crate::request::{PlannedJoin, RequestPlan};
use crate::{Store, StoreError};

/// The most entity rows of one request.
pub const ENTITY_ROWS_MAX: usize = 10_000;

/// A request for values.
#[derive(Debug, Clone)]
pub struct GetRequest {
    /// For each key column its value in each entity row; `None` is a null key. Columns that no view needs are left
    /// alone.
    pub entities: BTreeMap<String, Vec<Option<Value>>>,
    /// For each request column that features on demand read its value in each entity row. Others are left alone.
    pub fields: BTreeMap<String, Vec<Option<Value>>>,
    /// The number of entity rows.
    pub rows: usize,
    /// The instant asked for. `None`: the present.
    pub now: Option<Instant>,
    /// Whether values past their ttl are returned.
    pub include_expired: bool,
    /// Whether history may be read: for an instant before the last update, and for keys that are not active.
    pub from_history: bool,
}

impl Store {
    /// Answers a request.
    ///
    /// # Errors
    /// [`StoreError::MissingKey`], [`StoreError::Request`] for too many rows, [`StoreError::NowBehind`], and
    /// [`OnlineError::NowAhead`] for an instant beyond the store's clock; those of the stores.
    pub async fn get(
        &self,
        catalog: &Catalog,
        plan: &OnlinePlan,
        request: &GetRequest,
    ) -> Result<Answer, StoreError> {
        check_entities(&plan.plan, request)?;
        match self.get_online(plan, request).await {
            Err(StoreError::Online(OnlineError::NowBehind { now, last_visible })) => {
                if !request.from_history {
                    return Err(StoreError::NowBehind { now, last: last_visible });
                }
                let plan = self.caught_up(catalog, plan).await?;
                let times = vec![now.micros(); request.rows];
                let rows = self.get_history(catalog, &plan, request, &times).await?;
                Ok(Answer::from_rows(now, rows, Vec::new()))
            }
            Ok((answer, inactive)) if inactive.is_empty() => Ok(answer),
            Ok((answer, inactive)) => {
                if !request.from_history {
                    return Err(StoreError::Inactive { rows: inactive.len() as u64 });
                }
                self.fill_from_history(catalog, plan, request, answer, &inactive).await
            }
            Err(error) => Err(error),
        }
    }

    /// The answer of the online store, and the entity rows for which a view that leaves keys to history holds nothing.
    async fn get_online(
        &self,
        plan: &OnlinePlan,
        request: &GetRequest,
    ) -> Result<(Answer, Vec<usize>), StoreError> {
        let online = self.online().await?;
        let keys: Vec<RequestKeys> =
            plan.key_sets.iter().map(|columns| RequestKeys::encode(columns, request)).collect();
        let mut asked: Vec<(ViewHandle, &[u8])> = Vec::new();
        // For each join the place of its first key among those read.
        let mut starts = Vec::with_capacity(plan.handles.len());
        let mut handles = Vec::with_capacity(plan.handles.len());
        for (join, handle) in plan.handles.iter().enumerate() {
            let handle = match handle {
                // The view's first load may have come after the plan.
                None => online.find(&plan.plan.joins[join].table).await?,
                known => *known,
            };
            handles.push(handle);
            starts.push(handle.map(|handle| {
                let start = asked.len();
                asked.extend(keys[plan.key_set_of[join]].unique().map(|key| (handle, key)));
                start
            }));
        }
        let read = online.read(&asked, request.now).await?;
        let mut positions = vec![None; handles.len()];
        for (position, handle) in positions.iter_mut().zip(&handles) {
            let frontier = read.frontiers.iter().find(|frontier| Some(frontier.view) == *handle);
            *position = frontier.and_then(|frontier| frontier.position);
        }
        let t = read.t;
        let places = keys.into_iter().map(RequestKeys::into_places).collect();
        let fetched = Fetched::new(plan, places, starts, read)?;
        let inactive = (0..request.rows).filter(|row| fetched.is_left_out(plan, *row)).collect();
        let mut answer = Answer::from_online(t, request.rows, request.include_expired, positions, fetched);
        answer.compute(plan, request)?;
        Ok((answer, inactive))
    }
}

/// Refuses a request that lacks a key column or has too many rows.
fn check_entities(plan: &RequestPlan, request: &GetRequest) -> Result<(), StoreError> {
    if request.rows > ENTITY_ROWS_MAX {
        let message =
            format!("the request has {} entity rows, at most {ENTITY_ROWS_MAX} are answered", request.rows);
        return Err(StoreError::Request { message, hint: Some("cut it into several".to_owned()) });
    }
    let mut columns = request.entities.iter().chain(&request.fields);
    if let Some((column, values)) = columns.find(|(_, values)| values.len() != request.rows) {
        let message =
            format!("column `{column}` has {} values for {} entity rows", values.len(), request.rows);
        return Err(StoreError::Request {
            message,
            hint: Some("give each column one value for each row".to_owned()),
        });
    }
    for join in &plan.joins {
        if let Some((_, column)) = join.keys.iter().find(|(_, column)| !request.entities.contains_key(column))
        {
            let known: Vec<&str> = request.entities.keys().map(String::as_str).collect();
            let hint = match name::nearest(column, known.iter().copied()) {
                Some(near) => Some(format!("the request has `{near}`; call it `{column}`")),
                None => Some(format!("give `{column}` in every entity row; null is allowed")),
            };
            return Err(StoreError::MissingKey { key: column.clone(), view: join.view.id.clone(), hint });
        }
    }
    plan.check_request_columns(request.fields.keys().map(String::as_str))
}

/// The key of one view for an entity row; `None` where a part of it is null.
pub(crate) fn encoded_key(join: &PlannedJoin, request: &GetRequest, row: usize) -> Option<EncodedKey> {
    let columns: Vec<&Vec<Option<Value>>> =
        join.keys.iter().filter_map(|(_, column)| request.entities.get(column)).collect();
    encoded(&columns, row)
}

/// The key of an entity row; `None` where a part of it is null.
fn encoded(columns: &[&Vec<Option<Value>>], row: usize) -> Option<EncodedKey> {
    let mut bytes = EncodedKey::new();
    for column in columns {
        key::encode_part(&mut bytes, column.get(row)?.as_ref()?);
    }
    Some(bytes)
}
