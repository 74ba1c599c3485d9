//! From views to history: what is folded comes into history in batches, many units at a time, so that history has few and
//! large files. Each row says when it became visible.
//!
//! Rows are committed to history; then the journal beside history says so; then the units that waited are settled in the
//! online store; then the log may forget them. A crash between any two of these is finished by
//! [`finish_units`](crate::materialize).

use std::time::Duration;

use arrow::array::RecordBatch;
use asof_log::Log;
use asof_model::Instant;
use asof_offline::JournalEntry;
use asof_online::UnitStamp;
use asof_training::join::pushed_unit;
use serde_json::json;
use tokio::sync::MutexGuard;

use super::fold::{Admit, READ_BYTES};
use super::views::{PushedView, PushedViews};
use crate::journal::{Note, Pushed};
use crate::verdicts::{Judging, judge_rows};
use crate::{Store, StoreError};

/// Rows of a view that wait for history after which they need not wait longer.
const FLUSH_ROWS: u64 = 200_000;
/// How long a row waits for history where few come.
const FLUSH_AGE: Duration = Duration::from_secs(10);
/// Rows that come into history in one commit: they are in memory together.
const COMMIT_ROWS_MAX: u64 = 1_000_000;

/// Which rows are brought into history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Those of views of which enough wait, or one for long.
    Due,
    /// All that is folded.
    All,
}

/// A unit that waits.
struct Waiting {
    features: usize,
    from: u64,
    to: u64,
    visible: Instant,
    rows: u64,
}

impl Store {
    /// Brings rows into history that are folded and not there yet. Returns how many, over all views.
    ///
    /// # Errors
    /// Those of the log, of history and of the online store. What is not in history stays in the log.
    pub async fn flush_pushed(&self, which: Flush) -> Result<u64, StoreError> {
        if !self.project().log_path().exists() {
            return Ok(0);
        }
        let _one = self.pushes().flushing.lock().await;
        let log = self.log().await?;
        let views = self.pushed_views().await?;
        let (mut rows, mut flushed_to, mut failed) = (0, None, None);
        for view in &views.views {
            let table = &view.rows.table_name;
            let due = match which {
                Flush::All => true,
                Flush::Due => self
                    .pushes()
                    .waits(table)
                    .is_some_and(|(rows, since)| rows >= FLUSH_ROWS || since.elapsed() >= FLUSH_AGE),
            };
            if due {
                match self.flush_view(&views, view, &log).await {
                    Ok(done) => rows += done,
                    Err(error) => {
                        // The others go on; the log keeps what this one needs.
                        self.pushes().forget(table);
                        failed.get_or_insert(error);
                    }
                }
            }
            // In this order: what is folded in between waits, and is not seen among what waits.
            let folded_to = self.pushes().folded_to(table);
            let first = self.waiting(view).await?.first().map(|unit| unit.from - 1);
            let of_view = first.or(folded_to).unwrap_or(0);
            flushed_to = Some(flushed_to.map_or(of_view, |before: u64| before.min(of_view)));
        }
        // Where no view takes pushes any more, nobody wants what is there.
        let flushed_to = flushed_to.unwrap_or_else(|| log.durable());
        if flushed_to > 0 {
            log.folded(flushed_to)?;
        }
        failed.map_or(Ok(rows), Err)
    }

    /// Folds all that is durable and brings it into history.
    ///
    /// # Errors
    /// As [`Store::fold_pushed`] and [`Store::flush_pushed`].
    pub async fn settle_pushed(&self) -> Result<(), StoreError> {
        self.fold_pushed().await?;
        self.flush_pushed(Flush::All).await?;
        Ok(())
    }

    /// Brings all that was pushed into history; nothing more is folded while the guard lives.
    ///
    /// # Errors
    /// As [`Store::settle_pushed`].
    pub(crate) async fn hold_pushes(&self) -> Result<MutexGuard<'_, ()>, StoreError> {
        let held = self.pushes().folding.lock().await;
        self.fold_alone().await?;
        self.flush_pushed(Flush::All).await?;
        Ok(held)
    }

    /// The units of a view that wait for history, in order.
    async fn waiting(&self, view: &PushedView) -> Result<Vec<Waiting>, StoreError> {
        let stamps = self.online().await?.waiting(view.handle).await?;
        let read = |stamp: UnitStamp| match Note::read(&stamp.note)? {
            Note::Waiting { features, from, to } => {
                Ok(Waiting { features, from, to, visible: stamp.visible, rows: stamp.rows })
            }
            _ => Err(StoreError::Corrupt(format!(
                "unit `{}` waits for history and says otherwise",
                stamp.unit
            ))),
        };
        stamps.into_iter().map(read).collect()
    }

    async fn flush_view(&self, of: &PushedViews, view: &PushedView, log: &Log) -> Result<u64, StoreError> {
        // What a process before this one left half done comes first.
        self.folded_to(of, view).await?;
        let (mut waiting, mut done) = (self.waiting(view).await?, 0);
        while let Some(first) = waiting.first() {
            let mut rows = 0;
            let fits = |unit: &&Waiting| {
                rows += unit.rows;
                unit.features == first.features && (rows <= COMMIT_ROWS_MAX || unit.from == first.from)
            };
            let count = waiting.iter().take_while(fits).count();
            let rest = waiting.split_off(count);
            done += self.flush_units(of, view, log, &waiting).await?;
            waiting = rest;
        }
        Ok(done)
    }

    /// Brings units of equal features into history, in one commit.
    async fn flush_units(
        &self,
        of: &PushedViews,
        view: &PushedView,
        log: &Log,
        units: &[Waiting],
    ) -> Result<u64, StoreError> {
        let (Some(first), Some(last)) = (units.first(), units.last()) else { return Ok(0) };
        let (from, to, features) = (first.from, last.to, first.features);
        let mut batches = Vec::new();
        for unit in units {
            let found = match self.pushes().part(&view.rows.table_name, unit.from, unit.to) {
                Some(batches) => batches,
                None => self.read_again(of, view, log, unit).await?,
            };
            let rows: usize = found.iter().map(RecordBatch::num_rows).sum();
            if rows as u64 != unit.rows {
                return Err(StoreError::Corrupt(format!(
                    "{} rows of `{}` became readable from positions {} to {} of the log, and {rows} are read there now",
                    unit.rows, view.rows.name, unit.from, unit.to
                )));
            }
            let name = pushed_unit(unit.visible, features);
            for batch in &found {
                // A feature that was added since is not in them.
                let carried = view.rows.carrying(batch, features)?;
                batches.push(view.rows.history_rows(&carried, &name)?);
            }
        }
        let rows = units.iter().map(|unit| unit.rows).sum();
        let stays = view.rows.holds_events();
        let pushed = Pushed { from, to, stays, since: Some(first.visible.micros()) };
        let note = Note::Rows { features, bulk: Vec::new(), pushed: Some(pushed) };
        let name = format!("push-{from:020}-{to:020}");
        let mut target = self.open_target(&of.catalog, &view.view).await?;
        let record = json!({ "note": &note, "files": { "log": (from, to) } });
        let appended = target.table.append_parted(&name, &batches, record).await?;
        let entry = JournalEntry {
            table: view.rows.table_name.clone(),
            unit: name,
            visible: last.visible,
            position: appended.version,
            rows,
            note: note.to_text(),
        };
        target.settle(entry).await?;
        self.pushes().flushed(&view.rows.table_name, to, rows);
        Ok(rows)
    }

    /// The rows of a unit, from the log.
    async fn read_again(
        &self,
        of: &PushedViews,
        view: &PushedView,
        log: &Log,
        unit: &Waiting,
    ) -> Result<Vec<RecordBatch>, StoreError> {
        let noted = self.noted_erasures().await?;
        let admit = Admit { of, view, noted: noted.as_ref() };
        let (mut batches, mut next) = (Vec::new(), unit.from);
        while next <= unit.to {
            let records = log.read(next, READ_BYTES)?;
            for record in records.iter().take_while(|record| record.first <= unit.to) {
                if view.takes(&record.topic) {
                    batches.push(admit.rows(record)?.0);
                }
            }
            next = match records.last() {
                Some(last) => last.last() + 1,
                None => break,
            };
        }
        if view.rows.judges() {
            let carried = batches.iter().map(|batch| view.rows.carrying(batch, unit.features));
            batches = carried.collect::<Result<_, _>>()?;
            // As they were judged then.
            let judging = Judging { in_order: true, before: Some(unit.visible), ..Judging::default() };
            let of = (view.handle, &view.rows);
            batches = judge_rows(self.online().await?, of, batches, judging).await?.batches;
        }
        Ok(batches)
    }
}
