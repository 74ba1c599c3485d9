//! A file of a source, and what identifies its content.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use asof_model::spec::FileFormat;
use asof_objects::ObjectFile;
use serde::{Deserialize, Serialize};

use super::partitions::Partitions;
use crate::EngineError;

/// One file of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Where it is, as messages name it: a path, or the text of a URL.
    pub path: Arc<Path>,
    /// How it is read.
    pub format: FileFormat,
    /// How its bytes are packed.
    pub compression: Option<Compression>,
    /// Its size in bytes when it was listed.
    pub bytes: u64,
    /// Columns that the names of its folders tell, or the log of its table.
    pub partitions: Partitions,
    /// Where it stands in a Delta table.
    pub table: Option<TableFile>,
    /// The object; `None` for a file of this machine.
    pub(crate) object: Option<ObjectFile>,
}

/// A data file of a Delta table, which is never written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableFile {
    /// The version of the table that was listed.
    pub version: u64,
    /// When the file was written, microseconds since 1970.
    pub modified: i64,
}

/// What a file looked like when it was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    size: u64,
    modified: i64,
    inode: u64,
}

/// How the bytes of a text file are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstandard,
}

/// What identifies the content of a file that was read, as it is recorded with the rows that came of it. Stored for
/// ever: fields are only added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The path or the URL, as the definition and the listing give it.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Last change, microseconds since 1970. 0 where the system does not tell.
    pub modified: i64,
    /// The identity, hexadecimal: inputs with equal ones hold the same rows. For a file it is the BLAKE3 of the
    /// content, so a copy is known; for an object, which would have to be fetched for that, the BLAKE3 of its URL, size
    /// and tag (or time of change); for a file of a Delta table, which never changes, that of its path and size. Columns
    /// told by folders or by a table's log enter it too.
    pub hash: String,
    /// What an object store says of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The version of the Delta table that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_version: Option<u64>,
}

/// The format that a file's suffix tells, of a file that is not compressed.
pub fn format_of(path: &Path) -> Option<FileFormat> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "parquet" | "pq" => Some(FileFormat::Parquet),
        "csv" => Some(FileFormat::Csv),
        "ndjson" | "jsonl" | "json" => Some(FileFormat::Json),
        _ => None,
    }
}

/// The compression that a file's suffix tells. Parquet has its own, inside.
pub(super) fn compression_of(path: &Path) -> Option<Compression> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "gz" => Some(Compression::Gzip),
        "zst" => Some(Compression::Zstandard),
        _ => None,
    }
}

impl SourceFile {
    /// Whether it is an object of a store, so that each read is a request.
    pub fn is_remote(&self) -> bool {
        self.object.is_some()
    }

    /// A file of this machine. A `format` that is given holds whatever the suffix; `None`: neither tells one.
    pub(super) fn local(path: &Path, bytes: u64, format: Option<FileFormat>) -> Option<Self> {
        Self::new(path, bytes, format, None)
    }

    /// An object, likewise.
    pub(super) fn object(object: ObjectFile, format: Option<FileFormat>) -> Option<Self> {
        let (url, size) = (object.url().to_string(), object.size);
        Self::new(Path::new(&url), size, format, Some(object))
    }

    /// A data file of a Delta table.
    pub(super) fn of_table(
        path: &Path,
        bytes: u64,
        table: TableFile,
        partitions: Partitions,
        object: Option<ObjectFile>,
    ) -> Self {
        let (format, path) = (FileFormat::Parquet, path.into());
        Self { path, format, compression: None, bytes, partitions, table: Some(table), object }
    }

    /// A Parquet file of this machine that somebody else has listed, and that is never written again.
    pub fn data_file(path: &Path, bytes: u64) -> Self {
        let (format, partitions) = (FileFormat::Parquet, Partitions::default());
        Self { path: path.into(), format, compression: None, bytes, partitions, table: None, object: None }
    }

    /// What tells whether a file is still the one that is there now: its size, time of change and place on the disk. An
    /// object needs none, as each read of it asks for the content that was listed.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn stamp(&self) -> Result<Stamp, EngineError> {
        if self.object.is_some() || self.table.is_some() {
            return Ok(Stamp::default());
        }
        let facts = std::fs::metadata(&self.path).map_err(|error| EngineError::reading(&self.path, error))?;
        let modified = modified_micros(&facts);
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&facts);
        #[cfg(not(unix))]
        let inode = 0;
        Ok(Stamp { size: facts.len(), modified, inode })
    }

    /// Checks that the file is the one that was stamped.
    ///
    /// # Errors
    /// [`EngineError::Changed`], also where it is gone.
    pub fn check_stamp(&self, stamp: Stamp) -> Result<(), EngineError> {
        match self.stamp() {
            Ok(now) if now == stamp => Ok(()),
            Ok(_) | Err(_) => Err(EngineError::Changed { path: self.path.to_path_buf() }),
        }
    }

    fn new(path: &Path, bytes: u64, format: Option<FileFormat>, object: Option<ObjectFile>) -> Option<Self> {
        let compression = compression_of(path);
        let told = match compression {
            // Whole files of a format with an index can't be read from the middle of a stream.
            Some(_) => {
                format_of(Path::new(path.file_stem()?)).filter(|format| *format != FileFormat::Parquet)
            }
            None => format_of(path),
        };
        let format = format.or(told)?;
        Some(Self {
            path: path.into(),
            format,
            compression: compression.filter(|_| format != FileFormat::Parquet),
            bytes,
            partitions: Partitions::of_path(path),
            table: None,
            object,
        })
    }

    /// Identifies the content: by reading the whole file once, or by what the object store says of it.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub fn fingerprint(&self) -> Result<Fingerprint, EngineError> {
        let path = self.path.display().to_string();
        let told = |parts: [&str; 4]| {
            let mut hasher = blake3::Hasher::new();
            parts.iter().for_each(|part| add(&mut hasher, part));
            self.partitions.identity(hasher.finalize())
        };
        if let Some(TableFile { version, modified }) = self.table {
            let hash = told(["table", &path, &self.bytes.to_string(), ""]);
            let (size, table_version) = (self.bytes, Some(version));
            return Ok(Fingerprint { path, size, modified, hash, etag: None, table_version });
        }
        if let Some(object) = &self.object {
            let tag = object.etag.clone().unwrap_or_else(|| object.modified.to_string());
            let hash = told(["object", &path, &object.size.to_string(), &tag]);
            let (size, modified, etag) = (object.size, object.modified, object.etag.clone());
            return Ok(Fingerprint { path, size, modified, hash, etag, table_version: None });
        }
        let failed = |error| EngineError::reading(&self.path, error);
        let mut file = File::open(&self.path).map_err(failed)?;
        let (size, modified) = facts(&file).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut file).map_err(failed)?;
        let hash = self.partitions.identity(hasher.finalize());
        Ok(Fingerprint { path, size, modified, hash, etag: None, table_version: None })
    }

    /// Whether size and time of change of a file of this machine are those that were recorded. An object is never told so:
    /// identifying it costs nothing.
    pub fn looks_like(&self, recorded: &Fingerprint) -> bool {
        self.object.is_none() && self.check_unchanged(recorded).is_ok()
    }

    /// Checks that the file is still the one that was identified, as far as size and time of change tell. An object
    /// needs no check, as each read of it asks for the content that was listed; nor does a file of a Delta table.
    ///
    /// # Errors
    /// [`EngineError::Changed`], [`EngineError::Io`].
    pub fn check_unchanged(&self, fingerprint: &Fingerprint) -> Result<(), EngineError> {
        if self.object.is_some() || self.table.is_some() {
            return Ok(());
        }
        let now = File::open(&self.path).and_then(|file| facts(&file));
        let now = now.map_err(|error| EngineError::reading(&self.path, error))?;
        if now != (fingerprint.size, fingerprint.modified) {
            return Err(EngineError::Changed { path: self.path.to_path_buf() });
        }
        Ok(())
    }
}

fn add(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes());
    hasher.update(text.as_bytes());
}

fn facts(file: &File) -> std::io::Result<(u64, i64)> {
    let facts = file.metadata()?;
    Ok((facts.len(), modified_micros(&facts)))
}

/// The last change, microseconds since 1970; 0 where the system does not tell.
fn modified_micros(facts: &std::fs::Metadata) -> i64 {
    let since = facts.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_micros()).ok()).unwrap_or(0)
}
