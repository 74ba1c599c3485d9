//! Rows set aside: one file of newline JSON for each unit, written whole.

use std::io::Write;
use std::path::PathBuf;

use asof_engine::source::BadRow;

use crate::StoreError;
use crate::project::writing;

/// The quarantine of one view version.
pub struct Quarantine {
    folder: PathBuf,
    used: bool,
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

    /// Writes the bad rows of a unit. Writing them again gives the same file: a repeated load counts no row twice.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write(&mut self, unit: &str, rows: &[BadRow]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        self.used = true;
        let path = self.folder.join(format!("{unit}.ndjson"));
        let partial = self.folder.join(format!(".{unit}.partial"));
        let mut text = Vec::new();
        for row in rows {
            // A row of texts and numbers always has a JSON form.
            text.extend(serde_json::to_vec(row).unwrap_or_default());
            text.push(b'\n');
        }
        let write = || {
            std::fs::create_dir_all(&self.folder)?;
            let mut file = std::fs::File::create(&partial)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&partial, &path)?;
            std::fs::File::open(&self.folder)?.sync_all()
        };
        write().map_err(|error| writing(&path, error))
    }
}
