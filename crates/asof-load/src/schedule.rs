//! Whose turn it is: when the next request is to be sent, and which it is.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;

use crate::plan::{Arrivals, LoadPlan, Mode};
use crate::request::mixed;

/// A request to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Its number.
    pub(crate) n: u64,
    /// When it is to be sent, from the start of the run.
    pub(crate) at: Duration,
    /// Whether it was due before a connection was free for it.
    pub(crate) waited: bool,
}

/// Deals turns to connections.
pub(crate) enum Turns {
    /// Whoever asks is next.
    Closed { next: AtomicU64, total: Duration },
    /// By a schedule.
    Open(Mutex<Schedule>),
}

impl Turns {
    pub(crate) fn new(plan: &LoadPlan) -> Self {
        let total = plan.warm_up + plan.duration;
        match plan.mode {
            Mode::Closed => Self::Closed { next: AtomicU64::new(0), total },
            Mode::Open { rate, arrivals, waiting_max } => {
                let rng = (arrivals == Arrivals::Poisson).then(|| Rng::with_seed(mixed(plan.seed, u64::MAX)));
                Self::Open(Mutex::new(Schedule::new(rate, rng, waiting_max, plan.warm_up, total)))
            }
        }
    }

    /// The next turn for a connection that is free at `now`, from the start of the run. It may lie ahead. `None`: there are no
    /// more.
    pub(crate) fn take(&self, now: Duration) -> Option<Turn> {
        match self {
            Self::Closed { next, total } => (now < *total).then(|| Turn {
                n: next.fetch_add(1, Ordering::Relaxed),
                at: now,
                waited: false,
            }),
            Self::Open(schedule) => schedule.lock().unwrap_or_else(PoisonError::into_inner).take(now),
        }
    }

    /// Arrivals that were dropped: of the warm-up, and of what is measured.
    pub(crate) fn dropped(&self) -> (u64, u64) {
        match self {
            Self::Closed { .. } => (0, 0),
            Self::Open(schedule) => {
                let schedule = schedule.lock().unwrap_or_else(PoisonError::into_inner);
                (schedule.dropped_warming, schedule.dropped)
            }
        }
    }
}

/// Arrivals, and those of them that wait.
///
/// Nothing is dealt by a clock of its own: a connection that becomes free first brings in what arrived meanwhile, in order,
/// each into the queue or, where that is full, to those dropped. As only such connections take from the queue, it is at each
/// of these instants what it would have been with a clock.
pub(crate) struct Schedule {
    rate: f64,
    /// Draws distances, where they differ.
    rng: Option<Rng>,
    warm_up: Duration,
    total: Duration,
    waiting: VecDeque<(u64, Duration)>,
    waiting_max: usize,
    /// The next arrival.
    n: u64,
    at: Duration,
    /// Its time in seconds, so that small distances don't lose their fractions.
    at_seconds: f64,
    dropped_warming: u64,
    dropped: u64,
}

impl Schedule {
    fn new(rate: f64, rng: Option<Rng>, waiting_max: usize, warm_up: Duration, total: Duration) -> Self {
        let (waiting, at) = (VecDeque::new(), Duration::ZERO);
        let mut schedule = Self {
            rate,
            rng,
            warm_up,
            total,
            waiting,
            waiting_max,
            n: 0,
            at,
            at_seconds: 0.0,
            dropped_warming: 0,
            dropped: 0,
        };
        if schedule.rng.is_some() {
            schedule.advance();
            schedule.n = 0;
        }
        schedule
    }

    fn take(&mut self, now: Duration) -> Option<Turn> {
        while self.at <= now && self.at < self.total {
            if self.waiting.len() < self.waiting_max {
                self.waiting.push_back((self.n, self.at));
            } else if self.at < self.warm_up {
                self.dropped_warming += 1;
            } else {
                self.dropped += 1;
            }
            self.advance();
        }
        if let Some((n, at)) = self.waiting.pop_front() {
            return Some(Turn { n, at, waited: at < now });
        }
        let ahead = Turn { n: self.n, at: self.at, waited: false };
        (self.at < self.total).then(|| {
            self.advance();
            ahead
        })
    }

    fn advance(&mut self) {
        self.n += 1;
        match &mut self.rng {
            // From the number, so that errors don't add up.
            None => self.at_seconds = self.n as f64 / self.rate,
            Some(rng) => self.at_seconds -= (1.0 - rng.f64()).ln() / self.rate,
        }
        self.at = Duration::try_from_secs_f64(self.at_seconds).unwrap_or(Duration::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn even(waiting_max: usize) -> Schedule {
        Schedule::new(100.0, None, waiting_max, ms(20), ms(100))
    }

    /// Goal: a connection that is free is told of the next arrival ahead of it, and there are as many as the rate says.
    #[test]
    fn arrivals_at_equal_distances() {
        let mut schedule = even(5);
        let first = schedule.take(Duration::ZERO);
        assert_eq!(first, Some(Turn { n: 0, at: ms(0), waited: false }));
        let rest: Vec<Turn> = std::iter::from_fn(|| schedule.take(ms(1))).collect();
        let right: Vec<Turn> = (1..10).map(|n| Turn { n, at: ms(n * 10), waited: false }).collect();
        assert_eq!(rest, right);
    }

    /// Goal: what is due waits in order; what finds the queue full is dropped, in the warm-up and after it apart.
    #[test]
    fn a_queue_with_a_bound() {
        let mut schedule = even(1);
        assert_eq!(schedule.take(ms(35)), Some(Turn { n: 0, at: ms(0), waited: true }));
        assert_eq!((schedule.dropped_warming, schedule.dropped), (1, 2));
        assert_eq!(schedule.take(ms(35)), Some(Turn { n: 4, at: ms(40), waited: false }));
        assert_eq!(schedule.take(ms(500)), Some(Turn { n: 5, at: ms(50), waited: true }));
        assert_eq!((schedule.dropped_warming, schedule.dropped), (1, 6));
        assert_eq!(schedule.take(ms(500)), None);
    }

    /// Goal: at any pace of whoever takes, every arrival is taken or dropped, once and in order.
    #[test]
    fn none_is_lost() {
        for pace in [1, 7, 15, 40, 300] {
            let mut schedule = Schedule::new(1000.0, Some(Rng::with_seed(pace)), 3, ms(0), ms(2_000));
            let mut now = 0;
            let mut taken = Vec::new();
            while let Some(turn) = schedule.take(ms(now)) {
                taken.push(turn.n);
                now = (now + pace).max(turn.at.as_millis() as u64);
            }
            assert!(taken.is_sorted_by(|a, b| a < b));
            assert_eq!(taken.len() as u64 + schedule.dropped, schedule.n, "{pace}");
        }
    }

    /// Goal: a Poisson process has its rate, distances of an exponential law, and is the same from the same seed.
    #[test]
    fn poisson() {
        let draw = |seed| {
            let mut schedule =
                Schedule::new(1000.0, Some(Rng::with_seed(seed)), 1, ms(0), Duration::from_secs(20));
            std::iter::from_fn(|| schedule.take(Duration::ZERO)).map(|turn| turn.at).collect::<Vec<_>>()
        };
        let at = draw(1);
        assert_eq!(at, draw(1));
        assert_ne!(at, draw(2));
        assert!((19_000..21_000).contains(&at.len()), "{}", at.len());
        // One distance in e is longer than the mean.
        let longer = at.windows(2).filter(|pair| pair[1] - pair[0] > ms(1)).count() as f64 / at.len() as f64;
        assert!((longer - (-1.0_f64).exp()).abs() < 0.02, "{longer}");
    }
}
