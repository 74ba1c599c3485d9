//! What can go wrong with a training set.

use std::io;
use std::path::PathBuf;

use asof_engine::EngineError;
use asof_model::{Explain, Kind};
use parquet::errors::ParquetError;

/// Errors of label tables, joins and training sets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainingError {
    /// Labels, sources or history can't be read, or an output can't be written.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// What does not fit into memory can't be put aside.
    #[error("cannot {doing} `{}`, which holds what does not fit into memory", path.display())]
    Scratch {
        /// "make", "write" or "read".
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// More label rows than are joined at once.
    #[error("the label table has {rows} rows, at most {max} are joined at once")]
    TooManyLabels {
        /// How many there are.
        rows: u64,
        /// How many there may be.
        max: u64,
    },
    /// Label rows that were there at first are gone.
    #[error("the label table changed while it was read")]
    LabelsChanged,
    /// History does not know any more what was in force at the first label.
    #[error("history of {history} is cut behind the first label")]
    HistoryCut {
        /// Whose history it is.
        history: String,
        /// What was in force before is not known any more, microseconds.
        cut: i64,
        /// The first label time, microseconds.
        label: i64,
    },
    /// An output would replace something else than a training set.
    #[error("`{}` is there already, and is no training set of ours", path.display())]
    FolderTaken {
        /// The folder.
        path: PathBuf,
    },
    /// Columns have more distinct values than there may be folders.
    #[error("the training set would have more than {max} folders")]
    TooManyFolders {
        /// How many there may be.
        max: usize,
    },
    /// Nobody wants the work any more.
    #[error("stopped")]
    Stopped,
    /// Rows with equal instants differ in what was kept of them, and only whole rows can rank them. Never leaves this
    /// crate.
    #[error("rows can't be ranked")]
    NeedsWholeRows,
    /// What is computed can't be computed of what it was given: a defect of ours.
    #[error("features can't be computed: {0}")]
    Computed(String),
    /// Arrow refused an operation: a defect of ours.
    #[error("a columnar operation failed")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl Explain for TrainingError {
    fn kind(&self) -> Kind {
        match self {
            Self::Engine(error) => error.kind(),
            Self::TooManyLabels { .. }
            | Self::HistoryCut { .. }
            | Self::FolderTaken { .. }
            | Self::TooManyFolders { .. } => Kind::Invalid,
            Self::Scratch { .. } | Self::LabelsChanged | Self::Stopped => Kind::Unavailable,
            Self::NeedsWholeRows | Self::Computed(_) | Self::Arrow(_) => Kind::Corrupt,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::TooManyLabels { .. } => Some("cut it into several".to_owned()),
            Self::FolderTaken { .. } => Some("name another folder, or remove it".to_owned()),
            Self::TooManyFolders { .. } => {
                Some("partition by columns with fewer values, such as a date or a country".to_owned())
            }
            Self::Scratch { source, .. } if source.kind() == std::io::ErrorKind::StorageFull => {
                Some("the disk is full: free some room, or give more memory with `--memory`".to_owned())
            }
            Self::Scratch { .. } => {
                Some("check who may write there, or give more memory with `--memory`".to_owned())
            }
            Self::LabelsChanged => Some("run again when nobody writes to it".to_owned()),
            Self::HistoryCut { .. }
            | Self::Stopped
            | Self::NeedsWholeRows
            | Self::Computed(_)
            | Self::Arrow(_) => None,
        }
    }
}

/// What the system says below an error of the Parquet library; or that error itself.
pub(crate) fn io_below(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}
