//! `vacuum`: removes the files of history that no reader needs any more.

use asof_model::Duration;
use asof_offline::vacuum::RETENTION_MAX;
use asof_offline::{JOURNAL, Vacuum};
use serde::Serialize;

pub use asof_offline::vacuum::RETENTION_DEFAULT;

use crate::{Store, StoreError};

/// What to remove.
#[derive(Debug, Clone, Copy)]
pub struct VacuumRequest {
    /// Only files that were replaced, or written in vain, at least so long ago: a reader that began since is safe.
    pub older_than: Duration,
    /// Only count.
    pub dry_run: bool,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Serialize)]
pub struct VacuumReport {
    /// Whether nothing was removed, only counted.
    pub dry_run: bool,
    /// For each table of history, and for the journal.
    pub tables: Vec<TableVacuumed>,
}

/// What was removed of one table, or would be.
#[derive(Debug, Clone, Serialize)]
pub struct TableVacuumed {
    /// The table, by its folder in history.
    pub table: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Store {
    /// Removes files that compaction or erasure has replaced, and files that a killed command has left, from every
    /// table of history: also from those of views that are not applied any more.
    ///
    /// # Errors
    /// [`StoreError::Request`] for a retention beyond [`RETENTION_MAX`]; [`StoreError::CareHeld`]; those of history.
    pub async fn vacuum(&self, request: &VacuumRequest) -> Result<VacuumReport, StoreError> {
        if request.older_than > RETENTION_MAX {
            return Err(StoreError::Request {
                message: "the log of history remembers for 30 days when a file was replaced".to_owned(),
                hint: Some("give 30 days or less".to_owned()),
            });
        }
        let mut report = VacuumReport { dry_run: request.dry_run, tables: Vec::new() };
        if !self.project().history_path().exists() {
            return Ok(report);
        }
        let _care = self.take_care()?;
        let offline = self.offline().await?;
        let vacuum = Vacuum { older_than: request.older_than, alone: false, dry_run: request.dry_run };
        let mut tables = offline.tables().await?;
        tables.push(JOURNAL.to_owned());
        for table in tables {
            let done = offline.vacuum(&table, &vacuum).await?;
            report.tables.push(TableVacuumed { table, files: done.files, bytes: done.bytes });
        }
        Ok(report)
    }
}
