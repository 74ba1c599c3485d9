//! Writes a training set: the label columns as they were, then the asked columns, every label row once, in order.
//!
//! Rows are put together, encoded and written while there are still some to put together; no more of the output is in
//! memory than is being worked on. An output appears whole or not at all.
//!
//! Reading order: [`spec`] (what is asked), [`rows`](self) (label columns and features, put together), [`place`] (where bytes
//! go), `parquet_file` and `csv_file` (one file, on all threads), [`statistics`] (what its columns hold).

mod csv_file;
mod encoding;
mod ordered;
mod parquet_file;
pub mod place;
mod rows;
pub mod spec;
pub mod statistics;

use asof_engine::Progress;
use serde::Serialize;

use crate::TrainingError;
use crate::join::Joined;
use crate::labels::Labels;
use crate::scratch::Scratch;
use place::Place;
use rows::Rows;
use statistics::ColumnStatistics;

pub use spec::{Compression, OutputColumn, OutputFormat, OutputSpec, What, check_names, format_of};

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct Written {
    /// Columns, the labels' own included.
    pub columns: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// What each column holds, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Vec<ColumnStatistics>>,
}

/// What the last step is called.
pub(crate) const WRITE: &str = "write the training set";

/// Writes labels and columns. `notes` are made once all rows were looked at, and stand in the metadata of a Parquet file.
///
/// # Errors
/// [`EngineError::SameColumn`](asof_engine::EngineError::SameColumn),
/// [`EngineError::Io`](asof_engine::EngineError::Io); those of labels and scratch. What stood there before stays until the
/// new output is complete.
pub fn write(
    joined: &Joined<'_>,
    labels: &dyn Labels,
    spec: &OutputSpec,
    scratch: &Scratch,
    threads: usize,
    progress: &dyn Progress,
    notes: &dyn Fn() -> Vec<(String, String)>,
) -> Result<Written, TrainingError> {
    let schema = labels.schema();
    check_names(&schema, spec.columns.iter().map(|column| (column.name.as_str(), column.origin.as_str())))?;
    let rows = Rows::new(joined, labels, spec, progress)?;
    let place = Place::new(&spec.path, scratch)?;
    progress.begin(WRITE, "rows", Some(joined.labels()));
    let written = match &spec.format {
        OutputFormat::Parquet(options) => parquet_file::write(&rows, options, &place, threads, notes),
        OutputFormat::Csv => csv_file::write(&rows, &place, threads),
    };
    progress.finish(WRITE, &format!("{} rows", joined.labels()));
    let statistics = written?;
    let bytes = place.complete()?;
    let columns = (schema.fields().len() + spec.columns.len()) as u64;
    Ok(Written { columns, bytes, statistics: spec.statistics.then_some(statistics) })
}
