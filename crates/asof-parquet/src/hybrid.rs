//! The hybrid of runs and bit-packed groups in which Parquet stores levels and the places of dictionary values.
//!
//! A run is a header and its bytes. The header is a varint: with its lowest bit 0, the rest of it counts repetitions of one
//! value, which follows in whole bytes; with 1, it counts groups of eight values, which follow packed from the lowest bit.

use crate::error::{ParquetFailure, damaged};

/// A part of the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run<'a> {
    /// One value so many times.
    Repeated { value: u32, count: usize },
    /// Values packed from the lowest bit; the last groups may hold more than there are.
    Packed { bytes: &'a [u8], count: usize },
}

/// The runs of `count` values of `width` bits each.
pub(crate) struct Runs<'a> {
    bytes: &'a [u8],
    width: usize,
    left: usize,
}

impl<'a> Runs<'a> {
    /// # Errors
    /// A width that no value has.
    pub fn new(bytes: &'a [u8], width: usize, count: usize) -> Result<Self, ParquetFailure> {
        if width > 32 {
            return Err(damaged("a packed value has more than 32 bits"));
        }
        Ok(Self { bytes, width, left: count })
    }

    /// The next run; `None` after the last.
    pub fn next(&mut self) -> Result<Option<Run<'a>>, ParquetFailure> {
        while self.left > 0 {
            let header = self.varint()?;
            if header & 1 == 1 {
                let length =
                    usize::try_from(header >> 1).ok().and_then(|groups| groups.checked_mul(self.width));
                // The last group may be cut where its values end.
                let length = length.map_or(self.bytes.len(), |length| length.min(self.bytes.len()));
                let (bytes, rest) = self.bytes.split_at(length);
                self.bytes = rest;
                let told = usize::try_from(header >> 1).ok().and_then(|groups| groups.checked_mul(8));
                let count = told.map_or(self.left, |count| count.min(self.left));
                if count * self.width > bytes.len() * 8 {
                    return Err(damaged("packed values end in the middle"));
                }
                self.left -= count;
                if count > 0 {
                    return Ok(Some(Run::Packed { bytes, count }));
                }
            } else {
                let length = self.width.div_ceil(8);
                let Some((value, rest)) = self.bytes.split_at_checked(length) else {
                    return Err(damaged("a run ends in the middle"));
                };
                self.bytes = rest;
                let mut whole = [0; 4];
                whole[..length].copy_from_slice(value);
                let count = usize::try_from(header >> 1).map_or(self.left, |count| count.min(self.left));
                self.left -= count;
                if count > 0 {
                    return Ok(Some(Run::Repeated { value: u32::from_le_bytes(whole), count }));
                }
            }
            if self.bytes.is_empty() && self.left > 0 {
                return Err(damaged("there are fewer values than the page says"));
            }
        }
        Ok(None)
    }

    fn varint(&mut self) -> Result<u64, ParquetFailure> {
        let mut value = 0;
        for (place, byte) in self.bytes.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f).checked_shl(7 * place as u32).unwrap_or(0);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[place + 1..];
                return Ok(value);
            }
        }
        Err(damaged("the header of a run ends in the middle"))
    }
}

/// Appends `count` values of `width` bits from `bytes`, which hold as many.
pub(crate) fn unpack(bytes: &[u8], width: usize, count: usize, out: &mut Vec<u32>) {
    if width == 0 {
        out.extend(std::iter::repeat_n(0, count));
        return;
    }
    let mask = ((1_u64 << width) - 1) as u32;
    out.reserve(count);
    // As long as eight bytes can be taken from where a value begins: its at most 32 bits lie within.
    let whole = bytes.len().checked_sub(8).map_or(0, |last| (last * 8 / width + 1).min(count));
    let mut bit = 0;
    for _ in 0..whole {
        let Some(word) = bytes.get(bit / 8..).and_then(|rest| rest.first_chunk::<8>()) else { break };
        out.push((u64::from_le_bytes(*word) >> (bit % 8)) as u32 & mask);
        bit += width;
    }
    for place in bit / width..count {
        let bit = place * width;
        let mut word = [0; 8];
        let rest = bytes.get(bit / 8..).unwrap_or_default();
        let length = rest.len().min(8);
        word[..length].copy_from_slice(&rest[..length]);
        out.push((u64::from_le_bytes(word) >> (bit % 8)) as u32 & mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(values: &[u32], width: usize) -> Vec<u8> {
        let mut bytes = vec![0; (values.len() * width).div_ceil(8)];
        for (place, value) in values.iter().enumerate() {
            for bit in 0..width {
                let at = place * width + bit;
                bytes[at / 8] |= ((value >> bit & 1) as u8) << (at % 8);
            }
        }
        bytes
    }

    proptest! {
        /// Goal: what was packed bit by bit comes out again, for every width.
        #[test]
        fn unpacks_every_width(width in 0_usize..=32, values in proptest::collection::vec(any::<u32>(), 0..100)) {
            let mask = if width == 32 { u32::MAX } else { (1 << width) - 1 };
            let values: Vec<u32> = values.iter().map(|value| value & mask).collect();
            let mut out = Vec::new();
            unpack(&packed(&values, width), width, values.len(), &mut out);
            prop_assert_eq!(out, values);
        }

        /// Goal: no bytes make the reader of runs panic, go on for ever, or give more values than were asked for.
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..60), width in 0_usize..=33, count in 0_usize..500) {
            if let Ok(mut runs) = Runs::new(&bytes, width, count) {
                let mut total = 0;
                while let Ok(Some(run)) = runs.next() {
                    total += match run { Run::Repeated { count, .. } | Run::Packed { count, .. } => count };
                }
                prop_assert!(total <= count);
            }
        }
    }
}
