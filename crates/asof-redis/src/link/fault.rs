//! What an error of a server means: to be tried again, to be asked elsewhere, or final.

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// What to do about an error.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fault {
    /// The node can't be reached, or does not answer: connect again, and see whether another one has taken its place.
    Gone,
    /// The node is not the one to ask any more, or nobody is at the moment.
    Elsewhere,
    /// This once, ask that node.
    Ask(String),
    /// The node does not know the script.
    NoScript,
    /// The node does not answer now: it reads its files, or moves keys.
    Busy,
    /// Trying again does not help.
    Final,
}

/// What an error means.
pub(crate) fn fault(error: &RedisError) -> Fault {
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::Moved
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown => Fault::Elsewhere,
            ServerErrorKind::Ask => match error.redirect_node() {
                Some((node, _)) => Fault::Ask(node.to_owned()),
                None => Fault::Elsewhere,
            },
            ServerErrorKind::NoScript => Fault::NoScript,
            ServerErrorKind::BusyLoading | ServerErrorKind::TryAgain => Fault::Busy,
            _ => Fault::Final,
        },
        ErrorKind::Extension => match error.code() {
            Some("NOREPLICAS" | "BUSY" | "UNBLOCKED") => Fault::Busy,
            _ => Fault::Final,
        },
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig => Fault::Final,
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::Client => Fault::Gone,
        _ => match error.is_io_error() || error.is_connection_dropped() || error.is_timeout() {
            true => Fault::Gone,
            false => Fault::Final,
        },
    }
}

/// What is wrong with the server, and what to change, where an error says that.
pub(crate) fn unfit(error: &RedisError) -> Option<(String, &'static str)> {
    if error.kind() == ErrorKind::AuthenticationFailed {
        return Some((
            "user or password are wrong".to_owned(),
            "see user and password in the URL, and the server's ACL",
        ));
    }
    let hint = match error.code()? {
        "OOM" => "give the server more memory (`maxmemory`), or remove other data from it",
        "MISCONF" => "the server can't write to its disk: see its log",
        "NOPERM" => "give the ACL user all commands on `~asof:*` (`+@all`, or see docs/online.md)",
        "NOAUTH" | "WRONGPASS" => "see user and password in the URL, and the server's ACL",
        _ => return None,
    };
    Some((error.detail().unwrap_or_default().to_owned(), hint))
}
