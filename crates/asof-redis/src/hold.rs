//! Holding the store: one process writes at a time, for as long as it says so again.
//!
//! Whoever takes the store gets an epoch that is greater than any before, and notes it in every bucket. A process that was
//! away for longer than its hold, and was replaced meanwhile, is refused by every script then, so it can't do harm.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use asof_online::OnlineError;
use tokio::time::Instant;

use crate::calls::Reply;
use crate::keys::{BUCKETS, Keys};
use crate::link::{Lane, Link, Request};
use crate::scripts::Scripts;
use crate::store::Inner;

/// How often the hold is asked for while another process has it.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// The hold is said again this many times before it ends.
const SAID_AGAIN: u32 = 4;

/// Takes the store and answers the epoch. Waits for one that died, or is just leaving.
///
/// # Errors
/// [`OnlineError::Locked`] where another process holds it; failures of the store.
pub(crate) async fn acquire(
    link: &Link,
    keys: &Keys,
    scripts: &Scripts,
    holder: &str,
    least: u64,
) -> Result<u64, OnlineError> {
    let hold = link.settings().hold;
    let begun = Instant::now();
    let mut before: Option<i64> = None;
    loop {
        let mut command = redis::cmd("EVALSHA");
        command.arg(scripts.acquire.get_hash()).arg(2);
        command.arg(keys.of(BUCKETS, "hold")).arg(keys.of(BUCKETS, "fence"));
        command.arg(holder).arg(hold.as_millis() as u64).arg(least);
        let answer = link.send(Lane::Write, vec![Request::new(keys.slot(BUCKETS), command)]).await?;
        match answer.first().and_then(Reply::read) {
            Some(Reply::Kept { number, .. }) => return Ok(number),
            Some(Reply::Held { holder, left_millis }) => {
                // Somebody who lives says it again.
                let said_again = before.is_some_and(|before| left_millis > before);
                before = Some(left_millis);
                if said_again || begun.elapsed() > hold + hold / SAID_AGAIN {
                    let holder = holder.split_once('|').map(|(_, text)| text.to_owned());
                    return Err(OnlineError::Locked { path: link.address().into(), holder });
                }
                tokio::time::sleep(LOOK_PAUSE).await;
            }
            _ => {
                return Err(OnlineError::Damaged {
                    what: "answer of a script",
                    problem: "it has another form",
                });
            }
        }
    }
}

/// What stands there as long as the store is held. No two are the same.
pub(crate) fn holder_text(holder: &str, since: asof_model::Instant) -> String {
    static OPENED: AtomicU64 = AtomicU64::new(0);
    let process = std::process::id();
    let opened = OPENED.fetch_add(1, Ordering::Relaxed);
    let nanos =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{process}.{opened}.{nanos}|`{holder}` (process {process}, since {since})")
}

/// Says again that the store is held, and goes on with what stopped, until the store is dropped.
pub(crate) async fn keep(inner: Weak<Inner>, hold: Duration) {
    loop {
        tokio::time::sleep(hold / SAID_AGAIN).await;
        let Some(inner) = inner.upgrade() else { return };
        let begun = Instant::now();
        match inner.say_hold(hold).await {
            Ok(true) => *inner.held_until.lock() = begun + hold,
            Ok(false) => {
                inner.taken_over.store(true, Ordering::SeqCst);
                return;
            }
            Err(error) => {
                tracing::warn!(store = inner.link.address(), %error, "the hold of the store can't be said again")
            }
        }
        if let Ok(mut writer) = inner.writer.try_lock()
            && (writer.flight.is_some() || !writer.unsure.is_empty())
            && let Err(error) = inner.resume(&mut writer).await
        {
            tracing::warn!(store = inner.link.address(), %error, "a unit is not written yet");
        }
    }
}

impl Inner {
    /// Whether no other process can have taken the store meanwhile.
    pub(crate) fn is_surely_held(&self) -> bool {
        !self.taken_over.load(Ordering::Relaxed) && Instant::now() < *self.held_until.lock()
    }

    /// Holds the store for so long, or lets it go. False where another process has it.
    pub(crate) async fn say_hold(&self, hold: Duration) -> Result<bool, OnlineError> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(self.scripts.hold.get_hash()).arg(2);
        command.arg(self.keys.of(BUCKETS, "hold")).arg(self.keys.of(BUCKETS, "fence"));
        command.arg(&self.holder).arg(hold.as_millis() as u64).arg(self.epoch);
        let answer =
            self.link.send(Lane::Write, vec![Request::new(self.keys.slot(BUCKETS), command)]).await?;
        Ok(!matches!(answer.first().and_then(Reply::read), Some(Reply::Fenced { .. })))
    }
}

/// Lets the store go, without waiting for that.
pub(crate) fn let_go(inner: Arc<Inner>) {
    let handle = inner.handle.clone();
    handle.spawn(async move {
        let _ = inner.say_hold(Duration::ZERO).await;
    });
}
