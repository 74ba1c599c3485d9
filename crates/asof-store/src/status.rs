//! `status`: how each view is, in history and in the online store.
//!
//! History and its journal are read as any reader does. What only the online store knows is left out while another
//! process holds it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;

use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use asof_engine::columns::{EVENT, UNIT};
use asof_model::Instant;
use asof_model::plan::Catalog;
use asof_model::spec::View;
use asof_offline::{JournalEntry, Scan, Table};
use asof_online::OnlineError;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use crate::journal::{Note, ViewJournal};
use crate::materialize::with_rows;
use crate::project::reading;
use crate::{Store, StoreError};

/// Small files that are worth a compaction: from so many on, it is recommended.
pub const SMALL_FILES_MANY: u64 = 100;
/// Keys that are listed from the online store at a time.
const KEYS_PAGE: usize = 10_000;

/// How the store is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatusReport {
    /// The present, by the store's clock.
    pub now: String,
    /// For each view.
    pub views: Vec<ViewStatus>,
    /// Bytes of the online store's folder.
    pub online_bytes: u64,
    /// Why nothing is said of the online store's entries: another process holds it. `None`: something is.
    pub online_unread: Option<String>,
    /// The sums over `views`.
    pub totals: StatusTotals,
}

/// Sums over all views.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct StatusTotals {
    /// Rows in history.
    pub rows: u64,
    /// Files of history.
    pub files: u64,
    /// Bytes of history.
    pub bytes: u64,
    /// Keys in the online store, where it could be read.
    pub online_entries: Option<u64>,
}

/// How one view is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ViewStatus {
    /// The view.
    pub view: String,
    /// Whether it reads its source in place, so that nothing is ever loaded.
    #[serde(default)]
    pub in_place: bool,
    /// Rows in history, repeats included, and those of units that are not published yet.
    pub rows: u64,
    /// Files of history.
    pub files: u64,
    /// Bytes of history.
    pub bytes: u64,
    /// Of the files, those that a compaction would bring together.
    pub small_files: u64,
    /// Whether these are so many that a compaction is recommended.
    pub compact: bool,
    /// Units of rows that are published.
    pub units: u64,
    /// The last load that was complete. `None`: there was none.
    pub last_run: Option<LastRun>,
    /// Rows that are set aside.
    pub quarantined: u64,
    /// The event of the newest published row.
    pub newest_event: Option<String>,
    /// Seconds from it to now; below 0 for one in the future.
    pub age_seconds: Option<f64>,
    /// The view's promise, in seconds. `None`: it gives none.
    pub freshness_seconds: Option<f64>,
    /// Whether the newest row is older than the promise, or there is none. Never where the source is read in place.
    pub behind: bool,
    /// Features that answer, in order of addition.
    pub answering: Vec<String>,
    /// Features that were added and wait to be backfilled.
    pub backfilling: Vec<String>,
    /// What was loaded completely, for each number of features that a load carried.
    pub complete: Vec<Complete>,
    /// Keys in the online store. `None`: it could not be read.
    pub online_entries: Option<u64>,
}

/// A load that was complete.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LastRun {
    /// When it ended: its stamp.
    pub at: String,
    /// The first instant of event time. `None`: from the beginning.
    pub from: Option<String>,
    /// The first instant past it. `None`: to the end.
    pub until: Option<String>,
    /// Rows of the units that it published.
    pub rows: u64,
}

/// Ranges of event time that loads have covered completely.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Complete {
    /// How many features, in order of addition, these loads carried at least.
    pub features: usize,
    /// From and until, apart from each other and in order. `None` has no bound.
    pub ranges: Vec<(Option<String>, Option<String>)>,
}

impl Store {
    /// How views are, where none is named all of them that have rows of their own.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest name; those of history, and of an online store that nobody holds.
    pub async fn status(&self, views: &[String]) -> Result<StatusReport, StoreError> {
        let catalog = self.applied_catalog().await?;
        let mut report = StatusReport {
            now: self.now().to_string(),
            views: Vec::new(),
            online_bytes: self.online_bytes().await?,
            online_unread: None,
            totals: StatusTotals::default(),
        };
        let readable = self.online_is_readable().await?;
        report.online_unread = readable.as_ref().err().cloned();
        for view in with_rows(&catalog, views, "count")? {
            let status = self.view_status(&catalog, view, readable.is_ok()).await?;
            report.totals.rows += status.rows;
            report.totals.files += status.files;
            report.totals.bytes += status.bytes;
            if let Some(entries) = status.online_entries {
                *report.totals.online_entries.get_or_insert_default() += entries;
            }
            report.views.push(status);
        }
        Ok(report)
    }

    async fn view_status(
        &self,
        catalog: &Catalog,
        view: &View,
        online: bool,
    ) -> Result<ViewStatus, StoreError> {
        let journal = self.view_journal(catalog, &view.id).await?;
        let answering = view.answering(journal.answering(view.stored().len()));
        let names = |features: &[asof_model::spec::Feature]| -> Vec<String> {
            features.iter().map(|feature| feature.name.clone()).collect()
        };
        let mut status = ViewStatus {
            view: view.id.to_string(),
            in_place: view.in_place,
            rows: 0,
            files: 0,
            bytes: 0,
            small_files: 0,
            compact: false,
            units: journal.row_units.len() as u64,
            last_run: None,
            quarantined: 0,
            newest_event: None,
            age_seconds: None,
            freshness_seconds: view.freshness.map(seconds),
            behind: view.freshness.is_some() && !view.in_place,
            answering: names(&view.features[..answering]),
            backfilling: names(&view.features[answering..]),
            complete: complete(&journal),
            online_entries: None,
        };
        if view.in_place {
            status.online_entries = Some(0);
            return Ok(status);
        }
        let Some(name) = catalog.table_name(&view.id) else { return Ok(status) };
        status.quarantined = lines_below(&self.project().quarantine_path().join(&name))?;
        if online {
            status.online_entries = Some(self.online_entries(&name).await?);
        }
        if !self.project().history_path().exists() {
            return Ok(status);
        }
        status.last_run = last_run(&self.offline().await?.journal(&name).await?)?;
        let Some(table) = self.offline().await?.existing_table(&name).await? else { return Ok(status) };
        for file in table.files()? {
            status.rows += file.rows;
            status.files += 1;
            status.bytes += file.size;
        }
        status.small_files = table.files_to_compact(&journal.ranks(!view.aggregates()))?;
        status.compact = status.small_files >= SMALL_FILES_MANY;
        if let Some(newest) = newest_event(&table, &journal).await? {
            let age = self.now().micros() - newest.micros();
            status.newest_event = Some(newest.to_string());
            status.age_seconds = Some(age as f64 / 1e6);
            status.behind = view.freshness.is_some_and(|promise| age > promise.micros());
        }
        Ok(status)
    }

    /// Bytes of the online store: of its files in a folder, or of the memory that its servers use.
    ///
    /// # Errors
    /// Those of an online store on a server.
    pub async fn online_bytes(&self) -> Result<u64, StoreError> {
        match self.project().settings.online_is_remote() {
            true => Ok(self.online().await?.memory_bytes().await?.unwrap_or(0)),
            false => Ok(folder_bytes(&self.project().online_path())),
        }
    }

    /// Whether the online store can be read: the reason why not, where another process holds it.
    async fn online_is_readable(&self) -> Result<Result<(), String>, StoreError> {
        if !self.project().has_online_store() {
            return Ok(Ok(()));
        }
        match self.online().await {
            Ok(_) => Ok(Ok(())),
            Err(StoreError::Online(error @ OnlineError::Locked { .. })) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }

    async fn online_entries(&self, table: &str) -> Result<u64, StoreError> {
        if !self.project().has_online_store() {
            return Ok(0);
        }
        let online = self.online().await?;
        let Some(handle) = online.find(table).await? else { return Ok(0) };
        let (mut entries, mut after): (u64, Option<Vec<u8>>) = (0, None);
        loop {
            let page = online.keys(handle, after.as_deref(), KEYS_PAGE).await?;
            entries += page.len() as u64;
            let full = page.len() == KEYS_PAGE;
            after = page.into_iter().next_back().filter(|_| full);
            if after.is_none() {
                return Ok(entries);
            }
        }
    }
}

/// The last complete load in a journal, which stands in order of stamps.
fn last_run(entries: &[JournalEntry]) -> Result<Option<LastRun>, StoreError> {
    let (mut last, mut rows) = (None, 0);
    for entry in entries {
        match Note::read(&entry.note)? {
            Note::Rows { .. } => rows += entry.rows,
            Note::Load { from, until, .. } => {
                let (from, until) = range(from, until);
                last = Some(LastRun { at: entry.visible.to_string(), from, until, rows });
                rows = 0;
            }
            Note::Replace { from, until, rows: brought, .. } => {
                let (from, until) = range(from, until);
                last = Some(LastRun { at: entry.visible.to_string(), from, until, rows: brought });
                rows = 0;
            }
            Note::Waiting { .. } | Note::Staged { .. } | Note::Files { .. } | Note::Snapshot { .. } => {}
        }
    }
    Ok(last)
}

/// The bounds of a range of microseconds, where it has any.
fn range(from: i64, until: i64) -> (Option<String>, Option<String>) {
    let instant = |micros: i64| Instant::from_micros(micros).map(|at| at.to_string());
    (instant(from).filter(|_| from > Instant::MIN.micros()), instant(until))
}

fn complete(journal: &ViewJournal) -> Vec<Complete> {
    let sets: BTreeSet<usize> = journal.loads.iter().map(|load| load.features).collect();
    let covered = |features: usize| {
        let loads = journal.loads.iter().filter(|load| load.features >= features);
        let mut ranges: Vec<(i64, i64)> = loads.map(|load| (load.range.from, load.range.until)).collect();
        ranges.sort_unstable();
        let mut joined: Vec<(i64, i64)> = Vec::new();
        for (from, until) in ranges {
            match joined.last_mut() {
                Some(last) if from <= last.1 => last.1 = last.1.max(until),
                _ => joined.push((from, until)),
            }
        }
        joined.into_iter().map(|(from, until)| range(from, until)).collect()
    };
    sets.into_iter().map(|features| Complete { features, ranges: covered(features) }).collect()
}

/// The event of the newest published row: the newest days are read until there is one.
async fn newest_event(table: &Table, journal: &ViewJournal) -> Result<Option<Instant>, StoreError> {
    let published = |file: &asof_offline::DataFile| {
        file.rows > 0 && file.units.iter().any(|unit| journal.units.number(unit).is_some())
    };
    let days: BTreeSet<i32> =
        table.files()?.iter().filter(|file| published(file)).map(|file| file.day).collect();
    for day in days.into_iter().rev() {
        let from = Instant::from_micros_clamped(i64::from(day) * 86_400_000_000);
        let mut scan = Scan::of([EVENT, UNIT]);
        scan.event_from = Some(from);
        let mut newest: Option<i64> = None;
        let mut batches = table.scan(scan);
        while let Some(batch) = batches.try_next().await? {
            let events = batch.column(0).as_primitive::<TimestampMicrosecondType>();
            let units = batch.column(1).as_string::<i32>();
            for (event, unit) in events.values().iter().zip(units) {
                if newest.is_none_or(|newest| *event > newest)
                    && unit.is_some_and(|unit| journal.units.number(unit).is_some())
                {
                    newest = Some(*event);
                }
            }
        }
        if let Some(newest) = newest {
            return Ok(Some(Instant::from_micros_clamped(newest)));
        }
    }
    Ok(None)
}

fn seconds(duration: asof_model::Duration) -> f64 {
    duration.micros() as f64 / 1e6
}

/// The lines of the files in a folder; 0 where there is none.
fn lines_below(folder: &Path) -> Result<u64, StoreError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(|error| reading(folder, error))?,
    };
    let mut lines = 0;
    for entry in entries {
        let path = entry.map_err(|error| reading(folder, error))?.path();
        if path.extension().is_some_and(|end| end == "ndjson") {
            let file = std::fs::File::open(&path).map_err(|error| reading(&path, error))?;
            lines += BufReader::new(file).split(b'\n').count() as u64;
        }
    }
    Ok(lines)
}

/// The bytes of the files below a folder. What goes away meanwhile counts nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}
