//! Which files a location means: a file, a folder of them, or a pattern, on this machine or in an object store.
//!
//! Names that start with `.` or `_` below a folder or in place of a wildcard are skipped. In a pattern `*` and `?` stay
//! within one part of a path, `**` goes through any number of them, `[ab]` and `{a,b}` are alternatives; a folder that
//! matches means the files in it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use asof_model::spec::FileFormat;
use asof_model::{Location, ObjectUrl};
use asof_objects::Objects;
use globset::{GlobBuilder, GlobMatcher};

use super::delta;
use super::files::SourceFile;
use crate::EngineError;

/// The most files that one location may mean.
pub const FILES_MAX: usize = 1_000_000;

/// Lists the files that `at` means, sorted by path: itself, every file of a known format below it, or those that its
/// pattern matches.
///
/// A folder with a Delta log means the files of the table's newest version, which may be none.
///
/// A folder's files of an unknown suffix are skipped. A `format` that is given holds for one file, and for those that a
/// pattern matches, whatever their suffix; it limits a folder to that suffix. Blocks.
///
/// # Errors
/// [`EngineError::NoSuchPath`], [`EngineError::NoFiles`], [`EngineError::UnknownFormat`], [`EngineError::Pattern`],
/// [`EngineError::DeltaTable`], [`EngineError::TableBelow`], [`EngineError::Io`], [`EngineError::Objects`].
pub fn list(
    what: &str,
    at: &Location,
    format: Option<FileFormat>,
    objects: &Objects,
) -> Result<Vec<SourceFile>, EngineError> {
    let listing = Listing { what, at, format, objects };
    let mut files = match at {
        Location::Local(path) => listing.local(path)?,
        Location::Object(url) => listing.objects(url)?,
    };
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// Whether a file or folder would be among those that `at` means, or become one of them. A path of this machine is
/// absolute, and without symbolic links.
pub fn holds(at: &Location, one: &Location) -> bool {
    let matches = |pattern: &str, below: &Path| {
        Pattern::new(pattern).is_ok_and(|pattern| pattern.of(below) != Match::Not)
    };
    match (at, one) {
        (Location::Local(place), Location::Local(path)) => {
            if let Ok(place) = place.canonicalize() {
                return path.starts_with(place);
            }
            let Some((Location::Local(folder), pattern)) = at.pattern() else { return false };
            let below = folder
                .canonicalize()
                .ok()
                .and_then(|folder| Some(path.strip_prefix(folder).ok()?.to_owned()));
            below.is_some_and(|below| matches(&pattern, &below))
        }
        (Location::Object(place), Location::Object(object)) if place.bucket() == object.bucket() => {
            let key = Path::new(&object.key);
            match at.pattern() {
                Some((Location::Object(folder), pattern)) => {
                    key.strip_prefix(&folder.key).is_ok_and(|below| matches(&pattern, below))
                }
                _ => key.starts_with(&place.key),
            }
        }
        _ => false,
    }
}

/// A location as messages show it.
fn shown(at: &Location) -> PathBuf {
    PathBuf::from(at.to_string())
}

struct Listing<'a> {
    what: &'a str,
    at: &'a Location,
    format: Option<FileFormat>,
    objects: &'a Objects,
}

impl Listing<'_> {
    /// Whether the format allows for a Delta table.
    fn may_be_table(&self) -> bool {
        self.format.is_none_or(|format| matches!(format, FileFormat::Delta | FileFormat::Parquet))
    }

    fn table(&self) -> Result<Vec<SourceFile>, EngineError> {
        delta::files(self.what, self.at, self.objects)
    }

    fn some(&self, files: Vec<SourceFile>) -> Result<Vec<SourceFile>, EngineError> {
        if files.is_empty() || self.format == Some(FileFormat::Delta) {
            return Err(EngineError::NoFiles { what: self.what.to_owned(), path: shown(self.at) });
        }
        Ok(files)
    }

    /// Refuses files that lie in one of the Delta tables found on the way: its folder also holds files that the table
    /// has dropped. A table of which nothing is wanted is none of ours.
    fn outside_of(&self, tables: &[PathBuf], found: &[SourceFile]) -> Result<(), EngineError> {
        let wanted = |table: &PathBuf| found.iter().any(|file| file.path.starts_with(table));
        // Where nothing else is, the table is what was meant.
        match tables.iter().find(|table| found.is_empty() || wanted(table)) {
            Some(table) => Err(EngineError::TableBelow { what: self.what.to_owned(), path: table.clone() }),
            None => Ok(()),
        }
    }

    fn local(&self, path: &Path) -> Result<Vec<SourceFile>, EngineError> {
        // A path that is there means itself, whatever characters are in it.
        match std::fs::metadata(path) {
            Ok(facts) if facts.is_file() => {
                let file = SourceFile::local(path, facts.len(), self.format);
                return self.some(vec![file.ok_or_else(|| self.unknown_format())?]);
            }
            Ok(_) if self.may_be_table() && path.join(delta::LOG).is_dir() => return self.table(),
            Ok(_) => return self.walk(path, None),
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(EngineError::reading(path, error));
            }
            Err(_) => {}
        }
        match self.at.pattern() {
            Some((Location::Local(folder), pattern)) if folder.is_dir() => {
                self.walk(&folder, Some(&self.matcher(&pattern)?))
            }
            Some((Location::Local(folder), _)) => Err(self.no_such(folder)),
            _ => Err(self.no_such(path.to_owned())),
        }
    }

    fn walk(&self, root: &Path, pattern: Option<&Pattern>) -> Result<Vec<SourceFile>, EngineError> {
        let (mut found, mut tables) = (Vec::new(), Vec::new());
        let mut folders = vec![root.to_owned()];
        while let Some(folder) = folders.pop() {
            let failed = |error| EngineError::reading(&folder, error);
            for entry in std::fs::read_dir(&folder).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                let path = entry.path();
                if hidden(&entry.file_name().to_string_lossy()) {
                    if entry.file_name() == delta::LOG && self.may_be_table() {
                        tables.push(folder.clone());
                    }
                    continue;
                }
                let facts = std::fs::metadata(&path).map_err(|error| EngineError::reading(&path, error))?;
                if facts.is_dir() {
                    folders.push(path);
                    continue;
                }
                let below = path.strip_prefix(root).unwrap_or(&path);
                let wanted = self.wanted(pattern, below);
                let file = wanted.and_then(|format| SourceFile::local(&path, facts.len(), format));
                found.extend(file.filter(|file| self.takes(pattern, below, file)));
                if found.len() > FILES_MAX {
                    return Err(self.too_many());
                }
            }
        }
        self.outside_of(&tables, &found)?;
        self.some(found)
    }

    fn objects(&self, url: &ObjectUrl) -> Result<Vec<SourceFile>, EngineError> {
        let (folder, pattern) = match self.at.pattern() {
            Some((Location::Object(folder), pattern)) => (folder, Some(self.matcher(&pattern)?)),
            _ => {
                if let Some(object) = self.objects.find(url)? {
                    let file = SourceFile::object(object, self.format);
                    return self.some(vec![file.ok_or_else(|| self.unknown_format())?]);
                }
                if self.may_be_table() && delta::is_table(url, self.objects)? {
                    return self.table();
                }
                (url.clone(), None)
            }
        };
        let listed = self.objects.list(&folder)?;
        if listed.is_empty() {
            return Err(self.no_such(shown(&Location::Object(folder))));
        }
        let (mut found, mut tables) = (Vec::new(), Vec::new());
        for object in listed {
            let key = object.url().key.clone();
            let below =
                Path::new(key.strip_prefix(folder.key.as_str()).unwrap_or(&key).trim_start_matches('/'));
            if let Some(place) = below.iter().position(|part| part == delta::LOG)
                && self.may_be_table()
            {
                let table: PathBuf = below.iter().take(place).collect();
                tables.push(shown(&Location::Object(folder.clone())).join(table));
            }
            if below.iter().any(|part| hidden(&part.to_string_lossy())) {
                continue;
            }
            let wanted = self.wanted(pattern.as_ref(), below);
            let file = wanted.and_then(|format| SourceFile::object(object, format));
            found.extend(file.filter(|file| self.takes(pattern.as_ref(), below, file)));
        }
        self.outside_of(&tables, &found)?;
        self.some(found)
    }

    /// The format that a file is told to have, if it is wanted at all.
    fn wanted(&self, pattern: Option<&Pattern>, below: &Path) -> Option<Option<FileFormat>> {
        match pattern.map(|pattern| pattern.of(below)) {
            None | Some(Match::Folder) => Some(None),
            Some(Match::File) => Some(self.format),
            Some(Match::Not) => None,
        }
    }

    /// Whether a file's format is the one that a folder is limited to.
    fn takes(&self, pattern: Option<&Pattern>, below: &Path, file: &SourceFile) -> bool {
        let by_name = pattern.is_some_and(|pattern| pattern.of(below) == Match::File);
        by_name || self.format.is_none_or(|wanted| wanted == file.format)
    }

    fn matcher(&self, pattern: &str) -> Result<Pattern, EngineError> {
        Pattern::new(pattern).map_err(|error| EngineError::Pattern {
            what: self.what.to_owned(),
            path: shown(self.at),
            reason: error.kind().to_string(),
        })
    }

    fn no_such(&self, path: PathBuf) -> EngineError {
        EngineError::NoSuchPath { what: self.what.to_owned(), path }
    }

    fn unknown_format(&self) -> EngineError {
        EngineError::UnknownFormat { what: self.what.to_owned(), path: shown(self.at) }
    }

    fn too_many(&self) -> EngineError {
        EngineError::TooManyFiles { what: self.what.to_owned(), path: shown(self.at), max: FILES_MAX }
    }
}

fn hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

/// A pattern of paths below a folder.
struct Pattern(GlobMatcher);

#[derive(PartialEq)]
enum Match {
    File,
    /// A folder above the file matches.
    Folder,
    Not,
}

impl Pattern {
    fn new(text: &str) -> Result<Self, globset::Error> {
        Ok(Self(GlobBuilder::new(text).literal_separator(true).build()?.compile_matcher()))
    }

    fn of(&self, below: &Path) -> Match {
        if self.0.is_match(below) {
            return Match::File;
        }
        let above = below.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        if above.into_iter().any(|folder| self.0.is_match(folder)) { Match::Folder } else { Match::Not }
    }
}
