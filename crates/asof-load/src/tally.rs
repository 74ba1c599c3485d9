//! What was counted, by one thread and of all of them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::histogram::Histogram;
use crate::line::Broken;
use crate::request::Kind;

/// Bytes of an error's text that are kept.
pub(crate) const TEXT_BYTES_MAX: usize = 400;
/// Classes of errors of which a text is kept.
const TEXTS_MAX: usize = 16;

/// How a request ended.
pub(crate) enum Outcome<'a> {
    /// With an answer: its status, its body, and the bytes that were read.
    Answer { status: u16, body: &'a [u8], bytes: u64 },
    /// Without one.
    Broken(Broken),
    /// Not within its time.
    Timeout,
}

/// What one thread counted.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) kinds: Vec<Counts>,
    pub(crate) warm_up: WarmUp,
    pub(crate) lateness: Histogram,
    pub(crate) waited: u64,
    pub(crate) statuses: BTreeMap<String, u64>,
    pub(crate) statuses_answers: u64,
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) opened: u64,
    pub(crate) resent: u64,
    pub(crate) cpu: Duration,
}

/// Requests that were sent before anything was measured.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WarmUp {
    pub(crate) requests: u64,
    pub(crate) sheds: u64,
    pub(crate) errors: u64,
}

/// Requests of one kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) latency: Histogram,
    pub(crate) sheds: u64,
    pub(crate) connect: u64,
    pub(crate) lost: u64,
    pub(crate) protocol: u64,
    pub(crate) timeout: u64,
    pub(crate) http: BTreeMap<u16, u64>,
}

impl Counts {
    /// Errors of all classes.
    pub(crate) fn errors(&self) -> u64 {
        self.connect + self.lost + self.protocol + self.timeout + self.http.values().sum::<u64>()
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.latency.merge(&other.latency);
        self.sheds += other.sheds;
        self.connect += other.connect;
        self.lost += other.lost;
        self.protocol += other.protocol;
        self.timeout += other.timeout;
        for (status, count) in &other.http {
            *self.http.entry(*status).or_default() += count;
        }
    }
}

/// Whether an answer says that the server protects itself: it is not asked rightly or wrongly, but too much.
pub(crate) fn is_shed(status: u16) -> bool {
    matches!(status, 429 | 503)
}

impl Tally {
    pub(crate) fn new(kinds: usize) -> Self {
        Self { kinds: vec![Counts::default(); kinds], ..Self::default() }
    }

    /// Counts a request. `took` is its latency, counted only for an answer with what was asked for. Whether it was an error.
    pub(crate) fn add(&mut self, kind: Kind, sent: usize, took: Duration, outcome: &Outcome<'_>) -> bool {
        let Some(counts) = self.kinds.get_mut(kind) else { return false };
        counts.requests += 1;
        counts.bytes_sent += sent as u64;
        let (class, text) = match outcome {
            Outcome::Answer { status, body, bytes } => {
                counts.bytes_received += bytes;
                match status {
                    200 => {
                        counts.latency.record(took);
                        return false;
                    }
                    status if is_shed(*status) => {
                        counts.sheds += 1;
                        return false;
                    }
                    status => {
                        *counts.http.entry(*status).or_default() += 1;
                        (format!("http {status}"), beginning(body))
                    }
                }
            }
            Outcome::Broken(broken) => {
                let (count, class) = match broken {
                    Broken::Connect(_) => (&mut counts.connect, "connect"),
                    Broken::Lost { .. } => (&mut counts.lost, "connection lost"),
                    Broken::Protocol(_) => (&mut counts.protocol, "protocol"),
                };
                *count += 1;
                (class.to_owned(), broken.told())
            }
            Outcome::Timeout => {
                counts.timeout += 1;
                return true;
            }
        };
        if self.texts.len() < TEXTS_MAX {
            self.texts.entry(class).or_insert(text);
        }
        true
    }

    /// Counts a request of the warm-up. Whether it was an error.
    pub(crate) fn add_warming(&mut self, outcome: &Outcome<'_>) -> bool {
        self.warm_up.requests += 1;
        match outcome {
            Outcome::Answer { status: 200, .. } => false,
            Outcome::Answer { status, .. } if is_shed(*status) => {
                self.warm_up.sheds += 1;
                false
            }
            _ => {
                self.warm_up.errors += 1;
                true
            }
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        for (counts, more) in self.kinds.iter_mut().zip(&other.kinds) {
            counts.merge(more);
        }
        self.warm_up.requests += other.warm_up.requests;
        self.warm_up.sheds += other.warm_up.sheds;
        self.warm_up.errors += other.warm_up.errors;
        self.lateness.merge(&other.lateness);
        self.waited += other.waited;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.statuses_answers += other.statuses_answers;
        for (class, text) in other.texts {
            self.texts.entry(class).or_insert(text);
        }
        self.opened += other.opened;
        self.resent += other.resent;
        self.cpu += other.cpu;
    }
}

/// The beginning of what a server says, on one line.
pub(crate) fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..TEXT_BYTES_MAX).unwrap_or(body));
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if body.len() > TEXT_BYTES_MAX {
        line.push_str("...");
    }
    if line.is_empty() { "an empty body".to_owned() } else { line }
}
