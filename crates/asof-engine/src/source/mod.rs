//! Files of a source, and the rows admitted from them.
//!
//! A source is one file or a folder of them. [`files`] lists and fingerprints, [`csv_file`] and [`parquet_file`] read
//! into [`raw`] batches of what stands there, [`admission`] turns those into canonical history rows, and sorts out
//! the rows that can't be any.

pub mod admission;
pub mod convert;
mod csv_file;
pub mod files;
mod nested;
mod parquet_file;
pub mod raw;

pub use admission::{Admission, Admitted, BadRow};
pub use csv_file::names as csv_names;
pub use files::SourceFile;
pub use raw::RawBatch;

use asof_model::spec::FileFormat;

use crate::EngineError;

/// Rows in one raw batch: small enough to stay in the cache, large enough to spread fixed costs.
pub const RAW_BATCH_ROWS: usize = 16_384;

/// A stream of raw batches of one file, in the order of the file.
pub type RawBatches = Box<dyn Iterator<Item = Result<RawBatch, EngineError>> + Send>;

/// Opens a file and reads the named columns, in batches of at most [`RAW_BATCH_ROWS`] rows.
///
/// `what` names the file's owner in messages, such as "source `loans`".
///
/// # Errors
/// [`EngineError::NoColumn`] with the nearest name, [`EngineError::Damaged`], [`EngineError::Io`]; the iterator ends
/// after its first error.
pub fn open(what: &str, file: &SourceFile, columns: &[String]) -> Result<RawBatches, EngineError> {
    match file.format {
        FileFormat::Csv => csv_file::open(what, file, columns),
        FileFormat::Parquet => parquet_file::open(what, file, columns),
    }
}
