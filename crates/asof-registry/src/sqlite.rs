//! The registry in an SQLite file.
//!
//! - Write-ahead log, every commit synced: who got a revision back has it on disk.
//! - Writers take the write lock before they look at the current revision, so applies of several processes happen
//!   one after the other and none of them has to start again.
//! - Readers see one revision whole and never wait for a writer.

mod open;

mod fault;

mod read;

mod write;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use asof_model::Instant;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::SqlitePool;

use crate::error::RegistryError;
use crate::record::{Change, Revision, RevisionSummary, Snapshot};
use crate::registry::Registry;
use fault::Place;

/// How long a statement waits for the lock of another process, and a caller for a free connection.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The most connections that one handle holds open.
pub const CONNECTIONS_MAX: u32 = 4;

/// How a registry is opened.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Whether a missing folder and file are created. Default: yes.
    pub create: bool,
    /// How long to wait for a lock. Default: [`BUSY_TIMEOUT`].
    pub busy_timeout: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { create: true, busy_timeout: BUSY_TIMEOUT }
    }
}

/// A project's registry in an SQLite file, which may hold other projects too.
#[derive(Debug, Clone)]
pub struct SqliteRegistry {
    pool: SqlitePool,
    place: Place,
    project: String,
}

impl SqliteRegistry {
    /// Opens the registry of `project` in the file at `path`; creates its folder and the file when they are missing,
    /// and brings an older schema up to date. Any text is a project.
    ///
    /// # Errors
    /// As [`SqliteRegistry::open_with`].
    pub async fn open(path: &Path, project: &str) -> Result<Self, RegistryError> {
        Self::open_with(path, project, SqliteOptions::default()).await
    }

    /// As [`SqliteRegistry::open`], with options.
    ///
    /// # Errors
    /// [`RegistryError::Missing`] where there is no file and none is to be created;
    /// [`RegistryError::NotARegistry`] for a file of another kind, which is left as it is;
    /// [`RegistryError::NewerSchema`] for one that a newer program laid out; [`RegistryError::Unwritable`],
    /// [`RegistryError::Locked`], [`RegistryError::DiskFull`], [`RegistryError::Damaged`], [`RegistryError::Failed`].
    pub async fn open_with(
        path: &Path,
        project: &str,
        options: SqliteOptions,
    ) -> Result<Self, RegistryError> {
        let (pool, place) = open::open(path, &options, |connect| connect).await?;
        Ok(Self { pool, place, project: project.to_owned() })
    }

    /// Closes the connections in order, which folds the write-ahead log into the file. Dropping is safe too.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

impl Registry for SqliteRegistry {
    fn revision(&self) -> BoxFuture<'_, Result<u64, RegistryError>> {
        self.read_number().boxed()
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Snapshot, RegistryError>> {
        self.read_snapshot().boxed()
    }

    fn apply<'a>(
        &'a self,
        base_revision: u64,
        changes: &'a [Change],
        at: Instant,
        by: &'a str,
    ) -> BoxFuture<'a, Result<Revision, RegistryError>> {
        self.write_revision(base_revision, changes, at, by).boxed()
    }

    fn history(&self, limit: u32) -> BoxFuture<'_, Result<Vec<RevisionSummary>, RegistryError>> {
        self.read_history(limit).boxed()
    }
}
