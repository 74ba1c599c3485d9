//! What a unit makes of each key that it touches: pure functions, from what is stored to what is to be written.

use asof_model::{Cell, Instant, ValueType};
use asof_online::change::{self, Coming, check_size};
use asof_online::entry::{RECORD_BYTES_MAX, decode_entry};
use asof_online::events::stream::{Chunk, Decoded, StreamEvent};
use asof_online::fold::FoldRow;
use asof_online::{EventRule, OnlineError, Publication, Published};

use crate::calls::{Change, Letter};
use crate::events;
use crate::fetch::Stored;
use crate::keys::Name;
use crate::value::{self, HEAD_BYTES, Head, Kind};

/// The server may drop events when twice their retention has passed, and a day: well past where they count.
const LIVE_MARGIN_MILLIS: u64 = 86_400_000;
/// One key that the unit touches: what is stored and what comes.
pub(crate) struct Touched {
    pub(crate) key: Vec<u8>,
    pub(crate) stored: Before,
    pub(crate) coming: Coming,
}

/// What is stored under a key.
pub(crate) enum Before {
    Nothing,
    /// The whole value.
    Whole(Vec<u8>),
    /// The beginning of a value of events, to which more are appended.
    Begun(Stored),
}

/// The whole value, where there is one.
pub(crate) fn whole(value: Option<Vec<u8>>) -> Before {
    value.map_or(Before::Nothing, Before::Whole)
}

/// Whether a replacement takes something of a value away.
pub(crate) fn replaces(publication: &Publication<'_>, stored: &[u8]) -> Result<bool, OnlineError> {
    let Some(replaces) = &publication.replaces else { return Ok(false) };
    match Head::read(stored)?.kind {
        Kind::Rows => {
            let (entry, overflow) = value::read_rows(stored)?;
            Ok(decode_entry(entry, overflow)?.iter().any(|row| replaces.events.contains(row.event)))
        }
        Kind::Events => {
            let frames = events::frames(stored)?;
            let range = micros_of(publication).unwrap_or(0..0);
            if frames.iter().all(|frame| frame.newest < range.start) {
                return Ok(false);
            }
            let all = events::decode(&frames, publication.layout.types())?;
            Ok((0..all.knowns.len()).any(|place| all.events.is_loaded_in(place, &range)))
        }
        Kind::Nothing | Kind::Remembered => Ok(false),
    }
}

fn micros_of(publication: &Publication<'_>) -> Option<std::ops::Range<i64>> {
    let events = publication.replaces.as_ref()?.events;
    Some(events.from.micros()..events.until.map_or(i64::MAX, Instant::micros))
}

/// Folds every touched key.
pub(crate) fn prepare(
    publication: &Publication<'_>,
    touched: Vec<Touched>,
    (visible, floor): (Instant, Instant),
) -> Result<(Vec<Change>, Published), OnlineError> {
    let mut published = Published::nothing(visible, false);
    let mut changes = Vec::new();
    for Touched { key, stored, coming } in touched {
        let view = publication.view;
        let changed = match publication.events {
            Some(rule) => {
                fold_events(publication, rule, (&key, &stored), coming.rows, (floor, &mut published))
            }
            None => fold_rows(publication, (&key, &stored), coming, (floor, &mut published)),
        };
        changes.extend(changed.map_err(|error| error.at(view, &key))?);
    }
    Ok((changes, published))
}

/// How a whole value is put: as the first one, which keeps nothing aside, or in the place of another.
pub(crate) fn whole_letter(stored: Option<&[u8]>) -> Letter {
    if stored.is_none() { Letter::First } else { Letter::Version }
}

/// The change that puts a whole value in the place of what is stored.
pub(crate) fn version(
    name: Name,
    stored: Option<&[u8]>,
    letter: Letter,
    payload: Vec<u8>,
    live_millis: u64,
) -> Change {
    let expected = stored.map_or(Vec::new(), |stored| stored.get(..HEAD_BYTES).unwrap_or(stored).to_vec());
    Change { letter, name, expected, length: stored.map(<[u8]>::len), payload, live_millis }
}

fn fold_rows(
    publication: &Publication<'_>,
    (key, stored): (&[u8], &Before),
    coming: Coming,
    (floor, published): (Instant, &mut Published),
) -> Result<Option<Change>, OnlineError> {
    let stored = match stored {
        Before::Nothing => None,
        Before::Whole(value) => Some(&value[..]),
        Before::Begun(begun) => Some(&begun.begin[..]),
    };
    let rows = match stored {
        Some(value) if Head::read(value)?.kind == Kind::Rows => Some(value::read_rows(value)?),
        _ => None,
    };
    let first = stored.is_none();
    let head = Head { kind: Kind::Rows, first, stamp: published.visible, floor };
    let name = Name::row(publication.view, key);
    Ok(match change::change(publication, rows, coming, published)? {
        change::Change::Nothing => None,
        change::Change::Put(records) => {
            Some(version(name, stored, whole_letter(stored), value::write_rows(head, &records), 0))
        }
        change::Change::Remove => {
            Some(version(name, stored, Letter::Nothing, value::write_nothing(head, 0), 0))
        }
    })
}

/// Folds events of one key: those that a replacement takes away go, those that come are added. Only bytes behind are written,
/// unless the value is to be rewritten.
fn fold_events(
    publication: &Publication<'_>,
    rule: EventRule,
    (key, stored): (&[u8], &Before),
    mut coming: Vec<FoldRow>,
    (floor, published): (Instant, &mut Published),
) -> Result<Option<Change>, OnlineError> {
    let types = publication.layout.types();
    let visible = published.visible;
    let bound = rule.retention.map_or(i64::MIN, |most| visible.minus(most).micros());
    let mut chunk = Chunk::new();
    // In order, so that a frame covers a short time. Rows of one place stay as they came.
    coming.sort_by_key(|row| (row.event, row.created));
    for FoldRow { event, created, row } in coming {
        if event.micros() < bound {
            // History has it, and it can't count any more.
            published.rows_beaten += 1;
            continue;
        }
        let mut cells = publication.layout.cells(&row)?;
        cells.resize(types.len(), Cell::Null);
        chunk.push(&StreamEvent {
            event: event.micros(),
            created: created.micros(),
            known: rule.known(created, visible).micros(),
            pushed: rule.pushed,
            cells: &cells,
        });
    }
    published.rows_added += chunk.count;
    let name = Name::row(publication.view, key);
    let live = |newest: i64| {
        let ahead = newest.saturating_sub(visible.micros()).max(0) as u64 / 1_000;
        let retention = rule.retention.map(|most| most.micros().max(0) as u64 / 1_000);
        retention
            .map_or(0, |most| most.saturating_mul(2).saturating_add(ahead).saturating_add(LIVE_MARGIN_MILLIS))
    };
    let head = Head { kind: Kind::Events, first: false, stamp: visible, floor };
    let (prefix, bytes, value) = match stored {
        Before::Nothing => (&[][..], 0, None),
        Before::Begun(begun) => (&begun.begin[..], begun.bytes, None),
        Before::Whole(value) => {
            (value.get(..events::PREFIX_BYTES).unwrap_or(value), value.len(), Some(&value[..]))
        }
    };
    if prefix.is_empty() {
        if chunk.count == 0 {
            return Ok(None);
        }
        let mut payload = events::begin(Head { first: true, ..head }, visible.micros());
        events::push_frame(&mut payload, visible, bound, &chunk);
        events::finish(&mut payload);
        let live_millis = live(chunk.newest);
        return Ok(Some(version(name, None, Letter::First, payload, live_millis)));
    }
    if let Some(value) = value.filter(|_| Head::read(prefix).is_ok_and(|head| head.kind == Kind::Nothing)) {
        if chunk.count == 0 {
            return Ok(None);
        }
        let generation = events::epoch(value)?;
        let mut payload = events::begin(head, visible.micros().max(generation));
        events::push_frame(&mut payload, visible, bound, &chunk);
        events::finish(&mut payload);
        let live_millis = live(chunk.newest);
        return Ok(Some(version(name, Some(value), Letter::Version, payload, live_millis)));
    }
    if let (Some(value), Some(range)) = (value, micros_of(publication)) {
        let frames = events::frames(value)?;
        let all = events::decode(&frames, types)?;
        let held = |place: &usize| all.events.events.instants[*place] >= bound;
        let stays = |place: &usize| held(place) && !all.events.is_loaded_in(*place, &range);
        let removed = (0..all.knowns.len()).filter(|place| held(place) && !stays(place)).count();
        if removed > 0 {
            published.rows_removed += removed as u64;
            let mut kept = Chunk::new();
            (0..all.knowns.len()).filter(stays).for_each(|place| push_decoded(&mut kept, &all, place));
            let epoch = events::next_epoch(events::epoch(value)?, value.len(), visible);
            if kept.count + chunk.count == 0 {
                let payload = value::write_nothing(head, epoch);
                return Ok(Some(version(name, Some(value), Letter::Nothing, payload, 0)));
            }
            let mut payload = events::begin(head, epoch);
            for part in [&kept, &chunk].into_iter().filter(|part| part.count > 0) {
                events::push_frame(&mut payload, visible, bound, part);
            }
            events::finish(&mut payload);
            check_bytes(payload.len())?;
            let live_millis = live(kept.newest.max(chunk.newest));
            return Ok(Some(version(name, Some(value), Letter::Version, payload, live_millis)));
        }
    }
    if chunk.count == 0 {
        return Ok(None);
    }
    let live_millis = live(chunk.newest);
    if let Some(value) = value.filter(|_| events::is_due(prefix, bytes).unwrap_or(false)) {
        let payload = rewritten(value, types, bound, visible)?;
        let mut payload = payload;
        events::push_frame(&mut payload, visible, bound, &chunk);
        check_bytes(payload.len())?;
        let (expected, length) = (prefix.to_vec(), Some(bytes));
        return Ok(Some(Change { letter: Letter::Rewrite, name, expected, length, payload, live_millis }));
    }
    let mut payload = Vec::with_capacity(chunk.bytes.len() + 64);
    events::push_frame(&mut payload, visible, bound, &chunk);
    check_bytes(bytes + payload.len())?;
    let (expected, length) = (prefix.to_vec(), Some(bytes));
    Ok(Some(Change { letter: Letter::Append, name, expected, length, payload, live_millis }))
}

/// The same events in one frame, without those before the bound. It answers from the last of their stamps on.
fn rewritten(
    value: &[u8],
    types: &[ValueType],
    bound: i64,
    visible: Instant,
) -> Result<Vec<u8>, OnlineError> {
    let frames = events::frames(value)?;
    let stamp = frames.iter().map(|frame| frame.stamp).max().unwrap_or(visible);
    let bound = frames.iter().map(|frame| frame.bound).fold(bound, i64::max);
    let all = events::decode(&frames, types)?;
    let mut kept = Chunk::new();
    let held = |place: &usize| all.events.events.instants[*place] >= bound;
    (0..all.knowns.len()).filter(held).for_each(|place| push_decoded(&mut kept, &all, place));
    let epoch = events::next_epoch(events::epoch(value)?, value.len(), visible);
    let head = Head { first: false, stamp, ..Head::read(value)? };
    let mut payload = events::begin(head, epoch);
    if kept.count > 0 {
        events::push_frame(&mut payload, stamp, bound, &kept);
    }
    events::finish(&mut payload);
    Ok(payload)
}

fn push_decoded(chunk: &mut Chunk, all: &Decoded, place: usize) {
    let events = &all.events.events;
    let cells: Vec<Cell> = events.inputs.iter().map(|input| input.cell(place)).collect();
    chunk.push(&StreamEvent {
        event: events.instants[place],
        created: events.createds[place],
        known: all.knowns[place],
        pushed: all.events.pushed[place],
        cells: &cells,
    });
}

fn check_bytes(bytes: usize) -> Result<(), OnlineError> {
    check_size("what is stored under one key", "bytes", bytes, RECORD_BYTES_MAX)
}
