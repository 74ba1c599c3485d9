//! Several views at a time, each on a thread of its own.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

/// The most views loaded at a time. Each holds up to one unit of rows in memory.
const JOBS_MAX: usize = 64;

/// How many views to load at a time: as many as asked for, by default one for each core, at most [`JOBS_MAX`], and never
/// more than there are `views`.
pub fn count(asked: Option<NonZeroUsize>, views: usize) -> usize {
    let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    asked.unwrap_or_else(cores).get().min(JOBS_MAX).min(views)
}

/// Does the work for each item, on up to `jobs` threads; answers stand in the order of the items. Reading and admitting
/// rows is computation, so that one thread would do one view after the other.
pub async fn each<'a, T: Sync, R: Send, F: Future<Output = R>>(
    items: &'a [T],
    jobs: usize,
    work: impl Fn(&'a T) -> F + Sync,
) -> Vec<R> {
    let runtime = Handle::current();
    if jobs <= 1 || runtime.runtime_flavor() == RuntimeFlavor::CurrentThread {
        let mut done = Vec::with_capacity(items.len());
        for item in items {
            done.push(work(item).await);
        }
        return done;
    }
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let one_after_the_other = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else { return };
            let outcome = runtime.block_on(work(item));
            done.lock().push((place, outcome));
        }
    };
    tokio::task::block_in_place(|| {
        std::thread::scope(|threads| {
            for _ in 0..jobs {
                threads.spawn(one_after_the_other);
            }
        });
    });
    let mut done = done.into_inner();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}
