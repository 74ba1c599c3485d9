//! The few things that both kinds of tables ask of Delta: to open, to create, to commit as the next version or not at
//! all, and to say what an error means.

use asof_model::explain::chain;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake_core::kernel::{Action, StructField, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError, ObjectStoreError, TableProperty};
use futures::StreamExt;
use serde_json::{Map, Value};

use crate::error::{OfflineError, refusal, storage};
use crate::store::Root;

/// How often a commit is tried again after another writer took its version. Each loss is some other writer's
/// success, so the bound is met only when this many writers are at one table at once.
pub(crate) const COMMIT_ATTEMPTS_MAX: usize = 64;

/// Commits from one checkpoint to the next. A reader replays at most so many log entries.
const CHECKPOINT_INTERVAL_COMMITS: u32 = 100;

/// Log entries say what a unit has consumed, so they are kept: some thousand years.
const LOG_RETENTION: &str = "interval 52000 weeks";

/// How long the log remembers when a file was replaced, in days: the longest that a vacuum can spare one.
pub(crate) const REMOVED_FILES_REMEMBERED_DAYS: i64 = 30;

/// The table in the folder `name`, at its newest version. `None` where there is none.
///
/// # Errors
/// [`OfflineError::DamagedLog`] also where data files stand in the folder and the log is gone.
pub(crate) async fn open(
    root: &Root,
    name: &str,
    partition: &str,
) -> Result<Option<DeltaTable>, OfflineError> {
    let log_store = root.log_store(name)?;
    let there = log_store.is_delta_table_location().await.map_err(|error| explain(root, name, error))?;
    if there {
        let mut table = DeltaTable::new(log_store);
        table.load().await.map_err(|error| explain(root, name, error))?;
        return Ok(Some(table));
    }
    let listed = log_store.object_store(None).list_with_delimiter(None).await;
    let listed = listed.map_err(|error| storage(root.location(name), error))?;
    let prefix = format!("{partition}=");
    if listed.common_prefixes.iter().any(|folder| folder.as_ref().starts_with(&prefix)) {
        return Err(damaged(root, name, "there are data files, and no log"));
    }
    Ok(None)
}

/// Makes the table unless it is there, also when others do the same; returns it, whoever made it.
pub(crate) async fn create(
    root: &Root,
    name: &str,
    columns: Vec<StructField>,
    partition: &str,
    statistics: &str,
) -> Result<DeltaTable, OfflineError> {
    for _ in 0..COMMIT_ATTEMPTS_MAX {
        let created = DeltaTable::new(root.log_store(name)?)
            .create()
            .with_table_name(name)
            .with_columns(columns.clone())
            .with_partition_columns([partition])
            .with_configuration_property(
                TableProperty::CheckpointInterval,
                Some(CHECKPOINT_INTERVAL_COMMITS.to_string()),
            )
            .with_configuration_property(TableProperty::EnableExpiredLogCleanup, Some("false"))
            .with_configuration_property(TableProperty::LogRetentionDuration, Some(LOG_RETENTION))
            .with_configuration_property(
                TableProperty::DeletedFileRetentionDuration,
                Some(format!("interval {REMOVED_FILES_REMEMBERED_DAYS} days")),
            )
            .with_configuration_property(TableProperty::DataSkippingStatsColumns, Some(statistics))
            .with_save_mode(SaveMode::Ignore)
            .with_commit_properties(properties())
            .await;
        match created {
            Ok(table) => return Ok(table),
            Err(error) if lost_race(&error) => {}
            Err(error) => return Err(explain(root, name, error)),
        }
    }
    Err(OfflineError::Contended { table: name.to_owned(), attempts: COMMIT_ATTEMPTS_MAX })
}

/// What a commit that only adds rows says of itself.
pub(crate) fn appending(partition: &str) -> DeltaOperation {
    DeltaOperation::Write {
        mode: SaveMode::Append,
        partition_by: Some(vec![partition.to_owned()]),
        predicate: None,
    }
}

/// Commits `actions` as the version after the one that `table` holds. `false` where that version exists by now;
/// nothing is written then.
///
/// The library's own retry is off: it cannot know that the other commit was the same unit.
pub(crate) async fn commit_next(
    table: &mut DeltaTable,
    actions: Vec<Action>,
    operation: DeltaOperation,
    metadata: Map<String, Value>,
    identity: Option<String>,
) -> Result<bool, DeltaTableError> {
    let mut properties = properties().with_metadata(metadata);
    if let Some(identity) = identity {
        properties = properties.with_application_transaction(Transaction::new(identity, 0));
    }
    let commit = {
        let state = table.snapshot()?;
        let builder = CommitBuilder::from(properties).with_actions(actions);
        builder.build(Some(state), table.log_store(), operation).await
    };
    match commit {
        Ok(done) => {
            table.state = Some(done.snapshot());
            Ok(true)
        }
        Err(error) if lost_race(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// How this crate commits: once, without removing log entries.
pub(crate) fn properties() -> CommitProperties {
    CommitProperties::default().with_max_retries(0).with_cleanup_expired_logs(Some(false))
}

/// Whether another writer's commit is the reason.
pub(crate) fn lost_race(error: &DeltaTableError) -> bool {
    match error {
        DeltaTableError::VersionAlreadyExists(_) => true,
        DeltaTableError::Transaction { source } => matches!(
            source,
            TransactionError::MaxCommitAttempts(_)
                | TransactionError::CommitConflict(_)
                | TransactionError::VersionAlreadyExists(_)
        ),
        _ => false,
    }
}

/// What an error of the library means: the storage refused, or the log is damaged.
pub(crate) fn explain(root: &Root, name: &str, error: DeltaTableError) -> OfflineError {
    if refusal(&error).is_some() {
        return storage(root.location(name), error);
    }
    if let DeltaTableError::ObjectStore { source } = &error {
        let gone = matches!(source, ObjectStoreError::NotFound { .. });
        if !gone {
            return storage(root.location(name), error);
        }
    }
    damaged(root, name, &chain(&error))
}

pub(crate) fn damaged(root: &Root, name: &str, reason: &str) -> OfflineError {
    OfflineError::DamagedLog { table: name.to_owned(), path: root.location(name), reason: reason.to_owned() }
}

/// What each commit's `commitInfo` says, newest first, with nothing for commits that carry no `key`.
pub(crate) async fn commit_metadata(
    root: &Root,
    name: &str,
    table: &DeltaTable,
    key: &str,
) -> Result<Vec<Value>, OfflineError> {
    let mut found = Vec::new();
    let mut infos = table.history(None);
    while let Some(info) = infos.next().await {
        let mut info = info.map_err(|error| explain(root, name, error))?;
        found.extend(info.info.remove(key));
    }
    Ok(found)
}
