//! What can go wrong before a run, or instead of one. What goes wrong in a run is counted.

use std::path::PathBuf;
use std::time::Duration;

use asof_model::{Explain, Kind};

/// Errors of driving a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Numbers that can't be, or don't go together.
    #[error("{reason}")]
    Plan {
        /// What is wrong.
        reason: String,
    },
    /// An address that can't be asked.
    #[error("cannot send requests to `{url}`: {reason}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A join key whose values can't be made.
    #[error("key `{name}`: `{text}` {reason}")]
    Key {
        /// The join key.
        name: String,
        /// What was said of it.
        text: String,
        /// What is wrong with that.
        reason: String,
    },
    /// A file of keys that can't be used.
    #[error("keys of `{}`{}: {reason}", path.display(), line.map(|line| format!(", line {line}")).unwrap_or_default())]
    KeysFile {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: Option<u64>,
        /// What is wrong.
        reason: String,
    },
    /// A file can't be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Nobody listens there.
    #[error("cannot connect to `{url}`: {source}")]
    Connect {
        /// The address.
        url: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The server does not answer the first request of a kind.
    #[error("`{url}` does not answer {asked}: {reason}")]
    NoAnswer {
        /// The address.
        url: String,
        /// What was asked for.
        asked: String,
        /// What came instead.
        reason: String,
    },
    /// The server refuses a kind of request, so a run would measure refusals.
    #[error("`{url}` answers {asked} with {status}: {body}")]
    Refused {
        /// The address.
        url: String,
        /// What was asked for.
        asked: String,
        /// The HTTP status.
        status: u16,
        /// The beginning of what the server says.
        body: String,
    },
    /// The first request took longer than the timeout.
    #[error("`{url}` did not answer {asked} within {waited:?}")]
    Timeout {
        /// The address.
        url: String,
        /// What was asked for.
        asked: String,
        /// The timeout.
        waited: Duration,
    },
    /// The process can't have the threads or sockets that it needs.
    #[error("cannot start the threads that send requests: {source}")]
    Threads {
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Nobody wants the run any more, and nothing was measured yet.
    #[error("stopped before anything was measured")]
    Stopped,
}

impl Explain for LoadError {
    fn kind(&self) -> Kind {
        match self {
            Self::Plan { .. } | Self::Url { .. } | Self::Key { .. } | Self::KeysFile { .. } => Kind::Invalid,
            Self::Refused { status: 404, .. } => Kind::NotFound,
            Self::Refused { status: 400..=499, .. } => Kind::Invalid,
            Self::Io { .. } | Self::Connect { .. } | Self::NoAnswer { .. } | Self::Refused { .. } => {
                Kind::Unavailable
            }
            Self::Timeout { .. } | Self::Threads { .. } | Self::Stopped => Kind::Unavailable,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Url { .. } => Some("an address is written as `http://HOST:PORT`".to_owned()),
            Self::Key { .. } => {
                Some("values are `int:0..1000000` or `text:user-%06d:0..50000`; the end is not one of them".to_owned())
            }
            Self::KeysFile { .. } => Some(
                "the first line names the join keys, as in `zipcode:int,dob_ssn`; each further one is an entity"
                    .to_owned(),
            ),
            Self::Connect { .. } => Some("`asof serve` starts a server".to_owned()),
            Self::Refused { status: 400..=499, .. } => {
                Some("a request must name what was applied, and every join key that it needs".to_owned())
            }
            _ => None,
        }
    }
}

pub(crate) fn plan(reason: impl Into<String>) -> LoadError {
    LoadError::Plan { reason: reason.into() }
}
