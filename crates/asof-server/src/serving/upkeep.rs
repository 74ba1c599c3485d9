//! What a server does beside answering, for as long as it runs: it follows the registry, folds what is pushed, brings it into
//! history, and keeps rows at hand.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use asof_model::Explain;
use asof_store::StoreError;
use asof_store::push::{Flush, PushReport};

use super::{Compiled, Serving};
use crate::metrics;
use crate::watch::LOOK_EVERY;

/// How often the registry is asked whether it has moved on.
pub const REVISION_POLL: Duration = Duration::from_secs(1);

/// The pause before what is pushed is folded again where that failed.
const FOLD_RETRY: Duration = Duration::from_secs(1);

/// How often it is looked whether history answered for keys, whose rows are then put back online.
const COLD_LOOK: Duration = Duration::from_secs(5);

/// Putting rows back may take one part in so many of the time of its threads: it reads history.
const COLD_SHARE: u32 = 20;

/// How often it is looked whether enough waits for history.
const FLUSH_LOOK: Duration = Duration::from_millis(500);

impl Serving {
    /// Brings rows into memory before they are asked for, beside whatever else is done.
    pub fn warm_up(&self) {
        let (store, stopping) = (self.store.clone(), self.stopping.clone());
        let started = Instant::now();
        self.workers.spawn(async move {
            match store.warm_up(&|| !stopping.load(Ordering::Relaxed)).await {
                Ok(0) => {}
                Ok(rows) => tracing::info!(rows, took = ?started.elapsed(), "rows are in memory"),
                Err(error) => {
                    tracing::warn!(%error, "rows are not brought into memory; they are read when asked for")
                }
            }
        });
    }

    /// Folds what is pushed, for as long as the server runs: at once, and one after the other, so that what comes meanwhile
    /// is folded together.
    pub async fn fold(&self) {
        // Counters that nobody has counted yet are there, at 0.
        metrics::pushed(&PushReport::default());
        let mut failed = false;
        loop {
            let store = self.store.clone();
            let folded = self.workers.spawn(async move { store.fold_pushed().await });
            let outcome = match folded {
                Some(folded) => folded.await,
                None => return,
            };
            match outcome {
                Ok(Ok(folded)) => {
                    if std::mem::take(&mut failed) {
                        tracing::info!("what is pushed is folded again");
                    }
                    metrics::folded(&folded);
                    self.pushed.notified().await;
                }
                Ok(Err(StoreError::NothingApplied { .. })) => self.pushed.notified().await,
                Ok(Err(error)) => {
                    if !std::mem::replace(&mut failed, true) {
                        let hint = error.hint();
                        tracing::error!(%error, hint, "what is pushed can't be folded; it stays in the log");
                    }
                    tokio::time::sleep(FOLD_RETRY).await;
                }
                // The work panicked or the threads are gone; what is durable is folded when it is asked for again.
                Err(_) => tokio::time::sleep(FOLD_RETRY).await,
            }
        }
    }

    /// Brings what is folded into history, for as long as the server runs.
    pub async fn flush(&self) {
        let mut failed = false;
        loop {
            tokio::time::sleep(FLUSH_LOOK).await;
            let store = self.store.clone();
            let flushed = self.workers.spawn(async move { store.flush_pushed(Flush::Due).await });
            let Some(flushed) = flushed else { return };
            match flushed.await {
                Ok(Ok(_)) => {
                    if std::mem::take(&mut failed) {
                        tracing::info!("what is pushed comes into history again");
                    }
                }
                Ok(Err(StoreError::NothingApplied { .. })) | Err(_) => {}
                Ok(Err(error)) => {
                    if !std::mem::replace(&mut failed, true) {
                        let hint = error.hint();
                        tracing::error!(%error, hint, "what is pushed can't be brought into history; it stays in the log");
                    }
                }
            }
        }
    }

    /// Puts rows that history answered for back online, for as long as the server runs.
    pub async fn bring_back(&self) {
        let mut pause = COLD_LOOK;
        loop {
            tokio::time::sleep(pause).await;
            pause = COLD_LOOK;
            if !self.store.has_cold_keys() {
                continue;
            }
            let (store, compiled, begun) = (self.store.clone(), self.catalog(), Instant::now());
            let work = self.workers.spawn(async move { store.bring_back(&compiled.catalog).await });
            let Some(work) = work else { return };
            match work.await {
                Ok(Ok(keys)) => tracing::debug!(keys, took = ?begun.elapsed(), "rows are back online"),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "rows that were asked for stay with history for now")
                }
                Err(_) => {}
            }
            pause = pause.max(begun.elapsed() * COLD_SHARE);
        }
    }

    /// Brings all that was pushed into history, as far as that is possible: what is left stays in the log.
    pub async fn settle(&self) {
        if let Err(error) = self.store.settle_pushed().await
            && !matches!(error, StoreError::NothingApplied { .. })
        {
            tracing::warn!(%error, "what was pushed is not all in history; it stays in the log");
        }
    }

    /// Follows the registry until the task ends. An outage is logged when it begins and when it is over.
    pub async fn follow(&self) {
        let mut poll = tokio::time::interval(REVISION_POLL);
        poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut lost = false;
        let mut looked = Instant::now();
        loop {
            poll.tick().await;
            if looked.elapsed() >= LOOK_EVERY {
                looked = Instant::now();
                self.look().await;
            }
            if let Some(recorder) = metrics::recorder() {
                // Request times wait in memory until they are put into their buckets.
                recorder.run_upkeep();
            }
            let caught_up = self.catch_up().await;
            self.registry_up.store(caught_up.is_ok(), Ordering::Relaxed);
            match caught_up {
                Ok(()) if lost => {
                    lost = false;
                    tracing::info!("the registry can be read again");
                }
                Ok(()) => {}
                Err(error) if !lost => {
                    lost = true;
                    let hint = error.hint();
                    tracing::warn!(%error, hint, "the registry can't be read; serving goes on as last applied");
                }
                Err(_) => {}
            }
        }
    }

    /// Takes up the registry's current revision, where it is another one.
    ///
    /// # Errors
    /// Those of the registry.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let known = self.compiled.read().catalog.revision;
        if self.store.revision().await? == known {
            return Ok(());
        }
        let catalog = self.store.catalog().await?;
        tracing::info!(revision = catalog.revision, "the registry moved on");
        *self.compiled.write() = Compiled::new(catalog);
        self.look().await;
        Ok(())
    }
}
