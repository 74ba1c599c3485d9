//! One join, step by step: labels to slots, rows to slots, slots to winners, winners to features.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use asof_engine::Progress;
use asof_model::{KnownAt, ValueType};
use parking_lot::Mutex;
use serde::Serialize;

use super::answer::RangeAnswer;
use super::fetch;
use super::finish;
use super::kept::{Kept, RowStore};
use super::keys::KeyForm;
use super::label_pass::{self, LabelPass};
use super::offer::LaneUse;
use super::parts::{Parts, RANGE_ROWS};
use super::reach;
use super::scan::{self, Scan, Target};
use super::spec::{JoinSpec, Joins, ViewSpec};
use super::winners::Winners;
use crate::TrainingError;
use crate::explain::{Clock, Explained, ScanExplained};
use crate::history::{History, HistorySource};
use crate::labels::Labels;
use crate::memory::Memory;
use crate::scratch::Scratch;
use crate::windows::JoinedWindows;

/// Bytes of a row that waits to be told apart.
const TIE_BYTES: u64 = 32;

/// What the steps of a join share.
pub(crate) struct Run<'a> {
    pub spec: &'a JoinSpec,
    pub scratch: &'a Scratch,
    pub progress: &'a dyn Progress,
    pub memory: Memory,
    pub threads: usize,
    /// Bytes of features in memory, over all views.
    pub held: &'a AtomicU64,
}

/// How one view's lookups are laid out.
#[derive(Debug, Clone)]
pub(crate) struct ViewLanes {
    /// Its lane among those of its choice of keys.
    pub asked: usize,
    /// The lane of what could have been served, where that can be another row.
    pub served: Option<usize>,
    /// Whether it makes a difference to the report of which unit a row is.
    pub units_matter: bool,
}

/// Everything that was decided before history is read.
pub(crate) struct Layout {
    pub views: Vec<ViewLanes>,
    /// For each choice of keys, for each lane whether rows may be offered to spans.
    pub spans: Vec<Vec<bool>>,
    /// Whether all slots fit into memory at a time.
    pub resident: bool,
}

/// How a view's labels came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ViewReport {
    /// Labels.
    pub labels: u64,
    /// Labels that met a row within its ttl.
    pub matched: u64,
    /// Labels that met a row past its ttl. `None`: they are not told from those that met none, as nobody asked for
    /// statuses or expired values.
    pub expired: Option<u64>,
    /// Labels that met none.
    pub missing: u64,
    /// Labels whose value or status differs from what serving could have answered at their time. `None`: nobody knows, as
    /// the rows were never published.
    pub differs_from_served: Option<u64>,
    /// Of those, labels whose row came with the first complete load of its range.
    pub of_these_bulk: Option<u64>,
}

/// Answers of one view, by label.
pub(crate) struct JoinedView<'a> {
    pub spec: &'a ViewSpec,
    pub parts: Parts<'a>,
    /// The rows that could have been served, of labels where these may be others.
    pub served: Option<Parts<'a>>,
    pub winners: Winners<'a>,
    /// The features that are read: places in the view, ascending.
    pub read: Vec<usize>,
}

/// A join whose winners are known and whose features are at hand.
pub struct Joined<'a> {
    order: &'a [Joins],
    pub(crate) views: Vec<JoinedView<'a>>,
    windows: Vec<JoinedWindows<'a>>,
    /// What the join has kept to.
    pub(crate) memory: Memory,
    labels: u64,
    last_label: Option<i64>,
    statuses_told: Vec<bool>,
    /// Labels that differ from served, and of these bulk, as far as ranges were compared.
    compared: Vec<Mutex<(u64, u64)>>,
    /// Rows read of each view's history.
    rows_read: Vec<u64>,
    /// What was done, for `--explain`.
    pub explained: Explained,
}

impl Run<'_> {
    /// Ends the work where nobody wants it any more.
    pub fn check(&self) -> Result<(), TrainingError> {
        if self.progress.wanted() { Ok(()) } else { Err(TrainingError::Stopped) }
    }

    /// Rows that may wait to be told apart by their bytes.
    pub fn ties_max(&self) -> usize {
        usize::try_from(self.memory.slots() / 4 / TIE_BYTES).unwrap_or(usize::MAX)
    }

    /// The form of keys of a choice of columns.
    pub fn key_form(&self, keys: usize) -> KeyForm {
        let types: Vec<ValueType> = self.spec.keys[keys].iter().map(|(_, of)| *of).collect();
        KeyForm::of(&types)
    }

    /// How the rows of a view are offered.
    pub fn lane_use(&self, view: &ViewSpec, lane: usize, served: bool) -> LaneUse {
        let known_at = if served { KnownAt::Served } else { view.rule.known_at };
        LaneUse { lane, known_at, reach: self.spec.reach(&view.rule) }
    }
}

/// Joins views to labels. `held` counts bytes; it begins at 0.
///
/// # Errors
/// Those of labels and history; [`TrainingError::Scratch`]; [`TrainingError::Stopped`].
pub fn join<'a>(
    spec: &'a JoinSpec,
    labels: &dyn Labels,
    scratch: &'a Scratch,
    held: &'a AtomicU64,
    progress: &'a dyn Progress,
) -> Result<Joined<'a>, TrainingError> {
    let (memory, threads) = (spec.resources.memory, spec.resources.threads.max(1));
    let run = Run { spec, scratch, progress, memory, threads, held };
    match run.join(labels, &Keep::Asked) {
        Err(TrainingError::NeedsWholeRows) => {
            held.store(0, Ordering::Relaxed);
            run.join(labels, &Keep::All)
        }
        joined => joined,
    }
}

/// The features that are kept of rows that can't be read again.
enum Keep {
    Asked,
    All,
}

impl<'a> Run<'a> {
    fn join(&self, labels: &dyn Labels, keep: &Keep) -> Result<Joined<'a>, TrainingError> {
        let clock = Clock::start();
        let pass = label_pass::read(self, labels)?;
        let layout = self.layout(&pass);
        let mut explained = Explained::new(self.memory, self.threads);
        explained.labels(&pass, &layout, &clock);

        if self.spec.views.is_empty() {
            let (windows, labels, last) = self.all_windows(labels, pass, &mut explained)?;
            return Ok(Joined {
                order: &self.spec.order,
                memory: self.memory,
                compared: Vec::new(),
                rows_read: Vec::new(),
                views: Vec::new(),
                windows,
                labels,
                last_label: (labels > 0).then_some(last),
                statuses_told: Vec::new(),
                explained,
            });
        }
        let clock = Clock::start();
        let target = scan::target(self, &pass, &layout)?;
        let histories = self.open(&pass, &layout, &target)?;
        explained.step("list what can matter", &clock);

        let clock = Clock::start();
        let kept = self.kept(keep);
        let probes = scan::probes(self, &layout);
        let scan = Scan {
            run: self,
            pass: &pass,
            layout: &layout,
            histories: &histories,
            kept: &kept,
            probes: &probes,
            target: &target,
        };
        let seen = scan.read()?;
        for (place, (scanned, history)) in seen.iter().zip(&histories).enumerate() {
            let what = self.spec.histories[place].what();
            explained.scans.push(ScanExplained::new(what, history.as_ref(), scanned));
        }
        explained.step("read keys and instants", &clock);

        let clock = Clock::start();
        let stores = self.stores(&histories, &kept);
        let found = finish::winners(self, &pass, &layout, target, &probes, &stores)?;
        explained.step("find the winners", &clock);

        let clock = Clock::start();
        let in_memory = self.labels_fit(&pass, &layout);
        let mut views = Vec::with_capacity(self.spec.views.len());
        for (spec, winners) in self.spec.views.iter().zip(found) {
            let mut read = spec.asked.clone();
            read.sort_unstable();
            read.dedup();
            let store = &stores[spec.history][spec.view];
            let new = |events| {
                let max = self.memory.features();
                Parts::new(self.scratch, pass.rows, in_memory, events, self.held, max)
            };
            let parts = new(winners.with_events);
            fetch::fill(self, spec, store, &read, &winners.met, &parts)?;
            let served = match &winners.served {
                Some(served) => {
                    let parts = new(false);
                    fetch::fill(self, spec, store, &read, served, &parts)?;
                    Some(parts)
                }
                None => None,
            };
            views.push(JoinedView { spec, parts, served, winners, read });
        }
        histories.iter().try_for_each(|history| history.check_unchanged())?;
        explained.step("fetch features", &clock);
        let rows_read = self.spec.views.iter().map(|view| seen[view.history].rows[view.view]).collect();
        let (windows, labels, last) = self.all_windows(labels, pass, &mut explained)?;
        explained.spilled_bytes = self.scratch.written();
        let told = self.spec.views.iter().map(|view| self.spec.tells_expired(&view.rule)).collect();
        Ok(Joined {
            memory: self.memory,
            compared: views.iter().map(|_| Mutex::new((0, 0))).collect(),
            rows_read,
            order: &self.spec.order,
            views,
            windows,
            labels,
            last_label: (labels > 0).then_some(last),
            statuses_told: told,
            explained,
        })
    }

    /// The answers of all views of events, with how many labels there are and the time of the last one.
    fn all_windows(
        &self,
        labels: &dyn Labels,
        pass: LabelPass<'a>,
        explained: &mut Explained,
    ) -> Result<(Vec<JoinedWindows<'a>>, u64, i64), TrainingError> {
        let (rows, last) = (pass.rows, pass.times.1);
        if self.spec.windows.is_empty() {
            return Ok((Vec::new(), rows, last));
        }
        // Views of values have taken the labels out of it.
        let pass = if self.spec.views.is_empty() { pass } else { label_pass::read(self, labels)? };
        if (pass.rows, pass.times.1) != (rows, last) {
            return Err(TrainingError::LabelsChanged);
        }
        let bytes = rows * self.spec.windows.len() as u64 * Parts::LABEL_BYTES;
        let in_memory = bytes <= self.memory.features() / 2;
        let joined = self.spec.windows.iter().map(|view| self.windows(view, &pass, in_memory, explained));
        Ok((joined.collect::<Result<_, _>>()?, rows, last))
    }

    fn layout(&self, pass: &LabelPass<'_>) -> Layout {
        let mut spans: Vec<Vec<bool>> = vec![Vec::new(); self.spec.keys.len()];
        let mut views = Vec::with_capacity(self.spec.views.len());
        for view in &self.spec.views {
            let lanes = &mut spans[view.keys];
            let mut add = |known_at: KnownAt| {
                // Only who asks what was served then sees rows that do not stand any more.
                lanes.push(known_at == KnownAt::Served && view.units.any_replaced());
                lanes.len() - 1
            };
            let asked = add(view.rule.known_at);
            let served = view.needs_served(pass.known_max).then(|| add(KnownAt::Served));
            let compared = view.compares && view.rule.known_at != KnownAt::Served;
            let units_matter = served.is_some() || (compared && !view.units.are_alike());
            views.push(ViewLanes { asked, served, units_matter });
        }
        let bytes: u64 = pass.keyed.iter().zip(&spans).map(|(keyed, lanes)| keyed.slot_bytes(lanes)).sum();
        Layout { views, spans, resident: bytes <= self.memory.slots() }
    }

    /// Whether a number for each label and view fits into memory, beside the features.
    fn labels_fit(&self, pass: &LabelPass<'_>, layout: &Layout) -> bool {
        let served = layout.views.iter().filter(|view| view.served.is_some()).count();
        let numbers = (layout.views.len() + served) as u64;
        pass.rows * numbers * Parts::LABEL_BYTES <= self.memory.features() / 2
    }

    fn open(
        &self,
        pass: &LabelPass<'_>,
        layout: &Layout,
        target: &Target<'_>,
    ) -> Result<Vec<Box<dyn History + 'a>>, TrainingError> {
        let spec: &'a JoinSpec = self.spec;
        let open = |(place, history): (usize, &'a Arc<dyn HistorySource>)| {
            self.check()?;
            history.open(&reach::of_history(self, pass, layout, target, place, history.views()), self.threads)
        };
        spec.histories.iter().enumerate().map(open).collect()
    }

    /// For each history, where it gives features with the instants, rows to keep of each of its views.
    fn kept(&self, keep: &Keep) -> Vec<Vec<Option<Kept<'a>>>> {
        let of_view = |history: usize, view: usize| {
            let mut specs =
                self.spec.views.iter().filter(|spec| (spec.history, spec.view) == (history, view));
            let mut features: Vec<usize> = match keep {
                Keep::Asked => specs.flat_map(|spec| spec.asked.iter().copied()).collect(),
                Keep::All => (0..specs.next().map_or(0, |spec| spec.features.len())).collect(),
            };
            features.sort_unstable();
            features.dedup();
            Kept::new(self.scratch, features, self.held, self.memory.features())
        };
        let of_history = |(place, history): (usize, &Arc<dyn HistorySource>)| {
            let later = history.features_come_later();
            (0..history.views()).map(|view| (!later).then(|| of_view(place, view))).collect()
        };
        self.spec.histories.iter().enumerate().map(of_history).collect()
    }

    /// Where the features of rows are, for each history and each of its views.
    pub fn stores<'k>(
        &self,
        histories: &'k [Box<dyn History + '_>],
        kept: &'k [Vec<Option<Kept<'a>>>],
    ) -> Vec<Vec<RowStore<'k, 'a>>> {
        let of_history = |(history, kept): (&'k dyn History, &'k Vec<Option<Kept<'a>>>)| {
            let store = |kept: &'k Option<Kept<'a>>| match kept {
                Some(kept) => RowStore::Kept(kept),
                None => RowStore::Read(history),
            };
            kept.iter().map(store).collect()
        };
        histories.iter().map(AsRef::as_ref).zip(kept).map(of_history).collect()
    }
}

impl Joined<'_> {
    /// How many labels there are.
    pub fn labels(&self) -> u64 {
        self.labels
    }

    /// The last label time, microseconds.
    pub fn last_label(&self) -> Option<i64> {
        self.last_label
    }

    /// How many views were joined.
    pub fn views(&self) -> usize {
        self.order.len()
    }

    /// How many ranges of [`RANGE_ROWS`] labels there are, the last one shorter.
    pub fn ranges(&self) -> usize {
        usize::try_from(self.labels.div_ceil(RANGE_ROWS)).unwrap_or(usize::MAX)
    }

    /// Whether a range costs nothing to look at again.
    pub fn is_in_memory(&self) -> bool {
        let mut views = self.views.iter();
        views.all(|view| view.parts.are_in_memory() && view.served.as_ref().is_none_or(Parts::are_in_memory))
            && self.windows.iter().all(|view| view.parts.are_in_memory())
    }

    /// Rows of a view's history that were looked at.
    pub fn rows_read(&self, view: usize) -> u64 {
        match self.order[view] {
            Joins::Values(view) => self.rows_read[view],
            Joins::Windows(view) => self.windows[view].rows_read,
        }
    }

    /// What a view answers to the labels of a range.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn answer(&self, view: usize, range: usize) -> Result<RangeAnswer, TrainingError> {
        match self.order[view] {
            Joins::Values(view) => self.views[view].answer(&self.views[view].parts, range),
            Joins::Windows(view) => self.windows[view].answer(range),
        }
    }

    fn labels_of(&self, range: usize) -> std::ops::Range<u64> {
        let start = range as u64 * RANGE_ROWS;
        start..self.labels.min(start + RANGE_ROWS)
    }

    /// Whether a view's answers to a range have to be compared with what was served, by [`Joined::compare`].
    pub fn must_compare(&self, view: usize) -> bool {
        match self.order[view] {
            Joins::Values(view) => self.views[view].winners.differing.is_some(),
            Joins::Windows(_) => false,
        }
    }

    /// Compares a view's answers to a range with what was served; each range once.
    ///
    /// # Errors
    /// [`TrainingError::Scratch`].
    pub fn compare(&self, view: usize, range: usize) -> Result<(), TrainingError> {
        // Views of events were compared while they were joined.
        let Joins::Values(view) = self.order[view] else { return Ok(()) };
        let joined = &self.views[view];
        let Some(maybe) = &joined.winners.differing else { return Ok(()) };
        let labels = self.labels_of(range);
        if labels.clone().all(|label| !maybe.contains(label)) {
            return Ok(());
        }
        let answer = joined.answer(&joined.parts, range)?;
        let served = joined.served.as_ref().map(|served| joined.answer(served, range)).transpose()?;
        let (mut differing, mut bulk) = (0, 0);
        for (place, label) in labels.enumerate() {
            let same = |feature: usize| {
                let served = match &served {
                    Some(served) => served.answered(feature, place),
                    None => (asof_model::Status::Missing, Vec::new()),
                };
                answer.answered(feature, place) == served
            };
            if !maybe.contains(label) || (0..answer.features()).all(same) {
                continue;
            }
            differing += 1;
            if let (Some(unit), Some(event)) = (answer.unit(place), answer.event(place)) {
                let facts = joined.spec.units.facts(unit);
                bulk += u64::from(facts.bulk.iter().any(|range| range.contains(event)));
            }
        }
        let mut compared = self.compared[view].lock();
        *compared = (compared.0 + differing, compared.1 + bulk);
        Ok(())
    }

    /// How a view came out. Complete once every range was compared that must be.
    pub fn report(&self, view: usize) -> ViewReport {
        let view = match self.order[view] {
            Joins::Values(view) => view,
            Joins::Windows(view) => return self.windows[view].report(self.labels),
        };
        let joined = &self.views[view];
        let counts = &joined.winners.counts;
        let (matched, expired) = (counts.matched(), counts.expired());
        let compared = joined.spec.compares.then(|| *self.compared[view].lock());
        ViewReport {
            labels: self.labels,
            matched,
            expired: self.statuses_told[view].then_some(expired),
            missing: self.labels - matched - expired,
            differs_from_served: compared.map(|(differing, _)| differing + counts.differing()),
            of_these_bulk: compared.map(|(_, bulk)| bulk + counts.bulk()),
        }
    }
}

impl JoinedWindows<'_> {
    fn answer(&self, range: usize) -> Result<RangeAnswer, TrainingError> {
        let met = self.parts.range(range)?;
        let any_error = met.any_error();
        let places: Vec<usize> = (0..self.features.len()).collect();
        Ok(RangeAnswer {
            rule: asof_model::Rule::default(),
            features: self.features.clone(),
            positions: places.as_slice().into(),
            columns: places.into(),
            units: self.units.clone(),
            all_shown: !any_error,
            met,
        })
    }
}

impl JoinedView<'_> {
    fn answer(&self, parts: &Parts<'_>, range: usize) -> Result<RangeAnswer, TrainingError> {
        let spec = self.spec;
        let place = |asked: &usize| self.read.partition_point(|read| read < asked);
        let met = parts.range(range)?;
        let any_error = met.any_error();
        Ok(RangeAnswer {
            rule: spec.rule,
            features: spec.asked.iter().map(|asked| spec.features[*asked].clone()).collect(),
            positions: spec.asked.as_slice().into(),
            columns: spec.asked.iter().map(place).collect(),
            units: spec.units.clone(),
            all_shown: !any_error && !met.winners.iter().any(|winner| winner.is_expired()),
            met,
        })
    }
}
