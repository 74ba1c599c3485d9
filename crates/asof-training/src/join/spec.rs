//! What is asked of a join.

use std::path::PathBuf;
use std::sync::Arc;

use asof_model::spec::Feature;
use asof_model::{KnownAt, Rule, ValueType};

use super::units::Units;
use crate::history::HistorySource;
use crate::memory::Memory;
use crate::windows::WindowView;

/// A join of views to labels.
pub struct JoinSpec {
    /// What is read. Views over one source stand in one history.
    pub histories: Vec<Arc<dyn HistorySource>>,
    /// The choices of label columns as join keys, each with the types of the keys.
    pub keys: Vec<Vec<(String, ValueType)>>,
    /// The views of values to join, as many times as they have aliases.
    pub views: Vec<ViewSpec>,
    /// The views of events, likewise. Each brings its history.
    pub windows: Vec<WindowView>,
    /// In which order they are asked for.
    pub order: Vec<Joins>,
    /// The label column with the times.
    pub time: String,
    /// The label column with the instants of knowledge; `None`: they are the times.
    pub known: Option<String>,
    /// Label columns that are read as values of these types once the join is done: that they hold such values is found
    /// out first of all.
    pub request: Vec<(String, ValueType)>,
    /// Whether statuses are asked for: then expired rows, rows that are too old and none are told apart.
    pub statuses: bool,
    /// Whether the event instants of the rows that were met are asked for.
    pub events: bool,
    /// How work is done. The answer does not depend on it.
    pub resources: Resources,
}

/// One of the views that are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joins {
    /// The view of values at this place.
    Values(usize),
    /// The view of events at this place.
    Windows(usize),
}

/// What a join may take.
#[derive(Debug, Clone)]
pub struct Resources {
    /// Memory.
    pub memory: Memory,
    /// Threads that work at a time.
    pub threads: usize,
    /// Where folders for what does not fit into memory are made.
    pub scratch: PathBuf,
}

/// One view, as one alias of a request sees it.
pub struct ViewSpec {
    /// Its place among the histories.
    pub history: usize,
    /// Its place among the views of that history.
    pub view: usize,
    /// Its place among the choices of keys.
    pub keys: usize,
    /// The rule by which a value is chosen.
    pub rule: Rule,
    /// All features of the view, in order of addition.
    pub features: Vec<Feature>,
    /// Places of the asked features, in the asked order.
    pub asked: Vec<usize>,
    /// The publication units of its rows.
    pub units: Arc<Units>,
    /// Whether answers are compared with what could have been served. Not for rows that nobody published.
    pub compares: bool,
}

impl JoinSpec {
    /// The most that a row of use may be older than a label's time, in microseconds: older ones are MISSING or, where
    /// nobody asks for statuses or expired values, null all the same.
    pub(crate) fn reach(&self, rule: &Rule) -> i64 {
        let ttl = rule.ttl.filter(|_| !self.tells_expired(rule));
        [ttl, rule.keep].into_iter().flatten().map(|most| most.micros()).min().unwrap_or(i64::MAX)
    }

    /// Whether expired rows are told from missing ones.
    pub fn tells_expired(&self, rule: &Rule) -> bool {
        rule.ttl.is_none() || self.statuses || self.events || rule.include_expired
    }
}

impl ViewSpec {
    /// Whether labels of times up to `known_max` (microseconds) could have been served other rows than those of the rule.
    pub(crate) fn needs_served(&self, known_max: i64) -> bool {
        let units = 0..self.units.len() as u32;
        let mut visible = units.map(|unit| self.units.facts(unit).visible.micros());
        self.compares && self.rule.known_at != KnownAt::Served && visible.any(|visible| visible <= known_max)
    }
}
