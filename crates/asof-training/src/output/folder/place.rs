//! The folder itself: made under a name of its own, and given its name once it is complete. In an object store its files
//! are put one by one, and the last of them says that it is complete.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use asof_engine::EngineError;
use asof_model::{Location, ObjectUrl};
use asof_objects::Objects;

use super::WrittenFile;
use crate::TrainingError;
use crate::output::place::{Partial, Sink};
use crate::scratch::Scratch;

/// The file that tells a training set from other folders. Its name begins as those that readers of folders leave out.
pub const MARKER: &str = "_training_set.json";

/// Where files are put until the folder is complete.
pub(super) struct FolderPlace<'a> {
    /// The folder that is asked for, for messages.
    shown: PathBuf,
    made: PathBuf,
    target: Target<'a>,
}

enum Target<'a> {
    /// Beside the one that is asked for.
    Folder(Partial, &'a Path),
    /// In scratch, from where files are sent.
    Objects(&'a ObjectUrl, &'a Objects),
}

impl<'a> FolderPlace<'a> {
    /// A place for a folder at `at`, where there is nothing yet, or an earlier training set.
    ///
    /// # Errors
    /// [`TrainingError::FolderTaken`]; [`TrainingError::Scratch`]; those of the system and of the store.
    pub fn new(at: &'a Location, objects: &'a Objects, scratch: &Scratch) -> Result<Self, TrainingError> {
        let shown = PathBuf::from(at.to_string());
        let (made, target) = match at {
            Location::Local(path) => {
                check_free(path)?;
                let partial = Partial::new(path, scratch)?;
                (partial.made_at().to_owned(), Target::Folder(partial, path))
            }
            Location::Object(url) => {
                if !objects.list(url).map_err(EngineError::from)?.is_empty() {
                    return Err(TrainingError::FolderTaken { path: shown });
                }
                (scratch.sub_folder()?, Target::Objects(url, objects))
            }
        };
        let place = Self { shown, made, target };
        // Not those above it: a path that is misspelt is an error, as it is for a file.
        fs::create_dir(&place.made).map_err(|error| place.failed(error))?;
        Ok(place)
    }

    /// Makes a file at a path below the folder, with `/` between parts.
    ///
    /// # Errors
    /// [`EngineError::Io`] names the folder that was asked for.
    pub fn create(&self, path: &str) -> Result<Sink, EngineError> {
        let path = self.made.join(path);
        let make = || {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create(&path)
        };
        Ok(Sink::File(make().map_err(|error| self.failed(error))?))
    }

    /// The error for a write that failed.
    pub fn failed(&self, error: io::Error) -> EngineError {
        EngineError::writing(&self.shown, error)
    }

    /// Adds the note that says what it is, and makes the folder appear, in the place of an earlier training set.
    ///
    /// # Errors
    /// Those of the system and of the store.
    pub fn complete(self, note: &[u8], files: &[WrittenFile]) -> Result<(), TrainingError> {
        let shown = self.shown.clone();
        let failed = |error| EngineError::writing(&shown, error);
        let mut marker = self.create(MARKER)?;
        marker.write_all(note).map_err(failed)?;
        marker.complete().map_err(failed)?;
        match self.target {
            Target::Folder(partial, path) => match path.exists() {
                true => partial.replace()?,
                false => partial.complete()?,
            },
            Target::Objects(url, objects) => {
                let names = files.iter().map(|file| file.path.as_str()).chain([MARKER]);
                for name in names {
                    let key = [url.key.as_str(), name].into_iter().filter(|part| !part.is_empty());
                    let object = url.with_key(&key.collect::<Vec<_>>().join("/"));
                    let mut writer = objects.writer(&object).map_err(EngineError::from)?;
                    let mut file = File::open(self.made.join(name)).map_err(failed)?;
                    io::copy(&mut file, &mut writer).map_err(failed)?;
                    writer.complete().map_err(EngineError::from)?;
                }
            }
        }
        Ok(())
    }
}

/// Refuses what is there and is no training set.
fn check_free(path: &Path) -> Result<(), TrainingError> {
    let taken = || Err(TrainingError::FolderTaken { path: path.to_owned() });
    let Ok(facts) = fs::symlink_metadata(path) else { return Ok(()) };
    if !facts.is_dir() {
        return taken();
    }
    let mut entries = fs::read_dir(path).map_err(|error| EngineError::reading(path, error))?;
    if entries.next().is_some() && !path.join(MARKER).is_file() { taken() } else { Ok(()) }
}
