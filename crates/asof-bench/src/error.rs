//! What can go wrong.

use std::path::PathBuf;

use asof_model::{Explain, Kind};

/// Errors of making files to measure with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// There is something already.
    #[error("`{}` is not empty", path.display())]
    Taken {
        /// The folder.
        path: PathBuf,
    },
    /// Numbers that don't go together.
    #[error("{reason}")]
    Workload {
        /// What is wrong.
        reason: &'static str,
    },
    /// A file can't be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Nobody wants the work any more.
    #[error("stopped")]
    Stopped,
}

impl Explain for BenchError {
    fn kind(&self) -> Kind {
        match self {
            Self::Taken { .. } | Self::Workload { .. } => Kind::Invalid,
            Self::Io { .. } | Self::Stopped => Kind::Unavailable,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Taken { .. } => Some("name a folder that is not there yet".to_owned()),
            _ => None,
        }
    }
}
