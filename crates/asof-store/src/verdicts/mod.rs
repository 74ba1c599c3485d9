//! Verdicts: what an event that has an identity is when it arrives — new, a repeat, or a version that takes the place of an
//! earlier one (SEMANTICS 4). Decided once, before history and the online store see it, by what the online store remembers of
//! every identity. History and serving obey because they hold what was decided and nothing else: repeats are not written,
//! and a key is told, by a row of its own, of a version that took its event elsewhere.

mod judge;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, ListBuilder, RecordBatch, StringBuilder};
use arrow::compute::filter_record_batch;
use asof_engine::EngineError;
use asof_engine::columns::{CREATED, ColumnBuilder, ERRORS, EVENT};
use asof_model::aggregation::Withdrawal;
use asof_model::spec::Repeats;
use asof_model::{Cell, Instant, Value, canonical, key};
use asof_online::{EventRange, EventRule, IncomingRow, OnlineStore, Version, ViewHandle};

use crate::StoreError;
use crate::materialize::ViewRows;
use judge::{Claim, Moved, judge};

/// By identity, versions that are to be published together with those that follow.
pub(crate) type Staged = HashMap<Vec<u8>, Vec<Version>>;

/// Which of what is remembered counts when arrivals are judged, and how they came.
#[derive(Default)]
pub(crate) struct Judging<'a> {
    /// The arrivals came one after the other; else which of them came first is for what they hold to say.
    pub in_order: bool,
    /// Only what was readable before, for arrivals that were judged then.
    pub before: Option<Instant>,
    /// Loaded events of a range that are about to be replaced do not count.
    pub replaced: Option<EventRange>,
    /// What was judged before them and is not published yet.
    pub staged: Option<&'a mut Staged>,
}

/// Rows that were judged.
pub(crate) struct Judged {
    /// What is to be written.
    pub batches: Vec<RecordBatch>,
    /// Rows that change nothing.
    pub repeats: u64,
}

/// An arrival: its row, and where it stands.
struct Arrival {
    batch: usize,
    place: usize,
    row: IncomingRow,
}

/// Identities, and for each its arrivals, in order.
type ByIdentity = (Vec<Vec<u8>>, Vec<Vec<Arrival>>);

/// A row that tells a key that an event moved.
struct Told {
    key: Vec<u8>,
    event: Instant,
    created: Instant,
    cells: Vec<Cell>,
}

/// Judges the rows of batches of a view whose events have an identity.
///
/// # Errors
/// Those of the online store; [`StoreError::Corrupt`] for what it can't have remembered.
pub(crate) async fn judge_rows(
    online: &dyn OnlineStore,
    (view, of): (ViewHandle, &ViewRows),
    batches: Vec<RecordBatch>,
    judging: Judging<'_>,
) -> Result<Judged, StoreError> {
    let Some((rule, repeats)) = of.events.and_then(|rule| Some((rule, rule.remembers?))) else {
        return Ok(Judged { batches, repeats: 0 });
    };
    let (identities, arrivals) = arrivals_of(of, &rule, &batches)?;
    let known = online.versions(view, &identities).await?;
    let Judging { in_order, before, replaced, mut staged } = judging;
    let counts = |version: &Version| {
        before.is_none_or(|before| version.visible < before)
            && !replaced.is_some_and(|range| version.is_loaded_in(range))
    };
    let (mut dropped, mut told) = (vec![HashSet::new(); batches.len()], Vec::new());
    for ((identity, mut known), arrivals) in identities.into_iter().zip(known).zip(&arrivals) {
        known.retain(counts);
        let staged = staged.as_deref_mut().map(|staged| staged.entry(identity).or_default());
        known.extend(staged.iter().flat_map(|staged| staged.iter().cloned()));
        if !known.is_empty() || arrivals.len() > 1 {
            let claims = known.iter().map(|version| {
                let Version { key, event, created, row, .. } = version;
                claim(of, &rule, (key, *event, *created), row)
            });
            let claims = claims.collect::<Result<Vec<_>, _>>()?;
            let new = arrivals
                .iter()
                .map(|Arrival { row, .. }| claim(of, &rule, (&row.key, row.event, row.created), &row.row));
            let new = new.collect::<Result<Vec<_>, _>>()?;
            let verdict = judge(&claims, &new, repeats, in_order);
            for place in &verdict.repeats {
                let Arrival { batch, place, .. } = arrivals[*place];
                dropped[batch].insert(place);
            }
            for Moved { key, by, above } in verdict.moved {
                let claim_of = |place: usize| claims.get(place).or_else(|| new.get(place - claims.len()));
                let row_of = |place: usize| match known.get(place) {
                    Some(version) => version.row.as_slice(),
                    None => arrivals[place - known.len()].row.row.as_slice(),
                };
                let place = above.unwrap_or(by);
                let Some(claim) = claim_of(place) else { continue };
                // What a version under another key holds is not for this key to know.
                let cells = tell(of, &rule, row_of(place), above.is_some())?;
                told.push(Told { key, event: claim.event, created: claim.created, cells });
            }
        }
        if let Some(staged) = staged {
            let stays = |arrival: &&Arrival| !dropped[arrival.batch].contains(&arrival.place);
            staged.extend(arrivals.iter().filter(stays).map(|Arrival { row, .. }| Version {
                key: row.key.clone(),
                event: row.event,
                created: row.created,
                visible: Instant::MAX,
                pushed: false,
                row: row.row.clone(),
            }));
        }
    }
    let repeats = dropped.iter().map(HashSet::len).sum::<usize>() as u64;
    let schema = batches.first().map(RecordBatch::schema);
    let mut kept = Vec::with_capacity(batches.len() + 1);
    for (batch, dropped) in batches.into_iter().zip(dropped) {
        if dropped.is_empty() {
            kept.push(batch);
            continue;
        }
        let stays: Vec<bool> = (0..batch.num_rows()).map(|row| !dropped.contains(&row)).collect();
        let batch = filter_record_batch(&batch, &BooleanArray::from(stays)).map_err(EngineError::from)?;
        kept.extend(Some(batch).filter(|batch| batch.num_rows() > 0));
    }
    if let Some(schema) = schema.filter(|_| !told.is_empty()) {
        let columns = schema.fields().iter().map(|field| column(of, field.name(), &told));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        kept.push(RecordBatch::try_new(schema, columns).map_err(EngineError::from)?);
    }
    Ok(Judged { batches: kept, repeats })
}

/// The identities among the rows, and for each its rows, in order.
fn arrivals_of(of: &ViewRows, rule: &EventRule, batches: &[RecordBatch]) -> Result<ByIdentity, StoreError> {
    let (mut identities, mut arrivals) = (Vec::new(), Vec::<Vec<Arrival>>::new());
    let mut numbers: HashMap<Vec<u8>, usize> = HashMap::new();
    for (batch, rows) in batches.iter().enumerate() {
        let mut incoming = Vec::with_capacity(rows.num_rows());
        of.incoming_rows(rows, of.stored.len(), &mut incoming)?;
        for (place, row) in incoming.into_iter().enumerate() {
            let Some(identity) = rule.identity_of(&of.layout, &row.row)? else { continue };
            let number = *numbers.entry(identity.clone()).or_insert(identities.len());
            if number == identities.len() {
                identities.push(identity);
                arrivals.push(Vec::new());
            }
            arrivals[number].push(Arrival { batch, place, row });
        }
    }
    Ok((identities, arrivals))
}

fn claim(
    of: &ViewRows,
    rule: &EventRule,
    (key, event, created): (&[u8], Instant, Instant),
    row: &[u8],
) -> Result<Claim, StoreError> {
    let (mut bytes, mut mark) = (Vec::new(), Withdrawal::Stands.mark());
    // Where a repeat changes nothing, only who was first is remembered.
    if rule.remembers == Some(Repeats::Replace) || !row.is_empty() {
        let mut cells = of.layout.cells(row)?;
        if let Some(withdrawal) = rule.withdrawal {
            mark = Withdrawal::mark_in(cells.get(withdrawal));
            cells.resize(of.layout.types().len(), Cell::Null);
            cells[withdrawal] = Cell::Null;
        }
        bytes = canonical::row_bytes(of.layout.types(), &cells);
    }
    Ok(Claim { key: key.to_vec(), event, created, bytes, mark })
}

/// What the row holds that tells a key that an event moved: all of a version of its own, or the identity alone.
fn tell(of: &ViewRows, rule: &EventRule, row: &[u8], whole: bool) -> Result<Vec<Cell>, StoreError> {
    let held = of.layout.cells(row)?;
    let cell = |input: usize| match Some(input) == rule.withdrawal {
        true => Cell::Value(Value::Int64(Withdrawal::Moved.mark())),
        false => {
            held.get(input).filter(|_| whole || Some(input) == rule.identity).cloned().unwrap_or(Cell::Null)
        }
    };
    Ok((0..of.stored.len()).map(cell).collect())
}

/// A column of rows that tell.
fn column(of: &ViewRows, name: &str, told: &[Told]) -> Result<ArrayRef, StoreError> {
    let instants = |of: fn(&Told) -> Instant| -> ArrayRef {
        let mut column = ColumnBuilder::new(asof_model::ValueType::Timestamp, told.len());
        told.iter().for_each(|told| column.append(Some(&Value::Timestamp(of(told)))));
        column.finish()
    };
    if name == EVENT {
        return Ok(instants(|told| told.event));
    }
    if name == CREATED {
        return Ok(instants(|told| told.created));
    }
    if name == ERRORS {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for Told { cells, .. } in told {
            let wrong = cells.iter().zip(&of.stored).filter(|(cell, _)| **cell == Cell::Error);
            let names: Vec<&str> = wrong.map(|(_, feature)| feature.name.as_str()).collect();
            names.iter().for_each(|name| lists.values().append_value(name));
            lists.append(!names.is_empty());
        }
        return Ok(Arc::new(lists.finish()));
    }
    if let Some(part) = of.keys().iter().position(|key| key.name == name) {
        let types: Vec<_> = of.keys().iter().map(|key| key.value_type).collect();
        let mut column = ColumnBuilder::new(types[part], told.len());
        for Told { key, .. } in told {
            let parts = key::decode_key(&types, key);
            let value = parts.as_ref().and_then(|parts| parts.get(part)).ok_or_else(|| {
                StoreError::Corrupt(format!("`{}` remembers an event under what is no key of it", of.name))
            })?;
            column.append(Some(value));
        }
        return Ok(column.finish());
    }
    let Some(input) = of.stored.iter().position(|feature| feature.name == name) else {
        return Err(StoreError::Corrupt(format!("rows of `{}` have no column `{name}`", of.name)));
    };
    let mut column = ColumnBuilder::new(of.stored[input].value_type, told.len());
    for Told { cells, .. } in told {
        column.append(match &cells[input] {
            Cell::Value(value) => Some(value),
            Cell::Null | Cell::Error => None,
        });
    }
    Ok(column.finish())
}
