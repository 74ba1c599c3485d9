//! The journal: which units of which tables are published, and since when. From it a lost online store is rebuilt;
//! views without an online side are published by it alone.
//!
//! It is a Delta table of its own, partitioned by table. A unit is in it once: an append reads what is there and
//! commits as the next version or starts over.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use asof_model::Instant;
use bytes::Bytes;
use deltalake_core::DeltaTable;
use deltalake_core::kernel::{Action, Add, DataType as DeltaType, LogicalFileView, Remove, StructField};
use deltalake_core::protocol::DeltaOperation;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use serde_json::{Map, json};

use crate::columns::{instant_type, to_delta_field};
use crate::delta::{self, COMMIT_ATTEMPTS_MAX};
use crate::error::{OfflineError, data_file, storage};
use crate::store::Root;
use crate::table::discard;
use crate::write::modified_now;

/// The journal's folder. Names that start with two underscores are no view's.
pub const JOURNAL: &str = "__journal";
/// Its partition column: the history table.
pub(crate) const TABLE: &str = "table";
/// Journal files that are read at a time.
const FILES_READING_MAX: usize = 16;

/// One published unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// The history table, by its folder.
    pub table: String,
    /// The unit.
    pub unit: String,
    /// When the unit became readable. Drawn once, never redrawn.
    pub visible: Instant,
    /// The fold position after the unit.
    pub position: u64,
    /// How many rows it brought.
    pub rows: u64,
    /// For the writer of the entry; opaque here.
    pub note: String,
}

/// The journal table and what has been read of it.
pub(crate) struct Journal {
    root: Arc<Root>,
    delta: Option<DeltaTable>,
    /// Files by path. They never change, so each is read once.
    files: HashMap<String, Arc<Vec<JournalEntry>>>,
}

impl Journal {
    pub(crate) fn new(root: Arc<Root>) -> Self {
        Self { root, delta: None, files: HashMap::new() }
    }

    /// The entries of one table, in order of `visible`, `position` and `unit`.
    pub(crate) fn entries<'a>(
        &'a mut self,
        table: &'a str,
    ) -> BoxFuture<'a, Result<Vec<JournalEntry>, OfflineError>> {
        async move {
            self.refresh().await?;
            let mut entries = self.read(table).await?;
            sort(&mut entries);
            Ok(entries)
        }
        .boxed()
    }

    /// Adds those entries whose table and unit are not there, in one commit.
    pub(crate) fn append<'a>(
        &'a mut self,
        entries: &'a [JournalEntry],
    ) -> BoxFuture<'a, Result<(), OfflineError>> {
        async move {
            for entry in entries {
                check(entry)?;
            }
            for _ in 0..COMMIT_ATTEMPTS_MAX {
                self.refresh().await?;
                let fresh = self.fresh(entries).await?;
                if fresh.is_empty() {
                    return Ok(());
                }
                if self.delta.is_none() {
                    self.delta =
                        Some(delta::create(&self.root, JOURNAL, delta_fields(), TABLE, "visible").await?);
                    // Another process may have made it, and have written.
                    continue;
                }
                if self.commit(&fresh, Vec::new(), delta::appending(TABLE)).await? {
                    return Ok(());
                }
            }
            Err(OfflineError::Contended { table: JOURNAL.to_owned(), attempts: COMMIT_ATTEMPTS_MAX })
        }
        .boxed()
    }

    /// Brings the files of each table together: every unit brings one, and readers open them all. Returns how many
    /// files were replaced. Doing it again does nothing.
    pub(crate) fn compact(&mut self) -> BoxFuture<'_, Result<u64, OfflineError>> {
        async move {
            for _ in 0..COMMIT_ATTEMPTS_MAX {
                self.refresh().await?;
                let mut files: BTreeMap<String, Vec<JournalFile>> = BTreeMap::new();
                for file in self.log_files()? {
                    files.entry(file.table.clone()).or_default().push(file);
                }
                files.retain(|_, files| files.len() > 1);
                let removes: Vec<Action> =
                    files.values().flatten().map(|file| Action::Remove(removal(file))).collect();
                if removes.is_empty() {
                    return Ok(0);
                }
                let mut entries: BTreeMap<String, Vec<JournalEntry>> = BTreeMap::new();
                for table in files.keys() {
                    let mut of_table = self.read(table).await?;
                    sort(&mut of_table);
                    entries.insert(table.clone(), of_table);
                }
                let adds: BTreeMap<&str, Vec<&JournalEntry>> = entries
                    .iter()
                    .map(|(table, entries)| (table.as_str(), entries.iter().collect()))
                    .collect();
                let replaced = removes.len() as u64;
                let operation = DeltaOperation::Optimize { predicate: None, target_size: 0 };
                if self.commit(&adds, removes, operation).await? {
                    let paths: HashSet<String> =
                        self.log_files()?.into_iter().map(|file| file.path).collect();
                    self.files.retain(|path, _| paths.contains(path));
                    return Ok(replaced);
                }
            }
            Err(OfflineError::Contended { table: JOURNAL.to_owned(), attempts: COMMIT_ATTEMPTS_MAX })
        }
        .boxed()
    }

    async fn refresh(&mut self) -> Result<(), OfflineError> {
        match &mut self.delta {
            Some(delta) => {
                delta.update_state().await.map_err(|error| delta::explain(&self.root, JOURNAL, error))
            }
            None => {
                self.delta = delta::open(&self.root, JOURNAL, TABLE).await?;
                Ok(())
            }
        }
    }

    /// The entries that are not in the journal, by table; of several with one name the first.
    async fn fresh<'a>(
        &mut self,
        entries: &'a [JournalEntry],
    ) -> Result<BTreeMap<&'a str, Vec<&'a JournalEntry>>, OfflineError> {
        let mut known: HashMap<&str, HashSet<String>> = HashMap::new();
        let mut fresh: BTreeMap<&str, Vec<&JournalEntry>> = BTreeMap::new();
        for entry in entries {
            if !known.contains_key(entry.table.as_str()) {
                let units = self.read(&entry.table).await?.into_iter().map(|entry| entry.unit).collect();
                known.insert(&entry.table, units);
            }
            if known.entry(&entry.table).or_default().insert(entry.unit.clone()) {
                fresh.entry(&entry.table).or_default().push(entry);
            }
        }
        Ok(fresh)
    }

    /// Writes one file per table and commits them, with the files that they replace. `false` where another writer was
    /// faster.
    async fn commit(
        &mut self,
        entries: &BTreeMap<&str, Vec<&JournalEntry>>,
        removes: Vec<Action>,
        operation: DeltaOperation,
    ) -> Result<bool, OfflineError> {
        let Some(delta) = &mut self.delta else { return Ok(false) };
        let (data_change, mut actions, mut written) = (removes.is_empty(), removes, Vec::new());
        for (table, entries) in entries {
            let path =
                format!("{TABLE}={}/part-{}.parquet", table.replace('/', "."), uuid::Uuid::new_v4().simple());
            let location = || self.root.file_location(JOURNAL, &path);
            let bytes = encode(entries).map_err(|error| storage(location(), error))?;
            let size = bytes.len() as i64;
            let put = delta.object_store().put(&Path::from(path.as_str()), bytes.into()).await;
            put.map_err(|error| storage(location(), error))?;
            let add = Add {
                path,
                partition_values: [(TABLE.to_owned(), Some((*table).to_owned()))].into(),
                size,
                modification_time: modified_now(),
                data_change,
                stats: Some(json!({ "numRecords": entries.len() }).to_string()),
                ..Add::default()
            };
            written.push(add.clone());
            actions.push(Action::Add(add));
        }
        let landed = delta::commit_next(delta, actions, operation, Map::new(), None).await;
        let landed = landed.map_err(|error| delta::explain(&self.root, JOURNAL, error))?;
        if !landed {
            discard(delta.object_store().as_ref(), &written).await;
        }
        Ok(landed)
    }

    /// The files of the version at hand.
    fn log_files(&self) -> Result<Vec<JournalFile>, OfflineError> {
        let Some(delta) = &self.delta else { return Ok(Vec::new()) };
        let state = delta.snapshot().map_err(|error| delta::explain(&self.root, JOURNAL, error))?;
        let file = |view: LogicalFileView| {
            let table = view.partition_values_map().remove(TABLE).flatten().unwrap_or_default();
            JournalFile { path: view.path().into_owned(), table, size: view.size() }
        };
        Ok(state.log_data().iter().map(file).collect())
    }

    /// The entries of one table in the version at hand, in no order.
    async fn read(&mut self, table: &str) -> Result<Vec<JournalEntry>, OfflineError> {
        let Some(delta) = &self.delta else { return Ok(Vec::new()) };
        let of_table = self.log_files()?.into_iter().filter(|file| file.table == table);
        let paths: Vec<String> = of_table.map(|file| file.path).collect();
        let missing: Vec<String> =
            paths.iter().filter(|path| !self.files.contains_key(*path)).cloned().collect();
        let reads = missing.into_iter().map(|path| read_file(&self.root, delta, table, path));
        let read: Vec<_> = futures::stream::iter(reads).buffered(FILES_READING_MAX).try_collect().await?;
        self.files.extend(read);
        Ok(paths
            .iter()
            .filter_map(|path| self.files.get(path))
            .flat_map(|file| file.iter().cloned())
            .collect())
    }
}

/// One file of the journal.
struct JournalFile {
    path: String,
    table: String,
    size: i64,
}

fn removal(file: &JournalFile) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change: false,
        deletion_timestamp: Some(modified_now()),
        extended_file_metadata: Some(true),
        partition_values: Some([(TABLE.to_owned(), Some(file.table.clone()))].into()),
        size: Some(file.size),
        ..Remove::default()
    }
}

fn sort(entries: &mut [JournalEntry]) {
    entries.sort_by(|one, other| {
        (one.visible, one.position, &one.unit).cmp(&(other.visible, other.position, &other.unit))
    });
}

async fn read_file(
    root: &Root,
    delta: &DeltaTable,
    table: &str,
    path: String,
) -> Result<(String, Arc<Vec<JournalEntry>>), OfflineError> {
    let location = || root.file_location(JOURNAL, &path);
    let damaged =
        |reason: String| OfflineError::DamagedFile { table: JOURNAL.to_owned(), path: location(), reason };
    let objects = delta.object_store();
    let file = async { objects.get(&Path::from(path.as_str())).await?.bytes().await }.await;
    let bytes = file.map_err(|error| data_file(JOURNAL, location(), error))?;
    let batches = decode(bytes).map_err(|error| damaged(error.to_string()))?;
    let mut entries = Vec::new();
    for batch in &batches {
        let read = read_batch(table, batch)
            .ok_or_else(|| damaged("its columns are not those of a journal".to_owned()))?;
        entries.extend(read);
    }
    Ok((path, Arc::new(entries)))
}

fn check(entry: &JournalEntry) -> Result<(), OfflineError> {
    let invalid = |reason: &str| OfflineError::InvalidRows {
        table: entry.table.clone(),
        unit: entry.unit.clone(),
        reason: reason.to_owned(),
    };
    if i64::try_from(entry.position).is_err() || i64::try_from(entry.rows).is_err() {
        return Err(invalid("its journal entry has a position or a count beyond 2^63 - 1"));
    }
    crate::store::check_name(&entry.table)
}

/// The columns of a journal file.
fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("unit", DataType::Utf8, false),
        Field::new("visible", instant_type(), false),
        Field::new("position", DataType::Int64, false),
        Field::new("rows", DataType::Int64, false),
        Field::new("note", DataType::Utf8, false),
    ]))
}

fn delta_fields() -> Vec<StructField> {
    let mut fields: Vec<_> = schema().fields().iter().filter_map(|field| to_delta_field(field)).collect();
    fields.push(StructField::nullable(TABLE, DeltaType::STRING));
    fields
}

fn encode(entries: &[&JournalEntry]) -> Result<Vec<u8>, ParquetError> {
    let text = |of: fn(&JournalEntry) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(entries.iter().map(|entry| of(entry))))
    };
    // Beyond `i64` is refused before.
    let number = |of: fn(&JournalEntry) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(entries.iter().map(|entry| of(entry) as i64)))
    };
    let visible =
        TimestampMicrosecondArray::from_iter_values(entries.iter().map(|entry| entry.visible.micros()));
    let columns: Vec<ArrayRef> = vec![
        text(|entry| &entry.unit),
        Arc::new(visible.with_timezone("UTC")),
        number(|entry| entry.position),
        number(|entry| entry.rows),
        text(|entry| &entry.note),
    ];
    let batch = RecordBatch::try_new(schema(), columns)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), schema(), None)?;
    writer.write(&batch)?;
    writer.into_inner()
}

fn decode(bytes: Bytes) -> Result<Vec<RecordBatch>, ParquetError> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?.build()?;
    Ok(reader.collect::<Result<Vec<_>, _>>()?)
}

fn read_batch(table: &str, batch: &RecordBatch) -> Option<Vec<JournalEntry>> {
    let unit = batch.column_by_name("unit")?.as_string_opt::<i32>()?;
    let visible = batch.column_by_name("visible")?.as_primitive_opt::<TimestampMicrosecondType>()?;
    let position = batch.column_by_name("position")?.as_primitive_opt::<Int64Type>()?;
    let rows = batch.column_by_name("rows")?.as_primitive_opt::<Int64Type>()?;
    let note = batch.column_by_name("note")?.as_string_opt::<i32>()?;
    let entry = |row: usize| {
        Some(JournalEntry {
            table: table.to_owned(),
            unit: unit.value(row).to_owned(),
            visible: Instant::from_micros(visible.value(row))?,
            position: u64::try_from(position.value(row)).ok()?,
            rows: u64::try_from(rows.value(row)).ok()?,
            note: note.value(row).to_owned(),
        })
    };
    (0..batch.num_rows()).map(entry).collect()
}
