//! How the rows of one unit change what is stored under one key: a pure function (SEMANTICS 3 and 8).
//!
//! The result depends on the set of rows, not on their order. A row is dropped only when a row in force at the
//! stamp beats it; an identical row keeps its first visible and position.

use std::cmp::{Ordering, Reverse};

use asof_model::{Duration, Instant};

use crate::entry::StoredRow;
use crate::error::OnlineError;
use crate::layout::RowLayout;

/// A row of the unit for this key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldRow {
    /// When the fact became true.
    pub event: Instant,
    /// When its source says it was known.
    pub created: Instant,
    /// Its features, by [`RowLayout::encode`].
    pub row: Vec<u8>,
}

/// The unit that brings the rows.
#[derive(Debug, Clone, Copy)]
pub struct FoldUnit<'a> {
    /// Its stamp, not before any stamp in the entry.
    pub visible: Instant,
    /// The position it reflects.
    pub position: u64,
    /// All features that any row of the key has.
    pub layout: &'a RowLayout,
    /// Whether the source names a created column.
    pub created_declared: bool,
}

/// What a fold made of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The rows now, best first: those that wait, then the one in force.
    pub rows: Vec<StoredRow>,
    /// Whether they differ from before.
    pub changed: bool,
    /// Incoming rows that are in force or wait now.
    pub added: u64,
    /// Incoming rows identical to one that was there, or to another incoming one.
    pub repeated: u64,
    /// Incoming rows smaller than the row in force.
    pub beaten: u64,
    /// New rows that share (event, created) with another row whose bytes differ, neither extending the other. One
    /// for each row past the first of such a group. 0 where the source names a created column.
    pub conflicts: u64,
    /// Rows not yet in force at the stamp.
    pub waiting: u64,
}

impl Folded {
    /// Takes out the row in force at `visible`, which came with the unit, if it is older than `active_within` then:
    /// its key is not active, and history answers for it. Rows that wait stay: they will be newer.
    ///
    /// Only for keys without a row in force before: where one is, a greater one has to follow it. What is left to
    /// history is then never greater than what a later unit puts here: that one is active at a later stamp.
    pub fn leave_inactive(&mut self, active_within: Option<Duration>, visible: Instant) -> bool {
        let Some(active_within) = active_within else { return false };
        let old = |row: &StoredRow| {
            row.in_force() <= visible && row.visible == visible && row.event < visible.minus(active_within)
        };
        let inactive = self.rows.last().is_some_and(old);
        if inactive {
            self.rows.pop();
            self.added -= 1;
        }
        inactive
    }
}

/// Folds the incoming rows into the entry at the unit's stamp.
///
/// Let M be the greatest row with `max(event, created, visible)` not after the stamp: rows smaller than M are
/// dropped, all others stay.
///
/// # Errors
/// [`OnlineError::Damaged`] or [`OnlineError::RowNewer`] where rows tie in (event, created) and can't be compared.
pub fn fold(
    entry: Vec<StoredRow>,
    incoming: Vec<FoldRow>,
    unit: FoldUnit<'_>,
) -> Result<Folded, OnlineError> {
    let (before, given) = (entry.len(), incoming.len());
    let mut candidates: Vec<Candidate> = entry.into_iter().map(Candidate::old).collect();
    candidates.extend(incoming.into_iter().map(|row| Candidate::new(row, unit)));
    let (mut ranked, conflicts) = rank(candidates, unit.layout)?;

    let kept = ranked.len();
    let in_force = ranked.iter().position(|each| each.stored.in_force() <= unit.visible);
    let beaten = match in_force {
        Some(index) => ranked.drain(index + 1..).filter(|each| each.new).count(),
        None => 0,
    };
    let added = ranked.iter().filter(|each| each.new).count();
    Ok(Folded {
        changed: added > 0 || ranked.len() != before,
        added: added as u64,
        repeated: (given - added - beaten) as u64,
        beaten: beaten as u64,
        conflicts: if unit.created_declared { 0 } else { conflicts },
        waiting: in_force.unwrap_or(kept) as u64,
        rows: ranked.into_iter().map(|each| each.stored).collect(),
    })
}

/// The rows of one key that a store keeps at the instant `at`, best first: the greatest in force, and every greater one.
/// Of identical rows the one that was visible first. `kept` came of an earlier call with the same instant. With them the
/// number of rows of `more` in conflict, as [`Folded::conflicts`].
///
/// # Errors
/// As [`fold`].
pub fn standing(
    kept: Vec<StoredRow>,
    more: Vec<StoredRow>,
    at: Instant,
    layout: &RowLayout,
) -> Result<(Vec<StoredRow>, u64), OnlineError> {
    let mut candidates: Vec<Candidate> = kept.into_iter().map(Candidate::old).collect();
    candidates.extend(more.into_iter().map(|stored| Candidate { stored, new: true }));
    let (mut ranked, conflicts) = rank(candidates, layout)?;
    if let Some(in_force) = ranked.iter().position(|each| each.stored.in_force() <= at) {
        ranked.truncate(in_force + 1);
    }
    Ok((ranked.into_iter().map(|each| each.stored).collect(), conflicts))
}

/// The distinct rows, best first, and the number of conflicts.
fn rank(mut candidates: Vec<Candidate>, layout: &RowLayout) -> Result<(Vec<Candidate>, u64), OnlineError> {
    candidates.sort_by_key(|each| Reverse((each.stored.event, each.stored.created)));
    let mut conflicts = 0;
    let mut ranked = Vec::with_capacity(candidates.len());
    let mut candidates = candidates.into_iter().peekable();
    while let Some(first) = candidates.next() {
        let instants = first.instants();
        let mut group = vec![first];
        while let Some(tie) = candidates.next_if(|each| each.instants() == instants) {
            group.push(tie);
        }
        ranked.extend(rank_ties(group, layout, &mut conflicts)?);
    }
    Ok((ranked, conflicts))
}

struct Candidate {
    stored: StoredRow,
    new: bool,
}

impl Candidate {
    fn old(stored: StoredRow) -> Self {
        Self { stored, new: false }
    }

    fn new(row: FoldRow, unit: FoldUnit<'_>) -> Self {
        let FoldRow { event, created, row } = row;
        Self {
            stored: StoredRow { event, created, visible: unit.visible, position: unit.position, row },
            new: true,
        }
    }

    fn instants(&self) -> (Instant, Instant) {
        (self.stored.event, self.stored.created)
    }
}

/// The distinct rows of a group that shares (event, created), best first; of identical ones the first stored.
/// Adds the group's conflicts.
fn rank_ties(
    group: Vec<Candidate>,
    layout: &RowLayout,
    conflicts: &mut u64,
) -> Result<Vec<Candidate>, OnlineError> {
    if group.len() == 1 {
        return Ok(group);
    }
    let mut ties = Vec::with_capacity(group.len());
    for each in group {
        ties.push((layout.canonical(&each.stored.row)?, each));
    }
    // Ascending, and of identical rows the one that was there first, so that it is the one that stays.
    let age = |each: &Candidate| (each.stored.visible, each.new);
    ties.sort_by(|(a, x), (b, y)| a.cmp(b).then(age(x).cmp(&age(y))));
    ties.dedup_by(|(later, _), (first, _)| later.cmp(&first) == Ordering::Equal);
    *conflicts += count_conflicts(&ties);
    Ok(ties.into_iter().rev().map(|(_, each)| each).collect())
}

/// How many new rows disagree with a stored row or with a smaller new one, beyond extending it.
///
/// In ascending canonical bytes this takes one pass. All smaller rows are beginnings of a row if the one before it
/// is, and all before that one are of it. A row is a beginning of all greater rows if it is of the greatest, for
/// whatever sorts between a text and its extension extends it too.
fn count_conflicts(ascending: &[(Vec<u8>, Candidate)]) -> u64 {
    let greatest_stored = ascending.iter().rposition(|(_, each)| !each.new);
    let (mut count, mut one_line) = (0, true);
    for (index, (bytes, each)) in ascending.iter().enumerate() {
        if index > 0 {
            one_line &= bytes.starts_with(&ascending[index - 1].0);
        }
        let begins_stored = match greatest_stored {
            Some(greatest) if greatest > index => ascending[greatest].0.starts_with(bytes),
            _ => true,
        };
        if each.new && !(one_line && begins_stored) {
            count += 1;
        }
    }
    count
}
