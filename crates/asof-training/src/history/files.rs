//! Parquet files of a history: footers, pieces, and what of them can matter.

use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use asof_engine::source::SourceFile;
use asof_engine::source::parquet_file::{failed, footer};
use asof_parquet::prune::{Predicate, Wanted};
use asof_parquet::{ParquetFile, Selection};
use parking_lot::Mutex;

use super::{KeyValuesWanted, Piece};
use crate::explain::Skipped;
use crate::{TrainingError, pool};

/// Files whose footers are kept, and which stay open. Of others the footer is read again.
const FILES_OPEN_MAX: usize = 256;

/// The most rows of a piece: large row groups are cut, so that all threads have work.
const PIECE_ROWS_MAX: u32 = 1 << 18;

/// The same where each read is a request: the pages before a piece are passed by their headers.
const REMOTE_PIECE_ROWS_MAX: u32 = 1 << 20;

/// Parquet files and the pieces of them that may matter.
pub(crate) struct ParquetFiles {
    files: Vec<SourceFile>,
    open: Vec<OnceLock<ParquetFile>>,
    pieces: Vec<FilePiece>,
    facts: Vec<Piece>,
    pub skipped: Skipped,
}

/// Rows of a row group.
pub(crate) struct FilePiece {
    pub file: usize,
    pub group: usize,
    pub selection: Selection,
}

/// What is left of one file.
struct Left {
    pieces: Vec<FilePiece>,
    facts: Vec<Piece>,
    skipped: Skipped,
}

impl ParquetFiles {
    /// Reads the footers of files and cuts what may matter into pieces. `look` says for a file which columns are read for
    /// keys and instants, and what rows of interest have in them.
    ///
    /// # Errors
    /// Those of reading footers, and of `look`.
    pub fn open(
        files: Vec<SourceFile>,
        threads: usize,
        look: impl Fn(usize, &ParquetFile) -> Result<Look, TrainingError> + Sync,
    ) -> Result<Self, TrainingError> {
        let open: Vec<OnceLock<ParquetFile>> =
            (0..files.len().min(FILES_OPEN_MAX)).map(|_| OnceLock::new()).collect();
        let left: Vec<Mutex<Option<Left>>> = (0..files.len()).map(|_| Mutex::new(None)).collect();
        pool::each(threads, files.len(), |number| {
            let mut parquet = footer(&files[number])?;
            let found = look_at(number, &files[number], &mut parquet, &look)?;
            if let Some(kept) = open.get(number).filter(|_| !found.pieces.is_empty()) {
                let _ = kept.set(parquet);
            }
            *left[number].lock() = Some(found);
            Ok(())
        })?;
        let mut all =
            Self { files, open, pieces: Vec::new(), facts: Vec::new(), skipped: Skipped::default() };
        for found in left.into_iter().filter_map(Mutex::into_inner) {
            all.pieces.extend(found.pieces);
            all.facts.extend(found.facts);
            all.skipped.add(&found.skipped);
        }
        Ok(all)
    }

    /// The pieces, for the join.
    pub fn facts(&self) -> &[Piece] {
        &self.facts
    }

    /// A piece.
    pub fn piece(&self, number: usize) -> &FilePiece {
        &self.pieces[number]
    }

    /// A file.
    pub fn file(&self, number: usize) -> &SourceFile {
        &self.files[number]
    }

    /// How many files something is read of.
    pub fn files_read(&self) -> u64 {
        self.pieces.chunk_by(|one, other| one.file == other.file).count() as u64
    }

    /// The footer of a file.
    ///
    /// # Errors
    /// Those of reading it, where it is not kept.
    pub fn parquet(&self, number: usize) -> Result<ParquetFile, TrainingError> {
        match self.open.get(number).and_then(OnceLock::get) {
            Some(kept) => Ok(kept.clone()),
            None => Ok(footer(&self.files[number])?),
        }
    }
}

/// What is of interest in a file.
pub(crate) struct Look {
    /// The columns that are read for keys and instants, by their places.
    pub columns: Vec<usize>,
    /// What rows of interest have.
    pub predicates: Vec<Predicate>,
}

fn look_at(
    number: usize,
    file: &SourceFile,
    parquet: &mut ParquetFile,
    look: &(impl Fn(usize, &ParquetFile) -> Result<Look, TrainingError> + Sync),
) -> Result<Left, TrainingError> {
    let Look { columns, predicates } = look(number, parquet)?;
    let pruned = parquet.prune(&predicates).map_err(|failure| failed(file, failure))?;
    let mut left = Left { pieces: Vec::new(), facts: Vec::new(), skipped: Skipped::default() };
    left.skipped.row_groups_out_of_time = pruned.skipped.groups_out_of_range;
    left.skipped.row_groups_without_keys = pruned.skipped.groups_without_values;
    left.skipped.row_groups_by_bloom_filter = pruned.skipped.groups_by_bloom_filter;
    left.skipped.rows = pruned.skipped.rows_of_groups;
    left.skipped.rows_of_pages = pruned.skipped.rows_of_pages;
    if pruned.groups.is_empty() && parquet.groups() > 0 {
        match pruned.skipped.groups_out_of_range == parquet.groups() as u64 {
            true => left.skipped.files_out_of_time += 1,
            false => left.skipped.files_without_keys += 1,
        }
    }
    let rows_max = if file.is_remote() { REMOTE_PIECE_ROWS_MAX } else { PIECE_ROWS_MAX };
    for (group, selection) in pruned.groups {
        let all = parquet.rows_of(group) as u64;
        let bytes = parquet.stored_bytes(group, &columns);
        let end = u32::try_from(all).unwrap_or(u32::MAX);
        for start in (0..end).step_by(rows_max as usize) {
            let within = start..end.min(start.saturating_add(rows_max));
            let selection = selection.clone().clipped(within);
            let rows = selection.len() as u64;
            if rows > 0 {
                left.facts.push(Piece { rows: Some(rows), bytes: bytes * rows / all.max(1) });
                left.pieces.push(FilePiece { file: number, group, selection });
            }
        }
    }
    Ok(left)
}

/// What rows with an event in a range have in a column of instants, as they are stored. `None`: nothing is known.
pub(crate) fn event_predicate(column: usize, stored: Option<RangeInclusive<i64>>) -> Option<Predicate> {
    Some(Predicate { column, wanted: Wanted::Within(stored?) })
}

/// What rows with a key of a label have in the column of a join key.
pub(crate) fn key_predicate(column: usize, wanted: &KeyValuesWanted) -> Predicate {
    let wanted = match wanted {
        KeyValuesWanted::Numbers(all) => Wanted::Numbers(all.clone()),
        KeyValuesWanted::Between(from, until) => Wanted::Within(*from..=*until),
        KeyValuesWanted::Texts(all) => Wanted::Texts(Arc::clone(all)),
    };
    Predicate { column, wanted }
}
