//! A local folder as an object store that keeps its promises over a power loss.
//!
//! The plain local store neither flushes a file before it gives it its name nor flushes the folder, so a commit could
//! survive with no content, or outlive the data files that it names. Here a write returns once the bytes, the name
//! and every folder made for it are on the disk; whoever sees the name sees all of the bytes.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path as LocalPath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

/// The local file system, with durable writes. Paths are absolute.
#[derive(Debug, Clone)]
pub(crate) struct DurableLocal {
    inner: Arc<LocalFileSystem>,
}

impl DurableLocal {
    /// A store over the whole file system.
    pub(crate) fn new() -> Self {
        Self { inner: Arc::new(LocalFileSystem::new()) }
    }

    async fn write(&self, location: &Path, payload: PutPayload, create: bool) -> Result<PutResult> {
        let path = self.inner.path_to_filesystem(location)?;
        let written = path.clone();
        let outcome = tokio::task::spawn_blocking(move || write_durably(&written, &payload, create)).await;
        match outcome {
            Ok(Ok(())) => Ok(PutResult { e_tag: None, version: None }),
            Ok(Err(source)) if create && source.kind() == io::ErrorKind::AlreadyExists => {
                Err(Error::AlreadyExists { path: path.display().to_string(), source: Box::new(source) })
            }
            Ok(Err(source)) => {
                Err(Error::Generic { store: "local", source: Box::new(WriteError { path, source }) })
            }
            Err(source) => Err(Error::JoinError { source }),
        }
    }
}

/// A failed write, with the file's name, which the system's own error lacks.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`: {source}", path.display())]
struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// Writes beside `path`, flushes, and only then gives the file its name: by a link where it must not exist yet (which
/// is how one of two committers wins), by a rename where it may.
fn write_durably(path: &LocalPath, payload: &PutPayload, create: bool) -> io::Result<()> {
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_folder(parent)?;
    // Names that end in `#` and digits are left out of listings: they are writes that have not finished.
    let mut staged = path.as_os_str().to_owned();
    staged.push(format!("#{}", uuid::Uuid::new_v4().as_u64_pair().0));
    let staged = PathBuf::from(staged);
    let named = write_file(&staged, payload)
        .and_then(|()| if create { fs::hard_link(&staged, path) } else { fs::rename(&staged, path) });
    if create || named.is_err() {
        // What a failed removal leaves is never listed, and must not hide why the write failed.
        let _ = fs::remove_file(&staged);
    }
    named?;
    sync_folder(parent)
}

/// The files below `folder` that are writes which have not finished, with their sizes and modification times. They
/// are under way, or were left by a crash; listings leave them out.
pub(crate) fn staged_files(folder: &LocalPath) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            found.extend(staged_files(&path)?);
            continue;
        }
        let name = entry.file_name();
        let staged = name.to_str().and_then(|name| name.rsplit_once('#'));
        if staged.is_some_and(|(_, end)| !end.is_empty() && end.bytes().all(|b| b.is_ascii_digit())) {
            match entry.metadata() {
                Ok(metadata) => found.push((path, metadata)),
                // It was finished meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

fn write_file(path: &LocalPath, payload: &PutPayload) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    for part in payload {
        file.write_all(part)?;
    }
    file.sync_all()
}

/// Makes `folder` and those above it, flushing each into its parent.
fn create_folder(folder: &LocalPath) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else { return Ok(()) };
    create_folder(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(parent),
    }
}

fn sync_folder(folder: &LocalPath) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "durable {}", self.inner)
    }
}

#[async_trait::async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match options.mode {
            PutMode::Overwrite => self.write(location, payload, false).await,
            PutMode::Create => self.write(location, payload, true).await,
            PutMode::Update(_) => self.inner.put_opts(location, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(WholeUpload { store: self.clone(), location: location.clone(), parts: Vec::new() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// An upload in parts, kept in memory and written as one. Only checkpoints may come this way, and they are small
/// against the memory of a machine that can hold the table's file list.
#[derive(Debug)]
struct WholeUpload {
    store: DurableLocal,
    location: Path,
    parts: Vec<Bytes>,
}

#[async_trait::async_trait]
impl MultipartUpload for WholeUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.parts.extend(data.iter().cloned());
        futures::future::ready(Ok(())).boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let payload = PutPayload::from_iter(std::mem::take(&mut self.parts));
        self.store.write(&self.location, payload, false).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}
