//! Windows of events at label times (SEMANTICS 4), at any size.
//!
//! The label table is the small side here too: its rows are cut into shards by the hash of their key. Events are read once, in
//! any order; those that may count for some label go to the shard of their key, in memory or in scratch. Then each shard is
//! worked on by one thread: its events are put in order of key and place, and each key's windows are closed at its label
//! times by [`Closing`], in a time that grows with events and labels, never with their pairs.
//!
//! Reading order: here (what is asked), `scan` (events to shards), `record` (events on their way), `shard` (one shard's
//! events and labels to values).

mod record;
mod scan;
mod shard;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asof_model::spec::Feature;
use asof_model::window::Edge;
use asof_model::{Instant, KnownAt};
use asof_window::Closing;

use crate::explain::{Clock, Explained, ScanExplained};
use crate::history::{HistorySource, Reach};
use crate::join::run::Run;
use crate::join::{LabelPass, Parts, UnitFacts, Units, ViewReport};
use crate::{TrainingError, buckets::Buckets, pool};

/// One view of events, as one alias of a request sees it.
pub struct WindowView {
    /// What is read.
    pub history: Arc<dyn HistorySource>,
    /// Its place among the choices of keys.
    pub keys: usize,
    /// The asked features, in the asked order. Inputs are places among `inputs`.
    pub closing: Closing,
    /// What is read of each event: places among what the history holds, and the columns.
    pub inputs: Vec<(usize, Feature)>,
    /// Which of the inputs tells events apart.
    pub identity: Option<usize>,
    /// The asked features: names, types and defaults.
    pub features: Vec<Feature>,
    /// What may hide an event.
    pub known_at: KnownAt,
    /// The publication units of its events.
    pub units: Arc<Units>,
    /// Whether answers are compared with what could have been served. Not for events that nobody published.
    pub compares: bool,
}

/// Answers of one view, by label.
pub(crate) struct JoinedWindows<'a> {
    pub features: Arc<[Feature]>,
    pub parts: Parts<'a>,
    /// One unit that carries all features.
    pub units: Arc<Units>,
    pub counts: WindowCounts,
    pub compares: bool,
    /// Events that were looked at.
    pub rows_read: u64,
}

/// What came of the labels of a view.
#[derive(Debug, Default)]
pub(crate) struct WindowCounts {
    pub matched: AtomicU64,
    pub differing: AtomicU64,
}

impl WindowView {
    /// How far before a label an event may lie that matters, microseconds.
    fn reach(&self) -> i64 {
        if self.identity.is_some() {
            // Which event of an identity stands is decided before its instant counts.
            return i64::MAX;
        }
        // A closed edge moves both ends by a microsecond, which the edge of presence has in it already.
        self.closing.retention.map_or(i64::MAX, |most| most.micros())
    }

    fn events_reach(&self, pass: &LabelPass<'_>) -> Reach {
        let (first, last) = pass.times;
        let until = match self.closing.edge {
            _ if self.identity.is_some() => i64::MAX,
            Edge::Open => last.saturating_sub(1),
            Edge::Closed => last,
        };
        let units_matter = self.known_at != KnownAt::Event || self.compares || self.units.any_replaced();
        Reach {
            from: first.saturating_sub(self.reach()),
            until,
            first_label: first,
            keys: None,
            units_matter,
        }
    }

    /// Whether some answers may differ from what could have been served.
    fn needs_served(&self, known_max: i64) -> bool {
        let mut visible = (0..self.units.len() as u32).map(|unit| self.units.facts(unit).visible.micros());
        let any = visible.any(|visible| visible <= known_max);
        self.compares && self.known_at != KnownAt::Served && any
    }
}

impl<'a> Run<'a> {
    /// The answers of one view of events to all labels.
    ///
    /// # Errors
    /// Those of reading; [`TrainingError::Scratch`]; [`TrainingError::Stopped`].
    pub(crate) fn windows(
        &self,
        view: &'a WindowView,
        pass: &LabelPass<'a>,
        in_memory: bool,
        explained: &mut Explained,
    ) -> Result<JoinedWindows<'a>, TrainingError> {
        let clock = Clock::start();
        let keyed = &pass.keyed[view.keys];
        let history = view.history.open(&[view.events_reach(pass)], self.threads)?;
        let share = self.memory.slots();
        let events = Buckets::new(self.scratch, keyed.shards(), share);
        let scanned = self.read_events(view, pass, history.as_ref(), &events)?;
        history.check_unchanged()?;
        explained.scans.push(ScanExplained::new(view.history.what(), history.as_ref(), &scanned));
        explained.step("read events", &clock);

        let clock = Clock::start();
        let parts = Parts::new(
            self.scratch,
            pass.rows,
            in_memory,
            self.spec.events,
            self.held,
            self.memory.features(),
        );
        let counts = WindowCounts::default();
        let what = "close windows";
        self.progress.begin(what, "labels", Some(keyed.labels()));
        let served = view.needs_served(pass.known_max);
        let done = pool::each(self.threads, keyed.shards(), |number| {
            self.check()?;
            let labels = self.close_shard(view, keyed, &events, number, served, (&parts, &counts))?;
            self.progress.advance(what, labels);
            Ok(())
        });
        self.progress.finish(what, "closed");
        done?;
        if view.compares && !served && view.known_at != KnownAt::Served {
            // Nothing could have been served to any of them.
            counts.differing.store(counts.matched.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        explained.step(what, &clock);
        let mut units = Units::default();
        let facts = UnitFacts {
            visible: Instant::MIN,
            features: view.features.len(),
            bulk: Vec::new(),
            replaced: Vec::new(),
            stays: false,
        };
        units.add("", facts);
        Ok(JoinedWindows {
            features: view.features.as_slice().into(),
            parts,
            units: Arc::new(units),
            counts,
            compares: view.compares,
            rows_read: scanned.rows.iter().copied().max().unwrap_or(0),
        })
    }
}

impl JoinedWindows<'_> {
    /// How the view came out.
    pub fn report(&self, labels: u64) -> ViewReport {
        let matched = self.counts.matched.load(Ordering::Relaxed);
        ViewReport {
            labels,
            matched,
            expired: Some(0),
            missing: labels - matched,
            differs_from_served: self.compares.then(|| self.counts.differing.load(Ordering::Relaxed)),
            of_these_bulk: None,
        }
    }
}
