//! One history table: a view identity's rows, unit by unit.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use asof_model::Instant;
use deltalake_core::DeltaTable;
use deltalake_core::kernel::{Action, Add, DataType, MetadataExt, StructField};
use deltalake_core::protocol::DeltaOperation;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use serde_json::{Map, Value, json};

use crate::columns::{self, CREATED_TIMESTAMP, EVENT_DATE, EVENT_TIMESTAMP};
use crate::delta::{self, COMMIT_ATTEMPTS_MAX};
use crate::error::OfflineError;
use crate::files::{self, DataFile, Scan, is_unit};
use crate::read::{self, ScanJob};
use crate::store::{Root, check_name};
use crate::write::UnitWrite;

/// The key of our part of a commit's `commitInfo`.
const COMMIT_KEY: &str = "asof";

/// The property of a table that says up to where it was cut, in microseconds.
const CUT_KEY: &str = "asof.historyCut";

/// What a table is to be.
#[derive(Debug, Clone)]
pub struct TableSpec {
    /// A relative folder, as in `zipcode_features/v1-1a2b3c4d`.
    pub name: String,
    /// The columns of a row in order: join keys, [`EVENT_TIMESTAMP`], [`CREATED_TIMESTAMP`] and
    /// [`UNIT`](crate::columns::UNIT), all never null; then the features and `__errors`, nullable.
    pub schema: SchemaRef,
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The table's version that holds the unit.
    pub version: u64,
    /// The unit's files.
    pub files: u64,
    /// The unit's rows. `None` for a unit of before whose files were rewritten: its rows stand among others now, and
    /// some may be folded into equal ones.
    pub rows: Option<u64>,
    /// The bytes of its files.
    pub bytes: u64,
    /// The unit was in the table before; nothing was written.
    pub already_there: bool,
}

/// What a unit has consumed, as its commit says.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitInputs {
    /// The unit.
    pub unit: String,
    /// As given to [`Table::append`].
    pub inputs: Value,
}

/// A history table at one version. A reader keeps the version that it has opened; [`Table::append`] and
/// [`Table::refresh`] move on.
#[derive(Clone)]
pub struct Table {
    pub(crate) root: Arc<Root>,
    pub(crate) name: String,
    pub(crate) schema: SchemaRef,
    pub(crate) delta: DeltaTable,
}

impl Table {
    /// The version, counted in commits from 0.
    pub fn version(&self) -> u64 {
        self.delta.version().unwrap_or(0)
    }

    /// The folder, relative to the store.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns of a row in the table's own order: those added later stand last, behind `__errors`.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Moves to the newest version.
    ///
    /// # Errors
    /// What storage and log say.
    pub async fn refresh(&mut self) -> Result<(), OfflineError> {
        refresh(self).await
    }

    /// Adds the rows of `unit` in one commit that names it, and remembers in the same commit what it has consumed.
    /// A unit that is in the table already is not written again, whatever `batches` hold. Without rows nothing is
    /// written, nor remembered.
    ///
    /// Columns are found by name; a nullable one may be missing. `__unit` must hold `unit` in each row. On success the
    /// rows are durable. After an error or a crash all of the unit's rows are in or none: append it again to know. What
    /// is left over is files that no commit names.
    ///
    /// # Errors
    /// [`OfflineError::InvalidUnit`], [`OfflineError::SchemaMismatch`], [`OfflineError::InvalidRows`],
    /// [`OfflineError::Contended`], [`OfflineError::Storage`], [`OfflineError::DamagedLog`].
    ///
    /// # Source
    /// SEMANTICS 1 and 8.
    pub async fn append(
        &mut self,
        unit: &str,
        batches: &[RecordBatch],
        inputs: Value,
    ) -> Result<Appended, OfflineError> {
        append(self, unit, false, batches, inputs).await
    }

    /// The same of rows that came into being as several units: each names its own in `__unit`, and `unit` is the name
    /// of them all.
    ///
    /// # Errors
    /// As [`Table::append`].
    pub async fn append_parted(
        &mut self,
        unit: &str,
        batches: &[RecordBatch],
        inputs: Value,
    ) -> Result<Appended, OfflineError> {
        append(self, unit, true, batches, inputs).await
    }

    /// The names of the units in this version. A unit that came stays, also where none of its rows does.
    ///
    /// # Errors
    /// [`OfflineError::DamagedFile`] for a log entry that is not understood.
    pub fn units(&self) -> Result<BTreeSet<String>, OfflineError> {
        Ok(self.files()?.into_iter().flat_map(|file| file.units).collect())
    }

    /// The instant before which rows were cut from history: what was in force before it is not known any more. `None`:
    /// nothing was cut.
    ///
    /// # Errors
    /// [`OfflineError::DamagedLog`] where it is not understood.
    pub fn cut(&self) -> Result<Option<Instant>, OfflineError> {
        let state = self.delta.snapshot().map_err(|error| delta::explain(&self.root, &self.name, error))?;
        let Some(text) = state.metadata().configuration().get(CUT_KEY) else { return Ok(None) };
        match text.parse().ok().and_then(Instant::from_micros) {
            Some(cut) => Ok(Some(cut)),
            None => {
                let reason = format!("the property `{CUT_KEY}` is `{text}`, which is no instant");
                Err(delta::damaged(&self.root, &self.name, &reason))
            }
        }
    }

    /// Says, before rows go, that rows before `cut` may be gone. An earlier cut than the one there changes nothing.
    ///
    /// # Errors
    /// [`OfflineError::Contended`], then what storage and log say.
    pub fn set_cut(&mut self, cut: Instant) -> BoxFuture<'_, Result<(), OfflineError>> {
        set_cut(self, cut).boxed()
    }

    /// What the units have consumed, newest first.
    ///
    /// # Errors
    /// What storage and log say.
    pub async fn inputs(&self) -> Result<Vec<UnitInputs>, OfflineError> {
        let found = delta::commit_metadata(&self.root, &self.name, &self.delta, COMMIT_KEY).await?;
        let read = |mut each: Value| {
            let unit = each.get("unit")?.as_str()?.to_owned();
            Some(UnitInputs { unit, inputs: each.get_mut("inputs")?.take() })
        };
        Ok(found.into_iter().filter_map(read).collect())
    }

    /// The files that [`Table::scan`] reads: those whose unit, day and statistics do not rule them out.
    ///
    /// # Errors
    /// [`OfflineError::DamagedFile`] for a log entry that is not understood.
    pub fn files_to_read(&self, scan: &Scan) -> Result<Vec<DataFile>, OfflineError> {
        Ok(self.files()?.into_iter().filter(|file| scan.wants(file)).collect())
    }

    /// The rows of this version, in any order, with the scan's columns in its order.
    ///
    /// A superset of what the event range asks for: files and row groups outside it are not read, rows are not
    /// looked at. `units` is exact. A column that an older file does not have is null there. Memory is bounded by a
    /// few row groups' wanted columns. Needs a tokio runtime; after an error the rows are incomplete.
    ///
    /// # Errors
    /// [`OfflineError::UnknownColumn`], [`OfflineError::DamagedFile`], [`OfflineError::Storage`].
    pub fn scan<'a>(&'a self, scan: Scan) -> BoxStream<'a, Result<RecordBatch, OfflineError>> {
        match self.plan(&scan) {
            Ok((job, files)) => read::rows(job, files),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    fn plan(&self, scan: &Scan) -> Result<(ScanJob, Vec<DataFile>), OfflineError> {
        Ok((self.job(scan)?, self.files_to_read(scan)?))
    }

    /// What the workers of a scan share.
    pub(crate) fn job(&self, scan: &Scan) -> Result<ScanJob, OfflineError> {
        let field = |name: &String| {
            let unknown = || OfflineError::UnknownColumn { table: self.name.clone(), column: name.clone() };
            self.schema.field_with_name(name).cloned().map_err(|_| unknown())
        };
        let fields = scan.columns.iter().map(field).collect::<Result<Vec<Field>, _>>()?;
        Ok(ScanJob {
            root: self.root.clone(),
            table: self.name.clone(),
            objects: self.delta.object_store(),
            schema: Arc::new(Schema::new(fields)),
            event_from: scan.event_from,
            event_until: scan.event_until,
            units: scan.units.clone().filter(|_| !scan.whole_files).map(Arc::new),
            batch_rows: scan.batch_rows,
        })
    }

    /// Where a file of this version is.
    pub fn path_of(&self, file: &DataFile) -> std::path::PathBuf {
        self.root.folder.join(&self.name).join(&file.path)
    }

    /// Every file of this version, in no order.
    ///
    /// # Errors
    /// [`OfflineError::DamagedFile`] for a log entry that is not understood.
    pub fn files(&self) -> Result<Vec<DataFile>, OfflineError> {
        files::data_files(&self.delta).map_err(|(path, reason)| OfflineError::DamagedFile {
            table: self.name.clone(),
            path: self.root.file_location(&self.name, &path),
            reason: reason.to_owned(),
        })
    }

    fn new(root: Arc<Root>, name: &str, delta: DeltaTable) -> Result<Self, OfflineError> {
        let schema = stored_schema(&root, name, &delta)?;
        Ok(Self { root, name: name.to_owned(), schema, delta })
    }

    /// Where the unit is in this version, as an answer to an append.
    async fn found(&self, unit: &str) -> Result<Option<Appended>, OfflineError> {
        let (mut files, mut rows, mut bytes, mut alone) = (0, 0, 0, true);
        for file in self.files()?.iter().filter(|file| file.units.iter().any(|each| each == unit)) {
            files += 1;
            rows += file.rows;
            bytes += file.size;
            alone &= file.is_of_one_unit();
        }
        let found = Appended {
            version: self.version(),
            files,
            rows: (alone && files > 0).then_some(rows),
            bytes,
            already_there: true,
        };
        if files > 0 {
            return Ok(Some(found));
        }
        // What the log says of a unit stays, whatever becomes of its files.
        let explain = |error| delta::explain(&self.root, &self.name, error);
        let state = self.delta.snapshot().map_err(explain)?;
        let log_store = self.delta.log_store();
        let known = state.transaction_version(log_store.as_ref(), identity(unit)).await.map_err(explain)?;
        Ok(known.map(|_| found))
    }
}

/// The table of `spec`, made or extended where need be.
pub(crate) fn ensure(root: Arc<Root>, spec: &TableSpec) -> BoxFuture<'_, Result<Table, OfflineError>> {
    async move {
        check_name(&spec.name)?;
        columns::check_spec(&spec.name, &spec.schema)?;
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let stored = match delta::open(&root, &spec.name, EVENT_DATE).await? {
                Some(stored) => stored,
                None => {
                    let mut fields = delta_fields(spec, spec.schema.fields().iter().map(AsRef::as_ref))?;
                    fields.push(StructField::nullable(EVENT_DATE, DataType::DATE));
                    let statistics = format!("{EVENT_TIMESTAMP},{CREATED_TIMESTAMP}");
                    delta::create(&root, &spec.name, fields, EVENT_DATE, &statistics).await?
                }
            };
            let schema = stored_schema(&root, &spec.name, &stored)?;
            let added = columns::added_columns(&spec.name, &schema, &spec.schema)?;
            if added.is_empty() {
                return Table::new(root, &spec.name, stored);
            }
            let fields = delta_fields(spec, &added)?;
            match stored.add_columns().with_fields(fields).with_commit_properties(delta::properties()).await {
                Ok(extended) => return Table::new(root, &spec.name, extended),
                Err(error) if delta::lost_race(&error) => {}
                Err(error) => return Err(delta::explain(&root, &spec.name, error)),
            }
        }
        Err(OfflineError::Contended { table: spec.name.clone(), attempts: COMMIT_ATTEMPTS_MAX })
    }
    .boxed()
}

/// The table in the folder `name`, if there is one.
pub(crate) fn existing(root: Arc<Root>, name: &str) -> BoxFuture<'_, Result<Option<Table>, OfflineError>> {
    async move {
        check_name(name)?;
        let found = delta::open(&root, name, EVENT_DATE).await?;
        found.map(|stored| Table::new(root, name, stored)).transpose()
    }
    .boxed()
}

fn refresh(table: &mut Table) -> BoxFuture<'_, Result<(), OfflineError>> {
    async move {
        let updated = table.delta.update_state().await;
        updated.map_err(|error| delta::explain(&table.root, &table.name, error))?;
        table.schema = stored_schema(&table.root, &table.name, &table.delta)?;
        Ok(())
    }
    .boxed()
}

async fn set_cut(table: &mut Table, cut: Instant) -> Result<(), OfflineError> {
    for _ in 0..COMMIT_ATTEMPTS_MAX {
        table.refresh().await?;
        if table.cut()?.is_some_and(|before| before >= cut) {
            return Ok(());
        }
        let explain = |error| delta::explain(&table.root, &table.name, error);
        let metadata = table.delta.snapshot().map_err(explain)?.metadata().clone();
        let metadata = metadata
            .add_config_key(CUT_KEY.to_owned(), cut.micros().to_string())
            .map_err(|error| explain(error.into()))?;
        let properties = [(CUT_KEY.to_owned(), cut.micros().to_string())].into();
        let operation = DeltaOperation::SetTableProperties { properties };
        let actions = vec![Action::Metadata(metadata)];
        let landed = delta::commit_next(&mut table.delta, actions, operation, Map::new(), None).await;
        if landed.map_err(|error| delta::explain(&table.root, &table.name, error))? {
            return Ok(());
        }
    }
    Err(OfflineError::Contended { table: table.name.clone(), attempts: COMMIT_ATTEMPTS_MAX })
}

fn append<'a>(
    table: &'a mut Table,
    unit: &'a str,
    parted: bool,
    batches: &'a [RecordBatch],
    inputs: Value,
) -> BoxFuture<'a, Result<Appended, OfflineError>> {
    async move {
        if !is_unit(unit) {
            return Err(OfflineError::InvalidUnit { unit: unit.to_owned() });
        }
        table.refresh().await?;
        if let Some(found) = table.found(unit).await? {
            return Ok(found);
        }
        let objects = table.delta.object_store();
        let write = UnitWrite {
            root: &table.root,
            table: &table.name,
            unit,
            parted,
            schema: &table.schema,
            objects: objects.clone(),
        };
        let adds = write.write(batches).await?;
        let version = table.version();
        let mut done = Appended { version, files: 0, rows: Some(0), bytes: 0, already_there: false };
        if adds.is_empty() {
            return Ok(done);
        }
        done.files = adds.len() as u64;
        done.rows = Some(batches.iter().map(|batch| batch.num_rows() as u64).sum());
        done.bytes = adds.iter().map(|add| u64::try_from(add.size).unwrap_or(0)).sum();

        let metadata = Map::from_iter([(COMMIT_KEY.to_owned(), json!({ "unit": unit, "inputs": inputs }))]);
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            let actions = adds.iter().cloned().map(Action::Add).collect();
            let identity = Some(identity(unit));
            let operation = delta::appending(EVENT_DATE);
            let landed =
                delta::commit_next(&mut table.delta, actions, operation, metadata.clone(), identity).await;
            if landed.map_err(|error| delta::explain(&table.root, &table.name, error))? {
                return Ok(Appended { version: table.version(), ..done });
            }
            // Others only add units and nullable columns or rewrite files, so these stay good; but one may have added
            // this unit.
            table.refresh().await?;
            if let Some(found) = table.found(unit).await? {
                discard(objects.as_ref(), &adds).await;
                return Ok(found);
            }
        }
        Err(OfflineError::Contended { table: table.name.clone(), attempts: COMMIT_ATTEMPTS_MAX })
    }
    .boxed()
}

/// Removes files that no commit names. What is left of them does no harm.
pub(crate) async fn discard(objects: &dyn object_store::ObjectStore, adds: &[Add]) {
    for add in adds {
        let _ = objects.delete(&Path::from(add.path.as_str())).await;
    }
}

/// The unit as an application id of the Delta log.
fn identity(unit: &str) -> String {
    format!("asof/unit/{unit}")
}

fn delta_fields<'a>(
    spec: &TableSpec,
    fields: impl IntoIterator<Item = &'a Field>,
) -> Result<Vec<StructField>, OfflineError> {
    let convert = |field: &Field| {
        columns::to_delta_field(field).ok_or_else(|| OfflineError::InvalidColumn {
            table: spec.name.clone(),
            column: field.name().clone(),
            reason: format!("is {}, which history cannot hold", columns::describe(field)),
        })
    };
    fields.into_iter().map(convert).collect()
}

fn stored_schema(root: &Root, name: &str, table: &DeltaTable) -> Result<SchemaRef, OfflineError> {
    let state = table.snapshot().map_err(|error| delta::explain(root, name, error))?;
    columns::from_delta(&state.schema(), EVENT_DATE).map_err(|column| {
        delta::damaged(root, name, &format!("column `{column}` has a type that history never writes"))
    })
}
