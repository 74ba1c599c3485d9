//! `get`: the values of features for entity keys at one instant.
//!
//! The present is answered from the online store, in one snapshot. An instant before the last update of a view is
//! answered from history under `served`, never from state that has moved on (SEMANTICS 1). So are keys that a view with
//! `online: { active_within }` left to history, at the instant of the answer.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use arrow::array::{ArrayRef, RecordBatch};
use asof_engine::columns::{ColumnBuilder, value_at};
use asof_model::plan::Catalog;
use asof_model::{
    Age, Cell, EncodedKey, Instant, KnownAt, Rule, Status, Value, ValueType, ViewId, key, name,
};
use asof_online::{AnswerRow, CellRef, OnlineAnswer, OnlineError, RowLayout, ViewHandle};

use asof_training::Scratch;
use asof_training::join::{Joined, RangeAnswer, join};
use asof_training::labels::MemoryLabels;

use crate::materialize::copy_stamps;
use crate::push::Flush;
use crate::request::{Naming, PlannedColumn, PlannedJoin, RequestPlan, Wanted, rule};
use crate::train::histories::Asked;
use crate::train::{TrainOptions, blocking};
use crate::windows::{ClosedKey, OnlineWindows};
use crate::{InPlaceWant, NoProgress, Store, StoreError};

/// The most entity rows of one request.
pub const ENTITY_ROWS_MAX: usize = 10_000;

/// A request for values.
#[derive(Debug, Clone)]
pub struct GetRequest {
    /// For each key column its value in each entity row; `None` is a null key. Columns that no view needs are left
    /// alone.
    pub entities: BTreeMap<String, Vec<Option<Value>>>,
    /// The number of entity rows.
    pub rows: usize,
    /// The instant asked for. `None`: the present.
    pub now: Option<Instant>,
    /// Whether values past their ttl are returned.
    pub include_expired: bool,
    /// Whether history may be read: for an instant before the last update, and for keys that are not active.
    pub from_history: bool,
}

/// One value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// After defaults; `None` is null.
    pub value: Option<Value>,
    /// Why it is what it is.
    pub status: Status,
    /// The event instant of the row met, also past its ttl; `None` where none was.
    pub event: Option<Instant>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The instant it holds for.
    pub t: Instant,
    /// For each entity row a value for each column of the plan.
    pub rows: Vec<Vec<Answered>>,
    /// For each view the commit of its history that the answer reflects. Empty for answers from history.
    pub positions: BTreeMap<ViewId, u64>,
}

/// A compiled request with what it needs of the online store.
pub struct OnlinePlan {
    /// The request.
    pub plan: RequestPlan,
    /// For each join its view's handle; `None`: nothing was ever published for it.
    handles: Vec<Option<ViewHandle>>,
    /// For each join the codec of its rows.
    layouts: Vec<RowLayout>,
    /// For each join of a view of events, its windows.
    pub(crate) windows: Vec<Option<OnlineWindows>>,
}

impl Store {
    /// Compiles a request for serving. Made once for a request shape and a registry revision.
    ///
    /// # Errors
    /// As [`Store::request`], and [`StoreError::SameName`]; [`StoreError::InPlace`]; those of the online store.
    pub async fn online_plan(
        &self,
        catalog: &Catalog,
        wanted: &Wanted,
        naming: &Naming,
    ) -> Result<OnlinePlan, StoreError> {
        let mut plan = self.request(catalog, wanted, naming).await?;
        plan.check_names()?;
        plan.refuse_in_place(InPlaceWant::Serving)?;
        if let Some(step) = plan.on_demand.steps.first() {
            let message = format!("view `{}` is computed on demand, and is not served yet", step.view);
            return Err(StoreError::Request { message, hint: None });
        }
        // Also for a request without joins: whoever compiles for serving holds the store from here on.
        self.online().await?;
        self.fold_before_serving(plan.joins.iter().map(|join| join.table.as_str())).await?;
        let (mut handles, mut layouts, mut windows) = (Vec::new(), Vec::new(), Vec::new());
        for join in &mut plan.joins {
            handles.push(self.catch_up(catalog, join).await?);
            let types: Vec<ValueType> = join.view.stored().iter().map(|feature| feature.value_type).collect();
            windows.push(OnlineWindows::of(catalog, &join.view, &join.asked, &types)?);
            layouts.push(RowLayout::new(&types));
        }
        Ok(OnlinePlan { plan, handles, layouts, windows })
    }

    /// Compares the journal of a join with the online store, and takes up what only that one knows.
    async fn catch_up(
        &self,
        catalog: &Catalog,
        join: &mut PlannedJoin,
    ) -> Result<Option<ViewHandle>, StoreError> {
        let online = self.online().await?;
        let handle = online.find(&join.table).await?;
        let units = async || match handle {
            Some(handle) => Ok::<_, StoreError>(online.statistics(handle).await?.units),
            None => Ok(0),
        };
        let (mut found, expected) = (units().await?, join.journal.entries);
        if found < expected {
            // A unit of pushed rows may be between the journal beside history and the one online.
            let _flushing = self.pushes().flushing.lock().await;
            found = units().await?;
        }
        if found < expected {
            return Err(StoreError::OnlineLost { view: join.view.id.clone(), found, expected });
        }
        if let Some(handle) = handle.filter(|_| found > expected) {
            // A load that goes on, or died right behind a unit, has left its stamp online alone. What is answered from
            // it must be in history for whoever looks there.
            copy_stamps(online, handle, self.offline().await?, &join.table).await?;
            join.journal = self.view_journal(catalog, &join.view.id).await?;
        }
        Ok(handle)
    }

    /// The request of a plan with its journals as they are now: a load may have gone on since the plan was made, and
    /// whoever recomputes an answer must know every unit that it could have seen.
    pub(crate) async fn caught_up(
        &self,
        catalog: &Catalog,
        plan: &OnlinePlan,
    ) -> Result<RequestPlan, StoreError> {
        // What is folded and not in history yet could have been seen too.
        self.flush_pushed(Flush::All).await?;
        let mut plan = plan.plan.clone();
        for join in &mut plan.joins {
            join.journal = self.view_journal(catalog, &join.view.id).await?;
            self.catch_up(catalog, join).await?;
        }
        Ok(plan)
    }

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
                Ok(Answer { t: now, rows, positions: BTreeMap::new() })
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

    /// Puts what history says at the answer's own instant where the online store holds nothing of a key that may be one
    /// of those left to history. `inactive`: places of entity rows.
    async fn fill_from_history(
        &self,
        catalog: &Catalog,
        plan: &OnlinePlan,
        request: &GetRequest,
        mut answer: Answer,
        inactive: &[usize],
    ) -> Result<Answer, StoreError> {
        let caught_up = self.caught_up(catalog, plan).await?;
        let of_rows = |values: &Vec<Option<Value>>| -> Vec<Option<Value>> {
            inactive.iter().map(|row| values.get(*row).cloned().flatten()).collect()
        };
        let asked = GetRequest {
            entities: request.entities.iter().map(|(name, values)| (name.clone(), of_rows(values))).collect(),
            rows: inactive.len(),
            ..request.clone()
        };
        let times = vec![answer.t.micros(); inactive.len()];
        let found = self.get_history(catalog, &caught_up, &asked, &times).await?;
        for (row, values) in inactive.iter().zip(found) {
            for (place, value) in values.into_iter().enumerate() {
                let Some((join, _)) = plan.plan.columns[place].stored() else { continue };
                let join = &plan.plan.joins[join];
                if join.view.active_within.is_some() {
                    answer.rows[*row][place] = value;
                }
            }
        }
        Ok(answer)
    }

    /// The answer of the online store, and the entity rows for which a view that leaves keys to history holds nothing.
    async fn get_online(
        &self,
        plan: &OnlinePlan,
        request: &GetRequest,
    ) -> Result<(Answer, Vec<usize>), StoreError> {
        let online = self.online().await?;
        let mut handles = plan.handles.clone();
        for (handle, join) in handles.iter_mut().zip(&plan.plan.joins).filter(|(handle, _)| handle.is_none())
        {
            // The view's first load may have come after the plan.
            *handle = online.find(&join.table).await?;
        }
        let mut keys: Vec<(ViewHandle, EncodedKey)> =
            Vec::with_capacity(plan.plan.joins.len() * request.rows);
        // For each join and entity row the place of its key among those read; `None`: there is nothing to read.
        let mut places: Vec<Vec<Option<usize>>> = Vec::with_capacity(plan.plan.joins.len());
        for (join, handle) in plan.plan.joins.iter().zip(&handles) {
            let columns: Vec<&Vec<Option<Value>>> =
                join.keys.iter().filter_map(|(_, column)| request.entities.get(column)).collect();
            let mut of_join = Vec::with_capacity(request.rows);
            for row in 0..request.rows {
                let key = encoded(&columns, row).zip(*handle);
                of_join.push(key.map(|(key, handle)| {
                    keys.push((handle, key));
                    keys.len() - 1
                }));
            }
            places.push(of_join);
        }
        let asked: Vec<(ViewHandle, &[u8])> =
            keys.iter().map(|(handle, key)| (*handle, key.as_slice())).collect();
        let read = online.read(&asked, request.now).await?;
        let rules: Vec<Rule> = plan
            .plan
            .joins
            .iter()
            .map(|join| rule(&join.view, KnownAt::Served, request.include_expired))
            .collect();
        let closed = closed(plan, &places, &read)?;
        let value = |row: usize, column: &PlannedColumn| {
            let Some((place, feature)) = column.stored() else { return Err(not_served()) };
            let join = &plan.plan.joins[place];
            if let Some(closed) = &closed[place] {
                return Ok(answered_window(join, feature, closed[row].as_ref()));
            }
            let found = places[place][row].and_then(|place| read.rows[place].as_ref());
            answered(join, feature, &plan.layouts[place], found, &rules[place], read.t)
        };
        let row = |row: usize| plan.plan.columns.iter().map(|column| value(row, column)).collect();
        let rows = (0..request.rows).map(row).collect::<Result<Vec<Vec<Answered>>, StoreError>>()?;
        let left_out = |row: &usize| {
            let joins = plan.plan.joins.iter().zip(&places);
            let mut limited = joins.filter(|(join, _)| join.view.active_within.is_some());
            limited.any(|(_, places)| places[*row].is_some_and(|place| read.rows[place].is_none()))
        };
        let inactive = (0..request.rows).filter(left_out).collect();
        let mut positions = BTreeMap::new();
        for frontier in &read.frontiers {
            let join = handles.iter().position(|handle| *handle == Some(frontier.view));
            if let (Some(join), Some(position)) = (join, frontier.position) {
                positions.insert(plan.plan.joins[join].view.id.clone(), position);
            }
        }
        Ok((Answer { t: read.t, rows, positions }, inactive))
    }

    /// Answers a request from history: what serving answered, or could have answered, at each row's instant in
    /// `times` (microseconds).
    ///
    /// # Errors
    /// Those of history.
    pub(crate) async fn get_history(
        &self,
        catalog: &Catalog,
        plan: &RequestPlan,
        request: &GetRequest,
        times: &[i64],
    ) -> Result<Vec<Vec<Answered>>, StoreError> {
        let labels = MemoryLabels::new(label_rows(plan, request, times)?);
        let asked = Asked {
            known_at: KnownAt::Served,
            include_expired: request.include_expired,
            statuses: true,
            events: true,
            time: LABEL_TIME.to_owned(),
            known: None,
            request: Vec::new(),
            resources: self.resources(&TrainOptions::default()),
        };
        let histories = self.histories(catalog, plan, asked).await?;
        blocking(|| {
            let scratch = Scratch::new(&histories.spec.resources.scratch);
            let held = AtomicU64::new(0);
            let joined = join(&histories.spec, &labels, &scratch, &held, &NoProgress);
            let joined = joined.map_err(|error| histories.explain(error))?;
            let mut rows = Vec::with_capacity(request.rows);
            for range in 0..joined.ranges() {
                answered_range(plan, &joined, range, &mut rows)?;
            }
            Ok(rows)
        })
    }
}

/// The column of a request's labels with their instants.
const LABEL_TIME: &str = "__t";

/// A request's keys with the instants that are asked for, as labels.
fn label_rows(plan: &RequestPlan, request: &GetRequest, times: &[i64]) -> Result<RecordBatch, StoreError> {
    let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
    for (column, value_type) in &plan.key_columns {
        let mut builder = ColumnBuilder::new(*value_type, request.rows);
        for value in request.entities.get(column).into_iter().flatten() {
            builder.append(value.as_ref());
        }
        columns.push((column, builder.finish()));
    }
    let mut instants = ColumnBuilder::new(ValueType::Timestamp, times.len());
    times.iter().for_each(|t| instants.append(Some(&Value::Timestamp(Instant::from_micros_clamped(*t)))));
    columns.push((LABEL_TIME, instants.finish()));
    let nullable = columns.into_iter().map(|(name, array)| (name, array, true));
    RecordBatch::try_from_iter_with_nullable(nullable)
        .map_err(|error| StoreError::Corrupt(format!("a request is no table: {error}")))
}

/// Appends the answers to a range of a request's rows.
fn answered_range(
    plan: &RequestPlan,
    joined: &Joined<'_>,
    range: usize,
    rows: &mut Vec<Vec<Answered>>,
) -> Result<(), StoreError> {
    let mut columns = Vec::with_capacity(joined.views());
    let mut answers = Vec::with_capacity(joined.views());
    for view in 0..joined.views() {
        let answer = joined.answer(view, range)?;
        let of_view = (0..answer.features()).map(|feature| answer.column(feature));
        columns.push(of_view.collect::<Result<Vec<_>, _>>()?);
        answers.push(answer);
    }
    let count = answers.first().map_or(0, RangeAnswer::len);
    let value = |row: usize, column: &PlannedColumn| -> Result<Answered, StoreError> {
        let (join, feature) = column.stored().ok_or_else(not_served)?;
        let feature = &columns[join][feature];
        Ok(Answered {
            value: value_at(feature.values.as_ref(), feature.feature.value_type, row),
            status: feature.statuses[row],
            event: answers[join].event(row).map(Instant::from_micros_clamped),
        })
    };
    for row in 0..count {
        let row = plan.columns.iter().map(|column| value(row, column));
        rows.push(row.collect::<Result<_, StoreError>>()?);
    }
    Ok(())
}

/// Plans with computed columns are refused when they are made.
fn not_served() -> StoreError {
    StoreError::Corrupt("a column that is computed on demand is not looked up".to_owned())
}

/// Refuses a request that lacks a key column or has too many rows.
fn check_entities(plan: &RequestPlan, request: &GetRequest) -> Result<(), StoreError> {
    if request.rows > ENTITY_ROWS_MAX {
        let message =
            format!("the request has {} entity rows, at most {ENTITY_ROWS_MAX} are answered", request.rows);
        return Err(StoreError::Request { message, hint: Some("cut it into several".to_owned()) });
    }
    if let Some((column, values)) = request.entities.iter().find(|(_, values)| values.len() != request.rows) {
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
    Ok(())
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

/// What the windows of each join of a view of events come to in each entity row; `None` for a join of a view of values, and
/// for a row whose key holds no event.
fn closed(
    plan: &OnlinePlan,
    places: &[Vec<Option<usize>>],
    read: &OnlineAnswer,
) -> Result<Vec<Option<Vec<Option<ClosedKey>>>>, StoreError> {
    let of_join = |(windows, places): (&Option<OnlineWindows>, &Vec<Option<usize>>)| {
        let Some(windows) = windows else { return Ok(None) };
        let of_row = |place: &Option<usize>| {
            let held = place.and_then(|place| read.rows[place].as_ref());
            let events = held.and_then(|held| held.events.as_ref());
            events.map(|events| windows.close(events, read.t)).transpose().map(Option::flatten)
        };
        places.iter().map(of_row).collect::<Result<Vec<_>, StoreError>>().map(Some)
    };
    plan.windows.iter().zip(places).map(of_join).collect()
}

/// The value of one feature of a view of events (SEMANTICS 4 and 6).
fn answered_window(join: &PlannedJoin, feature: usize, closed: Option<&ClosedKey>) -> Answered {
    let default = || join.defaults[feature].clone();
    match closed {
        None => Answered { value: default(), status: Status::Missing, event: None },
        Some(closed) => {
            let (value, status) = match &closed.cells[feature] {
                Cell::Value(value) => (Some(value.clone()), Status::Present),
                Cell::Null => (default(), Status::Null),
                Cell::Error => (default(), Status::Error),
            };
            Answered { value, status, event: Some(closed.newest) }
        }
    }
}

/// The value of one feature, by the rule that training uses too (SEMANTICS 3 and 6).
fn answered(
    join: &PlannedJoin,
    feature: usize,
    layout: &RowLayout,
    found: Option<&AnswerRow>,
    rule: &Rule,
    t: Instant,
) -> Result<Answered, StoreError> {
    let age = found.map_or(Age::Forgotten, |row| rule.age(row.event, t));
    let row = found.filter(|_| age != Age::Forgotten);
    let cell = match row {
        Some(row) => layout.cell(&row.row, join.asked[feature])?,
        None => None,
    };
    let status = match (&cell, age) {
        (None, _) => Status::Missing,
        (Some(_), Age::Expired) => Status::OutsideTtl,
        (Some(CellRef::Error), _) => Status::Error,
        (Some(CellRef::Null), _) => Status::Null,
        (Some(_), _) => Status::Present,
    };
    let held = || match cell.map(CellRef::to_cell) {
        Some(Cell::Value(value)) => Some(value),
        _ => None,
    };
    let value = match status {
        Status::Present => held(),
        Status::OutsideTtl if rule.include_expired => held(),
        _ => join.defaults[feature].clone(),
    };
    Ok(Answered { value, status, event: row.map(|row| row.event) })
}
