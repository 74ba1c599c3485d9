//! The folder of a store: opening it, who holds it, its format.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::{fs, io};

use asof_model::Instant;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde::{Deserialize, Serialize};

use super::{failure, records};
use crate::error::OnlineError;
use crate::fields::Fields;

const HOLDER_FILE: &str = "holder.json";
/// Memory for blocks while a store is created, which reads none.
const CACHE_BYTES_CREATING: u64 = 1 << 20;
/// Written by the engine when a store has been created in full.
const VERSION_FILE: &str = "version";

pub(super) fn exists(path: &Path) -> bool {
    path.join(VERSION_FILE).is_file()
}

/// Creates a store where there is none, whole or not at all: it is made in a folder beside, which then takes the name.
/// A kill on the way leaves a folder that nobody opens and the next creation removes.
pub(super) fn create_whole(path: &Path) -> Result<(), OnlineError> {
    let failed = |source| failure::explain_io(path, source);
    match fs::read_dir(path) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Ok(());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let prefix = format!(".{}.creating-", name.to_string_lossy());
    fs::create_dir_all(parent).map_err(failed)?;
    for entry in fs::read_dir(parent).map_err(failed)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            // Left by a killed creation; one that another process is at loses its race, and says so.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    let staging = parent.join(format!("{prefix}{}", std::process::id()));
    // Before the engine tries: that a place can't be written is no damage.
    fs::create_dir(&staging).map_err(|source| match source.kind() {
        // The folder around it is there: some file systems say so where nothing can be made.
        io::ErrorKind::NotFound => OnlineError::ReadOnly { path: path.to_owned(), source },
        _ => failed(source),
    })?;
    {
        let database = open_database(&staging, CACHE_BYTES_CREATING)?;
        let [.., meta] = open_keyspaces(&staging, &database)?;
        check_format(&staging, &database, &meta)?;
    }
    match fs::rename(&staging, path) {
        Ok(()) => fs::File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed),
        // Somebody else was first; theirs is as good.
        Err(_) if exists(path) => fs::remove_dir_all(&staging).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// The keyspaces of a store: rows, rows that wait, segments of events, identities of events, journal, meta. Created where they are missing.
pub(super) fn open_keyspaces(path: &Path, database: &Database) -> Result<[Keyspace; 6], OnlineError> {
    let open = |name: &str| {
        let opened = database.keyspace(name, KeyspaceCreateOptions::default);
        opened.map_err(|error| failure::explain(path, error))
    };
    let [rows, waiting, segments] = [open("rows")?, open("waiting")?, open("segments")?];
    Ok([rows, waiting, segments, open("identities")?, open("journal")?, open("meta")?])
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

/// Checks the format of the store, and writes it into one that is new or older.
pub(super) fn check_format(path: &Path, database: &Database, meta: &Keyspace) -> Result<(), OnlineError> {
    let failed = |error| failure::explain(path, error);
    if let Some(value) = meta.get(records::FORMAT_KEY).map_err(failed)? {
        Fields::new("online store", &value).check_version(records::FORMAT_VERSION)?;
        if value.first() == Some(&records::FORMAT_VERSION) {
            return Ok(());
        }
    }
    let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
    batch.insert(meta, records::FORMAT_KEY, [records::FORMAT_VERSION]);
    batch.commit().map_err(failed)
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
