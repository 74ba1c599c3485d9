//! Open runs: arrivals that don't wait for answers.

use std::time::Duration;

use asof_load::{Arrivals, LoadPlan, Mode};

use crate::server::{Server, body, ms, plan, report};

fn open(rate: f64, waiting_max: usize) -> Mode {
    Mode::Open { rate, arrivals: Arrivals::Even, waiting_max }
}

/// Goal: a server that keeps up gets exactly the arrivals of the schedule, and those of the warm-up apart.
#[test]
fn as_many_as_the_rate_says() {
    let server = Server::new(|_| (ms(0), 200, body("PRESENT")));
    let run = LoadPlan {
        mode: open(200.0, 1_000),
        connections: 4,
        threads: 2,
        warm_up: ms(250),
        duration: ms(500),
        ..plan(server.address)
    };
    let told = report(&run);
    let of_run = told.open.as_ref().unwrap();
    assert_eq!((told.warm_up.requests, told.all.requests), (50, 100));
    assert_eq!((of_run.arrivals, of_run.dropped, server.asked().len()), (100, 0, 151));
    assert!(!told.failed());
}

/// Goal: while all connections are busy arrivals wait, and their waiting is in their latency: one connection and 20 ms for
/// each answer can carry 50 a second, so of 100 a second the last of half a second waits for half a second.
#[test]
fn waiting_is_latency() {
    let server = Server::new(|_| (ms(20), 200, body("PRESENT")));
    let run = LoadPlan { mode: open(100.0, 1_000), duration: ms(500), ..plan(server.address) };
    let told = report(&run);
    let of_run = told.open.as_ref().unwrap();
    assert_eq!((told.all.answers, of_run.dropped), (50, 0));
    assert!(of_run.waited >= 45, "{of_run:?}");
    assert!(told.all.latency.max_us >= 500_000.0, "{:?}", told.all.latency);
    assert!(told.all.latency.p50_us >= 230_000.0, "{:?}", told.all.latency);
    // All but the answer itself is lateness.
    let answer = told.all.latency.max_us - of_run.lateness.max_us;
    assert!(answer >= 20_000.0, "{answer}");
    // The same server, asked politely, seems to be as fast as ever.
    let closed = report(&LoadPlan { mode: Mode::Closed, ..run });
    assert!(closed.all.latency.p50_us < told.all.latency.p50_us, "{:?}", closed.all.latency);
}

/// Goal: what finds the queue full is dropped, counted, and makes the run a failure; every arrival is counted once.
#[test]
fn dropped_beyond_the_bound() {
    let server = Server::new(|_| (ms(50), 200, body("PRESENT")));
    let run = LoadPlan { mode: open(200.0, 3), duration: ms(500), ..plan(server.address) };
    let told = report(&run);
    let of_run = told.open.as_ref().unwrap();
    assert_eq!((of_run.arrivals, of_run.arrivals), (100, told.all.requests + of_run.dropped));
    assert!(of_run.dropped >= 80 && told.all.answers >= 4, "{of_run:?}");
    assert_eq!(told.all.errors.total, 0);
    assert!(told.failed());
}

/// Goal: behind a server that stands still every arrival is a timeout, once; those that waited for longer than their time are
/// not sent any more.
#[test]
fn gone_before_its_turn() {
    let server = Server::new(|n| (if n == 0 { ms(0) } else { ms(20_000) }, 200, body("PRESENT")));
    let run = LoadPlan {
        mode: open(5_000.0, 10_000),
        duration: ms(300),
        timeout: ms(1_000),
        ..plan(server.address)
    };
    let told = report(&run);
    let of_run = told.open.as_ref().unwrap();
    assert_eq!((of_run.arrivals, of_run.dropped, told.all.errors.timeout), (1_500, 0, 1_500));
    assert_eq!((told.all.errors.total, told.all.answers), (1_500, 0));
    assert!(server.asked().len() < 1_000, "{}", server.asked().len());
}

/// Goal: a Poisson process of the same rate has about as many arrivals, and the same from the same seed.
#[test]
fn poisson() {
    let server = Server::new(|_| (ms(0), 200, body("PRESENT")));
    let mode = Mode::Open { rate: 400.0, arrivals: Arrivals::Poisson, waiting_max: 1_000 };
    let run = |seed| {
        report(&LoadPlan {
            mode,
            connections: 8,
            duration: Duration::from_secs(1),
            seed,
            ..plan(server.address)
        })
    };
    let (first, again, other) = (run(1), run(1), run(2));
    assert_eq!(first.all.requests, again.all.requests);
    assert!((300..500).contains(&first.all.requests), "{}", first.all.requests);
    assert_ne!(first.all.requests, other.all.requests);
}
