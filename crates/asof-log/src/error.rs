//! What can go wrong in the log.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use asof_model::{Explain, Kind};

/// An error of the log.
///
/// Failures of the disk are shared: one write serves many batches, and each of them is told.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// A batch without entries.
    #[error("a batch for topic `{topic}` has no entries")]
    Empty {
        /// The topic.
        topic: String,
    },

    /// Something is larger than its bound.
    #[error("{what} has {found} {unit}, the most is {max}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Entries or bytes.
        unit: &'static str,
        /// Its size.
        found: u64,
        /// The bound.
        max: u64,
    },

    /// The key came before, with other entries.
    #[error("key `{key}` of topic `{topic}` was used for other entries, at position {first}")]
    KeyReused {
        /// The topic.
        topic: String,
        /// The key, as text or in hexadecimal.
        key: String,
        /// The position of the first entry that was appended with it.
        first: u64,
    },

    /// Too much waits to be folded. Nothing was written.
    #[error("{unfolded} bytes in the log wait to be folded, the most is {max}")]
    Full {
        /// Bytes that wait.
        unfolded: u64,
        /// The bound.
        max: u64,
    },

    /// The position was reclaimed.
    #[error("position {from} is no longer in the log, which begins at {first}")]
    Reclaimed {
        /// The position asked for.
        from: u64,
        /// The first position still there.
        first: u64,
    },

    /// A position that the log has not given out. Who names it has read another log, or this one lost its end.
    #[error("the log in `{}` never gave out position {position}, it ends at {durable}", path.display())]
    NeverGiven {
        /// The folder.
        path: PathBuf,
        /// The position.
        position: u64,
        /// The last durable position.
        durable: u64,
    },

    /// Another process, or another part of this one, holds the folder.
    #[error("the log in `{}` is in use{}", path.display(), by(holder))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who holds it, as far as it is known.
        holder: Option<String>,
    },

    /// An earlier write failed; the log takes no more until it is opened again.
    #[error("the log in `{}` takes no more batches, as an earlier write failed", path.display())]
    Poisoned {
        /// The folder.
        path: PathBuf,
    },

    /// Stored bytes that are not what they should be.
    #[error("`{}` is damaged at byte {offset}: {problem}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where in it, in bytes from its start.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
    },

    /// A file of a version that this program does not know.
    #[error("`{}` has version {found}, this program knows versions up to {newest}", file.display())]
    UnknownVersion {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u8,
        /// The newest version known.
        newest: u8,
    },

    /// No space is left.
    #[error("no space is left for the log at `{}`", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },

    /// The folder can't be written, which the log needs even for reading (its lock).
    #[error("the log can't write `{}`", path.display())]
    ReadOnly {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },

    /// Any other failure of the file system.
    #[error("the log can't use `{}`", path.display())]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Arc<io::Error>,
    },
}

fn by(holder: &Option<String>) -> String {
    holder.as_ref().map_or(String::new(), |holder| format!(" by {holder}"))
}

impl Explain for LogError {
    fn kind(&self) -> Kind {
        match self {
            Self::Empty { .. } | Self::TooLarge { .. } => Kind::Invalid,
            Self::Reclaimed { .. } => Kind::NotFound,
            Self::KeyReused { .. } | Self::UnknownVersion { .. } => Kind::Conflict,
            Self::NeverGiven { .. } | Self::Damaged { .. } => Kind::Corrupt,
            Self::Full { .. }
            | Self::Locked { .. }
            | Self::Poisoned { .. }
            | Self::DiskFull { .. }
            | Self::ReadOnly { .. }
            | Self::Io { .. } => Kind::Unavailable,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Empty { .. } => "send at least one entry",
            Self::TooLarge { what: "a batch", .. } => "send it in several batches",
            Self::TooLarge { .. } => return None,
            Self::KeyReused { .. } => "draw a new key for each batch, and repeat a batch unchanged",
            Self::Full { .. } => "send it again when what waits has been folded",
            Self::Reclaimed { .. } => "read on from the first position, or take older entries from history",
            Self::NeverGiven { .. } => "check that the folder is the one that was read before",
            Self::Locked { .. } => "run it again when that process has ended, or stop it first",
            Self::Poisoned { .. } => {
                "look for a full or failing disk, then start again: what was acknowledged is safe"
            }
            Self::Damaged { .. } => "check the disk, and bring the file back from a copy of the folder",
            Self::UnknownVersion { .. } => "use the program that wrote it, or a newer one",
            Self::DiskFull { .. } => "free some space, then start again: what was acknowledged is safe",
            Self::ReadOnly { .. } => "give this user write access to the folder",
            Self::Io { .. } => "check that the path is a folder on a healthy disk",
        };
        Some(hint.to_owned())
    }
}
