//! Reads keys and instants of every history, and offers rows to the slots of labels, or puts them aside for later.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;

use super::filter::{KeyFilter, ReachFilter};
use super::index::Index;
use super::kept::{Kept, RowStore};
use super::label_pass::{Keyed, LabelPass};
use super::offer::LaneUse;
use super::run::{Layout, Run};
use super::shard::Shard;
use super::stage::Stage;
use super::units::Units;
use super::wanted::KeysOf;
use crate::buckets::{Buckets, Record};
use crate::history::History;
use crate::{TrainingError, pool};

/// What was read of one history.
#[derive(Debug, Clone, Default)]
pub(crate) struct HistoryScanned {
    /// Rows that were looked at, for each of its views.
    pub rows: Vec<u64>,
    /// Rows that may be the answer to a label, over all views and lookups: their key is one's, and their event near
    /// enough.
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
    pub history: usize,
    pub view: usize,
    pub keys: usize,
    pub lanes: Vec<LaneUse>,
    pub units: Arc<Units>,
}

impl Probe {
    /// Whether the rows of a view of a history are looked up.
    pub fn is_of(&self, history: usize, view: usize) -> bool {
        (self.history, self.view) == (history, view)
    }
}

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
pub(super) struct Scanning<'r, 'a> {
    pub scan: &'r Scan<'r, 'a>,
    pub stores: Vec<Vec<RowStore<'r, 'a>>>,
    /// The keys of labels by choice of keys, where it pays to know them.
    pub filters: Vec<KeyFilter>,
    /// For each lookup which rows may be near enough to a label, where it pays to know.
    pub near: Vec<Option<Arc<ReachFilter>>>,
    pub counts: Vec<Counts>,
    /// Held to offer rows; held alone to rank what ties.
    pub ranking: RwLock<()>,
    pub ties: AtomicUsize,
}

/// Counts of one history, while it is read.
pub(super) struct Counts {
    rows: Vec<AtomicU64>,
    /// Rows that were offered, over all lookups; and of these, rows whose key a label has.
    pub candidates: AtomicU64,
    /// Of rows of which it was found out whether a label has their key: how many, and how many have one.
    pub keys_asked: AtomicU64,
    pub keys_known: AtomicU64,
    /// Rows of which it was asked whether they are near enough to a label, and how many were.
    pub near_asked: AtomicU64,
    pub near_passed: AtomicU64,
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
        let same = |probe: &&mut Probe| probe.is_of(spec.history, spec.view) && probe.keys == spec.keys;
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
                filter.insert(Shard::pass_label(&mut record, keyed.form, run.spec.known.is_some()).0);
            }
            Ok(())
        })
    })?;
    Ok(filter)
}

/// What a thread works in.
pub(super) struct Pad {
    pub hashes: Vec<u64>,
    /// The places of rows that can matter.
    pub selected: Vec<u32>,
    pub taken: Vec<bool>,
    pub record: Vec<u8>,
    /// For each lookup rows that wait.
    pub stages: Vec<Stage>,
}

impl Scan<'_, '_> {
    /// Reads all pieces of all histories.
    ///
    /// # Errors
    /// Those of reading; [`TrainingError::Scratch`]; [`TrainingError::Stopped`].
    pub fn read(&self) -> Result<Vec<HistoryScanned>, TrainingError> {
        let counts = |views: &Vec<Option<Kept<'_>>>| Counts {
            rows: views.iter().map(|_| AtomicU64::new(0)).collect(),
            candidates: AtomicU64::new(0),
            keys_asked: AtomicU64::new(0),
            keys_known: AtomicU64::new(0),
            near_asked: AtomicU64::new(0),
            near_passed: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        };
        let scanning = Scanning {
            scan: self,
            stores: self.run.stores(self.histories, self.kept),
            filters: self.resident_filters(),
            near: self.near()?,
            counts: self.kept.iter().map(counts).collect(),
            ranking: RwLock::new(()),
            ties: AtomicUsize::new(0),
        };
        scanning.all()
    }

    /// For each lookup which rows may be near enough to a label, where some can be too old.
    fn near(&self) -> Result<Vec<Option<Arc<ReachFilter>>>, TrainingError> {
        let mut known: Vec<(usize, i64, Option<Arc<ReachFilter>>)> = Vec::new();
        let mut all = Vec::with_capacity(self.probes.len());
        for probe in self.probes {
            let reach = probe.lanes.iter().map(|lane| lane.reach).max().unwrap_or(i64::MAX);
            let same = known.iter().find(|(keys, of, _)| (*keys, *of) == (probe.keys, reach));
            let filter = match same {
                Some((_, _, filter)) => filter.clone(),
                None => {
                    let filter = self.near_by(probe.keys, reach)?.map(Arc::new);
                    known.push((probe.keys, reach, filter.clone()));
                    filter
                }
            };
            all.push(filter);
        }
        Ok(all)
    }

    fn near_by(&self, keys: usize, reach: i64) -> Result<Option<ReachFilter>, TrainingError> {
        let (run, keyed) = (self.run, &self.pass.keyed[keys]);
        let bytes_max = run.memory.buckets() / 4 / self.probes.len().max(1) as u64;
        let Some(filter) = ReachFilter::new(keyed.labels(), reach, bytes_max) else { return Ok(None) };
        let knows = run.spec.known.is_some();
        pool::each(run.threads, keyed.shards(), |number| {
            run.check()?;
            match self.target {
                Target::Resident(indexes) => {
                    indexes[keys]
                        .with(number, |shard| shard.each_label(|hash, time| filter.insert(hash, time)));
                    Ok(())
                }
                Target::Aside { .. } => keyed.records.read(number, |block| {
                    let mut record = Record(block);
                    while !record.is_empty() {
                        let (hash, time) = Shard::pass_label(&mut record, keyed.form, knows);
                        filter.insert(hash, time);
                    }
                    Ok(())
                }),
            }
        })?;
        Ok(Some(filter))
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
            index.each(|shard| shard.keys.hashes().for_each(|hash| filter.insert(hash)));
            filter
        };
        indexes.iter().zip(&self.pass.keyed).map(filter).collect()
    }
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
            || self.pad(),
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

    /// What a thread works in. Rows wait for one history at a time.
    fn pad(&self) -> Pad {
        let Scan { run, pass, probes, .. } = *self.scan;
        let at_a_time = |history: usize| probes.iter().filter(|probe| probe.history == history).count();
        let stages = (0..self.counts.len()).map(at_a_time).max().unwrap_or(1).max(1) * run.threads;
        let bytes_max = run.memory.staged() / stages as u64;
        let stage = |probe: &Probe| {
            let keyed = &pass.keyed[probe.keys];
            Stage::new(keyed.form, keyed.shards(), bytes_max)
        };
        Pad {
            hashes: Vec::new(),
            selected: Vec::new(),
            taken: Vec::new(),
            record: Vec::new(),
            stages: probes.iter().map(stage).collect(),
        }
    }

    fn piece(&self, pad: &mut Pad, history: usize, piece: usize) -> Result<(), TrainingError> {
        let (run, of, counts) = (self.scan.run, &self.scan.histories[history], &self.counts[history]);
        let what = reading(run.spec.histories[history].what());
        let mut told = 0;
        let looked_at = of.instants(piece, &KeysOf { scanning: self, history }, &mut |view, some| {
            run.check()?;
            let rows = some.rows.len() as u64;
            self.take(pad, (history, view, piece), some)?;
            if view == 0 {
                run.progress.advance(&what, rows);
                told += rows;
            }
            self.rank_ties()
        })?;
        self.hand_on_all(pad, history, piece)?;
        self.rank_ties()?;
        run.progress.advance(&what, looked_at.saturating_sub(told));
        run.progress.read(&what, of.pieces()[piece].bytes);
        for rows in &counts.rows {
            rows.fetch_add(looked_at, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn reading(what: &str) -> String {
    format!("read {what}")
}
