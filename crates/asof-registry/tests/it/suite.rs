//! The SQLite registry passes the suite of all registries.

use asof_registry::conformance::Database;
use asof_registry::{Registry, RegistryError, SqliteRegistry};
use futures::future::BoxFuture;
use tempfile::TempDir;

struct SqliteDatabase(TempDir);

impl Database for SqliteDatabase {
    fn open<'a>(&'a self, project: &'a str) -> BoxFuture<'a, Result<Box<dyn Registry>, RegistryError>> {
        Box::pin(async move {
            let registry = SqliteRegistry::open(&self.0.path().join("registry.db"), project).await?;
            Ok(Box::new(registry) as Box<dyn Registry>)
        })
    }
}

fn fresh_database() -> SqliteDatabase {
    SqliteDatabase(tempfile::tempdir().unwrap())
}

asof_registry::registry_suite!(fresh_database);
