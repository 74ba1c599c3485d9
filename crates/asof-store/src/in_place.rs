//! Views that read their source in place (SEMANTICS 9): each training set reads the source's files anew, through the
//! admission of a load, and nothing is kept of them. Rows have no visible instant, as nobody published them.

use std::collections::BTreeMap;
use std::sync::Arc;

use asof_engine::EngineError;
use asof_engine::source::admission::FeatureErrors;
use asof_engine::source::{self, RawBatches, SourceFile, Stamp, WantedColumn};
use asof_model::Instant;
use asof_model::plan::Catalog;
use asof_model::spec::{Feature, FileFormat, JoinKey, Source};
use asof_training::history::{SourceCounts, SourceHistory, StreamHistory, StreamInput};
use asof_training::join::{Interval, UnitFacts, Units};
use serde::Serialize;

use crate::materialize::QueryInput;
use crate::train::histories::SharedHistory;
use crate::{Store, StoreError};

/// The one unit that all rows belong to.
const IN_PLACE: &str = "in place";

/// All of event time.
const ALL: Interval = Interval { from: Instant::MIN.micros(), until: i64::MAX };

/// What was read of a source in place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceRead {
    /// Files of the source; for a query over all rows those of every source that it reads.
    pub files: u64,
    /// Rows that were looked at, bad ones included: not those that can't matter to any label.
    pub rows: u64,
    /// Rows that the condition of the source's query leaves out.
    pub rows_filtered: u64,
    /// Rows left out because their key, event or created can't be read. They are not set aside anywhere.
    pub rows_bad: u64,
    /// The first of them in words: file, row and reason.
    pub first_bad: Option<String>,
    /// Features that could not be read and are ERROR, with a count and the first reason each.
    pub feature_errors: BTreeMap<String, FeatureErrors>,
    /// The version of the Delta table that was read, where the source is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table_version: Option<u64>,
}

/// A source that is read in place, for some views.
pub(crate) struct InPlace {
    files: u64,
    table_version: Option<u64>,
    rows: Rows,
}

enum Rows {
    /// Of files that can be read at chosen rows.
    Chosen(Arc<SourceHistory>),
    /// Of those that can't, and of queries.
    Streamed(Arc<StreamHistory>),
}

/// The unit of all rows, which carry that many features.
pub(crate) fn units(features: usize) -> Arc<Units> {
    let mut units = Units::default();
    // Nothing that is asked of these rows looks at this instant.
    let visible = Instant::MIN;
    units
        .add(IN_PLACE, UnitFacts { visible, features, bulk: Vec::new(), replaced: Vec::new(), stays: false });
    Arc::new(units)
}

impl Store {
    /// Lists the files of a source, for views with these keys and features.
    ///
    /// # Errors
    /// Those of listing files; a column that not one of them has.
    pub(crate) fn in_place(
        &self,
        catalog: &Catalog,
        source: &Source,
        views: &[(Vec<JoinKey>, Vec<Feature>)],
    ) -> Result<InPlace, StoreError> {
        let views = || views.iter().map(|(keys, features)| (keys.as_slice(), features.as_slice()));
        if let Some(query) = self.query_input(catalog, source)? {
            // The rows of a query over all rows are known since its inputs were taken as they are: now (SEMANTICS 1).
            let created = source.created.is_none().then(|| self.now());
            let files = query.fingerprints().count() as u64;
            let inputs: Vec<Box<dyn StreamInput>> = vec![Box::new(WholeQuery(query))];
            let rows = Rows::Streamed(Arc::new(StreamHistory::new(source, inputs, created, views())?));
            return Ok(InPlace { files, table_version: None, rows });
        }
        let what = format!("source `{}`", source.name);
        let at = self.project().location(source)?;
        let listed = source::list(&what, &at, source.format, self.objects())?;
        let files = listed.len() as u64;
        let table_version = listed.first().and_then(|file| file.table).map(|table| table.version);
        let chosen = listed.iter().all(|file| file.format == FileFormat::Parquet);
        let rows = match chosen {
            true => {
                let history = SourceHistory::new(source, listed.clone(), views())?;
                source::check_columns(&what, &listed, &history.wanted_columns()?)?;
                Rows::Chosen(Arc::new(history))
            }
            false => {
                let stamped = |file: &SourceFile| {
                    let stamp = file.stamp()?;
                    let input = WholeFile { what: what.clone(), file: file.clone(), stamp };
                    Ok(Box::new(input) as Box<dyn StreamInput>)
                };
                let inputs = listed.iter().map(stamped).collect::<Result<Vec<_>, EngineError>>()?;
                let history = StreamHistory::new(source, inputs, None, views())?;
                source::check_columns(&what, &listed, history.wanted_columns())?;
                Rows::Streamed(Arc::new(history))
            }
        };
        Ok(InPlace { files, table_version, rows })
    }
}

impl InPlace {
    /// Its rows, for a join.
    pub fn history(&self) -> SharedHistory {
        match &self.rows {
            Rows::Chosen(history) => history.clone(),
            Rows::Streamed(history) => history.clone(),
        }
    }

    /// What was read for a view.
    pub fn read(&self, view: usize) -> SourceRead {
        let counts = match &self.rows {
            Rows::Chosen(history) => history.counts(view),
            Rows::Streamed(history) => history.counts(view),
        };
        let SourceCounts { rows, filtered, bad, first_bad, feature_errors } = counts;
        SourceRead {
            files: self.files,
            rows,
            rows_filtered: filtered,
            rows_bad: bad,
            first_bad,
            feature_errors,
            table_version: self.table_version,
        }
    }
}

/// A file that is read from beginning to end.
struct WholeFile {
    what: String,
    file: SourceFile,
    stamp: Stamp,
}

impl StreamInput for WholeFile {
    fn open(&self, columns: &[WantedColumn]) -> Result<RawBatches, EngineError> {
        source::open(&self.what, &self.file, columns)
    }

    fn bytes(&self) -> u64 {
        self.file.bytes
    }

    fn check_unchanged(&self) -> Result<(), EngineError> {
        self.file.check_stamp(self.stamp)
    }
}

/// A query over all rows.
struct WholeQuery(QueryInput);

impl StreamInput for WholeQuery {
    fn open(&self, columns: &[WantedColumn]) -> Result<RawBatches, EngineError> {
        self.0.open(columns, ALL)
    }

    fn bytes(&self) -> u64 {
        self.0.fingerprints().map(|fingerprint| fingerprint.size).sum()
    }

    fn check_unchanged(&self) -> Result<(), EngineError> {
        self.0.check_unchanged()
    }
}
