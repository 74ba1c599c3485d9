//! Finishes what a killed run left half done, and rebuilds a lost online store from history and its journal.
//!
//! A unit is in one of three states: in history only (killed before the fold), folded (killed before its stamp was
//! copied), or done. A unit whose stamp stands beside history is folded with that stamp: it is never redrawn.

use std::collections::{BTreeSet, HashMap, HashSet};

use arrow::array::{Array, AsArray, UInt32Array};
use arrow::compute::take_record_batch;
use asof_engine::columns::UNIT;
use asof_offline::{JournalEntry, Scan};
use asof_online::IncomingRow;
use asof_training::join::Interval;
use futures::TryStreamExt;

use super::parted::finish_parted;
use super::replace::Replacement;
use super::unit::{Fold, Target};
use super::view_rows::column;
use crate::journal::Note;
use crate::{Store, StoreError};

/// Rows of lost units that are read back together, at most, unless one unit has more: they are in memory until they are
/// folded.
const ROWS_TOGETHER_MAX: u64 = 500_000;

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
    let lost: Vec<(&JournalEntry, Note)> = kept
        .iter()
        .filter(|entry| !folded.contains(&entry.unit))
        .map(|entry| Ok((entry, Note::read(&entry.note)?)))
        .collect::<Result<_, StoreError>>()?;
    for some in read_together(&lost) {
        let whole = some.iter().filter(|(_, note)| !note.is_parted());
        let units: HashMap<&str, &Note> = whole.map(|(entry, note)| (&*entry.unit, note)).collect();
        let mut rows = rows_of(target, &units).await?;
        for (entry, note) in some {
            if note.is_parted() {
                finish_parted(target, &entry.unit, note, Some(entry)).await?;
                recovered += 1;
                continue;
            }
            let rows = rows.remove(entry.unit.as_str()).unwrap_or_default();
            refold(target, entry, note, rows).await?;
            recovered += 1;
        }
    }
    let published = target.journal().await?.row_units;
    let units = target.table.units()?;
    let pending: BTreeSet<&str> =
        units.iter().map(String::as_str).filter(|unit| !published.contains_key(*unit)).collect();
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
            if note.is_parted() {
                finish_parted(target, unit, note, None).await?;
                recovered += 1;
            } else if let Note::Rows { .. } = note {
                // A unit of a replacement that was not published is nobody's business.
                let mut rows = rows_of(target, &HashMap::from([(unit, note)])).await?;
                let rows = rows.remove(unit).unwrap_or_default();
                let position = target.table.version();
                target.fold(Fold { unit, position, note, visible: None, rows }, None).await?;
                recovered += 1;
            }
        }
    }
    target.copy_journal().await?;
    Ok(recovered)
}

/// Folds what the journal beside history holds, at the stamp of old.
async fn refold(
    target: &Target<'_>,
    entry: &JournalEntry,
    note: &Note,
    rows: Vec<IncomingRow>,
) -> Result<(), StoreError> {
    let (unit, position, visible) = (entry.unit.as_str(), entry.position, Some(entry.visible));
    let Note::Replace { features, from, until, units, .. } = note else {
        target.fold(Fold { unit, position, note, visible, rows }, None).await?;
        return Ok(());
    };
    let range = Interval { from: *from, until: *until };
    let rows = target.gather_units(units, *features, entry.visible).await?;
    let replacement = Replacement { name: unit.to_owned(), range, note: note.clone(), position, rows };
    target.publish_replacement(replacement, visible).await?;
    Ok(())
}

/// Refuses a history that lacks units which were published, by the online store or by the journal beside history:
/// loading on would answer as if those rows had never been.
async fn check_history(target: &Target<'_>) -> Result<(), StoreError> {
    let there = target.table.units()?;
    let mut published: BTreeSet<String> = target.journal().await?.row_units.into_keys().collect();
    for entry in target.offline.journal(target.table_name()).await? {
        match Note::read(&entry.note)? {
            Note::Rows { .. } => drop(published.insert(entry.unit)),
            Note::Replace { units, .. } => published.extend(units),
            Note::Waiting { .. }
            | Note::Staged { .. }
            | Note::Load { .. }
            | Note::Files { .. }
            | Note::Snapshot { .. } => {}
        }
    }
    target.refuse_lost(published.iter().filter(|unit| !there.contains(*unit)).count(), published.len())
}

fn note_of(inputs: asof_offline::UnitInputs) -> Option<(String, Note)> {
    let note = serde_json::from_value(inputs.inputs.get("note")?.clone()).ok()?;
    Some((inputs.unit, note))
}

/// Cuts lost units into runs whose rows are read back in one scan: the files of history may hold many units each.
fn read_together<'a, 'e>(lost: &'a [(&'e JournalEntry, Note)]) -> Vec<&'a [(&'e JournalEntry, Note)]> {
    let (mut runs, mut from, mut rows) = (Vec::new(), 0, 0);
    for (place, (entry, _)) in lost.iter().enumerate() {
        if place > from && rows + entry.rows > ROWS_TOGETHER_MAX {
            runs.push(&lost[from..place]);
            (from, rows) = (place, 0);
        }
        rows += entry.rows;
    }
    runs.push(&lost[from..]);
    runs
}

/// The rows of units, read back from history.
async fn rows_of<'u>(
    target: &Target<'_>,
    units: &HashMap<&'u str, &Note>,
) -> Result<HashMap<&'u str, Vec<IncomingRow>>, StoreError> {
    let carried = |(unit, note): (&&'u str, &&Note)| match note {
        Note::Rows { features, .. } => Some((*unit, *features)),
        _ => None,
    };
    let features: HashMap<&str, usize> = units.iter().filter_map(carried).collect();
    let mut rows: HashMap<&str, Vec<IncomingRow>> = HashMap::new();
    if features.is_empty() {
        return Ok(rows);
    }
    let mut scan = Scan::of(target.history_columns());
    scan.units = Some(features.keys().map(|unit| (*unit).to_owned()).collect());
    let mut batches = target.table.scan(scan);
    while let Some(batch) = batches.try_next().await? {
        let names = column(&batch, UNIT)?.as_string::<i32>();
        let mut places: HashMap<&str, Vec<u32>> = HashMap::new();
        (0..names.len()).for_each(|row| places.entry(names.value(row)).or_default().push(row as u32));
        for (unit, places) in places {
            let Some((unit, features)) = features.get_key_value(unit) else { continue };
            let of_unit = take_record_batch(&batch, &UInt32Array::from(places))
                .map_err(asof_engine::EngineError::from)?;
            target.of.incoming_rows(&of_unit, *features, rows.entry(*unit).or_default())?;
        }
    }
    Ok(rows)
}
