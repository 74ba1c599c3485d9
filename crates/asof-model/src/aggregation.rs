//! What a feature of a view of events aggregates, as it is written and as an apply understood it.
//!
//! This crate does not read expressions. What the argument, `where` and `by` say is found out where definitions are applied,
//! and recorded here: a view names the **inputs** that its features read of each event, with their types, and a feature says
//! which of them are its own. An input is computed once, when an event is admitted; history and the online store hold it.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::ValueType;
use crate::value::{Cell, Value};
use crate::window::Window;

/// What the names of computed inputs begin with.
pub const INPUT_PREFIX: &str = "__input_";

/// A function over the events of a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregation {
    /// The function with its argument and its parameters, as written: `sum(quantity * unit_price)`.
    pub call: String,
    /// Over which events.
    pub window: Window,
    /// Which events it sees at all, as written.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// By what its value is a map, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What an apply made of it. `None`: as read from the files, before an apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meaning: Option<AggregationMeaning>,
}

/// An aggregation that was understood. Inputs are told by their places in [`View::inputs`](crate::spec::View::inputs).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregationMeaning {
    /// The name of the function.
    pub function: String,
    /// The numbers that it takes behind its argument, as canonical text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// Its argument. `None`: it counts events, whatever they hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argument: Option<usize>,
    /// The condition that an event must meet.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<usize>,
    /// The bucket of an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<usize>,
    /// All but the window in one spelling.
    pub text: String,
}

/// What a view reads of each event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its column in history.
    pub name: String,
    /// The column of the source, by its name here, or the expression in one spelling.
    pub text: String,
    /// Whether it is a column of the source as it stands there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
    /// Whether it tells an event from all others.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub identity: bool,
    /// Whether it says that a version of an event takes the event away: a deletion, or a newer version under another key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawal: bool,
    /// Its type.
    #[serde(rename = "type")]
    pub value_type: ValueType,
    /// The columns of the source that it reads, by their names here.
    pub from: BTreeMap<String, ValueType>,
}

/// Whether a version of an event takes the event away from its key (SEMANTICS 4). History and the online store keep it as a
/// number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Withdrawal {
    /// It is an event.
    Stands,
    /// The event moved to another key by a newer version.
    Moved,
    /// It is no more.
    Deleted,
}

impl Withdrawal {
    /// The number that it is kept as.
    pub fn mark(self) -> i64 {
        match self {
            Self::Stands => 0,
            Self::Moved => 1,
            Self::Deleted => 2,
        }
    }

    /// The number in a cell. One that can't be read, or is not there, takes nothing away.
    pub fn mark_in(cell: Option<&Cell>) -> i64 {
        match cell {
            Some(Cell::Value(Value::Int64(mark))) => *mark,
            _ => Self::Stands.mark(),
        }
    }
}

impl AggregationMeaning {
    /// The places of all inputs.
    pub fn inputs(&self) -> impl Iterator<Item = usize> {
        [self.argument, self.filter, self.by].into_iter().flatten()
    }
}

/// In one spelling, once it was applied.
impl fmt::Display for Aggregation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.meaning {
            Some(meaning) => out.write_str(&meaning.text)?,
            None => {
                out.write_str(&self.call)?;
                self.filter.iter().try_for_each(|filter| write!(out, " where {filter}"))?;
                self.by.iter().try_for_each(|by| write!(out, " by {by}"))?;
            }
        }
        write!(out, " {}", self.window)
    }
}
