//! From the log to views: what is durable and was not folded yet, in order. It is readable at once; history follows
//! ([`super::flush`]).

use std::path::Path;

use arrow::array::RecordBatch;
use asof_engine::source::BadRow;
use asof_engine::source::pushed::batch_of;
use asof_log::{Log, Record};
use asof_online::{EventRule, Publication};

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

    /// The same by whoever folds alone.
    pub(crate) async fn fold_alone(&self) -> Result<Folded, StoreError> {
        if !self.project().log_path().exists() {
            return Ok(Folded::default());
        }
        let log = self.log().await?;
        let views = self.pushed_views().await?;
        let durable = log.durable();
        let mut folded = Folded { position: durable, ..Folded::default() };
        for view in &views.views {
            let done = self.fold_view(&views, view, (&log, durable), &mut folded).await;
            done.inspect_err(|_| self.pushes().forget(&view.rows.table_name))?;
        }
        self.pushes().fresh.forget_to(durable);
        Ok(folded)
    }

    async fn fold_view(
        &self,
        of: &PushedViews,
        view: &PushedView,
        (log, durable): (&Log, u64),
        done: &mut Folded,
    ) -> Result<(), StoreError> {
        let known = self.folded_to(of, view).await?;
        if known >= durable {
            return Ok(());
        }
        let noted = self.noted_erasures().await?;
        let admit = Admit { of, view, noted: noted.as_ref() };
        let mut next = known.max(log.first().saturating_sub(1)) + 1;
        while next <= durable {
            let (mut first, mut bad) = (None, Vec::new());
            let mut part = Part { from: next, to: next, batches: Vec::new() };
            while let Some((last, of_view)) =
                self.pushes().fresh.at(next, of.catalog.revision, &view.rows.table_name)
                && last <= durable
                && part.rows() < UNIT_ROWS
            {
                if let Some(OfView { rows, bad: of_batch }) = of_view {
                    bad.extend(of_batch);
                    first.get_or_insert(next);
                    let rows = admit.not_erased(rows)?;
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
                if record.topic == view.source.name && next <= record.first {
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
        Ok(())
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
    /// The rows of a batch of its source but for those that were erased, and those that the view can't take.
    pub fn rows(&self, record: &Record) -> Result<(RecordBatch, Vec<BadRow>), StoreError> {
        let PushedView { source, admission, .. } = self.view;
        let raw = batch_of(Path::new(&origin_of(source)), &record.entries, admission.columns());
        let admitted = admission.admit_pushed(&raw, record.admitted)?;
        Ok((self.not_erased(admitted.rows)?, admitted.bad))
    }

    /// Admitted rows but for those that were erased.
    fn not_erased(&self, rows: RecordBatch) -> Result<RecordBatch, StoreError> {
        let Some(noted) = self.noted else { return Ok(rows) };
        let PushedView { view, source, .. } = self.view;
        let erased = noted.of_view(&self.of.catalog.definitions, view, source);
        Ok(erased.leave_out(rows, &origin_of(source))?.0)
    }
}
