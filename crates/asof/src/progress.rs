//! Shows how long work is going: bars on a terminal; elsewhere only what asks for attention.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use asof_store::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a bar moves while nothing is reported, in milliseconds.
const TICK_MS: u64 = 200;

const BYTES: &str =
    "{msg} [{bar:28}] {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
const COUNT: &str = "{msg} [{bar:28}] {human_pos} of {human_len} UNIT, {per_sec}, {eta} left";
const UNKNOWN: &str = "{spinner} {msg} {human_pos} UNIT, {per_sec}, {elapsed}";

/// Bars on stderr, one at a time.
pub(crate) struct Bars {
    quiet: bool,
    verbose: bool,
    terminal: bool,
    now: Mutex<Option<Work>>,
}

/// What is going on.
struct Work {
    what: String,
    bar: Option<ProgressBar>,
}

impl Bars {
    /// `quiet` shows nothing, `verbose` also tells elsewhere than on a terminal what was finished.
    pub(crate) fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose, terminal: std::io::stderr().is_terminal(), now: Mutex::new(None) }
    }

    fn now(&self) -> MutexGuard<'_, Option<Work>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, text: &str) {
        // Talk that nobody can read is no failure.
        let write = || drop(writeln!(std::io::stderr().lock(), "{text}"));
        match self.now().as_ref().and_then(|work| work.bar.as_ref()) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Progress for Bars {
    fn begin(&self, what: &str, unit: &'static str, total: Option<u64>) {
        let bar = (self.terminal && !self.quiet).then(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            let template = match (unit, total) {
                (_, None) => UNKNOWN.replace("UNIT", unit),
                ("bytes", Some(_)) => BYTES.to_owned(),
                (_, Some(_)) => COUNT.replace("UNIT", unit),
            };
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(TICK_MS));
            bar
        });
        let before = self.now().replace(Work { what: what.to_owned(), bar });
        if let Some(bar) = before.and_then(|work| work.bar) {
            bar.finish_and_clear();
        }
    }

    fn advance(&self, amount: u64) {
        if let Some(bar) = self.now().as_ref().and_then(|work| work.bar.as_ref()) {
            bar.inc(amount);
        }
    }

    fn finish(&self, summary: &str) {
        let work = self.now().take();
        if let Some(bar) = work.as_ref().and_then(|work| work.bar.as_ref()) {
            bar.finish_and_clear();
        }
        if let (Some(work), true) = (work, self.verbose) {
            self.say(&format!("{}: {summary}", work.what));
        }
    }
}

impl Drop for Bars {
    /// A failure must not be printed into a bar.
    fn drop(&mut self) {
        if let Some(bar) = self.now().take().and_then(|work| work.bar) {
            bar.finish_and_clear();
        }
    }
}
