//! Reads the files of a load, cuts their rows into units, and publishes one after the other.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use asof_engine::source::{Admission, Admitted};
use asof_model::Instant;
use asof_training::join::Interval;

use super::ViewLoad;
use super::inputs::{Pack, Scope};
use super::quarantine::Quarantine;
use super::replace::{Gathered, event_range};
use super::unit::{Target, UnitRows};
use crate::forget::Erased;
use crate::journal::Note;
use crate::{Progress, StoreError};

/// A replacement whose rows are on their way to history.
pub struct Staged {
    /// The rows.
    pub rows: Gathered,
    /// The units that hold them.
    pub units: Vec<String>,
    /// How many rows those hold.
    pub rows_held: u64,
    /// An instant that is not after the stamp to come, nor before any earlier one.
    at: Instant,
}

impl Staged {
    /// Nothing yet. `at`: an instant that is not after the stamp to come.
    pub fn new(at: Instant) -> Self {
        Self { rows: Gathered::new(at), units: Vec::new(), rows_held: 0, at }
    }
}

/// A load of one range under way.
pub struct Loading<'a, 't> {
    /// Where rows go.
    pub target: &'a mut Target<'t>,
    /// Whose files they are, for messages.
    pub what: &'a str,
    /// How rows of the range are admitted.
    pub admission: Admission,
    /// The range of events.
    pub range: Interval,
    /// See [`Target::scope`].
    pub generation: &'a str,
    /// What each unit says of itself.
    pub note: Note,
    /// Where rows of a replacement are gathered. `None`: units become visible one after the other.
    pub staged: Option<&'a mut Staged>,
    /// Where bad rows go.
    pub quarantine: &'a mut Quarantine,
    /// What was erased. `None`: nothing ever was.
    pub erased: Option<&'a Erased<'a>>,
    /// What is counted.
    pub load: &'a mut ViewLoad,
    /// Who listens.
    pub progress: &'a dyn Progress,
}

impl Loading<'_, '_> {
    /// Publishes the rows of the packs, one pack after the other.
    ///
    /// # Errors
    /// The first failure of reading or publishing; a file that changed meanwhile.
    pub async fn read(mut self, packs: &[Pack]) -> Result<(), StoreError> {
        let scope = self.target.scope(self.range, self.generation);
        for pack in packs {
            self.read_pack(&scope, pack).await?;
            // The files of a replacement are read once all of it is visible.
            if self.staged.is_none() {
                self.target.mark_files(self.range, pack).await?;
            }
        }
        Ok(())
    }

    /// Publishes the rows of a pack.
    async fn read_pack(&mut self, scope: &Scope, pack: &Pack) -> Result<(), StoreError> {
        let mut rows = UnitRows::default();
        let mut ordinal = 0;
        for (file, fingerprint) in &pack.files {
            // A row is set aside with its file, which is read again unless the whole of it was published.
            let mut bad = self.quarantine.of_file(&fingerprint.hash);
            let mut left = fingerprint.size;
            let mut lacking: Option<Vec<usize>> = None;
            for batch in file.open(self.what, self.admission.columns(), self.range)? {
                if !self.progress.wanted() {
                    return Err(StoreError::Stopped);
                }
                let raw = batch?;
                let mut admitted = self.admission.admit(&raw)?;
                self.load.count_rows(&raw, &admitted);
                self.leave_out(&mut admitted, &fingerprint.hash)?;
                // Lacking in a file is what no batch of it has.
                lacking = Some(match lacking {
                    Some(known) => known.into_iter().filter(|place| raw.lacking.contains(place)).collect(),
                    None => raw.lacking.clone(),
                });
                bad.add(&admitted.bad)?;
                rows.add(&raw, admitted.rows);
                if rows.is_full() {
                    // A unit is named by the content that was identified: it must be what was read.
                    file.check_unchanged(fingerprint)?;
                    self.publish(scope, pack, ordinal, std::mem::take(&mut rows)).await?;
                    ordinal += 1;
                }
                // The reader does not say where in the file it is; rows say it well enough.
                let step = raw.approximate_bytes().min(left);
                left -= step;
                self.progress.advance(self.target.name(), step);
            }
            for place in lacking.unwrap_or_default() {
                self.load.lacks(&self.admission.columns()[place].name, &fingerprint.path);
            }
            self.progress.advance(self.target.name(), left);
            file.check_unchanged(fingerprint)?;
            self.quarantine.keep(bad)?;
        }
        self.publish(scope, pack, ordinal, rows).await
    }

    /// Leaves out what was erased: it was counted as read, and goes no further.
    fn leave_out(&mut self, admitted: &mut Admitted, file: &str) -> Result<(), StoreError> {
        let Some(erased) = self.erased else { return Ok(()) };
        let rows = std::mem::replace(&mut admitted.rows, RecordBatch::new_empty(Schema::empty().into()));
        let (rows, left_out) = erased.leave_out(rows, erased.read_first(file))?;
        let (bad, bad_left_out) = erased.leave_out_bad(std::mem::take(&mut admitted.bad));
        (admitted.rows, admitted.bad) = (rows, bad);
        self.load.rows_erased += left_out + bad_left_out;
        // It was counted as bad; it is not set aside.
        self.load.rows_bad -= bad_left_out;
        Ok(())
    }

    async fn publish(
        &mut self,
        scope: &Scope,
        pack: &Pack,
        ordinal: u64,
        rows: UnitRows,
    ) -> Result<(), StoreError> {
        let unit = pack.unit_name(scope, ordinal);
        if rows.is_empty() {
            return Ok(());
        }
        let outcome = match &mut self.staged {
            None => self.target.publish_unit(&unit, rows, &self.note, pack.record()).await?,
            Some(staged) => {
                let replaced = (&mut staged.rows, event_range(self.range));
                // What is judged anew, after a kill, may come out otherwise.
                let unit = match self.target.judges() {
                    true => format!("{unit}-{}", staged.at.micros()),
                    false => unit,
                };
                let outcome = self.target.stage_unit(&unit, rows, pack.record(), replaced).await?;
                staged.rows_held += outcome.rows_held;
                if outcome.rows_held > 0 {
                    staged.units.push(unit);
                }
                outcome
            }
        };
        self.load.count_unit(&outcome);
        Ok(())
    }
}
