//! `materialize`: source rows become history, and the latest of them becomes the online store.
//!
//! One unit at a time: its rows are committed to history in one commit that names it; then rows, fold position and
//! stamp enter the online store in one atomic batch; then the stamp is copied beside history. A unit's name is drawn
//! from what it was made of, so a run that was killed at any point and is run again finds what is done and goes on.
//!
//! [`inputs`] says what is read and names the units, [`loading`] reads and cuts, [`unit`] publishes one unit, [`recover`] finishes what a killed run
//! left half done and rebuilds a lost online store, [`quarantine`] keeps the rows set aside.

mod inputs;
mod loading;
mod quarantine;
mod recover;
mod unit;

use std::collections::BTreeMap;
use std::path::PathBuf;

use asof_engine::join::Interval;
use asof_engine::source::admission::FeatureErrors;
use asof_engine::source::{self, Admission};
use asof_model::name::ViewRef;
use asof_model::plan::Catalog;
use asof_model::spec::View;
use asof_model::{Instant, ViewId};
use serde::Serialize;

use crate::journal::Note;
use crate::{Progress, Store, StoreError, catalog};
use inputs::Inputs;
use loading::Loading;
pub(crate) use unit::copy_stamps;

/// What to materialise.
#[derive(Debug, Clone, Default)]
pub struct MaterializeRequest {
    /// Views by name with or without version; empty: every version of every view.
    pub views: Vec<String>,
    /// Events from this instant on. `None`: from the beginning.
    pub start: Option<Instant>,
    /// Events before this instant. `None`: to the end.
    pub end: Option<Instant>,
}

/// What came of one view.
#[derive(Debug, Clone, Serialize)]
pub struct ViewLoad {
    /// The view.
    pub view: String,
    /// Files of the source.
    pub files: u64,
    /// Of those, files whose rows were all published before and that were not read again.
    pub files_known: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Rows read.
    pub rows_read: u64,
    /// Rows written to history in this run.
    pub rows_written: u64,
    /// Rows that became the latest of their key, or wait to.
    pub rows_online: u64,
    /// Rows whose event lies outside the asked range.
    pub rows_outside: u64,
    /// Rows set aside.
    pub rows_bad: u64,
    /// Where they are.
    pub quarantine: Option<PathBuf>,
    /// Features that could not be read, with a count and the first reason each.
    pub feature_errors: BTreeMap<String, FeatureErrors>,
    /// Rows with equal instants and other values, where the source names no created column.
    pub conflicts: u64,
    /// Rows that wait for their instant: the most that one unit left waiting under the keys that it touched.
    pub waiting: u64,
    /// Of those, rows in overflow records.
    pub waiting_overflowed: u64,
    /// Units of an earlier run that were found half done and finished.
    pub units_recovered: u64,
    /// Units that were there already.
    pub units_already: u64,
    /// Units published in this run.
    pub units_published: u64,
    /// Whether every file was published before, so that there was nothing to do.
    pub unchanged: bool,
    /// Seconds it took.
    pub seconds: f64,
}

impl Store {
    /// Loads the rows of the views' sources in `[start, end)` of event time.
    ///
    /// Safe to kill at any point and to run again: it ends in the same state.
    ///
    /// # Errors
    /// The first failure; what was published until then stays, and a run after it goes on from there. Rows that can't
    /// be read are no failure: they are set aside and counted.
    pub async fn materialize(
        &self,
        request: &MaterializeRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<ViewLoad>, StoreError> {
        if let (Some(start), Some(end)) = (request.start, request.end)
            && start >= end
        {
            let message = format!("the range is empty: start {start} is not before end {end}");
            return Err(StoreError::Request {
                message,
                hint: Some("the end itself is not part of the range".to_owned()),
            });
        }
        let catalog = self.applied_catalog().await?;
        let mut loads = Vec::new();
        for view in selected(&catalog, &request.views)? {
            loads.push(self.load_view(&catalog, view, request, progress).await?);
        }
        Ok(loads)
    }

    async fn load_view(
        &self,
        catalog: &Catalog,
        view: &View,
        request: &MaterializeRequest,
        progress: &dyn Progress,
    ) -> Result<ViewLoad, StoreError> {
        let started = std::time::Instant::now();
        let definitions = &catalog.definitions;
        let source = definitions.sources.get(&view.source).ok_or_else(|| missing("source", &view.source))?;
        let keys = definitions.join_keys(view);
        let range = Interval {
            from: request.start.unwrap_or(Instant::MIN).micros(),
            until: request.end.map_or(i64::MAX, Instant::micros),
        };
        let mut target = self.open_target(catalog, view).await?;
        let mut load = ViewLoad::new(&view.id);
        load.units_recovered = recover::finish_units(self, &mut target).await?;
        let journal = target.journal().await?;

        let what = format!("source `{}`", source.name);
        let path = self.project().resolve(&source.path);
        let known = |hash: &str| journal.has_file(hash, target.semantic_hash(), range);
        let inputs = Inputs::read(&what, &path, source.format, known)?;
        (load.files, load.files_known, load.bytes) = (inputs.files, inputs.files_known, inputs.bytes());
        let features = view.features.len();
        if inputs.packs.is_empty() && journal.has_loaded(features, range) {
            load.unchanged = true;
        } else {
            progress.begin(&view.id.to_string(), "bytes", Some(load.bytes));
            let admission = Admission::new(source, &keys, &view.features, instant(range.from), request.end);
            let note = Note::Rows { features, bulk: journal.uncovered(range, features) };
            let folder = self.project().quarantine_path().join(target.table_name());
            let mut loading =
                Loading::new(&mut target, what, admission, range, note, folder, &mut load, progress);
            for pack in &inputs.packs {
                loading.read_pack(pack).await?;
            }
            load.quarantine = loading.quarantined();
            let note = Note::Load { features, from: range.from, until: range.until };
            target.mark(&note).await?;
            progress.finish(&format!("{} rows", load.rows_read));
        }
        load.seconds = started.elapsed().as_secs_f64();
        Ok(load)
    }
}

impl ViewLoad {
    fn new(view: &ViewId) -> Self {
        Self {
            view: view.to_string(),
            files: 0,
            files_known: 0,
            bytes: 0,
            rows_read: 0,
            rows_written: 0,
            rows_online: 0,
            rows_outside: 0,
            rows_bad: 0,
            quarantine: None,
            feature_errors: BTreeMap::new(),
            conflicts: 0,
            waiting: 0,
            waiting_overflowed: 0,
            units_recovered: 0,
            units_already: 0,
            units_published: 0,
            unchanged: false,
            seconds: 0.0,
        }
    }

    fn count(&mut self, raw: &source::RawBatch, admitted: &source::Admitted) {
        self.rows_read += (raw.rows + raw.broken.len()) as u64;
        self.rows_bad += admitted.bad.len() as u64;
        self.rows_outside += admitted.outside;
        for (feature, errors) in &admitted.feature_errors {
            let sum = self.feature_errors.entry(feature.clone());
            sum.and_modify(|sum| sum.count += errors.count).or_insert_with(|| errors.clone());
        }
    }
}

/// The views that names mean: each version of a bare name, or all.
fn selected<'a>(catalog: &'a Catalog, names: &[String]) -> Result<Vec<&'a View>, StoreError> {
    let views = &catalog.definitions.views;
    if names.is_empty() {
        return Ok(views.values().collect());
    }
    let mut found: Vec<&View> = Vec::new();
    for name in names {
        let wanted = view_ref(name)?;
        // Refuses an unknown name with the nearest one.
        catalog::find_view(catalog, &wanted, |_| true)?;
        let matches = |view: &&View| {
            view.id.name == wanted.name && wanted.version.is_none_or(|version| version == view.id.version)
        };
        for view in views.values().filter(matches) {
            if !found.iter().any(|each| each.id == view.id) {
                found.push(view);
            }
        }
    }
    Ok(found)
}

pub(crate) fn view_ref(name: &str) -> Result<ViewRef, StoreError> {
    ViewRef::parse(name).ok_or_else(|| StoreError::Request {
        message: format!("`{name}` is not the name of a view"),
        hint: Some("write `view` or `view@2`".to_owned()),
    })
}

fn missing(kind: &str, name: &str) -> StoreError {
    StoreError::Corrupt(format!("the registry has no {kind} `{name}`, which a view names"))
}

fn instant(micros: i64) -> Instant {
    Instant::from_micros_clamped(micros)
}
