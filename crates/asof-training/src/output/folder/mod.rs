//! A folder of Parquet files: for training and validation apart, for values of columns apart, of about so many rows each.
//!
//! It appears whole or not at all, and says in a file of its own that it is a training set.
//!
//! Reading order: `routes` (which row goes where), `parted` (rows sorted by where they go), `place` (the folder itself).

mod parted;
mod place;
mod routes;

use std::collections::BTreeMap;

use asof_model::Location;
use asof_objects::Objects;
use serde::Serialize;

use super::parquet_file::{Counters, ParquetFiles, merge};
use super::rows::Rows;
use super::spec::FolderOptions;
use crate::TrainingError;
use crate::join::RANGE_ROWS;
use crate::scratch::Scratch;
use place::FolderPlace;

pub use place::MARKER;
pub use routes::FOLDERS_MAX;

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    /// Its path below the folder, with `/` between parts.
    pub path: String,
    /// Rows.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What was written below a folder.
pub(super) struct WrittenFolder {
    pub files: Vec<WrittenFile>,
    pub counters: Counters,
}

/// What a folder says of itself.
#[derive(Serialize)]
struct Note<'n> {
    /// What is said of the rows.
    #[serde(flatten)]
    notes: BTreeMap<String, String>,
    files: &'n [WrittenFile],
}

/// Writes all rows. `notes` are made once all were looked at.
///
/// # Errors
/// [`TrainingError::FolderTaken`] for a folder that holds something else than a training set;
/// [`TrainingError::TooManyFolders`]; [`EngineError::Io`](asof_engine::EngineError::Io); those of labels and of scratch.
pub(super) fn write(
    rows: &Rows<'_, '_>,
    options: &FolderOptions,
    (at, objects): (&Location, &Objects),
    scratch: &Scratch,
    threads: usize,
    notes: &dyn Fn() -> Vec<(String, String)>,
) -> Result<WrittenFolder, TrainingError> {
    let place = FolderPlace::new(at, objects, scratch)?;
    let written = match options.split.is_none() && options.partition_by.is_empty() {
        true => in_order(rows, options, &place, threads)?,
        false => parted::write(rows, options, &place, scratch, threads)?,
    };
    let note = Note { notes: notes().into_iter().collect(), files: &written.files };
    place.complete(&serde_json::to_vec_pretty(&note).unwrap_or_default(), &written.files)?;
    Ok(written)
}

/// The name of a file, by its number in its folder.
fn file_name(number: usize) -> String {
    format!("part-{number:05}.parquet")
}

/// Files one after the other.
fn in_order(
    rows: &Rows<'_, '_>,
    options: &FolderOptions,
    place: &FolderPlace<'_>,
    threads: usize,
) -> Result<WrittenFolder, TrainingError> {
    let failed = |error| place.failed(error);
    let parquet = ParquetFiles::new(rows, &options.parquet, &failed)?;
    let ranges = rows.joined.ranges();
    let each = match options.file_rows {
        Some(file_rows) => {
            let of_group = parquet.ranges_each();
            let groups = usize::try_from(file_rows / RANGE_ROWS).unwrap_or(usize::MAX) / of_group;
            groups.max(1).saturating_mul(of_group)
        }
        None => ranges.max(1),
    };
    let (mut files, mut counters) = (Vec::new(), rows.counters());
    // No rows make a file too: it has their columns.
    for number in 0..ranges.div_ceil(each).max(1) {
        let of_file = number * each..ranges.min((number + 1) * each);
        let path = file_name(number);
        let count = of_file.clone().map(|range| rows.rows_of(range) as u64).sum();
        let (sink, found) = parquet.write(of_file, place.create(&path)?, threads, &Vec::new)?;
        merge(&mut counters, found);
        files.push(WrittenFile { path, rows: count, bytes: sink.complete().map_err(failed)? });
    }
    Ok(WrittenFolder { files, counters })
}
