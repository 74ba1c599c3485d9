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

    /// Publishes the rows of the packs, one pack after the other.
    ///
    /// # Errors
    /// The first failure of reading or publishing; a file that changed meanwhile.
    pub async fn read(&mut self, packs: &[Pack]) -> Result<(), StoreError> {
        for pack in packs {
            self.read_pack(pack).await?;
        }
        Ok(())
    }

    /// Publishes the rows of a pack, then marks its files as read.
    async fn read_pack(&mut self, pack: &Pack) -> Result<(), StoreError> {
        let mut rows = UnitRows::default();
        let mut ordinal = 0;
        for (file, fingerprint) in &pack.files {
            // A row is set aside with its file, which is read again unless the whole of it was published.
            let mut bad = self.quarantine.of_file(&fingerprint.hash);
            let mut left = fingerprint.size;
            let mut lacking: Option<Vec<usize>> = None;
            for batch in source::open(&self.what, file, self.admission.columns())? {
                if !self.progress.wanted() {
                    return Err(StoreError::Stopped);
                }
                let raw = batch?;
                let admitted = self.admission.admit(&raw)?;
                self.load.count_rows(&raw, &admitted);
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
                    self.publish(pack, ordinal, std::mem::take(&mut rows)).await?;
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
        if rows.is_empty() {
            return Ok(());
        }
        let outcome = self.target.publish_unit(&unit, rows, &self.note, pack.record()).await?;
        self.load.count_unit(&outcome);
        Ok(())
    }
}
