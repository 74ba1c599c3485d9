//! Files of a source, and the rows admitted from them.
//!
//! A source is one file, a folder of them or a pattern, on this machine or in an object store. [`listing`] says which
//! files those are (`delta`: those of a table), [`files`] what identifies each, [`partitions`] which columns their folders tell. `csv_file` and
//! `json_file` (over the bytes of `stream`) and [`parquet_file`] read into [`raw`] batches of what stands there,
//! [`pushed`] rows are JSON objects, [`admission`] turns all of them into canonical history rows, and sorts out the rows that can't be any.
//!
//! Every reader streams: what it holds of a file at once is bounded in rows and in bytes.

pub mod admission;
pub mod convert;
mod csv_file;
mod delta;
pub mod files;
pub mod infer;
mod json_file;
pub mod listing;
mod nested;
pub mod parquet_file;
pub mod partitions;
pub mod pushed;
pub mod raw;
mod stream;
mod wanted;

pub use admission::{Admission, Admitted, BadRow};
pub use files::{Fingerprint, SourceFile, Stamp};
pub(crate) use json_file::sampled_names as sampled_json_names;
pub use listing::{holds, list};
pub use raw::RawBatch;
pub use wanted::WantedColumn;

use asof_model::spec::FileFormat;

use crate::EngineError;

/// Rows in one raw batch: small enough to stay in the cache, large enough to spread fixed costs.
pub const RAW_BATCH_ROWS: usize = 16_384;

/// A stream of raw batches of one file, in the order of the file.
pub type RawBatches = Box<dyn Iterator<Item = Result<RawBatch, EngineError>> + Send>;

/// Opens a file and reads the wanted columns, in batches of at most [`RAW_BATCH_ROWS`] rows. Blocks.
///
/// `what` names the file's owner in messages, such as "source `loans`". A column that the file lacks and that is not
/// required is null in every row.
///
/// # Errors
/// [`EngineError::NoColumn`] with the nearest name, [`EngineError::Damaged`], [`EngineError::Io`],
/// [`EngineError::Objects`]; the iterator ends after its first error.
pub fn open(what: &str, file: &SourceFile, columns: &[WantedColumn]) -> Result<RawBatches, EngineError> {
    match file.format {
        FileFormat::Csv => csv_file::open(what, file, columns),
        FileFormat::Json => json_file::open(file, columns),
        FileFormat::Parquet | FileFormat::Delta => parquet_file::open(what, file, columns),
    }
}

/// The names of a file's columns, in order. `None`: each row may have others.
///
/// # Errors
/// As [`open`].
pub fn names(file: &SourceFile) -> Result<Option<Vec<String>>, EngineError> {
    match file.format {
        FileFormat::Csv => csv_file::names(file).map(Some),
        FileFormat::Json => Ok(None),
        FileFormat::Parquet | FileFormat::Delta => parquet_file::names(file).map(Some),
    }
}

/// Refuses a wanted column that not one of the files has: it is misspelled, not added later. Most often the first file
/// has them all, and no other is opened.
///
/// # Errors
/// [`EngineError::NoColumn`] with the last file's nearest name; those of [`names`].
pub fn check_columns<'a>(
    what: &str,
    files: impl IntoIterator<Item = &'a SourceFile>,
    columns: &[WantedColumn],
) -> Result<(), EngineError> {
    let mut missing: Vec<&WantedColumn> = columns.iter().collect();
    let mut last = None;
    for file in files {
        let Some(names) = names(file)? else { return Ok(()) };
        missing.retain(|column| !names.contains(&column.name) && file.partitions.get(&column.name).is_none());
        if missing.is_empty() {
            return Ok(());
        }
        last = Some((file, names));
    }
    match (missing.first(), last) {
        (Some(column), Some((file, names))) => Err(wanted::no_column(what, file, &column.name, &names)),
        _ => Ok(()),
    }
}
