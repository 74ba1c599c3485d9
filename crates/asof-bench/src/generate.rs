//! The files of a workload: a project that trains on them at once.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use asof_engine::Progress;
use parking_lot::Mutex;
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde::Serialize;

use crate::workload::GROUP_ROWS;
use crate::{BenchError, Workload, rows};

/// Rows that are drawn at a time.
const BATCH_ROWS: u64 = 50_000;

/// What the work is called.
const WRITE: &str = "write the workload";

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Generated {
    /// The folder: a project.
    pub folder: PathBuf,
    /// The label table.
    pub labels: PathBuf,
    /// Rows of history.
    pub history_rows: u64,
    /// Files of history.
    pub history_files: u32,
    /// Bytes of history.
    pub history_bytes: u64,
    /// Label rows.
    pub label_rows: u64,
    /// Bytes of labels.
    pub label_bytes: u64,
}

/// The definitions over the files.
const FEATURES: &str = "\
# Made to measure with. The history is read where it lies: `asof apply`, then
# `asof train --labels labels.parquet --service all -o training.parquet`.
entities:
  entity: { keys: { entity_id: int64 } }

sources:
  history: { path: history, event: event_timestamp, created: created_timestamp }

feature_views:
  activity:
    entities: entity
    source: history
    in_place: true
    ttl: 7d
    features: { amount: float64, visits: int64, score: float32, category: string }

feature_services:
  all: { features: [activity: \"*\"] }
";

/// Writes history and labels of a workload into a folder that is not there yet, or empty, as a project.
///
/// # Errors
/// [`BenchError::Taken`], [`BenchError::Workload`], [`BenchError::Io`], [`BenchError::Stopped`]; then what was written so
/// far stays.
pub fn generate(
    folder: &Path,
    workload: &Workload,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Generated, BenchError> {
    workload.check()?;
    let taken = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some());
    if taken {
        return Err(BenchError::Taken { path: folder.to_owned() });
    }
    let history = folder.join("history");
    fs::create_dir_all(&history).map_err(|error| failed(&history, error))?;
    for (name, text) in [("asof.toml", "project = \"bench\"\n"), ("features.yaml", FEATURES)] {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| failed(&path, error))?;
    }
    progress.begin(WRITE, "rows", Some(workload.rows + workload.labels));
    let file = |number: u32| Table {
        path: history.join(format!("part-{number:05}.parquet")),
        rows: workload.rows_of(number),
        schema: rows::history_schema(),
        draw: rows::history,
    };
    let labels = Table {
        path: folder.join("labels.parquet"),
        rows: 0..workload.labels,
        schema: rows::label_schema(),
        draw: rows::labels,
    };
    // The label table is one more file.
    let next = AtomicU32::new(0);
    let error: Mutex<Option<BenchError>> = Mutex::new(None);
    let worker = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number > workload.files || error.lock().is_some() {
                return;
            }
            let written = match number.checked_sub(1) {
                Some(number) => file(number).write(workload, progress),
                None => labels.write(workload, progress),
            };
            if let Err(failed) = written {
                error.lock().get_or_insert(failed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(worker);
        }
        worker();
    });
    progress.finish(WRITE, &format!("{} files", workload.files + 1));
    if let Some(error) = error.into_inner() {
        return Err(error);
    }
    let bytes =
        |path: &Path| fs::metadata(path).map(|facts| facts.len()).map_err(|error| failed(path, error));
    let mut history_bytes = 0;
    for number in 0..workload.files {
        history_bytes += bytes(&file(number).path)?;
    }
    Ok(Generated {
        folder: folder.to_owned(),
        label_bytes: bytes(&labels.path)?,
        labels: labels.path,
        history_rows: workload.rows,
        history_files: workload.files,
        history_bytes,
        label_rows: workload.labels,
    })
}

/// A file to write.
struct Table {
    path: PathBuf,
    rows: std::ops::Range<u64>,
    schema: SchemaRef,
    draw: fn(&Workload, std::ops::Range<u64>) -> Result<RecordBatch, ArrowError>,
}

impl Table {
    fn write(&self, workload: &Workload, progress: &dyn Progress) -> Result<(), BenchError> {
        let broken = |error: ParquetError| failed(&self.path, std::io::Error::other(error));
        let file = File::create(&self.path).map_err(|error| failed(&self.path, error))?;
        let properties = WriterProperties::builder()
            .set_compression(parquet::basic::Compression::SNAPPY)
            .set_max_row_group_row_count(Some(GROUP_ROWS as usize))
            .build();
        let mut writer = ArrowWriter::try_new(file, self.schema.clone(), Some(properties)).map_err(broken)?;
        let mut start = self.rows.start;
        while start < self.rows.end {
            let end = self.rows.end.min(start + BATCH_ROWS);
            let batch = (self.draw)(workload, start..end);
            writer.write(&batch.map_err(|error| broken(error.into()))?).map_err(broken)?;
            progress.advance(WRITE, end - start);
            if !progress.wanted() {
                return Err(BenchError::Stopped);
            }
            start = end;
        }
        writer.close().map_err(broken)?;
        Ok(())
    }
}

fn failed(path: &Path, source: std::io::Error) -> BenchError {
    BenchError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use asof_engine::NoProgress;

    /// Goal: the same workload is the same files, on any number of threads, and has the rows that it says.
    #[test]
    fn the_same_from_the_same_seed() {
        let workload = Workload { files: 3, ..Workload::new(120_000, 5_000) };
        let mut first: Option<Vec<Vec<u8>>> = None;
        for threads in [1, 3] {
            let folder = tempfile::tempdir().unwrap();
            let made = generate(folder.path(), &workload, threads, &NoProgress).unwrap();
            assert_eq!((made.history_rows, made.history_files, made.label_rows), (120_000, 3, 5_000));
            let mut files: Vec<PathBuf> = fs::read_dir(folder.path().join("history"))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .collect();
            files.sort();
            files.push(made.labels.clone());
            let bytes: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
            let total: usize = bytes[..3].iter().map(Vec::len).sum();
            assert_eq!(made.history_bytes, total as u64);
            assert!(*first.get_or_insert_with(|| bytes.clone()) == bytes);
            let again = generate(folder.path(), &workload, threads, &NoProgress).unwrap_err();
            assert!(matches!(again, BenchError::Taken { .. }), "{again}");
        }
        let other = tempfile::tempdir().unwrap();
        let made = generate(other.path(), &Workload { seed: 2, ..workload }, 1, &NoProgress).unwrap();
        assert_ne!(Some(&fs::read(made.labels).unwrap()), first.as_ref().and_then(|files| files.last()));
    }

    /// Goal: numbers that don't go together are refused before anything is written.
    #[test]
    fn workloads_that_cannot_be() {
        let folder = tempfile::tempdir().unwrap();
        let right = Workload::new(1_000, 10);
        for wrong in [
            Workload { rows: 0, ..right.clone() },
            Workload { labels: 0, ..right.clone() },
            Workload { entities: 0, ..right.clone() },
            Workload { days: 0, ..right.clone() },
            Workload { files: 0, ..right },
        ] {
            let refused = generate(folder.path(), &wrong, 1, &NoProgress);
            assert!(matches!(refused, Err(BenchError::Workload { .. })), "{refused:?}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
