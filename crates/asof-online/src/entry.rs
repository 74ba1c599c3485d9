//! The bytes under one (view, key): the row in force and the rows that wait (SEMANTICS 3).
//!
//! Rows are ranked best first by (event, created, canonical bytes). Those that will be in force soonest stand in the
//! entry itself; beyond [`WAITING_INLINE_MAX`] waiting rows the latest go to one overflow record, which a reader
//! opens only from the first instant at which one of them is in force. Both records have one form.
//!
//! Version 1, all integers little-endian:
//!
//! | part | bytes |
//! | --- | --- |
//! | head | version `u8` = 1, flags `u8` (1: there is an overflow record), 2 bytes of 0, rows in this record `u32` |
//! | overflow from | the first instant at which the overflow record matters, `i64` |
//! | per row | event, created, visible `i64`, position `u64`, rank `u32`, end offset `u32` of its bytes |
//! | bytes | the rows one after the other |

use asof_model::Instant;

use crate::error::OnlineError;
use crate::fields::Fields;

/// The most waiting rows that stand in the entry itself.
pub const WAITING_INLINE_MAX: usize = 8;
/// The most bytes of one record: a bound on what one read or one write of one key can cost.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

const ENTRY_VERSION: u8 = 1;
const FLAG_OVERFLOW: u8 = 1;
const HEAD_BYTES: usize = 16;
const ROW_BYTES: usize = 40;

/// A row as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// When the fact became true.
    pub event: Instant,
    /// When its source says it was known.
    pub created: Instant,
    /// The stamp of the unit that first brought it.
    pub visible: Instant,
    /// The position of that unit.
    pub position: u64,
    /// Its features, by [`crate::RowLayout::encode`].
    pub row: Vec<u8>,
}

impl StoredRow {
    /// The first instant at which the row is in force: `max(event, created, visible)` (SEMANTICS 1).
    pub fn in_force(&self) -> Instant {
        self.event.max(self.created).max(self.visible)
    }
}

/// A row read in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRowRef<'e> {
    /// See [`StoredRow::event`].
    pub event: Instant,
    /// See [`StoredRow::created`].
    pub created: Instant,
    /// See [`StoredRow::visible`].
    pub visible: Instant,
    /// See [`StoredRow::position`].
    pub position: u64,
    /// The rank of the row among all rows of the key, 0 the greatest.
    pub rank: u32,
    /// Its features.
    pub row: &'e [u8],
}

impl StoredRowRef<'_> {
    /// As [`StoredRow::in_force`].
    pub fn in_force(&self) -> Instant {
        self.event.max(self.created).max(self.visible)
    }
}

/// The records of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedEntry {
    /// The entry itself.
    pub entry: Vec<u8>,
    /// The overflow record, if there is one.
    pub overflow: Option<Vec<u8>>,
    /// Rows in the overflow record.
    pub overflowed: usize,
}

/// The records of these rows, which stand best first. All but the last may be waiting.
///
/// # Errors
/// [`OnlineError::TooLarge`] past [`RECORD_BYTES_MAX`].
pub fn encode_entry(rows: &[StoredRow]) -> Result<EncodedEntry, OnlineError> {
    let mut soonest: Vec<usize> = (0..rows.len()).collect();
    // One more than the bound: the row in force does not wait.
    if rows.len() > WAITING_INLINE_MAX + 1 {
        soonest.sort_by_key(|rank| (rows[*rank].in_force(), *rank));
    }
    let mut later = soonest.split_off(rows.len().min(WAITING_INLINE_MAX + 1));
    soonest.sort_unstable();
    let overflow_from = later.iter().map(|rank| rows[*rank].in_force()).min();
    later.sort_unstable();
    let overflow = match overflow_from {
        Some(_) => Some(encode_record(rows, &later, None)?),
        None => None,
    };
    let entry = encode_record(rows, &soonest, overflow_from)?;
    Ok(EncodedEntry { entry, overflow, overflowed: later.len() })
}

/// The rows of a key, best first. `overflow` is its overflow record, where [`overflow_from`] says there is one.
///
/// # Errors
/// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
pub fn decode_entry(entry: &[u8], overflow: Option<&[u8]>) -> Result<Vec<StoredRow>, OnlineError> {
    let mut ranked = Vec::new();
    for record in [Some(entry), overflow].into_iter().flatten() {
        let record = Record::read(record)?;
        for index in 0..record.rows {
            ranked.push(record.row(index)?);
        }
    }
    ranked.sort_by_key(|row| row.rank);
    Ok(ranked
        .into_iter()
        .map(|row| StoredRow {
            event: row.event,
            created: row.created,
            visible: row.visible,
            position: row.position,
            row: row.row.to_vec(),
        })
        .collect())
}

/// The row of this record in force at `t`: the greatest with `max(event, created, visible) <= t`. Where
/// [`overflow_from`] is not after `t`, the overflow record has to be asked too, and [`better`] chooses.
///
/// # Errors
/// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
pub fn row_at(entry: &[u8], t: Instant) -> Result<Option<StoredRowRef<'_>>, OnlineError> {
    let record = Record::read(entry)?;
    for index in 0..record.rows {
        // Rows stand best first, so the first one in force is the greatest.
        let row = record.row(index)?;
        if row.in_force() <= t {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

/// The event of the smallest row of a key: what was smaller has been dropped. `None` where there is no row. `overflow` is
/// its overflow record, where [`overflow_from`] says there is one.
///
/// # Errors
/// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
pub fn smallest_event(entry: &[u8], overflow: Option<&[u8]>) -> Result<Option<Instant>, OnlineError> {
    let mut smallest: Option<StoredRowRef<'_>> = None;
    for record in [Some(entry), overflow].into_iter().flatten() {
        let record = Record::read(record)?;
        // Rows stand best first.
        if let Some(last) = record.rows.checked_sub(1) {
            let row = record.row(last)?;
            if smallest.as_ref().is_none_or(|known| known.rank < row.rank) {
                smallest = Some(row);
            }
        }
    }
    Ok(smallest.map(|row| row.event))
}

/// The first instant at which a row of the overflow record is in force; `None` where there is no such record.
///
/// # Errors
/// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
pub fn overflow_from(entry: &[u8]) -> Result<Option<Instant>, OnlineError> {
    Ok(Record::read(entry)?.overflow_from)
}

/// The greater of two rows of one key.
pub fn better<'e>(a: Option<StoredRowRef<'e>>, b: Option<StoredRowRef<'e>>) -> Option<StoredRowRef<'e>> {
    [a, b].into_iter().flatten().min_by_key(|row| row.rank)
}

fn encode_record(
    rows: &[StoredRow],
    ranks: &[usize],
    overflow_from: Option<Instant>,
) -> Result<Vec<u8>, OnlineError> {
    let body: usize = ranks.iter().map(|rank| rows[*rank].row.len()).sum();
    let bytes = HEAD_BYTES + ranks.len() * ROW_BYTES + body;
    if bytes > RECORD_BYTES_MAX {
        return Err(OnlineError::TooLarge {
            what: "what is stored under one key",
            unit: "bytes",
            found: bytes as u64,
            max: RECORD_BYTES_MAX as u64,
        });
    }
    // Counts and offsets fit 32 bits, as the record is smaller than that.
    let mut out = Vec::with_capacity(bytes);
    out.extend([ENTRY_VERSION, if overflow_from.is_some() { FLAG_OVERFLOW } else { 0 }, 0, 0]);
    out.extend((ranks.len() as u32).to_le_bytes());
    out.extend(overflow_from.map_or(0, Instant::micros).to_le_bytes());
    let mut end = 0_u32;
    for rank in ranks {
        let row = &rows[*rank];
        end += row.row.len() as u32;
        out.extend(row.event.micros().to_le_bytes());
        out.extend(row.created.micros().to_le_bytes());
        out.extend(row.visible.micros().to_le_bytes());
        out.extend(row.position.to_le_bytes());
        out.extend((*rank as u32).to_le_bytes());
        out.extend(end.to_le_bytes());
    }
    for rank in ranks {
        out.extend(&rows[*rank].row);
    }
    Ok(out)
}

/// A record, its head read and checked.
struct Record<'e> {
    fields: Fields<'e>,
    rows: usize,
    overflow_from: Option<Instant>,
}

impl<'e> Record<'e> {
    fn read(bytes: &'e [u8]) -> Result<Self, OnlineError> {
        let fields = Fields::new("entry", bytes);
        fields.check_version(ENTRY_VERSION)?;
        let overflow_from = match (fields.u8(1)?, fields.u16(2)?) {
            (0, 0) => None,
            (FLAG_OVERFLOW, 0) => Some(fields.instant(8)?),
            _ => return Err(fields.damaged("it carries flags that version 1 does not have")),
        };
        let rows = fields.u32(4)? as usize;
        if HEAD_BYTES + rows * ROW_BYTES > bytes.len() {
            return Err(fields.damaged("it ends before its rows"));
        }
        Ok(Self { fields, rows, overflow_from })
    }

    fn row(&self, index: usize) -> Result<StoredRowRef<'e>, OnlineError> {
        let at = HEAD_BYTES + index * ROW_BYTES;
        let body = HEAD_BYTES + self.rows * ROW_BYTES;
        let start = if index == 0 { 0 } else { self.fields.u32(at - 4)? as usize };
        let end = self.fields.u32(at + 36)? as usize;
        Ok(StoredRowRef {
            event: self.fields.instant(at)?,
            created: self.fields.instant(at + 8)?,
            visible: self.fields.instant(at + 16)?,
            position: self.fields.u64(at + 24)?,
            rank: self.fields.u32(at + 32)?,
            row: self.fields.slice(body + start, body + end)?,
        })
    }
}
