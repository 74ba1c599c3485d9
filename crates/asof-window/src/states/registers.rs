//! About how many different values there are, by [registers](crate::cardinality) of the BLAKE3 hash of canonical bits.

use std::collections::BTreeMap;

use asof_model::{Value, canonical};

use super::{Fold, Input};
use crate::Place;
use crate::cardinality::{self, RANK_MAX, REGISTERS};

/// The registers that are not 0: most keys have few.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Registers(BTreeMap<u16, u8>);

impl Registers {
    /// About how many different values there are.
    pub fn estimate(&self) -> u64 {
        cardinality::estimate(self.0.values().copied())
    }

    /// The register of a value, and what it holds at least then.
    pub fn place(value: &Value) -> (u16, u8) {
        let hash = blake3::hash(&canonical::bits(value));
        let hash = hash.as_bytes().iter().take(8).fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
        let (register, rank) = cardinality::place(hash);
        (register as u16, rank)
    }

    fn raise(&mut self, register: u16, rank: u8) {
        let known = self.0.entry(register).or_insert(0);
        *known = (*known).max(rank);
    }
}

impl Fold for Registers {
    const SLIDES: bool = false;

    fn put(&mut self, value: &Value, _: &Place, _: i64) {
        let (register, rank) = Self::place(value);
        self.raise(register, rank);
    }

    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(register, rank)| self.raise(*register, *rank));
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (register, rank) in &self.0 {
            out.extend_from_slice(&register.to_le_bytes());
            out.push(*rank);
        }
    }

    fn read(mut self, mut input: Input<'_>) -> Option<Self> {
        while !input.is_empty() {
            let (register, [rank]) = (u16::from_le_bytes(input.array()?), input.array()?);
            if usize::from(register) >= REGISTERS || !(1..=RANK_MAX).contains(&rank) {
                return None;
            }
            self.0.insert(register, rank);
        }
        Some(self)
    }

    fn size(&self) -> usize {
        // What a tree takes for each.
        self.0.len() * 6
    }
}
