//! How often a failure is tried again: a budget for reads, time for writes, and a breaker for each node.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The most retries that reads have saved up.
const BUDGET_MAX: f64 = 100.0;
/// What each read adds to the budget, in retries: under a lasting failure at most one read in ten is tried again.
const BUDGET_PER_READ: f64 = 0.1;
/// Failures in a row after which a node is left alone.
const FAILURES_MAX: u32 = 5;
/// How long it is left alone the first time; doubled each time up to the longest.
const REST_MIN: Duration = Duration::from_millis(250);
const REST_MAX: Duration = Duration::from_secs(10);
/// How long the one that tries a node is waited for.
const TRY_TIME: Duration = Duration::from_secs(2);
/// The pause before the first retry; doubled each time up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(400);

/// The pause before a retry, counted from 0.
pub(crate) fn pause(retry: u32) -> Duration {
    PAUSE_MIN.saturating_mul(1 << retry.min(10)).min(PAUSE_MAX)
}

/// Retries that may still be spent.
#[derive(Debug)]
pub(crate) struct Budget(Mutex<f64>);

impl Budget {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(BUDGET_MAX))
    }

    /// A read begins.
    pub(crate) fn earn(&self) {
        let mut left = self.0.lock();
        *left = (*left + BUDGET_PER_READ).min(BUDGET_MAX);
    }

    /// Whether a retry may be made, which is spent then.
    pub(crate) fn spend(&self) -> bool {
        let mut left = self.0.lock();
        let may = *left >= 1.0;
        if may {
            *left -= 1.0;
        }
        may
    }
}

/// Whether a node is asked: closed while it answers, open for a while after failures, then half open for one to try.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Broken>);

#[derive(Debug, Default)]
struct Broken {
    failures: u32,
    until: Option<Instant>,
}

/// A node that is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resting {
    pub(crate) rest: Duration,
    pub(crate) failures: u32,
}

impl Breaker {
    /// Asks whether the node may be asked.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Resting> {
        let mut broken = self.0.lock();
        let Some(until) = broken.until else { return Ok(()) };
        if now >= until {
            // The others go on waiting, but not for ever: the one that tries may give up.
            broken.until = Some(now + TRY_TIME);
            return Ok(());
        }
        Err(Resting { rest: until.saturating_duration_since(now), failures: broken.failures })
    }

    /// The node answered.
    pub(crate) fn succeeded(&self) {
        let mut broken = self.0.lock();
        if broken.failures > 0 || broken.until.is_some() {
            *broken = Broken::default();
        }
    }

    /// The node failed.
    pub(crate) fn failed(&self, now: Instant) {
        let mut broken = self.0.lock();
        broken.failures = broken.failures.saturating_add(1);
        if broken.failures >= FAILURES_MAX {
            let doublings = (broken.failures - FAILURES_MAX).min(10);
            broken.until = Some(now + REST_MIN.saturating_mul(1 << doublings).min(REST_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: after failures in a row a node is left alone, then one tries it, and its answer opens the way for all.
    #[test]
    fn breaker() {
        let (breaker, start) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES_MAX - 1 {
            breaker.failed(start);
            assert_eq!(breaker.admit(start), Ok(()));
        }
        breaker.failed(start);
        assert_eq!(breaker.admit(start), Err(Resting { rest: REST_MIN, failures: FAILURES_MAX }));
        assert_eq!(breaker.admit(start + REST_MIN), Ok(()));
        let waits = breaker.admit(start + REST_MIN);
        assert_eq!(waits, Err(Resting { rest: TRY_TIME, failures: FAILURES_MAX }), "one at a time tries");
        assert_eq!(breaker.admit(start + REST_MIN + TRY_TIME), Ok(()), "the one before gave up");
        let later = start + 10 * TRY_TIME;
        breaker.failed(later);
        assert!(breaker.admit(later + REST_MIN).is_err(), "the rest is longer now");
        assert_eq!(breaker.admit(later + 2 * REST_MIN), Ok(()));
        breaker.succeeded();
        assert_eq!((breaker.admit(start), breaker.admit(start)), (Ok(()), Ok(())));
    }

    /// Goal: under a lasting failure retries end, and come back with the reads that follow.
    #[test]
    fn budget() {
        let budget = Budget::new();
        let spent = (0..1_000).filter(|_| budget.spend()).count();
        assert_eq!(spent, BUDGET_MAX as usize);
        (0..11).for_each(|_| budget.earn());
        assert_eq!((budget.spend(), budget.spend()), (true, false));
    }
}
