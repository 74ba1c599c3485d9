//! What was done, step by step, for people who want to know why it took as long as it did.

use std::time::Instant;

use serde::Serialize;

use crate::history::History;
use crate::join::{HistoryScanned, LabelPass, Layout};
use crate::memory::{Memory, peak_bytes};

/// A training set's making.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// Bytes of memory that it may take.
    pub memory_bytes: u64,
    /// Threads that worked at a time.
    pub threads: usize,
    /// The labels.
    pub labels: LabelsExplained,
    /// What was read, for each history.
    pub scans: Vec<ScanExplained>,
    /// Bytes that went to scratch.
    pub spilled_bytes: u64,
    /// The steps in their order.
    pub steps: Vec<Step>,
}

/// How the labels were laid out.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LabelsExplained {
    /// Label rows.
    pub rows: u64,
    /// For each choice of key columns, in how many parts by the hash of the key.
    pub shards: Vec<usize>,
    /// Whether all slots were in memory at a time. If not, rows of history were put aside by key first.
    pub in_memory: bool,
}

/// What was read of one history.
#[derive(Debug, Clone, Serialize)]
pub struct ScanExplained {
    /// What it is.
    pub what: String,
    /// Files that were read.
    pub files: u64,
    /// Pieces that were read: row groups, or parts of large ones.
    pub pieces: u64,
    /// What was left out, and why.
    pub skipped: Skipped,
    /// Rows that were looked at.
    pub rows: u64,
    /// Of those, rows whose key a label has.
    pub candidates: u64,
    /// Seconds that threads spent on it, added up.
    pub thread_seconds: f64,
}

/// What was left out of a history, and why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Files that hold no event that can matter, by what their table or their footer says.
    pub files_out_of_time: u64,
    /// Files of which no row group is left for another reason.
    pub files_without_keys: u64,
    /// Row groups that hold no event that can matter.
    pub row_groups_out_of_time: u64,
    /// Row groups that hold no key of a label, by their statistics.
    pub row_groups_without_keys: u64,
    /// Row groups that hold no key of a label, by their bloom filters.
    pub row_groups_by_bloom_filter: u64,
    /// Rows in all that.
    pub rows: u64,
    /// Rows of pages that the page index rules out in the row groups that are left.
    pub rows_of_pages: u64,
}

/// One step.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// What was done.
    pub what: String,
    /// How long it took.
    pub seconds: f64,
    /// The most memory that the process had taken by its end. `None` where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
}

/// Measures a step.
pub(crate) struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }
}

impl Skipped {
    /// Adds what was left out elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.files_out_of_time += other.files_out_of_time;
        self.files_without_keys += other.files_without_keys;
        self.row_groups_out_of_time += other.row_groups_out_of_time;
        self.row_groups_without_keys += other.row_groups_without_keys;
        self.row_groups_by_bloom_filter += other.row_groups_by_bloom_filter;
        self.rows += other.rows;
        self.rows_of_pages += other.rows_of_pages;
    }
}

impl ScanExplained {
    pub(crate) fn new(what: &str, history: &dyn History, scanned: &HistoryScanned) -> Self {
        Self {
            what: what.to_owned(),
            files: history.files(),
            pieces: history.pieces().len() as u64,
            skipped: history.skipped(),
            rows: scanned.rows.iter().copied().max().unwrap_or(0),
            candidates: scanned.candidates,
            thread_seconds: scanned.seconds,
        }
    }
}

impl Explained {
    pub(crate) fn new(memory: Memory, threads: usize) -> Self {
        Self {
            memory_bytes: memory.limit,
            threads,
            labels: LabelsExplained::default(),
            scans: Vec::new(),
            spilled_bytes: 0,
            steps: Vec::new(),
        }
    }

    pub(crate) fn labels(&mut self, pass: &LabelPass<'_>, layout: &Layout, clock: &Clock) {
        let shards = pass.keyed.iter().map(|keyed| keyed.shards()).collect();
        self.labels = LabelsExplained { rows: pass.rows, shards, in_memory: layout.resident };
        self.step("read labels", clock);
    }

    /// Notes the end of all: bytes that went to scratch, and what is left of the time for writing.
    pub fn finish(&mut self, spilled_bytes: u64, elapsed: std::time::Duration) {
        self.spilled_bytes = spilled_bytes;
        let before: f64 = self.steps.iter().map(|step| step.seconds).sum();
        let seconds = (elapsed.as_secs_f64() - before).max(0.0);
        let what = "put together and write".to_owned();
        self.steps.push(Step { what, seconds, peak_memory_bytes: peak_bytes() });
    }

    /// Notes a step that ends now.
    pub(crate) fn step(&mut self, what: &str, clock: &Clock) {
        let seconds = clock.0.elapsed().as_secs_f64();
        self.steps.push(Step { what: what.to_owned(), seconds, peak_memory_bytes: peak_bytes() });
    }
}
