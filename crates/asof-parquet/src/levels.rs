//! Which values of a page are null: the definition levels of a flat, optional column, one bit each.

use arrow::array::BooleanBufferBuilder;
use arrow::buffer::BooleanBuffer;

use crate::error::ParquetFailure;
use crate::hybrid::{Run, Runs};

/// Bits of one word whose values are counted together.
const WORD: usize = 64;

/// The nulls of a page that has some.
pub(crate) struct Validity {
    bits: BooleanBuffer,
    /// For each word of bits, how many values stand before it.
    before: Vec<u32>,
    words: Vec<u64>,
}

impl Validity {
    /// Reads the levels of `count` values. `None`: no value is null.
    pub fn read(bytes: &[u8], count: usize) -> Result<Option<Self>, ParquetFailure> {
        let mut runs = Runs::new(bytes, 1, count)?;
        let mut bits: Option<BooleanBufferBuilder> = None;
        // Most pages are one run of values.
        let mut values = 0;
        while let Some(run) = runs.next()? {
            match run {
                Run::Repeated { value: 1, count } if bits.is_none() => values += count,
                Run::Repeated { value, count: more } => {
                    builder(&mut bits, values, count).append_n(more, value == 1);
                }
                Run::Packed { bytes, count: more } => {
                    builder(&mut bits, values, count).append_packed_range(0..more, bytes);
                }
            }
        }
        Ok(bits.map(|mut bits| Self::new(bits.finish())))
    }

    fn new(bits: BooleanBuffer) -> Self {
        let chunks = bits.bit_chunks();
        let words: Vec<u64> = chunks.iter_padded().collect();
        let mut total = 0;
        let before = words
            .iter()
            .map(|word| {
                let before = total;
                total += word.count_ones();
                before
            })
            .collect();
        Self { bits, before, words }
    }

    /// The place of a row's value among the values of the page, which leave nulls out. `None`: it is null.
    pub fn place(&self, row: usize) -> Option<usize> {
        let (word, bit) = (self.words[row / WORD], row % WORD);
        (word >> bit & 1 == 1).then(|| self.values_before(row))
    }

    /// How many values stand before a row of the page, or before its end.
    pub fn values_before(&self, row: usize) -> usize {
        let Some(word) = self.words.get(row / WORD) else { return self.values() };
        let below = word & ((1_u64 << (row % WORD)) - 1);
        self.before[row / WORD] as usize + below.count_ones() as usize
    }

    /// How many values there are.
    pub fn values(&self) -> usize {
        match (self.before.last(), self.words.last()) {
            (Some(before), Some(word)) => *before as usize + word.count_ones() as usize,
            _ => 0,
        }
    }

    pub fn bits(&self) -> &BooleanBuffer {
        &self.bits
    }
}

/// The builder, with the values that came before there was a null.
fn builder(
    bits: &mut Option<BooleanBufferBuilder>,
    values: usize,
    count: usize,
) -> &mut BooleanBufferBuilder {
    bits.get_or_insert_with(|| {
        let mut bits = BooleanBufferBuilder::new(count);
        bits.append_n(values, true);
        bits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: places count values and leave nulls out, across words and at the end.
    #[test]
    fn places() {
        let valid = |row: usize| !row.is_multiple_of(3);
        let rows = 200;
        let mut bytes = vec![(rows / 8) as u8 * 2 + 1];
        bytes.extend(
            (0..rows / 8).map(|byte| (0..8).map(|bit| u8::from(valid(byte * 8 + bit)) << bit).sum::<u8>()),
        );
        let found = Validity::read(&bytes, rows).unwrap().unwrap();
        let mut values = 0;
        for row in 0..rows {
            assert_eq!(found.values_before(row), values);
            assert_eq!(found.place(row), valid(row).then_some(values));
            values += usize::from(valid(row));
        }
        assert_eq!((found.values(), found.values_before(rows)), (values, values));
        assert!(Validity::read(&[0xc8, 1, 1], 100).unwrap().is_none(), "one run of values");
        assert!(Validity::read(&[0xc6, 1, 1], 100).is_err(), "one level is missing");
    }
}
