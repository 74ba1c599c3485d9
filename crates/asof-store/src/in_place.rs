//! Views that read their source in place (SEMANTICS 9): each training set reads the source's files anew, through the
//! admission of a load, and nothing is kept of them. Rows have no visible instant, as nobody published them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use asof_engine::EngineError;
use asof_engine::columns::UNIT;
use asof_engine::join::{Absorbed, Interval, UnitFacts, Units, ViewJoin};
use asof_engine::source::admission::FeatureErrors;
use asof_engine::source::{Admission, Fingerprint};
use asof_model::Instant;
use asof_model::plan::Catalog;
use asof_model::spec::View;
use serde::Serialize;

use crate::materialize::{Input, Inputs};
use crate::train::absorb;
use crate::{Progress, Store, StoreError};

/// The one unit that all rows belong to.
const IN_PLACE: &str = "in place";

/// All of event time: what a row outside any label's reach holds is counted too.
const ALL: Interval = Interval { from: Instant::MIN.micros(), until: i64::MAX };

/// What was read of a source in place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SourceRead {
    /// Files of the source; for a query over all rows those of every source that it reads.
    pub files: u64,
    /// Rows read, bad ones included.
    pub rows: u64,
    /// Rows that the condition of the source's query leaves out.
    pub rows_filtered: u64,
    /// Rows left out because their key, event or created can't be read. They are not set aside anywhere.
    pub rows_bad: u64,
    /// The first of them in words: file, row and reason.
    pub first_bad: Option<String>,
    /// Features that could not be read and are ERROR, with a count and the first reason each.
    pub feature_errors: BTreeMap<String, FeatureErrors>,
}

/// The source of one view, to be read in place.
pub(crate) struct InPlace {
    /// Whose files they are, for messages.
    what: String,
    admission: Admission,
    inputs: Vec<(Input, Fingerprint)>,
    /// What the last scan has read.
    pub read: SourceRead,
}

/// The unit of all rows, which carry that many features.
pub(crate) fn units(features: usize) -> Arc<Units> {
    let mut units = Units::default();
    // Nothing that is asked of these rows looks at this instant.
    let visible = Instant::MIN;
    units.add(IN_PLACE, UnitFacts { visible, features, bulk: Vec::new(), replaced: Vec::new() });
    Arc::new(units)
}

impl Store {
    /// Lists and identifies the files of a view's source.
    ///
    /// # Errors
    /// Those of listing and reading files; a column that not one of them has.
    pub(crate) fn in_place(&self, catalog: &Catalog, view: &View) -> Result<InPlace, StoreError> {
        let definitions = &catalog.definitions;
        let unknown = || StoreError::Corrupt(format!("the registry has no source `{}`", view.source));
        let source = definitions.sources.get(&view.source).ok_or_else(unknown)?;
        let keys = definitions.join_keys(view);
        // The rows of a query over all rows are known since its inputs were taken as they are: now (SEMANTICS 1).
        let snapshot = source.meaning().is_some_and(|meaning| !meaning.row_wise) && source.created.is_none();
        let admission = Admission::new(source, &keys, &view.features, Instant::MIN, None)?
            .with_created(snapshot.then(|| self.now()));
        let what = format!("source `{}`", source.name);
        let all = |_: &str| vec![ALL];
        let inputs = match self.query_input(catalog, source)? {
            Some(query) => Inputs::of_query(query, all),
            None => {
                let at = self.project().location(source)?;
                let columns = admission.columns();
                Inputs::read(&what, &at, source.format, self.objects(), columns, all, |_| None)?
            }
        };
        let read = SourceRead { files: inputs.files, ..SourceRead::default() };
        let inputs = inputs.packs.into_iter().flat_map(|pack| pack.files).collect();
        Ok(InPlace { what, admission, inputs, read })
    }
}

impl InPlace {
    /// Reads the files once for the joins at `places`. Returns how many rows came.
    ///
    /// # Errors
    /// Those of reading files, a file that changed since it was identified; [`StoreError::Stopped`].
    pub fn scan(
        &mut self,
        joins: &mut [ViewJoin],
        places: &[usize],
        progress: &dyn Progress,
    ) -> Result<u64, StoreError> {
        let what = format!("read {} in place", self.what);
        loop {
            let bytes = self.inputs.iter().map(|(_, fingerprint)| fingerprint.size).sum();
            progress.begin(&what, "bytes", Some(bytes));
            let rows = self.scan_once(&what, joins, places, progress);
            progress.finish(&what, &format!("{} rows", self.read.rows));
            if let Some(rows) = rows? {
                return Ok(rows);
            }
        }
    }

    /// `None`: the joins need whole rows, and have to be given all rows again.
    fn scan_once(
        &mut self,
        what: &str,
        joins: &mut [ViewJoin],
        places: &[usize],
        progress: &dyn Progress,
    ) -> Result<Option<u64>, StoreError> {
        self.read = SourceRead { files: self.read.files, ..SourceRead::default() };
        let mut rows = 0;
        for (input, _) in &self.inputs {
            for batch in input.open(&self.what, self.admission.columns(), ALL)? {
                if !progress.wanted() {
                    return Err(StoreError::Stopped);
                }
                let raw = batch?;
                let admitted = self.admission.admit(&raw)?;
                self.read.rows += (raw.rows + raw.broken.len()) as u64;
                self.read.rows_filtered += admitted.filtered;
                self.read.rows_bad += admitted.bad.len() as u64;
                if let (None, Some(bad)) = (&self.read.first_bad, admitted.bad.first()) {
                    self.read.first_bad = Some(bad.to_string());
                }
                for (feature, errors) in admitted.feature_errors {
                    let sum = self.read.feature_errors.entry(feature);
                    sum.and_modify(|sum| sum.count += errors.count).or_insert(errors);
                }
                rows += admitted.rows.num_rows() as u64;
                if absorb(joins, places, &with_unit(&admitted.rows)?)? == Absorbed::NeedsWholeRows {
                    return Ok(None);
                }
                progress.advance(what, raw.approximate_bytes());
            }
        }
        // A training set is made of files that stood beside each other.
        for (input, fingerprint) in &self.inputs {
            input.check_unchanged(fingerprint)?;
        }
        Ok(Some(rows))
    }
}

/// Admitted rows as the join takes them: with the name of their unit.
fn with_unit(admitted: &RecordBatch) -> Result<RecordBatch, EngineError> {
    let mut fields = admitted.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(UNIT, DataType::Utf8, false)));
    let mut columns = admitted.columns().to_vec();
    let units: ArrayRef = Arc::new(StringArray::from(vec![IN_PLACE; admitted.num_rows()]));
    columns.push(units);
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
