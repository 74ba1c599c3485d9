//! One publication unit: history first, then the online store, then the copy of its stamp.

use std::path::PathBuf;

use arrow::array::RecordBatch;
use asof_engine::source::{Fingerprint, RAW_BATCH_ROWS, RawBatch};
use asof_model::Instant;
use asof_model::plan::Catalog;
use asof_model::spec::{Repeats, View};
use asof_offline::{Appended, JournalEntry, OfflineStore, Table, TableSpec};
use asof_online::{
    EventRange, EventRule, IncomingRow, OnlineStore, PUBLICATION_BYTES_MAX, PUBLICATION_ROWS_MAX,
    Publication, Replaces, UnitStamp, ViewHandle,
};
use asof_training::join::Interval;
use serde_json::json;
use tokio::sync::Mutex;

use super::inputs::{Pack, Scope};
use super::replace::Gathered;
use super::view_rows::ViewRows;
use crate::journal::{Entry, Note, ViewJournal};
use crate::verdicts::{Judging, judge_rows};
use crate::{Store, StoreError};

/// A unit is cut once it has this many rows.
const UNIT_ROWS: usize = 100_000;

/// A unit is cut once its columns take this many bytes of memory.
const UNIT_BYTES: usize = 128 * 1024 * 1024;

/// The most bytes of files in one note of the journal, below what it takes at once.
const FILES_NOTE_BYTES: usize = 512 * 1024;

/// What a file takes in a note beside its path and its identity, in bytes: names of fields, numbers, a tag.
const FINGERPRINT_BYTES: usize = 256;

/// The version of the program and of its readers, which may cut the same files elsewhere than another one does: a unit's
/// name says it, so that units of two versions are never taken for each other.
const CUT_REVISION: &str = concat!(env!("CARGO_PKG_VERSION"), " batches end with row groups");

// A cut comes after a whole batch, and a publication must still hold it.
const _: () = assert!(UNIT_ROWS + RAW_BATCH_ROWS <= PUBLICATION_ROWS_MAX);

/// The rows of a unit as they are gathered.
#[derive(Default)]
pub struct UnitRows {
    batches: Vec<RecordBatch>,
    raw_rows: usize,
    bytes: usize,
}

impl UnitRows {
    /// Adds the rows that came of a raw batch.
    pub fn add(&mut self, raw: &RawBatch, admitted: RecordBatch) {
        self.raw_rows += raw.rows + raw.broken.len();
        self.bytes += raw.approximate_bytes() as usize;
        if admitted.num_rows() > 0 {
            self.batches.push(admitted);
        }
    }

    /// Whether the unit is to be cut here. Decided by the rows that stand in the files, so that the same files are
    /// always cut alike.
    pub fn is_full(&self) -> bool {
        self.raw_rows >= UNIT_ROWS || self.bytes >= UNIT_BYTES
    }

    /// Whether there is no row to publish.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

/// What a publication came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Rows written to history now.
    pub rows_written: u64,
    /// Rows of a replacement, which wait for it.
    pub rows_held: u64,
    /// Rows that were there already, or twice in the unit.
    pub rows_repeated: u64,
    /// Rows that became the latest of their key, or wait to.
    pub rows_online: u64,
    /// Rows online that no longer stand.
    pub rows_removed: u64,
    /// Rows of keys that are not active: in history only.
    pub rows_inactive: u64,
    /// Units committed.
    pub units: u64,
    /// Conflicts found.
    pub conflicts: u64,
    /// Rows that wait under the touched keys.
    pub waiting: u64,
    /// Of those, in overflow records.
    pub waiting_overflowed: u64,
    /// The unit was published before.
    pub already: bool,
}

impl Outcome {
    /// What the online store says of it.
    pub fn of(published: &asof_online::Published) -> Self {
        Self {
            rows_repeated: published.rows_repeated,
            rows_online: published.rows_added,
            rows_removed: published.rows_removed,
            rows_inactive: published.rows_inactive,
            conflicts: published.conflicts,
            waiting: published.waiting,
            waiting_overflowed: published.overflowed,
            already: published.already,
            ..Self::default()
        }
    }
}

/// Rows to fold into the online store.
pub struct Fold<'a> {
    /// The name of the publication.
    pub unit: &'a str,
    /// The commit of history that it reflects.
    pub position: u64,
    /// What the journal says of it.
    pub note: &'a Note,
    /// Its stamp, where the journal beside history has kept it.
    pub visible: Option<Instant>,
    /// The rows.
    pub rows: Vec<IncomingRow>,
}

/// Where the rows of one view version go.
pub struct Target<'a> {
    /// What its rows are.
    pub(super) of: ViewRows,
    history_path: PathBuf,
    pub(crate) table: Table,
    pub(crate) handle: ViewHandle,
    pub(crate) online: &'a dyn OnlineStore,
    pub(super) offline: &'a OfflineStore,
    judging: &'a Mutex<()>,
}

impl Store {
    /// Opens history and online store for a view version, and creates what is missing.
    pub(crate) async fn open_target<'a>(
        &'a self,
        catalog: &Catalog,
        view: &View,
    ) -> Result<Target<'a>, StoreError> {
        let of = ViewRows::new(catalog, view)?;
        // The online store first: it is what only one process may hold.
        let online = self.online().await?;
        let handle = online.register(&of.table_name).await?;
        let offline = self.offline().await?;
        let spec = TableSpec { name: of.table_name.clone(), schema: of.schema.clone() };
        let table = offline.table(&spec).await?;
        let (history_path, judging) = (self.project().history_path(), self.judging());
        Ok(Target { of, history_path, table, handle, online, offline, judging })
    }
}

impl Target<'_> {
    /// The view in words: what its load is called in progress.
    pub fn name(&self) -> &str {
        &self.of.name
    }

    /// Whether what arrives is judged by its identity.
    pub fn judges(&self) -> bool {
        self.of.judges()
    }

    /// The history table's name.
    pub fn table_name(&self) -> &str {
        &self.of.table_name
    }

    /// The scope of a load of `range`. `generation`: what was replaced before, so that the same file read once more, behind
    /// a replacement that took its rows away, makes new units.
    pub fn scope(&self, range: Interval, generation: &str) -> Scope {
        Scope(format!(
            "{} {} {} {} {generation} {UNIT_ROWS} {UNIT_BYTES} {RAW_BATCH_ROWS} {CUT_REVISION}",
            self.of.table_name, self.of.semantic_hash, range.from, range.until
        ))
    }

    /// The view's journal as the online store holds it.
    pub async fn journal(&self) -> Result<ViewJournal, StoreError> {
        let read = |stamp: UnitStamp| {
            let note = Note::read(&stamp.note)?;
            Ok(Entry { note, unit: stamp.unit, visible: stamp.visible, position: stamp.position })
        };
        let stamps = self.online.journal(self.handle).await?;
        Ok(ViewJournal::new(&stamps.into_iter().map(read).collect::<Result<Vec<_>, StoreError>>()?))
    }

    /// Publishes one unit: to history if it is not there, then to the online store if it is not there.
    pub async fn publish_unit(
        &mut self,
        unit: &str,
        mut rows: UnitRows,
        note: &Note,
        inputs: serde_json::Value,
    ) -> Result<Outcome, StoreError> {
        let (mut repeats, mut _until_remembered) = (0, None);
        if self.of.judges() {
            if self.table.units()?.contains(unit) {
                // It was judged and published before.
                return Ok(Outcome { already: true, ..Outcome::default() });
            }
            _until_remembered = Some(self.judging.lock().await);
            let of = (self.handle, &self.of);
            let judged = judge_rows(self.online, of, rows.batches, Judging::default()).await?;
            (rows.batches, repeats) = (judged.batches, judged.repeats);
            if rows.batches.is_empty() {
                return Ok(Outcome { rows_repeated: repeats, ..Outcome::default() });
            }
        }
        let (appended, rows) = self.commit_unit(unit, rows, note, inputs).await?;
        let fold = Fold { unit, position: appended.version, note, visible: None, rows };
        let published = self.fold(fold, None).await?;
        Ok(Outcome {
            rows_written: if appended.already_there { 0 } else { appended.rows.unwrap_or_default() },
            units: 1,
            rows_repeated: published.rows_repeated + repeats,
            ..Outcome::of(&published)
        })
    }

    /// Commits a unit of a replacement to history, where nobody sees it yet, and gathers its rows.
    pub async fn stage_unit(
        &mut self,
        unit: &str,
        mut rows: UnitRows,
        inputs: serde_json::Value,
        (gathered, replaced): (&mut Gathered, EventRange),
    ) -> Result<Outcome, StoreError> {
        let note = Note::Staged { features: self.of.stored.len() };
        let (staged, of) = (Some(&mut gathered.versions), (self.handle, &self.of));
        let judging = Judging { replaced: Some(replaced), staged, ..Judging::default() };
        let judged = judge_rows(self.online, of, rows.batches, judging).await?;
        rows.batches = judged.batches;
        if rows.batches.is_empty() {
            return Ok(Outcome { rows_repeated: judged.repeats, ..Outcome::default() });
        }
        let (appended, rows) = self.commit_unit(unit, rows, &note, inputs).await?;
        let rows_held = rows.len() as u64;
        match self.of.events {
            // Each counts for itself.
            Some(_) => gathered.add_events(rows),
            None => {
                for row in rows {
                    gathered.add(row, &self.of.layout)?;
                }
            }
        }
        let rows_written = if appended.already_there { 0 } else { appended.rows.unwrap_or_default() };
        Ok(Outcome { rows_written, rows_held, rows_repeated: judged.repeats, units: 1, ..Outcome::default() })
    }

    async fn commit_unit(
        &mut self,
        unit: &str,
        rows: UnitRows,
        note: &Note,
        inputs: serde_json::Value,
    ) -> Result<(Appended, Vec<IncomingRow>), StoreError> {
        let batches = rows
            .batches
            .iter()
            .map(|batch| self.of.history_rows(batch, unit))
            .collect::<Result<Vec<_>, _>>()?;
        let mut incoming = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for batch in &batches {
            self.of.incoming_rows(batch, self.of.stored.len(), &mut incoming)?;
        }
        // Before history is written: a unit there that the online store can't take would block the view for ever.
        refuse_large(&incoming)?;
        let record = json!({ "note": note, "files": inputs });
        let appended = self.table.append(unit, &batches, record).await?;
        // A unit that was rewritten since was folded before: nobody rewrites one that is not.
        if let Some(there) = appended.rows.filter(|there| *there != incoming.len() as u64) {
            let here = incoming.len();
            return Err(StoreError::Corrupt(format!(
                "unit `{unit}` of `{}` has {there} rows in history, and {here} were read for it",
                self.of.table_name
            )));
        }
        Ok((appended, incoming))
    }

    /// Folds rows into the online store, then copies the stamp beside history. What they replace, if they do, goes at the
    /// same stamp.
    pub(super) async fn fold(
        &self,
        fold: Fold<'_>,
        replaces: Option<Replaces>,
    ) -> Result<asof_online::Published, StoreError> {
        let Fold { unit, position, note, visible, rows } = fold;
        let (note, pushed) = (note.to_text(), note.pushed().is_some());
        let given = rows.len() as u64;
        let publication = Publication {
            view: self.handle,
            layout: &self.of.layout,
            unit,
            position,
            note: &note,
            created_declared: self.of.created_declared,
            active_within: self.of.active_within,
            visible,
            replaces,
            events: self.of.events.map(|rule| EventRule { pushed, ..rule }),
            waits: false,
            rows,
        };
        let published = self.online.publish(publication).await?;
        // At once: what serving answers from must be in history for whoever looks there, and the stamp of a unit must
        // outlive a lost online store.
        let entry = JournalEntry {
            table: self.of.table_name.clone(),
            unit: unit.to_owned(),
            visible: published.visible,
            position,
            rows: given,
            note: note.clone(),
        };
        self.offline.append_journal(&[entry]).await?;
        Ok(published)
    }

    /// Journals a unit of pushed rows that history holds, beside history and in the online store, where those that it is made
    /// of waited.
    pub async fn settle(&self, entry: JournalEntry) -> Result<(), StoreError> {
        let JournalEntry { unit, visible, position, rows, note, .. } = entry.clone();
        self.offline.append_journal(&[entry]).await?;
        self.online.settle(self.handle, &UnitStamp { unit, visible, position, rows, note }).await?;
        Ok(())
    }

    /// Puts a mark without rows into the journal.
    pub async fn mark(&self, note: &Note) -> Result<(), StoreError> {
        // A mark may be made again with the same words; its place in the journal makes its name its own.
        let place = self.online.statistics(self.handle).await?.units;
        let hash = blake3::hash(format!("{place} {}", note.to_text()).as_bytes());
        let unit = format!("mark-{}", &hash.to_hex()[..32]);
        let position = self.table.version();
        self.fold(Fold { unit: &unit, position, note, visible: None, rows: Vec::new() }, None).await?;
        Ok(())
    }

    /// Marks the files of a pack as read: every row that they hold of `range` was published.
    pub async fn mark_files(&self, range: Interval, pack: &Pack) -> Result<(), StoreError> {
        let Interval { from, until } = range;
        let mut files: Vec<Fingerprint> = Vec::new();
        let mut bytes = 0;
        for file in pack.fingerprints() {
            let more = file.path.len() + file.hash.len() + FINGERPRINT_BYTES;
            if bytes + more > FILES_NOTE_BYTES && !files.is_empty() {
                let semantic_hash = self.of.semantic_hash.clone();
                let files = std::mem::take(&mut files);
                self.mark(&Note::Files { semantic_hash, from, until, hashes: Vec::new(), files }).await?;
                bytes = 0;
            }
            files.push(file.clone());
            bytes += more;
        }
        let semantic_hash = self.of.semantic_hash.clone();
        self.mark(&Note::Files { semantic_hash, from, until, hashes: Vec::new(), files }).await
    }

    /// Refuses to replace a range where versions of events replace each other, maybe across it: which of those outside stands
    /// again is not known any more.
    pub fn refuse_versions(&self) -> Result<(), StoreError> {
        if self.of.events.and_then(|rule| rule.remembers) != Some(Repeats::Replace) {
            return Ok(());
        }
        Err(StoreError::Request {
            message: format!(
                "a load of `{}` would take the place of what was loaded, and its events are replaced by newer versions alone",
                self.of.name
            ),
            hint: Some(
                "add files with newer versions of the events, or define a new version of the view".to_owned(),
            ),
        })
    }

    /// Refuses a history that lacks published units.
    pub fn refuse_lost(&self, missing: usize, units: usize) -> Result<(), StoreError> {
        if missing == 0 {
            return Ok(());
        }
        let path = self.history_path.join(&self.of.table_name);
        Err(StoreError::HistoryLost { view: self.of.id.clone(), missing, units, path })
    }

    /// The hash of how its rows are read, as it is applied.
    pub fn semantic_hash(&self) -> &str {
        &self.of.semantic_hash
    }

    /// Copies stamps that are not there yet beside history; see [`copy_stamps`].
    pub async fn copy_journal(&self) -> Result<(), StoreError> {
        copy_stamps(self.online, self.handle, self.offline, &self.of.table_name).await
    }

    /// The columns of a whole history row.
    pub(super) fn history_columns(&self) -> Vec<String> {
        self.of.schema.fields().iter().map(|field| field.name().clone()).collect()
    }
}

/// Copies stamps that are not there yet beside history, where readers find them and a lost online store is rebuilt from.
pub(crate) async fn copy_stamps(
    online: &dyn OnlineStore,
    view: ViewHandle,
    offline: &OfflineStore,
    table: &str,
) -> Result<(), StoreError> {
    let entry = |stamp: UnitStamp| JournalEntry {
        table: table.to_owned(),
        unit: stamp.unit,
        visible: stamp.visible,
        position: stamp.position,
        rows: stamp.rows,
        note: stamp.note,
    };
    let entries: Vec<JournalEntry> = online.journal(view).await?.into_iter().map(entry).collect();
    Ok(offline.append_journal(&entries).await?)
}

/// Refuses rows that one publication can't hold.
pub(crate) fn refuse_large(rows: &[IncomingRow]) -> Result<(), StoreError> {
    let bytes: usize = rows.iter().map(|row| row.key.len() + row.row.len()).sum();
    if bytes <= PUBLICATION_BYTES_MAX && rows.len() <= PUBLICATION_ROWS_MAX {
        return Ok(());
    }
    Err(StoreError::Request {
        message: format!(
            "{} rows take {bytes} bytes; at most {PUBLICATION_ROWS_MAX} rows and {PUBLICATION_BYTES_MAX} bytes are \
             published together",
            rows.len()
        ),
        hint: Some("cut the source into files of fewer rows".to_owned()),
    })
}
