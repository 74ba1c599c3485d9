//! From the log to views: what is durable and was not folded yet, in order. It is readable at once; history follows
//! ([`super::flush`]).

use std::path::Path;

use arrow::array::RecordBatch;
use asof_engine::source::BadRow;
use asof_engine::source::pushed::batch_of;
use asof_log::{Log, Record};
use asof_model::Instant;
use asof_online::{EventRule, Publication};
use bytes::Bytes;

use super::fresh::OfView;
use super::origin_of;
use super::views::{Part, PushedView, PushedViews};
use crate::forget::Noted;
use crate::journal::Note;
use crate::materialize::{Quarantine, refuse_large};
use crate::verdicts::{Judging, judge_rows};
use crate::{Store, StoreError};

/// Bytes of the log that are read at a time.
pub(super) const READ_BYTES: usize = 8 << 20;

/// Rows after which a unit is cut: they become readable together.
const UNIT_ROWS: u64 = 50_000;

/// Units that are folded into one view before the others have their turn.
const TURN_UNITS: usize = 4;

/// What a fold came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Folded {
    /// Rows that became readable, over all views.
    pub rows: u64,
    /// Rows that a view could not take, and that were set aside.
    pub bad: u64,
    /// The log position up to which everything is folded.
    pub position: u64,
}

impl Store {
    /// Folds everything that is durable in the log into the views over its sources: when it returns it is served. Nothing
    /// where nobody ever pushed.
    ///
    /// # Errors
    /// Those of the log, of history and of the online store. What was published until then stays, and the next fold goes on
    /// from there.
    pub async fn fold_pushed(&self) -> Result<Folded, StoreError> {
        if !self.project().log_path().exists() {
            return Ok(Folded::default());
        }
        let _one = self.pushes().folding.lock().await;
        self.fold_alone().await
    }

    /// Sees to it that views have all that was pushed before they answer: those that were defined since, and what a process
    /// before this one took and did not fold.
    ///
    /// # Errors
    /// As [`Store::fold_pushed`], where one of these views lacks something.
    pub(crate) async fn fold_before_serving<'t>(
        &self,
        tables: impl Iterator<Item = &'t str>,
    ) -> Result<(), StoreError> {
        if !self.project().log_path().exists() {
            return Ok(());
        }
        let mut lacking: Vec<&str> = tables.filter(|table| !self.pushes().is_ready(table)).collect();
        if lacking.is_empty() {
            return Ok(());
        }
        // A view that takes no pushes lacks none.
        let views = self.pushed_views().await?;
        lacking.retain(|table| views.views.iter().any(|view| view.rows.table_name == *table));
        if lacking.is_empty() {
            return Ok(());
        }
        let folded = self.fold_pushed().await;
        match lacking.iter().all(|table| self.pushes().is_ready(table)) {
            true => Ok(()),
            // Another view that can't go on is not theirs to tell.
            false => folded.map(drop),
        }
    }

    /// The same by whoever folds alone.
    pub(crate) async fn fold_alone(&self) -> Result<Folded, StoreError> {
        if !self.project().log_path().exists() {
            return Ok(Folded::default());
        }
        let log = self.log().await?;
        let views = self.pushed_views().await?;
        let wanted = log.durable();
        let mut folded = Folded { position: wanted, ..Folded::default() };
        let mut failed = None;
        let mut views_left: Vec<&PushedView> = views.views.iter().collect();
        let mut behind = views_left.len();
        // In turns, so that a view that begins with all that was pushed ever does not hold up the others.
        while behind > 0 {
            let durable = log.durable();
            let mut going_on = Vec::with_capacity(views_left.len());
            behind = 0;
            for view in views_left {
                let table = &view.rows.table_name;
                match self.fold_view(&views, view, (&log, durable), &mut folded).await {
                    Ok(position) => {
                        going_on.push(view);
                        match position >= wanted {
                            true => self.pushes().set_ready(table),
                            false => behind += 1,
                        }
                    }
                    // One view that can't go on does not hold up the others.
                    Err(error) => {
                        self.pushes().forget(table);
                        failed.get_or_insert(error);
                    }
                }
            }
            views_left = going_on;
        }
        self.pushes().fresh.forget_to(wanted);
        failed.map_or(Ok(folded), Err)
    }

    /// Folds what is durable into a view, at most [`TURN_UNITS`] units of it. Returns how far it came.
    async fn fold_view(
        &self,
        of: &PushedViews,
        view: &PushedView,
        (log, durable): (&Log, u64),
        done: &mut Folded,
    ) -> Result<u64, StoreError> {
        let known = match self.pushes().folded_to(&view.rows.table_name) {
            Some(known) => known,
            None => {
                // What is finished must not be on its way to history.
                let _flushing = self.pushes().flushing.lock().await;
                self.folded_to(of, view).await?
            }
        };
        if known >= durable {
            return Ok(known);
        }
        let noted = self.noted_erasures().await?;
        let admit = Admit { of, view, noted: noted.as_ref() };
        let mut next = known + 1;
        if next < log.first() {
            // It begins with the archive, or with what is left of it.
            next = next.max(log.oldest()?);
        }
        let mut units = 0;
        while next <= durable && units < TURN_UNITS {
            units += 1;
            let (mut first, mut bad) = (None, Vec::new());
            let mut part = Part { from: next, to: next, batches: Vec::new() };
            while let Some((last, admitted, of_view)) =
                self.pushes().fresh.at(next, of.catalog.revision, &view.rows.table_name)
                && last <= durable
                && part.rows() < UNIT_ROWS
            {
                if let Some(OfView { rows, bad: of_batch }) = of_view {
                    let (rows, of_batch) = admit.not_erased(rows, of_batch, admitted)?;
                    bad.extend(of_batch);
                    first.get_or_insert(next);
                    part.batches.extend(Some(rows).filter(|rows| rows.num_rows() > 0));
                }
                next = last + 1;
            }
            let read = match first {
                // What follows is read when the log is all there is.
                Some(_) => Vec::new(),
                None => log.read(next, READ_BYTES)?,
            };
            for record in read {
                if record.first > durable {
                    // It came meanwhile, and is the next fold's.
                    break;
                }
                // A batch is folded whole, or not at all.
                if view.takes(&record.topic) && next <= record.first {
                    let (rows, of_record) = admit.rows(&record)?;
                    bad.extend(of_record);
                    first.get_or_insert(record.first);
                    part.batches.extend(Some(rows).filter(|rows| rows.num_rows() > 0));
                }
                next = record.last() + 1;
                if part.rows() >= UNIT_ROWS {
                    break;
                }
            }
            if let Some(first) = first {
                (part.from, part.to) = (first, next - 1);
                done.bad += bad.len() as u64;
                self.set_aside(view, &part, &bad)?;
                done.rows += self.publish_part(view, part).await?;
            }
            self.pushes().set_folded(&view.rows.table_name, next - 1);
        }
        Ok(next - 1)
    }

    /// Keeps the rows that a view can't take.
    fn set_aside(&self, view: &PushedView, part: &Part, bad: &[BadRow]) -> Result<(), StoreError> {
        if bad.is_empty() {
            return Ok(());
        }
        let mut quarantine = Quarantine::new(self.project().quarantine_path().join(&view.rows.table_name));
        let mut aside = quarantine.of_file(&format!("push-{}-{}", part.from, part.to));
        aside.add(bad)?;
        quarantine.keep(aside)
    }

    /// Makes the rows of a part readable, as one unit. Returns how many they are.
    async fn publish_part(&self, view: &PushedView, mut part: Part) -> Result<u64, StoreError> {
        let PushedView { rows: of, handle, .. } = view;
        let mut _until_remembered = None;
        if of.judges() {
            _until_remembered = Some(self.judging().lock().await);
            let judging = Judging { in_order: true, ..Judging::default() };
            let judged = judge_rows(self.online().await?, (*handle, of), part.batches, judging).await?;
            part.batches = judged.batches;
        }
        let count = part.rows();
        if count == 0 {
            return Ok(0);
        }
        let mut rows = Vec::with_capacity(count as usize);
        for batch in &part.batches {
            of.incoming_rows(batch, of.stored.len(), &mut rows)?;
        }
        refuse_large(&rows)?;
        let note = Note::Waiting { features: of.stored.len(), from: part.from, to: part.to };
        let publication = Publication {
            view: *handle,
            layout: &of.layout,
            // Positions in names, so that units of one table never meet.
            unit: &format!("waits-{:020}-{:020}", part.from, part.to),
            // History does not hold it yet.
            position: 0,
            note: &note.to_text(),
            created_declared: of.created_declared,
            active_within: of.active_within,
            visible: None,
            replaces: None,
            events: of.events.map(|rule| EventRule { pushed: true, ..rule }),
            waits: true,
            rows,
        };
        self.online().await?.publish(publication).await?;
        self.pushes().add(&of.table_name, part);
        Ok(count)
    }
}

/// How entries of the log become rows of a view.
pub(super) struct Admit<'a> {
    pub of: &'a PushedViews,
    pub view: &'a PushedView,
    pub noted: Option<&'a Noted>,
}

impl Admit<'_> {
    /// The rows of a batch for it, and those that the view can't take; both but for those that were erased.
    pub fn rows(&self, record: &Record) -> Result<(RecordBatch, Vec<BadRow>), StoreError> {
        let PushedView { source, admission, .. } = self.view;
        // An entry that was erased in the log is empty.
        let there: Vec<&Bytes> = record.entries.iter().filter(|entry| !entry.is_empty()).collect();
        let raw = batch_of(Path::new(&origin_of(source)), &there, admission.columns());
        let admitted = admission.admit_pushed(&raw, record.admitted)?;
        self.not_erased(admitted.rows, admitted.bad, record.admitted)
    }

    fn not_erased(
        &self,
        rows: RecordBatch,
        bad: Vec<BadRow>,
        admitted: Instant,
    ) -> Result<(RecordBatch, Vec<BadRow>), StoreError> {
        let Some(noted) = self.noted else { return Ok((rows, bad)) };
        let PushedView { view, source, .. } = self.view;
        let erased = noted.of_view(&self.of.catalog.definitions, view, source);
        Ok((erased.leave_out(rows, Some(admitted))?.0, erased.leave_out_bad(bad).0))
    }
}
