//! What can go wrong with an object store.

use asof_model::{Explain, Kind};

/// Every error of this crate. Reasons are text, freed of secrets before they came here.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ObjectsError {
    /// The variables of the environment do not make a store.
    #[error("`{url}` cannot be reached: {reason}")]
    Settings {
        /// The URL.
        url: String,
        /// What is missing or wrong.
        reason: String,
        /// The variables to set.
        hint: String,
    },
    /// There is no such bucket or object.
    #[error("there is no `{url}`")]
    NotFound {
        /// The URL.
        url: String,
    },
    /// The store does not let us.
    #[error("`{url}` is not open to us: {reason}")]
    Denied {
        /// The URL.
        url: String,
        /// What the store says.
        reason: String,
    },
    /// An object is not the one that was listed.
    #[error("`{url}` changed while it was read")]
    Changed {
        /// The URL.
        url: String,
    },
    /// More objects than one source may have.
    #[error("`{url}` has more than {max} objects")]
    TooMany {
        /// The URL.
        url: String,
        /// How many are listed.
        max: usize,
    },
    /// More bytes than an object may have.
    #[error("`{url}` would have more than {max} bytes")]
    TooLarge {
        /// The URL.
        url: String,
        /// The most bytes of an object.
        max: u64,
    },
    /// The store does not answer, or not with what was asked.
    #[error("a request to `{url}` failed: {reason}")]
    Unavailable {
        /// The URL.
        url: String,
        /// What happened.
        reason: String,
        /// What may help.
        hint: Option<String>,
    },
    /// The threads that speak to object stores are gone.
    #[error("requests to object stores cannot be made: {reason}")]
    NoThreads {
        /// What the system says.
        reason: String,
    },
}

impl Explain for ObjectsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Settings { .. } | Self::TooMany { .. } | Self::TooLarge { .. } => Kind::Invalid,
            Self::NotFound { .. } => Kind::NotFound,
            Self::Denied { .. }
            | Self::Changed { .. }
            | Self::Unavailable { .. }
            | Self::NoThreads { .. } => Kind::Unavailable,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Settings { hint, .. } => Some(hint.clone()),
            Self::NotFound { .. } => Some("check the bucket and the path in the URL".to_owned()),
            Self::Denied { .. } => {
                Some("check the credentials in the environment, and what they may read and write".to_owned())
            }
            Self::Changed { .. } => Some("run again when nobody writes to it".to_owned()),
            Self::TooMany { .. } => Some("name a folder or a pattern with fewer".to_owned()),
            Self::TooLarge { .. } => Some("write a folder of several files".to_owned()),
            Self::Unavailable { hint, .. } => hint.clone(),
            Self::NoThreads { .. } => None,
        }
    }
}
