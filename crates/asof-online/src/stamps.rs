//! How `t` and `visible` are drawn (SEMANTICS 1).
//!
//! - STAMP-1: the `t` of an answer is not before any stamp in its snapshot, and before every later stamp.
//! - STAMP-2: a stamp is strictly after every `t` drawn and every stamp before it.
//!
//! Snapshot and `t` are taken together under one short lock. While a unit is being written its stamp is known but
//! its rows are not readable; so that nobody waits, readers then get the snapshot from before and a `t` just before
//! the stamp. That snapshot is also what makes the write atomic for readers: the embedded engine may raise its own
//! visible sequence number during a commit (a flush does), and a fresh snapshot would then see half of a batch.

use std::collections::HashMap;
use std::sync::Arc;

use asof_model::{Duration, Instant};
use parking_lot::Mutex;

use crate::error::OnlineError;
use crate::store::{Frontier, ViewHandle};

/// How far each view is, with its number of units.
pub type Frontiers = HashMap<ViewHandle, (Frontier, u64)>;

/// The frontiers of the views of these keys, once each, in the order in which they were first asked for.
///
/// # Errors
/// [`OnlineError::UnknownView`].
pub fn asked_frontiers(
    frontiers: &Frontiers,
    keys: &[(ViewHandle, &[u8])],
) -> Result<Vec<Frontier>, OnlineError> {
    let mut asked: Vec<Frontier> = Vec::new();
    for (view, _) in keys {
        // A request asks few views, so a scan beats a set.
        if asked.iter().all(|each| each.view != *view) {
            let (frontier, _) = frontiers.get(view).ok_or(OnlineError::UnknownView { view: *view })?;
            asked.push(*frontier);
        }
    }
    Ok(asked)
}

const ONE_MICROSECOND: Duration = Duration::from_micros(1);

/// A `t` and all that was readable at it.
pub struct Drawn<S> {
    /// The instant.
    pub t: Instant,
    /// What was readable.
    pub snapshot: S,
    /// How far each view was.
    pub frontiers: Arc<Frontiers>,
    /// How many units were finished in the snapshot, since the store was opened.
    pub finished: u64,
}

/// The order of answers and stamps in one store.
pub struct Stamps<S> {
    inner: Mutex<Inner<S>>,
}

struct Inner<S> {
    /// Not before any `t` or stamp drawn, but for the stamp of the pending unit.
    high: Instant,
    frontiers: Arc<Frontiers>,
    pending: Option<Pending<S>>,
    finished: u64,
    frozen: bool,
}

struct Pending<S> {
    /// Every `t` is before it until the unit is readable.
    ceiling: Instant,
    snapshot: S,
}

impl<S: Clone> Stamps<S> {
    /// `high`: the greatest stamp stored.
    pub fn new(high: Instant, frontiers: Frontiers) -> Self {
        let inner = Inner { high, frontiers: Arc::new(frontiers), pending: None, finished: 0, frozen: false };
        Self { inner: Mutex::new(inner) }
    }

    /// Draws `t` and takes the snapshot that belongs to it. `clock`: the present by the clock. `now`: the instant
    /// that a client asks for, refused as [`OnlineError::NowAhead`] where a later stamp might not be after it.
    pub fn draw(
        &self,
        clock: Instant,
        now: Option<Instant>,
        current: impl FnOnce() -> S,
    ) -> Result<Drawn<S>, OnlineError> {
        let mut inner = self.inner.lock();
        let present = clock.max(inner.high);
        let latest = match &inner.pending {
            Some(pending) => present.min(pending.ceiling.minus(ONE_MICROSECOND)),
            None => present,
        };
        let t = now.unwrap_or(latest);
        if t > latest {
            return Err(OnlineError::NowAhead { now: t, clock: latest });
        }
        inner.high = inner.high.max(t);
        let snapshot = inner.pending.as_ref().map(|pending| pending.snapshot.clone());
        let (frontiers, finished) = (inner.frontiers.clone(), inner.finished);
        Ok(Drawn { t, snapshot: snapshot.unwrap_or_else(current), frontiers, finished })
    }

    /// Draws the stamp of a unit that is about to be written; `given` is its stamp when a journal is replayed.
    /// From here until [`Stamps::finish`] or [`Stamps::abandon`] readers see the snapshot of now.
    pub fn begin(
        &self,
        clock: Instant,
        given: Option<Instant>,
        current: impl FnOnce() -> S,
    ) -> Result<Instant, OnlineError> {
        let mut inner = self.inner.lock();
        let next = inner.high.plus(ONE_MICROSECOND);
        if next <= inner.high {
            return Err(OnlineError::ClockEnd { high: inner.high });
        }
        let visible = given.unwrap_or(clock.max(next));
        // A replayed stamp may lie far back: then the present simply goes on.
        inner.pending = Some(Pending { ceiling: visible.max(next), snapshot: current() });
        Ok(visible)
    }

    /// The unit is readable.
    pub fn finish(&self, visible: Instant, view: Frontier, units: u64) {
        let mut inner = self.inner.lock();
        inner.high = inner.high.max(visible);
        inner.finished += 1;
        Arc::make_mut(&mut inner.frontiers).insert(view.view, (view, units));
        let pending = inner.pending.take();
        // Giving a snapshot back may clean up behind it; nobody needs to wait for that.
        drop(inner);
        drop(pending);
    }

    /// The number of the unit that was begun and is not finished.
    pub fn coming(&self) -> u64 {
        self.inner.lock().finished + 1
    }

    /// Something changed that is no unit, such as an erasure: readers from here on are told apart from those before.
    pub fn pass(&self) {
        self.inner.lock().finished += 1;
    }

    /// How far a view is that got no new row.
    pub fn settle(&self, view: Frontier, units: u64) {
        Arc::make_mut(&mut self.inner.lock().frontiers).insert(view.view, (view, units));
    }

    /// The unit was certainly not written. Its stamp is spent all the same.
    pub fn abandon(&self) {
        let mut inner = self.inner.lock();
        let pending = inner.pending.take();
        if let Some(pending) = &pending {
            inner.high = inner.high.max(pending.ceiling);
        }
        drop(inner);
        drop(pending);
    }

    /// Nobody knows whether the unit was written: it may stand in the store, under its stamp, when that is opened
    /// again. So for good every `t` stays before that stamp, or STAMP-1 would break.
    pub fn freeze(&self) {
        self.inner.lock().frozen = true;
    }

    /// Whether [`Stamps::freeze`] was called.
    pub fn frozen(&self) -> bool {
        self.inner.lock().frozen
    }

    /// Adds a view without units.
    pub fn add_view(&self, view: ViewHandle) {
        let frontier = Frontier { view, position: None, last_visible: None };
        let mut inner = self.inner.lock();
        Arc::make_mut(&mut inner.frontiers).entry(view).or_insert((frontier, 0));
    }

    /// How far the view is, and its number of units.
    pub fn frontier(&self, view: ViewHandle) -> Result<(Frontier, u64), OnlineError> {
        self.inner.lock().frontiers.get(&view).copied().ok_or(OnlineError::UnknownView { view })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Instant {
        Instant::from_micros_clamped(micros)
    }

    fn view(last: i64) -> Frontier {
        Frontier { view: ViewHandle::from_number(1), position: Some(1), last_visible: Some(at(last)) }
    }

    /// Goal: on a clock that stands still, stamps and answers still never share an instant the wrong way round.
    #[test]
    fn a_clock_that_stands_still() {
        let stamps = Stamps::new(at(0), Frontiers::new());
        assert_eq!(stamps.draw(at(10), None, || "a").unwrap().t, at(10));
        let visible = stamps.begin(at(10), None, || "a").unwrap();
        assert_eq!(visible, at(11));
        let during = stamps.draw(at(500), None, || "half").unwrap();
        assert_eq!((during.t, during.snapshot), (at(10), "a"));
        stamps.finish(visible, view(11), 1);
        let after = stamps.draw(at(10), None, || "b").unwrap();
        assert_eq!((after.t, after.snapshot), (at(11), "b"));
        assert_eq!(stamps.begin(at(3), None, || "b").unwrap(), at(12));
    }

    /// Goal: while a unit is being written, a client's `now` at or past its stamp is refused, not answered.
    #[test]
    fn now_during_a_write() {
        let stamps = Stamps::new(at(0), Frontiers::new());
        let visible = stamps.begin(at(20), None, || ()).unwrap();
        let refused = stamps.draw(at(30), Some(visible), || ());
        assert!(matches!(refused, Err(OnlineError::NowAhead { clock, .. }) if clock == at(19)));
        assert_eq!(stamps.draw(at(30), Some(at(19)), || ()).unwrap().t, at(19));
    }

    /// Goal: an abandoned stamp is never given out again; after an uncertain write no `t` reaches its stamp.
    #[test]
    fn failed_writes() {
        let stamps = Stamps::new(at(0), Frontiers::new());
        stamps.begin(at(20), None, || "before").unwrap();
        stamps.abandon();
        let visible = stamps.begin(at(20), None, || "before").unwrap();
        assert_eq!(visible, at(21));
        stamps.freeze();
        let later = stamps.draw(at(1_000), None, || "after").unwrap();
        assert_eq!((later.t, later.snapshot, stamps.frozen()), (at(20), "before", true));
    }

    /// Goal: a replayed stamp keeps its instant, whether it lies behind or ahead of the present.
    #[test]
    fn replayed_stamps() {
        let stamps = Stamps::new(at(50), Frontiers::new());
        assert_eq!(stamps.begin(at(60), Some(at(7)), || ()).unwrap(), at(7));
        stamps.finish(at(7), view(7), 1);
        assert_eq!(stamps.draw(at(60), None, || ()).unwrap().t, at(60));
        assert_eq!(stamps.begin(at(60), Some(at(90)), || ()).unwrap(), at(90));
        stamps.finish(at(90), view(90), 2);
        assert_eq!(stamps.draw(at(60), None, || ()).unwrap().t, at(90));
    }

    /// Goal: at the end of time a unit is refused rather than given a stamp that is not new.
    #[test]
    fn the_last_instant() {
        let stamps = Stamps::new(Instant::MAX, Frontiers::new());
        assert!(matches!(stamps.begin(at(0), None, || ()), Err(OnlineError::ClockEnd { .. })));
    }
}
