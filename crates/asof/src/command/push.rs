//! `asof push`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use asof_model::plan::Catalog;
use asof_store::push::{Flush, PushFile, PushReport, PushRequest, REJECTED_SHOWN_MAX};
use asof_store::{Progress, Store, StoreError};
use clap::Args;
use tokio::task::JoinHandle;

use crate::arguments::{Format, FormatOption};
use crate::failure::Failure;
use crate::output::{Table, count, counted};
use crate::session::Session;
use crate::{Everywhere, Outcome, output};

/// Rows of one push: small enough for one message to a server, large enough to spread the cost of making it durable.
const ROWS_MAX: usize = 50_000;

/// Bytes of the rows of one push, a row more or less.
const BYTES_MAX: usize = 4_000_000;

/// What to push.
#[derive(Debug, Args)]
pub(crate) struct Push {
    /// The source
    #[arg(value_name = "SOURCE")]
    source: String,
    /// A file of rows (.json, .ndjson, .csv, .parquet, also packed), or `-` for JSON objects, one on each line, from stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What tells these rows from all others: pushed again with the same key, they change nothing
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    #[command(flatten)]
    format: FormatOption,
}

impl Push {
    pub(crate) async fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let store = everywhere.store("asof push")?;
        let catalog = store.applied_catalog().await?;
        // A name that is none is refused before anything is read.
        let columns = store.pushed_columns(&catalog, &self.source)?;
        let mut pushing = Pushing::new(everywhere.session("asof push").await?, catalog);
        let mut all = PushReport { source: self.source.clone(), ..PushReport::default() };
        let mut number = 0_u64;
        let progress = everywhere.progress();
        let mut rows = Rows::default();
        let (mut lines, mut file): (Option<Box<dyn BufRead>>, Option<PushFile>) = match () {
            () if self.file.as_os_str() == "-" => (Some(Box::new(BufReader::new(std::io::stdin()))), None),
            () if is_lines(&self.file) => {
                let open = File::open(&self.file);
                let failed = |error| Failure::new(format!("cannot read {}: {error}", self.file.display()));
                (Some(Box::new(BufReader::with_capacity(LINES_BUFFER_BYTES, open.map_err(failed)?))), None)
            }
            () => (None, Some(PushFile::open(&store, &self.source, &self.file, &columns)?)),
        };
        loop {
            let more = match &mut file {
                Some(file) => match file.next().transpose()? {
                    Some(batch) => {
                        all.rejected += batch.broken.len() as u64;
                        all.reasons.extend(batch.broken);
                        rows.waiting.extend(batch.rows);
                        true
                    }
                    None => false,
                },
                None => match &mut lines {
                    Some(lines) => rows.read(lines)?,
                    None => false,
                },
            };
            while rows.waiting.len() >= ROWS_MAX || (!more && !rows.waiting.is_empty()) {
                let (some, first) = rows.take();
                let key = self.key.as_ref().map(|key| format!("{key}/{number}"));
                number += 1;
                let request = PushRequest { source: self.source.clone(), rows: some, key };
                let report = pushing.run(&request, &progress).await?;
                add(&mut all, report, first);
            }
            if !more {
                break;
            }
        }
        pushing.finish().await?;
        drop(progress);
        all.reasons.truncate(REJECTED_SHOWN_MAX);
        match self.format.format {
            Format::Json => output::print_json(&all)?,
            Format::Text => output::print(&text(&all))?,
        }
        output::remark(remarks(&all), everywhere);
        Ok(if all.rejected > 0 { Outcome::Differs } else { Outcome::Done })
    }
}

/// Bytes of a file of lines that are read at a time.
const LINES_BUFFER_BYTES: usize = 1 << 20;

/// Whether a file is JSON objects, one on each line, that need no reader to take apart.
fn is_lines(file: &Path) -> bool {
    let lines = file.extension().is_some_and(|suffix| suffix == "ndjson" || suffix == "jsonl");
    lines && file.is_file()
}

/// Where pushes go. In this process, rows are folded while the next ones are admitted.
struct Pushing {
    session: Session,
    catalog: Catalog,
    /// Whether a push went through, so that it is known where they go.
    begun: bool,
    folding: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Pushing {
    fn new(session: Session, catalog: Catalog) -> Self {
        Self { session, catalog, begun: false, folding: None }
    }

    async fn run(&mut self, request: &PushRequest, progress: &dyn Progress) -> Result<PushReport, Failure> {
        let store = match &self.session {
            Session::Here(store) if self.begun => store.clone(),
            _ => {
                let report = self.session.run(request, progress).await?;
                self.begun = true;
                return Ok(report);
            }
        };
        let report = loop {
            match store.admit(&self.catalog, request).await {
                Err(error) if error.is_full() => {
                    self.folded().await?;
                    store.settle_pushed().await?;
                }
                admitted => break admitted?,
            }
        };
        if self.folding.as_ref().is_none_or(JoinHandle::is_finished) {
            self.folded().await?;
            self.folding = Some(tokio::spawn(fold(store)));
        }
        Ok(report)
    }

    /// Waits for what is being folded.
    async fn folded(&mut self) -> Result<(), Failure> {
        let Some(folding) = self.folding.take() else { return Ok(()) };
        let died = |error| Failure::new(format!("folding what was pushed died: {error}"));
        Ok(folding.await.map_err(died)??)
    }

    /// Waits until all that was pushed in this process is in history.
    async fn finish(mut self) -> Result<(), Failure> {
        self.folded().await?;
        match &self.session {
            Session::Here(store) if self.begun => Ok(store.settle_pushed().await?),
            _ => Ok(()),
        }
    }
}

async fn fold(store: Arc<Store>) -> Result<(), StoreError> {
    store.fold_pushed().await?;
    store.flush_pushed(Flush::Due).await?;
    Ok(())
}

/// Rows on their way.
#[derive(Default)]
struct Rows {
    waiting: Vec<String>,
    /// Rows that were sent before.
    sent: u64,
}

impl Rows {
    /// Reads some lines. False: there is none left.
    fn read(&mut self, from: &mut impl BufRead) -> Result<bool, Failure> {
        let mut bytes = 0;
        while self.waiting.len() < ROWS_MAX && bytes < BYTES_MAX {
            let mut line = Vec::new();
            let failed =
                |error: std::io::Error| Failure::new(format!("cannot read the rows to push: {error}"));
            if from.by_ref().read_until(b'\n', &mut line).map_err(failed)? == 0 {
                return Ok(false);
            }
            bytes += line.len();
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if !text.is_empty() {
                self.waiting.push(text.to_owned());
            }
        }
        Ok(true)
    }

    /// Some rows, and how many were taken before.
    fn take(&mut self) -> (Vec<String>, u64) {
        let mut bytes = 0;
        let fits = |row: &String| {
            bytes += row.len();
            bytes <= BYTES_MAX
        };
        let fit = self.waiting.iter().take(ROWS_MAX).map(fits).take_while(|fits| *fits).count();
        let rest = self.waiting.split_off(fit.max(1).min(self.waiting.len()));
        let some = std::mem::replace(&mut self.waiting, rest);
        let first = self.sent;
        self.sent += some.len() as u64;
        (some, first)
    }
}

/// Adds the report of rows behind `first` others.
fn add(all: &mut PushReport, report: PushReport, first: u64) {
    all.accepted += report.accepted;
    all.rejected += report.rejected;
    all.reasons.extend(report.reasons.into_iter().map(|mut rejected| {
        rejected.row += first;
        rejected
    }));
    all.positions = match (all.positions, report.positions) {
        (Some((first, _)), Some((_, last))) => Some((first, last)),
        (before, after) => after.or(before),
    };
    all.repeat = report.repeat;
    all.exactly_once = report.exactly_once;
    all.views = report.views;
}

fn text(report: &PushReport) -> String {
    let mut table = Table::new(&["source", "#accepted", "#rejected", "log positions", "views"]);
    let positions =
        report.positions.map_or_else(|| "-".to_owned(), |(first, last)| format!("{first}..{last}"));
    table.row([
        report.source.clone(),
        count(report.accepted),
        count(report.rejected),
        positions,
        report.views.join(", "),
    ]);
    table.to_string()
}

fn remarks(report: &PushReport) -> Vec<String> {
    let mut remarks: Vec<String> =
        report.reasons.iter().map(|rejected| format!("row {}: {}", rejected.row, rejected.reason)).collect();
    if report.rejected > report.reasons.len() as u64 {
        remarks
            .push(format!("{} more", counted(report.rejected - report.reasons.len() as u64, "rejected row")));
    }
    if report.repeat {
        remarks.push("the same push came before: nothing was done".to_owned());
    }
    if report.accepted > 0 && !report.exactly_once {
        remarks.push(
            "pushed again, these rows would count again: name the push with `--key`, or the source's `event_id`"
                .to_owned(),
        );
    }
    remarks
}
