//! The greatest row seen so far, for each slot.
//!
//! A row that every later slot of its key may see is kept at the first of them, and carried forward in the end. A row that
//! was replaced is seen by a span of slots; such rows are kept at the nodes of a tree over all slots that make up the
//! span, of which there are few, and brought down to the slots in the end.

use std::cmp::Ordering;
use std::ops::Range;

use asof_model::KnownAt;

use super::labels::LabelIndex;

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

/// Where a candidate is kept: a slot or, behind all slots, a node of the tree.
pub type Place = usize;

/// The best candidate of each slot, under one rule of knowledge.
pub struct Candidates {
    /// What may hide a row from a slot's time.
    pub known_at: KnownAt,
    slots: usize,
    /// For each slot; then, where there are spans, for each node of the tree: node `i` covers nodes `2 i` and `2 i + 1`,
    /// and node `slots + slot` is that slot.
    best: Vec<Candidate>,
}

impl Candidates {
    /// No candidate in any slot. `spans`: whether rows may be offered to spans of slots.
    pub fn new(known_at: KnownAt, slots: usize, spans: bool) -> Self {
        let places = if spans { 3 * slots } else { slots };
        Self { known_at, slots, best: vec![NOBODY; places] }
    }

    /// The best candidate of a slot, after [`Candidates::carry_forward`].
    pub fn best(&self, slot: usize) -> Option<Candidate> {
        let best = self.best[slot];
        (best.address != NOWHERE).then_some(best)
    }

    /// Offers a row to a slot and all later ones of its key. True: it is the best there now. `tie` ranks two rows with
    /// equal instants by their bytes; of equal rows the one that is there stays.
    pub fn offer<E>(
        &mut self,
        place: Place,
        row: Candidate,
        tie: impl FnOnce(Address, Address) -> Result<Ordering, E>,
    ) -> Result<bool, E> {
        let best = &mut self.best[place];
        if greater(&row, best, tie)? {
            *best = row;
            return Ok(true);
        }
        Ok(false)
    }

    /// Offers a row to these slots and no others. `won` is told each place where it is the best now.
    pub fn offer_span<E>(
        &mut self,
        span: Range<usize>,
        row: Candidate,
        mut tie: impl FnMut(Address, Address) -> Result<Ordering, E>,
        mut won: impl FnMut(Place),
    ) -> Result<(), E> {
        let (mut low, mut high) = (span.start + self.slots, span.end + self.slots);
        while low < high {
            let mut nodes = [None, None];
            if low % 2 == 1 {
                nodes[0] = Some(low);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                nodes[1] = Some(high);
            }
            for node in nodes.into_iter().flatten() {
                let place = self.slots + node;
                if self.offer(place, row, &mut tie)? {
                    won(place);
                }
            }
            (low, high) = (low / 2, high / 2);
        }
        Ok(())
    }

    /// Carries the best of each key forward in time, and brings those of spans down to their slots.
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
        if self.best.len() > self.slots {
            for node in 1..self.slots {
                self.bring_down(self.slots + node, self.slots + 2 * node, &mut tie)?;
                self.bring_down(self.slots + node, self.slots + 2 * node + 1, &mut tie)?;
            }
            for slot in 0..self.slots {
                self.bring_down(2 * self.slots + slot, slot, &mut tie)?;
            }
            self.best.truncate(self.slots);
        }
        Ok(())
    }

    fn bring_down<E>(
        &mut self,
        from: Place,
        to: Place,
        tie: impl FnOnce(Address, Address) -> Result<Ordering, E>,
    ) -> Result<(), E> {
        let above = self.best[from];
        if above.address != NOWHERE && greater(&above, &self.best[to], tie)? {
            self.best[to] = above;
        }
        Ok(())
    }

    /// Every address in use.
    pub fn addresses_mut(&mut self) -> impl Iterator<Item = &mut Address> {
        self.best.iter_mut().map(|best| &mut best.address).filter(|address| **address != NOWHERE)
    }

    /// The address of a candidate, to move it.
    pub fn address_mut(&mut self, place: Place) -> &mut Address {
        &mut self.best[place].address
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
