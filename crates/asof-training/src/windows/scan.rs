//! Reads the events of a history, and puts those that may count for some label with the others of their shard.

use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use asof_model::ValueType;

use super::WindowView;
use super::record::{Head, InputColumn, write_head};
use crate::buckets::{Buckets, Record};
use crate::history::{History, Instants, WantedKeys};
use crate::join::filter::{KeyFilter, ReachFilter};
use crate::join::keys::{KeyValues, Keys};
use crate::join::order::Order;
use crate::join::run::Run;
use crate::join::shard::Shard;
use crate::join::{HistoryScanned, LabelPass};
use crate::{TrainingError, pool};

/// Rows of a history whose keys are not looked at first.
struct AnyKey;

impl WantedKeys for AnyKey {
    fn are_few(&self, _view: usize) -> bool {
        false
    }

    fn may_have(&self, _view: usize, keys: &[ArrayRef]) -> Vec<bool> {
        vec![true; keys.first().map_or(0, |key| key.len())]
    }
}

/// Which events may count for some label.
enum Near {
    Key(KeyFilter),
    Reach(ReachFilter),
}

impl Near {
    fn may_matter(&self, hash: u64, event: i64) -> bool {
        match self {
            Self::Key(keys) => keys.may_hold(hash),
            Self::Reach(near) => near.may_matter(hash, event),
        }
    }
}

/// The events of a piece that may count, whose inputs are still to come.
#[derive(Default)]
struct Chosen {
    rows: Vec<u32>,
    hashes: Vec<u64>,
    numbers: Vec<i64>,
    /// Keys one after the other, where they are bytes, and where each ends.
    bytes: Vec<u8>,
    ends: Vec<u32>,
    heads: Vec<Head>,
}

impl Chosen {
    fn clear(&mut self) {
        self.rows.clear();
        self.hashes.clear();
        self.numbers.clear();
        self.bytes.clear();
        self.ends.clear();
        self.heads.clear();
    }

    fn key(&self, at: usize) -> Option<&[u8]> {
        let end = *self.ends.get(at)? as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        Some(&self.bytes[start..end])
    }
}

/// What a thread works in.
#[derive(Default)]
struct Pad {
    chosen: Chosen,
    hashes: Vec<u64>,
    order: Order,
    record: Vec<u8>,
}

impl<'a> Run<'a> {
    /// Reads all events of a history into the shards of their keys.
    pub(super) fn read_events(
        &self,
        view: &WindowView,
        pass: &LabelPass<'a>,
        history: &dyn History,
        events: &Buckets<'_>,
    ) -> Result<HistoryScanned, TrainingError> {
        let near = self.near_events(view, pass)?;
        let what = format!("read {}", view.history.what());
        let pieces = history.pieces();
        self.progress.begin(&what, "rows", pieces.iter().map(|piece| piece.rows).sum());
        let (rows, candidates, nanoseconds) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let read = |pad: &mut Pad, piece: usize| {
            let started = std::time::Instant::now();
            let looked_at = self.piece_of_events(view, pass, history, &near, events, pad, piece)?;
            rows.fetch_add(looked_at, Ordering::Relaxed);
            candidates.fetch_add(pad.chosen.heads.len() as u64, Ordering::Relaxed);
            self.progress.advance(&what, looked_at);
            self.progress.read(&what, pieces[piece].bytes);
            let spent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
            nanoseconds.fetch_add(spent, Ordering::Relaxed);
            Ok(())
        };
        let done = pool::run(self.threads, pieces.len(), Pad::default, read, |_| Ok(()));
        let rows = rows.into_inner();
        self.progress.finish(&what, &format!("{rows} rows"));
        done?;
        Ok(HistoryScanned {
            rows: vec![rows],
            candidates: candidates.into_inner(),
            seconds: nanoseconds.into_inner() as f64 / 1e9,
        })
    }

    fn near_events(&self, view: &WindowView, pass: &LabelPass<'a>) -> Result<Near, TrainingError> {
        let keyed = &pass.keyed[view.keys];
        let bytes_max = self.memory.buckets() / 4;
        let near = match ReachFilter::new(keyed.labels(), view.reach(), bytes_max) {
            Some(near) => Near::Reach(near),
            None => Near::Key(KeyFilter::new(keyed.labels(), bytes_max)),
        };
        let knows = self.spec.known.is_some();
        pool::each(self.threads, keyed.shards(), |number| {
            self.check()?;
            keyed.records.read(number, |block| {
                let mut record = Record(block);
                while !record.is_empty() {
                    let (hash, time) = Shard::pass_label(&mut record, keyed.form, knows);
                    match &near {
                        Near::Key(keys) => keys.insert(hash),
                        Near::Reach(near) => near.insert(hash, time),
                    }
                }
                Ok(())
            })
        })?;
        Ok(near)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one scan, each made by another step")]
    fn piece_of_events(
        &self,
        view: &WindowView,
        pass: &LabelPass<'a>,
        history: &dyn History,
        near: &Near,
        events: &Buckets<'_>,
        pad: &mut Pad,
        piece: usize,
    ) -> Result<u64, TrainingError> {
        pad.chosen.clear();
        let reach = view.events_reach(pass);
        let types: Vec<ValueType> = self.spec.keys[view.keys].iter().map(|(_, of)| *of).collect();
        let later = view.history.features_come_later();
        let looked_at = history.instants(piece, &AnyKey, &mut |_, some| {
            self.check()?;
            let before = pad.chosen.heads.len();
            let taken = choose(&some, &types, near, (reach.from, reach.until), pad);
            let Some(columns) = &some.features else { return Ok(()) };
            let inputs: Vec<usize> =
                view.inputs.iter().map(|(place, _)| *place).chain([columns.num_columns() - 1]).collect();
            let columns = columns.project(&inputs)?;
            put(view, events, pad, before, &columns, Some(&taken))
        })?;
        if later && !pad.chosen.rows.is_empty() {
            let rows = std::mem::take(&mut pad.chosen.rows);
            let features: Vec<usize> = view.inputs.iter().map(|(place, _)| *place).collect();
            let mut done = 0;
            history.features(piece, 0, &features, rows.into(), &mut |found| {
                self.check()?;
                put(view, events, pad, done, &found.columns, None)?;
                done += found.columns.num_rows();
                Ok(())
            })?;
        }
        Ok(looked_at)
    }
}

/// Takes those of some rows that may count. Returns their places among the rows.
fn choose(
    some: &Instants,
    types: &[ValueType],
    near: &Near,
    (from, until): (i64, i64),
    pad: &mut Pad,
) -> Vec<u32> {
    let rows = some.rows.len();
    let columns: Vec<(&ArrayRef, ValueType)> = some.keys.iter().zip(types.iter().copied()).collect();
    let keys = Keys::new(&columns, rows);
    keys.hashes(&mut pad.hashes);
    let chosen = &mut pad.chosen;
    let mut taken = Vec::new();
    for place in 0..rows {
        let (event, hash) = (some.events[place], pad.hashes[place]);
        if event < from || until < event || !near.may_matter(hash, event) || !keys.is_valid(place) {
            continue;
        }
        chosen.rows.push(some.rows[place]);
        chosen.hashes.push(hash);
        match &keys.values {
            KeyValues::Numbers(numbers) => chosen.numbers.push(numbers[place]),
            bytes => {
                chosen.bytes.extend_from_slice(bytes.bytes_at(place));
                chosen.ends.push(chosen.bytes.len() as u32);
            }
        }
        chosen.heads.push(Head { event, created: some.createds[place], unit: some.units.at(place) });
        if some.features.is_some() {
            taken.push(place as u32);
        }
    }
    taken
}

/// Puts chosen events from `first` on, with their inputs, to their shards. `rows`: where among the rows of `columns` they are.
fn put(
    view: &WindowView,
    events: &Buckets<'_>,
    pad: &mut Pad,
    first: usize,
    columns: &RecordBatch,
    rows: Option<&[u32]>,
) -> Result<(), TrainingError> {
    let inputs = InputColumn::all(columns, &view.inputs);
    let count = rows.map_or(columns.num_rows(), <[u32]>::len);
    let Pad { chosen, order, record, .. } = pad;
    order.sort(&chosen.hashes[first..first + count], events.len(), |_| true);
    for shard in 0..events.len() {
        let of_shard = order.of(shard);
        if of_shard.is_empty() {
            continue;
        }
        record.clear();
        for place in of_shard.iter().map(|place| *place as usize) {
            let at = first + place;
            let number = chosen.numbers.get(at).copied().unwrap_or(0);
            write_head(record, number, chosen.key(at), chosen.heads[at]);
            let row = rows.map_or(place, |rows| rows[place] as usize);
            inputs.iter().for_each(|input| input.write(record, row));
        }
        events.append(shard, record, of_shard.len() as u64)?;
    }
    Ok(())
}
