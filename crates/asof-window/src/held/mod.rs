//! The events of one key in memory, so that closing its windows at an instant looks at few of them (SEMANTICS 4).
//!
//! What [`Closing::close`] does for many asks of a key that is read once, [`HeldKey::close`] does for one ask of a key that is
//! read again and again: the same cells, byte for byte. What features take is found out once, when they are first asked for,
//! and takes a multiple of the memory of the events. An event that comes makes another key: nothing here changes.
//!
//! Reading order: here (which events stand), `plan` (what features share), `settled` (features over events that stand),
//! `series` (runs of events, and their values), then what values are read from: `pyramid` (merged states), `recurrence`
//! (different values), `sketch` (about how many), `order` (values by size), `frequency` (the most frequent ones), and what
//! these count with: `wavelet`.

mod frequency;
mod order;
mod plan;
mod pyramid;
mod recurrence;
mod series;
mod settled;
mod sketch;
mod wavelet;

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use asof_model::Cell;

use crate::closing::{Ask, Closing};
use crate::events::Events;
use crate::repeats::{Stands, count_before, resolve, withdraws};
use settled::Settled;

pub use plan::HeldPlan;

/// The events of one key, held in memory.
///
/// ```
/// # use std::sync::Arc;
/// # use asof_model::window::{Edge, Span, Window};
/// # use asof_model::{Cell, Duration, Value, ValueType};
/// # use asof_window::held::{ClosedAt, HeldKey, HeldPlan};
/// # use asof_window::{Aggregate, Ask, Closing, Events, Function, WindowFeature};
/// let count = Aggregate::new(Function::Count, ValueType::Bool).unwrap();
/// let window = Window { span: Span::LastRows(2), edge: Edge::Open, delay: Duration::ZERO };
/// let feature = WindowFeature { aggregate: count, window, argument: None, filter: None, by: None };
/// let closing = Closing {
///     features: vec![feature],
///     edge: Edge::Open,
///     retention: None,
///     delay: Duration::ZERO,
///     repeats: Default::default(),
///     withdrawal: None,
/// };
/// let events = Events { instants: vec![10, 20, 30], createds: vec![10, 20, 30], ..Events::default() };
/// let held = HeldKey::new(Arc::new(HeldPlan::new(closing)), events);
/// let mut closed = ClosedAt::default();
/// held.close(&[0], Ask { t: 30, known: 30 }, &mut closed);
/// assert_eq!(closed.newest, Some(20));
/// assert_eq!(closed.cells, [Cell::Value(Value::Int64(2))]);
/// ```
#[derive(Debug)]
pub struct HeldKey {
    plan: Arc<HeldPlan>,
    standing: Standing,
}

/// What came of one ask of a key. Its memory stays for the next one.
#[derive(Debug, Default)]
pub struct ClosedAt {
    /// The newest event within retention; `None`: the key is MISSING.
    pub newest: Option<i64>,
    /// A cell for each feature that was asked for, in that order; none where the key is MISSING.
    pub cells: Vec<Cell>,
    memory: Memory,
}

/// What one ask needs on the way.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// By the number of its window, the events of the key that count.
    runs: Vec<Option<Range<usize>>>,
    kept: Vec<usize>,
}

/// Which events stand.
#[derive(Debug)]
enum Standing {
    /// All of them, whatever is known.
    Always(Settled),
    ByKnown(Box<ByKnown>),
}

/// Events that are known from some instant on, or stand until some instant, or of which one stands for others.
#[derive(Debug)]
struct ByKnown {
    events: Arc<Events>,
    stands: Stands,
    /// The instants at which another event stands, or one no longer does. They ascend.
    edges: Vec<i64>,
    /// For the first so many events the instant from which on all of them stand. Empty where some don't in the end.
    known_by: Vec<i64>,
    /// Those that stand after the last edge: what is asked for nearly always.
    last: OnceLock<Settled>,
    /// Those that stood when something else was asked for, by the edges that were passed.
    other: Mutex<Option<(usize, Arc<Settled>)>>,
}

impl HeldKey {
    /// Holds the events of a key, which stand in the order of their places.
    pub fn new(plan: Arc<HeldPlan>, events: Events) -> Self {
        let all = 0..events.len();
        let stands = resolve(&events, all.clone(), (plan.closing().repeats, plan.closing().withdrawal));
        let events = Arc::new(events);
        let standing = match stands.is_always(&events) {
            true => Standing::Always(Settled::new(&plan, events)),
            false => {
                let edges = stands.all_edges(&events, all);
                let known_by = known_by(&stands, &events, &edges);
                let (last, other) = (OnceLock::new(), Mutex::new(None));
                Standing::ByKnown(Box::new(ByKnown { events, stands, edges, known_by, last, other }))
            }
        };
        Self { plan, standing }
    }

    /// Adds events of the key. Where they stand behind all others, as new ones mostly do, what was found out is carried on;
    /// otherwise, and where one repeats another, it is forgotten and found out again when it is asked for.
    pub fn append(&mut self, more: &Events) {
        if more.is_empty() {
            return;
        }
        let from = self.events().len();
        let extended = match &mut self.standing {
            Standing::Always(settled) if more.knowns.is_empty() && more.untils.is_empty() => {
                settled.extend(&self.plan, more);
                true
            }
            Standing::Always(_) => false,
            Standing::ByKnown(events) => events.extend(&self.plan, more),
        };
        let events = self.events();
        let in_order = (from..events.len()).all(|event| event == 0 || events.order(event - 1, event).is_le());
        if extended && in_order && !any_repeats(events, self.plan.closing(), from) {
            return;
        }
        let mut all = events.clone();
        if !extended {
            all.extend(more);
        }
        *self = Self::new(self.plan.clone(), all.in_order());
    }

    /// Closes the windows of the features `asked`, places among those of the plan, at one ask.
    pub fn close(&self, asked: &[usize], ask: Ask, out: &mut ClosedAt) {
        match &self.standing {
            Standing::Always(settled) => settled.close(&self.plan, asked, ask, out),
            Standing::ByKnown(events) => events.close(&self.plan, asked, ask, out),
        }
    }

    /// The events that are held.
    pub fn events(&self) -> &Events {
        match &self.standing {
            Standing::Always(settled) => settled.events(),
            Standing::ByKnown(by_known) => &by_known.events,
        }
    }

    /// About how many bytes it takes, without its plan. It grows when a feature is asked for that was not before.
    pub fn memory_bytes(&self) -> usize {
        let standing = match &self.standing {
            Standing::Always(settled) => settled.size() + settled.events().size(),
            Standing::ByKnown(events) => events.size(),
        };
        size_of::<Self>() + standing
    }
}

/// Whether an event from `from` on has the identity of one before it, or takes its own away.
fn any_repeats(events: &Events, closing: &Closing, from: usize) -> bool {
    let identity = events.identity.map(|identity| &events.inputs[identity]);
    let withdraws = |event| closing.withdrawal.is_some_and(|input| withdraws(&events.inputs[input], event));
    (from..events.len())
        .any(|event| identity.is_some_and(|identity| identity.recurs(event)) || withdraws(event))
}

/// For the first so many events the instant from which on all of them stand; empty where some don't in the end.
fn known_by(stands: &Stands, events: &Events, edges: &[i64]) -> Vec<i64> {
    let end = edges.iter().rev().find(|edge| **edge < i64::MAX).copied().unwrap_or(i64::MIN);
    let mut known = i64::MIN;
    let mut known_by = vec![known];
    for event in 0..events.len() {
        if !stands.stands_at(events, event, end) {
            return Vec::new();
        }
        known = known.max(stands.last_start(events, event));
        known_by.push(known);
    }
    known_by
}

impl ByKnown {
    /// Adds events that stand behind these. False: it cannot, and nothing was added.
    fn extend(&mut self, plan: &HeldPlan, more: &Events) -> bool {
        // What is known of them must be all that says when they stand, and in the end all must.
        let simple = self.stands.is_own() && self.events.untils.is_empty() && more.untils.is_empty();
        if !simple || self.known_by.is_empty() || more.knowns.contains(&i64::MAX) {
            return false;
        }
        let from = self.events.len();
        *self.other.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(last) = self.last.get_mut() {
            last.release();
        }
        Arc::make_mut(&mut self.events).extend(more);
        for event in from..self.events.len() {
            let known = self.events.stands(event).start;
            if let Err(place) = self.edges.binary_search(&known) {
                self.edges.insert(place, known);
            }
            let before = self.known_by.last().copied().unwrap_or(i64::MIN);
            self.known_by.push(before.max(known));
        }
        if let Some(last) = self.last.get_mut() {
            last.hold(plan, self.events.clone(), from);
        }
        true
    }

    fn close(&self, plan: &HeldPlan, asked: &[usize], ask: Ask, out: &mut ClosedAt) {
        let passed = self.edges.partition_point(|edge| *edge <= ask.known);
        // The end of time is an edge that nothing waits for.
        let is_last = ask.known < i64::MAX && self.edges.get(passed).is_none_or(|edge| *edge == i64::MAX);
        if is_last || self.all_known(plan.closing(), ask) {
            let settled = self.last.get_or_init(|| {
                let end = self.edges.iter().rev().find(|edge| **edge < i64::MAX);
                self.settled(plan, end.copied().unwrap_or(i64::MIN))
            });
            return settled.close(plan, asked, ask, out);
        }
        let settled = {
            // What a thread that panicked left there is whole.
            let mut other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
            match other.as_ref() {
                Some((known, settled)) if *known == passed => settled.clone(),
                _ => {
                    let settled = Arc::new(self.settled(plan, ask.known));
                    *other = Some((passed, settled.clone()));
                    settled
                }
            }
        };
        settled.close(plan, asked, ask, out);
    }

    /// Whether all events that may count stand, as they do in the end.
    fn all_known(&self, closing: &Closing, ask: Ask) -> bool {
        let count = count_before(closing.edge, &self.events.instants, ask.t);
        self.known_by.get(count).is_some_and(|known| *known <= ask.known) && ask.known < i64::MAX
    }

    fn settled(&self, plan: &HeldPlan, known: i64) -> Settled {
        let all = 0..self.events.len();
        let standing: Vec<usize> =
            all.filter(|event| self.stands.stands_at(&self.events, *event, known)).collect();
        let events = match standing.len() == self.events.len() {
            true => self.events.clone(),
            false => Arc::new(self.events.picked(&standing)),
        };
        Settled::new(plan, events)
    }

    fn size(&self) -> usize {
        let of = |settled: &Settled| {
            let shared = std::ptr::eq(settled.events(), &*self.events);
            settled.size() + if shared { 0 } else { settled.events().size() }
        };
        let other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        let settled = self.last.get().map_or(0, of) + other.as_ref().map_or(0, |(_, settled)| of(settled));
        let instants = self.edges.capacity() + self.known_by.capacity();
        self.events.size() + self.stands.size() + instants * size_of::<i64>() + settled + size_of::<Self>()
    }
}
