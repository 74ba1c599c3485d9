//! Slots to winners: what each label met, shard by shard.
//!
//! Where all slots are in memory, rows were offered to them as they were read. Where not, the rows of each shard were put
//! aside; now its labels are made slots, in several parts if there are too many, and its rows are offered.

use asof_model::Age;

use super::index::Index;
use super::kept::RowStore;
use super::label_pass::LabelPass;
use super::lane::{Candidate, Held};
use super::offer::Offer;
use super::run::{Layout, Run};
use super::scan::{Probe, Target};
use super::shard::Shard;
use super::stage::{self, KeyBytes, StagedRows};
use super::ties::Ties;
use super::winners::{Bits, Counts, Meeting, Met, Staged, Winners, judged};
use crate::buckets::Record;
use crate::{TrainingError, pool};

/// What this step is called.
const FIND: &str = "find the winners";

/// The winners of every view.
///
/// # Errors
/// Those of reading rows that tie; [`TrainingError::Scratch`]; [`TrainingError::Stopped`].
pub(crate) fn winners<'a>(
    run: &Run<'a>,
    pass: &LabelPass<'a>,
    layout: &Layout,
    target: Target<'a>,
    probes: &[Probe],
    stores: &[Vec<RowStore<'_, 'a>>],
) -> Result<Vec<Winners<'a>>, TrainingError> {
    let found: Vec<Winners<'a>> =
        (0..run.spec.views.len()).map(|view| empty(run, pass, layout, stores, view)).collect();
    let finish = Finish { run, layout, stores, found: &found };
    match target {
        Target::Resident(indexes) => {
            let tasks: Vec<(usize, usize)> = indexes
                .iter()
                .enumerate()
                .flat_map(|(keys, index)| (0..index.shards()).map(move |shard| (keys, shard)))
                .collect();
            run.progress.begin(FIND, "labels", Some(pass.rows));
            let done = pool::each(run.threads, tasks.len(), |task| {
                run.check()?;
                let (keys, number) = tasks[task];
                match indexes[keys].take(number) {
                    Some(shard) => finish.shard(keys, shard),
                    None => Ok(()),
                }
            });
            run.progress.finish(FIND, "found");
            done?;
        }
        Target::Aside { candidates, .. } => {
            let tasks = finish.slices(pass);
            run.progress.begin(FIND, "labels", Some(pass.rows));
            let done = pool::each(run.threads, tasks.len(), |task| {
                let Slice { keys, shard, from, until } = tasks[task];
                let whole = (from, until) == (0, u64::MAX);
                let shard = finish.build(pass, keys, shard, from, until)?;
                finish.replay(shard, keys, &candidates[keys], tasks[task].shard, whole, probes)
            });
            run.progress.finish(FIND, "found");
            done?;
        }
    }
    Ok(found)
}

fn empty<'a>(
    run: &Run<'a>,
    pass: &LabelPass<'_>,
    layout: &Layout,
    stores: &[Vec<RowStore<'_, 'a>>],
    view: usize,
) -> Winners<'a> {
    let (spec, lanes) = (&run.spec.views[view], &layout.views[view]);
    let pieces = match &stores[spec.history][spec.view] {
        RowStore::Read(history) => history.pieces().len(),
        RowStore::Kept(kept) => kept.len(),
    };
    let with_events = run.spec.events || lanes.units_matter;
    let held_max = run.memory.buckets() / run.spec.views.len().max(1) as u64;
    let met = |events| Met::new(run.scratch, pieces, events, held_max);
    Winners {
        met: met(with_events),
        served: lanes.served.map(|_| met(false)),
        differing: lanes.units_matter.then(|| Bits::new(pass.rows)),
        counts: Counts::default(),
        with_events,
    }
}

/// Some labels of a shard, by their places among its records.
#[derive(Debug, Clone, Copy)]
struct Slice {
    keys: usize,
    shard: usize,
    from: u64,
    until: u64,
}

struct Finish<'r, 'a> {
    run: &'r Run<'a>,
    layout: &'r Layout,
    stores: &'r [Vec<RowStore<'r, 'a>>],
    found: &'r [Winners<'a>],
}

impl<'a> Finish<'_, 'a> {
    /// The labels of every shard, cut so that the slots of as many parts as there are threads fit into memory. A key
    /// with more labels than fit is cut like any other: each part meets all rows of the shard.
    fn slices(&self, pass: &LabelPass<'_>) -> Vec<Slice> {
        let mut slices = Vec::new();
        for (keys, (keyed, lanes)) in pass.keyed.iter().zip(&self.layout.spans).enumerate() {
            let each = keyed.slot_bytes(lanes).div_ceil(keyed.labels().max(1));
            let most = (self.run.memory.slots() / self.run.threads as u64 / each).max(1);
            for shard in 0..keyed.shards() {
                let labels = keyed.records.records(shard);
                let parts = labels.div_ceil(most);
                for part in 0..parts {
                    let (from, until) = (labels * part / parts, labels * (part + 1) / parts);
                    let whole = parts == 1;
                    slices.push(Slice { keys, shard, from, until: if whole { u64::MAX } else { until } });
                }
            }
        }
        slices
    }

    fn build(
        &self,
        pass: &LabelPass<'_>,
        keys: usize,
        shard: usize,
        from: u64,
        until: u64,
    ) -> Result<Shard, TrainingError> {
        let keyed = &pass.keyed[keys];
        let knows = self.run.spec.known.is_some();
        let mut blocks: Vec<Vec<u8>> = Vec::new();
        let mut place = 0;
        let mut take = |block: &[u8]| {
            let mut wanted = Vec::new();
            let mut rest = Record(block);
            while !rest.is_empty() {
                let before = rest.0;
                Shard::pass_label(&mut rest, keyed.form, knows);
                if (from..until).contains(&place) {
                    wanted.extend_from_slice(&before[..before.len() - rest.0.len()]);
                }
                place += 1;
            }
            blocks.push(wanted);
            Ok(())
        };
        match (from, until) {
            (0, u64::MAX) => keyed.records.drain(shard, take)?,
            _ => keyed.records.read(shard, &mut take)?,
        }
        Ok(Shard::new(keyed.form, knows, &self.layout.spans[keys], &blocks))
    }

    /// Offers the rows that were put aside for a shard, and finishes it.
    fn replay(
        &self,
        mut shard: Shard,
        keys: usize,
        candidates: &crate::buckets::Buckets<'_>,
        number: usize,
        whole: bool,
        probes: &[Probe],
    ) -> Result<(), TrainingError> {
        let form = self.run.key_form(keys);
        let (mut rows, mut row_keys) = (Vec::new(), KeyBytes::default());
        let mut offer = |block: &[u8]| {
            self.run.check()?;
            let mut record = Record(block);
            while !record.is_empty() {
                let (probe, piece) = (&probes[record.u32() as usize], record.u32() as usize);
                stage::read(form, &mut record, &mut rows, &mut row_keys);
                let offer = Offer { form, lanes: &probe.lanes, units: &probe.units };
                offer.rows(&mut shard, StagedRows { rows: &rows, keys: &row_keys }, piece, None);
            }
            if shard.ties() > self.run.ties_max() {
                self.settle(keys, &mut shard)?;
            }
            Ok(())
        };
        match whole {
            true => candidates.drain(number, &mut offer)?,
            false => candidates.read(number, &mut offer)?,
        }
        self.shard(keys, shard)
    }

    /// Ranks the rows that tie so far.
    fn settle(&self, keys: usize, shard: &mut Shard) -> Result<(), TrainingError> {
        for (view, lanes) in self.views_by(keys) {
            for lane in [Some(lanes.asked), lanes.served].into_iter().flatten() {
                let (places, sets): (Vec<u32>, Vec<_>) = shard.lanes[lane].take_ties().into_iter().unzip();
                for (place, address) in places.into_iter().zip(self.ties(view).greatest(&sets)?) {
                    shard.lanes[lane].settle(place, address);
                }
            }
        }
        Ok(())
    }

    /// What the labels of a shard met.
    fn shard(&self, keys: usize, mut shard: Shard) -> Result<(), TrainingError> {
        let runs = shard.runs();
        let mut lanes: Vec<Option<super::lane::Lane>> = shard.lanes.drain(..).map(Some).collect();
        let slots = shard.slots();
        for (view, of_view) in self.views_by(keys) {
            let ties = self.ties(view);
            let mut finish = |lane: usize| -> Result<Vec<Held>, TrainingError> {
                let Some(lane) = lanes[lane].take() else { return Ok(vec![Held::Nothing; slots]) };
                let mut finished = lane.finish(runs.iter().cloned());
                if !finished.sets.is_empty() {
                    let greatest = ties.greatest(&finished.sets)?;
                    for held in &mut finished.held {
                        if let Held::Tied { event, set } = *held {
                            let address = greatest[set as usize];
                            *held = Held::Row(Candidate { event, created: i64::MIN, address });
                        }
                    }
                }
                Ok(finished.held)
            };
            let asked = finish(of_view.asked)?;
            let served = of_view.served.map(&mut finish).transpose()?;
            self.emit(view, &shard, &asked, served.as_deref())?;
        }
        self.run.progress.advance(FIND, slots as u64);
        Ok(())
    }

    fn emit(
        &self,
        view: usize,
        shard: &Shard,
        asked: &[Held],
        served: Option<&[Held]>,
    ) -> Result<(), TrainingError> {
        let spec = &self.run.spec.views[view];
        let tells_expired = self.run.spec.tells_expired(&spec.rule);
        let found = &self.found[view];
        let compares = spec.compares && spec.rule.known_at != asof_model::KnownAt::Served;
        let judge = |held: Held, time: i64| -> Option<(Candidate, Age)> {
            let Held::Row(row) = held else { return None };
            judged(&spec.rule, row.event, time, tells_expired).map(|age| (row, age))
        };
        let (mut met, mut could) = (Staged::default(), Staged::default());
        for (slot, held) in asked.iter().enumerate() {
            let (label, time) = shard.label(slot);
            let meeting = |(row, age): (Candidate, Age)| Meeting {
                address: row.address,
                label,
                expired: age == Age::Expired,
                event: row.event,
            };
            let row = judge(*held, time);
            if let Some((row, age)) = row {
                found.count(age);
                met.push(&found.met, meeting((row, age)));
            }
            if !compares {
                continue;
            }
            let Some(differing) = &found.differing else {
                if let Some((row, _)) = row {
                    found.count_unserved(spec, row.event);
                }
                continue;
            };
            let other = served.and_then(|served| judge(served[slot], time));
            let same = |(one, other): (Candidate, Candidate)| one.address == other.address;
            let both = row.map(|(row, _)| row).zip(other.map(|(row, _)| row));
            if both.is_some_and(same) || (row.is_none() && other.is_none()) {
                continue;
            }
            differing.insert(label);
            if let (Some(other), Some(buckets)) = (other, &found.served) {
                could.push(buckets, meeting(other));
            }
        }
        met.flush(&found.met)?;
        match &found.served {
            Some(served) => could.flush(served),
            None => Ok(()),
        }
    }

    fn views_by(&self, keys: usize) -> impl Iterator<Item = (usize, &super::run::ViewLanes)> {
        let views = self.run.spec.views.iter().zip(&self.layout.views).enumerate();
        views.filter(move |(_, (spec, _))| spec.keys == keys).map(|(view, (_, lanes))| (view, lanes))
    }

    fn ties(&self, view: usize) -> Ties<'_, 'a> {
        let spec = &self.run.spec.views[view];
        let rows = &self.stores[spec.history][spec.view];
        Ties { rows, view: spec.view, features: &spec.features, units: &spec.units }
    }
}

/// Ranks the rows that tie so far in every shard, so that they don't gather without end.
///
/// # Errors
/// Those of reading the rows.
pub(crate) fn settle_all<'a>(
    run: &Run<'a>,
    layout: &Layout,
    indexes: &[Index],
    stores: &[Vec<RowStore<'_, 'a>>],
) -> Result<(), TrainingError> {
    let finish = Finish { run, layout, stores, found: &[] };
    for (keys, index) in indexes.iter().enumerate() {
        for number in 0..index.shards() {
            if let Some(mut shard) = index.take(number) {
                let settled = finish.settle(keys, &mut shard);
                index.put(number, shard);
                settled?;
            }
        }
    }
    Ok(())
}
