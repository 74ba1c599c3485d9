//! The keys of all keyspaces, and the values of `journal` and `meta`. Version 1.
//!
//! | keyspace | key | value |
//! | --- | --- | --- |
//! | `journal` | `s`, view `u32` BE, visible `i64` BE with the sign bit flipped | a [`UnitStamp`] |
//! | `journal` | `w`, and the same | a [`UnitStamp`] that waits for history |
//! | `journal` | `u`, view `u32` BE, name of the unit | its visible, `i64` LE |
//! | `meta` | `f` | format version `u8` |
//! | `meta` | `v`, identity | number of the view, `u32` LE |
//! | `meta` | `p`, view `u32` BE | its frontier |

use std::collections::HashMap;

use asof_model::Instant;
use fjall::{Keyspace, Readable, Snapshot};

use crate::error::OnlineError;
use crate::fields::Fields;
use crate::stamps::Frontiers;
use crate::store::{Frontier, UnitStamp, ViewHandle};

/// The key of the format version in `meta`.
pub(super) const FORMAT_KEY: &[u8] = b"f";
/// The format that this program writes, and the newest it reads. Version 2 has segments of events.
pub(super) const FORMAT_VERSION: u8 = 2;
/// Bytes of the view's number, in front of every row key.
pub(super) const VIEW_BYTES: usize = 4;

/// The longest identity of an event that stands in a key as it is.
const IDENTITY_BYTES_MAX: usize = 1_024;

const RECORD_VERSION: u8 = 1;
const STAMP_KEY_BYTES: usize = 13;
const STAMP_HEAD_BYTES: usize = 21;

pub(super) fn row_key(view: ViewHandle, key: &[u8]) -> Vec<u8> {
    [&view.number().to_be_bytes()[..], key].concat()
}

/// The same behind what a buffer holds.
pub(super) fn write_row_key(buffer: &mut Vec<u8>, view: ViewHandle, key: &[u8]) {
    buffer.extend_from_slice(&view.number().to_be_bytes());
    buffer.extend_from_slice(key);
}

/// The key of a segment, or of the directory. The number has a fixed width, so no two keys share one.
pub(super) fn segment_key(row_key: &[u8], number: u32) -> Vec<u8> {
    [row_key, &number.to_be_bytes()].concat()
}

/// The key of what is remembered of an event. A long identity stands there by its digest.
pub(super) fn identity_entry_key(view: ViewHandle, identity: &[u8]) -> Vec<u8> {
    let mut key = view.number().to_be_bytes().to_vec();
    match identity.len() <= IDENTITY_BYTES_MAX {
        true => key.extend_from_slice(identity),
        false => {
            // Longer than any that stands as it is, so no two are taken for each other.
            key.extend_from_slice(&identity[..IDENTITY_BYTES_MAX]);
            key.extend_from_slice(blake3::hash(identity).as_bytes());
        }
    }
    key
}

pub(super) fn identity_key(identity: &str) -> Vec<u8> {
    [b"v", identity.as_bytes()].concat()
}

pub(super) fn frontier_key(view: ViewHandle) -> Vec<u8> {
    [&b"p"[..], &view.number().to_be_bytes()].concat()
}

pub(super) fn unit_key(view: ViewHandle, unit: &str) -> Vec<u8> {
    [&b"u"[..], &view.number().to_be_bytes(), unit.as_bytes()].concat()
}

/// The prefix of the keys of all stamps of a view, which stand in order of visible.
pub(super) fn stamps_prefix(view: ViewHandle) -> Vec<u8> {
    [&b"s"[..], &view.number().to_be_bytes()].concat()
}

pub(super) fn stamp_key(view: ViewHandle, visible: Instant) -> Vec<u8> {
    let ordered = (visible.micros() as u64) ^ (1 << 63);
    [&b"s"[..], &view.number().to_be_bytes(), &ordered.to_be_bytes()].concat()
}

/// The same of units that wait for history.
pub(super) fn waiting_prefix(view: ViewHandle) -> Vec<u8> {
    [&b"w"[..], &view.number().to_be_bytes()].concat()
}

pub(super) fn waiting_key(view: ViewHandle, visible: Instant) -> Vec<u8> {
    let mut key = stamp_key(view, visible);
    key[0] = b'w';
    key
}

pub(super) fn encode_stamp(stamp: &UnitStamp) -> Vec<u8> {
    let mut out = vec![RECORD_VERSION];
    out.extend(stamp.position.to_le_bytes());
    out.extend(stamp.rows.to_le_bytes());
    // Names of units are bounded far below 4 GiB.
    out.extend((stamp.unit.len() as u32).to_le_bytes());
    out.extend(stamp.unit.as_bytes());
    out.extend(stamp.note.as_bytes());
    out
}

pub(super) fn decode_stamp(key: &[u8], value: &[u8]) -> Result<UnitStamp, OnlineError> {
    let key = Fields::new("unit", key);
    let ordered = u64::from_be_bytes(key.array(STAMP_KEY_BYTES - 8)?);
    let visible = Instant::from_micros((ordered ^ (1 << 63)) as i64)
        .ok_or_else(|| key.damaged("an instant lies outside the years 1 to 9999"))?;
    let fields = Fields::new("unit", value);
    fields.check_version(RECORD_VERSION)?;
    let text = |from, to| {
        let bytes = fields.slice(from, to)?;
        let text = std::str::from_utf8(bytes).map_err(|_| fields.damaged("a text is not UTF-8"))?;
        Ok::<_, OnlineError>(text.to_owned())
    };
    let unit_end = STAMP_HEAD_BYTES + fields.u32(17)? as usize;
    Ok(UnitStamp {
        visible,
        position: fields.u64(1)?,
        rows: fields.u64(9)?,
        unit: text(STAMP_HEAD_BYTES, unit_end)?,
        note: text(unit_end, value.len())?,
    })
}

/// The frontier of a view that has at least one unit.
pub(super) fn encode_frontier(frontier: &Frontier, units: u64) -> Vec<u8> {
    let mut out = vec![RECORD_VERSION];
    out.extend(frontier.position.unwrap_or(0).to_le_bytes());
    out.extend(frontier.last_visible.unwrap_or(Instant::MIN).micros().to_le_bytes());
    out.extend(units.to_le_bytes());
    out
}

fn decode_frontier(view: ViewHandle, value: &[u8]) -> Result<(Frontier, u64), OnlineError> {
    let fields = Fields::new("frontier", value);
    fields.check_version(RECORD_VERSION)?;
    let (position, last_visible) = (Some(fields.u64(1)?), Some(fields.instant(9)?));
    Ok((Frontier { view, position, last_visible }, fields.u64(17)?))
}

/// What the store keeps in memory of `meta`.
pub(super) struct Loaded {
    pub(super) views: HashMap<String, ViewHandle>,
    pub(super) frontiers: Frontiers,
    /// The greatest stamp stored.
    pub(super) high: Option<Instant>,
}

/// Reads all views and their frontiers.
pub(super) fn load(
    snapshot: &Snapshot,
    meta: &Keyspace,
    failed: impl Fn(fjall::Error) -> OnlineError,
) -> Result<Loaded, OnlineError> {
    let mut loaded = Loaded { views: HashMap::new(), frontiers: Frontiers::new(), high: None };
    for each in snapshot.prefix(meta, b"v") {
        let (key, value) = each.into_inner().map_err(&failed)?;
        let fields = Fields::new("view", &value);
        let identity = std::str::from_utf8(&key[1..])
            .map_err(|_| fields.damaged("its identity is not UTF-8"))?
            .to_owned();
        let view = ViewHandle::from_number(fields.u32(0)?);
        let empty = Frontier { view, position: None, last_visible: None };
        let frontier = match snapshot.get(meta, frontier_key(view)).map_err(&failed)? {
            Some(value) => decode_frontier(view, &value)?,
            None => (empty, 0),
        };
        loaded.high = loaded.high.max(frontier.0.last_visible);
        loaded.frontiers.insert(view, frontier);
        loaded.views.insert(identity, view);
    }
    Ok(loaded)
}
