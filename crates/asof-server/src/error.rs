//! What can keep a server from starting or running. Errors of single requests are answered, not raised.

use std::io::ErrorKind;

use asof_model::{Explain, Kind};
use asof_store::StoreError;

/// Errors of a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// An address to listen on that is none, or a host that is not known.
    #[error("`{listen}` is not an address to listen on: {source}")]
    Address {
        /// As it was written.
        listen: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// An address that can't be listened on: in use, not ours, not allowed.
    #[error("cannot listen on `{listen}`: {source}")]
    Listen {
        /// As it was written.
        listen: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Another server serves the project, from another online store.
    #[error("process {process} serves this project already")]
    Served {
        /// Its process number.
        process: u32,
    },
    /// Threads can't be started.
    #[error("cannot start the threads of the server: {source}")]
    Threads {
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The signals that stop a server can't be listened for.
    #[error("cannot listen for signals: {source}")]
    Signals {
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The listener failed while serving.
    #[error("the server stopped: {source}")]
    Stopped {
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The feature store can't be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Explain for ServerError {
    fn kind(&self) -> Kind {
        match self {
            Self::Address { .. } => Kind::Invalid,
            Self::Served { .. } => Kind::Conflict,
            Self::Listen { .. } | Self::Threads { .. } | Self::Signals { .. } | Self::Stopped { .. } => {
                Kind::Unavailable
            }
            Self::Store(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Address { .. } => "write it as `HOST:PORT`, like `127.0.0.1:6566`",
            Self::Listen { source, .. } => match source.kind() {
                ErrorKind::AddrInUse => {
                    "stop the process that listens there, or choose another with `--listen HOST:PORT`"
                }
                ErrorKind::PermissionDenied => "choose a port from 1024 on with `--listen HOST:PORT`",
                ErrorKind::AddrNotAvailable => {
                    "the host must be an address of this machine: `127.0.0.1` for itself alone, `0.0.0.0` for the network"
                }
                _ => return None,
            },
            Self::Served { .. } => "stop that one first",
            Self::Threads { .. } | Self::Signals { .. } | Self::Stopped { .. } => return None,
            Self::Store(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }
}
