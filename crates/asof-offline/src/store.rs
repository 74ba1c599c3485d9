//! The folder of all history tables, and the way to each.

use std::path::{Path as LocalPath, PathBuf};
use std::sync::Arc;

use deltalake_core::logstore::{LogStoreRef, ObjectStoreRef, StorageConfig, logstore_with};
use object_store::ObjectStore;
use object_store::path::Path;
use tokio::sync::Mutex;
use url::Url;

use crate::delta::explain;
use crate::durable::DurableLocal;
use crate::error::{OfflineError, storage};
use crate::journal::{JOURNAL, Journal, JournalEntry};
use crate::table::{self, Table, TableSpec};
use crate::vacuum::{self, Vacuum, Vacuumed};

/// History: the tables in one folder and their journal. Cheap to clone; clones share what they have read of the
/// journal.
#[derive(Clone)]
pub struct OfflineStore {
    root: Arc<Root>,
    journal: Arc<Mutex<Journal>>,
}

/// Where tables are, and the object store that holds them. The only place that knows it is a local folder.
pub(crate) struct Root {
    pub(crate) folder: PathBuf,
    url: Url,
    objects: ObjectStoreRef,
}

impl OfflineStore {
    /// The store in the folder `root`, which need not exist. Nothing is read or made yet.
    ///
    /// # Errors
    /// [`OfflineError::InvalidName`] where the path cannot be made absolute.
    pub fn open(root: &LocalPath) -> Result<Self, OfflineError> {
        let invalid = || OfflineError::InvalidName { name: root.display().to_string() };
        let folder = std::path::absolute(root).map_err(|_| invalid())?;
        let url = Url::from_directory_path(&folder).map_err(|()| invalid())?;
        let root = Arc::new(Root { folder, url, objects: Arc::new(DurableLocal::new()) });
        Ok(Self { journal: Arc::new(Mutex::new(Journal::new(root.clone()))), root })
    }

    /// The table of `spec` at its newest version: made where it is missing, and extended at the end where `spec` has
    /// nullable columns that it lacks (SEMANTICS 9). Any number of processes may do this at once.
    ///
    /// # Errors
    /// [`OfflineError::SchemaMismatch`] for any other difference of columns, [`OfflineError::InvalidName`] and
    /// [`OfflineError::InvalidColumn`] where `spec` is not one of a history table, then what storage and log say.
    pub async fn table(&self, spec: &TableSpec) -> Result<Table, OfflineError> {
        table::ensure(self.root.clone(), spec).await
    }

    /// The table in the folder `name` at its newest version. `None` where there is none.
    ///
    /// # Errors
    /// As [`OfflineStore::table`].
    pub async fn existing_table(&self, name: &str) -> Result<Option<Table>, OfflineError> {
        table::existing(self.root.clone(), name).await
    }

    pub(crate) fn root(&self) -> &Root {
        &self.root
    }

    /// The names of all history tables that are there, in order.
    ///
    /// # Errors
    /// [`OfflineError::Storage`].
    pub async fn tables(&self) -> Result<Vec<String>, OfflineError> {
        let root = &self.root;
        let base = Path::from_url_path(root.url.path())
            .map_err(|_| OfflineError::InvalidName { name: root.folder.display().to_string() })?;
        let (mut folders, mut found) = (vec![base.clone()], Vec::new());
        while let Some(folder) = folders.pop() {
            let listed = root.objects.list_with_delimiter(Some(&folder)).await;
            let listed = listed.map_err(|error| storage(root.folder.display().to_string(), error))?;
            let below = |each: &Path| each.filename().map(str::to_owned).unwrap_or_default();
            if listed.common_prefixes.iter().any(|each| below(each) == "_delta_log") {
                let parts = folder.prefix_match(&base).into_iter().flatten();
                found.push(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"));
                continue;
            }
            folders.extend(listed.common_prefixes);
        }
        found.retain(|name| check_name(name).is_ok());
        found.sort();
        Ok(found)
    }

    /// Adds entries to the journal, in one commit. An entry whose table and unit are there already is skipped: the
    /// first one stands, and its `visible` is never redrawn (SEMANTICS 1).
    ///
    /// # Errors
    /// [`OfflineError::InvalidRows`] for a position or a count beyond `i64`, then what storage and log say.
    pub async fn append_journal(&self, entries: &[JournalEntry]) -> Result<(), OfflineError> {
        self.journal.lock().await.append(entries).await
    }

    /// Brings the small files of the journal together. Returns how many were replaced; doing it again does nothing.
    /// Others may read and append meanwhile.
    ///
    /// # Errors
    /// What storage, log and data files say. The journal is as good as before then.
    pub async fn compact_journal(&self) -> Result<u64, OfflineError> {
        self.journal.lock().await.compact().await
    }

    /// Removes files of the table in the folder `name`, or of the journal, that its newest version does not need. Does
    /// nothing where there is no table.
    ///
    /// # Errors
    /// What storage and log say. What was removed until then is gone, and nothing else is lost.
    pub async fn vacuum(&self, name: &str, vacuum: &Vacuum) -> Result<Vacuumed, OfflineError> {
        vacuum::run(&self.root, name, vacuum).await
    }

    /// The journal of one table, in order of `visible`, then `position`, then `unit`. Empty for a table unknown to it.
    ///
    /// # Errors
    /// What storage, log and data files say.
    pub async fn journal(&self, table: &str) -> Result<Vec<JournalEntry>, OfflineError> {
        self.journal.lock().await.entries(table).await
    }
}

impl Root {
    /// The Delta log store of the table in the folder `name`.
    pub(crate) fn log_store(&self, name: &str) -> Result<LogStoreRef, OfflineError> {
        let invalid = |_| OfflineError::InvalidName { name: name.to_owned() };
        let url = self.url.join(&format!("{name}/")).map_err(invalid)?;
        logstore_with(self.objects.clone(), &url, StorageConfig::default())
            .map_err(|error| explain(self, name, error))
    }

    /// Where the folder `name` is, for people.
    pub(crate) fn location(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// Where a file of the table `name` is, for people.
    pub(crate) fn file_location(&self, name: &str, path: &str) -> String {
        self.folder.join(name).join(path).display().to_string()
    }
}

/// Checks that `name` is a relative folder of plain segments which is not the journal's.
pub(crate) fn check_name(name: &str) -> Result<(), OfflineError> {
    let plain = |segment: &str| {
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(known)
    };
    let ours = name.split('/').next() == Some(JOURNAL);
    if ours || !name.split('/').all(plain) {
        return Err(OfflineError::InvalidName { name: name.to_owned() });
    }
    Ok(())
}
