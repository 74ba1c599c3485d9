//! A clock that moves when it is told to.

use std::sync::atomic::{AtomicI64, Ordering};

use asof_model::{Duration, Instant};
use asof_online::Clock;

/// A clock that stands still until a test moves it, in either direction. Share it in an `Arc`.
#[derive(Debug)]
pub struct SteppedClock(AtomicI64);

impl SteppedClock {
    /// A clock that stands at `now`.
    pub fn at(now: Instant) -> Self {
        Self(AtomicI64::new(now.micros()))
    }

    /// Makes it show `now`, also an earlier instant than before.
    pub fn set(&self, now: Instant) {
        self.0.store(now.micros(), Ordering::SeqCst);
    }

    /// Moves it on, held within the years 1 to 9999, and returns what it shows then.
    pub fn advance(&self, by: Duration) -> Instant {
        let later = self.now().plus(by);
        self.set(later);
        later
    }
}

impl Clock for SteppedClock {
    fn now(&self) -> Instant {
        Instant::from_micros_clamped(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: the clock shows what it was set to, and moves by microseconds, both ways.
    #[test]
    fn it_moves_only_when_told() {
        let clock = SteppedClock::at(Instant::EPOCH);
        assert_eq!(clock.now(), Instant::EPOCH);
        assert_eq!(clock.advance(Duration::from_micros(1)).micros(), 1);
        assert_eq!(clock.now().micros(), 1);
        clock.set(Instant::MIN);
        assert_eq!(clock.now(), Instant::MIN);
    }
}
