//! What a failure of the storage engine means to the reader of a message.

use std::io;
use std::path::Path;

use crate::error::OnlineError;

/// The error for a failure of the engine on the store in `path`.
pub(super) fn explain(path: &Path, error: fjall::Error) -> OnlineError {
    use fjall::{Error, LsmError};
    match error {
        Error::Io(source) | Error::Storage(LsmError::Io(source)) => explain_io(path, source),
        Error::Poisoned => OnlineError::Poisoned { path: path.to_owned() },
        Error::Locked => {
            OnlineError::Locked { path: path.to_owned(), holder: super::folder::read_holder(path) }
        }
        Error::Storage(LsmError::ChecksumMismatch { .. }) => damaged(path, "a block has another checksum"),
        Error::Storage(other) => damaged(path, &format!("{other:?}")),
        Error::JournalRecovery(reason) => damaged(path, &format!("its journal can't be read ({reason:?})")),
        Error::InvalidVersion(found) => damaged(path, &format!("its files have format {found:?}")),
        other => damaged(path, &format!("{other:?}")),
    }
}

/// The error for a failure of the file system on the store in `path`.
pub(super) fn explain_io(path: &Path, source: io::Error) -> OnlineError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OnlineError::DiskFull { path, source },
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            OnlineError::ReadOnly { path, source }
        }
        // The engine reports files that it misses, and bytes it can't make sense of, as these.
        io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            OnlineError::DamagedStore { path, problem: source.to_string() }
        }
        // Only the creation of a store expects a file not to be there.
        io::ErrorKind::AlreadyExists => OnlineError::DamagedStore {
            path,
            problem: "its creation was cut short, so it holds nothing".to_owned(),
        },
        _ => OnlineError::Io { path, source },
    }
}

pub(super) fn damaged(path: &Path, problem: &str) -> OnlineError {
    OnlineError::DamagedStore { path: path.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use asof_model::{Explain, Kind};

    use super::*;

    /// Goal: each way a disk can fail is told apart, with a class and a next step.
    #[test]
    fn failures_of_the_disk() {
        let path = Path::new("/data/online");
        for (raised, kind, text, hint) in [
            (io::ErrorKind::StorageFull, Kind::Unavailable, "no space is left", "free some space"),
            (io::ErrorKind::ReadOnlyFilesystem, Kind::Unavailable, "can't be written", "write access"),
            (io::ErrorKind::PermissionDenied, Kind::Unavailable, "can't be written", "write access"),
            (io::ErrorKind::UnexpectedEof, Kind::Corrupt, "is damaged", "rebuild"),
            (io::ErrorKind::AlreadyExists, Kind::Corrupt, "cut short", "rebuild"),
            (io::ErrorKind::NotADirectory, Kind::Unavailable, "can't be used", "a folder"),
        ] {
            let error = explain(path, fjall::Error::Io(raised.into()));
            assert_eq!(error.kind(), kind, "{raised}");
            assert!(error.to_string().contains(text), "{error}");
            assert!(error.hint().unwrap().contains(hint), "{error}");
        }
        let poisoned = explain(path, fjall::Error::Poisoned);
        assert!(matches!(poisoned, OnlineError::Poisoned { .. }));
        let checksum = fjall::Error::Storage(fjall::LsmError::InvalidTrailer);
        assert_eq!(explain(path, checksum).kind(), Kind::Corrupt);
    }
}
