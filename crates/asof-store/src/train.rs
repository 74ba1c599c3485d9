//! `train`: a label table becomes a training set.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use asof_engine::columns::KeyColumns;
use asof_engine::join::{Absorbed, LabelIndex, ViewAnswer, ViewJoin, ViewReport};
use asof_engine::source;
use asof_engine::training::labels::LABEL_ROWS_MAX;
use asof_engine::training::{LabelTable, OutputColumn, output};
use asof_model::entry::Reading;
use asof_model::plan::Catalog;
use asof_model::{Duration, Instant, KnownAt, Location, ValueType, ViewId};
use asof_offline::Scan;
use futures::TryStreamExt;
use serde::Serialize;

use crate::in_place::{self, InPlace, SourceRead};
use crate::project::writing;
use crate::request::{Naming, PlannedJoin, RequestPlan, Wanted, rule};
use crate::{InPlaceWant, Progress, Store, StoreError};

/// Rows of history read at a time.
const SCAN_ROWS: usize = 32_768;

/// A training set to make.
#[derive(Debug, Clone)]
pub struct TrainRequest {
    /// The label table: Parquet or CSV, one file, a folder, a pattern, or a URL.
    pub labels: PathBuf,
    /// What is asked for.
    pub wanted: Wanted,
    /// Where it goes: `.parquet` or `.csv`.
    pub output: PathBuf,
    /// The label column with the instants.
    pub timestamp: String,
    /// How label times are read: the zone of those without offset, the unit of integers.
    pub reading: Reading,
    /// Names and key columns.
    pub naming: Naming,
    /// What may hide a row.
    pub known_at: KnownAt,
    /// Whether each column is followed by its statuses.
    pub statuses: bool,
    /// Whether values past their ttl are returned.
    pub include_expired: bool,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct TrainReport {
    /// Where it is.
    pub output: PathBuf,
    /// Label rows, all of them.
    pub rows: u64,
    /// Columns, the labels' own included.
    pub columns: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// What may hide a row.
    pub known_at: KnownAt,
    /// For each joined view how it came out.
    pub views: Vec<JoinReport>,
    /// The record of this training set.
    pub record: PathBuf,
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
    /// Rows of history read.
    pub history_rows: u64,
    /// What was read, where the source was read in place. Then `history_rows` are rows of its files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_place: Option<SourceRead>,
    /// Counts of label rows.
    #[serde(flatten)]
    pub labels: ViewReport,
    /// When the first of its rows became visible in this store; `None` where nothing was loaded, or ever is.
    pub first_visible: Option<String>,
    /// Whether a load of the view was ever complete. If not, rows are still to come.
    pub complete: bool,
    /// The last label time.
    pub last_label: Option<String>,
}

/// What a training set says of itself: what depends on how history happens to be stored is left out, so that the same
/// answers are the same bytes.
fn in_file(views: &[JoinReport]) -> String {
    let mut told = serde_json::to_value(views).unwrap_or_default();
    for view in told.as_array_mut().into_iter().flatten().filter_map(|view| view.as_object_mut()) {
        view.shift_remove("history_rows");
    }
    told.to_string()
}

impl Store {
    /// Makes a training set: every label row once, in order, with its columns, then the features.
    ///
    /// # Errors
    /// Everything that can be known is refused before history is read; the output appears whole or not at all.
    pub async fn train(
        &self,
        request: &TrainRequest,
        progress: &dyn Progress,
    ) -> Result<TrainReport, StoreError> {
        let started = std::time::Instant::now();
        let catalog = self.applied_catalog().await?;
        let plan = self.request(&catalog, &request.wanted, &request.naming).await?;
        plan.check_names()?;
        if request.known_at == KnownAt::Served {
            plan.refuse_in_place(InPlaceWant::Served)?;
        }
        let unloaded = |join: &&PlannedJoin| join.journal.entries == 0 && !join.view.in_place;
        if let Some(join) = plan.joins.iter().find(unloaded) {
            return Err(StoreError::NotLoaded { view: join.view.id.clone() });
        }
        output::format_of(&request.output)?;
        self.refuse_input_as_output(&catalog, request)?;
        let labels = LabelTable::read(&self.labels_location(request)?, self.objects(), &request.reading)?;
        let labels = labels.with_time_column(&request.timestamp);
        if labels.len() > LABEL_ROWS_MAX {
            let message = format!(
                "the label table has {} rows, at most {LABEL_ROWS_MAX} are joined at once",
                labels.len()
            );
            return Err(StoreError::Request { message, hint: Some("cut it into several".to_owned()) });
        }
        let names: Vec<(String, String)> = output_names(&plan, request.statuses);
        output::check_names(&labels, names.iter().map(|(name, origin)| (name.as_str(), origin.as_str())))?;
        let times = labels.times(&request.timestamp)?;
        let key_arrays = key_arrays(&plan, |column, value_type| Ok(labels.values(column, value_type)?))?;
        let joined = self
            .join(&catalog, &plan, &key_arrays, &times, request.known_at, request.include_expired, progress)
            .await?;

        let mut columns = Vec::new();
        let mut reports = Vec::new();
        let mut answers: Vec<std::vec::IntoIter<asof_engine::join::FeatureColumn>> = Vec::new();
        for (join, Joined { answer, history_rows, in_place }) in plan.joins.iter().zip(&joined) {
            reports.push(JoinReport {
                view: join.view.id.to_string(),
                prefix: join.prefix.clone(),
                history_rows: *history_rows,
                in_place: in_place.clone(),
                labels: answer.report()?,
                complete: join.journal.is_active() || join.view.in_place,
                first_visible: first_visible(join).map(|at| at.to_string()),
                last_label: times.iter().max().and_then(|t| Instant::from_micros(*t)).map(|t| t.to_string()),
            });
            answers.push(answer.columns()?.into_iter());
        }
        for column in &plan.columns {
            // A join's columns stand in the plan in the order of its features, one for each.
            let Some(answer) = answers[column.join].next() else { continue };
            let origin = plan.origin(column);
            let statuses: StringArray = answer.statuses.iter().map(|status| Some(status.as_str())).collect();
            columns.push(OutputColumn {
                name: column.name.clone(),
                origin: origin.clone(),
                value_type: answer.feature.value_type,
                values: answer.values,
            });
            if request.statuses {
                columns.push(OutputColumn {
                    name: status_name(&column.name),
                    origin: format!("the status of {origin}"),
                    value_type: ValueType::String,
                    values: Arc::new(statuses),
                });
            }
        }
        let mut report = TrainReport {
            output: request.output.clone(),
            rows: labels.len() as u64,
            columns: (labels.rows().num_columns() + columns.len()) as u64,
            bytes: 0,
            known_at: request.known_at,
            views: reports,
            record: self.project().training_path(),
            seconds: 0.0,
        };
        let notes = [("asof.report".to_owned(), in_file(&report.views))];
        report.bytes = output::write(&request.output, &labels, &columns, &notes)?;
        report.seconds = started.elapsed().as_secs_f64();
        report.record = self.record_training(&report)?;
        Ok(report)
    }

    /// Refuses an output that would replace the labels or a source, or be read as one later.
    fn refuse_input_as_output(&self, catalog: &Catalog, request: &TrainRequest) -> Result<(), StoreError> {
        let folder = request.output.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(std::path::Path::new(".")).canonicalize();
        // A folder that is not there holds no input; writing will say so.
        let (Ok(folder), Some(name)) = (folder, request.output.file_name()) else { return Ok(()) };
        let output = folder.join(name).canonicalize().unwrap_or(folder.join(name));
        let mut inputs = vec![("the label table".to_owned(), self.labels_location(request)?)];
        for source in catalog.definitions.sources.values().filter(|source| !source.path.is_empty()) {
            inputs.push((format!("source `{}`", source.name), self.project().location(source)?));
        }
        for (what, at) in inputs {
            if source::holds(&at, &output) {
                let message = format!(
                    "the output `{}` would stand among the files of {what}",
                    request.output.display()
                );
                let hint = Some("write the training set somewhere else".to_owned());
                return Err(StoreError::Request { message, hint });
            }
        }
        Ok(())
    }

    /// The label table: a path of the current folder, or a URL.
    fn labels_location(&self, request: &TrainRequest) -> Result<Location, StoreError> {
        let Some(text) = request.labels.to_str() else { return Ok(Location::Local(request.labels.clone())) };
        Location::parse(text, Path::new("")).map_err(|error| StoreError::Request {
            message: format!("labels: {error}"),
            hint: Some(error.hint()),
        })
    }

    /// Keeps what is known of a training set.
    fn record_training(&self, report: &TrainReport) -> Result<PathBuf, StoreError> {
        let folder = self.project().training_path();
        let name =
            report.output.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let at = self.now().to_string().replace([':', '.'], "-");
        let path = folder.join(format!("{at}-{name}.json"));
        let text = serde_json::to_vec_pretty(report).unwrap_or_default();
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| writing(&path, error))?;
        Ok(path)
    }

    /// Joins every view of a plan to label rows.
    ///
    /// - `keys`: for each key column of the plan its values
    /// - `times`: the labels' instants, microseconds
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one request, which training and history reads share"
    )]
    pub(crate) async fn join(
        &self,
        catalog: &Catalog,
        plan: &RequestPlan,
        keys: &BTreeMap<String, ArrayRef>,
        times: &[i64],
        known_at: KnownAt,
        include_expired: bool,
        progress: &dyn Progress,
    ) -> Result<Vec<Joined>, StoreError> {
        let mut indexes: HashMap<Vec<&str>, Arc<LabelIndex>> = HashMap::new();
        let mut joins: Vec<ViewJoin> = Vec::new();
        for join in &plan.joins {
            let columns: Vec<&str> = join.keys.iter().map(|(_, column)| column.as_str()).collect();
            let index = indexes.entry(columns).or_insert_with(|| {
                // Every key column of a join is a key column of its plan.
                let arrays =
                    join.keys.iter().filter_map(|(key, column)| Some((keys.get(column)?, key.value_type)));
                Arc::new(LabelIndex::new(&KeyColumns::new(arrays.collect()), times))
            });
            let join_keys = catalog.definitions.join_keys(&join.view);
            let rule = rule(&join.view, known_at, include_expired);
            let features = &join.view.features;
            let (index, units) = (index.clone(), join.journal.units.clone());
            joins.push(match join.view.in_place {
                false => ViewJoin::new(index, rule, &join_keys, features, &join.asked, units),
                true => {
                    let units = in_place::units(features.len());
                    ViewJoin::new(index, rule, &join_keys, features, &join.asked, units).without_served()
                }
            });
        }
        let mut sources: HashMap<ViewId, InPlace> = HashMap::new();
        for view in plan.joins.iter().map(|join| &join.view).filter(|view| view.in_place) {
            if !sources.contains_key(&view.id) {
                sources.insert(view.id.clone(), self.in_place(catalog, view)?);
            }
        }
        let mut rows_read: HashMap<ViewId, u64> = HashMap::new();
        let mut done: HashSet<ViewId> = HashSet::new();
        for join in &plan.joins {
            if done.insert(join.view.id.clone()) {
                // Every join of one view shares one scan.
                let of_view: Vec<usize> =
                    (0..joins.len()).filter(|place| plan.joins[*place].view.id == join.view.id).collect();
                let read = match sources.get_mut(&join.view.id) {
                    Some(source) => source.scan(&mut joins, &of_view, progress)?,
                    None => self.scan_view(join, &mut joins, &of_view, times, progress).await?,
                };
                rows_read.insert(join.view.id.clone(), read);
            }
        }
        let mut answers = Vec::with_capacity(joins.len());
        for (place, join) in plan.joins.iter().enumerate() {
            let answer = match joins[place].finish(times)? {
                Some(answer) => answer,
                None => {
                    joins[place].whole_rows();
                    match sources.get_mut(&join.view.id) {
                        Some(source) => source.scan(&mut joins, &[place], progress)?,
                        None => self.scan_view(join, &mut joins, &[place], times, progress).await?,
                    };
                    let undecided = || StoreError::Corrupt("whole rows cannot be ranked".to_owned());
                    joins[place].finish(times)?.ok_or_else(undecided)?
                }
            };
            answers.push(Joined {
                answer,
                history_rows: rows_read.get(&join.view.id).copied().unwrap_or(0),
                in_place: sources.get(&join.view.id).map(|source| source.read.clone()),
            });
        }
        Ok(answers)
    }

    /// Reads the history of a view once for the joins at `places`. Returns how many rows came.
    async fn scan_view(
        &self,
        join: &PlannedJoin,
        joins: &mut [ViewJoin],
        places: &[usize],
        times: &[i64],
        progress: &dyn Progress,
    ) -> Result<u64, StoreError> {
        if join.journal.units.is_empty() {
            return Ok(0);
        }
        let Some(table) = self.offline().await?.existing_table(&join.table).await? else {
            let path = self.project().history_path().join(&join.table);
            let units = join.journal.row_units.len();
            return Err(StoreError::HistoryLost { view: join.view.id.clone(), missing: units, units, path });
        };
        let there = table.units()?;
        let published = &join.journal.row_units;
        let missing = published.keys().filter(|unit| !there.contains(*unit)).count();
        if missing > 0 {
            let path = self.project().history_path().join(&join.table);
            return Err(StoreError::HistoryLost {
                view: join.view.id.clone(),
                missing,
                units: published.len(),
                path,
            });
        }
        let first = times.iter().min().and_then(|t| Instant::from_micros(*t));
        if let (Some(cut), Some(label)) = (table.cut()?, first)
            && label < cut
        {
            return Err(StoreError::HistoryCut { view: join.view.id.clone(), cut, label });
        }
        'again: loop {
            let mut columns: Vec<String> = places.iter().flat_map(|place| joins[*place].columns()).collect();
            columns.sort();
            columns.dedup();
            let mut scan = Scan::of(columns);
            scan.event_until = times.iter().max().and_then(|t| Instant::from_micros(*t));
            scan.event_from = oldest_of_use(join.view.keep, times);
            scan.batch_rows = SCAN_ROWS;
            let total: u64 = table.files_to_read(&scan)?.iter().map(|file| file.rows).sum();
            let what = format!("join {}", join.view.id);
            progress.begin(&what, "rows", Some(total));
            let mut rows = 0;
            let mut batches = table.scan(scan);
            while let Some(batch) = batches.try_next().await? {
                rows += batch.num_rows() as u64;
                if absorb(joins, places, &batch)? == Absorbed::NeedsWholeRows {
                    continue 'again;
                }
                progress.advance(&what, batch.num_rows() as u64);
            }
            progress.finish(&what, &format!("{rows} rows"));
            return Ok(rows);
        }
    }
}

/// One join of a plan, answered.
pub(crate) struct Joined {
    /// Its values.
    pub answer: ViewAnswer,
    /// Rows that were read.
    pub history_rows: u64,
    /// What was read, where the view reads its source in place.
    pub in_place: Option<SourceRead>,
}

/// Gives a batch to the joins at `places`. Where one of them needs whole rows, all of them start again with those.
pub(crate) fn absorb(
    joins: &mut [ViewJoin],
    places: &[usize],
    batch: &RecordBatch,
) -> Result<Absorbed, StoreError> {
    for place in places {
        if joins[*place].absorb(batch)? == Absorbed::NeedsWholeRows {
            for place in places {
                joins[*place].whole_rows();
            }
            return Ok(Absorbed::NeedsWholeRows);
        }
    }
    Ok(Absorbed::Taken)
}

/// Rows with an event before this are MISSING for every label.
fn oldest_of_use(keep: Option<Duration>, times: &[i64]) -> Option<Instant> {
    let first = times.iter().min().and_then(|t| Instant::from_micros(*t))?;
    Some(first.minus(keep?))
}

fn first_visible(join: &PlannedJoin) -> Option<Instant> {
    let units = &join.journal.units;
    (0..units.len()).map(|number| units.facts(number as u32).visible).min()
}

/// The values of each key column of a plan.
pub(crate) fn key_arrays(
    plan: &RequestPlan,
    values: impl Fn(&str, ValueType) -> Result<ArrayRef, StoreError>,
) -> Result<BTreeMap<String, ArrayRef>, StoreError> {
    let array =
        |(column, value_type): &(String, ValueType)| Ok((column.clone(), values(column, *value_type)?));
    plan.key_columns.iter().map(array).collect()
}

fn status_name(column: &str) -> String {
    format!("{column}__status")
}

/// The names that the output adds, with where they come from.
fn output_names(plan: &RequestPlan, statuses: bool) -> Vec<(String, String)> {
    let mut names = Vec::new();
    for column in &plan.columns {
        let origin = plan.origin(column);
        if statuses {
            names.push((status_name(&column.name), format!("the status of {origin}")));
        }
        names.push((column.name.clone(), origin));
    }
    names
}
