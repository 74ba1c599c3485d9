//! Rows set aside: one file of newline JSON for each file of the source that holds bad ones, written whole.
//!
//! It is named by the content of the source's file, so that reading the same file again, in whatever company, sets no row
//! aside twice.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use asof_engine::source::BadRow;

use crate::StoreError;
use crate::project::writing;

/// The quarantine of one view version.
pub struct Quarantine {
    folder: PathBuf,
    used: bool,
}

/// The bad rows of one file of the source, as they come.
pub struct BadRows {
    folder: PathBuf,
    path: PathBuf,
    partial: PathBuf,
    open: Option<BufWriter<File>>,
}

impl Quarantine {
    /// The quarantine in that folder, which is created with the first row.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, used: false }
    }

    /// The folder, where rows were set aside.
    pub fn folder(&self) -> Option<PathBuf> {
        self.used.then(|| self.folder.clone())
    }

    /// The bad rows of the file with that content hash.
    pub fn of_file(&self, hash: &str) -> BadRows {
        let path = self.folder.join(format!("{hash}.ndjson"));
        let partial = self.folder.join(format!(".{hash}.partial"));
        BadRows { folder: self.folder.clone(), path, partial, open: None }
    }

    /// Puts what was set aside of a file in its place, durably, over what an earlier reading of the same file left there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn keep(&mut self, rows: BadRows) -> Result<(), StoreError> {
        let BadRows { folder, path, partial, open } = rows;
        let Some(open) = open else { return Ok(()) };
        self.used = true;
        let write = || {
            open.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
            std::fs::rename(&partial, &path)?;
            File::open(&folder)?.sync_all()
        };
        write().map_err(|error| writing(&path, error))
    }
}

impl BadRows {
    /// Sets rows aside, until [`Quarantine::keep`]: a file that was not read to its end counts as unread.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn add(&mut self, rows: &[BadRow]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let failed = |error| writing(&self.partial, error);
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let create = std::fs::create_dir_all(&self.folder);
                let file = create.and_then(|()| File::create(&self.partial)).map_err(failed)?;
                self.open.insert(BufWriter::new(file))
            }
        };
        for row in rows {
            // A row of texts and numbers always has a JSON form.
            let text = serde_json::to_vec(row).unwrap_or_default();
            open.write_all(&text).and_then(|()| open.write_all(b"\n")).map_err(failed)?;
        }
        Ok(())
    }
}
