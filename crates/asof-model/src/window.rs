//! Windows of events: of which stretch of time before `t` events count (SEMANTICS 4).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Duration;

/// A window. Knowledge is judged at `t`, events at `t - delay`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Which stretch.
    pub span: Span,
    /// Whether the event at `t - delay` itself counts.
    pub edge: Edge,
    /// How long after their instant events begin to count.
    pub delay: Duration,
}

/// A stretch of time before an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// The last `length`. With a resolution its old edge goes back to a multiple of it since 1970.
    Sliding {
        /// How long it is.
        length: Duration,
        /// What its old edge is a multiple of.
        resolution: Option<Duration>,
    },
    /// The bucket that is open, from the last multiple of `length` on; or the last one that is closed.
    Tumbling {
        /// How long a bucket is.
        length: Duration,
        /// How far buckets begin behind multiples of `length` since 1970, in UTC.
        offset: Duration,
        /// Whether it is the last bucket that is closed.
        complete: bool,
    },
    /// The run of events with no gap longer than `gap`, the last one no longer ago than that; of the last `max`.
    Session {
        /// The longest gap.
        gap: Duration,
        /// How far it looks back.
        max: Duration,
    },
    /// All time.
    Lifetime,
    /// So many events that come last.
    LastRows(u32),
}

/// Whether an event at the instant itself counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// It does not: `[t - w, t)`. A request is made before its own event is there.
    #[default]
    Open,
    /// It does: `(t - w, t]`.
    Closed,
}

impl Edge {
    pub(crate) fn is_open(&self) -> bool {
        *self == Self::Open
    }

    /// The name used in definitions.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// Why there is no such window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// A length that is none.
    #[error("`{0}` must be longer than no time at all")]
    Empty(&'static str),
    /// Something before the beginning.
    #[error("`{0}` can't be negative")]
    Negative(&'static str),
    /// Buckets that would begin behind their end.
    #[error("`offset` must be less than the length of a bucket")]
    Offset,
    /// A session that would be cut within its first gap.
    #[error("`max` can't be less than `gap`")]
    Max,
    /// No events.
    #[error("there must be one row at least")]
    Rows,
}

impl Window {
    /// A window without delay, with an open edge.
    pub fn new(span: Span) -> Self {
        Self { span, edge: Edge::Open, delay: Duration::ZERO }
    }

    /// How far before `t` an event may lie that counts. `None`: as far as there are events.
    pub fn reach(&self) -> Option<Duration> {
        let micros = match self.span {
            Span::Sliding { length, resolution } => {
                // The old edge goes back by less than the resolution.
                let floored = resolution.map_or(0, |resolution| resolution.micros() - 1);
                length.micros().saturating_add(floored)
            }
            Span::Tumbling { length, complete, .. } => {
                let bucket = length.micros() - 1;
                if complete { bucket.saturating_add(length.micros()) } else { bucket }
            }
            Span::Session { max, .. } => max.micros(),
            Span::Lifetime | Span::LastRows(_) => return None,
        };
        Some(Duration::from_micros(micros.saturating_add(self.delay.micros())))
    }

    /// Checks that the parts go together.
    ///
    /// # Errors
    /// [`WindowError`].
    pub fn check(&self) -> Result<(), WindowError> {
        let long = |what, of: Duration| if of.micros() > 0 { Ok(()) } else { Err(WindowError::Empty(what)) };
        if self.delay.micros() < 0 {
            return Err(WindowError::Negative("delay"));
        }
        match self.span {
            Span::Sliding { length, resolution } => {
                long("over", length)?;
                resolution.map_or(Ok(()), |resolution| long("resolution", resolution))
            }
            Span::Tumbling { length, offset, .. } => {
                long("tumbling", length)?;
                match offset.micros() {
                    ..0 => Err(WindowError::Negative("offset")),
                    offset if offset >= length.micros() => Err(WindowError::Offset),
                    _ => Ok(()),
                }
            }
            Span::Session { gap, max } => {
                long("gap", gap)?;
                if max < gap { Err(WindowError::Max) } else { Ok(()) }
            }
            Span::LastRows(0) => Err(WindowError::Rows),
            Span::Lifetime | Span::LastRows(_) => Ok(()),
        }
    }
}

/// As definitions write it, without its edge, which is one for all features of a view.
impl fmt::Display for Window {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.span {
            Span::Sliding { length, resolution } => {
                write!(out, "over {length}")?;
                resolution.map_or(Ok(()), |resolution| write!(out, " resolution {resolution}"))?;
            }
            Span::Tumbling { length, offset, complete } => {
                write!(out, "tumbling {length}")?;
                if offset != Duration::ZERO {
                    write!(out, " offset {offset}")?;
                }
                if complete {
                    out.write_str(" complete")?;
                }
            }
            Span::Session { gap, max } => write!(out, "session gap {gap} max {max}")?,
            Span::Lifetime => out.write_str("over lifetime")?,
            Span::LastRows(rows) => write!(out, "over the last {rows} rows")?,
        }
        if self.delay == Duration::ZERO { Ok(()) } else { write!(out, " delay {}", self.delay) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: parts that don't go together are refused by their names.
    #[test]
    fn windows_that_cannot_be() {
        let of = |micros| Duration::from_micros(micros);
        let refused = |span| Window::new(span).check().unwrap_err();
        let sliding = |length, resolution| Span::Sliding { length, resolution };
        assert_eq!(refused(sliding(of(0), None)), WindowError::Empty("over"));
        assert_eq!(refused(sliding(of(5), Some(of(0)))), WindowError::Empty("resolution"));
        let tumbling =
            |length, offset| Span::Tumbling { length: of(length), offset: of(offset), complete: false };
        assert_eq!(refused(tumbling(5, 5)), WindowError::Offset);
        assert_eq!(refused(tumbling(0, 0)), WindowError::Empty("tumbling"));
        assert_eq!(refused(Span::Session { gap: of(5), max: of(4) }), WindowError::Max);
        assert_eq!(refused(Span::LastRows(0)), WindowError::Rows);
        assert_eq!(Window::new(tumbling(5, 4)).check(), Ok(()));
        assert_eq!(Window::new(Span::Lifetime).check(), Ok(()));
    }
}
