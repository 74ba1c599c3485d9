//! From the log to views: what is durable and was not folded yet, in order.

use std::path::Path;
use std::sync::Arc;

use asof_engine::source::pushed::batch_of;
use asof_log::Log;
use asof_model::plan::Catalog;
use asof_model::spec::{Source, View};
use serde_json::json;

use super::{admission, takes_pushes};
use crate::journal::{Note, Pushed};
use crate::materialize::{Quarantine, Target, UnitRows, finish_units};
use crate::{Progress, Store, StoreError};

/// Bytes of the log that are read at a time.
const READ_BYTES: usize = 8 << 20;

/// What a fold came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folded {
    /// Rows that were published, over all views.
    pub rows: u64,
    /// Rows that a view could not take, and that were set aside.
    pub bad: u64,
    /// The log position up to which everything is folded.
    pub position: u64,
}

impl Store {
    /// Folds everything that is durable in the log into the views over its sources. Nothing where nobody ever pushed.
    ///
    /// # Errors
    /// Those of the log, of history and of the online store. What was published until then stays, and the next fold goes on
    /// from there.
    pub async fn fold_pushed(&self, progress: &dyn Progress) -> Result<Folded, StoreError> {
        if !self.project().log_path().exists() {
            return Ok(Folded::default());
        }
        let _turn = self.turn(progress).await?;
        self.fold_in_turn().await
    }

    /// The same by whoever has the turn.
    pub(crate) async fn fold_in_turn(&self) -> Result<Folded, StoreError> {
        if !self.project().log_path().exists() {
            return Ok(Folded::default());
        }
        let log = self.log().await?;
        let catalog = self.applied_catalog().await?;
        let durable = log.durable();
        let mut folded = Folded { position: durable, ..Folded::default() };
        for view in catalog.definitions.views.values().filter(|view| !view.in_place) {
            let Some(source) = catalog.definitions.sources.get(&view.source) else { continue };
            if takes_pushes(source) {
                self.fold_view(&catalog, source, view, (&log, durable), &mut folded).await?;
            }
        }
        if durable > 0 {
            log.folded(durable)?;
        }
        Ok(folded)
    }

    async fn fold_view(
        &self,
        catalog: &Catalog,
        source: &Source,
        view: &View,
        (log, durable): (&Arc<Log>, u64),
        done: &mut Folded,
    ) -> Result<(), StoreError> {
        let known = self.folded_to(catalog, view);
        if known == Some(durable) || durable == 0 {
            return Ok(());
        }
        let mut next = known.unwrap_or(0).max(log.first().saturating_sub(1)) + 1;
        let mut target: Option<Target<'_>> = None;
        if known.is_none() {
            // What was folded before this process began stands in the journal.
            let mut opened = self.open_target(catalog, view).await?;
            finish_units(self, &mut opened).await?;
            next = next.max(opened.journal().await?.pushed_to + 1);
            target = Some(opened);
        }
        let admission = admission(catalog, source, view)?;
        let noted = self.noted_erasures().await?;
        let erased = noted.as_ref().map(|noted| noted.of_view(&catalog.definitions, view, source));
        let origin = format!("pushes to `{}`", source.name);
        let mut rows = UnitRows::default();
        let (mut first, mut bad) = (None, Vec::new());
        while next <= durable {
            for record in log.read(next, READ_BYTES)? {
                if record.first > durable {
                    // It came meanwhile, and is the next fold's.
                    break;
                }
                let last = record.last();
                // A batch is folded whole, or not at all.
                if record.topic == source.name && next <= record.first {
                    let raw = batch_of(Path::new(&origin), &record.entries, admission.columns());
                    let mut admitted = admission.admit_pushed(&raw, record.admitted)?;
                    if let Some(erased) = &erased {
                        admitted.rows = erased.leave_out(admitted.rows, &origin)?.0;
                    }
                    bad.append(&mut admitted.bad);
                    first.get_or_insert(record.first);
                    rows.add(&raw, admitted.rows);
                }
                next = last + 1;
                if rows.is_full() {
                    break;
                }
            }
            if (rows.is_full() || next > durable)
                && let Some(first) = first.take()
            {
                if target.is_none() {
                    target = Some(self.open_target(catalog, view).await?);
                }
                let Some(target) = &mut target else { continue };
                let unit_rows = std::mem::take(&mut rows);
                let count = unit_rows.len() as u64;
                let range = (first, next - 1);
                if !bad.is_empty() {
                    done.bad += bad.len() as u64;
                    let folder = self.project().quarantine_path().join(target.table_name());
                    let mut quarantine = Quarantine::new(folder);
                    let mut aside = quarantine.of_file(&format!("push-{}-{}", range.0, range.1));
                    aside.add(&bad)?;
                    quarantine.keep(aside)?;
                    bad.clear();
                }
                if !unit_rows.is_empty() {
                    let pushed = Pushed { from: range.0, to: range.1, stays: target.holds_events() };
                    let features = view.stored().len();
                    let note = Note::Rows { features, bulk: Vec::new(), pushed: Some(pushed) };
                    // Positions in names, so that units of one table never meet.
                    let unit = format!("push-{:020}-{:020}", range.0, range.1);
                    target.publish_unit(&unit, unit_rows, &note, json!({ "log": range })).await?;
                    done.rows += count;
                }
            }
        }
        self.set_folded(catalog, view, next - 1);
        Ok(())
    }
}
