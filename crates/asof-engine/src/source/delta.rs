//! Delta tables as sources: the files that stand in one version of the table, with what its log says of them.
//!
//! The newest version is read, once, when the source is listed: a commit that comes later is the next load's. Data files
//! of a table are never written again, so a file is identified by its path and size, and a new version brings only its
//! new files. Files with deletion vectors and tables with column mapping are refused by name: reading past them would give
//! deleted rows, and columns under other names.

use std::path::Path;
use std::sync::Arc;

use asof_model::{Location, ObjectUrl};
use asof_objects::{Objects, ObjectsError, wait};
use deltalake_core::kernel::LogicalFileView;
use deltalake_core::logstore::{LogStoreRef, ObjectStoreRef, StorageConfig, default_logstore};
use deltalake_core::{DeltaTable, DeltaTableError};
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use url::Url;

use super::files::{SourceFile, TableFile};
use super::partitions::Partitions;
use crate::EngineError;

/// The folder of a table's log.
pub(super) const LOG: &str = "_delta_log";

/// Whether a table lies in the folder of objects that `url` names.
pub(super) fn is_table(url: &ObjectUrl, objects: &Objects) -> Result<bool, EngineError> {
    match objects.list(&url.with_key(&below(url, LOG))) {
        Ok(log) => Ok(!log.is_empty()),
        // The bucket.
        Err(ObjectsError::NotFound { .. }) => Err(ObjectsError::NotFound { url: url.to_string() }.into()),
        Err(error) => Err(error.into()),
    }
}

fn below(url: &ObjectUrl, path: &str) -> String {
    if url.key.is_empty() { path.to_owned() } else { format!("{}/{path}", url.key) }
}

/// The files of the newest version of the table at `at`. Blocks.
///
/// # Errors
/// [`EngineError::DeltaTable`] for a log that is damaged, and for what is not read.
pub(super) fn files(what: &str, at: &Location, objects: &Objects) -> Result<Vec<SourceFile>, EngineError> {
    let table = Table { what, at, objects };
    let log_store = table.log_store()?;
    let opened = wait(async move {
        let mut table = DeltaTable::new(log_store);
        table.load().await.map(|()| table)
    })?;
    let opened = opened.map_err(|error| table.explain(error))?;
    let state = opened.snapshot().map_err(|error| table.explain(error))?;
    let mapping = state.metadata().configuration().get("delta.columnMapping.mode");
    if mapping.is_some_and(|mode| mode != "none") {
        return Err(
            table.error("it maps its columns to other names (`delta.columnMapping.mode`), which is not read")
        );
    }
    let version = state.version();
    state.log_data().iter().map(|view| table.file(&view, version)).collect()
}

struct Table<'a> {
    what: &'a str,
    at: &'a Location,
    objects: &'a Objects,
}

impl Table<'_> {
    fn log_store(&self) -> Result<LogStoreRef, EngineError> {
        let options = StorageConfig::default();
        match self.at {
            Location::Local(path) => {
                let folder = path.canonicalize().map_err(|error| EngineError::reading(path, error))?;
                let failed = |_| self.error("its path is not one of a URL");
                let url = Url::from_directory_path(&folder).map_err(failed)?;
                let root: ObjectStoreRef = Arc::new(LocalFileSystem::new());
                let prefix = object_store::path::Path::from_absolute_path(&folder);
                let prefix = prefix.map_err(|error| self.error(&error.to_string()))?;
                let table: ObjectStoreRef = Arc::new(PrefixStore::new(root.clone(), prefix));
                Ok(default_logstore(table, root, &url, &options))
            }
            Location::Object(url) => {
                let (root, prefix) = (self.objects.store(url)?, self.objects.path(url)?);
                let failed = |error: url::ParseError| self.error(&error.to_string());
                let mut place = Url::parse(&format!("{}/", url.bucket())).map_err(failed)?;
                place.set_path(&format!("/{}/", prefix.as_ref()));
                let table: ObjectStoreRef = Arc::new(PrefixStore::new(root.clone(), prefix));
                Ok(default_logstore(table, root, &place, &options))
            }
        }
    }

    fn file(&self, view: &LogicalFileView, version: u64) -> Result<SourceFile, EngineError> {
        let path = view.path();
        if view.deletion_vector_descriptor().is_some() {
            let reason =
                format!("rows of its file `{path}` are deleted by a deletion vector, which is not read");
            return Err(self.error(&reason));
        }
        if path.contains("://") || path.starts_with('/') {
            return Err(
                self.error(&format!("its file `{path}` lies outside of its folder, which is not read"))
            );
        }
        let size = u64::try_from(view.size()).map_err(|_| self.error("the size of a file is not a size"))?;
        let modified = view.modification_time().saturating_mul(1_000);
        let table = TableFile { version, modified };
        let partitions = Partitions::of_log(view.partition_values_map());
        Ok(match self.at {
            Location::Local(folder) => {
                SourceFile::of_table(&folder.join(Path::new(path.as_ref())), size, table, partitions, None)
            }
            Location::Object(url) => {
                let object = self.objects.known(&url.with_key(&below(url, &path)), size, modified)?;
                let shown = object.url().to_string();
                SourceFile::of_table(Path::new(&shown), size, table, partitions, Some(object))
            }
        })
    }

    fn explain(&self, error: DeltaTableError) -> EngineError {
        match (self.at, error) {
            (Location::Object(url), DeltaTableError::ObjectStore { source }) => {
                EngineError::Objects(self.objects.explain(url, source))
            }
            (_, error) => self.error(&self.objects.without_secrets(&error.to_string())),
        }
    }

    fn error(&self, reason: &str) -> EngineError {
        EngineError::DeltaTable {
            what: self.what.to_owned(),
            path: self.at.to_string().into(),
            reason: reason.to_owned(),
        }
    }
}
