//! What a run is: whom it asks, for what, how often, and for how long.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::error::{LoadError, plan};
use crate::keys::Keys;
use crate::pick::Popularity;
use crate::target::Target;
use crate::zipf::EXPONENT_MAX;

/// The most connections of a run.
pub const CONNECTIONS_MAX: usize = 10_000;
/// The most entity rows of a request.
pub const ENTITIES_MAX: usize = 100_000;
/// The most kinds of requests in a mix.
pub const MIX_MAX: usize = 64;
/// The most arrivals a second of an open run.
pub const RATE_MAX: f64 = 1_000_000.0;
/// Arrivals that wait for a connection at most, where a plan names no other bound. What comes beyond is dropped.
pub const WAITING_DEFAULT: usize = 10_000;
/// The most that a plan may let wait; each takes 16 bytes.
pub const WAITING_MAX: usize = 10_000_000;
/// How long one request may take, where a plan names no other bound.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// The longest run, warm-up or timeout: a week.
pub const TIME_MAX: Duration = Duration::from_secs(7 * 86_400);
/// The greatest weight in a mix.
pub const WEIGHT_MAX: u32 = 1_000_000;

/// A run.
///
/// The mix of requests is every [`Asked`] with every [`Entities`], by the product of their weights. Which request is the
/// `n`-th, and for which keys, follows from `seed` and `n` alone, not from time, connections or threads.
#[derive(Debug, Clone, Serialize)]
pub struct LoadPlan {
    /// The servers; connections are dealt to them in turn. At least one.
    pub targets: Vec<Target>,
    /// The form of requests.
    pub shape: Shape,
    /// Further headers of each request, such as `authorization`. Their values are never told.
    #[serde(serialize_with = "names")]
    pub headers: Vec<(String, String)>,
    /// What is asked for. At least one.
    pub asked: Vec<Asked>,
    /// How many entity rows a request has. At least one.
    pub entities: Vec<Entities>,
    /// Where join keys come from.
    pub keys: Keys,
    /// How often each key is asked for. Keys of a request are drawn one by one, so popular ones may repeat.
    pub popularity: Popularity,
    /// Connections that are kept open; each carries one request at a time. 1 to [`CONNECTIONS_MAX`].
    pub connections: usize,
    /// Threads that the connections are dealt to. 1 to `connections`.
    pub threads: usize,
    /// When requests are sent.
    pub mode: Mode,
    /// How long to wait, before anything else, for a server that is not there yet.
    #[serde(rename = "wait_seconds", serialize_with = "seconds")]
    pub wait: Duration,
    /// How long requests are sent before anything is measured.
    #[serde(rename = "warm_up_seconds", serialize_with = "seconds")]
    pub warm_up: Duration,
    /// How long is measured.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub duration: Duration,
    /// How long a request may take from its start (in an open run the intended one) until its answer was read.
    #[serde(rename = "timeout_seconds", serialize_with = "seconds")]
    pub timeout: Duration,
    /// What all of it is drawn from.
    pub seed: u64,
}

/// The form of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// `POST /v1/online-features`.
    #[default]
    Native,
    /// `POST /get-online-features`, as Feast's feature servers take it.
    Feast,
}

impl Shape {
    /// The route of the server.
    pub fn route(self) -> &'static str {
        match self {
            Self::Native => "/v1/online-features",
            Self::Feast => "/get-online-features",
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// A service, or features.
    #[serde(flatten)]
    pub what: What,
    /// How often, against the others. 1 to [`WEIGHT_MAX`].
    pub weight: u32,
}

/// A service, or features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The features of a service.
    Service(String),
    /// Features, as `view:feature`. At least one.
    Features(Vec<String>),
}

impl fmt::Display for What {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(name) => out.write_str(name),
            Self::Features(names) => match names.as_slice() {
                [first, others @ ..] if !others.is_empty() => {
                    write!(out, "{first} and {} more", others.len())
                }
                names => out.write_str(&names.join("")),
            },
        }
    }
}

/// How many entity rows a request has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Entities {
    /// Entity rows: 1 to [`ENTITIES_MAX`].
    pub rows: usize,
    /// How often, against the others. 1 to [`WEIGHT_MAX`].
    pub weight: u32,
}

impl Entities {
    /// Reads `1,10,100`, each as often as the others, or `1:8,10:2` with weights.
    ///
    /// # Errors
    /// [`LoadError::Plan`].
    pub fn parse_mix(text: &str) -> Result<Vec<Self>, LoadError> {
        let one = |part: &str| {
            let (rows, weight) = part.trim().split_once(':').unwrap_or((part.trim(), "1"));
            let each = Self { rows: rows.trim().parse().ok()?, weight: weight.trim().parse().ok()? };
            each.possible().then_some(each)
        };
        let wrong = |part: &str| {
            plan(format!(
                "`{part}` is not a number of entity rows, such as `10` (up to {ENTITIES_MAX}), or one with its weight, such as \
                 `10:2` (up to {WEIGHT_MAX})"
            ))
        };
        text.split(',').map(|part| one(part).ok_or_else(|| wrong(part))).collect()
    }

    fn possible(self) -> bool {
        (1..=ENTITIES_MAX).contains(&self.rows) && (1..=WEIGHT_MAX).contains(&self.weight)
    }
}

/// When requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "mode", rename_all = "lowercase")]
pub enum Mode {
    /// Each connection sends its next request as soon as it has the answer to the last: what the server can do at most. Where it
    /// is slow it is asked less, so latencies are those of a crowd that waits politely.
    Closed,
    /// Requests arrive on their own schedule, whether or not the last ones were answered, and their latency counts from when
    /// they were to be sent: what users of a service see.
    Open {
        /// Arrivals a second: above 0, up to [`RATE_MAX`].
        rate: f64,
        /// How arrivals are spread.
        arrivals: Arrivals,
        /// Arrivals that wait for a connection at most: 1 to [`WAITING_MAX`]. What comes beyond is dropped and counted.
        waiting_max: usize,
    },
}

/// How arrivals are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Even,
    /// As independent users come: a Poisson process of the same rate.
    Poisson,
}

impl LoadPlan {
    /// Checks that the run can be.
    ///
    /// # Errors
    /// [`LoadError::Plan`], with the first thing that is wrong.
    pub fn check(&self) -> Result<(), LoadError> {
        let refuse = |wrong: bool, reason: &str| if wrong { Err(plan(reason)) } else { Ok(()) };
        refuse(self.targets.is_empty(), "there must be a server to ask")?;
        refuse(self.asked.is_empty(), "there must be a service or features to ask for")?;
        for asked in &self.asked {
            let nothing = match &asked.what {
                What::Service(name) => name.is_empty(),
                What::Features(names) => names.is_empty() || names.iter().any(String::is_empty),
            };
            refuse(nothing, "a service or feature without a name can't be asked for")?;
            refuse(!(1..=WEIGHT_MAX).contains(&asked.weight), "a weight is 1 to 1000000")?;
        }
        refuse(self.entities.is_empty(), "there must be a number of entity rows to ask for")?;
        refuse(!self.entities.iter().all(|each| each.possible()), "a request has 1 to 100000 entity rows")?;
        refuse(self.asked.len() * self.entities.len() > MIX_MAX, "a mix has 64 kinds of requests at most")?;
        if let Popularity::Zipf { exponent } = self.popularity {
            let possible = exponent > 0.0 && exponent <= EXPONENT_MAX;
            refuse(!possible, "the exponent of Zipf's law is above 0, and 20 at most")?;
        }
        refuse(!(1..=CONNECTIONS_MAX).contains(&self.connections), "a run has 1 to 10000 connections")?;
        let threads = (1..=self.connections).contains(&self.threads);
        refuse(!threads, "a run has at least one thread, and no more threads than connections")?;
        if let Mode::Open { rate, waiting_max, .. } = self.mode {
            refuse(!(rate > 0.0 && rate <= RATE_MAX), "a rate is above 0, and 1000000 a second at most")?;
            refuse(!(1..=WAITING_MAX).contains(&waiting_max), "1 to 10000000 arrivals may wait")?;
        }
        refuse(self.duration.is_zero(), "there must be time to measure")?;
        refuse(self.timeout.is_zero(), "a request must have time for its answer")?;
        let times = [self.wait, self.warm_up, self.duration, self.timeout];
        refuse(
            times.iter().any(|time| *time > TIME_MAX),
            "a run, and each wait in it, takes a week at most",
        )?;
        for (name, value) in &self.headers {
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            refuse(
                name.is_empty() || !name.bytes().all(token),
                "a header's name is made of letters, digits and dashes",
            )?;
            refuse(value.bytes().any(|b| b < b' ' && b != b'\t'), "a header's value stands on one line")?;
            let ours = ["host", "content-length", "content-type", "connection", "transfer-encoding"];
            let taken = ours.iter().any(|ours| name.eq_ignore_ascii_case(ours));
            refuse(
                taken,
                "`host`, `content-*`, `connection` and `transfer-encoding` are written by the run itself",
            )?;
        }
        Ok(())
    }
}

fn names<S: Serializer>(headers: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(headers.iter().map(|(name, _)| name))
}

fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: mixes are read with and without weights, and what can't be read is told.
    #[test]
    fn mixes() {
        let mix = |text: &str| {
            Entities::parse_mix(text)
                .map(|mix| mix.iter().map(|each| (each.rows, each.weight)).collect::<Vec<_>>())
        };
        assert_eq!(mix("1,10, 100").unwrap(), [(1, 1), (10, 1), (100, 1)]);
        assert_eq!(mix("1:8,10:2").unwrap(), [(1, 8), (10, 2)]);
        for wrong in ["", "0", "1,,2", "x", "1:0", "1:x", "-1", "100001", "1:1000001"] {
            let refused = mix(wrong).unwrap_err().to_string();
            assert!(refused.contains("is not a number of entity rows"), "{wrong}: {refused}");
        }
    }
}
