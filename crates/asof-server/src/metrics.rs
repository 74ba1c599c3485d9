//! What a running server counts, for Prometheus. Each name is described once, here, and for people in
//! `docs/metrics.md`.
//!
//! Labels are routes, statuses, commands and the names of views: none of them can be invented by a client.

use std::array;
use std::sync::{LazyLock, OnceLock};

use asof_model::{Status, ViewId};
use asof_store::CacheCounts;
use asof_store::get::OnlinePlan;
use asof_store::materialize::MaterializeReport;
use asof_store::push::{Folded, PushReport};
use asof_store::request::PlannedColumn;
use metrics::{
    Counter, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper edges of the buckets of request times, in seconds: fine where an embedded store answers, coarse beyond.
const SECONDS: [f64; 15] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

const REQUESTS: &str = "asof_http_requests_total";
const REQUEST_SECONDS: &str = "asof_http_request_duration_seconds";
const ENTITIES: &str = "asof_entities_served_total";
const VALUES: &str = "asof_values_served_total";
const COMMANDS: &str = "asof_commands_total";
const ROWS_READ: &str = "asof_materialized_rows_read_total";
const ROWS_WRITTEN: &str = "asof_materialized_rows_written_total";
const ANSWERS_RECORDED: &str = "asof_answers_recorded_total";
const ANSWERS_DROPPED: &str = "asof_answers_dropped_total";
const PUSHED: &str = "asof_pushed_rows_total";
const REJECTED: &str = "asof_pushed_rows_rejected_total";
const FOLDED: &str = "asof_folded_rows_total";
const REVISION: &str = "asof_registry_revision";
const REGISTRY_UP: &str = "asof_registry_up";
const FRESHNESS: &str = "asof_view_freshness_seconds";
const ONLINE_BYTES: &str = "asof_online_store_bytes";
const CACHE_HITS: &str = "asof_online_cache_hits_total";
const CACHE_MISSES: &str = "asof_online_cache_misses_total";
const UPTIME: &str = "asof_uptime_seconds";
const BUILD: &str = "asof_build_info";

enum Shape {
    Counter,
    Gauge,
    Histogram,
}

/// Every metric: its name, its shape, its unit, and what it says.
const ALL: [(&str, Shape, Unit, &str); 20] = [
    (REQUESTS, Shape::Counter, Unit::Count, "HTTP requests answered, by route and status"),
    (
        REQUEST_SECONDS,
        Shape::Histogram,
        Unit::Seconds,
        "Seconds from the head of a request to the head of its answer",
    ),
    (ENTITIES, Shape::Counter, Unit::Count, "Entity rows looked up in a view for an answer"),
    (VALUES, Shape::Counter, Unit::Count, "Values answered, by view and status"),
    (COMMANDS, Shape::Counter, Unit::Count, "Commands that the server worked for, by outcome"),
    (ROWS_READ, Shape::Counter, Unit::Count, "Rows read from sources"),
    (ROWS_WRITTEN, Shape::Counter, Unit::Count, "Rows written to history"),
    (PUSHED, Shape::Counter, Unit::Count, "Pushed rows that became durable"),
    (REJECTED, Shape::Counter, Unit::Count, "Pushed rows that no view can take"),
    (
        FOLDED,
        Shape::Counter,
        Unit::Count,
        "Rows folded from the log into views, those that a view set aside not counted",
    ),
    (ANSWERS_RECORDED, Shape::Counter, Unit::Count, "Entity rows of answers recorded for verify"),
    (
        ANSWERS_DROPPED,
        Shape::Counter,
        Unit::Count,
        "Entity rows of answers left out of the record by its bounds",
    ),
    (REVISION, Shape::Gauge, Unit::Count, "The registry revision that is served"),
    (REGISTRY_UP, Shape::Gauge, Unit::Count, "1 while the registry can be read, else 0"),
    (FRESHNESS, Shape::Gauge, Unit::Seconds, "Seconds since the newest event that was loaded into a view"),
    (
        ONLINE_BYTES,
        Shape::Gauge,
        Unit::Bytes,
        "Bytes of the online store: of its files, or of the memory of its servers",
    ),
    (CACHE_HITS, Shape::Counter, Unit::Count, "Rows looked up that were found in memory"),
    (CACHE_MISSES, Shape::Counter, Unit::Count, "Rows looked up that had to be read from the online store"),
    (UPTIME, Shape::Gauge, Unit::Seconds, "Seconds since the server started"),
    (BUILD, Shape::Gauge, Unit::Count, "Always 1; the label names the version"),
];

/// The recorder of this process, installed when it is first asked for. `None` where the process records its metrics
/// elsewhere.
pub(crate) fn recorder() -> Option<&'static PrometheusHandle> {
    static INSTALLED: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let builder = PrometheusBuilder::new();
        let builder =
            builder.set_buckets_for_metric(Matcher::Full(REQUEST_SECONDS.to_owned()), &SECONDS).ok()?;
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).ok()?;
        for (name, shape, unit, says) in ALL {
            match shape {
                Shape::Counter => describe_counter!(name, unit, says),
                Shape::Gauge => describe_gauge!(name, unit, says),
                Shape::Histogram => describe_histogram!(name, unit, says),
            }
        }
        gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Some(handle)
    };
    INSTALLED.get_or_init(install).as_ref()
}

/// The statuses that are counted without looking anything up; others are rare.
const STATUSES_OF_REQUESTS: [u16; 8] = [200, 400, 404, 409, 413, 422, 500, 503];

/// The counters of one route, found once.
pub(crate) struct Requests {
    route: &'static str,
    /// In the order of [`STATUSES_OF_REQUESTS`]. One that never occurs is not shown.
    answered: [OnceLock<Counter>; STATUSES_OF_REQUESTS.len()],
    seconds: OnceLock<Histogram>,
}

impl Requests {
    pub fn new(route: &'static str) -> Self {
        Self { route, answered: array::from_fn(|_| OnceLock::new()), seconds: OnceLock::new() }
    }

    /// Counts an answered request.
    pub fn count(&self, status: u16, seconds: f64) {
        let route = self.route;
        let counter = || counter!(REQUESTS, "route" => route, "status" => status.to_string());
        match STATUSES_OF_REQUESTS.iter().position(|known| *known == status) {
            Some(place) => self.answered[place].get_or_init(counter).increment(1),
            None => counter().increment(1),
        }
        self.seconds.get_or_init(|| histogram!(REQUEST_SECONDS, "route" => route)).record(seconds);
    }
}

/// Counts a command that the server worked for.
pub(crate) fn command(name: &'static str, done: bool) {
    counter!(COMMANDS, "command" => name, "outcome" => if done { "done" } else { "failed" }).increment(1);
}

/// Counts what a load brought.
pub(crate) fn materialized(report: &MaterializeReport) {
    for load in &report.views {
        counter!(ROWS_READ, "view" => load.view.clone()).increment(load.rows_read);
        counter!(ROWS_WRITTEN, "view" => load.view.clone()).increment(load.rows_written);
    }
}

/// Counts what was pushed.
pub(crate) fn pushed(report: &PushReport) {
    counter!(PUSHED).increment(if report.repeat { 0 } else { report.accepted });
    counter!(REJECTED).increment(report.rejected);
}

/// Counts what was folded.
pub(crate) fn folded(folded: &Folded) {
    counter!(FOLDED).increment(folded.rows);
}

/// Counts entity rows of an answer that were recorded, and those that were not.
pub(crate) fn recorded(rows: usize, dropped: usize) {
    static COUNTERS: LazyLock<[Counter; 2]> =
        LazyLock::new(|| [counter!(ANSWERS_RECORDED), counter!(ANSWERS_DROPPED)]);
    let [of_recorded, of_dropped] = &*COUNTERS;
    of_recorded.increment(rows as u64);
    of_dropped.increment(dropped as u64);
}

/// The state of a server, as it is when somebody asks.
pub(crate) struct State {
    pub revision: u64,
    pub registry_up: bool,
    pub freshness_seconds: Vec<(ViewId, f64)>,
    pub online_bytes: u64,
    pub online_cache: CacheCounts,
    pub uptime_seconds: f64,
}

/// Shows the state.
pub(crate) fn state(state: &State) {
    gauge!(REVISION).set(state.revision as f64);
    gauge!(REGISTRY_UP).set(f64::from(u8::from(state.registry_up)));
    for (view, seconds) in &state.freshness_seconds {
        gauge!(FRESHNESS, "view" => view.to_string()).set(*seconds);
    }
    gauge!(ONLINE_BYTES).set(state.online_bytes as f64);
    counter!(CACHE_HITS).absolute(state.online_cache.found);
    counter!(CACHE_MISSES).absolute(state.online_cache.missed);
    gauge!(UPTIME).set(state.uptime_seconds);
}

/// The counters of one plan, found once: counting an answer looks up no name.
pub(crate) struct Served(Vec<ServedJoin>);

struct ServedJoin {
    entities: Counter,
    /// In the order of [`STATUSES`].
    values: [Counter; 5],
}

/// Every status, in the order of the enum.
const STATUSES: [Status; 5] =
    [Status::Present, Status::Null, Status::Missing, Status::OutsideTtl, Status::Error];

impl Served {
    pub fn new(plan: &OnlinePlan) -> Self {
        let join = |view: String| ServedJoin {
            entities: counter!(ENTITIES, "view" => view.clone()),
            values: STATUSES.map(|status| {
                let status = status.as_str().to_lowercase();
                counter!(VALUES, "view" => view.clone(), "status" => status)
            }),
        };
        Self(plan.plan.joins.iter().map(|each| join(each.view.id.to_string())).collect())
    }

    /// A count of an answer, of nothing yet.
    pub fn tally(&self) -> Tally {
        Tally(vec![[0; STATUSES.len()]; self.0.len()])
    }

    /// Counts what was answered for so many entity rows.
    pub fn count(&self, rows: usize, tally: &Tally) {
        for (join, counts) in self.0.iter().zip(&tally.0) {
            join.entities.increment(rows as u64);
            for (counter, count) in join.values.iter().zip(counts).filter(|(_, count)| **count > 0) {
                counter.increment(*count);
            }
        }
    }
}

/// How many values of an answer have which status, by the joins of its plan.
pub(crate) struct Tally(Vec<[u64; STATUSES.len()]>);

impl Tally {
    /// Counts values of one column. Those that are computed on demand are of no view with rows.
    pub fn add(&mut self, column: &PlannedColumn, statuses: &[Status]) {
        let Some(counts) = column.stored().and_then(|(join, _)| self.0.get_mut(join)) else { return };
        for status in statuses {
            // `STATUSES` has the order of the enum.
            counts[*status as usize] += 1;
        }
    }
}
