//! Reads the files of a load, cuts their rows into units, and publishes one after the other.

use std::path::PathBuf;

use asof_engine::join::Interval;
use asof_engine::source::{self, Admission};

use super::ViewLoad;
use super::inputs::{Pack, Scope};
use super::quarantine::Quarantine;
use super::unit::{Target, UnitRows};
use crate::journal::Note;
use crate::{Progress, StoreError};

/// A load under way.
pub struct Loading<'a, 't> {
    target: &'a mut Target<'t>,
    /// Whose files they are, for messages.
    what: String,
    admission: Admission,
    range: Interval,
    scope: Scope,
    /// What each unit says of itself.
    note: Note,
    quarantine: Quarantine,
    load: &'a mut ViewLoad,
    progress: &'a dyn Progress,
}

impl<'a, 't> Loading<'a, 't> {
    /// A load of `range` into `target`, which counts in `load` and sets rows aside in `quarantine`.
    #[expect(clippy::too_many_arguments, reason = "the parts of a load, named where it begins")]
    pub fn new(
        target: &'a mut Target<'t>,
        what: String,
        admission: Admission,
        range: Interval,
        note: Note,
        quarantine: PathBuf,
        load: &'a mut ViewLoad,
        progress: &'a dyn Progress,
    ) -> Self {
        let scope = target.scope(range);
        Self {
            target,
            what,
            admission,
            range,
            scope,
            note,
            quarantine: Quarantine::new(quarantine),
            load,
            progress,
        }
    }

    /// Publishes the rows of a pack, then marks its files as read.
    ///
    /// # Errors
    /// The first failure of reading or publishing; a file that changed meanwhile.
    pub async fn read_pack(&mut self, pack: &Pack) -> Result<(), StoreError> {
        let mut rows = UnitRows::default();
        let mut ordinal = 0;
        for (file, fingerprint) in &pack.files {
            let mut left = fingerprint.size;
            for batch in source::open(&self.what, file, self.admission.columns())? {
                let raw = batch?;
                let admitted = self.admission.admit(&raw)?;
                self.load.count(&raw, &admitted);
                rows.add(&raw, admitted);
                if rows.is_full() {
                    // A unit is named by the content that was identified: it must be what was read.
                    file.check_unchanged(fingerprint)?;
                    self.publish(pack, ordinal, std::mem::take(&mut rows)).await?;
                    ordinal += 1;
                }
                // The reader does not say where in the file it is; rows say it well enough.
                let step = raw.approximate_bytes().min(left);
                left -= step;
                self.progress.advance(step);
            }
            self.progress.advance(left);
            file.check_unchanged(fingerprint)?;
        }
        self.publish(pack, ordinal, rows).await?;
        let Interval { from, until } = self.range;
        let semantic_hash = self.target.semantic_hash().to_owned();
        self.target.mark(&Note::Files { semantic_hash, from, until, hashes: pack.hashes() }).await
    }

    /// Where rows were set aside, if any were.
    pub fn quarantined(&self) -> Option<PathBuf> {
        self.quarantine.folder()
    }

    async fn publish(&mut self, pack: &Pack, ordinal: u64, rows: UnitRows) -> Result<(), StoreError> {
        let unit = pack.unit_name(&self.scope, ordinal);
        // First, so that a crash can't lose them: a row is set aside before the rows around it are published.
        self.quarantine.write(&unit, rows.bad())?;
        if rows.is_empty() {
            return Ok(());
        }
        let outcome = self.target.publish_unit(&unit, rows, &self.note, pack.record()).await?;
        let load = &mut *self.load;
        load.rows_written += outcome.rows_written;
        load.rows_online += outcome.rows_online;
        load.conflicts += outcome.conflicts;
        load.waiting = load.waiting.max(outcome.waiting);
        load.waiting_overflowed = load.waiting_overflowed.max(outcome.waiting_overflowed);
        if outcome.already {
            load.units_already += 1;
        } else {
            load.units_published += 1;
        }
        Ok(())
    }
}
