//! Faults of the database, forced from the inside.

use std::path::Path;
use std::time::Duration;

use asof_model::{Explain, Instant, Kind};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

use super::{SqliteOptions, SqliteRegistry, open};
use crate::error::RegistryError;
use crate::record::{Change, ObjectKey};
use crate::registry::Registry;

/// Opens a registry that does not wait long, with changed connections.
async fn opened(
    path: &Path,
    tune: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions,
) -> Result<SqliteRegistry, RegistryError> {
    let options = SqliteOptions { busy_timeout: Duration::from_secs(1), ..SqliteOptions::default() };
    let (pool, place) = open::open(path, &options, tune).await?;
    Ok(SqliteRegistry { pool, place, project: "credit".to_owned() })
}

/// A registry with one object, and a connection past it.
async fn filled(folder: &TempDir) -> (SqliteRegistry, SqliteConnection) {
    let path = folder.path().join("registry.db");
    let registry = opened(&path, |connect| connect).await.unwrap();
    registry.apply(0, &[put("driver", "")], Instant::EPOCH, "ana").await.unwrap();
    let past = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    (registry, past)
}

fn put(name: &str, text: &str) -> Change {
    let (semantic_hash, identity) = (String::new(), String::new());
    Change::Put { key: ObjectKey::entity(name), spec: json!(text), semantic_hash, identity }
}

/// Goal: somebody who holds the write lock too long is told, readers go on, and the next try succeeds.
#[tokio::test]
async fn a_lock_that_is_held_too_long() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, mut past) = filled(&folder).await;
    let holding = past.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = registry.apply(1, &[put("driver", "2")], Instant::EPOCH, "ana").await.unwrap_err();
    assert!(matches!(&error, RegistryError::Locked { .. }), "{error:?}");
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().ends_with("was locked for longer than 1s"), "{error}");
    assert_eq!(registry.snapshot().await.unwrap().objects.len(), 1);
    holding.rollback().await.unwrap();
    assert_eq!(registry.apply(1, &[put("driver", "2")], Instant::EPOCH, "ana").await.unwrap().number, 2);
}

/// Goal: a new file that somebody else is writing to is waited for, and no longer than asked.
#[tokio::test]
async fn a_new_file_that_is_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let create = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut past = create.connect().await.unwrap();
    let holding = past.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = opened(&path, |connect| connect).await.unwrap_err();
    assert!(matches!(error, RegistryError::Locked { .. }), "{error:?}");
    let release = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        holding.rollback().await.unwrap();
    };
    let (waited, ()) = futures::join!(SqliteRegistry::open(&path, "credit"), release);
    assert_eq!(waited.unwrap().revision().await.unwrap(), 0);
}

/// Goal: a full disk changes nothing, and the same handle works on.
#[tokio::test]
async fn a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(&folder).await);
    let path = folder.path().join("registry.db");
    let registry = opened(&path, |connect| connect.pragma("max_page_count", "40")).await.unwrap();
    let before = registry.snapshot().await.unwrap();
    let large = "x".repeat(400_000);
    for _ in 0..10 {
        let changes = [put("small", ""), put("large", &large)];
        let error = registry.apply(1, &changes, Instant::EPOCH, "ana").await.unwrap_err();
        assert!(matches!(error, RegistryError::DiskFull { .. }), "{error:?}");
        assert_eq!(error.kind(), Kind::Unavailable);
        assert_eq!(registry.snapshot().await.unwrap(), before);
    }
    assert_eq!(registry.apply(1, &[put("small", "")], Instant::EPOCH, "ana").await.unwrap().number, 2);
    assert_eq!(registry.snapshot().await.unwrap().objects.len(), 2);
}

/// Goal: a file that may only be read is told as such when it is written.
#[tokio::test]
async fn a_file_that_may_only_be_read() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(&folder).await);
    let path = folder.path().join("registry.db");
    let registry = opened(&path, |connect| connect.pragma("query_only", "ON")).await.unwrap();
    let error = registry.apply(1, &[put("driver", "2")], Instant::EPOCH, "ana").await.unwrap_err();
    assert!(matches!(error, RegistryError::Unwritable { .. }), "{error:?}");
    assert_eq!(registry.revision().await.unwrap(), 1);
}

/// Goal: tables that a newer program laid out are refused when opened, with the version to look for.
#[tokio::test]
async fn a_newer_schema() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, mut past) = filled(&folder).await;
    registry.close().await;
    let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES (9000, 'later', TRUE, x'00', 0)";
    sqlx::query(insert).execute(&mut past).await.unwrap();
    let error = opened(&folder.path().join("registry.db"), |connect| connect).await.unwrap_err();
    assert!(matches!(error, RegistryError::NewerSchema { found: 9000, known: 1, .. }), "{error:?}");
    assert_eq!(error.hint().as_deref(), Some("upgrade `asof` to a version that knows schema 9000"));
}

/// Goal: a definition in a newer format is neither read as if it were known nor written over.
#[tokio::test]
async fn a_newer_format() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, mut past) = filled(&folder).await;
    sqlx::query("UPDATE objects SET format = 2").execute(&mut past).await.unwrap();
    let read = registry.snapshot().await.map(|_| ());
    let written = registry.apply(1, &[put("driver", "2")], Instant::EPOCH, "ana").await.map(|_| ());
    for refused in [read, written] {
        let error = refused.unwrap_err();
        assert_eq!(
            error.to_string(),
            "entity `driver` is stored in format 2; this program reads formats up to 1"
        );
        assert_eq!(error.hint().as_deref(), Some("upgrade `asof` to a version that reads format 2"));
        assert_eq!(error.kind(), Kind::Conflict);
    }
}

/// Goal: records that cannot be what was written are told as damage, not returned.
#[tokio::test]
async fn damaged_records() {
    for damage in [
        "UPDATE objects SET spec = '{'",
        "UPDATE objects SET kind = 'model'",
        "UPDATE objects SET version = 4294967296",
        "UPDATE revisions SET applied_at = 9223372036854775807",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (registry, mut past) = filled(&folder).await;
        sqlx::query(damage).execute(&mut past).await.unwrap();
        let error = registry.snapshot().await.unwrap_err();
        assert!(matches!(error, RegistryError::Damaged { .. }), "{damage}: {error:?}");
        assert_eq!(error.kind(), Kind::Corrupt);
    }
}

/// Goal: a database of another program is refused, and not even its journal mode is touched.
#[tokio::test]
async fn a_database_of_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let create = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut theirs = create.connect().await.unwrap();
    sqlx::query("CREATE TABLE songs (title TEXT)").execute(&mut theirs).await.unwrap();
    theirs.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = opened(&path, |connect| connect).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotARegistry { .. }), "{error:?}");
    assert!(error.to_string().ends_with("it is an SQLite database of another program"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// Goal: every commit is synced to a write-ahead log, and references are checked, on each connection of the pool.
#[tokio::test]
async fn connections_are_set_up() {
    let folder = tempfile::tempdir().unwrap();
    let (registry, _past) = filled(&folder).await;
    let query = "SELECT (SELECT journal_mode FROM pragma_journal_mode), \
        (SELECT synchronous FROM pragma_synchronous), (SELECT foreign_keys FROM pragma_foreign_keys)";
    let held: (String, i64, i64) = sqlx::query_as(query).fetch_one(&registry.pool).await.unwrap();
    const SYNCHRONOUS_FULL: i64 = 2;
    assert_eq!(held, ("wal".to_owned(), SYNCHRONOUS_FULL, 1));
}
