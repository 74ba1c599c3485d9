//! Files to fewer and better files: compaction, and rewriting without some rows.
//!
//! A group of files of one day is read, its rows are sorted by join key, event and created, rows that say the same are
//! folded into the one that was visible first (SEMANTICS 3), and one file takes the place of all in one commit. A
//! group is in memory while it is rewritten. What a crash leaves behind is files that no commit names.
//!
//! Rows of units that are not published yet are never touched: their stamps are still to come.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use asof_model::time::format_day;
use deltalake_core::kernel::{Action, Add, Remove};
use deltalake_core::protocol::DeltaOperation;
use futures::FutureExt;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use object_store::ObjectStore;
use serde_json::Map;

use crate::columns::{CREATED_TIMESTAMP, EVENT_DATE, EVENT_TIMESTAMP, UNIT};
use crate::delta::{self, COMMIT_ATTEMPTS_MAX};
use crate::error::{OfflineError, storage};
use crate::files::{DataFile, Scan, compacted_path, unit_tags};
use crate::read;
use crate::table::{Table, discard};
use crate::write::{encode_whole, interrupted, modified_now, put_file};

/// Files of at least this many bytes are good as they are; smaller ones of a day are brought together up to it.
pub const COMPACTED_FILE_BYTES: u64 = 128 * 1024 * 1024;
/// The most rows of files that are brought together: they are in memory, decoded, while they are sorted.
pub const COMPACTED_FILE_ROWS_MAX: u64 = 2_097_152;
/// Groups of files that one commit replaces, at most: what a crash on the way can undo.
const COMMIT_GROUPS_MAX: usize = 256;
/// Rows that are decoded at a time.
const BATCH_ROWS: usize = 32_768;

/// What a rewrite must know of a published unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnitRank {
    /// Its place in the order in which units became visible.
    pub place: u64,
    /// Rows of units of different kinds are never the same row, whatever their columns hold: one may carry features
    /// that the other has not heard of.
    pub kind: u64,
    /// Whether rows that say the same are one row. Not where each is an event that counts for itself.
    pub folds: bool,
}

/// The rank of a unit that only rows name, where it is one that is published.
pub type RowRank = Arc<dyn Fn(&str) -> Option<UnitRank> + Send + Sync>;

/// The published units of a table, by name.
#[derive(Clone, Default)]
pub struct UnitRanks {
    units: HashMap<String, UnitRank>,
    /// For rows that name a unit that no file is named after.
    of_row: Option<RowRank>,
}

impl UnitRanks {
    /// No units.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a rule for units that only rows name.
    #[must_use]
    pub fn with_rows(self, of_row: RowRank) -> Self {
        Self { of_row: Some(of_row), ..self }
    }

    fn of_row(&self, unit: &str) -> Option<UnitRank> {
        self.units.get(unit).copied().or_else(|| self.of_row.as_ref()?(unit))
    }
}

impl FromIterator<(String, UnitRank)> for UnitRanks {
    fn from_iter<I: IntoIterator<Item = (String, UnitRank)>>(units: I) -> Self {
        Self { units: units.into_iter().collect(), of_row: None }
    }
}

impl Deref for UnitRanks {
    type Target = HashMap<String, UnitRank>;

    fn deref(&self) -> &Self::Target {
        &self.units
    }
}

impl DerefMut for UnitRanks {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.units
    }
}

/// For each row of a batch with all columns of the table, whether it stays.
pub type RowChoice = Arc<dyn Fn(&RecordBatch) -> Result<BooleanArray, ArrowError> + Send + Sync>;

/// What a rewrite did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Files that were replaced.
    pub files_before: u64,
    /// Files that took their place.
    pub files_after: u64,
    /// Bytes of the files that were replaced.
    pub bytes_before: u64,
    /// Bytes of those that took their place.
    pub bytes_after: u64,
    /// Rows that were folded into an equal one of an earlier unit.
    pub rows_folded: u64,
    /// Rows that the caller's choice dropped.
    pub rows_dropped: u64,
}

impl Rewritten {
    fn add(&mut self, other: &Self) {
        self.files_before += other.files_before;
        self.files_after += other.files_after;
        self.bytes_before += other.bytes_before;
        self.bytes_after += other.bytes_after;
        self.rows_folded += other.rows_folded;
        self.rows_dropped += other.rows_dropped;
    }
}

impl Table {
    /// Brings small files of each day together and folds repeats. Rows keep their units, and every scan of published
    /// units answers as before, repeats aside. Appends may go on meanwhile. Doing it again does nothing.
    ///
    /// `units`: the published units. Files that hold rows of others are left alone.
    ///
    /// # Errors
    /// [`OfflineError::DamagedFile`], [`OfflineError::Storage`], [`OfflineError::Contended`]. The table is as good as
    /// before then.
    ///
    /// # Source
    /// SEMANTICS 8: "compaction folds repeats".
    pub fn compact<'a>(&'a mut self, units: &'a UnitRanks) -> BoxFuture<'a, Result<Rewritten, OfflineError>> {
        async move {
            self.refresh().await?;
            let mut done = Rewritten::default();
            loop {
                // What came out of one round may be small enough to go together in the next.
                let groups = small_files(self.files()?, units);
                let before = groups.len();
                let round = self.rewrite(groups, units, None).await?;
                done.add(&round);
                if before == 0 || round.files_before == 0 {
                    return Ok(done);
                }
            }
        }
        .boxed()
    }

    /// How many files [`Table::compact`] would replace.
    ///
    /// # Errors
    /// [`OfflineError::DamagedFile`] for a log entry that is not understood.
    pub fn files_to_compact(&self, units: &UnitRanks) -> Result<u64, OfflineError> {
        Ok(small_files(self.files()?, units).iter().map(|group| group.len() as u64).sum())
    }

    /// Of `files`, those of which `choice` drops a row. Only `columns` are read, and only they are given to it. Files with
    /// rows of units that are not in `units` are left out.
    ///
    /// # Errors
    /// [`OfflineError::DamagedFile`], [`OfflineError::Storage`].
    pub fn files_touched<'a>(
        &'a self,
        files: Vec<DataFile>,
        columns: &'a [String],
        units: &'a UnitRanks,
        choice: RowChoice,
    ) -> BoxFuture<'a, Result<Vec<DataFile>, OfflineError>> {
        async move {
            let mut touched = Vec::new();
            let published = |file: &DataFile| file.units.iter().all(|unit| units.contains_key(unit));
            for file in files.into_iter().filter(published) {
                let scan = Scan { batch_rows: BATCH_ROWS, ..Scan::of(columns) };
                let mut batches = read::rows(self.job(&scan)?, vec![file.clone()]);
                while let Some(batch) = batches.try_next().await? {
                    let kept = choice(&batch).map_err(|error| {
                        let path = self.root.file_location(&self.name, &file.path);
                        OfflineError::DamagedFile {
                            table: self.name.clone(),
                            path,
                            reason: error.to_string(),
                        }
                    })?;
                    if kept.true_count() < batch.num_rows() {
                        touched.push(file);
                        break;
                    }
                }
            }
            Ok(touched)
        }
        .boxed()
    }

    /// Replaces files by what `choice` leaves of their rows, each by one of its own.
    ///
    /// # Errors
    /// As [`Table::compact`]; [`OfflineError::Contended`] also where another rewrite has replaced one of the files.
    pub fn rewrite_files<'a>(
        &'a mut self,
        files: Vec<DataFile>,
        units: &'a UnitRanks,
        choice: RowChoice,
    ) -> BoxFuture<'a, Result<Rewritten, OfflineError>> {
        async move {
            let asked = files.len() as u64;
            let groups = files.into_iter().map(|file| vec![file]).collect();
            let done = self.rewrite(groups, units, Some(choice)).await?;
            if done.files_before < asked {
                return Err(OfflineError::Contended { table: self.name.clone(), attempts: 1 });
            }
            Ok(done)
        }
        .boxed()
    }

    async fn rewrite(
        &mut self,
        mut groups: Vec<Vec<DataFile>>,
        units: &UnitRanks,
        choice: Option<RowChoice>,
    ) -> Result<Rewritten, OfflineError> {
        let mut done = Rewritten::default();
        while !groups.is_empty() {
            let rest = groups.split_off(groups.len().min(COMMIT_GROUPS_MAX));
            let mut written = Vec::with_capacity(groups.len());
            for group in std::mem::replace(&mut groups, rest) {
                written.push(self.write_group(group, units, choice.clone()).await?);
            }
            done.add(&self.replace(written).await?);
        }
        Ok(done)
    }

    /// Reads a group and writes the file that is to take its place.
    async fn write_group(
        &self,
        files: Vec<DataFile>,
        ranks: &UnitRanks,
        choice: Option<RowChoice>,
    ) -> Result<Group, OfflineError> {
        let columns = self.schema.fields().iter().map(|field| field.name().clone());
        let job = self.job(&Scan { batch_rows: BATCH_ROWS, ..Scan::of(columns) })?;
        let day = files.iter().map(|file| file.day).max().unwrap_or_default();
        let units: BTreeSet<String> = files.iter().flat_map(|file| file.units.iter().cloned()).collect();
        let batches: Vec<RecordBatch> = read::rows(job, files.clone()).try_collect().await?;
        let of_group: UnitRanks =
            units.iter().filter_map(|unit| Some((unit.clone(), *ranks.get(unit)?))).collect();
        let of_group = UnitRanks { of_row: ranks.of_row.clone(), ..of_group };
        let schema = self.schema.clone();
        let work = move || {
            let (batch, counts) = sorted_rows(&schema, &batches, &of_group, choice)?;
            Ok((encode_whole(day, batch)?, counts))
        };
        let path = compacted_path(&format_day(day), 0, &uuid::Uuid::new_v4().simple().to_string());
        let location = self.root.file_location(&self.name, &path);
        let encoded = tokio::task::spawn_blocking(work).await;
        let encoded = encoded.map_err(|error| interrupted(&self.name, "rewriting data files", &error))?;
        let (encoded, (rows_folded, rows_dropped)) =
            encoded.map_err(|error: parquet::errors::ParquetError| storage(location.clone(), error))?;
        let mut add = put_file(self.delta.object_store().as_ref(), location, path, day, encoded).await?;
        add.tags = Some(unit_tags(&units));
        add.data_change = rows_dropped > 0;
        Ok(Group { files, add, rows_folded, rows_dropped })
    }

    /// Commits groups in place of their files. A group whose files another rewrite has replaced is given up.
    async fn replace(&mut self, mut groups: Vec<Group>) -> Result<Rewritten, OfflineError> {
        let objects = self.delta.object_store();
        for _ in 0..COMMIT_ATTEMPTS_MAX {
            if groups.is_empty() {
                return Ok(Rewritten::default());
            }
            let dropped = groups.iter().any(|group| group.rows_dropped > 0);
            let operation = match dropped {
                true => DeltaOperation::Delete { predicate: None },
                false => {
                    DeltaOperation::Optimize { predicate: None, target_size: COMPACTED_FILE_BYTES as i64 }
                }
            };
            let actions = groups.iter().flat_map(Group::actions).collect();
            let landed = delta::commit_next(&mut self.delta, actions, operation, Map::new(), None).await;
            if landed.map_err(|error| delta::explain(&self.root, &self.name, error))? {
                let mut done = Rewritten::default();
                groups.iter().for_each(|group| done.add(&group.counted()));
                return Ok(done);
            }
            self.refresh().await?;
            let there: HashSet<String> = self.files()?.into_iter().map(|file| file.path).collect();
            let good = |group: &Group| group.files.iter().all(|file| there.contains(&file.path));
            let (left, lost): (Vec<Group>, Vec<Group>) = groups.into_iter().partition(good);
            give_up(objects.as_ref(), &lost).await;
            groups = left;
        }
        give_up(objects.as_ref(), &groups).await;
        Err(OfflineError::Contended { table: self.name.clone(), attempts: COMMIT_ATTEMPTS_MAX })
    }
}

async fn give_up(objects: &dyn ObjectStore, groups: &[Group]) {
    let adds: Vec<Add> = groups.iter().map(|group| group.add.clone()).collect();
    discard(objects, &adds).await;
}

/// Files and the one that is to take their place.
struct Group {
    files: Vec<DataFile>,
    add: Add,
    rows_folded: u64,
    rows_dropped: u64,
}

impl Group {
    fn actions(&self) -> Vec<Action> {
        let removes = self.files.iter().map(|file| Action::Remove(removal(file, self.rows_dropped > 0)));
        removes.chain([Action::Add(self.add.clone())]).collect()
    }

    fn counted(&self) -> Rewritten {
        Rewritten {
            files_before: self.files.len() as u64,
            files_after: 1,
            bytes_before: self.files.iter().map(|file| file.size).sum(),
            bytes_after: u64::try_from(self.add.size).unwrap_or_default(),
            rows_folded: self.rows_folded,
            rows_dropped: self.rows_dropped,
        }
    }
}

fn removal(file: &DataFile, data_change: bool) -> Remove {
    Remove {
        path: file.path.clone(),
        data_change,
        deletion_timestamp: Some(modified_now()),
        extended_file_metadata: Some(true),
        partition_values: Some([(EVENT_DATE.to_owned(), Some(format_day(file.day)))].into()),
        size: i64::try_from(file.size).ok(),
        ..Remove::default()
    }
}

/// The files that are worth bringing together: of each day those below the size that is good, and over all days those
/// without a row, which only say that their units came.
fn small_files(files: Vec<DataFile>, units: &UnitRanks) -> Vec<Vec<DataFile>> {
    let mut days: BTreeMap<Option<i32>, Vec<DataFile>> = BTreeMap::new();
    let published =
        |file: &DataFile| !file.units.is_empty() && file.units.iter().all(|unit| units.contains_key(unit));
    for file in files.into_iter().filter(|file| file.size < COMPACTED_FILE_BYTES && published(file)) {
        days.entry((file.rows > 0).then_some(file.day)).or_default().push(file);
    }
    let mut groups = Vec::new();
    for mut files in days.into_values() {
        files.sort_by(|one, other| one.path.cmp(&other.path));
        let (mut open, mut bytes, mut rows) = (Vec::new(), 0, 0);
        for file in files {
            if bytes + file.size > COMPACTED_FILE_BYTES || rows + file.rows > COMPACTED_FILE_ROWS_MAX {
                groups.push(std::mem::take(&mut open));
                (bytes, rows) = (0, 0);
            }
            bytes += file.size;
            rows += file.rows;
            open.push(file);
        }
        groups.push(open);
    }
    groups.retain(|group| group.len() > 1);
    groups
}

/// The rows that stay, by join key, event, created and the rest, with the counts of rows folded and dropped.
fn sorted_rows(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    ranks: &UnitRanks,
    choice: Option<RowChoice>,
) -> Result<(RecordBatch, (u64, u64)), ArrowError> {
    let all = concat_batches(schema, batches)?;
    let before = all.num_rows();
    let all = match choice {
        Some(choice) => filter_record_batch(&all, &choice(&all)?)?,
        None => all,
    };
    let chosen = all.num_rows();
    // Join keys stand before the event in every table; the order of the columns behind the instants only has to be one.
    let fixed = [EVENT_TIMESTAMP, CREATED_TIMESTAMP];
    let keys = schema.fields().iter().map(|field| field.name().as_str());
    let keys: Vec<&str> = keys.take_while(|name| *name != EVENT_TIMESTAMP).collect();
    let rest = schema.fields().iter().map(|field| field.name().as_str());
    let rest = rest.filter(|name| !keys.contains(name) && !fixed.contains(name) && *name != UNIT);
    let names = keys.iter().copied().chain(fixed).chain(rest);
    let columns: Vec<ArrayRef> = names.filter_map(|name| all.column_by_name(name).cloned()).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
    let missing = || ArrowError::SchemaError(format!("column `{UNIT}` is missing"));
    let units =
        all.column_by_name(UNIT).and_then(|column| column.as_string_opt::<i32>()).ok_or_else(missing)?;
    let rank = |row: usize| {
        let unit = units.value(row);
        let unknown =
            || ArrowError::InvalidArgumentError(format!("a row of unit `{unit}` is not expected here"));
        ranks.of_row(unit).map(|rank| (rank.kind, rank.place, rank.folds)).ok_or_else(unknown)
    };
    let ranks = (0..units.len()).map(rank).collect::<Result<Vec<_>, _>>()?;
    let mut order: Vec<u32> = (0..chosen as u32).collect();
    order.sort_by(|one, other| {
        let (one, other) = (*one as usize, *other as usize);
        rows.row(one).cmp(&rows.row(other)).then_with(|| ranks[one].cmp(&ranks[other]))
    });
    order.dedup_by(|later, first| {
        let (later, first) = (*later as usize, *first as usize);
        let (later_rank, first_rank) = (ranks[later], ranks[first]);
        later_rank.2 && later_rank.0 == first_rank.0 && rows.row(later) == rows.row(first)
    });
    let folded = chosen - order.len();
    let sorted = take_record_batch(&all, &UInt32Array::from(order))?;
    Ok((sorted, (folded as u64, (before - chosen) as u64)))
}
