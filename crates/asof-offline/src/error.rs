//! What can go wrong with history, and what to do about it.

use std::error::Error;
use std::io;

use asof_model::{Explain, Kind};

/// Every error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfflineError {
    /// A table name is not a relative folder of plain segments, or is the journal's.
    #[error("`{name}` cannot name a history table")]
    InvalidName {
        /// The name as given.
        name: String,
    },

    /// A unit's name cannot be part of a file name.
    #[error("`{unit}` cannot name a publication unit")]
    InvalidUnit {
        /// The unit as given.
        unit: String,
    },

    /// A table's columns are not those of a history row.
    #[error("column `{column}` of `{table}` {reason}")]
    InvalidColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A stored column and the given one differ.
    #[error("column `{column}` of `{table}` is {stored} in history and {given} in what was given")]
    SchemaMismatch {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type in the table, or `absent`.
        stored: String,
        /// Its type in the definition or the batch, or `absent`.
        given: String,
    },

    /// A scan asked for a column that the table does not have.
    #[error("`{table}` has no column `{column}`")]
    UnknownColumn {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },

    /// Rows that cannot be stored: an instant out of range, a null where none may be, another unit's row.
    #[error("unit `{unit}` cannot enter `{table}`: {reason}")]
    InvalidRows {
        /// The table.
        table: String,
        /// The unit.
        unit: String,
        /// What is wrong, with the column.
        reason: String,
    },

    /// Other writers were faster, each time.
    #[error("`{table}` was changed by other writers {attempts} times in a row")]
    Contended {
        /// The table.
        table: String,
        /// How often the commit was tried.
        attempts: usize,
    },

    /// The disk or the object store refused: no space, no permission, no connection.
    #[error("cannot use `{path}`: {reason}")]
    Storage {
        /// The file, or the table's folder where the file is not known.
        path: String,
        /// The refusal, in the words of the system below.
        reason: String,
        /// The class of the refusal.
        cause: io::ErrorKind,
        /// The whole chain.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },

    /// The log of a table cannot be read.
    #[error("the log of history table `{table}` in `{path}` is damaged: {reason}")]
    DamagedLog {
        /// The table.
        table: String,
        /// Its folder.
        path: String,
        /// What was found.
        reason: String,
    },

    /// A data file is missing, truncated or not what the log says.
    #[error("data file `{path}` of `{table}` is damaged: {reason}")]
    DamagedFile {
        /// The table.
        table: String,
        /// The file.
        path: String,
        /// What was found.
        reason: String,
    },

    /// A worker ended without an answer. A defect of this program.
    #[error("{work} for `{table}` ended without an answer: {reason}")]
    Interrupted {
        /// The table.
        table: String,
        /// What it was doing.
        work: &'static str,
        /// What the runtime said.
        reason: String,
    },
}

impl Explain for OfflineError {
    fn kind(&self) -> Kind {
        match self {
            Self::InvalidName { .. }
            | Self::InvalidUnit { .. }
            | Self::InvalidColumn { .. }
            | Self::InvalidRows { .. } => Kind::Invalid,
            Self::UnknownColumn { .. } => Kind::NotFound,
            Self::SchemaMismatch { .. } => Kind::Conflict,
            Self::Contended { .. } | Self::Storage { .. } | Self::Interrupted { .. } => Kind::Unavailable,
            Self::DamagedLog { .. } | Self::DamagedFile { .. } => Kind::Corrupt,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InvalidName { .. } => Some(
                "use letters, digits, `_`, `-` and `.` in each folder name, and do not start one with a dot"
                    .to_owned(),
            ),
            Self::InvalidUnit { .. } => Some("use up to 128 letters, digits, `_`, `-` and `.`".to_owned()),
            Self::SchemaMismatch { .. } => Some(
                "a version accepts only added features: give the view a new version for any other change"
                    .to_owned(),
            ),
            Self::Contended { .. } => Some("run it again; a unit that did enter is recognised".to_owned()),
            Self::Storage { path, cause, .. } => Some(match cause {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    format!("free space where `{path}` is and run it again; history holds only whole units")
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                    format!("let this user read and write `{path}`, then run it again")
                }
                _ => format!(
                    "check the storage of `{path}`, then run it again; history holds only whole units"
                ),
            }),
            Self::DamagedLog { path, .. } => {
                Some(format!("restore `{path}` from a backup, or load the view afresh as a new version"))
            }
            Self::DamagedFile { path, .. } => Some(format!(
                "restore `{path}` from a backup, or move its table's folder away and materialize again"
            )),
            Self::InvalidColumn { .. }
            | Self::UnknownColumn { .. }
            | Self::InvalidRows { .. }
            | Self::Interrupted { .. } => None,
        }
    }
}

/// The refusal of the system below, if there is one in the chain: what it says of a full disk, a missing
/// permission or a lost connection. Everything else is damage.
pub(crate) fn refusal(error: &(dyn Error + 'static)) -> Option<(io::ErrorKind, String)> {
    let mut next = Some(error);
    while let Some(each) = next {
        if let Some(found) = each.downcast_ref::<io::Error>() {
            let damage = [io::ErrorKind::NotFound, io::ErrorKind::UnexpectedEof, io::ErrorKind::InvalidData];
            // An `io::Error` made of another error repeats it in its own text; look on inside.
            let wraps = found.get_ref().and_then(|inner| refusal(inner));
            let own = || {
                (!damage.contains(&found.kind()) && found.raw_os_error().is_some())
                    .then(|| (found.kind(), found.to_string()))
            };
            return wraps.or_else(own);
        }
        if let Some(object_store::Error::PermissionDenied { source, .. }) =
            each.downcast_ref::<object_store::Error>()
        {
            return Some((io::ErrorKind::PermissionDenied, source.to_string()));
        }
        next = each.source();
    }
    None
}

/// The error for a failed read or write of `path`, which is not part of a table's log.
pub(crate) fn storage(path: String, source: impl Error + Send + Sync + 'static) -> OfflineError {
    let (cause, reason) = refusal(&source).unwrap_or_else(|| (io::ErrorKind::Other, source.to_string()));
    OfflineError::Storage { path, reason, cause, source: Box::new(source) }
}

/// The error for data file `path` of `table`: a refusal of the storage where that is the reason, else damage.
pub(crate) fn data_file(
    table: &str,
    path: String,
    source: impl Error + Send + Sync + 'static,
) -> OfflineError {
    if refusal(&source).is_some() {
        return storage(path, source);
    }
    OfflineError::DamagedFile { table: table.to_owned(), path, reason: source.to_string() }
}
