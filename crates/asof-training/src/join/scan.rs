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
use crate::history::{History, Instants, RowUnits, WantedKeys};
use crate::{TrainingError, pool};

/// What was read of one history.
#[derive(Debug, Clone, Default)]
pub(crate) struct HistoryScanned {
    /// Rows that were looked at, for each of its views.
    pub rows: Vec<u64>,
    /// Rows whose key a label has, over all views and lookups.
    pub candidates: u64,
    /// Seconds that threads spent, added up.
    pub seconds: f64,
}

/// Where rows go.
pub(crate) enum Target<'a> {
    /// To the slots of labels; for each choice of keys all shards are here.
    Resident(Vec<Index>),
    /// Aside, for each choice of keys by shard; with the keys that labels have.
    Aside { candidates: Vec<Buckets<'a>>, filters: Vec<KeyFilter> },
}

/// How rows of one view of a history are looked up by one choice of keys.
pub(crate) struct Probe {
    history: usize,
    view: usize,
    keys: usize,
    pub lanes: Vec<LaneUse>,
    pub units: Arc<Units>,
}

/// Rows after which it is known how many of them have a key of a label.
const MEASURED_ROWS: u64 = 65_536;

/// Of so many rows one has a key of a label, or fewer: then keys are looked at first.
const FEW: u64 = 16;

/// Rows for each label from which on the keys of labels are worth a set of their own.
const ROWS_FOR_EACH_LABEL: u64 = 4;

pub(crate) struct Scan<'r, 'a> {
    pub run: &'r Run<'a>,
    pub pass: &'r LabelPass<'a>,
    pub layout: &'r Layout,
    pub histories: &'r [Box<dyn History + 'r>],
    pub kept: &'r [Vec<Option<Kept<'a>>>],
    pub probes: &'r [Probe],
    pub target: &'r Target<'a>,
}

/// A scan under way.
struct Scanning<'r, 'a> {
    scan: &'r Scan<'r, 'a>,
    stores: Vec<Vec<RowStore<'r, 'a>>>,
    /// The keys of labels by choice of keys, where it pays to know them.
    filters: Vec<KeyFilter>,
    counts: Vec<Counts>,
    /// Held to offer rows; held alone to rank what ties.
    ranking: RwLock<()>,
    ties: AtomicUsize,
}

/// Counts of one history, while it is read.
struct Counts {
    rows: Vec<AtomicU64>,
    /// Rows that were offered or left out for their key.
    offered: AtomicU64,
    candidates: AtomicU64,
    nanoseconds: AtomicU64,
}

/// Makes the place for rows: the labels as slots, or buckets.
///
/// # Errors
/// [`TrainingError::Scratch`]; [`TrainingError::Stopped`].
pub(crate) fn target<'a>(
    run: &Run<'a>,
    pass: &LabelPass<'a>,
    layout: &Layout,
) -> Result<Target<'a>, TrainingError> {
    if layout.resident {
        let indexes = pass.keyed.iter().zip(&layout.spans).map(|(keyed, lanes)| resident(run, keyed, lanes));
        return Ok(Target::Resident(indexes.collect::<Result<_, _>>()?));
    }
    let share = run.memory.buckets() / pass.keyed.len().max(1) as u64;
    let filters = pass.keyed.iter().map(|keyed| filter(run, keyed, share / 4)).collect::<Result<_, _>>()?;
    let buckets = |keyed: &Keyed<'_>| Buckets::new(run.scratch, keyed.shards(), share / 2);
    Ok(Target::Aside { candidates: pass.keyed.iter().map(buckets).collect(), filters })
}

/// Lookups: views of one history by one choice of keys share one.
pub(crate) fn probes(run: &Run<'_>, layout: &Layout) -> Vec<Probe> {
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
    /// Reads all pieces of all histories.
    ///
    /// # Errors
    /// Those of reading; [`TrainingError::Scratch`]; [`TrainingError::Stopped`].
    pub fn read(&self) -> Result<Vec<HistoryScanned>, TrainingError> {
        let counts = |views: &Vec<Option<Kept<'_>>>| Counts {
            rows: views.iter().map(|_| AtomicU64::new(0)).collect(),
            offered: AtomicU64::new(0),
            candidates: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        };
        let scanning = Scanning {
            scan: self,
            stores: self.run.stores(self.histories, self.kept),
            filters: self.resident_filters(),
            counts: self.kept.iter().map(counts).collect(),
            ranking: RwLock::new(()),
            ties: AtomicUsize::new(0),
        };
        scanning.all()
    }

    /// The keys of labels in memory, where there are many more rows than labels.
    fn resident_filters(&self) -> Vec<KeyFilter> {
        let Target::Resident(indexes) = self.target else { return Vec::new() };
        let rows = self.histories.iter().flat_map(|history| history.pieces()).filter_map(|piece| piece.rows);
        if self.pass.rows.saturating_mul(ROWS_FOR_EACH_LABEL) > rows.sum() {
            return Vec::new();
        }
        let filter = |(index, keyed): (&Index, &Keyed<'_>)| {
            let filter = KeyFilter::new(keyed.labels(), self.run.memory.buckets());
            index.each(|shard| shard.hashes().for_each(|hash| filter.insert(hash)));
            filter
        };
        indexes.iter().zip(&self.pass.keyed).map(filter).collect()
    }
}

/// The keys of labels, for one history.
struct KeysOf<'s, 'r, 'a> {
    scanning: &'s Scanning<'r, 'a>,
    history: usize,
}

impl Scanning<'_, '_> {
    fn all(self) -> Result<Vec<HistoryScanned>, TrainingError> {
        let (run, histories) = (self.scan.run, self.scan.histories);
        let mut tasks = Vec::new();
        for (place, history) in histories.iter().enumerate() {
            tasks.extend((0..history.pieces().len()).map(|piece| (place, piece)));
            let rows = history.pieces().iter().map(|piece| piece.rows).sum();
            run.progress.begin(&reading(run.spec.histories[place].what()), "rows", rows);
        }
        let done = pool::run(
            run.threads,
            tasks.len(),
            Pad::default,
            |pad, task| {
                let (history, piece) = tasks[task];
                let started = std::time::Instant::now();
                let read = self.piece(pad, history, piece);
                let spent = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
                self.counts[history].nanoseconds.fetch_add(spent, Ordering::Relaxed);
                read
            },
            |_| Ok(()),
        );
        for (place, counts) in self.counts.iter().enumerate() {
            let rows = counts.rows.iter().map(|rows| rows.load(Ordering::Relaxed)).max().unwrap_or(0);
            run.progress.finish(&reading(run.spec.histories[place].what()), &format!("{rows} rows"));
        }
        done?;
        let scanned = |counts: Counts| HistoryScanned {
            rows: counts.rows.into_iter().map(AtomicU64::into_inner).collect(),
            candidates: counts.candidates.into_inner(),
            seconds: counts.nanoseconds.into_inner() as f64 / 1e9,
        };
        Ok(self.counts.into_iter().map(scanned).collect())
    }

    fn piece(&self, pad: &mut Pad, history: usize, piece: usize) -> Result<(), TrainingError> {
        let (run, of, counts) = (self.scan.run, &self.scan.histories[history], &self.counts[history]);
        let what = reading(run.spec.histories[history].what());
        let mut told = 0;
        let looked_at = of.instants(piece, &KeysOf { scanning: self, history }, &mut |view, some| {
            run.check()?;
            let rows = some.rows.len() as u64;
            counts.offered.fetch_add(rows, Ordering::Relaxed);
            self.take(pad, history, view, piece, some)?;
            if view == 0 {
                run.progress.advance(&what, rows);
                told += rows;
            }
            self.rank_ties()
        })?;
        run.progress.advance(&what, looked_at.saturating_sub(told));
        for rows in &counts.rows {
            rows.fetch_add(looked_at, Ordering::Relaxed);
        }
        Ok(())
    }

    fn take(
        &self,
        pad: &mut Pad,
        history: usize,
        view: usize,
        piece: usize,
        some: Instants,
    ) -> Result<(), TrainingError> {
        let Scan { run, pass, kept, probes, target, .. } = self.scan;
        let counts = &self.counts[history];
        // Until all is where it can be found again, what ties is not ranked.
        let _offering = self.ranking.read();
        let rows = some.rows.len();
        let Some(first) = probes.iter().find(|probe| (probe.history, probe.view) == (history, view)) else {
            return Ok(());
        };
        let types = &run.spec.keys[first.keys];
        let columns: Vec<(&ArrayRef, ValueType)> =
            some.keys.iter().zip(types.iter().map(|(_, of)| *of)).collect();
        let keys = Keys::new(&columns, rows);
        keys.hashes(&mut pad.hashes);
        let kept = kept[history][view].as_ref();
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
        for (place, probe) in probes.iter().enumerate() {
            if (probe.history, probe.view) != (history, view) {
                continue;
            }
            let (first_time, last_time) = pass.times;
            let reach = probe.lanes.iter().map(|lane| lane.reach).max().unwrap_or(i64::MAX);
            let oldest = first_time.saturating_sub(reach);
            let shards = pass.keyed[probe.keys].shards();
            let events = &some.events;
            let Pad { hashes, order, addresses, taken, records } = &mut *pad;
            let in_time = |row: usize| events[row] <= last_time && events[row] >= oldest;
            let units = match &some.units {
                RowUnits::All(unit) => UnitsOf::All(*unit),
                RowUnits::Each(units) => UnitsOf::Each(units),
            };
            let (events, createds) = (&some.events, &some.createds);
            let offered = Offered { keys: &keys, hashes, events, createds, units, addresses };
            let known = match target {
                Target::Resident(indexes) => {
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
        let Target::Resident(indexes) = self.scan.target else { return Ok(()) };
        let run = self.scan.run;
        if self.ties.load(Ordering::Relaxed) <= run.ties_max() {
            return Ok(());
        }
        let _alone = self.ranking.write();
        // Another thread may have done it while this one waited.
        if self.ties.load(Ordering::Relaxed) > run.ties_max() {
            finish::settle_all(run, self.scan.layout, indexes, &self.stores)?;
            self.ties.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn filter(&self, keys: usize) -> Option<&KeyFilter> {
        match self.scan.target {
            Target::Resident(_) => self.filters.get(keys),
            Target::Aside { filters, .. } => filters.get(keys),
        }
    }
}

impl WantedKeys for KeysOf<'_, '_, '_> {
    fn are_few(&self, view: usize) -> bool {
        let counts = &self.scanning.counts[self.history];
        let (offered, known) =
            (counts.offered.load(Ordering::Relaxed), counts.candidates.load(Ordering::Relaxed));
        let mut probes = self.probes(view);
        // Once few are looked up, those that are have a known key most often: what was measured before stands.
        let few = offered >= MEASURED_ROWS && known * FEW <= offered;
        few && probes.all(|probe| self.scanning.filter(probe.keys).is_some())
    }

    fn may_have(&self, view: usize, keys: &[ArrayRef]) -> Vec<bool> {
        let rows = keys.first().map_or(0, |key| key.len());
        let mut may = vec![false; rows];
        let mut hashes = Vec::new();
        for probe in self.probes(view) {
            let Some(filter) = self.scanning.filter(probe.keys) else { return vec![true; rows] };
            if hashes.is_empty() {
                let types = &self.scanning.scan.run.spec.keys[probe.keys];
                let columns: Vec<(&ArrayRef, ValueType)> =
                    keys.iter().zip(types.iter().map(|(_, of)| *of)).collect();
                Keys::new(&columns, rows).hashes(&mut hashes);
            }
            may.iter_mut().zip(&hashes).for_each(|(may, hash)| *may |= filter.may_hold(*hash));
        }
        let left_out = may.iter().filter(|may| !**may).count() as u64;
        self.scanning.counts[self.history].offered.fetch_add(left_out, Ordering::Relaxed);
        may
    }
}

impl<'s, 'r> KeysOf<'s, 'r, '_> {
    fn probes(&self, view: usize) -> impl Iterator<Item = &'r Probe> + use<'s, 'r> {
        let history = self.history;
        let probes: &'r [Probe] = self.scanning.scan.probes;
        probes.iter().filter(move |probe| (probe.history, probe.view) == (history, view))
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
