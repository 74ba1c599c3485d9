//! How a unit changes what is stored under one key of a view that carries values, whatever stores it: pure functions
//! around [`crate::fold`], shared by every implementation of the trait, so that they store the same rows.

use std::collections::BTreeMap;

use asof_model::Instant;

use crate::entry::{EncodedEntry, StoredRow, decode_entry, encode_entry};
use crate::error::OnlineError;
use crate::fold::{FoldRow, FoldUnit, fold};
use crate::store::{
    KEY_BYTES_MAX, NAME_BYTES_MAX, NOTE_BYTES_MAX, PUBLICATION_BYTES_MAX, PUBLICATION_ROWS_MAX, Publication,
    Published, REPLACEMENT_ROWS_MAX,
};

/// What comes for one key.
#[derive(Debug, Clone, Default)]
pub struct Coming {
    /// New rows.
    pub rows: Vec<FoldRow>,
    /// Rows of earlier units that stand again.
    pub restored: Vec<StoredRow>,
}

/// What becomes of a key.
#[derive(Debug, PartialEq, Eq)]
pub enum Change {
    /// It stays as it is.
    Nothing,
    /// These records are stored under it.
    Put(EncodedEntry),
    /// It holds no row any more.
    Remove,
}

impl Published {
    /// Of a unit that did nothing. `already`: it was journaled before.
    pub fn nothing(visible: Instant, already: bool) -> Self {
        Self {
            visible,
            already,
            rows_added: 0,
            rows_repeated: 0,
            rows_beaten: 0,
            rows_inactive: 0,
            rows_removed: 0,
            conflicts: 0,
            waiting: 0,
            overflowed: 0,
        }
    }
}

/// Takes the rows out of a publication, by key in key order.
pub fn by_key(publication: &mut Publication<'_>) -> BTreeMap<Vec<u8>, Coming> {
    let mut by_key: BTreeMap<Vec<u8>, Coming> = BTreeMap::new();
    for row in publication.rows.drain(..) {
        let fold_row = FoldRow { event: row.event, created: row.created, row: row.row };
        by_key.entry(row.key).or_default().rows.push(fold_row);
    }
    if let Some(replaces) = &mut publication.replaces {
        for (key, row) in replaces.restored.drain(..) {
            by_key.entry(key).or_default().restored.push(row);
        }
    }
    by_key
}

/// Folds what comes for one key into its records, `stored` (the entry and its overflow record), at the stamp, and adds to
/// the counts.
///
/// # Errors
/// Damaged rows, stored or given; [`OnlineError::TooLarge`].
pub fn change(
    publication: &Publication<'_>,
    stored: Option<(&[u8], Option<&[u8]>)>,
    coming: Coming,
    published: &mut Published,
) -> Result<Change, OnlineError> {
    let visible = published.visible;
    let unit = FoldUnit {
        visible,
        position: publication.position,
        layout: publication.layout,
        created_declared: publication.created_declared,
    };
    let mut rows = match stored {
        Some((entry, overflow)) => decode_entry(entry, overflow)?,
        None => Vec::new(),
    };
    let before = rows.len();
    if let Some(replaces) = &publication.replaces {
        rows.retain(|row| !replaces.events.contains(row.event));
    }
    let removed = before - rows.len();
    let restored = !coming.restored.is_empty();
    rows.extend(coming.restored);
    let served = rows.iter().any(|row| row.in_force() <= visible);
    let mut folded = fold(rows, coming.rows, unit)?;
    if !served && folded.leave_inactive(publication.active_within, visible) {
        published.rows_inactive += 1;
    }
    published.rows_added += folded.added;
    published.rows_repeated += folded.repeated;
    published.rows_beaten += folded.beaten;
    published.rows_removed += removed as u64;
    published.conflicts += folded.conflicts;
    published.waiting += folded.waiting;
    let encoded = encode_entry(&folded.rows)?;
    published.overflowed += encoded.overflowed as u64;
    if !folded.changed && removed == 0 && !restored {
        return Ok(Change::Nothing);
    }
    match (folded.rows.is_empty(), stored) {
        (true, None) => Ok(Change::Nothing),
        (true, Some(_)) => Ok(Change::Remove),
        (false, _) => Ok(Change::Put(encoded)),
    }
}

/// Refuses what is past a bound, and rows that could not be read again.
///
/// # Errors
/// [`OnlineError::TooLarge`]; damaged rows.
pub fn check(publication: &Publication<'_>) -> Result<(), OnlineError> {
    let restored = publication.replaces.as_ref().map_or(&[][..], |replaces| &replaces.restored);
    let (what, rows_max) = match publication.replaces {
        Some(_) => ("a replacement", REPLACEMENT_ROWS_MAX),
        None => ("a publication", PUBLICATION_ROWS_MAX),
    };
    check_size(what, "rows", publication.rows.len() + restored.len(), rows_max)?;
    check_size("the name of a unit", "bytes", publication.unit.len(), NAME_BYTES_MAX)?;
    check_size("the note of a unit", "bytes", publication.note.len(), NOTE_BYTES_MAX)?;
    let mut bytes = 0;
    let rows = publication.rows.iter().map(|row| (&row.key, &row.row));
    for (key, row) in rows.chain(restored.iter().map(|(key, stored)| (key, &stored.row))) {
        check_size("an encoded key", "bytes", key.len(), KEY_BYTES_MAX)?;
        publication.layout.check(row).map_err(|error| error.at(publication.view, key))?;
        bytes += key.len() + row.len();
    }
    check_size(what, "bytes", bytes, PUBLICATION_BYTES_MAX)
}

/// Refuses a size past its bound.
///
/// # Errors
/// [`OnlineError::TooLarge`].
pub fn check_size(
    what: &'static str,
    unit: &'static str,
    found: usize,
    max: usize,
) -> Result<(), OnlineError> {
    if found > max {
        return Err(OnlineError::TooLarge { what, unit, found: found as u64, max: max as u64 });
    }
    Ok(())
}
