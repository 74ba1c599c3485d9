//! A project: a folder with `asof.toml` and definition files below it.

use std::path::{Path, PathBuf};

use asof_model::Location;
use asof_model::definition::{self, ReadDefinitions, SourceFile};
use asof_model::settings::Settings;
use asof_model::spec::Source;

use asof_online::EmbeddedStore;

use crate::StoreError;

/// The file that marks a project's folder.
pub const SETTINGS_FILE: &str = "asof.toml";

/// The name of a project that names none. Not the folder's: a folder that is moved must find what was applied in it.
pub const PROJECT_DEFAULT: &str = "default";

/// A project's folder and settings.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder.
    pub root: PathBuf,
    /// What `asof.toml` says.
    pub settings: Settings,
}

impl Project {
    /// Opens the project whose folder is `folder`.
    ///
    /// # Errors
    /// [`StoreError::NoProject`] without an `asof.toml` in it; [`StoreError::Definitions`] for its problems.
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(SETTINGS_FILE);
        if !path.is_file() {
            return Err(StoreError::NoProject { from: folder.to_owned() });
        }
        let root = folder.canonicalize().map_err(|error| reading(folder, error))?;
        let text = read_text(&path, SETTINGS_FILE)?;
        let environment = |name: &str| std::env::var(name).ok();
        let settings = Settings::read(SETTINGS_FILE, &text, PROJECT_DEFAULT, &environment)
            .map_err(StoreError::Definitions)?;
        Ok(Self { root, settings })
    }

    /// Opens the project that `folder` is or lies in: the nearest folder upwards with an `asof.toml`.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn find(folder: &Path) -> Result<Self, StoreError> {
        let start = folder.canonicalize().map_err(|error| reading(folder, error))?;
        let found = start.ancestors().find(|each| each.join(SETTINGS_FILE).is_file());
        Self::open(found.ok_or_else(|| StoreError::NoProject { from: start.clone() })?)
    }

    /// A path as the project's files write it: relative to the folder, or absolute.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Where the files of a source are.
    ///
    /// # Errors
    /// [`StoreError::Request`] for a URL that an earlier version would have taken and this one does not.
    pub fn location(&self, source: &Source) -> Result<Location, StoreError> {
        Location::parse(&source.path, &self.root).map_err(|error| StoreError::Request {
            message: format!("source `{}`: {error}", source.name),
            hint: Some(error.hint()),
        })
    }

    /// The registry's file.
    pub fn registry_path(&self) -> PathBuf {
        self.resolve(self.settings.registry_path())
    }

    /// The folder of history.
    pub fn history_path(&self) -> PathBuf {
        self.resolve(&self.settings.offline_url)
    }

    /// The folder of the embedded online store.
    pub fn online_path(&self) -> PathBuf {
        self.resolve(&self.settings.online_url)
    }

    /// Whether there is an online store to ask: a folder may be missing, a server is taken to be there.
    pub fn has_online_store(&self) -> bool {
        self.settings.online_is_remote() || EmbeddedStore::exists(&self.online_path())
    }

    /// The folder of rows set aside.
    pub fn quarantine_path(&self) -> PathBuf {
        self.resolve(".asof/quarantine")
    }

    /// The folder of what queries spill while they run.
    pub fn scratch_path(&self) -> PathBuf {
        self.resolve(".asof/scratch")
    }

    /// The folder of the admission log.
    pub fn log_path(&self) -> PathBuf {
        self.resolve(".asof/log")
    }

    /// The folder of recorded answers.
    pub fn answers_path(&self) -> PathBuf {
        self.resolve(".asof/answers")
    }

    /// The folder of records of training sets.
    pub fn training_path(&self) -> PathBuf {
        self.resolve(".asof/training")
    }

    /// The file that is held by whoever rewrites or removes files of history.
    pub fn care_path(&self) -> PathBuf {
        self.resolve(".asof/care.lock")
    }

    /// Reads every `*.yaml` and `*.yml` below the folder, except what `.gitignore`, hidden folders and other
    /// projects hold.
    ///
    /// # Errors
    /// [`StoreError::Definitions`] with every problem; [`StoreError::NotText`], [`StoreError::Io`].
    pub fn definitions(&self) -> Result<ReadDefinitions, StoreError> {
        let mut texts: Vec<(String, String)> = Vec::new();
        // A folder below with settings of its own is another project.
        let nested =
            |entry: &ignore::DirEntry| entry.depth() > 0 && entry.path().join(SETTINGS_FILE).is_file();
        let walk = ignore::WalkBuilder::new(&self.root)
            .require_git(false)
            .sort_by_file_path(Ord::cmp)
            .filter_entry(move |entry| !nested(entry))
            .build();
        for entry in walk {
            let entry = entry.map_err(|error| reading(&self.root, std::io::Error::other(error)))?;
            let path = entry.path();
            let yaml = matches!(path.extension().and_then(|suffix| suffix.to_str()), Some("yaml" | "yml"));
            if yaml && path.is_file() {
                let shown = path.strip_prefix(&self.root).unwrap_or(path).display().to_string();
                texts.push((shown.clone(), read_text(path, &shown)?));
            }
        }
        let files: Vec<_> = texts.iter().map(|(path, text)| SourceFile { path, text }).collect();
        definition::read(&files).map_err(StoreError::Definitions)
    }
}

fn read_text(path: &Path, shown: &str) -> Result<String, StoreError> {
    let bytes = std::fs::read(path).map_err(|error| reading(path, error))?;
    String::from_utf8(bytes).map_err(|_| StoreError::NotText { file: shown.to_owned() })
}

pub(crate) fn reading(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { doing: "read", path: path.to_owned(), source }
}

pub(crate) fn writing(path: &Path, source: std::io::Error) -> StoreError {
    StoreError::Io { doing: "write", path: path.to_owned(), source }
}
