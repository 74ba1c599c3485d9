//! Rows on their way to labels, gathered by the shards of their keys.
//!
//! The lock of a shard is then taken once for many rows, and memory is asked for what many rows need at a time.

use super::keys::KeyForm;
use crate::buckets::Record;

/// The most rows of a shard that wait: as many as pay for a visit, and not more, so that those of all shards stay in the
/// cache of a core.
const ROWS_MAX: usize = 256;

/// The least number of rows for which a shard is worth a visit.
const ROWS_MIN: usize = 32;

/// A row without its features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StagedRow {
    /// The number that its key is, or the hash of the bytes.
    pub key: u64,
    /// Microseconds.
    pub event: i64,
    /// Microseconds.
    pub created: i64,
    /// Its number in its piece.
    pub row: u32,
    /// Its publication unit.
    pub unit: u32,
}

/// The keys of rows, where they are bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyBytes {
    /// One after the other.
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<u32>,
}

/// Rows of one piece.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StagedRows<'a> {
    pub rows: &'a [StagedRow],
    pub keys: &'a KeyBytes,
}

/// Rows of one piece, for each shard.
pub(crate) struct Stage {
    /// `rows_max` places for each shard.
    rows: Vec<StagedRow>,
    /// How many rows of each shard wait.
    counts: Vec<u32>,
    /// For each shard; empty where keys are numbers.
    keys: Vec<KeyBytes>,
    rows_max: usize,
}

impl KeyBytes {
    /// The key of the row at a place.
    #[inline]
    pub fn at(&self, place: usize) -> &[u8] {
        let start = if place == 0 { 0 } else { self.ends[place - 1] as usize };
        &self.bytes[start..self.ends[place] as usize]
    }

    fn push(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len() as u32);
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

impl StagedRows<'_> {
    /// Writes the rows as a record for [`read`].
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend((self.rows.len() as u32).to_le_bytes());
        for StagedRow { key, event, created, row, unit } in self.rows {
            let mut bytes = [0; size_of::<StagedRow>()];
            bytes[..8].copy_from_slice(&key.to_le_bytes());
            bytes[8..16].copy_from_slice(&event.to_le_bytes());
            bytes[16..24].copy_from_slice(&created.to_le_bytes());
            bytes[24..28].copy_from_slice(&row.to_le_bytes());
            bytes[28..].copy_from_slice(&unit.to_le_bytes());
            out.extend(bytes);
        }
        self.keys.ends.iter().for_each(|end| out.extend(end.to_le_bytes()));
        out.extend_from_slice(&self.keys.bytes);
    }
}

/// Takes rows that were written, in the place of those that are there.
pub(crate) fn read(form: KeyForm, record: &mut Record<'_>, rows: &mut Vec<StagedRow>, keys: &mut KeyBytes) {
    rows.clear();
    keys.clear();
    let count = record.u32();
    rows.reserve(count as usize);
    for _ in 0..count {
        let (key, event, created) = (record.u64(), record.i64(), record.i64());
        rows.push(StagedRow { key, event, created, row: record.u32(), unit: record.u32() });
    }
    if form == KeyForm::Bytes {
        keys.ends.extend((0..count).map(|_| record.u32()));
        let length = keys.ends.last().map_or(0, |end| *end as usize);
        keys.bytes.extend_from_slice(record.bytes(length));
    }
}

impl Stage {
    /// A place for rows of so many shards; `bytes_max` bytes of rows may wait, about.
    pub fn new(form: KeyForm, shards: usize, bytes_max: u64) -> Self {
        let each = usize::try_from(bytes_max).unwrap_or(usize::MAX) / shards / size_of::<StagedRow>();
        let rows_max = each.clamp(ROWS_MIN, ROWS_MAX);
        let keyed = if form == KeyForm::Bytes { shards } else { 0 };
        Self {
            rows: vec![StagedRow::default(); shards * rows_max],
            counts: vec![0; shards],
            keys: vec![KeyBytes::default(); keyed],
            rows_max,
        }
    }

    /// Adds a row; `key`: its bytes, where keys are bytes. True: as many rows of its shard wait as may, and they are to be
    /// handed on before the next.
    #[inline]
    pub fn push(&mut self, shard: usize, row: StagedRow, key: Option<&[u8]>) -> bool {
        let count = self.counts[shard] as usize;
        self.rows[shard * self.rows_max + count] = row;
        self.counts[shard] = count as u32 + 1;
        if let Some(key) = key {
            self.keys[shard].push(key);
        }
        count + 1 == self.rows_max
    }

    /// Hands the rows of a shard on, where there are some.
    ///
    /// # Errors
    /// Those of `with`.
    pub fn hand_on<E>(
        &mut self,
        shard: usize,
        with: impl FnOnce(StagedRows<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let count = std::mem::take(&mut self.counts[shard]) as usize;
        if count == 0 {
            return Ok(());
        }
        let none = KeyBytes::default();
        let start = shard * self.rows_max;
        let keys = self.keys.get(shard).unwrap_or(&none);
        let handed_on = with(StagedRows { rows: &self.rows[start..start + count], keys });
        if let Some(keys) = self.keys.get_mut(shard) {
            keys.clear();
        }
        handed_on
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.counts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: rows come back as they were, with keys of numbers and of bytes, and a shard tells when it is full.
    #[test]
    fn rows_come_back() {
        let row =
            |row: u32| StagedRow { key: u64::from(row) << 40, event: -5, created: i64::MAX, row, unit: 7 };
        for form in [KeyForm::Number, KeyForm::Bytes] {
            let mut stage = Stage::new(form, 2, 0);
            for number in 0..ROWS_MIN as u32 {
                let key = "x".repeat(number as usize);
                let full = stage.push(1, row(number), (form == KeyForm::Bytes).then_some(key.as_bytes()));
                assert_eq!(full, number as usize + 1 == ROWS_MIN);
            }
            let (mut bytes, mut rows, mut keys) = (Vec::new(), Vec::new(), KeyBytes::default());
            let handed_on = stage.hand_on(1, |staged| {
                staged.write(&mut bytes);
                staged.write(&mut bytes);
                Ok::<(), ()>(())
            });
            assert_eq!(handed_on, Ok(()));
            let mut record = Record(&bytes);
            for _ in 0..2 {
                read(form, &mut record, &mut rows, &mut keys);
                assert_eq!(rows, (0..ROWS_MIN as u32).map(row).collect::<Vec<_>>());
                if form == KeyForm::Bytes {
                    assert!((0..ROWS_MIN).all(|place| keys.at(place).len() == place));
                }
            }
            assert!(record.is_empty());
            assert_eq!(stage.hand_on(1, |_| Err(())), Ok(()), "nothing is left");
        }
    }
}
