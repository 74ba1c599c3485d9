//! A run: first one request of each kind, then all senders at once, on a few threads with a runtime each.
//!
//! Nothing is retried but what a closed idle connection swallowed, nothing waits for a server that sheds, and no answer is
//! looked at twice. A run that is told to end leaves requests in flight uncounted.

use std::cell::RefCell;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use crate::error::LoadError;
use crate::line::{Broken, Line};
use crate::plan::LoadPlan;
use crate::report::{LoadReport, Ran};
use crate::request::{Head, Maker, Page};
use crate::schedule::Turns;
use crate::sender::{Phase, Sender, Shared};
use crate::tally::{Tally, beginning, is_shed};
use crate::target::Target;

/// How often a run tells how far it is.
pub const TELL_EVERY: Duration = Duration::from_millis(200);

/// The pause between two tries to reach a server that is waited for.
const WAIT_PAUSE: Duration = Duration::from_millis(50);

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoFar {
    /// Since its start; zero while it connects.
    pub elapsed: Duration,
    /// Warm-up and measuring together.
    pub total: Duration,
    /// Requests that ended so far, those of the warm-up included.
    pub requests: u64,
    /// Errors among them; shedding is none.
    pub errors: u64,
}

/// Runs a plan, on threads of its own; the caller waits. Every [`TELL_EVERY`] it tells `progress` how far it is, which answers
/// whether the run is still wanted: told no, it ends at once, and the report holds what was measured until then.
///
/// # Errors
/// [`LoadError::Plan`]; [`LoadError::Connect`], [`LoadError::NoAnswer`], [`LoadError::Timeout`] and [`LoadError::Refused`] where a
/// server does not answer the first request of some kind as it should (one that sheds does); [`LoadError::Threads`];
/// [`LoadError::Stopped`]. What fails later is counted.
pub fn run(plan: &LoadPlan, progress: &mut dyn FnMut(&SoFar) -> bool) -> Result<LoadReport, LoadError> {
    plan.check()?;
    let shared = Arc::new(Shared {
        plan: plan.clone(),
        maker: Maker::new(plan),
        turns: Turns::new(plan),
        key_names: key_names(plan),
        sent: AtomicU64::new(0),
        failed: AtomicU64::new(0),
    });
    let addresses = first_requests(&shared)?;
    std::thread::scope(|scope| {
        let (phase, watched) = watch::channel(Phase::Connecting);
        let (ready, connected) = mpsc::channel();
        let (done, ended) = mpsc::channel();
        for number in 0..plan.threads {
            let (shared, addresses) = (&shared, &addresses);
            let (ready, done, watched) = (ready.clone(), done.clone(), watched.clone());
            let thread = move || {
                let tally = work(shared, number, addresses, &ready, watched);
                // Whoever no longer listens has ended the run.
                let _ = done.send(tally);
            };
            let spawned =
                std::thread::Builder::new().name(format!("load-{number}")).spawn_scoped(scope, thread);
            if let Err(source) = spawned {
                let _ = phase.send(Phase::Stopped);
                return Err(LoadError::Threads { source });
            }
        }
        drop((ready, done, watched));
        watch_over(&shared, &phase, &connected, &ended, progress)
    })
}

/// Waits for the senders to connect, starts them, and gathers what they counted.
fn watch_over(
    shared: &Shared,
    phase: &watch::Sender<Phase>,
    connected: &mpsc::Receiver<Result<(), LoadError>>,
    ended: &mpsc::Receiver<Tally>,
    progress: &mut dyn FnMut(&SoFar) -> bool,
) -> Result<LoadReport, LoadError> {
    let plan = &shared.plan;
    let total = plan.warm_up + plan.duration;
    let mut so_far = |elapsed: Duration| {
        let requests = shared.sent.load(Ordering::Relaxed);
        let errors = shared.failed.load(Ordering::Relaxed);
        progress(&SoFar { elapsed: elapsed.min(total), total, requests, errors })
    };
    let mut left = plan.connections;
    while left > 0 {
        match connected.recv_timeout(TELL_EVERY) {
            Ok(Ok(())) => left -= 1,
            Err(RecvTimeoutError::Timeout) if so_far(Duration::ZERO) => {}
            ended => {
                let _ = phase.send(Phase::Stopped);
                return Err(ended.ok().and_then(Result::err).unwrap_or(LoadError::Stopped));
            }
        }
    }
    let start = Instant::now();
    let _ = phase.send(Phase::Running(start));
    let mut tally = Tally::new(plan.asked.len() * plan.entities.len());
    let (mut threads, mut stopped) = (plan.threads, None);
    while threads > 0 {
        match ended.recv_timeout(TELL_EVERY) {
            Ok(more) => {
                tally.merge(more);
                threads -= 1;
            }
            Err(RecvTimeoutError::Timeout) => {
                if stopped.is_none() && !so_far(start.elapsed()) {
                    stopped = Some(start.elapsed());
                    let _ = phase.send(Phase::Stopped);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    so_far(start.elapsed());
    let measured = stopped.unwrap_or(total).min(total).saturating_sub(plan.warm_up);
    if measured.is_zero() {
        return Err(LoadError::Stopped);
    }
    let complete = stopped.is_none_or(|at| at >= total) && threads == 0;
    let ran = Ran { measured, running: start.elapsed(), complete, cpu_known: thread_time().is_some() };
    Ok(LoadReport::new(plan, tally, shared.turns.dropped(), ran))
}

/// One thread: its share of the senders, until they end or the run is stopped.
fn work(
    shared: &Arc<Shared>,
    number: usize,
    addresses: &[Vec<SocketAddr>],
    ready: &mpsc::Sender<Result<(), LoadError>>,
    mut watched: watch::Receiver<Phase>,
) -> Tally {
    let plan = &shared.plan;
    let tally = Rc::new(RefCell::new(Tally::new(plan.asked.len() * plan.entities.len())));
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever no longer listens has ended the run.
            let _ = ready.send(Err(error));
            return tally.take();
        }
    };
    let senders = (number..plan.connections).step_by(plan.threads).filter_map(|connection| {
        let server = connection % plan.targets.len();
        Some(Sender {
            shared: shared.clone(),
            head: Head::new(plan, plan.targets.get(server)?),
            line: Line::new(addresses.get(server)?.clone()),
            tally: tally.clone(),
            ready: ready.clone(),
            phase: watched.clone(),
        })
    });
    let (all, mut senders_left) = (LocalSet::new(), JoinSet::new());
    for sender in senders {
        senders_left.spawn_local_on(sender.run(), &all);
    }
    let begun = thread_time();
    all.block_on(&runtime, async {
        tokio::select! {
            () = async { while senders_left.join_next().await.is_some() {} } => {}
            _ = watched.wait_for(|phase| *phase == Phase::Stopped) => {}
        }
    });
    drop((senders_left, all));
    let mut tally = tally.take();
    if let (Some(begun), Some(ended)) = (begun, thread_time()) {
        tally.cpu = ended.saturating_sub(begun);
    }
    tally
}

/// A runtime for one thread.
fn runtime() -> Result<Runtime, LoadError> {
    Builder::new_current_thread().enable_all().build().map_err(|source| LoadError::Threads { source })
}

/// Sends each server one request of each kind, and says where the servers are. On a thread of its own, since the caller may be
/// within a runtime, where none other may run or end.
fn first_requests(shared: &Shared) -> Result<Vec<Vec<SocketAddr>>, LoadError> {
    let ask = || {
        let runtime = runtime()?;
        let each = shared.plan.targets.iter().map(|target| {
            let addresses = resolve(target)?;
            runtime.block_on(first_requests_to(shared, target, &addresses))?;
            Ok(addresses)
        });
        each.collect()
    };
    let asked = std::thread::scope(|scope| scope.spawn(ask).join());
    let source = || std::io::Error::other("the thread of the first requests ended early");
    asked.unwrap_or_else(|_| Err(LoadError::Threads { source: source() }))
}

fn resolve(target: &Target) -> Result<Vec<SocketAddr>, LoadError> {
    let found = (target.host(), target.port()).to_socket_addrs();
    let found = found.map_err(|source| LoadError::Connect { url: target.to_string(), source })?;
    Ok(found.collect())
}

async fn first_requests_to(
    shared: &Shared,
    target: &Target,
    addresses: &[SocketAddr],
) -> Result<(), LoadError> {
    let plan = &shared.plan;
    let (head, mut line) = (Head::new(plan, target), Line::new(addresses.to_vec()));
    let (mut page, mut rng) = (Page::default(), Rng::with_seed(plan.seed));
    let begun = Instant::now();
    while begun.elapsed() < plan.wait && line.connect().await.is_err() {
        tokio::time::sleep(WAIT_PAUSE).await;
    }
    let kinds = plan.asked.iter().flat_map(|asked| plan.entities.iter().map(move |each| (asked, each.rows)));
    for (kind, (asked, rows)) in kinds.enumerate() {
        shared.maker.write_kind(kind, &mut rng, &head, &mut page);
        let url = target.to_string();
        let asked = format!("`{}` for {rows} {}", asked.what, if rows == 1 { "entity" } else { "entities" });
        let answer = match tokio::time::timeout(plan.timeout, line.ask(&page.bytes)).await {
            Err(_) => return Err(LoadError::Timeout { url, asked, waited: plan.timeout }),
            Ok(Err(Broken::Connect(source))) => return Err(LoadError::Connect { url, source }),
            Ok(Err(broken)) => return Err(LoadError::NoAnswer { url, asked, reason: broken.told() }),
            Ok(Ok(answer)) => answer,
        };
        if answer.status != 200 && !is_shed(answer.status) {
            let body = beginning(line.body(&answer));
            return Err(LoadError::Refused { url, asked, status: answer.status, body });
        }
    }
    Ok(())
}

/// The names of all join keys.
fn key_names(plan: &LoadPlan) -> Vec<String> {
    let made = plan.keys.made().iter().map(|spec| spec.name.clone());
    made.chain(plan.keys.file().into_iter().flat_map(|file| file.names().map(str::to_owned))).collect()
}

/// The time that this thread was at work, where the system tells.
#[cfg(target_os = "linux")]
fn thread_time() -> Option<Duration> {
    // The first number is the time on a processor, in nanoseconds.
    let said = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    said.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The time that this thread was at work, where the system tells.
#[cfg(not(target_os = "linux"))]
fn thread_time() -> Option<Duration> {
    None
}
