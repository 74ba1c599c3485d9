//! How a registry fails, and what the reader can do about it.

use std::error::Error as StdError;
use std::time::Duration;

use asof_model::{Explain, Kind};

use crate::record::ObjectKey;

/// An error of the database underneath, kept for the chain of causes.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// What can go wrong with a registry. `registry` is its place: a path, or a URL without its secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// There is no registry, and it was not to be created.
    #[error("there is no registry at `{registry}`")]
    Missing {
        /// Its place.
        registry: String,
    },

    /// Something else stands there.
    #[error("`{registry}` is not a registry: it is {found}")]
    NotARegistry {
        /// Its place.
        registry: String,
        /// What it is instead.
        found: &'static str,
    },

    /// A newer program laid out the tables.
    #[error("registry `{registry}` has schema {found}; this program knows schemas up to {known}")]
    NewerSchema {
        /// Its place.
        registry: String,
        /// The newest migration that was applied.
        found: i64,
        /// The newest migration that this program has.
        known: i64,
    },

    /// A newer program wrote the definition.
    #[error("{} `{key}` is stored in format {found}; this program reads formats up to {known}", .key.kind)]
    NewerFormat {
        /// The object.
        key: ObjectKey,
        /// The format of its spec.
        found: u32,
        /// The greatest format that this program reads.
        known: u32,
    },

    /// Somebody else applied since the changes were planned.
    #[error("the registry is at revision {found}, but the changes were planned at revision {expected}")]
    Moved {
        /// The revision that the caller named.
        expected: u64,
        /// The current revision.
        found: u64,
    },

    /// The object to remove is not there.
    #[error("there is no {} `{key}` to remove", .key.kind)]
    Absent {
        /// The object.
        key: ObjectKey,
    },

    /// The object cannot be stored.
    #[error("{} `{key}` cannot be stored: {reason}", .key.kind)]
    InvalidObject {
        /// The object.
        key: ObjectKey,
        /// The rule that it breaks.
        reason: String,
    },

    /// An update names other stored data than the object has.
    #[error("{} `{key}` has the identity `{stored}`, and an update cannot make it `{given}`", .key.kind)]
    IdentityChanged {
        /// The object.
        key: ObjectKey,
        /// The identity that it has.
        stored: String,
        /// The identity in the change.
        given: String,
    },

    /// Somebody held the database too long.
    #[error("registry `{registry}` was locked for longer than {waited:?}")]
    Locked {
        /// Its place.
        registry: String,
        /// How long we waited.
        waited: Duration,
    },

    /// The file or its folder cannot be opened for writing.
    #[error("registry `{registry}` cannot be opened for writing")]
    Unwritable {
        /// Its place.
        registry: String,
        /// What the system says.
        #[source]
        source: Cause,
    },

    /// No room is left.
    #[error("the disk of registry `{registry}` is full")]
    DiskFull {
        /// Its place.
        registry: String,
        /// What the database says.
        #[source]
        source: Cause,
    },

    /// What is stored cannot be what was written.
    #[error("registry `{registry}` is damaged: {detail}")]
    Damaged {
        /// Its place.
        registry: String,
        /// What does not fit.
        detail: String,
    },

    /// Any other failure of the database.
    #[error("registry `{registry}` failed")]
    Failed {
        /// Its place.
        registry: String,
        /// What the database says.
        #[source]
        source: Cause,
    },
}

impl Explain for RegistryError {
    fn kind(&self) -> Kind {
        match self {
            Self::Missing { .. } | Self::Absent { .. } => Kind::NotFound,
            Self::NotARegistry { .. } | Self::InvalidObject { .. } => Kind::Invalid,
            Self::NewerSchema { .. }
            | Self::NewerFormat { .. }
            | Self::Moved { .. }
            | Self::IdentityChanged { .. } => Kind::Conflict,
            Self::Locked { .. } | Self::Unwritable { .. } | Self::DiskFull { .. } | Self::Failed { .. } => {
                Kind::Unavailable
            }
            Self::Damaged { .. } => Kind::Corrupt,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Missing { .. } => "`asof apply` creates it".to_owned(),
            Self::NotARegistry { .. } => {
                "set `url` under `[registry]` in `asof.toml` to another place, or move that file away"
                    .to_owned()
            }
            Self::NewerSchema { found, .. } => {
                format!("upgrade `asof` to a version that knows schema {found}")
            }
            Self::NewerFormat { found, .. } => {
                format!("upgrade `asof` to a version that reads format {found}")
            }
            Self::Moved { .. } => {
                "somebody applied in between: look at `asof plan` again, then apply".to_owned()
            }
            Self::Absent { .. } => "`asof list` shows what there is".to_owned(),
            Self::InvalidObject { .. } => return None,
            Self::IdentityChanged { key, .. } => {
                format!("write a new version of `{}`, or remove it and create it again", key.name)
            }
            Self::Locked { .. } => {
                "another process is writing to it; try again, or find out who holds it open".to_owned()
            }
            Self::Unwritable { .. } => {
                "check that the folder exists or can be created, that it and the file in it \
                may be written by this user, and that the disk is not mounted read-only"
                    .to_owned()
            }
            Self::DiskFull { .. } => "nothing was changed; make room on the disk and try again".to_owned(),
            Self::Damaged { .. } => {
                "restore the file from a backup; the definitions themselves are in the project's files"
                    .to_owned()
            }
            Self::Failed { .. } => return None,
        };
        Some(hint)
    }
}
