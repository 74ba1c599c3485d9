//! The greatest row seen so far, for each slot of a shard, under one rule of knowledge.
//!
//! A row that every later slot of its key may see is kept at the first of them, and carried forward in the end. A row that
//! was replaced is seen by a span of slots; such rows are kept at the nodes of a tree over all slots that make up the
//! span, of which there are few, and brought down to the slots in the end.
//!
//! Rows are ranked by event and created instant here. Rows that are equal in both are all remembered, and whoever has the
//! rest of their columns tells which is the greatest: [`super::ties`].

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;

/// Where a row stands: the number of its piece in the upper half, its row in the piece in the lower.
pub(crate) type Address = u64;

/// The address of no row.
pub(crate) const NOWHERE: Address = u64::MAX;

/// A row, with the instants that rank it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Microseconds.
    pub event: i64,
    /// Microseconds.
    pub created: i64,
    pub address: Address,
}

/// No row.
pub(crate) const NOBODY: Candidate = Candidate { event: i64::MIN, created: i64::MIN, address: NOWHERE };

/// Where a candidate is kept: a slot or, behind all slots, a node of the tree.
type Place = u32;

/// The best candidate of each slot.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    slots: usize,
    /// For each slot; then, where there are spans, for each node of the tree: node `i` covers nodes `2 i` and `2 i + 1`,
    /// and node `slots + slot` is that slot.
    best: Vec<Candidate>,
    /// Rows that were equal in their instants to the best of a place when they came.
    ties: Vec<(Place, Candidate)>,
}

/// What a slot holds in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    Row(Candidate),
    /// One of several rows with these instants: a place among the sets of [`Finished`].
    Tied {
        event: i64,
        set: u32,
    },
}

/// A lane at its end.
pub(crate) struct Finished {
    /// For each slot.
    pub held: Vec<Held>,
    /// Rows of which one is the greatest.
    pub sets: Vec<Vec<Address>>,
}

impl Candidate {
    fn rank(&self, other: &Self) -> Ordering {
        (self.event, self.created).cmp(&(other.event, other.created))
    }
}

impl Lane {
    /// Bytes for each slot.
    pub const SLOT_BYTES: usize = size_of::<Candidate>();

    /// No candidate in any slot. `spans`: whether rows may be offered to spans of slots.
    pub fn new(slots: usize, spans: bool) -> Self {
        let places = if spans { 3 * slots } else { slots };
        Self { slots, best: vec![NOBODY; places], ties: Vec::new() }
    }

    /// How many rows wait to be told apart.
    pub fn ties(&self) -> usize {
        self.ties.len()
    }

    /// Offers a row to a slot and all later ones of its key. True: none there is greater, as far as instants tell.
    #[inline]
    pub fn offer(&mut self, slot: u32, row: Candidate) -> bool {
        self.offer_at(slot as usize, row)
    }

    #[inline]
    fn offer_at(&mut self, place: usize, row: Candidate) -> bool {
        let best = &mut self.best[place];
        match row.rank(best) {
            Ordering::Greater => *best = row,
            Ordering::Less => return false,
            // Rows of the least instants there are tie with nobody.
            Ordering::Equal if best.address == NOWHERE => *best = row,
            Ordering::Equal => self.ties.push((place as Place, row)),
        }
        true
    }

    /// Offers a row to these slots and no others. True: in some of them none is greater.
    pub fn offer_span(&mut self, span: Range<u32>, row: Candidate) -> bool {
        let mut taken = false;
        let (mut low, mut high) = (span.start as usize + self.slots, span.end as usize + self.slots);
        while low < high {
            if low % 2 == 1 {
                taken |= self.offer_at(self.slots + low, row);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                taken |= self.offer_at(self.slots + high, row);
            }
            (low, high) = (low / 2, high / 2);
        }
        taken
    }

    /// Forgets rows that a greater one has beaten since. Returns how many are left.
    pub fn drop_beaten_ties(&mut self) -> usize {
        let best = &self.best;
        self.ties.retain(|(place, row)| row.rank(&best[*place as usize]) == Ordering::Equal);
        self.ties.len()
    }

    /// The places with several rows of equal instants, each with all of these. They are forgotten: one of them is to be
    /// put back by [`Lane::settle`].
    pub fn take_ties(&mut self) -> Vec<(u32, Vec<Address>)> {
        self.drop_beaten_ties();
        let mut sets: HashMap<Place, Vec<Address>> = HashMap::new();
        for (place, row) in self.ties.drain(..) {
            let best = self.best[place as usize].address;
            sets.entry(place).or_insert_with(|| vec![best]).push(row.address);
        }
        sets.into_iter().collect()
    }

    /// Makes a row the best of a place whose best has its instants.
    pub fn settle(&mut self, place: u32, address: Address) {
        self.best[place as usize].address = address;
    }

    /// Carries the best of each run of slots forward in time, and brings those of spans down to their slots. `runs` are
    /// the slots of each key, in ascending order of what rows are hidden by.
    pub fn finish(mut self, runs: impl Iterator<Item = Range<u32>>) -> Finished {
        let tied = self.take_ties();
        let mut sets = Sets::default();
        let mut held: Vec<Held> = self.best.iter().map(|best| Held::of(*best)).collect();
        let places = self.best.len();
        let mut created: Vec<i64> = self.best.iter().map(|best| best.created).collect();
        drop(self.best);
        for (place, addresses) in tied {
            held[place as usize] =
                Held::Tied { event: held[place as usize].event(), set: sets.add(addresses) };
        }
        let mut meet = |from: usize, to: usize| {
            let rank = (held[from].event(), created[from]).cmp(&(held[to].event(), created[to]));
            match (held[from], held[to]) {
                (Held::Nothing, _) => {}
                (above, Held::Nothing) => (held[to], created[to]) = (above, created[from]),
                (above, here) => match rank {
                    Ordering::Greater => (held[to], created[to]) = (above, created[from]),
                    Ordering::Equal => held[to] = sets.union(above, here),
                    Ordering::Less => {}
                },
            }
        };
        for run in runs {
            for slot in run.skip(1) {
                // The first slot of a run has none before it; every later one does.
                meet(slot as usize - 1, slot as usize);
            }
        }
        if places > self.slots {
            for node in 1..self.slots {
                meet(self.slots + node, self.slots + 2 * node);
                meet(self.slots + node, self.slots + 2 * node + 1);
            }
            for slot in 0..self.slots {
                meet(2 * self.slots + slot, slot);
            }
        }
        held.truncate(self.slots);
        Finished { held, sets: sets.all }
    }
}

impl Held {
    fn of(best: Candidate) -> Self {
        if best.address == NOWHERE { Self::Nothing } else { Self::Row(best) }
    }

    /// The event instant, microseconds; the least there is for nothing.
    pub fn event(self) -> i64 {
        match self {
            Self::Nothing => i64::MIN,
            Self::Row(row) => row.event,
            Self::Tied { event, .. } => event,
        }
    }
}

/// Sets of rows with equal instants; a set that is met again with nothing new is not made again.
#[derive(Default)]
struct Sets {
    all: Vec<Vec<Address>>,
}

impl Sets {
    fn add(&mut self, addresses: Vec<Address>) -> u32 {
        self.all.push(addresses);
        self.all.len() as u32 - 1
    }

    /// One of two parts with equal instants.
    fn union(&mut self, one: Held, other: Held) -> Held {
        if one == other {
            return one;
        }
        let mut addresses = self.addresses(one);
        addresses.extend(self.addresses(other));
        addresses.sort_unstable();
        addresses.dedup();
        match (addresses.as_slice(), other) {
            ([_], Held::Row(row)) => Held::Row(row),
            _ => Held::Tied { event: other.event(), set: self.add(addresses) },
        }
    }

    fn addresses(&self, held: Held) -> Vec<Address> {
        match held {
            Held::Nothing => Vec::new(),
            Held::Row(row) => vec![row.address],
            Held::Tied { set, .. } => self.all[set as usize].clone(),
        }
    }
}
