//! When a server has more to do than it can: it says so at once to some, so that the others do not wait.
//!
//! Requests that are answered from memory never wait for anything but a thread. So what tells of too much work is how long
//! a task that is ready waits for one; a task of our own is asked that all the time. Past a bound, requests are turned
//! away at their head, which costs next to nothing, until the wait is short again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most requests that are worked on at a time. Further ones are answered 503 at once and may try again.
pub const REQUESTS_IN_FLIGHT_MAX: usize = 512;

/// How long a task that is ready may wait for a thread before requests are turned away.
pub const QUEUE_WAIT_MAX: Duration = Duration::from_millis(25);

/// How many waits in a row have to be long: a single one may be the system's, which let the thread rest.
pub const LONG_WAITS_MIN: u64 = 4;

/// How often the wait for a thread is measured.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How much there is to do.
#[derive(Clone)]
pub(crate) struct Load {
    free: Arc<Semaphore>,
    /// How many waits in a row were longer than [`QUEUE_WAIT_MAX`], the last one included.
    long_waits: Arc<AtomicU64>,
}

impl Load {
    pub fn new() -> Self {
        Self { free: Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT_MAX)), long_waits: Arc::default() }
    }

    /// The load of another thread, which shares the bound on requests and has waits of its own.
    pub fn of_thread(&self) -> Self {
        Self { free: self.free.clone(), long_waits: Arc::default() }
    }

    /// A place for a request. `None`: there is too much to do.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        match self.long_waits.load(Ordering::Relaxed) >= LONG_WAITS_MIN {
            true => None,
            false => self.free.clone().try_acquire_owned().ok(),
        }
    }

    /// Measures for as long as it runs. It has to run as a task among those that answer.
    pub async fn measure(self) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let ready = Instant::now();
            // Behind all that are ready now.
            tokio::task::yield_now().await;
            match ready.elapsed() > QUEUE_WAIT_MAX {
                true => {
                    self.long_waits.fetch_add(1, Ordering::Relaxed);
                }
                false => self.long_waits.store(0, Ordering::Relaxed),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: a request is turned away while tasks wait long for a thread, and taken again afterwards.
    #[tokio::test]
    async fn long_waits_turn_away() {
        let load = Load::new();
        let measure = tokio::spawn(load.clone().measure());
        assert!(load.place().is_some());
        // One thread, and work that does not let go of it: every pass of the queue takes two bounds.
        let busy = tokio::spawn(async {
            loop {
                std::thread::sleep(QUEUE_WAIT_MAX * 2);
                tokio::task::yield_now().await;
            }
        });
        let until = Instant::now() + Duration::from_secs(30);
        while load.place().is_some() {
            assert!(Instant::now() < until, "nothing was turned away");
            tokio::task::yield_now().await;
        }
        busy.abort();
        while load.place().is_none() {
            assert!(Instant::now() < until, "requests are turned away for good");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        measure.abort();
    }

    /// Goal: no more than the bound are worked on at a time.
    #[test]
    fn places_are_bounded() {
        let load = Load::new();
        let mut places: Vec<_> = (0..REQUESTS_IN_FLIGHT_MAX).map(|_| load.place()).collect();
        assert!(places.iter().all(Option::is_some));
        assert!(load.place().is_none());
        places.pop();
        assert!(load.place().is_some());
    }
}
