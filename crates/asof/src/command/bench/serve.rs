//! `asof bench serve`.

use std::path::PathBuf;
use std::time::Duration;

use asof_load::statuses::SAMPLE_EVERY;
use asof_load::{
    Arrivals, Asked, Entities, KeySpec, Keys, KeysFile, LoadPlan, LoadReport, Measured, Mode, Popularity,
    Shape, SoFar, Target, WAITING_DEFAULT, What, run,
};
use asof_model::settings::LISTEN_DEFAULT;
use asof_store::Progress;
use clap::{Args, ValueEnum};

use crate::arguments::{Format, FormatOption, pair};
use crate::failure::Failure;
use crate::output::{Table, count, counted, size};
use crate::progress::Bars;
use crate::{Everywhere, Outcome, output};

/// What the work is called.
const SEND: &str = "send requests";
/// From this share of its time on, a busy client says more of itself than of the server.
const BUSY_MAX: f64 = 0.8;

/// What to ask, and how often.
#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The server. Given several times, connections are dealt to all. By default where the server of the project listens
    #[arg(long = "url", value_name = "URL", value_parser = target)]
    urls: Vec<Target>,
    #[command(flatten)]
    asked: AskedOptions,
    /// A join key and its values: `int:0..1000000`, or `text:user-%06d:0..50000`. The end is not one of them
    #[arg(long = "key", value_name = "NAME=VALUES", value_parser = key)]
    keys: Vec<KeySpec>,
    /// A CSV file of entity keys. Its first line names the join keys, with `:int` behind those of whole numbers
    #[arg(long = "keys", value_name = "FILE")]
    keys_file: Option<PathBuf>,
    /// Entity rows of a request: `1,10,100` in equal shares, or with weights, as `1:8,10:2`
    #[arg(long, value_name = "ROWS", default_value = "1,10,100", value_parser = mix)]
    entities: Mix,
    /// Ask for some keys more than for others, by Zipf's law with this exponent. By default all are as popular
    #[arg(long, value_name = "EXPONENT")]
    zipf: Option<f64>,
    /// Connections that are kept open, with one request at a time on each
    #[arg(long, value_name = "N", default_value_t = 16)]
    connections: usize,
    /// Threads that send. By default one for two cores
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Requests a second, whether or not the last ones were answered; latency counts from when each was to be sent. `70%` is a
    /// share of what a run without a rate reaches, which then goes before. By default each connection asks again as soon as it
    /// has its answer
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<Rate>,
    /// Requests come at random, as from many users, and not at equal distances
    #[arg(long, requires = "rate")]
    poisson: bool,
    /// Requests that wait for a connection at most; those beyond are dropped and counted
    #[arg(long, value_name = "N", requires = "rate", default_value_t = WAITING_DEFAULT)]
    waiting: usize,
    /// Wait so long for a server that is not there yet
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    wait: Duration,
    /// How long is measured
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    seconds: Duration,
    /// How long requests are sent before anything is measured
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    warm_up: Duration,
    /// How long a request may take
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
    /// The form of requests
    #[arg(long, value_enum, default_value_t, value_name = "SHAPE")]
    shape: ShapeName,
    /// A header of each request, such as `authorization: Bearer ...`
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// What all of it is drawn from: the same seed asks for the same
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Save the report, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    format: FormatOption,
}

/// What requests ask for; each service and each list of features has the same share.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct AskedOptions {
    /// A service. Given several times, each has its share of the requests
    #[arg(long = "service", value_name = "SERVICE")]
    services: Vec<String>,
    /// Features, as `view:feature`, with commas between them. Given several times, each list has its share
    #[arg(long, value_name = "VIEW:FEATURE,...")]
    features: Vec<String>,
}

/// The form of requests.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum ShapeName {
    /// `POST /v1/online-features`
    #[default]
    Native,
    /// `POST /get-online-features`, as Feast's servers take it
    Feast,
}

/// How many requests a second.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Rate {
    /// So many.
    PerSecond(f64),
    /// This share of what a closed run reaches.
    OfCapacity(f64),
}

/// How many entity rows, and how often.
#[derive(Debug, Clone)]
struct Mix(Vec<Entities>);

impl Serve {
    pub(super) fn run(&self, everywhere: &Everywhere) -> Result<Outcome, Failure> {
        let progress = everywhere.progress().until_told();
        let closed = self.plan(Mode::Closed, everywhere)?;
        let report = match self.rate {
            None => drive(&closed, &progress)?,
            Some(Rate::PerSecond(rate)) => drive(&LoadPlan { mode: self.open(rate), ..closed }, &progress)?,
            Some(Rate::OfCapacity(share)) => {
                let capacity = drive(&closed, &progress)?;
                if capacity.all.answers == 0 {
                    return Err(Failure::new("nothing was answered, so there is no rate to take a share of"));
                }
                if capacity.complete {
                    // To a tenth, which is enough and can be said.
                    let rate = (share * capacity.all.answers_per_second * 10.0).ceil() / 10.0;
                    let open = drive(&LoadPlan { mode: self.open(rate), ..closed }, &progress)?;
                    LoadReport { capacity: Some(Box::new(capacity)), ..open }
                } else {
                    capacity
                }
            }
        };
        drop(progress);
        match (self.format.format, &report.capacity) {
            (Format::Json, _) => output::print_json(&report)?,
            (Format::Text, None) => output::print(&text(&report))?,
            (Format::Text, Some(capacity)) => {
                output::print(&format!("{}\n{}", text(capacity), text(&report)))?;
            }
        }
        self.save(&report)?;
        if report.failed() {
            let dropped = report.open.as_ref().map_or(0, |open| open.dropped);
            let failed = count(report.all.errors.total + dropped);
            let all = counted(report.all.requests + dropped, "request");
            return Err(Failure::new(format!("{failed} of {all} failed")));
        }
        Ok(Outcome::Done)
    }

    fn open(&self, rate: f64) -> Mode {
        let arrivals = if self.poisson { Arrivals::Poisson } else { Arrivals::Even };
        Mode::Open { rate, arrivals, waiting_max: self.waiting }
    }

    fn plan(&self, mode: Mode, everywhere: &Everywhere) -> Result<LoadPlan, Failure> {
        let services = self.asked.services.iter().cloned().map(What::Service);
        let list =
            |text: &String| What::Features(text.split(',').map(|name| name.trim().to_owned()).collect());
        let what = services.chain(self.asked.features.iter().map(list));
        let file = self.keys_file.as_deref().map(KeysFile::read).transpose()?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(LoadPlan {
            targets: if self.urls.is_empty() { vec![default_target(everywhere)?] } else { self.urls.clone() },
            shape: match self.shape {
                ShapeName::Native => Shape::Native,
                ShapeName::Feast => Shape::Feast,
            },
            headers: self.headers.clone(),
            asked: what.map(|what| Asked { what, weight: 1 }).collect(),
            entities: self.entities.0.clone(),
            keys: Keys::new(self.keys.clone(), file)?,
            popularity: self.zipf.map_or(Popularity::Uniform, |exponent| Popularity::Zipf { exponent }),
            connections: self.connections,
            threads: self.threads.unwrap_or((cores / 2).min(self.connections).max(1)),
            mode,
            wait: self.wait,
            warm_up: self.warm_up,
            duration: self.seconds,
            timeout: self.timeout,
            seed: self.seed,
        })
    }

    fn save(&self, report: &LoadReport) -> Result<(), Failure> {
        let Some(path) = &self.report else { return Ok(()) };
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(format!("cannot write `{}`: {error}", path.display()))
        };
        let text = serde_json::to_string_pretty(report).map_err(|error| failed(&error))?;
        std::fs::write(path, format!("{text}\n")).map_err(|error| failed(&error))
    }
}

/// Runs a plan, and shows how it is going.
fn drive(plan: &LoadPlan, progress: &Bars) -> Result<LoadReport, Failure> {
    progress.begin(SEND, "requests", None);
    let mut told = 0;
    let report = run(plan, &mut |so_far: &SoFar| {
        progress.advance(SEND, so_far.requests.saturating_sub(told));
        told = so_far.requests;
        progress.wanted()
    });
    progress.finish(SEND, &counted(told, "request"));
    Ok(report?)
}

/// The server of the project that is meant; where there is none, the one of a project without settings.
fn default_target(everywhere: &Everywhere) -> Result<Target, Failure> {
    let listen = match everywhere.project() {
        Ok(project) => project.settings.listen,
        Err(failure) if everywhere.project.is_some() => return Err(failure),
        Err(_) => LISTEN_DEFAULT.to_owned(),
    };
    Ok(Target::of_listen(&listen)?)
}

fn target(text: &str) -> Result<Target, String> {
    Target::parse(text).map_err(|error| error.to_string())
}

fn key(text: &str) -> Result<KeySpec, String> {
    let (name, values) = pair(text)?;
    KeySpec::parse(&name, &values).map_err(|error| error.to_string())
}

fn mix(text: &str) -> Result<Mix, String> {
    Entities::parse_mix(text).map(Mix).map_err(|error| error.to_string())
}

fn rate(text: &str) -> Result<Rate, String> {
    let number =
        |text: &str| text.trim().parse().ok().filter(|number| *number > 0.0 && f64::is_finite(*number));
    let read = match text.trim().strip_suffix('%') {
        Some(share) => number(share).map(|share| Rate::OfCapacity(share / 100.0)),
        None => number(text).map(Rate::PerSecond),
    };
    read.ok_or_else(|| "not a number above 0, such as `500`, or a share, such as `70%`".to_owned())
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or_else(|| "not of the form `name: value`".to_owned())?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.ok_or_else(|| "not a number of seconds, such as `10` or `0.5`".to_owned())
}

/// The table, and a line for each thing beyond it.
fn text(report: &LoadReport) -> String {
    let mut table = Table::new(&[
        "asked",
        "#entities",
        "#requests",
        "#answers/s",
        "#p50 ms",
        "#p90 ms",
        "#p99 ms",
        "#p99.9 ms",
        "#max ms",
        "#sheds",
        "#errors",
    ]);
    let mut row = |asked: String, entities: String, measured: &Measured| {
        let latency = &measured.latency;
        let times = [latency.p50_us, latency.p90_us, latency.p99_us, latency.p99_9_us, latency.max_us];
        let front =
            [asked, entities, count(measured.requests), format!("{:.1}", measured.answers_per_second)];
        let back = [count(measured.sheds), count(measured.errors.total)];
        table.row(front.into_iter().chain(times.map(|us| ms(measured, us))).chain(back));
    };
    for kind in &report.mix {
        row(kind.asked.to_string(), count(kind.entities as u64), &kind.measured);
    }
    if report.mix.len() > 1 {
        row("all".to_owned(), "-".to_owned(), &report.all);
    }
    format!("{table}\n{}", lines(report).concat())
}

/// Milliseconds; none where nothing was answered.
fn ms(measured: &Measured, us: f64) -> String {
    if measured.answers == 0 { "-".to_owned() } else { format!("{:.3}", us / 1_000.0) }
}

fn lines(report: &LoadReport) -> Vec<String> {
    let mut lines = Vec::new();
    let all = &report.all;
    lines.push(format!(
        "{:.1} s measured{}, {}: {} entity rows/s, {} read\n",
        report.seconds,
        if report.complete { "" } else { " before it was ended" },
        counted(report.plan.connections as u64, "connection"),
        count(all.entities_per_second as u64),
        size(all.bytes_received),
    ));
    if let (Some(open), Mode::Open { rate, .. }) = (&report.open, report.plan.mode) {
        lines.push(format!(
            "{rate:.1} requests/s wanted: {} came, {} of them waited for a connection and {} were dropped; sent {:.3} ms late at \
             p50, {:.3} ms at p99\n",
            count(open.arrivals),
            count(open.waited),
            count(open.dropped),
            open.lateness.p50_us / 1_000.0,
            open.lateness.p99_us / 1_000.0,
        ));
    }
    let values: u64 = report.statuses.values.values().sum();
    if values > 0 {
        let share = |(status, count): (&String, &u64)| {
            format!("{:.1} % {status}", *count as f64 * 100.0 / values as f64)
        };
        let shares: Vec<String> = report.statuses.values.iter().map(share).collect();
        lines.push(format!("statuses, of one answer in {SAMPLE_EVERY}: {}\n", shares.join(", ")));
    }
    let warm_up = &report.warm_up;
    if warm_up.errors + warm_up.dropped > 0 {
        lines.push(format!(
            "warm-up: {} of {} failed\n",
            count(warm_up.errors + warm_up.dropped),
            counted(warm_up.requests + warm_up.dropped, "request")
        ));
    }
    if all.errors.timeout > 0 {
        let within = report.plan.timeout.as_secs_f64();
        lines.push(format!(
            "timeout: {} had no answer within {within} s\n",
            counted(all.errors.timeout, "request")
        ));
    }
    lines.extend(report.error_texts.iter().map(|(class, text)| format!("{class}, such as: {text}\n")));
    if let Some(busy) = report.client.busy.filter(|busy| *busy >= BUSY_MAX) {
        lines.push(format!(
            "the client was busy for {:.0} % of its time, so latencies are partly its own: give it more `--threads`, or a machine \
             of its own\n",
            busy * 100.0
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: headers, seconds and rates are read as people write them.
    #[test]
    fn small_arguments() {
        assert_eq!(header("a:b: c "), Ok(("a".into(), "b: c".into())));
        assert!(header("a").is_err());
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!([rate("500"), rate(" 70 %")], [Ok(Rate::PerSecond(500.0)), Ok(Rate::OfCapacity(0.7))]);
        for wrong in ["", "-1", "nan", "1s"] {
            assert!(seconds(wrong).is_err() && rate(wrong).is_err(), "{wrong}");
        }
        assert!(rate("0").is_err() && rate("inf").is_err());
    }
}
