//! Where label rows come from: files, or a query over files.

use std::path::{Path, PathBuf};

use asof_engine::{EngineError, Progress};
use asof_model::plan::Catalog;
use asof_model::spec::Source;
use asof_model::transform::Transform;
use asof_model::{Location, name};
use asof_training::labels::{LabelTable, Labels, put_aside};
use asof_training::output::{Layout, OutputSpec};
use asof_training::{Scratch, TrainingError};

use super::TrainRequest;
use super::output::location;
use crate::{Store, StoreError};

/// A label table: files, or what a query makes of files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelRows {
    /// Parquet or CSV, for a query any format of a source: one file, a folder, a pattern, or a URL. A query calls these files
    /// `source`. `None`: it reads sources of the project alone.
    pub files: Option<PathBuf>,
    /// The query that makes label rows; it finds the sources of the project by their names.
    pub sql: Option<String>,
}

impl LabelRows {
    /// Files as they are.
    pub fn of_files(files: impl Into<PathBuf>) -> Self {
        Self { files: Some(files.into()), sql: None }
    }
}

/// What the query is called. No source of a project is: names have no `-`.
const QUERY: &str = "labels-sql";

/// The step that makes label rows.
const RUN_QUERY: &str = "run the query of the labels";

impl Store {
    /// Opens the label table of a request. Rows of a query are put into `scratch`.
    ///
    /// # Errors
    /// [`StoreError::Request`] for a query that is wrong, or where there is neither file nor query;
    /// [`EngineError::BadRow`]; those of opening files.
    pub(super) fn open_labels(
        &self,
        catalog: &Catalog,
        request: &TrainRequest,
        output: &OutputSpec,
        scratch: &Scratch,
        progress: &dyn Progress,
    ) -> Result<Box<dyn Labels>, StoreError> {
        let (at, shown) = match (&request.labels.files, &request.labels.sql) {
            (files, Some(sql)) => {
                let at = self.query_labels(catalog, request, (files.as_deref(), sql), scratch, progress)?;
                (Location::Local(at), PathBuf::from("the rows of the query"))
            }
            (Some(files), None) => {
                let at = location("labels", files)?;
                let shown = PathBuf::from(at.to_string());
                (at, shown)
            }
            (None, None) => {
                let message = "there are no labels".to_owned();
                let hint = "name their files with `--labels`, or a query that makes them with `--labels-sql`";
                return Err(StoreError::Request { message, hint: Some(hint.to_owned()) });
            }
        };
        let table = LabelTable {
            at: &at,
            shown: &shown,
            reading: &request.reading,
            time: &request.timestamp,
            typed: output.layout != Layout::Csv,
        };
        Ok(table.open(self.objects())?)
    }

    /// Runs the query of a label table. Returns the file with its rows.
    fn query_labels(
        &self,
        catalog: &Catalog,
        request: &TrainRequest,
        (files, sql): (Option<&Path>, &str),
        scratch: &Scratch,
        progress: &dyn Progress,
    ) -> Result<PathBuf, StoreError> {
        let path = match files {
            // Of the folder that we are in, and not of the project.
            Some(files) => match location("labels", files)? {
                Location::Local(path) => {
                    let path =
                        std::path::absolute(&path).map_err(|error| EngineError::reading(&path, error))?;
                    path.to_string_lossy().into_owned()
                }
                object => object.to_string(),
            },
            None => String::new(),
        };
        let mut source = Source {
            name: QUERY.to_owned(),
            path,
            event: request.timestamp.clone(),
            zone: request.reading.zone.name().map(str::to_owned),
            unit: request.reading.unit,
            transform: Some(Transform { sql: sql.to_owned(), lookback: None, meaning: None }),
            ..Source::default()
        };
        let meaning = self.meaning_now(&source, &catalog.definitions)?;
        if let Some(transform) = &mut source.transform {
            transform.meaning = Some(meaning);
        }
        let Some(query) = self.query_input(catalog, &source)? else {
            return Err(StoreError::Corrupt("the query of the labels has no meaning".to_owned()));
        };
        let rows = query.whole_rows()?;
        let schema = rows.schema().clone();
        if schema.index_of(&request.timestamp).is_err() {
            let known = schema.fields().iter().map(|field| field.name().as_str());
            return Err(StoreError::Request {
                message: format!("the query of the labels gives no column `{}`", request.timestamp),
                hint: name::suggestion(&request.timestamp, known)
                    .or_else(|| Some("name the column of the label times with `--timestamp`".to_owned())),
            });
        }
        progress.begin(RUN_QUERY, "rows", None);
        let mut count = 0;
        let rows = rows.map(|batch| {
            let batch = batch?;
            count += batch.num_rows() as u64;
            progress.advance(RUN_QUERY, batch.num_rows() as u64);
            if progress.wanted() { Ok(batch) } else { Err(TrainingError::Stopped) }
        });
        let path = put_aside(schema, rows, scratch)?;
        query.check_unchanged()?;
        progress.finish(RUN_QUERY, &format!("{count} rows"));
        Ok(path)
    }
}
