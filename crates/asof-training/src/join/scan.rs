//! Reads keys and instants of every history, and offers rows to the slots of labels, or puts them aside for later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arrow::array::ArrayRef;
use asof_model::ValueType;
use parking_lot::RwLock;

use super::filter::KeyFilter;
use super::finish;
use super::index::{Index, LaneUse, Offered, Order, UnitsOf};
use super::kept::{Kept, RowStore};
use super::keys::{KeyValues, Keys};
use super::label_pass::{Keyed, LabelPass};
use super::lane::Address;
use super::run::{Layout, Run};
use super::shard::Shard;
use super::units::Units;
use crate::buckets::{Buckets, Record};
use crate::history::{Instants, RowUnits};
use crate::{TrainingError, pool};

/// What came of reading.
pub(crate) struct Scanned<'a> {
    pub histories: Vec<HistoryScanned>,
    pub pending: Pending<'a>,
}

/// What was read of one history.
#[derive(Debug, Clone, Default)]
pub(crate) struct HistoryScanned {
    /// Rows of each of its views.
    pub rows: Vec<u64>,
    /// Of those, rows whose key a label has.
    pub candidates: u64,
    pub seconds: f64,
}

/// Where the rows are now.
pub(crate) enum Pending<'a> {
    /// They were offered; for each choice of keys all shards are here.
    Resident(Vec<Index>),
    /// They were put aside, for each choice of keys by shard.
    Aside { candidates: Vec<Buckets<'a>>, probes: Vec<Probe> },
}

/// How rows of one view of a history are looked up by one choice of keys.
pub(crate) struct Probe {
    history: usize,
    view: usize,
    keys: usize,
    pub lanes: Vec<LaneUse>,
    pub units: Arc<Units>,
}

struct Scan<'r, 'a> {
    run: &'r Run<'a>,
    pass: &'r LabelPass<'a>,
    layout: &'r Layout,
    kept: &'r [Vec<Option<Kept<'a>>>],
    stores: Vec<Vec<RowStore<'r, 'a>>>,
    probes: &'r [Probe],
    target: Target<'r, 'a>,
    /// Held to offer rows; held alone to rank what ties.
    ranking: RwLock<()>,
    ties: AtomicUsize,
}

enum Target<'r, 'a> {
    Indexes(&'r [Index]),
    Aside { candidates: &'r [Buckets<'a>], filters: &'r [KeyFilter] },
}

/// Counts of one history, while it is read.
struct Counts {
    rows: Vec<AtomicU64>,
    candidates: AtomicU64,
    nanoseconds: AtomicU64,
}

/// Reads all pieces of all histories.
///
/// # Errors
/// Those of reading; [`TrainingError::Scratch`]; [`TrainingError::Stopped`].
pub(crate) fn read<'a>(
    run: &Run<'a>,
    pass: &LabelPass<'a>,
    layout: &Layout,
    kept: &[Vec<Option<Kept<'a>>>],
) -> Result<Scanned<'a>, TrainingError> {
    let probes = probes(run, layout);
    let mut indexes = Vec::new();
    let (mut candidates, mut filters) = (Vec::new(), Vec::new());
    for (keys, keyed) in pass.keyed.iter().enumerate() {
        if layout.resident {
            indexes.push(resident(run, keyed, &layout.spans[keys])?);
        } else {
            let share = run.memory.buckets() / pass.keyed.len() as u64;
            filters.push(filter(run, keyed, share / 4)?);
            candidates.push(Buckets::new(run.scratch, keyed.shards(), share / 2));
        }
    }
    let target = match layout.resident {
        true => Target::Indexes(&indexes),
        false => Target::Aside { candidates: &candidates, filters: &filters },
    };
    let scan = Scan {
        run,
        pass,
        layout,
        kept,
        stores: run.stores(kept),
        probes: &probes,
        target,
        ranking: RwLock::new(()),
        ties: AtomicUsize::new(0),
    };
    let histories = scan.all()?;
    drop(scan);
    let pending = match layout.resident {
        true => Pending::Resident(indexes),
        false => Pending::Aside { candidates, probes },
    };
    Ok(Scanned { histories, pending })
}

/// Lookups: views of one history by one choice of keys share one.
fn probes(run: &Run<'_>, layout: &Layout) -> Vec<Probe> {
    let mut probes: Vec<Probe> = Vec::new();
    for (spec, lanes) in run.spec.views.iter().zip(&layout.views) {
        let same = |probe: &&mut Probe| {
            (probe.history, probe.view, probe.keys) == (spec.history, spec.view, spec.keys)
        };
        let mut uses = vec![run.lane_use(spec, lanes.asked, false)];
        uses.extend(lanes.served.map(|lane| run.lane_use(spec, lane, true)));
        match probes.iter_mut().find(same) {
            Some(probe) => probe.lanes.extend(uses),
            None => probes.push(Probe {
                history: spec.history,
                view: spec.view,
                keys: spec.keys,
                lanes: uses,
                units: spec.units.clone(),
            }),
        }
    }
    probes
}

/// All shards in memory.
fn resident(run: &Run<'_>, keyed: &Keyed<'_>, lanes: &[bool]) -> Result<Index, TrainingError> {
    let index = Index::new(keyed.shards());
    pool::each(run.threads, keyed.shards(), |number| {
        run.check()?;
        let mut blocks = Vec::new();
        keyed.records.drain(number, |block| {
            blocks.push(block.to_vec());
            Ok(())
        })?;
        index.put(number, Shard::new(keyed.form, run.spec.known.is_some(), lanes, &blocks));
        Ok(())
    })?;
    Ok(index)
}

/// The keys of labels.
fn filter(run: &Run<'_>, keyed: &Keyed<'_>, bytes_max: u64) -> Result<KeyFilter, TrainingError> {
    let filter = KeyFilter::new(keyed.labels(), bytes_max);
    pool::each(run.threads, keyed.shards(), |number| {
        run.check()?;
        keyed.records.read(number, |block| {
            let mut record = Record(block);
            while !record.is_empty() {
                filter.insert(Shard::pass_label(&mut record, keyed.form, run.spec.known.is_some()));
            }
            Ok(())
        })
    })?;
    Ok(filter)
}

/// What a thread works in.
#[derive(Default)]
struct Pad {
    hashes: Vec<u64>,
    order: Order,
    addresses: Vec<Address>,
    taken: Vec<bool>,
    records: Vec<u8>,
}

impl Scan<'_, '_> {
    fn all(&self) -> Result<Vec<HistoryScanned>, TrainingError> {
        let histories = &self.run.spec.histories;
        let mut counts = Vec::with_capacity(histories.len());
        let mut tasks = Vec::new();
        for (place, history) in histories.iter().enumerate() {
            let views = self.kept[place].len();
            counts.push(Counts {
                rows: (0..views).map(|_| AtomicU64::new(0)).collect(),
                candidates: AtomicU64::new(0),
                nanoseconds: AtomicU64::new(0),
            });
            tasks.extend((0..history.pieces().len()).map(|piece| (place, piece)));
            let rows = history.pieces().iter().map(|piece| piece.rows).sum();
            self.run.progress.begin(&reading(history.what()), "rows", rows);
        }
        let done = pool::run(
            self.run.threads,
            tasks.len(),
            Pad::default,
            |pad, task| {
                let (history, piece) = tasks[task];
                let started = std::time::Instant::now();
                let read = self.piece(pad, history, piece, &counts[history]);
                let spent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                counts[history].nanoseconds.fetch_add(spent, Ordering::Relaxed);
                read
            },
            |_| Ok(()),
        );
        for (history, counts) in histories.iter().zip(&counts) {
            let rows: u64 = counts.rows.iter().map(|rows| rows.load(Ordering::Relaxed)).sum();
            self.run.progress.finish(&reading(history.what()), &format!("{rows} rows"));
        }
        done?;
        let scanned = |counts: Counts| HistoryScanned {
            rows: counts.rows.into_iter().map(AtomicU64::into_inner).collect(),
            candidates: counts.candidates.into_inner(),
            seconds: counts.nanoseconds.into_inner() as f64 / 1e9,
        };
        Ok(counts.into_iter().map(scanned).collect())
    }

    fn piece(
        &self,
        pad: &mut Pad,
        history: usize,
        piece: usize,
        counts: &Counts,
    ) -> Result<(), TrainingError> {
        let of = &self.run.spec.histories[history];
        let what = reading(of.what());
        of.instants(piece, &mut |view, some| {
            self.run.check()?;
            counts.rows[view].fetch_add(some.rows.len() as u64, Ordering::Relaxed);
            self.take(pad, history, view, piece, some, counts)?;
            self.run.progress.advance(&what, 0);
            self.rank_ties()
        })?;
        self.run.progress.advance(&what, of.pieces()[piece].rows.unwrap_or(0));
        Ok(())
    }

    fn take(
        &self,
        pad: &mut Pad,
        history: usize,
        view: usize,
        piece: usize,
        some: Instants,
        counts: &Counts,
    ) -> Result<(), TrainingError> {
        // Until all is where it can be found again, what ties is not ranked.
        let _offering = self.ranking.read();
        let rows = some.rows.len();
        let Some(first) = self.probes.iter().find(|probe| (probe.history, probe.view) == (history, view))
        else {
            return Ok(());
        };
        let types = &self.run.spec.keys[first.keys];
        let columns: Vec<(&ArrayRef, ValueType)> =
            some.keys.iter().zip(types.iter().map(|(_, of)| *of)).collect();
        let keys = Keys::new(&columns, rows);
        keys.hashes(&mut pad.hashes);
        let kept = self.kept[history][view].as_ref();
        pad.addresses.clear();
        let number = match kept {
            Some(kept) => {
                // Of rows that are kept, the place in this batch tells which one it is.
                let number = kept.reserve();
                pad.addresses.extend((0..rows as u64).map(|row| (number as u64) << 32 | row));
                number
            }
            None => {
                pad.addresses.extend(some.rows.iter().map(|row| (piece as u64) << 32 | u64::from(*row)));
                piece
            }
        };
        pad.taken.clear();
        pad.taken.resize(if kept.is_some() { rows } else { 0 }, false);
        for (place, probe) in self.probes.iter().enumerate() {
            if (probe.history, probe.view) != (history, view) {
                continue;
            }
            let (first_time, last_time) = self.pass.times;
            let reach = probe.lanes.iter().map(|lane| lane.reach).max().unwrap_or(i64::MAX);
            let oldest = first_time.saturating_sub(reach);
            let shards = self.pass.keyed[probe.keys].shards();
            let events = &some.events;
            let Pad { hashes, order, addresses, taken, records } = &mut *pad;
            let in_time = |row: usize| events[row] <= last_time && events[row] >= oldest;
            let units = match &some.units {
                RowUnits::All(unit) => UnitsOf::All(*unit),
                RowUnits::Each(units) => UnitsOf::Each(units),
            };
            let (events, createds) = (&some.events, &some.createds);
            let offered = Offered { keys: &keys, hashes, events, createds, units, addresses };
            let known = match &self.target {
                Target::Indexes(indexes) => {
                    order.sort(hashes, shards, in_time);
                    let taken = kept.is_some().then_some(taken.as_mut_slice());
                    let index = &indexes[probe.keys];
                    let (known, ties) = index.offer(&offered, order, &probe.lanes, &probe.units, taken);
                    self.ties.fetch_add(ties, Ordering::Relaxed);
                    known
                }
                Target::Aside { candidates, filters } => {
                    let filter = &filters[probe.keys];
                    order.sort(hashes, shards, |row| in_time(row) && filter.may_hold(hashes[row]));
                    let taken = kept.is_some().then_some(taken.as_mut_slice());
                    put_aside(&candidates[probe.keys], place, &offered, order, records, taken)?
                }
            };
            counts.candidates.fetch_add(known, Ordering::Relaxed);
        }
        if let (Some(kept), Some(columns)) = (kept, &some.features) {
            let rows: Vec<u32> = (0..rows as u32).filter(|row| pad.taken[*row as usize]).collect();
            kept.fill(number, rows, columns, &some.units)?;
        }
        Ok(())
    }

    /// Ranks what ties once there is so much of it that memory says so.
    fn rank_ties(&self) -> Result<(), TrainingError> {
        let Target::Indexes(indexes) = &self.target else { return Ok(()) };
        if self.ties.load(Ordering::Relaxed) <= self.run.ties_max() {
            return Ok(());
        }
        let _alone = self.ranking.write();
        // Another thread may have done it while this one waited.
        if self.ties.load(Ordering::Relaxed) > self.run.ties_max() {
            finish::settle_all(self.run, self.layout, indexes, &self.stores)?;
            self.ties.store(0, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Puts the rows of `order` aside. Returns how many.
fn put_aside(
    candidates: &Buckets<'_>,
    probe: usize,
    rows: &Offered<'_>,
    order: &Order,
    records: &mut Vec<u8>,
    mut taken: Option<&mut [bool]>,
) -> Result<u64, TrainingError> {
    let mut total = 0;
    for shard in 0..candidates.len() {
        let of_shard = order.of(shard);
        if of_shard.is_empty() {
            continue;
        }
        records.clear();
        for row in of_shard.iter().map(|row| *row as usize) {
            records.extend((probe as u32).to_le_bytes());
            records.extend(rows.units.at(row).to_le_bytes());
            records.extend(rows.events[row].to_le_bytes());
            records.extend(rows.createds[row].to_le_bytes());
            records.extend(rows.addresses[row].to_le_bytes());
            match &rows.keys.values {
                KeyValues::Numbers(numbers) => records.extend(numbers[row].to_le_bytes()),
                bytes => {
                    let key = bytes.bytes_at(row);
                    records.extend((key.len() as u32).to_le_bytes());
                    records.extend_from_slice(key);
                }
            }
            if let Some(taken) = taken.as_deref_mut() {
                taken[row] = true;
            }
        }
        candidates.append(shard, records, of_shard.len() as u64)?;
        total += of_shard.len() as u64;
    }
    Ok(total)
}

fn reading(what: &str) -> String {
    format!("read {what}")
}
