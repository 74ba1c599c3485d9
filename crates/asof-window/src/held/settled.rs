//! The features of a view over the events of a key that stand.

use std::sync::{Arc, OnceLock};

use asof_model::{Cell, Value};

use super::plan::{FeaturePlan, HeldPlan, SeriesPlan};
use super::series::{Reached, Series};
use super::{ClosedAt, Memory};
use crate::closing::Ask;
use crate::events::Events;
use crate::picked::{buckets, seen};
use crate::windows::presence;

/// Events that all stand, with what features read of them.
#[derive(Debug)]
pub(crate) struct Settled {
    events: Arc<Events>,
    /// For each series of the plan, made when one of its features is asked for.
    lanes: Vec<OnceLock<Lane>>,
}

/// What the features of a series look at.
#[derive(Debug)]
enum Lane {
    One(Box<Series>),
    /// A series for each bucket.
    Buckets {
        of: Vec<(String, Series)>,
        /// The instants of events whose bucket is in error. They ascend.
        unknown: Vec<i64>,
    },
}

impl Lane {
    fn new(plan: &SeriesPlan, events: &Events) -> Self {
        let feature = &plan.feature;
        if !feature.is_picky() {
            return Self::One(Box::new(Series::of_all(plan, events)));
        }
        let seen = seen(feature, events, 0..events.len());
        let Some(by) = feature.by.map(|by| &events.inputs[by]) else {
            return Self::One(Box::new(Series::of_picked(plan, events, &seen)));
        };
        let (buckets, unknown) = buckets(by, &seen);
        let bucket = |(name, of): (String, Vec<usize>)| (name, Series::of_picked(plan, events, &of));
        Self::Buckets {
            of: buckets.into_iter().map(bucket).collect(),
            unknown: unknown.into_iter().map(|event| events.instants[event]).collect(),
        }
    }

    /// Takes in the events of the key from `from` on. False: it has to be made anew.
    fn extend(&mut self, plan: &SeriesPlan, events: &Events, from: usize) -> bool {
        let feature = &plan.feature;
        let more = match feature.is_picky() {
            true => seen(feature, events, from..events.len()),
            false => Vec::new(),
        };
        let (of, unknown) = match self {
            Self::One(series) => return series.extend(plan, events, from, &more),
            Self::Buckets { of, unknown } => (of, unknown),
        };
        let Some(by) = feature.by.map(|by| &events.inputs[by]) else { return false };
        let (buckets, without) = buckets(by, &more);
        unknown.extend(without.into_iter().map(|event| events.instants[event]));
        buckets.into_iter().all(|(name, more)| match of.binary_search_by(|(known, _)| known.cmp(&name)) {
            Ok(place) => of[place].1.extend(plan, events, from, &more),
            Err(place) => {
                of.insert(place, (name, Series::of_picked(plan, events, &more)));
                true
            }
        })
    }

    fn size(&self) -> usize {
        match self {
            Self::One(series) => series.size(),
            Self::Buckets { of, unknown } => {
                let buckets = of.iter().map(|(name, series)| name.capacity() + series.size());
                unknown.capacity() * size_of::<i64>() + buckets.sum::<usize>()
            }
        }
    }
}

impl Settled {
    pub fn new(plan: &HeldPlan, events: Arc<Events>) -> Self {
        Self { events, lanes: plan.series().iter().map(|_| OnceLock::new()).collect() }
    }

    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Adds events that stand behind all of these, and stand whatever is known.
    pub fn extend(&mut self, plan: &HeldPlan, more: &Events) {
        let from = self.events.len();
        Arc::make_mut(&mut self.events).extend(more);
        self.take_in(plan, from);
    }

    /// Takes in that there are events from `from` on.
    fn take_in(&mut self, plan: &HeldPlan, from: usize) {
        for (lane, plan) in self.lanes.iter_mut().zip(plan.series()) {
            if lane.get_mut().is_some_and(|lane| !lane.extend(plan, &self.events, from)) {
                *lane = OnceLock::new();
            }
        }
    }

    /// Lets the events go, so that they can be changed.
    pub fn release(&mut self) {
        self.events = Arc::default();
    }

    /// Holds events again, of which those from `from` on were added.
    pub fn hold(&mut self, plan: &HeldPlan, events: Arc<Events>, from: usize) {
        self.events = events;
        self.take_in(plan, from);
    }

    /// Closes the windows of some features at one ask.
    pub fn close(&self, plan: &HeldPlan, asked: &[usize], ask: Ask, out: &mut ClosedAt) {
        let closing = plan.closing();
        let instants = &self.events.instants;
        out.newest = None;
        out.cells.clear();
        let seen = presence(closing.edge, ask.t, closing.retention, closing.delay);
        let end = instants.partition_point(|event| *event < seen.end);
        let newest = end.checked_sub(1).map(|last| instants[last]);
        let Some(newest) = newest.filter(|newest| *newest >= seen.start) else { return };
        out.newest = Some(newest);
        out.memory.runs.clear();
        out.memory.runs.resize(plan.windows().len(), None);
        for place in asked {
            let feature = plan.feature(*place);
            let lane = self.lanes[feature.series]
                .get_or_init(|| Lane::new(&plan.series()[feature.series], &self.events));
            // What is older than retention does not count, whatever a window says.
            let reached = Reached { window: &plan.windows()[feature.window], t: ask.t, oldest: seen.start };
            let cell = self.cell(lane, feature, &reached, &mut out.memory);
            out.cells.push(cell);
        }
    }

    fn cell(&self, lane: &Lane, feature: FeaturePlan, reached: &Reached<'_>, memory: &mut Memory) -> Cell {
        let Memory { runs, kept } = memory;
        match lane {
            Lane::One(series) if series.is_of_all() => {
                let run = runs[feature.window].get_or_insert_with(|| series.run(&self.events, reached));
                series.read(&self.events, feature.aggregate, run, kept)
            }
            Lane::One(series) => {
                let run = series.run(&self.events, reached);
                series.read(&self.events, feature.aggregate, &run, kept)
            }
            Lane::Buckets { of, unknown } => {
                if !reached.any_of(unknown).is_empty() {
                    return Cell::Error;
                }
                let mut map = Vec::new();
                for (name, series) in of {
                    let run = series.run(&self.events, reached);
                    if run.is_empty() {
                        continue;
                    }
                    match series.read(&self.events, feature.aggregate, &run, kept) {
                        Cell::Value(value) => map.push((name.clone(), Some(value))),
                        Cell::Null => map.push((name.clone(), None)),
                        Cell::Error => return Cell::Error,
                    }
                }
                Value::map(map).map_or(Cell::Error, Cell::Value)
            }
        }
    }

    /// Bytes beside its own, without those of the events.
    pub fn size(&self) -> usize {
        let lanes =
            self.lanes.iter().map(|lane| size_of::<OnceLock<Lane>>() + lane.get().map_or(0, Lane::size));
        lanes.sum()
    }
}
