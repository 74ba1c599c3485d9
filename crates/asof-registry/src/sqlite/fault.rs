//! What the codes of SQLite mean for a registry. The codes are those of <https://sqlite.org/rescode.html>.

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Cause, RegistryError};

const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// The code without its refinement, which stands in the bits above.
const PRIMARY_CODE: i32 = 0xff;

/// Where the registry is and how long we wait for it: what an error has to tell.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
    busy_timeout: Duration,
}

impl Place {
    pub(super) fn new(path: PathBuf, busy_timeout: Duration) -> Self {
        Self { path, busy_timeout }
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    pub(super) fn damaged(&self, detail: impl Display) -> RegistryError {
        RegistryError::Damaged { registry: self.name(), detail: detail.to_string() }
    }

    pub(super) fn locked(&self) -> RegistryError {
        RegistryError::Locked { registry: self.name(), waited: self.busy_timeout }
    }

    pub(super) fn unwritable(&self, source: impl Into<Cause>) -> RegistryError {
        RegistryError::Unwritable { registry: self.name(), source: source.into() }
    }

    pub(super) fn failed(&self, source: impl Into<Cause>) -> RegistryError {
        RegistryError::Failed { registry: self.name(), source: source.into() }
    }

    /// The error of a registry that an error of the database stands for.
    pub(super) fn explain(&self, error: sqlx::Error) -> RegistryError {
        let registry = self.name();
        match (primary_code(&error), error) {
            (Some(BUSY | LOCKED), _) | (_, sqlx::Error::PoolTimedOut) => self.locked(),
            (Some(READONLY | CANTOPEN), source) => self.unwritable(source),
            (Some(FULL), source) => RegistryError::DiskFull { registry, source: source.into() },
            (Some(CORRUPT), source) => self.damaged(source),
            (Some(NOTADB), _) => RegistryError::NotARegistry { registry, found: "not an SQLite database" },
            (
                _,
                source @ (sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::ColumnNotFound(_)),
            ) => self.damaged(source),
            (_, source) => self.failed(source),
        }
    }
}

/// Whether another connection holds a lock that this one needs.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    matches!(primary_code(error), Some(BUSY | LOCKED))
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & PRIMARY_CODE)
}
