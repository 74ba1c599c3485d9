//! `compact`: the small files of history become fewer, sorted ones, and rows that say the same become one.
//!
//! Answers don't change: rows keep the units that brought them, and of identical rows the one that was visible first
//! stays (SEMANTICS 3). Loads and readers go on meanwhile, in this process and in others.

use asof_offline::Rewritten;
use serde::Serialize;

use crate::materialize::selected;
use crate::{Progress, Store, StoreError};

/// What came of a compaction.
#[derive(Debug, Clone, Serialize)]
pub struct CompactReport {
    /// For each view what was rewritten.
    pub views: Vec<ViewCompacted>,
    /// Files of the journal that were replaced.
    pub journal_files: u64,
}

/// What was rewritten of one view's history.
#[derive(Debug, Clone, Serialize)]
pub struct ViewCompacted {
    /// The view.
    pub view: String,
    /// Files that were replaced.
    pub files_before: u64,
    /// Files that took their place.
    pub files_after: u64,
    /// Bytes of the files that were replaced. They are freed by `vacuum`.
    pub bytes_before: u64,
    /// Bytes of those that took their place.
    pub bytes_after: u64,
    /// Rows that were folded into an identical one.
    pub rows_folded: u64,
}

impl Store {
    /// Compacts the history of views, all of them where none is named, and the journal beside it.
    ///
    /// Safe to kill at any point: what was not committed is files that `vacuum` removes. Doing it again does nothing.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest name; [`StoreError::CareHeld`]; those of history.
    pub async fn compact(
        &self,
        views: &[String],
        progress: &dyn Progress,
    ) -> Result<CompactReport, StoreError> {
        let catalog = self.applied_catalog().await?;
        let views = selected(&catalog, views)?;
        let _care = self.take_care()?;
        let offline = self.offline().await?;
        let mut report = CompactReport { views: Vec::new(), journal_files: 0 };
        for view in views {
            let Some(name) = catalog.table_name(&view.id) else { continue };
            let Some(mut table) = offline.existing_table(&name).await? else { continue };
            let ranks = self.view_journal(&catalog, &view.id).await?.ranks();
            let what = format!("compact {}", view.id);
            progress.begin(&what, "files", None);
            let done = table.compact(&ranks).await;
            progress.finish(&what, "");
            let done = done?;
            report.views.push(compacted(view.id.to_string(), done));
        }
        if self.project().history_path().exists() {
            report.journal_files = offline.compact_journal().await?;
        }
        Ok(report)
    }
}

fn compacted(view: String, done: Rewritten) -> ViewCompacted {
    ViewCompacted {
        view,
        files_before: done.files_before,
        files_after: done.files_after,
        bytes_before: done.bytes_before,
        bytes_after: done.bytes_after,
        rows_folded: done.rows_folded,
    }
}
