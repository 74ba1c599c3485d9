//! Work on several threads: tasks by number, taken one after the other.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::TrainingError;

/// Runs `work` for each task below `tasks` on at most `threads` threads, this one among them. Each thread makes a state of
/// its own first, and `finish` is given it in the end.
///
/// Tasks are taken in ascending order. After an error no further task is taken.
///
/// # Errors
/// The error of the lowest task that failed; so that it is the same however many threads there are, as far as tasks got.
pub(crate) fn run<S: Send>(
    threads: usize,
    tasks: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<(), TrainingError> + Sync,
    finish: impl Fn(S) -> Result<(), TrainingError> + Sync,
) -> Result<(), TrainingError> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let failed: Mutex<Option<(usize, TrainingError)>> = Mutex::new(None);
    let fail = |task: usize, error: TrainingError| {
        stop.store(true, Ordering::Relaxed);
        let mut failed = failed.lock();
        if failed.as_ref().is_none_or(|(before, _)| task < *before) {
            *failed = Some((task, error));
        }
    };
    let worker = || {
        let mut own = state();
        while !stop.load(Ordering::Relaxed) {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                break;
            }
            if let Err(error) = work(&mut own, task) {
                fail(task, error);
                return;
            }
        }
        if let Err(error) = finish(own) {
            fail(tasks, error);
        }
    };
    let threads = threads.clamp(1, tasks.max(1));
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(worker);
        }
        worker();
    });
    match failed.into_inner() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

/// [`run`] without a state.
pub(crate) fn each(
    threads: usize,
    tasks: usize,
    work: impl Fn(usize) -> Result<(), TrainingError> + Sync,
) -> Result<(), TrainingError> {
    run(threads, tasks, || (), |(), task| work(task), Ok)
}
