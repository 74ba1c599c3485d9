//! Shows how long work is going: bars on a terminal; elsewhere only what asks for attention.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use asof_store::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::output::{count, size};

/// How often a bar moves while nothing is reported, in milliseconds.
const TICK_MS: u64 = 200;

const BYTES: &str =
    "{msg} [{bar:28}] {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
const COUNT: &str = "{msg} [{bar:28}] {human_pos} of {human_len} UNIT, {rate}/s, {eta} left";
const UNKNOWN: &str = "{spinner} {msg} {human_pos} UNIT, {rate}/s, {elapsed}";

/// Bars on stderr, one for each piece of work.
pub(crate) struct Bars {
    quiet: bool,
    verbose: bool,
    terminal: bool,
    all: MultiProgress,
    now: Mutex<HashMap<String, Bar>>,
    /// Whether somebody has told the command to end.
    told_to_end: Arc<AtomicBool>,
}

/// A piece of work that is under way.
struct Bar {
    shown: ProgressBar,
    /// Bytes that were read, where it counts something else.
    bytes: u64,
}

impl Bars {
    /// `quiet` shows nothing, `verbose` also tells elsewhere than on a terminal what was finished.
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        Self {
            quiet,
            verbose,
            terminal: std::io::stderr().is_terminal(),
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            now: Mutex::new(HashMap::new()),
            told_to_end: Arc::default(),
        }
    }

    /// From here on Ctrl-C or SIGTERM lets work end in good order, so that it leaves nothing behind; told twice, the process
    /// ends as it is.
    pub(crate) fn until_told(self) -> Self {
        let told = self.told_to_end.clone();
        tokio::spawn(async move {
            if next_signal().await.is_some() {
                told.store(true, Ordering::Relaxed);
                next_signal().await;
                std::process::exit(ENDED_BY_SIGNAL);
            }
        });
        self
    }

    fn now(&self) -> MutexGuard<'_, HashMap<String, Bar>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a process that ends by a signal says, as shells say it.
const ENDED_BY_SIGNAL: i32 = 130;

/// Waits until the process is told to end. `None`: signals can't be listened for, and end the process by themselves.
#[cfg(unix)]
async fn next_signal() -> Option<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).ok()?;
    let mut terminate = signal(SignalKind::terminate()).ok()?;
    tokio::select! {
        told = interrupt.recv() => told,
        told = terminate.recv() => told,
    }
}

/// Waits until the process is told to end. `None`: signals can't be listened for, and end the process by themselves.
#[cfg(not(unix))]
async fn next_signal() -> Option<()> {
    tokio::signal::ctrl_c().await.ok()
}

impl Progress for Bars {
    fn begin(&self, what: &str, unit: &str, total: Option<u64>) {
        if !self.terminal || self.quiet {
            return;
        }
        let bar = self.all.add(total.map_or_else(ProgressBar::no_length, ProgressBar::new));
        let template = match (unit, total) {
            (_, None) => UNKNOWN.replace("UNIT", unit),
            ("bytes", Some(_)) => BYTES.to_owned(),
            (_, Some(_)) => COUNT.replace("UNIT", unit),
        };
        if let Ok(style) = ProgressStyle::with_template(&template) {
            let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                // What can't be shown is no failure.
                let _ = out.write_str(&count(state.per_sec() as u64));
            };
            bar.set_style(style.progress_chars("=> ").with_key("rate", rate));
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(TICK_MS));
        if let Some(before) = self.now().insert(what.to_owned(), Bar { shown: bar, bytes: 0 }) {
            before.shown.finish_and_clear();
        }
    }

    fn advance(&self, what: &str, amount: u64) {
        if let Some(bar) = self.now().get(what) {
            bar.shown.inc(amount);
        }
    }

    fn read(&self, what: &str, bytes: u64) {
        if let Some(bar) = self.now().get_mut(what) {
            bar.bytes += bytes;
            bar.shown.set_message(format!("{what}, {}", size(bar.bytes)));
        }
    }

    fn wanted(&self) -> bool {
        !self.told_to_end.load(Ordering::Relaxed)
    }

    fn finish(&self, what: &str, summary: &str) {
        if let Some(bar) = self.now().remove(what) {
            bar.shown.finish_and_clear();
        }
        if self.verbose {
            // Talk that nobody can read is no failure.
            self.all.suspend(|| drop(writeln!(std::io::stderr().lock(), "{what}: {summary}")));
        }
    }
}

impl Drop for Bars {
    /// A failure must not be printed into a bar.
    fn drop(&mut self) {
        for (_, bar) in self.now().drain() {
            bar.shown.finish_and_clear();
        }
    }
}
