//! The same answers by the naive oracle.

use std::collections::HashMap;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use asof_engine::columns::{CREATED, ERRORS, EVENT, UNIT, cells_at};
use asof_model::spec::Feature;
use asof_model::{EncodedKey, Instant, KnownAt, ValueType};
use asof_offline::Scan;
use asof_oracle::{OracleFeature, OracleRow};
use futures::TryStreamExt;

use super::{column, each_key, join_keys};
use crate::get::{Answered, OnlinePlan};
use crate::request::{PlannedJoin, rule};
use crate::windows::OnlineWindows;
use crate::{Store, StoreError};

impl Store {
    /// Every journaled row of the keys, as the oracle takes them.
    pub(super) async fn oracle_rows(
        &self,
        join: &PlannedJoin,
        keys: &[EncodedKey],
    ) -> Result<HashMap<EncodedKey, Vec<OracleRow>>, StoreError> {
        let mut rows: HashMap<EncodedKey, Vec<OracleRow>> =
            keys.iter().map(|key| (key.clone(), Vec::new())).collect();
        let Some(table) = self.offline().await?.existing_table(&join.table).await? else { return Ok(rows) };
        let join_keys = join_keys(join);
        // An input that was added since stands in no table yet.
        let there = |feature: &&Feature| table.schema().field_with_name(&feature.name).is_ok();
        let stored = join.view.stored();
        let stored: Vec<Feature> = stored.iter().take_while(there).cloned().collect();
        let features = stored.iter().map(|feature| feature.name.clone());
        let fixed = [EVENT, CREATED, UNIT, ERRORS].map(str::to_owned);
        let columns = join_keys.iter().map(|key| key.name.clone()).chain(fixed).chain(features);
        let mut batches = table.scan(Scan::of(columns));
        while let Some(batch) = batches.try_next().await? {
            let events = column(&batch, EVENT)?.as_primitive::<TimestampMicrosecondType>();
            let createds = column(&batch, CREATED)?.as_primitive::<TimestampMicrosecondType>();
            let units = column(&batch, UNIT)?.as_string::<i32>();
            let errors = column(&batch, ERRORS)?;
            each_key(&batch, &join_keys, |row, key| {
                let Some(of_key) = rows.get_mut(key) else { return };
                let Some(unit) = join.journal.units.number(units.value(row)) else { return };
                let facts = join.journal.units.facts(unit);
                let carried = &stored[..facts.features.min(stored.len())];
                let columns: Vec<ArrayRef> =
                    carried.iter().filter_map(|each| batch.column_by_name(&each.name).cloned()).collect();
                of_key.push(OracleRow {
                    key: key.clone(),
                    event: Instant::from_micros_clamped(events.value(row)),
                    created: Instant::from_micros_clamped(createds.value(row)),
                    visible: facts.visible,
                    replaced: facts.replaced_at(events.value(row)),
                    cells: cells_at(&columns, errors.as_ref(), carried, row),
                });
            })?;
        }
        Ok(rows)
    }
}

/// What the oracle says of the keys at `t`.
pub(super) fn by_oracle(
    join: &PlannedJoin,
    plan: &OnlinePlan,
    rows: &HashMap<EncodedKey, Vec<OracleRow>>,
    keys: &[EncodedKey],
    t: Instant,
    include_expired: bool,
) -> Vec<Vec<Answered>> {
    if let Some(windows) = plan.windows.first().and_then(Option::as_ref) {
        return by_windows(join, windows, rows, keys, t);
    }
    let types: Vec<ValueType> = join.view.features.iter().map(|feature| feature.value_type).collect();
    let feature = |place: usize| OracleFeature {
        index: join.asked[place],
        value_type: types[join.asked[place]],
        default: join.defaults[place].clone(),
    };
    let features: Vec<OracleFeature> =
        plan.plan.columns.iter().filter_map(|column| Some(feature(column.stored()?.1))).collect();
    let rule = rule(&join.view, KnownAt::Served, include_expired);
    let nothing = Vec::new();
    let answer = |key: &EncodedKey| {
        let rows = rows.get(key).unwrap_or(&nothing);
        let answer = asof_oracle::as_of(rows, &types, Some(key), t, &rule, &features);
        let value = |value: asof_oracle::OracleValue| Answered {
            value: value.cell.value().cloned(),
            status: value.status,
            event: answer.event,
        };
        answer.values.clone().into_iter().map(value).collect()
    };
    keys.iter().map(answer).collect()
}

/// The same of a view of events.
fn by_windows(
    join: &PlannedJoin,
    windows: &OnlineWindows,
    rows: &HashMap<EncodedKey, Vec<OracleRow>>,
    keys: &[EncodedKey],
    t: Instant,
) -> Vec<Vec<Answered>> {
    let view = windows.for_oracle(&join.defaults);
    let nothing = Vec::new();
    let answer = |key: &EncodedKey| {
        let rows = rows.get(key).unwrap_or(&nothing);
        let answer =
            asof_oracle::windowed::close(&view, rows, windows.types(), Some(key), (t, t), KnownAt::Served);
        let value = |value: asof_oracle::OracleValue| Answered {
            value: value.cell.value().cloned(),
            status: value.status,
            event: answer.event,
        };
        answer.values.clone().into_iter().map(value).collect()
    };
    keys.iter().map(answer).collect()
}
