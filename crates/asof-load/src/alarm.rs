//! Waits until an instant, to some tens of microseconds.
//!
//! The timers of the runtime go by milliseconds, which is longer than many an answer takes. The system lets a thread sleep
//! more exactly; so each alarm has one of its own, that sleeps for it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Instant;

use tokio::sync::Notify;

/// Wakes one sender.
pub(crate) struct Alarm {
    /// Where there can be no thread, the runtime's timers are used.
    bell: Option<Bell>,
}

/// The thread that sleeps; it ends with this.
struct Bell {
    set: Sender<Instant>,
    rings: Arc<Notify>,
}

impl Alarm {
    /// To be used within a runtime.
    pub(crate) fn new() -> Self {
        Self { bell: Bell::new().ok() }
    }

    /// Returns at `instant`, or at once where it has passed.
    pub(crate) async fn until(&mut self, instant: Instant) {
        if let Some(bell) = &self.bell
            && Instant::now() < instant
            && bell.set.send(instant).is_ok()
        {
            // It may ring for an instant that nobody waits for any more.
            while Instant::now() < instant {
                bell.rings.notified().await;
            }
            return;
        }
        tokio::time::sleep_until(instant.into()).await;
    }
}

impl Bell {
    fn new() -> io::Result<Self> {
        let (set, asked) = channel();
        let rings = Arc::new(Notify::new());
        let bell = rings.clone();
        thread::Builder::new().name("asof-load-alarm".to_owned()).spawn(move || sleep(&asked, &bell))?;
        Ok(Self { set, rings })
    }
}

/// Rings at each instant that is asked for; a later question takes the place of one before.
fn sleep(asked: &Receiver<Instant>, bell: &Notify) {
    let Ok(mut instant) = asked.recv() else { return };
    loop {
        let next = match asked.recv_timeout(instant.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Timeout) => {
                bell.notify_one();
                asked.recv().ok()
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Ok(next) => Some(next),
        };
        match next {
            Some(next) => instant = next,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Goal: an alarm is never early, can be set again, and does not wait for what has passed.
    #[tokio::test]
    async fn never_early() {
        let mut alarm = Alarm::new();
        for micros in [0, 50, 300, 2_000, 10] {
            let at = Instant::now() + Duration::from_micros(micros);
            alarm.until(at).await;
            assert!(Instant::now() >= at);
        }
        let begun = Instant::now();
        alarm.until(begun - Duration::from_millis(1)).await;
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
