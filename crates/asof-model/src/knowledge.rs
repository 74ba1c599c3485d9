//! What may hide a row, and the rule by which a value is chosen (SEMANTICS 1 and 3).

use serde::{Deserialize, Serialize};

use crate::time::{Duration, Instant};

/// Which of a row's instants may hide it at `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KnownAt {
    /// `event <= t`.
    #[default]
    Event,
    /// `event <= t` and `created <= t`.
    Created,
    /// `event <= t`, `created <= t` and `visible <= t`: what serving could have answered.
    Served,
}

impl KnownAt {
    /// The name used in commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Created => "created",
            Self::Served => "served",
        }
    }

    /// The first instant from which a row with these instants may be seen: as [`Instant`]s, or as the microseconds that
    /// columns hold.
    pub fn from_instant<T: Ord>(self, event: T, created: T, visible: T) -> T {
        match self {
            Self::Event => event,
            Self::Created => event.max(created),
            Self::Served => event.max(created).max(visible),
        }
    }
}

impl std::fmt::Display for KnownAt {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

/// How the value of a view at `t` is chosen from its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rule {
    /// What may hide a row.
    pub known_at: KnownAt,
    /// Past it (`t - event > ttl`) the status is OUTSIDE_TTL.
    pub ttl: Option<Duration>,
    /// Past it (`t - event > keep`) the row is MISSING.
    pub keep: Option<Duration>,
    /// Whether values past their ttl are returned with that status instead of null or a default.
    pub include_expired: bool,
}

/// How old the row in force is, judged at `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// Within ttl and keep; both edges are inclusive.
    Valid,
    /// Past ttl, within keep.
    Expired,
    /// Past keep: as if it never was.
    Forgotten,
}

impl Rule {
    /// Judges a row by its event instant. Exactly `ttl` and exactly `keep` are still within.
    pub fn age(&self, event: Instant, t: Instant) -> Age {
        let age = t.since(event);
        if self.keep.is_some_and(|keep| age > keep) {
            Age::Forgotten
        } else if self.ttl.is_some_and(|ttl| age > ttl) {
            Age::Expired
        } else {
            Age::Valid
        }
    }
}
