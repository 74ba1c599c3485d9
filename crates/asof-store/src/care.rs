//! Who may rewrite and remove files of history: one command at a time. Loads and readers never wait for it.

use std::fs::{File, OpenOptions, TryLockError};

use crate::project::writing;
use crate::{Store, StoreError};

/// The right to rewrite and remove, until dropped.
pub(crate) struct Care {
    _file: File,
}

impl Store {
    /// Takes the right to rewrite and remove files of history.
    ///
    /// # Errors
    /// [`StoreError::CareHeld`], [`StoreError::Io`].
    pub(crate) fn take_care(&self) -> Result<Care, StoreError> {
        let path = self.project().care_path();
        let open = || {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            OpenOptions::new().create(true).truncate(false).write(true).open(&path)
        };
        let file = open().map_err(|error| writing(&path, error))?;
        match file.try_lock() {
            Ok(()) => Ok(Care { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::CareHeld),
            Err(TryLockError::Error(error)) => Err(writing(&path, error)),
        }
    }
}
