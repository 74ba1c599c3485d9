//! What stands under a key: a head, then rows, events, or what is remembered of an event.
//!
//! | part | bytes |
//! | --- | --- |
//! | version | `u8` 1 |
//! | kind | `u8`: 1 rows, 2 events, 3 nothing is left, 4 what is remembered |
//! | flags | `u8`: 1 nothing stood under the key before |
//! | stamp | `i64` LE: for instants from it on the value answers |
//! | floor | `i64` LE: the stamp of the view before; with flag 1 the key held nothing from it on until the stamp |
//! | rows | length of the entry `u32` LE, the entry, its overflow record ([`asof_online::entry`]) |
//! | events | see [`crate::events`] |
//! | nothing is left | `i64` LE: where generations of events go on |
//! | remembered | see [`asof_online::versions`] |
//!
//! A reader whose `t` is before the stamp came while a unit was being written: it asks for the value kept aside. One that
//! finds none, since the unit is readable by now, draws another `t`.

use asof_model::Instant;
use asof_online::OnlineError;
use asof_online::entry::EncodedEntry;
use asof_online::fields::Fields;

const VERSION: u8 = 1;
const FLAG_FIRST: u8 = 1;
/// Bytes of the head.
pub(crate) const HEAD_BYTES: usize = 19;

const WHAT: &str = "value";

/// What a value holds. The numbers stand in the bytes, and in the scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Rows = 1,
    Events = 2,
    Nothing = 3,
    Remembered = 4,
}

/// The head of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    pub(crate) first: bool,
    pub(crate) stamp: Instant,
    pub(crate) floor: Instant,
}

impl Head {
    /// # Errors
    /// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
    pub(crate) fn read(value: &[u8]) -> Result<Self, OnlineError> {
        let fields = Fields::new(WHAT, value);
        fields.check_version(VERSION)?;
        let kind = match fields.u8(1)? {
            1 => Kind::Rows,
            2 => Kind::Events,
            3 => Kind::Nothing,
            4 => Kind::Remembered,
            _ => return Err(fields.damaged("it is of a kind that version 1 does not have")),
        };
        let first = match fields.u8(2)? {
            0 => false,
            FLAG_FIRST => true,
            _ => return Err(fields.damaged("it carries flags that version 1 does not have")),
        };
        Ok(Self { kind, first, stamp: fields.instant(3)?, floor: fields.instant(11)? })
    }

    pub(crate) fn write(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES);
        out.extend([VERSION, self.kind as u8, if self.first { FLAG_FIRST } else { 0 }]);
        out.extend(self.stamp.micros().to_le_bytes());
        out.extend(self.floor.micros().to_le_bytes());
        out
    }
}

/// The bytes of rows.
pub(crate) fn write_rows(head: Head, records: &EncodedEntry) -> Vec<u8> {
    let mut out = head.write();
    // Bounded far below 4 GiB (`RECORD_BYTES_MAX`).
    out.extend((records.entry.len() as u32).to_le_bytes());
    out.extend_from_slice(&records.entry);
    out.extend_from_slice(records.overflow.as_deref().unwrap_or_default());
    out
}

/// The entry of a value of rows, and its overflow record.
///
/// # Errors
/// [`OnlineError::Damaged`].
pub(crate) fn read_rows(value: &[u8]) -> Result<(&[u8], Option<&[u8]>), OnlineError> {
    let fields = Fields::new(WHAT, value);
    let begin = HEAD_BYTES + 4;
    let end = begin.saturating_add(fields.u32(HEAD_BYTES)? as usize);
    let entry = fields.slice(begin, end)?;
    let overflow = fields.slice(end, value.len())?;
    Ok((entry, (!overflow.is_empty()).then_some(overflow)))
}

/// The bytes of a value that says that nothing is left.
pub(crate) fn write_nothing(head: Head, generation: i64) -> Vec<u8> {
    let mut out = Head { kind: Kind::Nothing, ..head }.write();
    out.extend(generation.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let at = Instant::from_micros_clamped;
        Head { kind: Kind::Rows, first: true, stamp: at(77), floor: at(-5) }
    }

    /// Goal: what is written is read, with and without an overflow record.
    #[test]
    fn rows() {
        for overflow in [None, Some(vec![9; 40])] {
            let records = EncodedEntry { entry: vec![1; 30], overflow: overflow.clone(), overflowed: 0 };
            let bytes = write_rows(head(), &records);
            assert_eq!(Head::read(&bytes).unwrap(), head());
            assert_eq!(read_rows(&bytes).unwrap(), (&[1; 30][..], overflow.as_deref()));
        }
    }

    /// Goal: bytes that are cut or changed are refused or read as something else, without a panic.
    #[test]
    fn damaged() {
        let bytes = write_rows(head(), &EncodedEntry { entry: vec![1; 30], overflow: None, overflowed: 0 });
        for end in 0..bytes.len() {
            assert!(
                Head::read(&bytes[..end]).and_then(|_| read_rows(&bytes[..end]).map(|_| ())).is_err(),
                "{end}"
            );
        }
        for (place, wrong) in [(0, 0), (0, 2), (1, 9), (2, 2)] {
            let mut bytes = bytes.clone();
            bytes[place] = wrong;
            assert!(Head::read(&bytes).is_err());
        }
    }
}
