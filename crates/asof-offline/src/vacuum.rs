//! Removing what no reader needs any more: files that were replaced, and files that no commit ever named.
//!
//! A reader pins the version that it has opened, so a replaced file stays for a while. The log stays whole: it says
//! what each unit has consumed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::SystemTime;

use asof_model::Duration;
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::columns::EVENT_DATE;
use crate::delta;
use crate::durable::staged_files;
use crate::error::{OfflineError, storage};
use crate::journal::{JOURNAL, TABLE};
use crate::store::{Root, check_name};
use crate::write::modified_now;

/// How long a replaced file is spared where nobody says: 7 days.
pub const RETENTION_DEFAULT: Duration = Duration::from_micros(7 * 86_400_000_000);
/// The longest that a replaced file can be spared: 30 days. The log does not remember for longer when it was replaced.
pub const RETENTION_MAX: Duration =
    Duration::from_micros(delta::REMOVED_FILES_REMEMBERED_DAYS * 86_400_000_000);
/// A file that no commit names may be one of a commit under way. So young, it is spared unless nobody writes.
pub const UNNAMED_AGE_MIN: Duration = Duration::from_micros(3_600_000_000);
/// Files that are removed at a time.
const REMOVING_MAX: usize = 16;

/// What to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vacuum {
    /// Only files that were replaced, or written in vain, at least so long ago.
    pub older_than: Duration,
    /// Whether nobody else writes to the table meanwhile: then files that no commit names need not be spared for
    /// [`UNNAMED_AGE_MIN`].
    pub alone: bool,
    /// Only count.
    pub dry_run: bool,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

pub(crate) async fn run(root: &Root, name: &str, vacuum: &Vacuum) -> Result<Vacuumed, OfflineError> {
    let partition = if name == JOURNAL {
        TABLE
    } else {
        check_name(name)?;
        EVENT_DATE
    };
    let now = modified_now();
    let Some(found) = delta::open(root, name, partition).await? else { return Ok(Vacuumed::default()) };
    let failed = |error| storage(root.location(name), error);
    let objects = found.object_store();
    // Listed first: what is committed until the log is read is then known to be needed.
    let listed: Vec<_> = objects.list(None).try_collect().await.map_err(failed)?;
    let Some(delta) = delta::open(root, name, partition).await? else { return Ok(Vacuumed::default()) };
    let explain = |error| delta::explain(root, name, error);
    let state = delta.snapshot().map_err(explain)?;
    let needed: HashSet<String> = state.log_data().iter().map(|view| view.path().into_owned()).collect();
    let log_store = delta.log_store();
    let mut replaced: HashMap<String, i64> = HashMap::new();
    let mut tombstones = state.all_tombstones(log_store.as_ref());
    while let Some(tombstone) = tombstones.try_next().await.map_err(explain)? {
        replaced.insert(tombstone.path().into_owned(), tombstone.deletion_timestamp().unwrap_or_default());
    }

    let mut done = Vacuumed::default();
    let mut doomed: Vec<Path> = Vec::new();
    for object in listed {
        let path = object.location.as_ref();
        if path.starts_with("_delta_log/") || needed.contains(path) {
            continue;
        }
        // A file was written before it was replaced, and a replaced file that the log has forgotten is older still.
        let since =
            object.last_modified.timestamp_millis().max(replaced.get(path).copied().unwrap_or(i64::MIN));
        if now - since >= spared_millis(vacuum, replaced.contains_key(path)) {
            done.files += 1;
            done.bytes += object.size;
            doomed.push(object.location);
        }
    }
    if !vacuum.dry_run {
        let removal = |path: Path| remove(objects.clone(), root.file_location(name, path.as_ref()), path);
        let removals = doomed.into_iter().map(removal);
        futures::stream::iter(removals).buffer_unordered(REMOVING_MAX).try_collect::<()>().await?;
    }
    let unfinished = remove_unfinished(root, name, now, vacuum)?;
    Ok(Vacuumed { files: done.files + unfinished.files, bytes: done.bytes + unfinished.bytes })
}

async fn remove(objects: Arc<dyn ObjectStore>, location: String, path: Path) -> Result<(), OfflineError> {
    match objects.delete(&path).await {
        Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(storage(location, error)),
    }
}

fn spared_millis(vacuum: &Vacuum, replaced: bool) -> i64 {
    let spared = match replaced || vacuum.alone {
        true => vacuum.older_than,
        false => vacuum.older_than.max(UNNAMED_AGE_MIN),
    };
    spared.micros().div_euclid(1_000)
}

/// Removes what writes that died have left in a local folder.
fn remove_unfinished(root: &Root, name: &str, now: i64, vacuum: &Vacuum) -> Result<Vacuumed, OfflineError> {
    let mut done = Vacuumed::default();
    let folder = root.folder.join(name);
    let staged = staged_files(&folder).map_err(|error| storage(folder.display().to_string(), error))?;
    for (path, metadata) in staged {
        let modified = metadata.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        let modified = modified.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(now);
        if now - modified < spared_millis(vacuum, false) {
            continue;
        }
        done.files += 1;
        done.bytes += metadata.len();
        if !vacuum.dry_run {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(storage(path.display().to_string(), error));
                }
                _ => {}
            }
        }
    }
    Ok(done)
}
