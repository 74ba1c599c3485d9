//! The rows of an answer while it is put together.

use std::ops::Range;

use asof_model::Instant;

use crate::entry::StoredRowRef;
use crate::events::StoredEvents;
use crate::row_bytes::RowBytes;
use crate::store::AnswerRow;

/// Rows by the places of their keys. Their bytes stand one after the other, so that whoever writes them finds them
/// together.
pub struct AnswerRows {
    rows: Vec<Option<AnswerRow>>,
    bytes: Vec<u8>,
    /// The places of rows, and where their bytes stand.
    parts: Vec<(usize, Range<usize>)>,
}

impl AnswerRows {
    /// For so many keys, each without a row.
    pub fn new(keys: usize) -> Self {
        Self { rows: vec![None; keys], bytes: Vec::new(), parts: Vec::with_capacity(keys) }
    }

    /// Puts the row of a key, if it has one.
    pub fn put(&mut self, place: usize, row: Option<StoredRowRef<'_>>) {
        let Some(row) = row else { return };
        let from = self.bytes.len();
        self.bytes.extend_from_slice(row.row);
        self.parts.push((place, from..self.bytes.len()));
        self.rows[place] = Some(AnswerRow {
            event: row.event,
            created: row.created,
            visible: row.visible,
            position: row.position,
            row: RowBytes::default(),
            events: None,
        });
    }

    /// Puts the events of a key at `t`. Which of them count is for whoever closes their windows to say.
    pub fn put_events(&mut self, place: usize, t: Instant, events: StoredEvents) {
        let (row, events) = (RowBytes::default(), Some(events));
        self.rows[place] = Some(AnswerRow { event: t, created: t, visible: t, position: 0, row, events });
    }

    /// All rows.
    pub fn finish(mut self) -> Vec<Option<AnswerRow>> {
        let bytes = self.bytes.into();
        for (place, part) in self.parts {
            if let Some(row) = &mut self.rows[place] {
                row.row = RowBytes::part(&bytes, part);
            }
        }
        self.rows
    }
}
