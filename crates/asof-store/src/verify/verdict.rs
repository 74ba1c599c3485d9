//! What was compared, and what came out differently.

use std::collections::BTreeSet;

use asof_model::{EncodedKey, ValueType, entry, key};
use serde::{Deserialize, Serialize};

use crate::answers::answered_bytes;
use crate::get::{Answered, OnlinePlan};
use crate::request::PlannedJoin;

/// Differences that a report shows; the rest is only counted.
pub const DIFFERENCES_SHOWN_MAX: usize = 10;

/// A value that came out differently.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Difference {
    /// The key, `name=value`.
    pub key: String,
    /// The feature.
    pub feature: String,
    /// What was served.
    pub served: String,
    /// What was computed.
    pub computed: String,
    /// By whom: "history" or "oracle".
    pub by: String,
}

/// Which values were compared, and which differ.
pub(super) struct Verdict<'a> {
    plan: &'a OnlinePlan,
    keys: &'a [EncodedKey],
    /// Entity row and column of each value that differs somewhere.
    pub differing: BTreeSet<(usize, usize)>,
    pub shown: Vec<Difference>,
}

impl<'a> Verdict<'a> {
    pub fn new(plan: &'a OnlinePlan, keys: &'a [EncodedKey]) -> Self {
        Self { plan, keys, differing: BTreeSet::new(), shown: Vec::new() }
    }

    pub fn values(&self) -> u64 {
        (self.keys.len() * self.plan.plan.columns.len()) as u64
    }

    pub fn compare(&mut self, served: &[Vec<Answered>], computed: &[Vec<Answered>], by: &'static str) {
        for (row, (served, computed)) in served.iter().zip(computed).enumerate() {
            for (place, (served, computed)) in served.iter().zip(computed).enumerate() {
                let column = &self.plan.plan.columns[place];
                let value_type = self.plan.plan.feature(column).value_type;
                if answered_bytes(value_type, served) == answered_bytes(value_type, computed) {
                    continue;
                }
                let join = column.stored().and_then(|(join, _)| self.plan.plan.joins.get(join));
                if self.differing.insert((row, place)) && self.shown.len() < DIFFERENCES_SHOWN_MAX {
                    self.shown.push(Difference {
                        key: join.map_or_else(String::new, |join| key_in_words(join, &self.keys[row])),
                        feature: column.name.clone(),
                        served: in_words(served),
                        computed: in_words(computed),
                        by: by.to_owned(),
                    });
                }
            }
        }
    }
}

/// An answered value for people.
pub(super) fn in_words(answered: &Answered) -> String {
    let value = answered.value.as_ref().map_or_else(|| "null".to_owned(), entry::to_text);
    let event = answered.event.map_or_else(String::new, |event| format!(" of {event}"));
    format!("{value} ({}){event}", answered.status)
}

/// A key for people: `name=value`, with blanks between the parts.
pub(super) fn key_in_words(join: &PlannedJoin, bytes: &[u8]) -> String {
    let types: Vec<ValueType> = join.keys.iter().map(|(key, _)| key.value_type).collect();
    let values = key::decode_key(&types, bytes).unwrap_or_default();
    let parts = join
        .keys
        .iter()
        .zip(&values)
        .map(|((key, _), value)| format!("{}={}", key.name, entry::to_text(value)));
    parts.collect::<Vec<_>>().join(" ")
}
