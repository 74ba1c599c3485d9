//! Writes a training set: the label columns as they were, then the asked columns, every label row once, in order.
//!
//! Rows are put together, encoded and written while there are still some to put together; no more of the output is in
//! memory than is being worked on. An output appears whole or not at all.
//!
//! Reading order: [`spec`] (what is asked), [`computed`] (columns that are computed of others), `rows` (label columns and
//! features, put together), `place` (where bytes
//! go), `parquet_file` and `csv_file` (one file, on all threads), [`folder`] (several files), [`statistics`] (what columns
//! hold).

pub mod computed;
mod csv_file;
mod encoding;
pub mod folder;
mod ordered;
mod parquet_file;
mod place;
mod rows;
pub mod spec;
pub mod statistics;
mod texts;

use std::io;

use asof_engine::{EngineError, Progress};
use asof_objects::Objects;
use serde::Serialize;

use crate::TrainingError;
use crate::join::Joined;
use crate::labels::Labels;
use crate::scratch::Scratch;
use folder::WrittenFile;
use parquet_file::ParquetFiles;
use place::Place;
use rows::Rows;
use statistics::ColumnStatistics;

pub use computed::Computed;
pub use spec::{Compression, FolderOptions, Layout, Of, OutputColumn, OutputSpec, Split, What, check_names};

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct Written {
    /// Columns, the labels' own included.
    pub columns: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// The files of a folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<WrittenFile>,
    /// What each column holds, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Vec<ColumnStatistics>>,
}

/// What the last step is called.
pub(crate) const WRITE: &str = "write the training set";

/// What writing stands on.
#[derive(Clone, Copy)]
pub struct Writing<'w> {
    /// What does not fit into memory.
    pub scratch: &'w Scratch,
    /// The stores of URLs.
    pub objects: &'w Objects,
    /// Threads that work at a time.
    pub threads: usize,
    /// Who is told how far it is.
    pub progress: &'w dyn Progress,
}

/// Writes labels and columns. `notes` are made once all rows were looked at, and stand in the metadata of a Parquet file, or
/// in the [note](folder::MARKER) of a folder.
///
/// # Errors
/// [`EngineError::SameColumn`], [`EngineError::Io`], [`EngineError::Objects`]; [`TrainingError::FolderTaken`],
/// [`TrainingError::TooManyFolders`]; those of labels and scratch. What stood there before stays until the new output is
/// complete.
pub fn write(
    joined: &Joined<'_>,
    labels: &dyn Labels,
    spec: &OutputSpec,
    writing: Writing<'_>,
    notes: &dyn Fn() -> Vec<(String, String)>,
) -> Result<Written, TrainingError> {
    let Writing { scratch, objects, threads, progress } = writing;
    let schema = labels.schema();
    check_names(&schema, spec.columns.iter().map(|column| (column.name.as_str(), column.origin.as_str())))?;
    let rows = Rows::new(joined, labels, spec, progress)?;
    progress.begin(WRITE, "rows", Some(joined.labels()));
    let written = match &spec.layout {
        Layout::Folder(options) => {
            folder::write(&rows, options, (&spec.at, objects), scratch, threads, notes).map(|written| {
                (written.counters, written.files.iter().map(|file| file.bytes).sum(), written.files)
            })
        }
        one_file => write_file(&rows, one_file, Place::new(&spec.at, objects, scratch)?, threads, notes),
    };
    progress.finish(WRITE, &format!("{} rows", joined.labels()));
    let (counters, bytes, files) = written?;
    let statistics =
        counters.into_iter().zip(rows.schema.fields()).map(|(counter, field)| counter.told(field));
    let columns = (schema.fields().len() + spec.columns.len()) as u64;
    Ok(Written { columns, bytes, files, statistics: spec.statistics.then(|| statistics.collect()) })
}

type WrittenRows = (parquet_file::Counters, u64, Vec<WrittenFile>);

/// Writes an output of one file.
fn write_file(
    rows: &Rows<'_, '_>,
    layout: &Layout,
    place: Place,
    threads: usize,
    notes: &dyn Fn() -> Vec<(String, String)>,
) -> Result<WrittenRows, TrainingError> {
    let failed = |error: io::Error| -> EngineError { place.failed(error) };
    let (sink, counters) = match layout {
        Layout::Parquet(options) => {
            let files = ParquetFiles::new(rows, options, &failed)?;
            files.write(0..rows.joined.ranges(), place.create()?, threads, notes)?
        }
        _ => csv_file::write(rows, place.create()?, threads, &failed)?,
    };
    Ok((counters, place.complete(sink)?, Vec::new()))
}
