//! Answers from history: what serving said, or would have said, at an instant.

use std::sync::atomic::AtomicU64;

use arrow::array::{ArrayRef, RecordBatch};
use asof_engine::columns::{ColumnBuilder, value_at};
use asof_model::plan::Catalog;
use asof_model::{Cell, Instant, KnownAt, Status, Value, ValueType};
use asof_training::Scratch;
use asof_training::join::{Joined, RangeAnswer, join};
use asof_training::labels::MemoryLabels;

use super::answer::{Answer, Answered, field, request_fields};
use super::{GetRequest, OnlinePlan, encoded_key};
use crate::on_demand::ComputedCells;
use crate::request::{Origin, PlannedColumn, RequestPlan};
use crate::train::histories::Asked;
use crate::train::{TrainOptions, blocking};
use crate::{NoProgress, Store, StoreError};

impl Store {
    /// Puts what history says at the answer's own instant where the online store holds nothing of a key that may be one
    /// of those left to history. `inactive`: places of entity rows.
    pub(super) async fn fill_from_history(
        &self,
        catalog: &Catalog,
        plan: &OnlinePlan,
        request: &GetRequest,
        answer: Answer,
        inactive: &[usize],
    ) -> Result<Answer, StoreError> {
        let caught_up = self.caught_up(catalog, plan).await?;
        let of_rows = |values: &Vec<Option<Value>>| -> Vec<Option<Value>> {
            inactive.iter().map(|row| values.get(*row).cloned().flatten()).collect()
        };
        let asked = GetRequest {
            entities: request.entities.iter().map(|(name, values)| (name.clone(), of_rows(values))).collect(),
            fields: request.fields.iter().map(|(name, values)| (name.clone(), of_rows(values))).collect(),
            rows: inactive.len(),
            ..request.clone()
        };
        let times = vec![answer.t.micros(); inactive.len()];
        let found = self.get_history(catalog, &caught_up, &asked, &times).await?;
        self.note_cold(plan, &asked, &found);
        let mut rows = answer.to_rows(plan)?;
        for (row, values) in inactive.iter().zip(found) {
            for (place, value) in values.into_iter().enumerate() {
                let stored = plan.plan.columns[place].stored();
                // What is computed may read what only history has.
                let limited = |(join, _): (usize, usize)| plan.plan.joins[join].view.active_within.is_some();
                if stored.is_none_or(limited) {
                    rows[*row][place] = value;
                }
            }
        }
        Ok(Answer::from_rows(answer.t, rows, answer.positions))
    }

    /// Takes note of the keys for which history had a row, of views that leave keys to it.
    fn note_cold(&self, plan: &OnlinePlan, request: &GetRequest, found: &[Vec<Answered>]) {
        for (join, planned) in plan.plan.joins.iter().enumerate() {
            if planned.view.active_within.is_none() {
                continue;
            }
            let of_join = |column: &PlannedColumn| column.stored().is_some_and(|(of, _)| of == join);
            let Some(place) = plan.plan.columns.iter().position(of_join) else { continue };
            let met = |(_, values): &(usize, &Vec<Answered>)| values[place].event.is_some();
            for (row, _) in found.iter().enumerate().filter(met) {
                if let Some(key) = encoded_key(planned, request, row) {
                    self.cold().note(&planned.view.id, key);
                }
            }
        }
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
        if plan.joins.is_empty() {
            let computed = computed(plan, request, (0, request.rows), times, |_, _| Cell::Null);
            let row = |row: usize| {
                let values = plan.columns.iter().map(|column| computed_value(plan, &computed, column, row));
                values.collect()
            };
            return Ok((0..request.rows).map(row).collect());
        }
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
                answered_range(plan, &joined, range, (request, times), &mut rows)?;
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
    (request, times): (&GetRequest, &[i64]),
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
    let stored = |join: usize, feature: usize, row: usize| {
        let feature = &columns[join][feature];
        (value_at(feature.values.as_ref(), feature.feature.value_type, row), feature.statuses[row])
    };
    let input = |place: usize, row: usize| {
        let input = &plan.on_demand.inputs[place];
        let (value, status) = stored(input.join, input.feature, row);
        input.entering(value, status)
    };
    let first = rows.len();
    let computed = computed(plan, request, (first, count), times, input);
    let value = |row: usize, column: &PlannedColumn| match column.stored() {
        Some((join, feature)) => {
            let (value, status) = stored(join, feature, row);
            let event = answers[join].event(row).map(Instant::from_micros_clamped);
            Answered { value, status, event }
        }
        None => computed_value(plan, &computed, column, row),
    };
    rows.extend((0..count).map(|row| plan.columns.iter().map(|column| value(row, column)).collect()));
    Ok(())
}

/// Computes the features on demand for `count` rows of a request from `first` on, each at its own instant.
fn computed(
    plan: &RequestPlan,
    request: &GetRequest,
    (first, count): (usize, usize),
    times: &[i64],
    input: impl Fn(usize, usize) -> Cell,
) -> ComputedCells {
    let fields = request_fields(&plan.on_demand, request);
    let t = |row: usize| Instant::from_micros_clamped(times[first + row]);
    plan.on_demand.evaluate_at(t, count, input, |place, row| field(&fields, place, first + row))
}

/// The value of a column that is computed.
fn computed_value(
    plan: &RequestPlan,
    computed: &ComputedCells,
    column: &PlannedColumn,
    row: usize,
) -> Answered {
    let (value, status) = match column.origin {
        Origin::Computed { step } => computed.answered(&plan.on_demand, step, row),
        Origin::Stored { .. } => (None, Status::Missing),
    };
    Answered { value: value.cloned(), status, event: None }
}
