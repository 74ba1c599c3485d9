//! Units of pushed rows that came into history, each row under the name of a unit of its own: finishing what a killed run
//! left half done, and rebuilding them in a lost online store.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{Array, AsArray, UInt32Array};
use arrow::compute::take_record_batch;
use asof_engine::columns::UNIT;
use asof_model::Instant;
use asof_offline::{JournalEntry, Scan};
use asof_online::{EventRule, IncomingRow, Publication, UnitStamp};
use asof_training::join::{pushed_unit, read_pushed_unit};
use futures::TryStreamExt;

use super::unit::Target;
use super::view_rows::column;
use crate::StoreError;
use crate::journal::{Note, Pushed};

/// The rows of each unit that rows name, in order of when they became visible.
type Parts = BTreeMap<(Instant, usize), Vec<IncomingRow>>;

/// Finishes a unit of pushed rows that history holds. `entry`: what the journal beside history says of it; `None`: nothing.
///
/// # Errors
/// Those of history and of the online store.
pub(super) async fn finish_parted(
    target: &Target<'_>,
    unit: &str,
    note: &Note,
    entry: Option<&JournalEntry>,
) -> Result<(), StoreError> {
    let Some(pushed) = note.pushed() else { return Ok(()) };
    let (mut folded_to, mut visible, mut rows) = (target.journal().await?.pushed_to, None, 0);
    for UnitStamp { visible: at, note, rows: count, .. } in target.online.waiting(target.handle).await? {
        if let Note::Waiting { to, .. } = Note::read(&note)? {
            folded_to = folded_to.max(to);
            if to <= pushed.to {
                visible = visible.max(Some(at));
                rows += count;
            }
        }
    }
    if folded_to < pushed.to {
        rows = 0;
        for ((at, features), part) in parts_of(target, unit, pushed, entry.map(|entry| entry.visible)).await?
        {
            (visible, rows) = (visible.max(Some(at)), rows + part.len() as u64);
            refold(target, pushed, (at, features), part).await?;
        }
    }
    let entry = match entry {
        Some(entry) => entry.clone(),
        None => JournalEntry {
            table: target.table_name().to_owned(),
            unit: unit.to_owned(),
            // A unit that history holds has a row.
            visible: visible.unwrap_or(Instant::MIN),
            position: target.table.version(),
            rows,
            note: note.to_text(),
        },
    };
    target.settle(entry).await
}

/// Folds rows into the online store as they were folded once.
async fn refold(
    target: &Target<'_>,
    pushed: Pushed,
    (visible, features): (Instant, usize),
    rows: Vec<IncomingRow>,
) -> Result<(), StoreError> {
    // Until all of them are there, none of their positions counts as folded.
    let note = Note::Waiting { features, from: pushed.from, to: pushed.from - 1 };
    let publication = Publication {
        view: target.handle,
        layout: &target.of.layout,
        unit: &pushed_unit(visible, features),
        position: 0,
        note: &note.to_text(),
        created_declared: target.of.created_declared,
        active_within: target.of.active_within,
        visible: Some(visible),
        replaces: None,
        events: target.of.events.map(|rule| EventRule { pushed: true, ..rule }),
        waits: true,
        rows,
    };
    target.online.publish(publication).await?;
    Ok(())
}

/// The rows of a unit, by the units that they name. `until`: none became visible later; `None`: nobody knows.
async fn parts_of(
    target: &Target<'_>,
    unit: &str,
    pushed: Pushed,
    until: Option<Instant>,
) -> Result<Parts, StoreError> {
    let since = Instant::from_micros_clamped(pushed.since.unwrap_or(i64::MIN));
    let mut scan = Scan::of(target.history_columns());
    // A file that was compacted holds rows of others too; when each became visible tells.
    scan.units = Some(HashSet::from([unit.to_owned()]));
    scan.whole_files = true;
    let mut parts = Parts::new();
    let mut batches = target.table.scan(scan);
    while let Some(batch) = batches.try_next().await? {
        let names = column(&batch, UNIT)?.as_string::<i32>();
        let mut places: BTreeMap<(Instant, usize), Vec<u32>> = BTreeMap::new();
        for row in 0..names.len() {
            let named = read_pushed_unit(names.value(row));
            let within = |(at, _): &(Instant, usize)| since <= *at && until.is_none_or(|until| *at <= until);
            if let Some(part) = named.filter(within) {
                places.entry(part).or_default().push(row as u32);
            }
        }
        for (part, places) in places {
            let of_part = take_record_batch(&batch, &UInt32Array::from(places))
                .map_err(asof_engine::EngineError::from)?;
            target.of.incoming_rows(&of_part, part.1, parts.entry(part).or_default())?;
        }
    }
    Ok(parts)
}
