//! Which files a path means, and what identifies their content.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use asof_model::spec::FileFormat;
use serde::{Deserialize, Serialize};

use crate::EngineError;

/// One file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is.
    pub path: Arc<Path>,
    /// How it is read.
    pub format: FileFormat,
    /// Its size in bytes when it was listed.
    pub bytes: u64,
}

/// What identifies the content of a file that was read, as it is recorded with the rows that came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The path, as the definition and the folder listing give it.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Last change, microseconds since 1970. 0 where the system does not tell.
    pub modified: i64,
    /// BLAKE3 of the content, hexadecimal.
    pub hash: String,
}

/// Lists the files that `path` means: itself, or every Parquet and CSV file below it, sorted by path.
///
/// In a folder, names that start with `.` or `_` are skipped, and so is every other suffix; a `format` that is given
/// holds for a file of any suffix, and limits a folder to that suffix.
///
/// # Errors
/// [`EngineError::NoSuchPath`], [`EngineError::NoFiles`], [`EngineError::UnknownFormat`], [`EngineError::Io`].
pub fn list(what: &str, path: &Path, format: Option<FileFormat>) -> Result<Vec<SourceFile>, EngineError> {
    let facts = match std::fs::metadata(path) {
        Ok(facts) => facts,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(EngineError::NoSuchPath { what: what.to_owned(), path: path.to_owned() });
        }
        Err(error) => return Err(EngineError::reading(path, error)),
    };
    if facts.is_file() {
        let format = format
            .or_else(|| format_of(path))
            .ok_or_else(|| EngineError::UnknownFormat { what: what.to_owned(), path: path.to_owned() })?;
        return Ok(vec![SourceFile { path: path.into(), format, bytes: facts.len() }]);
    }
    let mut files = Vec::new();
    walk(path, format, &mut files)?;
    if files.is_empty() {
        return Err(EngineError::NoFiles { what: what.to_owned(), path: path.to_owned() });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn walk(folder: &Path, format: Option<FileFormat>, files: &mut Vec<SourceFile>) -> Result<(), EngineError> {
    let failed = |error| EngineError::reading(folder, error);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path: PathBuf = entry.path();
        if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
            continue;
        }
        let facts = std::fs::metadata(&path).map_err(|error| EngineError::reading(&path, error))?;
        if facts.is_dir() {
            walk(&path, format, files)?;
        } else if let Some(found) =
            format_of(&path).filter(|found| format.is_none_or(|wanted| wanted == *found))
        {
            files.push(SourceFile { path: path.into(), format: found, bytes: facts.len() });
        }
    }
    Ok(())
}

/// The format that a file's suffix tells.
pub fn format_of(path: &Path) -> Option<FileFormat> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "parquet" | "pq" => Some(FileFormat::Parquet),
        "csv" => Some(FileFormat::Csv),
        _ => None,
    }
}

impl SourceFile {
    /// Reads the whole file once and identifies its content.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn fingerprint(&self) -> Result<Fingerprint, EngineError> {
        let failed = |error| EngineError::reading(&self.path, error);
        let mut file = File::open(&self.path).map_err(failed)?;
        let (size, modified) = facts(&file).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file).map_err(failed)?;
        Ok(Fingerprint {
            path: self.path.display().to_string(),
            size,
            modified,
            hash: hasher.finalize().to_hex().to_string(),
        })
    }

    /// Checks that the file is still the one that was identified, as far as size and time of change tell.
    ///
    /// # Errors
    /// [`EngineError::Changed`], [`EngineError::Io`].
    pub fn check_unchanged(&self, fingerprint: &Fingerprint) -> Result<(), EngineError> {
        let now = File::open(&self.path).and_then(|file| facts(&file));
        let now = now.map_err(|error| EngineError::reading(&self.path, error))?;
        if now != (fingerprint.size, fingerprint.modified) {
            return Err(EngineError::Changed { path: self.path.to_path_buf() });
        }
        Ok(())
    }
}

fn facts(file: &File) -> std::io::Result<(u64, i64)> {
    let facts = file.metadata()?;
    let since = facts.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let modified = since.and_then(|since| i64::try_from(since.as_micros()).ok()).unwrap_or(0);
    Ok((facts.len(), modified))
}
