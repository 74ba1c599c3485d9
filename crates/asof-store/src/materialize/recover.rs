//! Finishes what a killed run left half done, and rebuilds a lost online store from history and its journal.
//!
//! A unit is in one of three states: in history only (killed before the fold), folded (killed before its stamp was
//! copied), or done. A unit whose stamp stands beside history is folded with that stamp: it is never redrawn.

use std::collections::{BTreeSet, HashMap, HashSet};

use asof_offline::{JournalEntry, Scan};
use asof_online::IncomingRow;
use futures::TryStreamExt;

use super::unit::Target;
use crate::journal::Note;
use crate::{Store, StoreError};

/// Finishes the units of one view. Returns how many had to be folded.
///
/// # Errors
/// Those of history and the online store; [`StoreError::Corrupt`] for a unit whose commit says nothing of it.
pub async fn finish_units(store: &Store, target: &mut Target<'_>) -> Result<u64, StoreError> {
    let folded: HashSet<String> =
        target.online.journal(target.handle).await?.into_iter().map(|stamp| stamp.unit).collect();
    check_history(target).await?;
    let mut recovered = 0;
    // In order of their stamps, as they were folded the first time.
    let kept: Vec<JournalEntry> = store.offline().await?.journal(target.table_name()).await?;
    for entry in kept.iter().filter(|entry| !folded.contains(&entry.unit)) {
        let note = Note::read(&entry.note)?;
        let rows = unit_rows(target, &entry.unit, &note).await?;
        target.fold(&entry.unit, entry.position, &note, Some(entry.visible), rows).await?;
        recovered += 1;
    }
    let stamped: HashSet<&str> = kept.iter().map(|entry| entry.unit.as_str()).collect();
    let units = target.table.units().await?;
    let pending: BTreeSet<&str> = units
        .iter()
        .map(|unit| unit.unit.as_str())
        .filter(|unit| !folded.contains(*unit) && !stamped.contains(unit))
        .collect();
    if !pending.is_empty() {
        let notes: HashMap<String, Note> =
            target.table.inputs().await?.into_iter().filter_map(note_of).collect();
        for unit in pending {
            let note = notes.get(unit).ok_or_else(|| {
                let table = target.table_name();
                StoreError::Corrupt(format!(
                    "the commit of unit `{unit}` in history table `{table}` says nothing of it"
                ))
            })?;
            let rows = unit_rows(target, unit, note).await?;
            target.fold(unit, target.table.version(), note, None, rows).await?;
            recovered += 1;
        }
    }
    target.copy_journal().await?;
    Ok(recovered)
}

/// Refuses a history that lacks units which were published, by the online store or by the journal beside history:
/// loading on would answer as if those rows had never been.
async fn check_history(target: &Target<'_>) -> Result<(), StoreError> {
    let units = target.table.units().await?;
    let there: HashSet<&str> = units.iter().map(|unit| unit.unit.as_str()).collect();
    let mut published = target.journal().await?.row_units;
    for entry in target.offline.journal(target.table_name()).await? {
        if matches!(Note::read(&entry.note)?, Note::Rows { .. }) {
            published.insert(entry.unit);
        }
    }
    target
        .refuse_lost(published.iter().filter(|unit| !there.contains(unit.as_str())).count(), published.len())
}

fn note_of(inputs: asof_offline::UnitInputs) -> Option<(String, Note)> {
    let note = serde_json::from_value(inputs.inputs.get("note")?.clone()).ok()?;
    Some((inputs.unit, note))
}

/// The rows of a unit, read back from history.
async fn unit_rows(target: &Target<'_>, unit: &str, note: &Note) -> Result<Vec<IncomingRow>, StoreError> {
    let Note::Rows { features, .. } = note else { return Ok(Vec::new()) };
    let mut scan = Scan::of(target.history_columns());
    scan.units = Some(HashSet::from([unit.to_owned()]));
    let mut rows = Vec::new();
    let mut batches = target.table.scan(scan);
    while let Some(batch) = batches.try_next().await? {
        target.incoming_rows(&batch, *features, &mut rows)?;
    }
    Ok(rows)
}
