//! `compact`: the small files of history become fewer, sorted ones, and rows that say the same become one.
//!
//! Answers don't change: rows keep the units that brought them, and of identical rows the one that was visible first
//! stays (SEMANTICS 3). Loads and readers go on meanwhile, in this process and in others. Rows that `history_keep` does
//! not keep go with it, and with them the instants before: those are refused from then on.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;
use asof_engine::EngineError;
use asof_engine::columns::{CREATED, EVENT, KeyColumns, UNIT};
use asof_model::plan::Catalog;
use asof_model::spec::{JoinKey, View};
use asof_model::{EncodedKey, Instant};
use asof_offline::{Rewritten, RowChoice, Scan, Table};
use asof_training::join::UnitFacts;
use futures::TryStreamExt;
use serde::Serialize;

use crate::journal::ViewJournal;
use crate::materialize::with_rows;
use crate::{Progress, Store, StoreError};

/// What came of a compaction.
#[derive(Debug, Clone, Serialize)]
pub struct CompactReport {
    /// For each view what was rewritten.
    pub views: Vec<ViewCompacted>,
    /// Files of the journal that were replaced.
    pub journal_files: u64,
}

/// What was rewritten of one view's history.
#[derive(Debug, Clone, Serialize)]
pub struct ViewCompacted {
    /// The view.
    pub view: String,
    /// Files that were replaced.
    pub files_before: u64,
    /// Files that took their place.
    pub files_after: u64,
    /// Bytes of the files that were replaced. They are freed by `vacuum`.
    pub bytes_before: u64,
    /// Bytes of those that took their place.
    pub bytes_after: u64,
    /// Rows that were folded into an identical one.
    pub rows_folded: u64,
    /// Rows that `history_keep` has cut.
    pub rows_cut: u64,
    /// From this instant on history answers. `None`: nothing was ever cut.
    pub cut: Option<String>,
}

impl Store {
    /// Compacts the history of views, all of them where none is named, and the journal beside it.
    ///
    /// Safe to kill at any point: what was not committed is files that `vacuum` removes. Doing it again does nothing.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest name; [`StoreError::CareHeld`]; those of history.
    pub async fn compact(
        &self,
        views: &[String],
        progress: &dyn Progress,
    ) -> Result<CompactReport, StoreError> {
        let catalog = self.applied_catalog().await?;
        let views = with_rows(&catalog, views, "compact")?;
        let _care = self.take_care()?;
        let offline = self.offline().await?;
        let mut report = CompactReport { views: Vec::new(), journal_files: 0 };
        for view in views {
            let Some(name) = catalog.table_name(&view.id) else { continue };
            let Some(mut table) = offline.existing_table(&name).await? else { continue };
            let what = format!("compact {}", view.id);
            progress.begin(&what, "files", None);
            let done = self.compact_view(&catalog, view, &mut table).await;
            progress.finish(&what, "");
            report.views.push(done?);
        }
        if self.project().history_path().exists() {
            report.journal_files = offline.compact_journal().await?;
        }
        Ok(report)
    }

    async fn compact_view(
        &self,
        catalog: &Catalog,
        view: &View,
        table: &mut Table,
    ) -> Result<ViewCompacted, StoreError> {
        let journal = self.view_journal(catalog, &view.id).await?;
        let cut =
            cut_history(view, &catalog.definitions.join_keys(view), &journal, table, self.now()).await?;
        let compacted = table.compact(&journal.ranks(!view.aggregates())).await?;
        Ok(ViewCompacted {
            view: view.id.to_string(),
            files_before: cut.files_before + compacted.files_before,
            files_after: cut.files_after + compacted.files_after,
            bytes_before: cut.bytes_before + compacted.bytes_before,
            bytes_after: cut.bytes_after + compacted.bytes_after,
            rows_folded: cut.rows_folded + compacted.rows_folded,
            rows_cut: cut.rows_dropped,
            cut: table.cut()?.map(|cut| cut.to_string()),
        })
    }
}

/// Drops rows that can't be in force at any instant from `now - history_keep` on. Of each key the row that is in force
/// there stays, and every row that was not known by then: only a row that all rules see from there on hides another for
/// good (SEMANTICS 3).
async fn cut_history(
    view: &View,
    keys: &[JoinKey],
    journal: &ViewJournal,
    table: &mut Table,
    now: Instant,
) -> Result<Rewritten, StoreError> {
    let Some(keep) = view.history_keep else { return Ok(Rewritten::default()) };
    let cut = now.minus(keep).max(table.cut()?.unwrap_or(Instant::MIN));
    let names: Vec<String> =
        keys.iter().map(|key| key.name.clone()).chain([EVENT, CREATED, UNIT].map(str::to_owned)).collect();
    let mut newest: HashMap<EncodedKey, (i64, i64)> = HashMap::new();
    let mut batches = table.scan(Scan { event_until: Some(cut), ..Scan::of(names.clone()) });
    while let Some(batch) = batches.try_next().await? {
        let mut offer = |row: &HistoryRow<'_>| {
            let unit = journal.units.number(row.unit).map(|unit| journal.units.facts(unit));
            let in_force =
                |visible: Instant| row.event.max(row.created).max(visible.micros()) <= cut.micros();
            // A row that was replaced hides nothing, for not every rule sees it.
            let hides = |unit: &UnitFacts| in_force(unit.visible) && unit.replaced_at(row.event).is_none();
            if unit.is_some_and(hides) {
                let instants = (row.event, row.created);
                let known = newest.entry(row.key.clone()).or_insert(instants);
                *known = instants.max(*known);
            }
        };
        each_row(&batch, keys, &mut offer).map_err(EngineError::from)?;
    }
    drop(batches);
    let (of_rows, newest) = (keys.to_vec(), Arc::new(newest));
    let choice: RowChoice = Arc::new(move |batch: &RecordBatch| {
        let mut kept = vec![true; batch.num_rows()];
        let mut judge = |row: &HistoryRow<'_>| {
            let hidden = newest.get(row.key).is_some_and(|newest| (row.event, row.created) < *newest);
            kept[row.place] = !hidden;
        };
        each_row(batch, &of_rows, &mut judge)?;
        Ok(BooleanArray::from(kept))
    });
    let old = table.files()?.into_iter().filter(|file| file.rows > 0 && file.day <= cut.day()).collect();
    let ranks = journal.ranks(!view.aggregates());
    let touched = table.files_touched(old, &names, &ranks, choice.clone()).await?;
    if touched.is_empty() {
        return Ok(Rewritten::default());
    }
    // Said before the first row goes: an instant that is cut is refused, never answered MISSING.
    table.set_cut(cut).await?;
    Ok(table.rewrite_files(touched, &ranks, choice).await?)
}

/// What is looked at of a row of history.
struct HistoryRow<'a> {
    /// Its place in the batch.
    place: usize,
    key: &'a EncodedKey,
    event: i64,
    created: i64,
    unit: &'a str,
}

fn each_row(
    batch: &RecordBatch,
    keys: &[JoinKey],
    with: &mut dyn FnMut(&HistoryRow<'_>),
) -> Result<(), ArrowError> {
    let column = |name: &str| {
        let missing = || ArrowError::SchemaError(format!("history rows have no column `{name}`"));
        batch.column_by_name(name).ok_or_else(missing)
    };
    let events = column(EVENT)?.as_primitive::<TimestampMicrosecondType>().values();
    let createds = column(CREATED)?.as_primitive::<TimestampMicrosecondType>().values();
    let units = column(UNIT)?.as_string::<i32>();
    let columns = keys.iter().map(|key| Ok((column(&key.name)?, key.value_type)));
    let columns = KeyColumns::new(columns.collect::<Result<Vec<_>, ArrowError>>()?);
    let mut key = EncodedKey::new();
    for place in 0..batch.num_rows() {
        if columns.encode(place, &mut key) {
            let (event, created, unit) = (events[place], createds[place], units.value(place));
            with(&HistoryRow { place, key: &key, event, created, unit });
        }
    }
    Ok(())
}
