//! The journal: views, frontiers, units, and what was being written. All of it stands in one slot, and every change of it
//! is one numbered call.
//!
//! | key | holds |
//! | --- | --- |
//! | `views` | hash: identity to number |
//! | `frontiers` | hash: view to position `u64`, last stamp `i64`, units `u64`, all LE behind `u8` 1 |
//! | `marks` | hash: bucket to the number of the last call that the journal knows of |
//! | `state` | hash: `format`; `pending`, number and stamp of the unit that is being written; `unit`, the number of the last one |
//! | `u<view>`, `w<view>` | hash: unit to its stamp; those that wait for history apart |

use std::collections::HashMap;

use asof_model::Instant;
use asof_online::fields::Fields;
use asof_online::stamps::Frontiers;
use asof_online::{Frontier, OnlineError, UnitStamp, ViewHandle};
use redis::Value;

use crate::calls::Command;

const RECORD_VERSION: u8 = 1;
/// The form of everything that this program writes, and the newest that it reads.
pub(crate) const FORMAT: u64 = 1;
const STAMP_HEAD_BYTES: usize = 25;
/// The most values in one command of a script: its arguments stand on a stack of bounded size.
const FIELDS_MAX: usize = 400;

/// What the journal says when it is opened.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) format: Option<u64>,
    pub(crate) views: HashMap<String, ViewHandle>,
    pub(crate) frontiers: Frontiers,
    /// The greatest stamp.
    pub(crate) high: Option<Instant>,
    pub(crate) marks: HashMap<usize, u64>,
    /// The number of the last unit.
    pub(crate) unit: u64,
    /// Number and stamp of the unit that was being written.
    pub(crate) pending: Option<String>,
}

fn damaged(problem: &'static str) -> OnlineError {
    OnlineError::Damaged { what: "journal", problem }
}

/// A field of a hash and its value.
type Pair = (Vec<u8>, Vec<u8>);

/// The pairs of a hash.
///
/// # Errors
/// [`OnlineError::Damaged`].
pub(crate) fn pairs(answer: Value) -> Result<Vec<Pair>, OnlineError> {
    redis::from_redis_value(answer).map_err(|_| damaged("a hash is none"))
}

fn number(text: &[u8]) -> Result<u64, OnlineError> {
    let text = std::str::from_utf8(text).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| damaged("a number is none"))
}

/// Reads the hashes `views`, `frontiers`, `marks` and `state`.
///
/// # Errors
/// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
pub(crate) fn load(answers: [Value; 4]) -> Result<Loaded, OnlineError> {
    let mut loaded = Loaded::default();
    let [views, frontiers, marks, state] = answers;
    for (identity, view) in pairs(views)? {
        let identity =
            String::from_utf8(identity).map_err(|_| damaged("the identity of a view is not UTF-8"))?;
        let view =
            ViewHandle::from_number(number(&view)?.try_into().map_err(|_| damaged("a number is too large"))?);
        loaded.views.insert(identity, view);
        let empty = Frontier { view, position: None, last_visible: None };
        loaded.frontiers.insert(view, (empty, 0));
    }
    for (view, frontier) in pairs(frontiers)? {
        let view =
            ViewHandle::from_number(number(&view)?.try_into().map_err(|_| damaged("a number is too large"))?);
        let (frontier, units) = read_frontier(view, &frontier)?;
        loaded.high = loaded.high.max(frontier.last_visible);
        loaded.frontiers.insert(view, (frontier, units));
    }
    for (bucket, mark) in pairs(marks)? {
        loaded.marks.insert(number(&bucket)? as usize, number(&mark)?);
    }
    for (field, value) in pairs(state)? {
        match &field[..] {
            b"format" => loaded.format = Some(number(&value)?),
            b"unit" => loaded.unit = number(&value)?,
            b"pending" => {
                loaded.pending = Some(String::from_utf8(value).map_err(|_| damaged("a title is not UTF-8"))?);
            }
            _ => return Err(damaged("its state has a field that format 1 does not have")),
        }
    }
    Ok(loaded)
}

fn read_frontier(view: ViewHandle, value: &[u8]) -> Result<(Frontier, u64), OnlineError> {
    let fields = Fields::new("frontier", value);
    fields.check_version(RECORD_VERSION)?;
    let (position, last_visible) = (Some(fields.u64(1)?), Some(fields.instant(9)?));
    Ok((Frontier { view, position, last_visible }, fields.u64(17)?))
}

/// The command that notes how far a view is.
pub(crate) fn set_frontier(frontier: &Frontier, units: u64) -> Command {
    let mut value = vec![RECORD_VERSION];
    value.extend(frontier.position.unwrap_or(0).to_le_bytes());
    value.extend(frontier.last_visible.unwrap_or(Instant::MIN).micros().to_le_bytes());
    value.extend(units.to_le_bytes());
    ("HSET", "frontiers".to_owned(), vec![text(frontier.view.number()), value])
}

/// The commands that note marks.
pub(crate) fn set_marks(marks: impl IntoIterator<Item = (usize, u64)>) -> Vec<Command> {
    let fields: Vec<Vec<u8>> =
        marks.into_iter().flat_map(|(bucket, mark)| [text(bucket), text(mark)]).collect();
    fields.chunks(FIELDS_MAX).map(|some| ("HSET", "marks".to_owned(), some.to_vec())).collect()
}

/// The command that sets fields of the state.
pub(crate) fn set_state(field: &str, value: &str) -> Command {
    ("HSET", "state".to_owned(), vec![field.into(), value.into()])
}

/// The command that says that nothing is being written.
pub(crate) fn clear_pending() -> Command {
    ("HDEL", "state".to_owned(), vec!["pending".into()])
}

/// The hash of a view's units, or of those that wait for history.
pub(crate) fn units_key(view: ViewHandle, waits: bool) -> String {
    format!("{}{}", if waits { 'w' } else { 'u' }, view.number())
}

/// The command that journals a unit.
pub(crate) fn set_unit(view: ViewHandle, waits: bool, stamp: &UnitStamp) -> Command {
    let mut value = vec![RECORD_VERSION];
    value.extend(stamp.visible.micros().to_le_bytes());
    value.extend(stamp.position.to_le_bytes());
    value.extend(stamp.rows.to_le_bytes());
    value.extend(stamp.note.as_bytes());
    ("HSET", units_key(view, waits), vec![stamp.unit.clone().into_bytes(), value])
}

/// The commands that take units away that waited.
pub(crate) fn remove_waiting(view: ViewHandle, units: &[String]) -> Vec<Command> {
    let names: Vec<Vec<u8>> = units.iter().map(|unit| unit.clone().into_bytes()).collect();
    names.chunks(FIELDS_MAX).map(|some| ("HDEL", units_key(view, true), some.to_vec())).collect()
}

/// A journaled unit.
///
/// # Errors
/// [`OnlineError::Damaged`], [`OnlineError::UnknownVersion`].
pub(crate) fn read_unit(unit: Vec<u8>, value: &[u8]) -> Result<UnitStamp, OnlineError> {
    let fields = Fields::new("unit", value);
    fields.check_version(RECORD_VERSION)?;
    let utf8 = |bytes: Vec<u8>| String::from_utf8(bytes).map_err(|_| fields.damaged("a text is not UTF-8"));
    Ok(UnitStamp {
        visible: fields.instant(1)?,
        position: fields.u64(9)?,
        rows: fields.u64(17)?,
        note: utf8(fields.slice(STAMP_HEAD_BYTES, value.len())?.to_vec())?,
        unit: utf8(unit)?,
    })
}

/// All units of a hash, in order of visible.
///
/// # Errors
/// As of one.
pub(crate) fn read_units(answer: Value) -> Result<Vec<UnitStamp>, OnlineError> {
    let mut units: Vec<UnitStamp> =
        pairs(answer)?.into_iter().map(|(unit, value)| read_unit(unit, &value)).collect::<Result<_, _>>()?;
    units.sort_by(|a, b| (a.visible, &a.unit).cmp(&(b.visible, &b.unit)));
    Ok(units)
}

fn text(number: impl ToString) -> Vec<u8> {
    number.to_string().into_bytes()
}
