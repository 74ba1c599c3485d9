//! A query over the files of sources, run: its rows as raw batches.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use asof_model::ValueType;
use asof_model::spec::Source;
use asof_model::transform::Meaning;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::{Expr, LogicalPlan, ident};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;
use sqlparser::ast::Ident;

use super::plan::{Planner, Tables, built};
use super::relation::{Relation, flag_name, mark_name, value_name};
use super::scan::{BrokenRows, SourceRows};
use crate::EngineError;
use crate::source::raw::{Form, Places, RawColumn, normalise};
use crate::source::{RAW_BATCH_ROWS, RawBatch, RawBatches, WantedColumn};
use crate::transform::error::TransformError;
use crate::transform::table::{KnownColumn, SourceColumns};
use crate::transform::{OWN, syntax};

/// Bytes that the operators of one query may hold in memory; what is more is spilled to disk, or refused.
pub const QUERY_MEMORY_BYTES: usize = 1 << 30;

/// Bytes that one query may spill.
pub const QUERY_SPILL_BYTES: u64 = 100 << 30;

/// Threads that run one query.
const QUERY_THREADS_MAX: usize = 16;

/// Batches that wait to be taken.
const WAITING_BATCHES: usize = 2;

/// Before the name of a column: the marks of its errors.
pub(crate) const MARKS_OF: &str = "__errors of ";

/// The column of reasons why rows are bad.
pub(crate) const BAD: &str = "__bad";

/// A query that is ready to be run over the files of the sources it reads.
pub struct QueryRun<'a> {
    /// The source whose query it is.
    pub source: &'a Source,
    /// By name, every source that it reads.
    pub rows: BTreeMap<String, SourceRows>,
    /// A folder that does not exist; it is made for what is spilled, and removed afterwards.
    pub scratch: PathBuf,
}

impl QueryRun<'_> {
    /// The columns that the query gives, in its order.
    ///
    /// # Errors
    /// [`EngineError::Transform`].
    pub fn columns(&self) -> Result<Vec<(String, ValueType)>, EngineError> {
        let (_, relation) = self.planned(1, &BrokenRows::default())?;
        let shown = relation.columns.into_iter().filter(|column| !column.hidden);
        Ok(shown.map(|column| (column.name, column.value_type)).collect())
    }

    fn failed(&self, reason: String) -> EngineError {
        EngineError::Transform { source_name: self.source.name.clone(), reason }
    }

    fn planned(&self, threads: usize, broken: &BrokenRows) -> Result<(LogicalPlan, Relation), EngineError> {
        let Some((sql, meaning)) =
            self.source.transform.as_ref().and_then(|each| Some((&each.sql, each.meaning.as_ref()?)))
        else {
            return Err(self.failed("it was never applied".to_owned()));
        };
        let query = syntax::parse(sql).map_err(|error| self.failed(error.to_string()))?;
        let mut tables = Files { run: self, meaning, threads, broken: broken.clone() };
        let mut planner = Planner::new(sql, &self.source.name, &mut tables);
        planner.finished(&query).map_err(|error| self.failed(error.to_string()))
    }

    /// The rows, in an order that depends on them alone: the wanted columns, each of which is one that the query gives,
    /// the marks of one, or the reasons why rows are bad. Rows of files that could not be split come last.
    ///
    /// # Errors
    /// [`EngineError::Transform`]; the iterator ends after its first error.
    pub fn open(self, wanted: &[WantedColumn]) -> Result<RawBatches, EngineError> {
        let threads =
            std::thread::available_parallelism().map_or(1, NonZeroUsize::get).min(QUERY_THREADS_MAX);
        let broken = BrokenRows::default();
        let (plan, relation) = self.planned(threads, &broken)?;
        let failed = |reason: String| self.failed(reason);
        let mut exprs: Vec<Expr> = Vec::new();
        for column in wanted {
            let name = column.name.strip_prefix(MARKS_OF).unwrap_or(&column.name);
            let marks = column.name.starts_with(MARKS_OF);
            let found = relation.columns.iter().find(|column| column.name == name);
            let expr = match (found, marks) {
                _ if column.name == BAD => relation.flag.map(|id| ident(flag_name(id))),
                (Some(found), false) => Some(ident(value_name(found.id))),
                (Some(found), true) => found.mark().map(|_| ident(mark_name(found.id))),
                (None, _) => return Err(failed(format!("it gives no column `{name}`"))),
            };
            let none = datafusion::logical_expr::lit(datafusion::scalar::ScalarValue::Null);
            exprs.push(expr.unwrap_or(none).alias(&column.name));
        }
        let plan = built(plan, |plan| plan.project(exprs)).map_err(|error| failed(error.to_string()))?;
        let (send, receive) = sync_channel(WAITING_BATCHES);
        let job = Job {
            plan,
            threads,
            scratch: self.scratch.clone(),
            file: Path::new(&format!("sql of source `{}`", self.source.name)).into(),
            source: self.source.name.clone(),
            names: wanted.iter().map(|column| column.name.clone()).collect(),
            broken,
        };
        let thread = std::thread::Builder::new().name("query".to_owned()).spawn(move || job.run(&send));
        thread.map_err(|error| failed(format!("a thread could not be started: {error}")))?;
        Ok(Box::new(Received { receive, done: false }))
    }
}

/// The sources of a query, with the types that were recorded.
struct Files<'a, 'r> {
    run: &'a QueryRun<'r>,
    meaning: &'a Meaning,
    threads: usize,
    broken: BrokenRows,
}

impl Tables for Files<'_, '_> {
    fn columns(&mut self, name: &Ident) -> syntax::Result<(String, SourceColumns)> {
        let source = match name.value.eq_ignore_ascii_case(OWN) {
            true => self.run.source.name.clone(),
            false => name.value.clone(),
        };
        let types = self.meaning.inputs.get(&source).into_iter().flatten();
        let known = types.map(|(name, of)| KnownColumn { name: name.clone(), value_type: Ok(*of) });
        Ok((source, SourceColumns { columns: known.collect(), complete: true }))
    }

    fn rows(
        &mut self,
        source: &str,
        columns: &[(String, ValueType)],
        schema: SchemaRef,
    ) -> syntax::Result<Arc<dyn TableProvider>> {
        let plain =
            |message: String| TransformError { message, place: None, hint: None, unknown_column: false };
        let Some(rows) = self.run.rows.get(source) else {
            return Err(plain(format!("source `{source}` is not there")));
        };
        let table = rows.table(columns, schema, self.threads, &self.broken);
        Ok(Arc::new(table.map_err(|error| plain(error.to_string()))?))
    }
}

/// A plan that runs in a thread of its own.
struct Job {
    plan: LogicalPlan,
    threads: usize,
    scratch: PathBuf,
    file: Arc<Path>,
    source: String,
    names: Vec<String>,
    broken: BrokenRows,
}

type Sender = SyncSender<Result<RawBatch, EngineError>>;

impl Job {
    fn run(self, send: &Sender) {
        let ran = self.stream(send);
        // A folder that was never made is gone already; one that can't be removed hurts nobody.
        let _ = std::fs::remove_dir_all(&self.scratch);
        if let Err(error) = ran {
            // Nobody may listen any more.
            let _ = send.send(Err(error));
        }
    }

    fn stream(&self, send: &Sender) -> Result<(), EngineError> {
        std::fs::create_dir_all(&self.scratch).map_err(|error| EngineError::writing(&self.scratch, error))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(self.threads)
            .thread_name("query")
            .build()
            .map_err(|error| self.failed(&format!("its threads could not be started: {error}")))?;
        runtime.block_on(async {
            let mut stream = self.start().await.map_err(|error| self.of_engine(error))?;
            let mut row = 1;
            while let Some(batch) = stream.next().await {
                let batch = batch.map_err(|error| self.of_engine(error))?;
                let raw = self.raw(&batch, row);
                row += batch.num_rows() as u64;
                if send.send(raw).is_err() {
                    return Ok(());
                }
            }
            let broken = std::mem::take(&mut *self.broken.lock());
            let mut by_file: BTreeMap<Arc<Path>, Vec<_>> = BTreeMap::new();
            for ((file, _), row) in broken {
                by_file.entry(file).or_default().push(row);
            }
            for (file, broken) in by_file {
                let mut raw = self.raw(&RecordBatch::new_empty(stream.schema()), row)?;
                (raw.file, raw.broken) = (file, broken);
                if send.send(Ok(raw)).is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    async fn start(&self) -> Result<datafusion::execution::SendableRecordBatchStream, DataFusionError> {
        let config = SessionConfig::new()
            .with_target_partitions(self.threads)
            .with_batch_size(RAW_BATCH_ROWS.min(8_192))
            .with_collect_statistics(false)
            // Sorts spill where hash tables can't.
            .set_bool("datafusion.optimizer.prefer_hash_join", false);
        let disk = DiskManagerBuilder::default()
            .with_mode(DiskManagerMode::Directories(vec![self.scratch.clone()]))
            .with_max_temp_directory_size(QUERY_SPILL_BYTES);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(FairSpillPool::new(QUERY_MEMORY_BYTES)))
            .with_disk_manager_builder(disk)
            .build_arc()?;
        let context = SessionContext::new_with_config_rt(config, environment);
        let plan = context.state().create_physical_plan(&self.plan).await?;
        datafusion::physical_plan::execute_stream(plan, context.task_ctx())
    }

    fn raw(&self, batch: &RecordBatch, first: u64) -> Result<RawBatch, EngineError> {
        let mut columns = Vec::with_capacity(self.names.len());
        for (name, array) in self.names.iter().zip(batch.columns()) {
            let array: ArrayRef = normalise(array).unwrap_or_else(|| array.clone());
            debug_assert_eq!(array.len(), batch.num_rows());
            columns.push(RawColumn { name: name.clone(), array, form: Form::Typed });
        }
        Ok(RawBatch {
            file: self.file.clone(),
            rows: batch.num_rows(),
            columns,
            lacking: Vec::new(),
            places: Places::From(first),
            broken: Vec::new(),
        })
    }

    fn failed(&self, reason: &str) -> EngineError {
        EngineError::Transform { source_name: self.source.clone(), reason: reason.to_owned() }
    }

    /// What DataFusion says, or what one of our readers said below it.
    fn of_engine(&self, error: DataFusionError) -> EngineError {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<EngineError>() {
                Ok(error) => *error,
                Err(inner) => self.failed(&inner.to_string()),
            },
            DataFusionError::Context(_, inner) => self.of_engine(*inner),
            DataFusionError::Shared(inner) => match Arc::try_unwrap(inner) {
                Ok(inner) => self.of_engine(inner),
                Err(inner) => self.failed(&inner.to_string()),
            },
            DataFusionError::ResourcesExhausted(reason) => {
                EngineError::QueryTooLarge { source_name: self.source.clone(), reason }
            }
            other => self.failed(&other.to_string()),
        }
    }
}

/// The batches that a job sends.
struct Received {
    receive: Receiver<Result<RawBatch, EngineError>>,
    done: bool,
}

impl Iterator for Received {
    type Item = Result<RawBatch, EngineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let batch = self.receive.recv().ok();
        self.done = !matches!(batch, Some(Ok(_)));
        batch
    }
}
