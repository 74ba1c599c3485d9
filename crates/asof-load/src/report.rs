//! What a run found, as it is told and saved.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::histogram::{Histogram, RELATIVE_ERROR};
use crate::plan::{Entities, LoadPlan, Mode, What};
use crate::tally::{Counts, Tally, WarmUp};

/// The version of the saved form. A field may be added to a version; one that changes or goes makes a new one.
pub const REPORT_VERSION: u32 = 1;

/// What a run found.
///
/// Of what is measured every request ended in one way: `requests = answers + sheds + errors.total`, in all and for each kind.
#[derive(Debug, Clone, Serialize)]
pub struct LoadReport {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// The run, without the values of headers.
    pub plan: LoadPlan,
    /// Seconds that were measured: those of the plan, or fewer where somebody ended the run.
    pub seconds: f64,
    /// Whether the run went to its end.
    pub complete: bool,
    /// Requests of all kinds.
    pub all: Measured,
    /// Each kind of request.
    pub mix: Vec<OfKind>,
    /// Statuses of features, of one answer in [`crate::statuses::SAMPLE_EVERY`].
    pub statuses: Statuses,
    /// A text of each class of errors.
    pub error_texts: BTreeMap<String, String>,
    /// What an open run adds.
    pub open: Option<OpenRun>,
    /// Requests before anything was measured.
    pub warm_up: WarmedUp,
    /// Whoever asked.
    pub client: Client,
    /// How far above the truth a percentile may be, as a share of it.
    pub latency_relative_error: f64,
    /// The closed run before an open one whose rate is a share of what that one reached. [`crate::run()`] itself runs none.
    pub capacity: Option<Box<LoadReport>>,
}

/// Requests of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct OfKind {
    /// What was asked for.
    pub asked: What,
    /// Entity rows of each request.
    pub entities: usize,
    /// The share of requests that the mix wants, 0 to 1.
    pub share: f64,
    /// What came.
    #[serde(flatten)]
    pub measured: Measured,
}

/// Requests and how they ended.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Requests that were begun while it was measured.
    pub requests: u64,
    /// Those answered with what was asked for (200).
    pub answers: u64,
    /// Answers a second.
    pub answers_per_second: f64,
    /// Entity rows a second, of these answers.
    pub entities_per_second: f64,
    /// Bytes of requests, heads included.
    pub bytes_sent: u64,
    /// Bytes of answers, heads included, refusals too.
    pub bytes_received: u64,
    /// How long these answers took.
    pub latency: Latency,
    /// Requests that the server turned away because it has too much to do (429 and 503).
    pub sheds: u64,
    /// Requests that failed.
    pub errors: Errors,
}

/// Latencies of answers, in microseconds. In a closed run from the first byte sent, in an open one from when the request was to
/// be sent, until the last byte was read. Requests without an answer have none, so read them with the errors beside.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// The mean.
    pub mean_us: f64,
    /// Half of all are not longer.
    pub p50_us: f64,
    /// 90 % are not longer.
    pub p90_us: f64,
    /// 99 % are not longer.
    pub p99_us: f64,
    /// 99.9 % are not longer.
    pub p99_9_us: f64,
    /// The longest, exactly.
    pub max_us: f64,
}

/// Requests that failed, by class.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Errors {
    /// All of them.
    pub total: u64,
    /// No connection.
    pub connect: u64,
    /// No answer in time.
    pub timeout: u64,
    /// The connection ended without an answer.
    pub connection_lost: u64,
    /// What came can't be read as an answer.
    pub protocol: u64,
    /// Answers with a status that is neither 200 nor one of [`Measured::sheds`].
    pub http: BTreeMap<u16, u64>,
}

/// Statuses of features, from a sample of answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Statuses {
    /// Answers that were looked at.
    pub answers: u64,
    /// Values by their status, in the words of the shape.
    pub values: BTreeMap<String, u64>,
}

/// What an open run adds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenRun {
    /// Arrivals while it was measured: `requests + dropped`.
    pub arrivals: u64,
    /// Arrivals that found the queue full. They have no latency, and would have had the longest.
    pub dropped: u64,
    /// Arrivals for which no connection was free. Their waiting is in their latency.
    pub waited: u64,
    /// How much later than intended requests were sent, for want of a connection or because the client itself was late.
    pub lateness: Latency,
}

/// Requests of the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WarmedUp {
    /// All of them.
    pub requests: u64,
    /// Those that the server turned away.
    pub sheds: u64,
    /// Those that failed.
    pub errors: u64,
    /// Arrivals that found the queue full.
    pub dropped: u64,
}

/// Whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Client {
    /// Connections that were opened, those before the run included.
    pub connections_opened: u64,
    /// Requests that were sent again, because the server had closed the connection while it was idle.
    pub resent: u64,
    /// The share of their time that the client's threads were busy, 0 to 1. Near 1 the client is measured, not the server. Absent
    /// where the system does not tell.
    pub busy: Option<f64>,
}

impl LoadReport {
    /// Whether something failed: an error that is no shedding, or an arrival that had to be dropped.
    pub fn failed(&self) -> bool {
        self.all.errors.total > 0 || self.open.as_ref().is_some_and(|open| open.dropped > 0)
    }

    pub(crate) fn new(plan: &LoadPlan, tally: Tally, dropped: (u64, u64), ran: Ran) -> Self {
        let seconds = ran.measured.as_secs_f64();
        let pairs = plan.asked.iter().flat_map(|asked| plan.entities.iter().map(move |each| (asked, *each)));
        let weight = |weight: u32, each: Entities| f64::from(weight) * f64::from(each.weight);
        let weights: f64 = pairs.clone().map(|(asked, each)| weight(asked.weight, each)).sum();
        let mut all = Counts::default();
        let mut rows_all = 0;
        let mut mix = Vec::new();
        for ((asked, each), counts) in pairs.zip(&tally.kinds) {
            let rows = counts.latency.count() * each.rows as u64;
            all.merge(counts);
            rows_all += rows;
            mix.push(OfKind {
                asked: asked.what.clone(),
                entities: each.rows,
                share: weight(asked.weight, each) / weights,
                measured: Measured::new(counts, rows, seconds),
            });
        }
        let open = matches!(plan.mode, Mode::Open { .. }).then(|| OpenRun {
            arrivals: all.requests + dropped.1,
            dropped: dropped.1,
            waited: tally.waited,
            lateness: Latency::of(&tally.lateness),
        });
        let WarmUp { requests, sheds, errors } = tally.warm_up;
        let time = ran.running.as_secs_f64() * plan.threads as f64;
        Self {
            version: REPORT_VERSION,
            plan: plan.clone(),
            seconds,
            complete: ran.complete,
            all: Measured::new(&all, rows_all, seconds),
            mix,
            statuses: Statuses { answers: tally.statuses_answers, values: tally.statuses },
            error_texts: tally.texts,
            open,
            warm_up: WarmedUp { requests, sheds, errors, dropped: dropped.0 },
            client: Client {
                connections_opened: tally.opened,
                resent: tally.resent,
                busy: ran.cpu_known.then(|| (tally.cpu.as_secs_f64() / time).clamp(0.0, 1.0)),
            },
            latency_relative_error: RELATIVE_ERROR,
            capacity: None,
        }
    }
}

/// How long a run went.
pub(crate) struct Ran {
    /// What was measured.
    pub(crate) measured: Duration,
    /// From its start to the last answer.
    pub(crate) running: Duration,
    pub(crate) complete: bool,
    pub(crate) cpu_known: bool,
}

impl Measured {
    fn new(counts: &Counts, rows: u64, seconds: f64) -> Self {
        let answers = counts.latency.count();
        Self {
            requests: counts.requests,
            answers,
            answers_per_second: answers as f64 / seconds,
            entities_per_second: rows as f64 / seconds,
            bytes_sent: counts.bytes_sent,
            bytes_received: counts.bytes_received,
            latency: Latency::of(&counts.latency),
            sheds: counts.sheds,
            errors: Errors {
                total: counts.errors(),
                connect: counts.connect,
                timeout: counts.timeout,
                connection_lost: counts.lost,
                protocol: counts.protocol,
                http: counts.http.clone(),
            },
        }
    }
}

impl Latency {
    fn of(histogram: &Histogram) -> Self {
        let us = |time: Duration| time.as_nanos() as f64 / 1_000.0;
        let quantile = |q| us(histogram.quantile(q));
        Self {
            mean_us: us(histogram.mean()),
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p99_us: quantile(0.99),
            p99_9_us: quantile(0.999),
            max_us: us(histogram.max()),
        }
    }
}
