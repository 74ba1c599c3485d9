//! Data files: what their names and statistics say, and which of them a scan has to read.

use std::collections::{BTreeSet, HashMap, HashSet};

use asof_model::time::parse_day;
use asof_model::{Duration, Instant, Zone};
use deltalake_core::DeltaTable;
use deltalake_core::kernel::LogicalFileView;
use serde_json::Value;

use crate::columns::{EVENT_DATE, EVENT_TIMESTAMP};

/// The longest name of a unit, in bytes: it is part of a file's name.
const UNIT_BYTES_MAX: usize = 128;

/// Rows that a batch of a scan has where the caller does not say.
const BATCH_ROWS: usize = 8_192;

/// One data file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFile {
    /// Relative to the table's folder.
    pub path: String,
    /// The units that its rows are of, in order of their names: one for a file as a unit brought it, any number for a
    /// compacted one. Also units whose rows are gone: folded into others, cut or erased. None for a file that this
    /// crate did not write.
    pub units: Vec<String>,
    /// In bytes.
    pub size: u64,
    /// How many rows it holds.
    pub rows: u64,
    /// The UTC day of all its events: days since 1970-01-01.
    pub day: i32,
    /// No event in it is earlier. `None`: not known.
    pub event_min: Option<Instant>,
    /// No event in it is later. `None`: not known.
    pub event_max: Option<Instant>,
}

impl DataFile {
    /// No event in it is earlier, by its statistics or its day.
    pub fn event_from(&self) -> Instant {
        self.event_min.unwrap_or_else(|| Instant::from_micros_clamped(i64::from(self.day) * DAY_MICROS))
    }

    /// No event in it is later.
    pub fn event_until(&self) -> Instant {
        let end = (i64::from(self.day) + 1) * DAY_MICROS - 1;
        self.event_max.unwrap_or_else(|| Instant::from_micros_clamped(end))
    }

    /// Whether it is a file as a unit brought it.
    pub(crate) fn is_of_one_unit(&self) -> bool {
        unit_of(&self.path).is_some()
    }
}

/// What to read of a table.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The columns to return, in this order. No other column is read.
    pub columns: Vec<String>,
    /// Events before this instant are of no use. They may come all the same: only whole files and row groups are
    /// left out.
    pub event_from: Option<Instant>,
    /// Events after this instant are of no use; one at this instant is. They may come all the same.
    pub event_until: Option<Instant>,
    /// Only rows of these units, exactly. `None`: of all.
    pub units: Option<HashSet<String>>,
    /// Whether `units` only says which files are read, and rows of other units in them come too.
    pub whole_files: bool,
    /// The most rows of a returned batch; 0 counts as 1.
    pub batch_rows: usize,
}

impl Scan {
    /// All rows, with these columns.
    pub fn of(columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            event_from: None,
            event_until: None,
            units: None,
            whole_files: false,
            batch_rows: BATCH_ROWS,
        }
    }

    /// Whether `file` may hold a row that this scan wants.
    pub(crate) fn wants(&self, file: &DataFile) -> bool {
        let unit = self.units.as_ref().is_none_or(|units| file.units.iter().any(|unit| units.contains(unit)));
        let from = self
            .event_from
            .is_none_or(|from| from.day() <= file.day && file.event_max.is_none_or(|max| from <= max));
        let until = self
            .event_until
            .is_none_or(|until| file.day <= until.day() && file.event_min.is_none_or(|min| min <= until));
        unit && from && until && file.rows > 0
    }
}

/// Whether `unit` can be part of a file name.
pub(crate) fn is_unit(unit: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !unit.is_empty() && unit.len() <= UNIT_BYTES_MAX && unit.bytes().all(plain)
}

/// The path of the unit's file number `number`.
///
/// `attempt` is drawn anew for each attempt at the unit, so that one which was given up, or is still under way in
/// another process, can never change a file that the log names.
pub(crate) fn file_path(date: &str, unit: &str, number: usize, attempt: &str) -> String {
    format!("{EVENT_DATE}={date}/part-{unit}-{number}-{attempt}.parquet")
}

/// The unit in a path of [`file_path`]. `None` for other names.
pub(crate) fn unit_of(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?.strip_prefix("part-")?.strip_suffix(".parquet")?;
    let (rest, _attempt) = name.rsplit_once('-')?;
    let (unit, number) = rest.rsplit_once('-')?;
    (is_unit(unit) && number.parse::<usize>().is_ok()).then_some(unit)
}

/// The path of a file that a rewrite makes. It names no unit: which ones it holds is in the log.
pub(crate) fn compacted_path(date: &str, number: usize, attempt: &str) -> String {
    format!("{EVENT_DATE}={date}/compacted-{number}-{attempt}.parquet")
}

/// What a log entry says of the units in a file whose name does not: their names, with commas between them.
const UNITS_TAG: &str = "asof.units";

/// The log entry's tags for a file with rows of these units.
pub(crate) fn unit_tags(units: &BTreeSet<String>) -> HashMap<String, Option<String>> {
    let names: Vec<&str> = units.iter().map(String::as_str).collect();
    HashMap::from([(UNITS_TAG.to_owned(), Some(names.join(",")))])
}

/// The units that a log entry says are in its file.
fn tagged_units(view: &LogicalFileView) -> Vec<String> {
    #[expect(deprecated, reason = "the one way to the tags of a log entry")]
    let mut tags = view.add_action().tags.unwrap_or_default();
    let names = tags.remove(UNITS_TAG).flatten().unwrap_or_default();
    names.split(',').filter(|name| is_unit(name)).map(str::to_owned).collect()
}

/// The files of the version that `table` holds, in no order.
///
/// # Errors
/// The path of a file whose log entry is not understood, and why.
pub(crate) fn data_files(table: &DeltaTable) -> Result<Vec<DataFile>, (String, &'static str)> {
    let Ok(state) = table.snapshot() else { return Ok(Vec::new()) };
    state.log_data().iter().map(|view| data_file(&view)).collect()
}

fn data_file(view: &LogicalFileView) -> Result<DataFile, (String, &'static str)> {
    let path = view.path().into_owned();
    let day = view.partition_values_map().remove(EVENT_DATE).flatten().and_then(|text| parse_day(&text));
    let Some(day) = day else { return Err((path, "its partition is not a date")) };
    let stats: Value = view.stats().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let Some(rows) = stats["numRecords"].as_u64() else {
        return Err((path, "its number of rows is not in the log"));
    };
    let Ok(size) = u64::try_from(view.size()) else { return Err((path, "its size is not a size")) };
    let event = |bound: &str| stats[bound][EVENT_TIMESTAMP].as_str().and_then(parse_instant);
    Ok(DataFile {
        units: unit_of(&path).map_or_else(|| tagged_units(view), |unit| vec![unit.to_owned()]),
        size,
        rows,
        day,
        event_min: event("minValues"),
        // Statistics have milliseconds. We round a greatest value up, others cut it.
        event_max: event("maxValues").map(|max| max.plus(MILLISECOND)),
        path,
    })
}

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;

/// How far beyond a greatest value in the statistics a row can be.
const MILLISECOND: Duration = Duration::from_micros(1_000);

fn parse_instant(text: &str) -> Option<Instant> {
    Instant::parse(text, &Zone::utc())
}

#[cfg(test)]
mod tests {
    use super::{file_path, unit_of};

    /// Goal: whatever a unit may be called, its name comes back out of its files' names.
    #[test]
    fn units_come_back_from_file_names() {
        for unit in ["a", "a-1", "part-3-x", "2017-01-01.parquet", "-"] {
            let path = file_path("2017-01-01", unit, 12, "0a1b2c3d");
            assert_eq!(unit_of(&path), Some(unit), "{path}");
        }
        assert_eq!(unit_of("__event_date=2017-01-01/part-00000-c7f8-c000.snappy.parquet"), None);
    }
}
