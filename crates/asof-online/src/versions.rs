//! What is remembered of events by their identity: who they were, under which key, and since when (SEMANTICS 4). It decides
//! what an arrival is: new, a repeat, or a version that takes the place of an earlier one, maybe under another key.
//!
//! | part | bytes |
//! | --- | --- |
//! | head | `u8` 1 |
//! | per version | event, created, visible, `i64` LE each, microseconds; `u8` 1 where it was pushed, else 0; key, then row, each behind its length, `u32` LE |

use asof_model::aggregation::Withdrawal;
use asof_model::spec::Repeats;
use asof_model::{Cell, Instant, key};

use crate::error::OnlineError;
use crate::fields::Fields;
use crate::layout::RowLayout;
use crate::store::{EventRange, EventRule};

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 1;
const INSTANT_BYTES: usize = 8;
const LENGTH_BYTES: usize = 4;

/// A version of an event, as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The encoded key under which it stands.
    pub key: Vec<u8>,
    /// When the event happened.
    pub event: Instant,
    /// When its source says that it was known.
    pub created: Instant,
    /// When the unit that brought it became readable.
    pub visible: Instant,
    /// Whether it was pushed; else it came of a load.
    pub pushed: bool,
    /// What it holds ([`RowLayout::encode`]). Empty where a repeat changes nothing: then nobody asks.
    pub row: Vec<u8>,
}

impl EventRule {
    /// By what the event of a row is remembered. `None`: it has no identity, views remember none, or the row is no version of
    /// its own: it says that the event moved to another key.
    ///
    /// # Errors
    /// A damaged row.
    pub fn identity_of(&self, layout: &RowLayout, row: &[u8]) -> Result<Option<Vec<u8>>, OnlineError> {
        let (Some(identity), Some(_)) = (self.identity, self.remembers) else { return Ok(None) };
        let cells = layout.cells(row)?;
        if Withdrawal::mark_in(self.withdrawal.and_then(|input| cells.get(input))) == Withdrawal::Moved.mark()
        {
            return Ok(None);
        }
        let Some(Cell::Value(value)) = cells.get(identity) else { return Ok(None) };
        let mut bytes = Vec::new();
        key::encode_part(&mut bytes, value);
        Ok(Some(bytes))
    }

    /// From when on an event is known: where an identity tells events apart, which of several came first depends on when
    /// they came.
    pub fn known(&self, created: Instant, visible: Instant) -> Instant {
        match self.identity {
            Some(_) => created.max(visible),
            None => created,
        }
    }

    /// What is remembered of a row.
    pub fn row_kept(&self, row: &[u8]) -> Vec<u8> {
        match self.remembers {
            Some(Repeats::Replace) => row.to_vec(),
            Some(Repeats::KeepFirst) | None => Vec::new(),
        }
    }
}

impl Version {
    /// Whether a load that replaces a range takes it away.
    pub fn is_loaded_in(&self, range: EventRange) -> bool {
        !self.pushed && range.contains(self.event)
    }
}

/// The bytes of versions.
pub fn write(versions: &[Version]) -> Vec<u8> {
    let mut out = vec![VERSION];
    for version in versions {
        for instant in [version.event, version.created, version.visible] {
            out.extend(instant.micros().to_le_bytes());
        }
        out.push(u8::from(version.pushed));
        for bytes in [&version.key, &version.row] {
            // Both are bounded far below.
            out.extend((bytes.len() as u32).to_le_bytes());
            out.extend_from_slice(bytes);
        }
    }
    out
}

/// The versions of an entry.
///
/// # Errors
/// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
pub fn read(entry: &[u8]) -> Result<Vec<Version>, OnlineError> {
    let fields = Fields::new("entry of an identity", entry);
    let found = fields.u8(0)?;
    if found != VERSION {
        return Err(OnlineError::UnknownVersion { what: "entry of an identity", found, newest: VERSION });
    }
    let (mut versions, mut at) = (Vec::new(), HEAD_BYTES);
    while at < entry.len() {
        let instant = |place: usize| fields.instant(at + place * INSTANT_BYTES);
        let (event, created, visible) = (instant(0)?, instant(1)?, instant(2)?);
        at += 3 * INSTANT_BYTES;
        let pushed = fields.u8(at)? == 1;
        at += 1;
        let mut sized = || {
            let length = fields.u32(at)? as usize;
            at += LENGTH_BYTES;
            let bytes = fields.slice(at, at.saturating_add(length))?.to_vec();
            at += length;
            Ok::<_, OnlineError>(bytes)
        };
        let (key, row) = (sized()?, sized()?);
        versions.push(Version { key, event, created, visible, pushed, row });
    }
    Ok(versions)
}
