//! What came of a training set, in words and numbers.

use std::io::Write;
use std::path::{Path, PathBuf};

use asof_engine::EngineError;
use asof_model::{KnownAt, Location};
use asof_training::explain::Explained;
use asof_training::join::ViewReport;
use asof_training::output::folder::WrittenFile;
use asof_training::output::statistics::ColumnStatistics;
use serde::Serialize;

use crate::in_place::SourceRead;
use crate::project::writing;
use crate::{Store, StoreError};

/// What the name of the file beside an output ends in.
const STATISTICS: &str = ".statistics.json";

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct TrainReport {
    /// Where it is.
    pub output: PathBuf,
    /// Label rows, all of them.
    pub rows: u64,
    /// Columns, the labels' own included.
    pub columns: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// The files of a folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<WrittenFile>,
    /// What may hide a row.
    pub known_at: KnownAt,
    /// For each joined view how it came out.
    pub views: Vec<JoinReport>,
    /// What each column holds. It stands beside the output too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistics: Option<Vec<ColumnStatistics>>,
    /// The record of this training set.
    pub record: PathBuf,
    /// How the work was done, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained: Option<Explained>,
    /// Seconds it took.
    pub seconds: f64,
}

/// How one joined view came out.
#[derive(Debug, Clone, Serialize)]
pub struct JoinReport {
    /// The view.
    pub view: String,
    /// The alias under which it was joined, or its name.
    pub prefix: String,
    /// Rows of history that were looked at.
    pub history_rows: u64,
    /// The version of its history that was read. `None` for a source in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_version: Option<u64>,
    /// What was read, where the source was read in place. Then `history_rows` are rows of its files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_place: Option<SourceRead>,
    /// Counts of label rows.
    #[serde(flatten)]
    pub labels: ViewReport,
    /// The view's ttl, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// When the first of its rows became visible in this store; `None` where nothing was loaded, or ever is.
    pub first_visible: Option<String>,
    /// Whether a load of the view was ever complete. If not, rows are still to come.
    pub complete: bool,
    /// The last label time.
    pub last_label: Option<String>,
}

/// What a training set says of itself: what depends on how history happens to be stored is left out, so that the same
/// answers are the same bytes.
pub(super) fn in_file(views: &[JoinReport]) -> String {
    let mut told = serde_json::to_value(views).unwrap_or_default();
    for view in told.as_array_mut().into_iter().flatten().filter_map(|view| view.as_object_mut()) {
        for of_storage in ["history_rows", "history_version", "in_place"] {
            view.shift_remove(of_storage);
        }
    }
    told.to_string()
}

impl Store {
    /// Writes what each column holds beside an output.
    ///
    /// # Errors
    /// [`StoreError::Io`]; those of an object store.
    pub(super) fn write_statistics(
        &self,
        output: &Location,
        statistics: &[ColumnStatistics],
    ) -> Result<(), StoreError> {
        let text = serde_json::to_vec_pretty(statistics).unwrap_or_default();
        match output {
            Location::Local(path) => {
                let name =
                    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
                let path = path.with_file_name(format!("{name}{STATISTICS}"));
                std::fs::write(&path, text).map_err(|error| writing(&path, error))
            }
            Location::Object(url) => {
                let url = url.with_key(&format!("{}{STATISTICS}", url.key));
                let mut writer = self.objects().writer(&url).map_err(EngineError::from)?;
                let written = writer.write_all(&text);
                written.map_err(|error| EngineError::writing(Path::new(&url.to_string()), error))?;
                writer.complete().map_err(EngineError::from)?;
                Ok(())
            }
        }
    }
}
