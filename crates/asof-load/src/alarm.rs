//! Waits until an instant, to a few microseconds.
//!
//! The timers of the runtime go by milliseconds, which is longer than many an answer takes. On Linux a timer of the kernel is
//! used; elsewhere the runtime's, and requests go out up to a millisecond late, which their lateness shows.

use std::time::Instant;

#[cfg(target_os = "linux")]
use kernel::Timer;

/// Wakes one sender.
pub(crate) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: Option<Timer>,
}

impl Alarm {
    /// Within a runtime. Where the kernel has no timer left, the runtime's is used.
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            timer: Timer::new().ok(),
        }
    }

    /// Returns at `instant`, or at once where it has passed.
    pub(crate) async fn until(&mut self, instant: Instant) {
        #[cfg(target_os = "linux")]
        if let Some(timer) = &self.timer {
            if timer.until(instant).await.is_ok() {
                return;
            }
            self.timer = None;
        }
        tokio::time::sleep_until(instant.into()).await;
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::{Duration, Instant};

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

    /// A timer of the kernel.
    pub(super) struct Timer {
        file: AsyncFd<OwnedFd>,
    }

    impl Timer {
        #[allow(
            deprecated,
            reason = "unsound for types whose descriptor may change; that of an `OwnedFd` can't, and the successor is unsafe"
        )]
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let file = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            Ok(Self { file: AsyncFd::with_interest(file, Interest::READABLE)? })
        }

        pub(super) async fn until(&self, instant: Instant) -> io::Result<()> {
            loop {
                let left = instant.saturating_duration_since(Instant::now());
                if left == Duration::ZERO {
                    return Ok(());
                }
                let value = Timespec::try_from(left).map_err(io::Error::other)?;
                let once = Itimerspec { it_interval: NEVER, it_value: value };
                timerfd_settime(self.file.get_ref(), TimerfdTimerFlags::empty(), &once)?;
                // Setting it anew forgets that it went off, so it need not be read.
                self.file.readable().await?.clear_ready();
            }
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
