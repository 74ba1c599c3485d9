//! Shows how long work is going: bars on a terminal; elsewhere only what asks for attention.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use asof_store::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a bar moves while nothing is reported, in milliseconds.
const TICK_MS: u64 = 200;

const BYTES: &str =
    "{msg} [{bar:28}] {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
const COUNT: &str = "{msg} [{bar:28}] {human_pos} of {human_len} UNIT, {per_sec}, {eta} left";
const UNKNOWN: &str = "{spinner} {msg} {human_pos} UNIT, {per_sec}, {elapsed}";

/// Bars on stderr, one for each piece of work.
pub(crate) struct Bars {
    quiet: bool,
    verbose: bool,
    terminal: bool,
    all: MultiProgress,
    now: Mutex<HashMap<String, ProgressBar>>,
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
        }
    }

    fn now(&self) -> MutexGuard<'_, HashMap<String, ProgressBar>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(TICK_MS));
        if let Some(before) = self.now().insert(what.to_owned(), bar) {
            before.finish_and_clear();
        }
    }

    fn advance(&self, what: &str, amount: u64) {
        if let Some(bar) = self.now().get(what) {
            bar.inc(amount);
        }
    }

    fn finish(&self, what: &str, summary: &str) {
        if let Some(bar) = self.now().remove(what) {
            bar.finish_and_clear();
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
            bar.finish_and_clear();
        }
    }
}
