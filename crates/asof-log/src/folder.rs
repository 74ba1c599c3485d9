//! The folder of a log: making it, who holds it, and what its failures mean.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use crate::error::LogError;

const LOCK_FILE: &str = "lock";

/// The folder, held until this is dropped.
pub(crate) struct Held {
    file: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that this one is just starting has it too, for a moment.
        let _ = self.file.unlock();
    }
}

/// Makes the folder where it is missing, and takes it for this process.
///
/// # Errors
/// [`LogError::Locked`], [`LogError::ReadOnly`], [`LogError::DiskFull`], [`LogError::Io`].
pub(crate) fn hold(folder: &Path) -> Result<Held, LogError> {
    create(folder).map_err(|source| explain(folder, source))?;
    let path = folder.join(LOCK_FILE);
    let opened = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = opened.map_err(|source| explain(&path, source))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(LogError::Locked { path: folder.to_owned(), holder: read_holder(&path) });
        }
        Err(TryLockError::Error(source)) => return Err(explain(&path, source)),
    }
    // The number only helps the reader of a message; that nobody else may write is the lock's doing.
    file.set_len(0)
        .and_then(|()| write!(file, "{}", std::process::id()))
        .map_err(|source| explain(&path, source))?;
    Ok(Held { file })
}

fn read_holder(path: &Path) -> Option<String> {
    let process: u32 = fs::read_to_string(path).ok()?.parse().ok()?;
    Some(format!("process {process}"))
}

/// Makes `folder` and those above it, flushing each into its parent.
fn create(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    create(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !folder.is_dir() => Err(error),
        _ => flush(parent),
    }
}

/// Makes names that were made or removed in `folder` durable.
pub(crate) fn sync(folder: &Path) -> Result<(), LogError> {
    flush(folder).map_err(|source| explain(folder, source))
}

fn flush(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// The error for a failure of the file system at `path`.
pub(crate) fn explain(path: &Path, source: io::Error) -> LogError {
    let kind = source.kind();
    let (path, source) = (path.to_owned(), Arc::new(source));
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => LogError::DiskFull { path, source },
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            LogError::ReadOnly { path, source }
        }
        _ => LogError::Io { path, source },
    }
}

#[cfg(test)]
mod tests {
    use asof_model::{Explain, Kind};

    use super::*;

    /// Goal: each way a disk can fail is told apart, names the path, and says what to do.
    #[test]
    fn failures_of_the_disk() {
        for (raised, text, hint) in [
            (io::ErrorKind::StorageFull, "no space is left for the log at `/data/log`", "free some space"),
            (io::ErrorKind::QuotaExceeded, "no space is left for the log at `/data/log`", "free some space"),
            (io::ErrorKind::ReadOnlyFilesystem, "the log can't write `/data/log`", "write access"),
            (io::ErrorKind::PermissionDenied, "the log can't write `/data/log`", "write access"),
            (io::ErrorKind::NotADirectory, "the log can't use `/data/log`", "a folder"),
        ] {
            let error = explain(Path::new("/data/log"), raised.into());
            assert_eq!(error.kind(), Kind::Unavailable, "{raised}");
            assert_eq!(error.to_string(), text);
            assert!(error.hint().unwrap().contains(hint), "{error}");
        }
    }
}
