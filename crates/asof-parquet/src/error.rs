//! What can go wrong with a Parquet file.

use std::panic::{AssertUnwindSafe, catch_unwind};

use asof_objects::ObjectsError;
use parquet::errors::ParquetError;

/// A file that can't be read. Whoever asked knows which file it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParquetFailure {
    /// The bytes are not those of a Parquet file.
    #[error("{0}")]
    Damaged(String),
    /// The system can't read them.
    #[error(transparent)]
    Io(std::io::Error),
    /// The object store does not give them.
    #[error(transparent)]
    Objects(ObjectsError),
}

impl ParquetFailure {
    /// What an error of reading means.
    pub(crate) fn of_io(error: std::io::Error) -> Self {
        match error.downcast::<ObjectsError>() {
            Ok(error) => Self::Objects(error),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Self::Damaged("it ends in the middle".to_owned())
            }
            Err(error) => Self::Io(error),
        }
    }
}

/// An error of reading as one of a decoder. What it was is kept beside it, as decoders lose it on the way.
pub(crate) fn carried(error: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Bytes that are not what they should be.
pub(crate) fn damaged(reason: &str) -> ParquetFailure {
    ParquetFailure::Damaged(reason.to_owned())
}

/// Runs what the library decodes, which may panic over bytes that are not what its headers say. Whoever asks for it does
/// not go on after an error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, ParquetFailure>) -> Result<T, ParquetFailure> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(damaged("it holds other bytes than its footer and its pages say")))
}
