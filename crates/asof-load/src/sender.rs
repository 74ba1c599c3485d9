//! A sender: one connection and the requests that it carries, one after the other.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout_at;

use crate::alarm::Alarm;
use crate::error::LoadError;
use crate::line::{Broken, Line};
use crate::plan::{LoadPlan, Mode};
use crate::request::{Head, Maker, Page};
use crate::schedule::{Turn, Turns};
use crate::statuses;
use crate::tally::{Outcome, Tally};

/// The pause of a sender that finds nobody to connect to, in a closed run: it would try as fast as it can.
const CONNECT_PAUSE: Duration = Duration::from_millis(10);

/// What all senders of a run share.
pub(crate) struct Shared {
    pub(crate) plan: LoadPlan,
    pub(crate) maker: Maker,
    pub(crate) turns: Turns,
    pub(crate) key_names: Vec<String>,
    pub(crate) sent: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    /// Since this instant.
    Running(Instant),
    /// Before its end.
    Stopped,
}

/// One connection.
pub(crate) struct Sender {
    pub(crate) shared: Arc<Shared>,
    pub(crate) head: Head,
    pub(crate) line: Line,
    pub(crate) tally: Rc<RefCell<Tally>>,
    /// Told once the connection was tried.
    pub(crate) ready: std::sync::mpsc::Sender<Result<(), LoadError>>,
    pub(crate) phase: watch::Receiver<Phase>,
}

impl Sender {
    /// Connects, waits for the start, and sends until there are no more turns. May be dropped at any point: what was counted
    /// is in the tally.
    pub(crate) async fn run(mut self) {
        // Where nobody is there now, the first request will say so.
        let _ = tokio::time::timeout(self.shared.plan.timeout, self.line.connect()).await;
        let mut alarm = Alarm::new();
        self.count_line();
        // Whoever no longer listens has ended the run.
        let _ = self.ready.send(Ok(()));
        let phase = self.phase.wait_for(|phase| *phase != Phase::Connecting).await.map(|phase| *phase);
        let Ok(Phase::Running(start)) = phase else { return };
        let mut page = Page::default();
        while let Some(turn) = self.shared.turns.take(start.elapsed()) {
            self.turn(turn, start, &mut page, &mut alarm).await;
        }
    }

    async fn turn(&mut self, turn: Turn, start: Instant, page: &mut Page, alarm: &mut Alarm) {
        let plan = &self.shared.plan;
        // Written before its time, so that the writing is no part of the latency.
        let kind = self.shared.maker.write(turn.n, &self.head, page);
        let open = matches!(plan.mode, Mode::Open { .. });
        let intended = start + turn.at;
        if open {
            alarm.until(intended).await;
        }
        let sent_at = Instant::now();
        let begun = if open { intended } else { sent_at };
        let deadline = begun + plan.timeout;
        // Who waited too long is not there any more for an answer.
        let answer = match deadline > sent_at {
            true => timeout_at(deadline.into(), self.line.ask(&page.bytes)).await.ok(),
            false => None,
        };
        let took = begun.elapsed();
        let sent = if deadline > sent_at { page.bytes.len() } else { 0 };
        let pause = !open && matches!(answer, Some(Err(Broken::Connect(_))));
        let outcome = match answer {
            Some(Ok(answer)) => {
                let body = self.line.body(&answer);
                Outcome::Answer { status: answer.status, body, bytes: answer.bytes }
            }
            Some(Err(broken)) => Outcome::Broken(broken),
            None => Outcome::Timeout,
        };
        let failed =
            self.count(turn, kind, sent, took, sent_at.saturating_duration_since(intended), &outcome);
        self.shared.sent.fetch_add(1, Ordering::Relaxed);
        self.shared.failed.fetch_add(u64::from(failed), Ordering::Relaxed);
        self.count_line();
        if pause {
            tokio::time::sleep(CONNECT_PAUSE).await;
        }
    }

    /// Counts what the connection went through since the last call.
    fn count_line(&mut self) {
        let mut tally = self.tally.borrow_mut();
        tally.opened += std::mem::take(&mut self.line.opened);
        tally.resent += std::mem::take(&mut self.line.resent);
    }

    /// Counts a request, and says whether it was an error.
    fn count(
        &self,
        turn: Turn,
        kind: usize,
        sent: usize,
        took: Duration,
        late: Duration,
        outcome: &Outcome<'_>,
    ) -> bool {
        let plan = &self.shared.plan;
        let mut tally = self.tally.borrow_mut();
        if turn.at < plan.warm_up {
            return tally.add_warming(outcome);
        }
        if matches!(plan.mode, Mode::Open { .. }) {
            tally.lateness.record(late);
            tally.waited += u64::from(turn.waited);
        }
        if let Outcome::Answer { status: 200, body, .. } = outcome
            && turn.n.is_multiple_of(statuses::SAMPLE_EVERY)
        {
            let mut counts: BTreeMap<String, u64> = std::mem::take(&mut tally.statuses);
            let is_key = |name: &str| self.shared.key_names.iter().any(|key| key == name);
            let read = statuses::count(plan.shape, body, is_key, &mut counts);
            tally.statuses = counts;
            tally.statuses_answers += u64::from(read);
        }
        tally.add(kind, sent, took, outcome)
    }
}
