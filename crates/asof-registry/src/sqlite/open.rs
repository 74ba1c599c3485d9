//! Opening the file: is it ours, and has it the tables that this program works on?
//!
//! A file that is not ours is looked at and left as it is. Any number of processes may open a new file at once.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::fault::{Place, is_busy};
use super::{CONNECTIONS_MAX, SqliteOptions};
use crate::error::RegistryError;

/// The schema, in steps. A step that was released is never edited; the next one is added.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// "ASOF", set by the first migration.
const APPLICATION_ID: i64 = 0x4153_4f46;

/// Between two attempts to switch a new file to write-ahead logging.
const WAL_RETRY_WAIT: Duration = Duration::from_millis(10);

/// Opens the file, checks it, brings its schema up to date. `tune` may change how connections are made (the tests
/// force faults by it).
pub(super) async fn open(
    path: &Path,
    options: &SqliteOptions,
    tune: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions,
) -> Result<(SqlitePool, Place), RegistryError> {
    // Absolute: SQLite takes a path that starts with `file:` for a URL.
    let absolute = std::path::absolute(path);
    let place = Place::new(path.to_owned(), options.busy_timeout);
    let absolute = absolute.map_err(|error| place.failed(error))?;
    create_folder(&absolute, options.create, &place).await?;

    let connect = tune(
        SqliteConnectOptions::new()
            .filename(&absolute)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(options.busy_timeout)
            .disable_statement_logging(),
    );
    let creating = connect.clone().create_if_missing(options.create);
    let mut first = creating.connect().await.map_err(|error| place.explain(error))?;
    check_owner(&mut first, &place).await?;
    log_ahead(&mut first, options.busy_timeout, &place).await?;
    migrate(&mut first, &place).await?;
    first.close().await.map_err(|error| place.explain(error))?;

    let pool = SqlitePoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(options.busy_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        // SQLite may roll a transaction back by itself (a full disk). The connection then still counts as in a
        // transaction, and a next one could not begin on it.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_lazy_with(connect);
    Ok((pool, place))
}

async fn create_folder(absolute: &Path, create: bool, place: &Place) -> Result<(), RegistryError> {
    let exists = tokio::fs::try_exists(absolute).await.map_err(|error| place.unwritable(error))?;
    if exists {
        return Ok(());
    }
    if !create {
        return Err(RegistryError::Missing { registry: place.name() });
    }
    match absolute.parent() {
        Some(folder) => tokio::fs::create_dir_all(folder).await.map_err(|error| place.unwritable(error)),
        None => Ok(()),
    }
}

/// Refuses a file with tables that are not ours, before anything is written to it.
async fn check_owner(connection: &mut SqliteConnection, place: &Place) -> Result<(), RegistryError> {
    let query =
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)";
    let (id, tables): (i64, i64) =
        sqlx::query_as(query).fetch_one(connection).await.map_err(|error| place.explain(error))?;
    match (id, tables) {
        (APPLICATION_ID, _) | (0, 0) => Ok(()),
        _ => Err(RegistryError::NotARegistry {
            registry: place.name(),
            found: "an SQLite database of another program",
        }),
    }
}

/// Switches a new file to write-ahead logging, which it keeps. Where the file system cannot, SQLite stays with its
/// rollback journal, which is as safe.
async fn log_ahead(
    connection: &mut SqliteConnection,
    busy_timeout: Duration,
    place: &Place,
) -> Result<(), RegistryError> {
    // The switch does not wait for somebody who is writing, so we ask again.
    let switched = tokio::time::timeout(busy_timeout, async {
        loop {
            match sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *connection).await {
                Err(error) if is_busy(&error) => tokio::time::sleep(WAL_RETRY_WAIT).await,
                other => return other,
            }
        }
    });
    match switched.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(place.explain(error)),
        Err(_) => Err(place.locked()),
    }
}

/// Applies the migrations that the file lacks. Takes the write lock only if there are any.
async fn migrate(connection: &mut SqliteConnection, place: &Place) -> Result<(), RegistryError> {
    let known = MIGRATIONS.iter().map(|each| each.version).max().unwrap_or(0);
    let newer = |found| RegistryError::NewerSchema { registry: place.name(), found, known };
    let found = schema(connection).await.map_err(|error| place.explain(error))?;
    if found > known {
        return Err(newer(found));
    }
    if found == known {
        return Ok(());
    }
    // The migrator takes no lock on SQLite: two programs that open a new file at once would both create its tables.
    let locked = connection.begin_with("BEGIN IMMEDIATE").await;
    let mut transaction = locked.map_err(|error| place.explain(error))?;
    // `run` is the same for anything that hands out connections, but its future cannot be sent between threads.
    match MIGRATIONS.run_direct(None, &mut *transaction, false).await {
        Ok(()) => transaction.commit().await.map_err(|error| place.explain(error)),
        Err(MigrateError::VersionMissing(found)) => Err(newer(found)),
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
            Err(place.explain(error))
        }
        Err(error) => Err(place.damaged(error)),
    }
}

/// The newest migration that the file has; 0 for a new file.
async fn schema(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let table = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let tables: i64 = sqlx::query_scalar(table).fetch_one(&mut *connection).await?;
    if tables == 0 {
        return Ok(0);
    }
    sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM _sqlx_migrations").fetch_one(connection).await
}
