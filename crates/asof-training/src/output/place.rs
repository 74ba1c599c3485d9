//! Where an output goes: a file beside the one it is to be, until it is complete.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use asof_engine::EngineError;

use crate::TrainingError;
use crate::scratch::Scratch;

/// The file of an output, under a name of its own until it is complete.
pub(crate) struct Place {
    path: PathBuf,
    partial: PathBuf,
    complete: bool,
}

impl Place {
    /// A place for an output at `path`. `scratch` remembers it, so that it goes too where this run is killed.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn new(path: &Path, scratch: &Scratch) -> Result<Self, TrainingError> {
        // Beside the finished one, so that a rename is enough.
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        scratch.note_output(&partial)?;
        Ok(Self { path: path.to_owned(), partial, complete: false })
    }

    /// Makes the file.
    ///
    /// # Errors
    /// [`EngineError::Io`] names the file that was asked for.
    pub fn create(&self) -> Result<File, EngineError> {
        File::create(&self.partial).map_err(|error| self.failed(error))
    }

    /// The error for a write that failed.
    pub fn failed(&self, error: io::Error) -> EngineError {
        EngineError::writing(&self.path, error)
    }

    /// Gives the file its name. Returns its bytes.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn complete(mut self) -> Result<u64, TrainingError> {
        let renamed = std::fs::rename(&self.partial, &self.path);
        renamed.map_err(|error| self.failed(error))?;
        self.complete = true;
        let facts = std::fs::metadata(&self.path).map_err(|error| self.failed(error))?;
        Ok(facts.len())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.complete {
            // The error that counts is the first one; a left-over file is removed by the next run.
            let _ = std::fs::remove_file(&self.partial);
        }
    }
}
