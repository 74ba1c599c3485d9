//! The values of features whose windows look at no event but those that they see: of each bucket, those that pass a filter.

use std::ops::Range;

use asof_model::window::Window;
use asof_model::{Cell, Value};

use crate::closing::{Ask, WindowFeature};
use crate::events::Events;
use crate::fold::{Memory, fold};
use crate::picked::{Picked, buckets, seen};
use crate::prepared::Prepared;
use crate::windows::chosen_at;

/// The events of a key that some features pick, by bucket where they have buckets.
pub(crate) enum Lanes {
    One(Box<Lane>),
    Buckets {
        of: Vec<(String, Lane)>,
        /// The instants of events whose bucket is in error. They ascend.
        unknown: Vec<i64>,
    },
}

/// Some events alone, and what was found out about their argument so far.
pub(crate) struct Lane {
    picked: Picked,
    prepared: Prepared,
}

/// What a bucket's feature comes to, by the bucket's name; `None`: the whole map is an error.
type Map = Option<Vec<(String, Option<Value>)>>;

impl Lanes {
    /// What a feature picks of a key's events, and all that [share](WindowFeature::shares) with it.
    pub fn new(feature: &WindowFeature, events: &Events, within: Range<usize>) -> Self {
        let seen = seen(feature, events, within);
        let Some(by) = feature.by.map(|by| &events.inputs[by]) else {
            return Self::One(Box::new(Lane::new(feature, events, &seen)));
        };
        let (buckets, unknown) = buckets(by, &seen);
        let lane = |(name, of): (String, Vec<usize>)| (name, Lane::new(feature, events, &of));
        Self::Buckets {
            of: buckets.into_iter().map(lane).collect(),
            unknown: unknown.into_iter().map(|event| events.instants[event]).collect(),
        }
    }

    /// The values of a feature at some asks, which ascend. `oldest`: for each the instant before which no event counts.
    pub fn fold(
        &mut self,
        feature: &WindowFeature,
        (asks, oldest): (&[Ask], &[i64]),
        memory: &mut Memory,
        put: &mut dyn FnMut(usize, Cell),
    ) {
        let runs = |instants: &[i64]| runs_of(&feature.window, asks, oldest, instants);
        let (of, unknown) = match self {
            Self::One(lane) => {
                let runs = runs(&lane.picked.events.instants);
                lane.fold(feature, &runs, memory, put);
                return;
            }
            Self::Buckets { of, unknown } => (of, unknown),
        };
        let known = runs(unknown).into_iter().map(|run| run.is_empty().then(Vec::new));
        let mut maps: Vec<Map> = known.collect();
        for (name, lane) in of {
            let runs = runs(&lane.picked.events.instants);
            lane.fold(feature, &runs, memory, &mut |ask, cell| {
                let Some(map) = maps[ask].as_mut().filter(|_| !runs[ask].is_empty()) else { return };
                match cell {
                    Cell::Value(value) => map.push((name.clone(), Some(value))),
                    Cell::Null => map.push((name.clone(), None)),
                    Cell::Error => maps[ask] = None,
                }
            });
        }
        for (ask, map) in maps.into_iter().enumerate() {
            put(ask, map.and_then(Value::map).map_or(Cell::Error, Cell::Value));
        }
    }
}

impl Lane {
    fn new(feature: &WindowFeature, events: &Events, of: &[usize]) -> Self {
        Self { picked: Picked::new(feature, events, of), prepared: Prepared::default() }
    }

    fn fold(
        &mut self,
        feature: &WindowFeature,
        runs: &[Range<usize>],
        memory: &mut Memory,
        put: &mut dyn FnMut(usize, Cell),
    ) {
        let Self { picked, prepared } = self;
        fold(&feature.aggregate, &picked.argument(), prepared, runs, memory, put);
    }
}

fn runs_of(window: &Window, asks: &[Ask], oldest: &[i64], instants: &[i64]) -> Vec<Range<usize>> {
    let mut runs = Vec::with_capacity(asks.len());
    chosen_at(window, asks.iter().map(|ask| ask.t), instants, &mut Vec::new(), |run| {
        let first = instants.partition_point(|event| *event < oldest[runs.len()]);
        runs.push(run.start.max(first).min(run.end)..run.end);
    });
    runs
}
