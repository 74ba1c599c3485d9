//! `train`: a label table becomes a training set.
//!
//! `labels` says where label rows come from, [`histories`] what is read of each view and how it is joined, `output` where
//! rows go; the work itself is that of `asof-training`.

pub(crate) mod histories;
mod labels;
mod output;
mod report;

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;

use asof_engine::Progress;
use asof_model::entry::Reading;
use asof_model::{Instant, KnownAt};
pub use asof_training::explain::Explained;
use asof_training::join::{Resources, join};
use asof_training::labels::Labels;
use asof_training::memory::Memory;
use asof_training::output::{OutputSpec, Writing, check_names, write};
use asof_training::{Scratch, TrainingError};

use crate::project::writing;
use crate::request::{Naming, PlannedJoin, RequestPlan, Wanted};
use crate::{InPlaceWant, Store, StoreError};
use histories::{Asked, Histories};

pub use asof_training::output::Compression;
pub use asof_training::output::folder::WrittenFile;
pub use asof_training::output::spec::{ParquetOptions, ROW_GROUP_ROWS};
pub use asof_training::output::statistics::{ColumnStatistics, Told};
pub use labels::LabelRows;
pub(crate) use output::location;
pub use output::{FolderRequest, SplitRequest};
pub use report::{JoinReport, TrainReport};

/// A training set to make.
#[derive(Debug, Clone)]
pub struct TrainRequest {
    /// The label table.
    pub labels: LabelRows,
    /// What is asked for.
    pub wanted: Wanted,
    /// Where it goes: a file, `.parquet` or `.csv`, or a folder of Parquet files; a path or a URL.
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
    /// Which rows stand in which file of a folder.
    pub folder: FolderRequest,
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
            folder: FolderRequest::default(),
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
        match self.settle_pushed().await {
            // Whoever holds the online store brings what was pushed into history.
            Err(error) if error.is_held() => {}
            settled => settled?,
        }
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
        let spec = output::spec(request, &plan)?;
        self.refuse_input_as_output(&catalog, request, &spec)?;
        let asked = Asked {
            known_at: request.known_at,
            include_expired: request.include_expired,
            statuses: request.statuses,
            events: false,
            time: request.timestamp.clone(),
            known: request.options.known_at_column.clone(),
            request: plan.on_demand.request_columns(),
            resources: self.resources(&request.options),
        };
        let scratch = Scratch::new(&asked.resources.scratch);
        let labels = blocking(|| self.open_labels(&catalog, request, &spec, &scratch, progress))?;
        let origins = spec.columns.iter().map(|column| (column.name.as_str(), column.origin.as_str()));
        let schema = labels.schema();
        check_names(&schema, origins)?;
        plan.check_request_columns(schema.fields().iter().map(|field| field.name().as_str()))?;
        let histories = self.histories(&catalog, &plan, asked).await?;
        blocking(|| {
            self.make(request, &plan, &histories, labels.as_ref(), &spec, &scratch, started, progress)
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one request, each made by another room")]
    fn make(
        &self,
        request: &TrainRequest,
        plan: &RequestPlan,
        histories: &Histories,
        labels: &dyn Labels,
        output: &OutputSpec,
        scratch: &Scratch,
        started: std::time::Instant,
        progress: &dyn Progress,
    ) -> Result<TrainReport, StoreError> {
        let spec = &histories.spec;
        let held = AtomicU64::new(0);
        let explained = |error| histories.explain(error);
        let joined = join(spec, labels, scratch, &held, progress).map_err(explained)?;
        let views = || histories.reports(plan, &joined);
        let notes = || vec![("asof.report".to_owned(), report::in_file(&views()))];
        let threads = spec.resources.threads;
        let with = Writing { scratch, objects: self.objects(), threads, progress };
        let written = write(&joined, labels, output, with, &notes).map_err(explained)?;
        let mut told: Option<Explained> = request.options.explain.then(|| joined.explained.clone());
        if let Some(told) = &mut told {
            told.finish(scratch.written(), started.elapsed());
        }
        let mut report = TrainReport {
            output: request.output.clone(),
            rows: joined.labels(),
            columns: written.columns,
            bytes: written.bytes,
            files: written.files,
            known_at: request.known_at,
            views: views(),
            statistics: written.statistics,
            record: self.project().training_path(),
            explained: told,
            seconds: started.elapsed().as_secs_f64(),
        };
        if let Some(statistics) = &report.statistics {
            self.write_statistics(&output.at, statistics)?;
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
