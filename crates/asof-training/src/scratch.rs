//! A folder for what does not fit into memory while a training set is made.
//!
//! Each run has a folder of its own, which it holds by a lock and removes in the end, whatever the end is. A run that was
//! killed leaves its folder behind, and its lock to nobody: the next run finds it free and removes it, with the unfinished
//! outputs that are noted in it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::TrainingError;

/// The file that a run holds.
const LOCK: &str = "lock";

/// The file that names unfinished outputs, a path a line.
const OUTPUTS: &str = "outputs";

/// What names of folders begin with.
const PREFIX: &str = "train-";

/// The folder of one run, made once it is needed.
#[derive(Debug)]
pub struct Scratch {
    root: PathBuf,
    made: OnceLock<Folder>,
    making: Mutex<()>,
    files: AtomicU32,
    written: AtomicU64,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// Held until the folder is gone.
    _lock: File,
}

impl Scratch {
    /// A folder below `root`. Nothing is made yet.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            made: OnceLock::new(),
            making: Mutex::new(()),
            files: AtomicU32::new(0),
            written: AtomicU64::new(0),
        }
    }

    /// The folder; when it is made, those of runs that are no more are removed.
    fn folder(&self) -> Result<&Path, TrainingError> {
        let _making = self.making.lock();
        if let Some(made) = self.made.get() {
            return Ok(&made.path);
        }
        let made = make(&self.root);
        let failed = |source| TrainingError::Scratch { doing: "make", path: self.root.clone(), source };
        let made = made.map_err(failed)?;
        Ok(&self.made.get_or_init(|| made).path)
    }

    /// A new file.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub(crate) fn file(&self) -> Result<ScratchFile<'_>, TrainingError> {
        let path = self.folder()?.join(self.files.fetch_add(1, Ordering::Relaxed).to_string());
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file =
            file.map_err(|source| TrainingError::Scratch { doing: "make", path: path.clone(), source })?;
        Ok(ScratchFile { scratch: self, path, file, end: AtomicU64::new(0) })
    }

    /// The path of a new folder in it, which is not made yet.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub(crate) fn sub_folder(&self) -> Result<PathBuf, TrainingError> {
        Ok(self.folder()?.join(format!("folder-{}", self.files.fetch_add(1, Ordering::Relaxed))))
    }

    /// Bytes that were written so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Notes a file or folder that is nothing until it is renamed, to be removed where this run is killed.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub(crate) fn note_output(&self, path: &Path) -> Result<(), TrainingError> {
        let at = self.folder()?.join(OUTPUTS);
        let failed = |source| TrainingError::Scratch { doing: "write", path: at.clone(), source };
        let path = std::path::absolute(path).map_err(failed)?;
        let mut notes = OpenOptions::new().append(true).create(true).open(&at).map_err(failed)?;
        writeln!(notes, "{}", path.display()).map_err(failed)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(made) = self.made.get() {
            // The next run sweeps what can't be removed now.
            let _ = std::fs::remove_dir_all(&made.path);
        }
    }
}

/// Makes a folder of a new name and holds it.
fn make(root: &Path) -> io::Result<Folder> {
    std::fs::create_dir_all(root)?;
    sweep(root);
    for attempt in 0..u32::MAX {
        let path = root.join(format!("{PREFIX}{}-{attempt}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => {
                // It has its name only once it is held.
                let making = path.join("lock.making");
                let lock = File::create(&making)?;
                lock.lock()?;
                std::fs::rename(&making, path.join(LOCK))?;
                return Ok(Folder { path, _lock: lock });
            }
            // Of another thread of this process.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes what killed runs left below `root`. What can't be removed is left for another time.
fn sweep(root: &Path) {
    for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
        let folder = entry.path();
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // A folder without the file is being made, or was being removed.
        let Ok(lock) = File::open(folder.join(LOCK)) else {
            let old =
                entry.metadata().and_then(|facts| facts.modified()).ok().and_then(|at| at.elapsed().ok());
            if old.is_some_and(|age| age > SETTLED) {
                let _ = std::fs::remove_dir_all(&folder);
            }
            continue;
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => continue,
        }
        for path in std::fs::read_to_string(folder.join(OUTPUTS)).unwrap_or_default().lines().map(Path::new) {
            let _ = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
        }
        let _ = std::fs::remove_dir_all(&folder);
    }
}

/// How long a folder without a lock is left alone: somebody may be making it.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(60);

/// A file that is written at its end and read anywhere, from any number of threads.
#[derive(Debug)]
pub(crate) struct ScratchFile<'a> {
    scratch: &'a Scratch,
    path: PathBuf,
    file: File,
    end: AtomicU64,
}

impl ScratchFile<'_> {
    /// Writes at the end; returns where.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`], also for a full disk.
    pub fn append(&self, bytes: &[u8]) -> Result<u64, TrainingError> {
        let at = self.end.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        write_all_at(&self.file, bytes, at).map_err(|source| self.failed("write", source))?;
        self.scratch.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(at)
    }

    /// Fills `bytes` from `at` on.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn read(&self, bytes: &mut [u8], at: u64) -> Result<(), TrainingError> {
        read_exact_at(&self.file, bytes, at).map_err(|source| self.failed("read", source))
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> TrainingError {
        TrainingError::Scratch { doing, path: self.path.clone(), source }
    }
}

impl Drop for ScratchFile<'_> {
    fn drop(&mut self) {
        // The folder goes in the end in any case.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        (bytes, at) = (&bytes[count..], at + count as u64);
    }
    Ok(())
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                bytes = &mut bytes[count..];
                at += count as u64;
            }
        }
    }
    Ok(())
}
