//! A sample of the answers that a server gave, kept so that `verify` can recompute them (SEMANTICS 7).
//!
//! Each line is one view's part of one answered entity row: the instant, the key, and of each feature the status, the
//! event instant and the canonical bytes that were served. The sample is bounded in rate and in size; it is a record
//! for checking, not an audit log, and losing it loses nothing else.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use asof_model::{Cell, Instant, Status, ValueType, canonical};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::get::{Answer, Answered, GetRequest, OnlinePlan, OpenAnswer, encoded_key};
use crate::project::{reading, writing};
use crate::{Store, StoreError};

/// Entity rows that are recorded in one second, at most.
pub const RECORDED_ROWS_PER_SECOND_MAX: u32 = 100;

/// A file of the sample is closed at this size; the file before it is kept, older ones are not.
pub const ANSWERS_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The files of the sample, the older first.
pub(crate) const ANSWER_FILES: [&str; 2] = [BEFORE, CURRENT];

const CURRENT: &str = "answers.ndjson";
const BEFORE: &str = "answers.before.ndjson";

/// One view's part of one answered entity row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedAnswer {
    /// The instant of the answer, microseconds since 1970.
    pub t: i64,
    /// The view's stored rows.
    pub table: String,
    /// The encoded key, hexadecimal.
    pub key: String,
    /// Whether values past their ttl were asked for.
    pub include_expired: bool,
    /// Feature to status and bytes: see [`answered_bytes`], hexadecimal.
    pub features: BTreeMap<String, String>,
}

/// Where a server records answers.
pub struct AnswerLog {
    folder: PathBuf,
    state: Mutex<State>,
}

struct State {
    file: Option<File>,
    bytes: u64,
    /// The second that `rows` counts.
    second: i64,
    rows: u32,
}

impl Store {
    /// Opens the record of answers.
    pub fn answer_log(&self) -> AnswerLog {
        let state = State { file: None, bytes: 0, second: 0, rows: 0 };
        AnswerLog { folder: self.project().answers_path(), state: Mutex::new(state) }
    }

    /// The recorded answers of one view's stored rows, newest first, at most `limit` of them. A line that a crash
    /// cut short, or that is no record, is left out.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(crate) fn recorded_answers(
        &self,
        table: &str,
        limit: usize,
    ) -> Result<Vec<RecordedAnswer>, StoreError> {
        let mut found = Vec::new();
        for name in ANSWER_FILES {
            let path = self.project().answers_path().join(name);
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(reading(&path, error)),
            };
            for line in BufReader::new(file).split(b'\n') {
                let line = line.map_err(|error| reading(&path, error))?;
                if let Ok(record) = serde_json::from_slice::<RecordedAnswer>(&line)
                    && record.table == table
                {
                    found.push(record);
                }
            }
        }
        found.reverse();
        found.truncate(limit);
        Ok(found)
    }
}

impl AnswerLog {
    /// Records rows of an answer given at `now`, as many as the bounds allow. Never waits: where another thread is recording, or the
    /// second's share is used up, nothing is recorded. Returns how many rows were.
    ///
    /// # Errors
    /// [`StoreError::Io`], and a damaged row. The answer is as good without its record.
    pub fn record(
        &self,
        now: Instant,
        plan: &OnlinePlan,
        request: &GetRequest,
        answer: &Answer,
    ) -> Result<usize, StoreError> {
        let Some(mut state) = self.state.try_lock() else { return Ok(0) };
        let second = now.micros().div_euclid(1_000_000);
        if state.second != second {
            (state.second, state.rows) = (second, 0);
        }
        let room = RECORDED_ROWS_PER_SECOND_MAX.saturating_sub(state.rows) as usize;
        let rows = answer.rows().min(room);
        if rows == 0 {
            return Ok(0);
        }
        state.rows += rows as u32;
        let open = answer.open(plan)?;
        let mut text = Vec::new();
        for row in 0..rows {
            for record in records(plan, request, (&open, answer.t), row)? {
                // A record of texts and numbers always has a JSON form.
                text.extend(serde_json::to_vec(&record).unwrap_or_default());
                text.push(b'\n');
            }
        }
        let path = self.folder.join(CURRENT);
        state.append(&self.folder, &text).map_err(|error| writing(&path, error))?;
        Ok(rows)
    }
}

impl State {
    fn append(&mut self, folder: &Path, text: &[u8]) -> std::io::Result<()> {
        let current = folder.join(CURRENT);
        if self.file.is_some() && std::fs::metadata(&current).map_or(0, |there| there.len()) != self.bytes {
            // It was rewritten: answers about a key were forgotten.
            self.file = None;
        }
        if self.file.is_some() && self.bytes + text.len() as u64 > ANSWERS_FILE_BYTES_MAX {
            self.file = None;
            std::fs::rename(&current, folder.join(BEFORE))?;
        }
        if self.file.is_none() {
            std::fs::create_dir_all(folder)?;
            let file = OpenOptions::new().create(true).append(true).open(&current)?;
            self.bytes = file.metadata()?.len();
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_all(text)?;
            self.bytes += text.len() as u64;
        }
        Ok(())
    }
}

/// The parts of one answered row, a view each. Rows with a null key are MISSING by definition and not recorded.
fn records(
    plan: &OnlinePlan,
    request: &GetRequest,
    (open, t): (&OpenAnswer<'_>, Instant),
    row: usize,
) -> Result<Vec<RecordedAnswer>, StoreError> {
    let mut records = Vec::new();
    for (place, join) in plan.plan.joins.iter().enumerate() {
        let Some(key) = encoded_key(join, request, row) else { continue };
        let mut features = BTreeMap::new();
        for (at, column) in plan.plan.columns.iter().enumerate() {
            if column.stored().is_some_and(|(join, _)| join == place) {
                let feature = plan.plan.feature(column);
                let answered = open.column(at).get(row)?.to_answered();
                features.insert(feature.name.clone(), hex(&answered_bytes(feature.value_type, &answered)));
            }
        }
        records.push(RecordedAnswer {
            t: t.micros(),
            table: join.table.clone(),
            key: hex(&key),
            include_expired: request.include_expired,
            features,
        });
    }
    Ok(records)
}

/// Status, event instant and value of an answer as the bytes that are compared.
pub(crate) fn answered_bytes(value_type: ValueType, answered: &Answered) -> Vec<u8> {
    let mut bytes = vec![match answered.status {
        Status::Present => 0,
        Status::Null => 1,
        Status::Missing => 2,
        Status::OutsideTtl => 3,
        Status::Error => 4,
    }];
    bytes.extend(answered.event.map_or(i64::MIN, Instant::micros).to_le_bytes());
    let cell = answered.value.clone().map_or(Cell::Null, Cell::Value);
    canonical::write_cell(&mut bytes, value_type, &cell);
    bytes
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal text; `None` where it is none.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
