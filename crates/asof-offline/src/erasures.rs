//! What was erased, so that no later load brings it back. A note names no key: it holds a digest of it, keyed with a
//! salt of this store's own.
//!
//! Each note is one small object beside the tables, and is never rewritten but by a later erasure of the same key.

use std::sync::Arc;

use asof_model::Instant;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use serde_json::{Value, json};

use crate::error::{OfflineError, storage};
use crate::store::{OfflineStore, Root};

/// The folder of the notes. Names that start with two underscores are no view's.
const FOLDER: &str = "__erasures";
const SALT: &str = "salt";
/// Bytes of the salt.
pub const SALT_BYTES: usize = 32;
/// Notes that are read at a time.
const READING_MAX: usize = 16;

/// One erased key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// A digest of the entity and its key, hexadecimal.
    pub digest: String,
    /// Rows with an event up to here, and rows that were admitted before, are erased.
    pub at: Instant,
}

impl OfflineStore {
    /// The salt of the digests, drawn where there is none. Drawn once: whoever comes second gets the first one.
    ///
    /// # Errors
    /// [`OfflineError::Storage`].
    pub async fn erasure_salt(&self) -> Result<[u8; SALT_BYTES], OfflineError> {
        let root = self.root();
        let objects = root.log_store(FOLDER)?.object_store(None);
        let draw = || {
            let halves = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
            halves.iter().flat_map(|half| *half.as_bytes()).collect::<Vec<u8>>()
        };
        match objects.put_opts(&Path::from(SALT), draw().into(), PutMode::Create.into()).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(storage(root.file_location(FOLDER, SALT), error)),
        }
        let bytes = read(root, objects.as_ref(), &Path::from(SALT)).await?;
        bytes
            .as_slice()
            .try_into()
            .map_err(|_| damaged(root, SALT, "it has another length than it was given"))
    }

    /// Everything that was erased, in no order.
    ///
    /// # Errors
    /// [`OfflineError::Storage`]; [`OfflineError::DamagedFile`] for a note that is not understood.
    pub async fn erasures(&self) -> Result<Vec<Erasure>, OfflineError> {
        let root = self.root();
        let objects = root.log_store(FOLDER)?.object_store(None);
        let failed = |error| storage(root.location(FOLDER), error);
        let listed: Vec<_> = objects.list(None).try_collect().await.map_err(failed)?;
        let notes = listed.into_iter().map(|object| object.location).filter(|path| path.as_ref() != SALT);
        let reads = notes.map(|path| read_note(root, objects.clone(), path));
        futures::stream::iter(reads).buffer_unordered(READING_MAX).try_collect().await
    }

    /// Notes an erasure durably, in place of an earlier one of the same key.
    ///
    /// # Errors
    /// [`OfflineError::Storage`].
    pub async fn note_erasure(&self, erasure: &Erasure) -> Result<(), OfflineError> {
        let root = self.root();
        let objects = root.log_store(FOLDER)?.object_store(None);
        let name = format!("{}.json", erasure.digest);
        let text = json!({ "at": erasure.at.micros() }).to_string();
        let put = objects.put(&Path::from(name.as_str()), text.into_bytes().into()).await;
        put.map(|_| ()).map_err(|error| storage(root.file_location(FOLDER, &name), error))
    }
}

async fn read_note(root: &Root, objects: Arc<dyn ObjectStore>, path: Path) -> Result<Erasure, OfflineError> {
    let text = read(root, objects.as_ref(), &path).await?;
    let note: Value = serde_json::from_slice(&text).unwrap_or_default();
    let at = note["at"].as_i64().and_then(Instant::from_micros);
    match (path.filename().and_then(|name| name.strip_suffix(".json")), at) {
        (Some(digest), Some(at)) => Ok(Erasure { digest: digest.to_owned(), at }),
        _ => Err(damaged(root, path.as_ref(), "it is no note of an erasure")),
    }
}

async fn read(root: &Root, objects: &dyn ObjectStore, path: &Path) -> Result<Vec<u8>, OfflineError> {
    let read = async { objects.get(path).await?.bytes().await }.await;
    let failed = |error| storage(root.file_location(FOLDER, path.as_ref()), error);
    Ok(read.map_err(failed)?.to_vec())
}

fn damaged(root: &Root, path: &str, reason: &str) -> OfflineError {
    OfflineError::DamagedFile {
        table: FOLDER.to_owned(),
        path: root.file_location(FOLDER, path),
        reason: reason.to_owned(),
    }
}
