//! `train`: a label table becomes a training set.
//!
//! [`histories`] says what is read of each view, and how it is joined; the work itself is that of `asof-training`.

pub(crate) mod histories;
mod report;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use asof_engine::Progress;
use asof_engine::source;
use asof_model::entry::Reading;
use asof_model::plan::Catalog;
use asof_model::spec::FileFormat;
use asof_model::{Instant, KnownAt, Location};
pub use asof_training::explain::Explained;
use asof_training::join::{Resources, join};
use asof_training::labels::{self, Labels};
use asof_training::memory::Memory;
use asof_training::output::{self, OutputColumn, OutputFormat, OutputSpec, What};
use asof_training::{Scratch, TrainingError};

use crate::project::writing;
use crate::request::{Naming, PlannedJoin, RequestPlan, Wanted};
use crate::{InPlaceWant, Store, StoreError};
use histories::{Asked, Histories};

pub use asof_training::output::Compression;
pub use asof_training::output::spec::{ParquetOptions, ROW_GROUP_ROWS};
pub use asof_training::output::statistics::{ColumnStatistics, Told};
pub use report::{JoinReport, TrainReport};

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
    /// What has a default.
    pub options: TrainOptions,
}

/// What a training set takes and how it is written, with defaults for all of it.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// The label column with the instants of knowledge. `None`: they are the label times.
    pub known_at_column: Option<String>,
    /// Bytes of memory to stay within. `None`: half of what the machine has.
    pub memory: Option<u64>,
    /// Threads to work on. `None`: one for each core.
    pub threads: Option<usize>,
    /// How a Parquet file is laid out.
    pub parquet: ParquetOptions,
    /// Whether it is told what each column holds.
    pub statistics: bool,
    /// Whether it is told how the work was done.
    pub explain: bool,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            known_at_column: None,
            memory: None,
            threads: None,
            parquet: ParquetOptions::default(),
            statistics: true,
            explain: false,
        }
    }
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
        check_known_at_column(request)?;
        let unloaded = |join: &&PlannedJoin| join.journal.entries == 0 && !join.view.in_place;
        if let Some(join) = plan.joins.iter().find(unloaded) {
            return Err(StoreError::NotLoaded { view: join.view.id.clone() });
        }
        let format = output::format_of(&request.output)?;
        self.refuse_input_as_output(&catalog, request)?;
        let asked = Asked {
            known_at: request.known_at,
            include_expired: request.include_expired,
            statuses: request.statuses,
            events: false,
            time: request.timestamp.clone(),
            known: request.options.known_at_column.clone(),
            resources: self.resources(&request.options),
        };
        let at = self.labels_location(request)?;
        let typed = format == FileFormat::Parquet;
        let labels = labels::open(&at, self.objects(), &request.reading, &request.timestamp, typed)?;
        let spec = OutputSpec {
            path: request.output.clone(),
            format: match format {
                FileFormat::Parquet => OutputFormat::Parquet(request.options.parquet),
                _ => OutputFormat::Csv,
            },
            columns: output_columns(&plan, request.statuses),
            statistics: request.options.statistics,
        };
        let origins = spec.columns.iter().map(|column| (column.name.as_str(), column.origin.as_str()));
        output::check_names(&labels.schema(), origins)?;
        let histories = self.histories(&catalog, &plan, asked).await?;
        blocking(|| self.make(request, &plan, &histories, labels.as_ref(), &spec, started, progress))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one request, each made by another room")]
    fn make(
        &self,
        request: &TrainRequest,
        plan: &RequestPlan,
        histories: &Histories,
        labels: &dyn Labels,
        output: &OutputSpec,
        started: std::time::Instant,
        progress: &dyn Progress,
    ) -> Result<TrainReport, StoreError> {
        let spec = &histories.spec;
        let scratch = Scratch::new(&spec.resources.scratch);
        let held = AtomicU64::new(0);
        let explained = |error| histories.explain(error);
        let joined = join(spec, labels, &scratch, &held, progress).map_err(explained)?;
        let views = || histories.reports(plan, &joined);
        let notes = || vec![("asof.report".to_owned(), report::in_file(&views()))];
        let threads = spec.resources.threads;
        let written = output::write(&joined, labels, output, &scratch, threads, progress, &notes);
        let written = written.map_err(explained)?;
        let mut told: Option<Explained> = request.options.explain.then(|| joined.explained.clone());
        if let Some(told) = &mut told {
            told.finish(scratch.written(), started.elapsed());
        }
        let mut report = TrainReport {
            output: request.output.clone(),
            rows: joined.labels(),
            columns: written.columns,
            bytes: written.bytes,
            known_at: request.known_at,
            views: views(),
            statistics: written.statistics,
            record: self.project().training_path(),
            explained: told,
            seconds: started.elapsed().as_secs_f64(),
        };
        if let Some(statistics) = &report.statistics {
            report::write_statistics(&request.output, statistics)?;
        }
        report.record = self.record_training(&report)?;
        Ok(report)
    }

    /// What a join may take.
    pub(crate) fn resources(&self, options: &TrainOptions) -> Resources {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        Resources {
            memory: options.memory.map_or_else(Memory::of_machine, Memory::new),
            threads: options.threads.unwrap_or_else(cores),
            scratch: self.project().scratch_path(),
        }
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
        // What columns hold stands beside the output: bounds are values of somebody, who may want to be forgotten.
        let kept = TrainReport { statistics: None, ..report.clone() };
        let text = serde_json::to_vec_pretty(&kept).unwrap_or_default();
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| writing(&path, error))?;
        Ok(path)
    }
}

/// Runs work that blocks its thread, without keeping others from theirs where there are several.
pub(crate) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Refuses instants of knowledge that would make no difference.
fn check_known_at_column(request: &TrainRequest) -> Result<(), StoreError> {
    match &request.options.known_at_column {
        Some(column) if request.known_at == KnownAt::Event => Err(StoreError::Request {
            message: format!(
                "`{column}` says when labels know, and `known_at: event` does not ask what was known"
            ),
            hint: Some("ask for `--known-at created` or `--known-at served` with it".to_owned()),
        }),
        _ => Ok(()),
    }
}

/// The columns beside the labels'.
fn output_columns(plan: &RequestPlan, statuses: bool) -> Vec<OutputColumn> {
    let mut columns = Vec::new();
    for column in &plan.columns {
        let origin = plan.origin(column);
        let of = |name: String, origin: String, what: What| OutputColumn {
            name,
            origin,
            view: column.join,
            feature: column.feature,
            value_type: plan.feature(column).value_type,
            what,
        };
        columns.push(of(column.name.clone(), origin.clone(), What::Values));
        if statuses {
            let name = format!("{}__status", column.name);
            columns.push(of(name, format!("the status of {origin}"), What::Statuses));
        }
    }
    columns
}

impl From<TrainingError> for StoreError {
    fn from(error: TrainingError) -> Self {
        match error {
            TrainingError::Engine(error) => Self::Engine(error),
            TrainingError::Stopped => Self::Stopped,
            error => Self::Training(error),
        }
    }
}

/// The instant of a count of microseconds.
pub(crate) fn instant(micros: i64) -> Instant {
    Instant::from_micros_clamped(micros)
}
