//! Where an output goes: a file under a name of its own until it is complete, or an object that appears once it is.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use asof_engine::EngineError;
use asof_model::{Location, ObjectUrl};
use asof_objects::{ObjectWriter, Objects};

use crate::TrainingError;
use crate::scratch::Scratch;

/// The place of an output of one file.
pub(crate) enum Place {
    File(Partial),
    Object(ObjectUrl, Objects),
}

/// A file or folder that has its name only once it is complete.
pub(crate) struct Partial {
    path: PathBuf,
    partial: PathBuf,
    complete: bool,
}

/// What the bytes of a file go to.
pub(crate) enum Sink {
    File(File),
    Object(Box<ObjectWriter>),
}

impl Place {
    /// A place for an output at `at`. `scratch` remembers it, so that what is not complete goes too where this run is
    /// killed.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn new(at: &Location, objects: &Objects, scratch: &Scratch) -> Result<Self, TrainingError> {
        Ok(match at {
            Location::Local(path) => Self::File(Partial::new(path, scratch)?),
            Location::Object(url) => Self::Object(url.clone(), objects.clone()),
        })
    }

    /// Opens what bytes go to, once.
    ///
    /// # Errors
    /// [`EngineError::Io`] names the file that was asked for; [`EngineError::Objects`].
    pub fn create(&self) -> Result<Sink, EngineError> {
        match self {
            Self::File(partial) => {
                let file = File::create(&partial.partial).map_err(|error| self.failed(error))?;
                Ok(Sink::File(file))
            }
            Self::Object(url, objects) => Ok(Sink::Object(Box::new(objects.writer(url)?))),
        }
    }

    /// The error for a write that failed.
    pub fn failed(&self, error: io::Error) -> EngineError {
        match self {
            Self::File(partial) => partial.failed(error),
            Self::Object(url, _) => EngineError::writing(Path::new(&url.to_string()), error),
        }
    }

    /// Makes all that was written to the sink appear. Returns its bytes.
    ///
    /// # Errors
    /// As [`Place::create`].
    pub fn complete(self, sink: Sink) -> Result<u64, TrainingError> {
        let bytes = sink.complete().map_err(|error| self.failed(error))?;
        if let Self::File(partial) = self {
            partial.complete()?;
        }
        Ok(bytes)
    }
}

impl Partial {
    /// A file or folder beside the one it is to be, so that a rename is enough.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn new(path: &Path, scratch: &Scratch) -> Result<Self, TrainingError> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        scratch.note_output(&partial)?;
        Ok(Self { path: path.to_owned(), partial, complete: false })
    }

    /// Where it is until it is complete.
    pub fn made_at(&self) -> &Path {
        &self.partial
    }

    /// The error for something that can't be done to it.
    pub fn failed(&self, error: io::Error) -> EngineError {
        EngineError::writing(&self.path, error)
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn complete(mut self) -> Result<(), EngineError> {
        let renamed = std::fs::rename(&self.partial, &self.path);
        renamed.map_err(|error| self.failed(error))?;
        self.complete = true;
        Ok(())
    }
}

impl Partial {
    /// Gives a folder its name, in the place of one that is there. What was there is removed.
    ///
    /// Where the system can, both change names in one step: there is always one of them, whole, whatever happens.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn replace(self) -> Result<(), EngineError> {
        if exchange(&self.partial, &self.path).is_ok() {
            // What was there has the name of what is not complete, and goes as that would.
            return Ok(());
        }
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let earlier = self.path.with_file_name(format!(".{name}.{}.replaced", std::process::id()));
        std::fs::rename(&self.path, &earlier).map_err(|error| self.failed(error))?;
        let path = self.path.clone();
        self.complete()?;
        std::fs::remove_dir_all(&earlier).map_err(|error| EngineError::writing(&path, error))
    }
}

/// Lets two paths change names.
#[cfg(target_os = "linux")]
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Lets two paths change names.
#[cfg(not(target_os = "linux"))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.complete {
            // The error that counts is the first one; what is left over is removed by the next run.
            let _ = match self.partial.is_dir() {
                true => std::fs::remove_dir_all(&self.partial),
                false => std::fs::remove_file(&self.partial),
            };
        }
    }
}

impl Sink {
    /// Makes sure that all bytes are there to stay. Returns how many there are.
    ///
    /// # Errors
    /// Those of the system and of the store.
    pub fn complete(self) -> io::Result<u64> {
        match self {
            Self::File(file) => {
                file.sync_all()?;
                Ok(file.metadata()?.len())
            }
            Self::Object(writer) => writer.complete().map_err(io::Error::other),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Object(writer) => writer.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Object(writer) => writer.flush(),
        }
    }
}
