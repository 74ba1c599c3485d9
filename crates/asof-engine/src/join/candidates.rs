//! The greatest row seen so far, for each slot.

use std::cmp::Ordering;

use asof_model::KnownAt;

use super::labels::{LabelIndex, Slot};

/// Where a candidate's columns are: a retained batch and a row in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The batch.
    pub batch: u32,
    /// The row in it.
    pub row: u32,
}

/// No candidate yet.
const NOWHERE: Address = Address { batch: u32::MAX, row: u32::MAX };

/// A candidate: the instants that rank it, and where the rest of it is.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Microseconds.
    pub event: i64,
    /// Microseconds.
    pub created: i64,
    /// Its columns.
    pub address: Address,
}

const NOBODY: Candidate = Candidate { event: i64::MIN, created: i64::MIN, address: NOWHERE };

/// The best candidate of each slot, under one rule of knowledge.
pub struct Candidates {
    /// What may hide a row from a slot's time.
    pub known_at: KnownAt,
    best: Vec<Candidate>,
}

impl Candidates {
    /// No candidate in any slot.
    pub fn new(known_at: KnownAt, slots: usize) -> Self {
        Self { known_at, best: vec![NOBODY; slots] }
    }

    /// The best candidate of a slot.
    pub fn best(&self, slot: Slot) -> Option<Candidate> {
        let best = self.best[slot as usize];
        (best.address != NOWHERE).then_some(best)
    }

    /// Offers a row to a slot. True: it is the best now. `tie` ranks two rows with equal instants by their bytes;
    /// of equal rows the one that is there stays.
    pub fn offer<E>(
        &mut self,
        slot: Slot,
        row: Candidate,
        tie: impl FnOnce(Address, Address) -> Result<Ordering, E>,
    ) -> Result<bool, E> {
        let best = &mut self.best[slot as usize];
        if greater(&row, best, tie)? {
            *best = row;
            return Ok(true);
        }
        Ok(false)
    }

    /// Carries the best of each key forward in time.
    pub fn carry_forward<E>(
        &mut self,
        labels: &LabelIndex,
        mut tie: impl FnMut(Address, Address) -> Result<Ordering, E>,
    ) -> Result<(), E> {
        for run in labels.runs() {
            for slot in run.skip(1) {
                // The first slot of a run has none before it; every later one does.
                let before = self.best[slot - 1];
                if before.address != NOWHERE && greater(&before, &self.best[slot], &mut tie)? {
                    self.best[slot] = before;
                }
            }
        }
        Ok(())
    }

    /// Every address in use.
    pub fn addresses_mut(&mut self) -> impl Iterator<Item = &mut Address> {
        self.best.iter_mut().map(|best| &mut best.address).filter(|address| **address != NOWHERE)
    }

    /// The address of a slot's candidate, to move it.
    pub fn address_mut(&mut self, slot: Slot) -> &mut Address {
        &mut self.best[slot as usize].address
    }
}

fn greater<E>(
    row: &Candidate,
    than: &Candidate,
    tie: impl FnOnce(Address, Address) -> Result<Ordering, E>,
) -> Result<bool, E> {
    if than.address == NOWHERE {
        return Ok(true);
    }
    match (row.event, row.created).cmp(&(than.event, than.created)) {
        Ordering::Greater => Ok(true),
        Ordering::Less => Ok(false),
        Ordering::Equal => Ok(tie(row.address, than.address)? == Ordering::Greater),
    }
}
