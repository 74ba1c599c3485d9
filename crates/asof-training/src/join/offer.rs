//! Offers rows to the slots of a shard, many at a time: memory is asked for what all of them touch before the first needs it.

use asof_model::KnownAt;

use super::keys::{KeyForm, hash_number};
use super::lane::{Address, Candidate};
use super::shard::{Seen, Shard};
use super::stage::{StagedRow, StagedRows};
use super::units::Units;

/// Rows that are looked up together: so many waits for memory are under way at a time.
const LOOKED_UP: usize = 64;

/// How rows are offered in one lane.
#[derive(Debug, Clone)]
pub(crate) struct LaneUse {
    /// Its place among the lanes of each shard.
    pub lane: usize,
    /// What may hide a row.
    pub known_at: KnownAt,
    /// Rows that are older than so much at a label's time, in microseconds, are of no use.
    pub reach: i64,
}

/// How rows of a view are offered.
pub(crate) struct Offer<'a> {
    pub form: KeyForm,
    pub lanes: &'a [LaneUse],
    pub units: &'a Units,
}

/// The address of a row of a piece.
pub(crate) fn address(piece: usize, row: u32) -> Address {
    (piece as u64) << 32 | u64::from(row)
}

impl Offer<'_> {
    /// Offers rows of a piece. Returns how many have a key that a label has. `taken` is told, by their numbers, which rows
    /// may be the greatest for some label.
    pub fn rows(
        &self,
        shard: &mut Shard,
        rows: StagedRows<'_>,
        piece: usize,
        mut taken: Option<&mut [bool]>,
    ) -> u64 {
        let mut known = 0;
        for (number, some) in rows.rows.chunks(LOOKED_UP).enumerate() {
            let keys = |place: usize| rows.keys.at(number * LOOKED_UP + place);
            let found = self.find(shard, some, keys);
            for lane in self.lanes {
                let falling = found.iter().zip(some).filter_map(|(key, row)| Some(((*key)?, row.event)));
                shard.lanes[lane.lane].touch(found.iter().copied().flatten());
                shard.touch_next(lane.lane, falling);
            }
            for (key, row) in found.iter().zip(some) {
                let Some(key) = key else { continue };
                known += 1;
                if self.one(shard, *key, row, piece)
                    && let Some(taken) = taken.as_deref_mut()
                {
                    taken[row.row as usize] = true;
                }
            }
        }
        known
    }

    #[inline]
    fn find<'k>(
        &self,
        shard: &Shard,
        some: &[StagedRow],
        bytes: impl Fn(usize) -> &'k [u8],
    ) -> [Option<u32>; LOOKED_UP] {
        let mut found = [None; LOOKED_UP];
        match self.form {
            KeyForm::Number => {
                shard.keys.touch(some.iter().map(|row| hash_number(row.key as i64)));
                for (found, row) in found.iter_mut().zip(some) {
                    *found = shard.keys.find_number(hash_number(row.key as i64), row.key as i64);
                }
            }
            KeyForm::Bytes => {
                shard.keys.touch(some.iter().map(|row| row.key));
                for (place, (found, row)) in found.iter_mut().zip(some).enumerate() {
                    *found = shard.keys.find_bytes(row.key, bytes(place));
                }
            }
        }
        found
    }

    #[inline]
    fn one(&self, shard: &mut Shard, key: u32, row: &StagedRow, piece: usize) -> bool {
        let StagedRow { event, created, row, unit, .. } = *row;
        let candidate = Candidate { event, created, address: address(piece, row) };
        let facts = self.units.facts(unit);
        let mut taken = false;
        for lane in self.lanes {
            if let Some(seen) = Seen::of(lane.known_at, event, created, facts) {
                taken |= shard.offer(key, lane.lane, seen, lane.reach, candidate);
            }
        }
        taken
    }
}
