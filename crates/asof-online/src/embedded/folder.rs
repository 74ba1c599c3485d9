//! The folder of a store: opening it, who holds it, its format.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use asof_model::Instant;
use fjall::{Database, Keyspace, PersistMode};
use serde::{Deserialize, Serialize};

use super::{failure, records};
use crate::error::OnlineError;
use crate::fields::Fields;

const HOLDER_FILE: &str = "holder.json";
/// Written by the engine when a store has been created in full.
const VERSION_FILE: &str = "version";

pub(super) fn exists(path: &Path) -> bool {
    path.join(VERSION_FILE).is_file()
}

/// Opens or creates the database in `path`.
pub(super) fn open_database(path: &Path, cache_bytes: u64) -> Result<Database, OnlineError> {
    // The engine asserts what it expects of its own files; on a damaged folder that is a panic, which must not take
    // the process along. Nothing of ours is shared with it yet, so nothing can be left half-changed.
    let opened = catch_unwind(AssertUnwindSafe(|| Database::builder(path).cache_size(cache_bytes).open()));
    match opened {
        Ok(opened) => opened.map_err(|error| failure::explain(path, error)),
        Err(_) => Err(failure::damaged(path, "its files do not belong together")),
    }
}

/// Checks the format of the store, and writes it into a new one.
pub(super) fn check_format(path: &Path, database: &Database, meta: &Keyspace) -> Result<(), OnlineError> {
    let failed = |error| failure::explain(path, error);
    match meta.get(records::FORMAT_KEY).map_err(failed)? {
        Some(value) => Fields::new("online store", &value).check_version(records::FORMAT_VERSION),
        None => {
            let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
            batch.insert(meta, records::FORMAT_KEY, [records::FORMAT_VERSION]);
            batch.commit().map_err(failed)
        }
    }
}

/// Who holds a store.
#[derive(Serialize, Deserialize)]
struct HolderFile {
    pid: u32,
    command: String,
    since: String,
}

/// The note in the folder that says who holds it, for as long as this lives.
pub(super) struct Holder {
    file: PathBuf,
}

impl Holder {
    pub(super) fn write(path: &Path, command: &str, since: Instant) -> Result<Self, OnlineError> {
        let holder =
            HolderFile { pid: std::process::id(), command: command.to_owned(), since: since.to_string() };
        let file = path.join(HOLDER_FILE);
        let text = serde_json::to_string(&holder).unwrap_or_default();
        fs::write(&file, text).map_err(|source| failure::explain_io(path, source))?;
        Ok(Self { file })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // A note that stays behind does no harm: it is read only while the folder is held.
        let _ = fs::remove_file(&self.file);
    }
}

/// Who holds the store, in words. `None` where nobody says.
pub(super) fn read_holder(path: &Path) -> Option<String> {
    let holder: HolderFile = serde_json::from_str(&fs::read_to_string(path.join(HOLDER_FILE)).ok()?).ok()?;
    Some(format!("`{}` (process {}, since {})", holder.command, holder.pid, holder.since))
}
