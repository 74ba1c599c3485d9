//! The rows of files, as they are pushed.

use std::path::Path;
use std::vec::IntoIter;

use asof_engine::source::pushed::objects_of;
use asof_engine::source::{self, RawBatches, SourceFile, WantedColumn};

use super::Rejected;
use crate::train::location;
use crate::{Store, StoreError};

/// Files of rows, read batch by batch.
pub struct PushFile {
    what: String,
    files: IntoIter<SourceFile>,
    columns: Vec<WantedColumn>,
    open: Option<RawBatches>,
}

/// Rows of a file, as JSON objects.
pub struct PushBatch {
    /// The rows.
    pub rows: Vec<String>,
    /// Rows that could not be taken apart.
    pub broken: Vec<Rejected>,
}

impl PushFile {
    /// The rows at `path`: a file, a folder or a pattern of them, or a URL, with these columns.
    ///
    /// # Errors
    /// Those of listing files; a column that not one of them has.
    pub fn open(
        store: &Store,
        source: &str,
        path: &Path,
        columns: &[WantedColumn],
    ) -> Result<Self, StoreError> {
        let what = format!("the rows pushed to `{source}`");
        let at = location(&what, path)?;
        let files = source::list(&what, &at, None, store.objects())?;
        source::check_columns(&what, &files, columns)?;
        Ok(Self { what, files: files.into_iter(), columns: columns.to_vec(), open: None })
    }

    fn next_batch(&mut self) -> Result<Option<PushBatch>, StoreError> {
        loop {
            if let Some(batch) = self.open.as_mut().and_then(Iterator::next) {
                let batch = batch?;
                let broken = batch.broken.iter();
                let broken = broken.map(|each| Rejected { row: each.row, reason: each.reason.clone() });
                return Ok(Some(PushBatch { rows: objects_of(&batch), broken: broken.collect() }));
            }
            let Some(file) = self.files.next() else { return Ok(None) };
            self.open = Some(source::open(&self.what, &file, &self.columns)?);
        }
    }
}

impl Iterator for PushFile {
    type Item = Result<PushBatch, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}
