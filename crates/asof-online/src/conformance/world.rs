//! A small world for the cases: a clock that is set by hand, rows of two features, and calls that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use asof_model::{Cell, Instant, Value, ValueType};

use super::Harness;
use crate::error::OnlineError;
use crate::layout::RowLayout;
use crate::store::{
    AnswerRow, Clock, IncomingRow, OnlineAnswer, OnlineStore, Publication, Published, ViewHandle,
};

/// 2024-01-01T00:00:00Z and that many seconds.
pub fn at(seconds: i64) -> Instant {
    Instant::from_micros_clamped((1_704_067_200 + seconds) * 1_000_000)
}

/// A clock that moves when told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at this instant.
    pub fn new(now: Instant) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now.micros())))
    }

    /// Moves the clock, also backwards.
    pub fn set(&self, now: Instant) {
        self.0.store(now.micros(), Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        Instant::from_micros_clamped(self.0.load(Ordering::SeqCst))
    }
}

/// A store in its harness, with rows of an int64 and a string.
pub struct World<'h, H: Harness> {
    /// Where the store lives.
    pub harness: &'h H,
    /// The store.
    pub store: Arc<dyn OnlineStore>,
    /// Its clock, which begins at `at(0)`.
    pub clock: Arc<ManualClock>,
    /// The layout of the rows.
    pub layout: RowLayout,
}

impl<'h, H: Harness> World<'h, H> {
    /// Opens the store.
    pub fn open(harness: &'h H) -> Self {
        let clock = ManualClock::new(at(0));
        Self { clock: clock.clone(), ..Self::open_on(harness, clock) }
    }

    /// Opens the store on another clock; the one in the world moves nothing then.
    pub fn open_on(harness: &'h H, clock: Arc<dyn Clock>) -> Self {
        let layout = RowLayout::new(&[ValueType::Int64, ValueType::String]);
        Self { harness, store: harness.open(clock), clock: ManualClock::new(at(0)), layout }
    }

    /// Closes the store and opens it again, on a clock that stands at `at(0)`.
    pub fn reopen(self) -> Self {
        let harness = self.harness;
        drop(self);
        Self::open(harness)
    }

    /// The number of a view, registered where needed.
    pub fn view(&self, identity: &str) -> ViewHandle {
        self.harness.wait(self.store.register(identity)).expect("a view is registered")
    }

    /// A row of both features.
    pub fn row(&self, key: &[u8], event: Instant, created: Instant, number: i64) -> IncomingRow {
        let cells = [Cell::Value(Value::Int64(number)), Cell::Value(Value::String(format!("n{number}")))];
        IncomingRow { key: key.to_vec(), event, created, row: self.layout.encode(&cells) }
    }

    /// A publication without created column.
    pub fn unit<'a>(
        &'a self,
        view: ViewHandle,
        unit: &'a str,
        position: u64,
        rows: Vec<IncomingRow>,
    ) -> Publication<'a> {
        Publication {
            view,
            layout: &self.layout,
            unit,
            position,
            note: "",
            created_declared: false,
            active_within: None,
            visible: None,
            replaces: None,
            events: None,
            waits: false,
            rows,
        }
    }

    /// Publishes, with the store's answer.
    pub fn try_publish(&self, publication: Publication<'_>) -> Result<Published, OnlineError> {
        self.harness.wait(self.store.publish(publication))
    }

    /// Publishes a unit without created column.
    pub fn publish(&self, view: ViewHandle, unit: &str, position: u64, rows: Vec<IncomingRow>) -> Published {
        self.try_publish(self.unit(view, unit, position, rows)).expect("a unit is published")
    }

    /// Reads, with the store's answer.
    pub fn try_read(
        &self,
        keys: &[(ViewHandle, &[u8])],
        now: Option<Instant>,
    ) -> Result<OnlineAnswer, OnlineError> {
        self.harness.wait(self.store.read(keys, now))
    }

    /// The row in force of one key at the store's present.
    pub fn row_now(&self, view: ViewHandle, key: &[u8]) -> Option<AnswerRow> {
        let mut answer = self.try_read(&[(view, key)], None).expect("a key is read");
        assert_eq!(answer.rows.len(), 1);
        answer.rows.remove(0)
    }

    /// The first feature of the row in force of one key at the store's present.
    pub fn number_now(&self, view: ViewHandle, key: &[u8]) -> Option<i64> {
        self.row_now(view, key).map(|row| self.number(&row))
    }

    /// The first feature of a row.
    pub fn number(&self, row: &AnswerRow) -> i64 {
        match self.layout.cell(&row.row, 0) {
            Ok(Some(crate::CellRef::Int64(number))) => number,
            other => panic!("the row holds {other:?}"),
        }
    }

    /// The keys of a view, all of them.
    pub fn keys(&self, view: ViewHandle, after: Option<&[u8]>, limit: usize) -> Vec<Vec<u8>> {
        self.harness.wait(self.store.keys(view, after, limit)).expect("keys are listed")
    }
}

/// A small generator of repeatable choices.
pub(super) struct Choices(u64);

impl Choices {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
