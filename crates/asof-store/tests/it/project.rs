//! A project in a folder of its own, with the verbs as plain calls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;

use arrow::array::{AsArray, RecordBatch};
use asof_engine::columns::value_at;
use asof_model::plan::Catalog;
use asof_model::{Cell, Instant, KnownAt, Status, Value, ValueType, Zone};
use asof_oracle::OracleValue;
use asof_store::apply::Applied;
use asof_store::compact::CompactReport;
use asof_store::get::{Answer, Answered, GetRequest, OnlinePlan};
use asof_store::journal::ViewJournal;
use asof_store::materialize::{MaterializeReport, MaterializeRequest, ViewLoad};
use asof_store::request::{Naming, Wanted};
use asof_store::train::{LabelRows, TrainRequest};
use asof_store::vacuum::{VacuumReport, VacuumRequest};
use asof_store::{NoProgress, Project as Folder, Store, StoreError};
use asof_testkit::clock::SteppedClock;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::tables::{Carrier, Column};

/// Where a clock stands until a test moves it.
pub const START: &str = "2030-01-01T00:00:00Z";

/// An instant of a test, RFC 3339.
pub fn at(text: &str) -> Instant {
    Instant::parse(text, &Zone::utc()).unwrap()
}

/// Features as `view:feature`.
pub fn features(names: &[&str]) -> Wanted {
    Wanted::Features(names.iter().map(|&name| name.to_owned()).collect())
}

/// A registry that takes longer to let go of its file is copied as it lies there.
const CLOSE_MILLISECONDS_MAX: u32 = 5_000;

/// The entity rows of a request: columns, each with one value for each row.
pub type Entities = BTreeMap<String, Vec<Option<Value>>>;

/// One int64 key column.
pub fn int_keys(column: &str, keys: &[i64]) -> Entities {
    BTreeMap::from([(column.to_owned(), keys.iter().map(|key| Some(Value::Int64(*key))).collect())])
}

/// A project. Its store is opened with the first verb, and again after [`Project::close`].
pub struct Project {
    pub root: PathBuf,
    pub clock: Arc<SteppedClock>,
    runtime: Runtime,
    store: Option<Store>,
    _folder: TempDir,
}

/// A training set, read back.
pub struct TrainingSet {
    rows: RecordBatch,
}

/// What to ask of `train` beside the labels.
#[derive(Clone)]
pub struct Ask {
    pub wanted: Wanted,
    pub known_at: KnownAt,
    pub include_expired: bool,
    pub full_names: bool,
    pub labels: Carrier,
}

impl Ask {
    /// Those features under short names, from typed Parquet labels.
    pub fn of(wanted: Wanted, known_at: KnownAt) -> Self {
        Self { wanted, known_at, include_expired: false, full_names: false, labels: Carrier::Typed }
    }
}

impl Project {
    /// A project with these definitions, which are not applied yet.
    pub fn new(definitions: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // The space in its name must not matter.
        let root = folder.path().join("a project");
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("asof.toml"), "project = \"tests\"\n").unwrap();
        let project = Self {
            root,
            clock: Arc::new(SteppedClock::at(at(START))),
            runtime: Runtime::new().unwrap(),
            store: None,
            _folder: folder,
        };
        project.define(definitions);
        project
    }

    /// Replaces the definitions.
    pub fn define(&self, definitions: &str) {
        std::fs::write(self.root.join("features.yaml"), definitions).unwrap();
    }

    /// Writes a file below the project.
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Writes a table below the project.
    pub fn write_table(&self, path: &str, columns: &[Column], carrier: Carrier) {
        let path = self.root.join(format!("{path}.{}", carrier.suffix()));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        carrier.write(&path, columns);
    }

    pub fn set_clock(&self, text: &str) {
        self.clock.set(at(text));
    }

    /// Lets go of everything that is open, as the end of a command does.
    pub fn close(&mut self) {
        if self.store.take().is_none() {
            return;
        }
        // The registry lets go of its file in a thread of its own, and removes its log then: by name, so a folder must
        // not be removed and made anew before.
        let log = self.root.join(".asof/registry.db-wal");
        for _ in 0..CLOSE_MILLISECONDS_MAX {
            if !log.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    pub fn store(&mut self) -> (&Runtime, &Store) {
        let open = || Store::new(Folder::open(&self.root).unwrap(), self.clock.clone(), "the tests");
        (&self.runtime, self.store.get_or_insert_with(open))
    }

    pub fn try_apply(&mut self, remove: &[&str]) -> Result<Applied, StoreError> {
        let remove: Vec<String> = remove.iter().map(|&name| name.to_owned()).collect();
        let (runtime, store) = self.store();
        runtime.block_on(Box::pin(store.apply(&remove, "a test")))
    }

    pub fn apply(&mut self) -> Applied {
        self.try_apply(&[]).unwrap()
    }

    pub fn try_materialize(&mut self, request: &MaterializeRequest) -> Result<MaterializeReport, StoreError> {
        let (runtime, store) = self.store();
        runtime.block_on(Box::pin(store.materialize(request, &NoProgress)))
    }

    /// Loads these views, or all where none is named.
    pub fn materialize(&mut self, views: &[&str]) -> Vec<ViewLoad> {
        let views = views.iter().map(|&view| view.to_owned()).collect();
        let request = MaterializeRequest { views, ..MaterializeRequest::default() };
        let report = self.try_materialize(&request).unwrap();
        assert_eq!(report.failures, []);
        report.views
    }

    /// Loads the one view that there is, or that is named.
    pub fn load(&mut self, views: &[&str]) -> ViewLoad {
        let mut loads = self.materialize(views);
        assert_eq!(loads.len(), 1);
        loads.remove(0)
    }

    pub fn catalog(&mut self) -> Catalog {
        let (runtime, store) = self.store();
        runtime.block_on(Box::pin(store.applied_catalog())).unwrap()
    }

    /// The journal beside history of the view's first version.
    pub fn journal(&mut self, view: &str) -> ViewJournal {
        let catalog = self.catalog();
        let (runtime, store) = self.store();
        runtime.block_on(Box::pin(store.view_journal(&catalog, &asof_model::ViewId::new(view, 1)))).unwrap()
    }

    /// A compiled request.
    pub fn try_plan(&mut self, ask: &Ask) -> Result<OnlinePlan, StoreError> {
        let naming = Naming { full_names: ask.full_names, ..Naming::default() };
        let (runtime, store) = self.store();
        let plan = async {
            let catalog = store.applied_catalog().await?;
            store.online_plan(&catalog, &ask.wanted, &naming).await
        };
        runtime.block_on(Box::pin(plan))
    }

    /// Asks the store at `now`, from history where `now` lies before the last update.
    pub fn try_get(
        &mut self,
        ask: &Ask,
        entities: &Entities,
        rows: usize,
        now: Option<Instant>,
        from_history: bool,
    ) -> Result<Got, StoreError> {
        let plan = self.try_plan(ask)?;
        let (include_expired, entities) = (ask.include_expired, entities.clone());
        self.try_get_planned(
            &plan,
            &GetRequest { entities, fields: Entities::new(), rows, now, include_expired, from_history },
        )
    }

    /// Asks the online store at `now` for one entity row, with request columns.
    pub fn try_get_with(
        &mut self,
        ask: &Ask,
        entities: &Entities,
        fields: &Entities,
        now: Option<Instant>,
    ) -> Result<Got, StoreError> {
        let plan = self.try_plan(ask)?;
        let request = GetRequest {
            entities: entities.clone(),
            fields: fields.clone(),
            rows: 1,
            now,
            include_expired: ask.include_expired,
            from_history: false,
        };
        self.try_get_planned(&plan, &request)
    }

    /// Asks with a request that was compiled before.
    pub fn try_get_planned(&mut self, plan: &OnlinePlan, request: &GetRequest) -> Result<Got, StoreError> {
        let (runtime, store) = self.store();
        let answer = async {
            let catalog = store.applied_catalog().await?;
            store.get(&catalog, plan, request).await
        };
        let answer = runtime.block_on(Box::pin(answer))?;
        Ok(Got { t: answer.t, rows: answer.to_rows(plan)?, answer })
    }

    /// Puts rows that history answered for back online; how many keys.
    pub fn bring_back(&mut self) -> u64 {
        let catalog = self.catalog();
        let (runtime, store) = self.store();
        runtime.block_on(Box::pin(store.bring_back(&catalog))).unwrap()
    }

    /// The names of the columns that a request is answered with, in order.
    pub fn plan_names(&mut self, ask: &Ask) -> Vec<String> {
        let plan = self.try_plan(ask).unwrap();
        plan.plan.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// Asks the online store about the present.
    pub fn get(&mut self, wanted: &[&str], entities: &Entities) -> Vec<Vec<OracleValue>> {
        let rows = entities.values().next().map_or(1, Vec::len);
        let ask = Ask::of(features(wanted), KnownAt::Served);
        answers(&self.try_get(&ask, entities, rows, None, false).unwrap())
    }

    pub fn try_train(&mut self, ask: &Ask, labels: &[Column]) -> Result<TrainingSet, StoreError> {
        let path = self.root.join(format!("labels.{}", ask.labels.suffix()));
        ask.labels.write(&path, labels);
        let output = self.root.join("training.parquet");
        let request = TrainRequest {
            labels: LabelRows::of_files(path),
            wanted: ask.wanted.clone(),
            output: output.clone(),
            timestamp: "t".to_owned(),
            reading: asof_model::entry::Reading::default(),
            naming: Naming { full_names: ask.full_names, ..Naming::default() },
            known_at: ask.known_at,
            statuses: true,
            include_expired: ask.include_expired,
            options: Default::default(),
        };
        let (runtime, store) = self.store();
        let report = runtime.block_on(Box::pin(store.train(&request, &NoProgress)))?;
        let rows = read_parquet(&output);
        assert_eq!((report.rows, report.columns), (rows.num_rows() as u64, rows.num_columns() as u64));
        Ok(TrainingSet { rows })
    }

    pub fn train(&mut self, ask: &Ask, labels: &[Column]) -> TrainingSet {
        self.try_train(ask, labels).unwrap()
    }

    /// A project that continues from a copy of this one's folder.
    pub fn copy(&mut self) -> Self {
        self.close();
        let copy = Self::new("");
        copy_folder(&self.root, &copy.root);
        copy.clock.set(asof_store::Clock::now(self.clock.as_ref()));
        copy
    }

    /// Compacts every view.
    pub fn compact(&mut self) -> CompactReport {
        let (runtime, store) = self.store();
        runtime.block_on(Box::pin(store.compact(&[], &NoProgress))).unwrap()
    }

    /// Compacts every view and dies after so many steps, or is through before. What a kill leaves behind stays.
    pub fn compact_killed_after(&mut self, polls: usize) {
        let (runtime, store) = self.store();
        let mut left = polls;
        runtime.block_on(async {
            let mut compaction = Box::pin(store.compact(&[], &NoProgress));
            std::future::poll_fn(|context| {
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                compaction.as_mut().poll(context).map(|done| drop(done.unwrap()))
            })
            .await
        });
        self.close();
    }

    /// Removes files of history that were replaced so long ago.
    pub fn vacuum(&mut self, older_than: asof_model::Duration) -> VacuumReport {
        let (runtime, store) = self.store();
        let request = VacuumRequest { older_than, dry_run: false };
        runtime.block_on(Box::pin(store.vacuum(&request))).unwrap()
    }

    /// Loses the online store.
    pub fn lose_online(&mut self) {
        self.close();
        std::fs::remove_dir_all(self.root.join(".asof/online")).unwrap();
    }
}

impl TrainingSet {
    /// The answers in the columns of these names, row by row.
    pub fn answers(&self, columns: &[(String, ValueType)]) -> Vec<Vec<OracleValue>> {
        let answer = |row: usize| columns.iter().map(|(name, of)| self.answer(name, *of, row)).collect();
        (0..self.rows.num_rows()).map(answer).collect()
    }

    fn answer(&self, name: &str, of: ValueType, row: usize) -> OracleValue {
        let column = |name: &str| {
            self.rows
                .column_by_name(name)
                .unwrap_or_else(|| panic!("the training set has no column `{name}`"))
        };
        let cell = value_at(column(name).as_ref(), of, row).map_or(Cell::Null, Cell::Value);
        let status = column(&format!("{name}__status")).as_string::<i32>().value(row);
        OracleValue { cell, status: status_named(status) }
    }

    /// The names of the columns, in order.
    pub fn names(&self) -> Vec<String> {
        self.rows.schema().fields().iter().map(|field| field.name().clone()).collect()
    }
}

/// An answer with its values.
#[derive(Debug)]
pub struct Got {
    pub t: Instant,
    /// For each entity row a value for each column.
    pub rows: Vec<Vec<Answered>>,
    pub answer: Answer,
}

/// The values of an answer in the form of the oracle.
pub fn answers(answer: &Got) -> Vec<Vec<OracleValue>> {
    let value = |each: &Answered| OracleValue {
        cell: each.value.clone().map_or(Cell::Null, Cell::Value),
        status: each.status,
    };
    answer.rows.iter().map(|row| row.iter().map(value).collect()).collect()
}

pub fn present(value: Value) -> OracleValue {
    OracleValue { cell: Cell::Value(value), status: Status::Present }
}

pub fn without_value(status: Status) -> OracleValue {
    OracleValue { cell: Cell::Null, status }
}

fn status_named(name: &str) -> Status {
    let all = [Status::Present, Status::Null, Status::Missing, Status::OutsideTtl, Status::Error];
    all.into_iter().find(|status| status.as_str() == name).unwrap()
}

/// A whole Parquet file.
pub fn read_parquet(path: &Path) -> RecordBatch {
    let file = std::fs::File::open(path).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let schema = builder.schema().clone();
    let batches: Vec<RecordBatch> = builder.build().unwrap().map(Result::unwrap).collect();
    arrow::compute::concat_batches(&schema, &batches).unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target)
                .unwrap_or_else(|error| panic!("{}: {error}", entry.path().display()));
        }
    }
}
