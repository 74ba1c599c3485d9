//! The status that each feature value carries (SEMANTICS 6).

use serde::{Deserialize, Serialize};

/// Why a value is what it is. A `default` replaces the value in every state but [`Status::Present`]; the status
/// stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// The row exists and holds a value.
    Present,
    /// The row exists and holds null.
    Null,
    /// No row that `t` may see, a null key, or a feature newer than its row.
    Missing,
    /// The row is older than the view's ttl. Outranks [`Status::Null`] and [`Status::Error`].
    OutsideTtl,
    /// The row exists, but this feature could not be read or computed.
    Error,
}

impl Status {
    /// The name as users see it, in training files and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Present => "PRESENT",
            Self::Null => "NULL",
            Self::Missing => "MISSING",
            Self::OutsideTtl => "OUTSIDE_TTL",
            Self::Error => "ERROR",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}
