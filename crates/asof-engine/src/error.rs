//! What can go wrong in the engine.

use std::path::{Path, PathBuf};

use asof_model::{Explain, Kind};
use asof_objects::ObjectsError;

/// Errors of sources, joins and training sets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A path that is not there.
    #[error("{what}: there is no file or folder `{}`", path.display())]
    NoSuchPath {
        /// Whose path it is, such as "source `loans`".
        what: String,
        /// The path.
        path: PathBuf,
    },
    /// A folder or a pattern without a file of a known format.
    #[error("{what}: `{}` has no file of a known format", path.display())]
    NoFiles {
        /// Whose folder it is.
        what: String,
        /// The folder, or the pattern.
        path: PathBuf,
    },
    /// A folder or a pattern with more files than are listed.
    #[error("{what}: `{}` has more than {max} files", path.display())]
    TooManyFiles {
        /// Whose folder it is.
        what: String,
        /// The folder, or the pattern.
        path: PathBuf,
        /// How many are listed.
        max: usize,
    },
    /// A pattern of files that is not understood.
    #[error("{what}: the pattern `{}` is not understood: {reason}", path.display())]
    Pattern {
        /// Whose pattern it is.
        what: String,
        /// The pattern.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A Delta table that is not read.
    #[error("{what}: the Delta table `{}` can't be read: {reason}", path.display())]
    DeltaTable {
        /// Whose table it is.
        what: String,
        /// The table.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A Delta table below a folder whose files are read: some of them may be out of its newest version.
    #[error("{what}: `{}` is a Delta table", path.display())]
    TableBelow {
        /// Whose folder it is.
        what: String,
        /// The table.
        path: PathBuf,
    },
    /// An object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectsError),
    /// A file whose suffix tells no format.
    #[error("{what}: the format of `{}` is not told by its suffix", path.display())]
    UnknownFormat {
        /// Whose file it is.
        what: String,
        /// The file.
        path: PathBuf,
    },
    /// A file that cannot be read or written by the system.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// "read" or "write".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A file that is not what its format asks for.
    #[error("`{}` is not a readable {format} file: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A column that a file lacks.
    #[error("{what}: `{}` has no column `{column}`", path.display())]
    NoColumn {
        /// Whose file it is.
        what: String,
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// What to do, with the nearest name.
        hint: Option<String>,
    },
    /// A column of a type that holds no scalar values.
    #[error("{what}: column `{column}` of `{}` has type {found}, which is not a scalar", path.display())]
    NotScalar {
        /// Whose file it is.
        what: String,
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its Arrow type.
        found: String,
    },
    /// A file that changed while it was read.
    #[error("`{}` changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// A row of a query that has to be whole, and is not.
    #[error("row {row} of the query `{what}` can't be used: {reason}")]
    BadRow {
        /// Whose query it is.
        what: String,
        /// The row, from 1.
        row: u64,
        /// What is wrong.
        reason: String,
    },
    /// A label row that cannot be used.
    #[error("label column `{column}`, row {row}: {reason}")]
    Label {
        /// The column.
        column: String,
        /// The row, from 1.
        row: u64,
        /// What is wrong.
        reason: String,
    },
    /// An output column that appears twice.
    #[error("the output has two columns named `{column}`: {first} and {second}")]
    SameColumn {
        /// The name.
        column: String,
        /// Where the first comes from.
        first: String,
        /// Where the second comes from.
        second: String,
    },
    /// A query of a source that can't be run as it was recorded.
    #[error("the sql of source `{source_name}` can't be run: {reason}")]
    Transform {
        /// The source.
        source_name: String,
        /// Why.
        reason: String,
    },
    /// A query that needs more memory, or more disk, than it may use.
    #[error("the sql of source `{source_name}` needs more memory or disk than it may use: {reason}")]
    QueryTooLarge {
        /// The source.
        source_name: String,
        /// What was asked for.
        reason: String,
    },
    /// An expression was evaluated over other columns than its own: a defect of ours.
    #[error("an expression could not be evaluated")]
    Expression(#[from] asof_expression::ExpressionError),
    /// Arrow refused an operation: a defect of ours.
    #[error("a columnar operation failed")]
    Arrow(#[from] arrow::error::ArrowError),
}

impl EngineError {
    /// A read that failed.
    pub fn reading(path: &Path, source: std::io::Error) -> Self {
        match source.downcast::<ObjectsError>() {
            Ok(error) => Self::Objects(error),
            Err(source) => Self::Io { doing: "read", path: path.to_owned(), source },
        }
    }

    /// A write that failed.
    pub fn writing(path: &Path, source: std::io::Error) -> Self {
        match source.downcast::<ObjectsError>() {
            Ok(error) => Self::Objects(error),
            Err(source) => Self::Io { doing: "write", path: path.to_owned(), source },
        }
    }
}

impl Explain for EngineError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchPath { .. } | Self::NoFiles { .. } => Kind::NotFound,
            Self::Objects(error) => error.kind(),
            Self::UnknownFormat { .. }
            | Self::TooManyFiles { .. }
            | Self::Pattern { .. }
            | Self::DeltaTable { .. }
            | Self::TableBelow { .. }
            | Self::NoColumn { .. }
            | Self::NotScalar { .. }
            | Self::BadRow { .. }
            | Self::Label { .. }
            | Self::SameColumn { .. }
            | Self::Transform { .. }
            | Self::QueryTooLarge { .. }
            | Self::Damaged { .. } => Kind::Invalid,
            Self::Io { .. } | Self::Changed { .. } => Kind::Unavailable,
            Self::Expression(_) | Self::Arrow(_) => Kind::Corrupt,
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoSuchPath { what, .. } if what.starts_with("source") => {
                "relative paths of definitions start at the project's folder".to_owned()
            }
            Self::NoSuchPath { .. } => "relative paths start at the current folder".to_owned(),
            Self::NoFiles { .. } => "files whose name starts with `.` or `_` are skipped".to_owned(),
            Self::TooManyFiles { .. } => "name a folder or a pattern with fewer".to_owned(),
            Self::Pattern { .. } => {
                "`*` and `?` stand for letters of one name, `**` for any number of folders".to_owned()
            }
            Self::DeltaTable { what, .. } if what == "labels" => {
                "write its rows to a Parquet file".to_owned()
            }
            Self::DeltaTable { .. } => {
                "rewrite the table with what wrote it (`OPTIMIZE` or `REORG`), or export it".to_owned()
            }
            Self::TableBelow { .. } => {
                "name it itself as `path`: its folder holds files that it dropped".to_owned()
            }
            Self::Objects(error) => return error.hint(),
            Self::UnknownFormat { what, .. } if what.starts_with("source") => {
                "name it with `.parquet`, `.csv` or `.ndjson`, or set `format:`".to_owned()
            }
            Self::UnknownFormat { .. } => "name it with `.parquet` or `.csv`".to_owned(),
            Self::Io { source, .. } => return io_hint(source),
            Self::Damaged { format: "Parquet", .. } => {
                "was it written to its end? put a whole one there".to_owned()
            }
            Self::Damaged { .. } => "mend the file at that place and run again".to_owned(),
            Self::NoColumn { hint, .. } => return hint.clone(),
            Self::NotScalar { .. } => "leave the column out of the definition, or flatten it".to_owned(),
            Self::Changed { .. } => "run again when nobody writes to it".to_owned(),
            Self::BadRow { .. } => "leave such rows out with `where`, or mend their files".to_owned(),
            Self::Label { .. } => "correct the row, or name the right column".to_owned(),
            Self::SameColumn { .. } => {
                "ask for `--full-names`, or give one of the views an alias with `as:`".to_owned()
            }
            Self::QueryTooLarge { .. } => {
                "give the source a `lookback` and load it range by range, or filter earlier".to_owned()
            }
            Self::Transform { .. } => "run `asof apply`, which says what is wrong with it".to_owned(),
            Self::Expression(_) | Self::Arrow(_) => return None,
        };
        Some(text)
    }
}

fn io_hint(error: &std::io::Error) -> Option<String> {
    match error.kind() {
        std::io::ErrorKind::StorageFull => Some("the disk is full: free some room and run again".to_owned()),
        std::io::ErrorKind::NotFound => Some("create the folder first".to_owned()),
        std::io::ErrorKind::PermissionDenied => Some("check who may read and write there".to_owned()),
        std::io::ErrorKind::ReadOnlyFilesystem => Some("the disk is mounted read-only".to_owned()),
        _ => None,
    }
}
