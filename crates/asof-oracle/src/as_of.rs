//! One question, one scan: [`as_of`].

use asof_model::canonical::row_bytes;
use asof_model::knowledge::{KnownAt, Rule};
use asof_model::{Cell, Duration, EncodedKey, Instant, Status, Value, ValueType};

/// One row of a view's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OracleRow {
    /// Its entity key, encoded. Empty for a view without entities.
    pub key: EncodedKey,
    /// When the fact became true.
    pub event: Instant,
    /// When its source says that it was known.
    pub created: Instant,
    /// When this store published it: the instant of its unit. Rows of units that have none yet are not given.
    pub visible: Instant,
    /// When the range of events that it lies in was replaced: when the commit without it became visible. `None`: it
    /// stands. Of several the first.
    pub replaced: Option<Instant>,
    /// What it holds, in order of addition of the features. Shorter than the features where it is older than some.
    pub cells: Vec<Cell>,
}

/// One feature that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OracleFeature {
    /// Its place in order of addition, from 0: the place of its cell in a row.
    pub index: usize,
    /// Its type.
    pub value_type: ValueType,
    /// What replaces the value in every state but PRESENT.
    pub default: Option<Value>,
}

/// The answer for one feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OracleValue {
    /// The value, or null. Never [`Cell::Error`]: an error has no value, its status says what it is.
    pub cell: Cell,
    /// Why it is what it is.
    pub status: Status,
}

/// The answer for one key and one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OracleAnswer {
    /// One for each feature asked for, in that order.
    pub values: Vec<OracleValue>,
    /// The event instant of the row met, also when it has expired. `None` where no row was met.
    pub event: Option<Instant>,
}

/// Answers `f(view, key, t)`.
///
/// - `rows`: the view's rows of every key, in any order; equal rows may repeat
/// - `types`: the types of all the view's features, in order of addition
/// - `key`: `None` where a join key of the label is null; it meets no row
/// - returns one value and one status for each of `features`, in their order
///
/// A row counts when `event <= t`; under `created` also `created <= t`, under `served` also `created <= t` and
/// `visible <= t`. A row that was replaced counts under `served` alone, and there for `t` before its replacement. The
/// greatest `(event, created, canonical bytes)` wins and is taken whole, nulls included.
///
/// Past `keep` (`t - event > keep`) every feature is MISSING. A feature newer than the row is MISSING, whatever the
/// row's age. Past `ttl` (`t - event > ttl`) the rest is OUTSIDE_TTL, which outranks NULL and ERROR, and its value is
/// null; under `include_expired` it is what the row holds. A default replaces the value in every state but PRESENT,
/// and the status stays; only `include_expired` beats it, and only where the status is OUTSIDE_TTL.
///
/// # Source
/// SEMANTICS 1 (who may see a row), 3 (which row, ttl, keep), 4 (a replaced range), 6 (statuses and defaults), 9 (a newer feature).
pub fn as_of(
    rows: &[OracleRow],
    types: &[ValueType],
    key: Option<&EncodedKey>,
    t: Instant,
    rule: &Rule,
    features: &[OracleFeature],
) -> OracleAnswer {
    as_of_known(rows, types, key, t, t, rule, features)
}

/// Answers `f(view, key, t)` with what was known at another instant than `t`: [`as_of`], but `created <= known`, `visible <=
/// known`, and replaced only after `known`.
pub fn as_of_known(
    rows: &[OracleRow],
    types: &[ValueType],
    key: Option<&EncodedKey>,
    t: Instant,
    known: Instant,
    rule: &Rule,
    features: &[OracleFeature],
) -> OracleAnswer {
    let greatest = rows
        .iter()
        .filter(|row| Some(&row.key) == key)
        .filter(|row| may_see(t, known, row, rule.known_at))
        .max_by_key(|row| (row.event, row.created, row_bytes(types, &row.cells)));

    // `keep` is applied to the winner: a younger row would have won, so an older one is past `keep` as well.
    let met = greatest.filter(|row| !is_past(rule.keep, t, row.event));

    OracleAnswer {
        values: features.iter().map(|feature| value_of(feature, met, t, rule)).collect(),
        event: met.map(|row| row.event),
    }
}

/// Whether `t` may see the row, with what was known at `known`.
fn may_see(t: Instant, known: Instant, row: &OracleRow, known_at: KnownAt) -> bool {
    match known_at {
        KnownAt::Event => row.event <= t && row.replaced.is_none(),
        KnownAt::Created => row.event <= t && row.created <= known && row.replaced.is_none(),
        KnownAt::Served => {
            let stands = row.replaced.is_none_or(|replaced| known < replaced);
            row.event <= t && row.created <= known && row.visible <= known && stands
        }
    }
}

/// Whether `event` lies more than `limit` before `t`. Exactly `limit` does not; no limit is never passed.
fn is_past(limit: Option<Duration>, t: Instant, event: Instant) -> bool {
    match limit {
        None => false,
        Some(limit) => t.since(event) > limit,
    }
}

fn value_of(feature: &OracleFeature, met: Option<&OracleRow>, t: Instant, rule: &Rule) -> OracleValue {
    // `held` is what the row holds for the feature; none without a row, or in a row older than the feature.
    let held = met.and_then(|row| row.cells.get(feature.index));
    let expired = met.is_some_and(|row| is_past(rule.ttl, t, row.event));

    let status = match held {
        None => Status::Missing,
        Some(_) if expired => Status::OutsideTtl,
        Some(Cell::Error) => Status::Error,
        Some(Cell::Null) => Status::Null,
        Some(Cell::Value(_)) => Status::Present,
    };

    let takes_what_the_row_holds =
        status == Status::Present || (status == Status::OutsideTtl && rule.include_expired);
    let value =
        if takes_what_the_row_holds { held.and_then(Cell::value).cloned() } else { feature.default.clone() };

    OracleValue { cell: value.map_or(Cell::Null, Cell::Value), status }
}

#[cfg(test)]
mod tests;
