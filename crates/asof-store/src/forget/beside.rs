//! Forgetting in what is kept beside the stores: rows set aside, answers on record, records of training sets.

use std::io::Write;
use std::path::Path;

use asof_engine::source::BadRow;
use asof_model::Instant;

use super::history::Held;
use super::noted::bad_row_key;
use super::{Forgotten, ViewForgotten};
use crate::answers::{ANSWER_FILES, RecordedAnswer, unhex};
use crate::project::{reading, writing};
use crate::{Store, StoreError};

impl Store {
    /// Forgets rows that were set aside. Returns how many.
    pub(super) fn forget_quarantined(
        &self,
        table: &str,
        held: &Held,
        forgotten: &Forgotten,
    ) -> Result<u64, StoreError> {
        let folder = self.project().quarantine_path().join(table);
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(|error| reading(&folder, error))?,
        };
        let mut rows = 0;
        for entry in entries {
            let path = entry.map_err(|error| reading(&folder, error))?.path();
            if path.is_file() {
                // What is no row of ours was cut short by a crash; the next load writes it anew.
                let stays = |line: &[u8]| {
                    serde_json::from_slice::<BadRow>(line).is_ok_and(|row| !is_of_key(&row, held, forgotten))
                };
                rows += retain_lines(&path, stays)?;
            }
        }
        Ok(rows)
    }

    /// Forgets answers on record, and counts them with their views.
    pub(super) fn forget_answers(
        &self,
        forgotten: &Forgotten,
        views: &mut [(String, Held, ViewForgotten)],
    ) -> Result<(), StoreError> {
        for name in ANSWER_FILES {
            let path = self.project().answers_path().join(name);
            if !path.exists() {
                continue;
            }
            let stays = |line: &[u8]| {
                let Ok(record) = serde_json::from_slice::<RecordedAnswer>(line) else { return false };
                let of = views.iter_mut().find(|(table, _, _)| *table == record.table);
                let (Some((_, held, done)), Some(key)) = (of, unhex(&record.key)) else { return true };
                let gone = held.has(&key, forgotten);
                done.answers += u64::from(gone);
                !gone
            };
            retain_lines(&path, stays)?;
        }
        Ok(())
    }
}

impl Store {
    /// Says in the records of training sets over `views`, which held the key, that they can't be made again as they were.
    /// Which keys a set read is not on record, so it is said of each. Returns how many say so now.
    pub(super) fn mark_training_sets(
        &self,
        entity: &str,
        at: Instant,
        views: &[&str],
    ) -> Result<u64, StoreError> {
        let folder = self.project().training_path();
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            entries => entries.map_err(|error| reading(&folder, error))?,
        };
        let mut marked = 0;
        for entry in entries {
            let path = entry.map_err(|error| reading(&folder, error))?.path();
            let text = std::fs::read(&path).map_err(|error| reading(&path, error))?;
            // What is no record of ours was cut short by a crash, or is somebody else's.
            let Ok(mut record) = serde_json::from_slice::<serde_json::Value>(&text) else { continue };
            let joined = record["views"].as_array().into_iter().flatten();
            if !joined.filter_map(|join| join["view"].as_str()).any(|view| views.contains(&view)) {
                continue;
            }
            let Some(fields) = record.as_object_mut() else { continue };
            fields.insert("reproducible".to_owned(), false.into());
            let erasures = fields.entry("erasures").or_insert_with(|| serde_json::json!([]));
            if let Some(erasures) = erasures.as_array_mut() {
                erasures.push(serde_json::json!({ "entity": entity, "at": at.to_string() }));
            }
            rewrite(&path, &serde_json::to_vec_pretty(&record).unwrap_or_default())?;
            marked += 1;
        }
        Ok(marked)
    }
}

/// Whether a row that was set aside is one of the key, as far as it could be read.
fn is_of_key(row: &BadRow, held: &Held, forgotten: &Forgotten) -> bool {
    if let Some(text) = row.values.get("*").filter(|_| row.values.len() == 1) {
        let text = text.as_deref().unwrap_or_default();
        return forgotten.texts.iter().all(|part| text.contains(part.as_str()));
    }
    match &held.view {
        Some(_) => {
            let key = bad_row_key(row, &forgotten.entity, held.source.as_ref());
            key.is_some_and(|key| key == forgotten.encoded)
        }
        None => {
            let value = |part: &String| row.values.values().any(|value| value.as_ref() == Some(part));
            forgotten.texts.iter().all(value)
        }
    }
}

/// Rewrites a file with the lines that stay, whole or not at all. Returns how many went.
fn retain_lines(path: &Path, mut stays: impl FnMut(&[u8]) -> bool) -> Result<u64, StoreError> {
    let text = std::fs::read(path).map_err(|error| reading(path, error))?;
    let (mut kept, mut gone) = (Vec::with_capacity(text.len()), 0);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if stays(line) { kept.extend_from_slice(line) } else { gone += 1 }
    }
    if gone > 0 {
        rewrite(path, &kept)?;
    }
    Ok(gone)
}

/// Replaces a file, whole or not at all.
fn rewrite(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let staged = path.with_extension("rewritten");
    let write = || {
        let mut file = std::fs::File::create(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&staged, path)?;
        match path.parent() {
            Some(folder) => std::fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|error| writing(path, error))
}
