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

use super::shard::first;

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
    /// and node `slots + slot` is that slot. What is open is newer.
    best: Vec<Candidate>,
    /// For each key the slot where its last row fell, and what it holds. Empty where keys have chains.
    open: Vec<Open>,
    /// Rows that were equal in their instants to the best of a place when they came.
    ties: Vec<(Place, Candidate)>,
}

/// The slot where the last row of a key fell. The next one is likely to fall there too, and then this is all it touches:
/// one cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Open {
    /// Rows fall here that are seen from later than this on,
    after: i64,
    /// and not from later than this: the time of the slot. The greatest there is behind the last slot.
    time: i64,
    best: Candidate,
    /// The slot; `end` where rows fall behind the last one, or nothing is open.
    slot: u32,
    /// The slots of the key.
    start: u32,
    end: u32,
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

    /// Puts a greater row in the place of this one. Returns how the row compares with what was there.
    #[inline]
    fn meet(&mut self, row: Self) -> Ordering {
        let rank = match row.rank(self) {
            // Rows of the least instants there are tie with nobody.
            Ordering::Equal if self.address == NOWHERE => Ordering::Greater,
            rank => rank,
        };
        if rank == Ordering::Greater {
            *self = row;
        }
        rank
    }
}

impl Open {
    /// A slot of a key, or none where that is the end of its slots.
    fn at(times: &[i64], slot: u32, run: Range<u32>, best: Candidate) -> Self {
        let time = |slot: u32| times[slot as usize];
        Self {
            after: if slot > run.start { time(slot - 1) } else { i64::MIN },
            time: if slot < run.end { time(slot) } else { i64::MAX },
            best,
            slot,
            start: run.start,
            end: run.end,
        }
    }
}

impl Lane {
    /// Bytes for each slot.
    pub const SLOT_BYTES: u64 = size_of::<Candidate>() as u64;

    /// Bytes for each key.
    pub const KEY_BYTES: u64 = size_of::<Open>() as u64;

    /// No candidate in any slot. `times`: those of the slots; `runs`: the slots of each key, by its number; none where a key
    /// has several runs. `spans`: whether rows may be offered to spans of slots.
    pub fn new(times: &[i64], runs: &[Range<u32>], spans: bool) -> Self {
        let places = if spans { 3 * times.len() } else { times.len() };
        let open = runs.iter().map(|run| Open::at(times, run.start, run.clone(), NOBODY)).collect();
        Self { slots: times.len(), best: vec![NOBODY; places], open, ties: Vec::new() }
    }

    /// How many rows wait to be told apart.
    pub fn ties(&self) -> usize {
        self.ties.len()
    }

    /// Reads what offering rows of these keys begins with, for [`super::key_table::KeyTable::touch`]'s reason.
    #[inline]
    pub fn touch(&self, keys: impl Iterator<Item = u32>) {
        let read = |all: i64, key: u32| self.open.get(key as usize).map_or(all, |open| all ^ open.time);
        std::hint::black_box(keys.fold(0, read));
    }

    /// Reads what turning to another slot begins with, for rows of these keys that are seen from `from` on, where they fall
    /// behind what is open.
    #[inline]
    pub fn touch_next(&self, rows: impl Iterator<Item = (u32, i64)>, times: &[i64]) {
        let read = |all: i64, (key, from): (u32, i64)| match self.open.get(key as usize) {
            Some(open) if open.time < from => {
                let next = (open.slot + 1).min(self.slots as u32 - 1) as usize;
                all ^ times[next]
                    ^ self.best[next].event
                    ^ self.best[open.slot.min(next as u32) as usize].event
            }
            _ => all,
        };
        std::hint::black_box(rows.fold(0, read));
    }

    /// Offers a row of a key to its first slot that is not before `from`, and all later ones. `times`: those of the slots;
    /// `reach`: rows that are older than so much at the time of that slot are of no use. True: none there is greater, as
    /// far as instants tell.
    #[inline]
    pub fn offer(&mut self, key: u32, times: &[i64], from: i64, reach: i64, row: Candidate) -> bool {
        let open = &self.open[key as usize];
        if from <= open.after || from > open.time {
            self.turn(key, times, from);
        }
        let open = &mut self.open[key as usize];
        if open.slot == open.end || open.time.saturating_sub(row.event) > reach {
            return false;
        }
        let rank = open.best.meet(row);
        if rank == Ordering::Equal {
            self.ties.push((open.slot, row));
        }
        rank != Ordering::Less
    }

    /// Opens the first slot of a key that is not before `from`.
    #[cold]
    fn turn(&mut self, key: u32, times: &[i64], from: i64) {
        let open = &mut self.open[key as usize];
        if open.slot < open.end {
            self.best[open.slot as usize] = open.best;
        }
        let run = open.start..open.end;
        let slot = first(times, run.start, run.end, open.slot, from);
        let best = if slot < run.end { self.best[slot as usize] } else { NOBODY };
        *open = Open::at(times, slot, run, best);
    }

    /// Writes down what is open, and opens nothing.
    fn close(&mut self) {
        for open in &mut self.open {
            if open.slot < open.end {
                self.best[open.slot as usize] = open.best;
            }
            // No row falls here.
            (open.slot, open.after, open.time) = (open.end, i64::MAX, i64::MIN);
        }
    }

    /// Offers a row to a slot and all later ones of its run, where nothing is open. True: as [`Lane::offer`].
    pub fn offer_slot(&mut self, slot: u32, row: Candidate) -> bool {
        self.offer_at(slot as usize, row)
    }

    fn offer_at(&mut self, place: usize, row: Candidate) -> bool {
        let rank = self.best[place].meet(row);
        if rank == Ordering::Equal {
            self.ties.push((place as Place, row));
        }
        rank != Ordering::Less
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
        self.close();
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
