//! Small random worlds: one view, its history, and the labels that ask for it.
//!
//! Few keys and few instants, so that ties, repeats and edges are the rule rather than the exception. A world is plain
//! data; [`World::answer`] says what is right in it, by the oracle.

mod strategy;

use asof_model::key::encode_key;
use asof_model::knowledge::{KnownAt, Rule};
use asof_model::{Cell, Duration, EncodedKey, Instant, Value, ValueType};
use asof_oracle::{OracleAnswer, OracleFeature, OracleRow, as_of};

pub use strategy::{Shape, small_world};

/// One view with its history and labels.
#[derive(Debug, Clone)]
pub struct World {
    /// The types of the join keys, named `key0`, `key1`. None: a view without entities.
    pub key_types: Vec<ValueType>,
    /// The features in order of addition, named `feature0` and so on.
    pub features: Vec<WorldFeature>,
    /// The view's ttl.
    pub ttl: Option<Duration>,
    /// The view's keep.
    pub keep: Option<Duration>,
    /// The publication units, in the order of their visible instants, which all differ.
    pub units: Vec<Unit>,
    /// The rows in order of arrival within each unit; units are mixed.
    pub rows: Vec<WorldRow>,
    /// What is asked.
    pub labels: Vec<WorldLabel>,
}

/// One feature.
#[derive(Debug, Clone)]
pub struct WorldFeature {
    /// Its type.
    pub value_type: ValueType,
    /// Its default.
    pub default: Option<Value>,
}

/// Rows that became visible together.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// When.
    pub visible: Instant,
    /// How many features the view had then: the rows hold the first so many. Never fewer than in the unit before.
    pub features_held: usize,
    /// The range of events, from and until, that it takes away from all units before and whose rows it brings anew.
    /// `None`: it adds its rows.
    pub replaces: Option<(Instant, Instant)>,
}

/// One row.
#[derive(Debug, Clone)]
pub struct WorldRow {
    /// One value for each join key.
    pub key: Vec<Value>,
    /// When the fact became true.
    pub event: Instant,
    /// When its source says that it was known: before, at or after the event.
    pub created: Instant,
    /// Its place in [`World::units`].
    pub unit: usize,
    /// What it holds: as many cells as the unit holds features.
    pub cells: Vec<Cell>,
}

/// One question.
#[derive(Debug, Clone)]
pub struct WorldLabel {
    /// One for each join key; `None` is null.
    pub key: Vec<Option<Value>>,
    /// The instant asked for.
    pub t: Instant,
}

impl World {
    /// The world of that seed: the same on every machine, for as long as the generator is not changed.
    pub fn from_seed(seed: u64, shape: Shape) -> Self {
        strategy::from_seed(seed, shape)
    }

    /// The types of the features, in order of addition.
    pub fn types(&self) -> Vec<ValueType> {
        self.features.iter().map(|feature| feature.value_type).collect()
    }

    /// The view's rule.
    pub fn rule(&self, known_at: KnownAt, include_expired: bool) -> Rule {
        Rule { known_at, ttl: self.ttl, keep: self.keep, include_expired }
    }

    /// The history as the oracle reads it.
    pub fn oracle_rows(&self) -> Vec<OracleRow> {
        self.rows
            .iter()
            .map(|row| OracleRow {
                key: encode_key(&row.key),
                event: row.event,
                created: row.created,
                visible: self.units[row.unit].visible,
                replaced: self.replaced_at(row),
                cells: row.cells.clone(),
            })
            .collect()
    }

    /// When the row's range was replaced first, by a unit behind its own.
    pub fn replaced_at(&self, row: &WorldRow) -> Option<Instant> {
        let later = self.units.iter().skip(row.unit + 1);
        let replacing =
            |unit: &&Unit| unit.replaces.is_some_and(|(from, until)| from <= row.event && row.event < until);
        later.filter(replacing).map(|unit| unit.visible).min()
    }

    /// Every feature, in order of addition.
    pub fn oracle_features(&self) -> Vec<OracleFeature> {
        self.features
            .iter()
            .enumerate()
            .map(|(index, feature)| OracleFeature {
                index,
                value_type: feature.value_type,
                default: feature.default.clone(),
            })
            .collect()
    }

    /// What is right for a label: every feature, in order of addition.
    pub fn answer(&self, label: &WorldLabel, known_at: KnownAt, include_expired: bool) -> OracleAnswer {
        as_of(
            &self.oracle_rows(),
            &self.types(),
            label.encoded_key().as_ref(),
            label.t,
            &self.rule(known_at, include_expired),
            &self.oracle_features(),
        )
    }
}

impl WorldLabel {
    /// The key asked for. `None` where a part of it is null.
    pub fn encoded_key(&self) -> Option<EncodedKey> {
        let parts: Option<Vec<Value>> = self.key.iter().cloned().collect();
        parts.map(|parts| encode_key(&parts))
    }
}
