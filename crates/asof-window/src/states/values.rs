//! Which values there are, and how often.

use std::collections::BTreeMap;

use asof_model::{Value, canonical};

use super::{Fold, Input, write_text};
use crate::Place;

/// What an entry of a map costs beside its bytes, about.
pub(crate) const ENTRY_BYTES: usize = 48;

/// Canonical bits to how often they are there.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Values(pub BTreeMap<Vec<u8>, i64>);

impl Fold for Values {
    const SLIDES: bool = true;

    fn put(&mut self, value: &Value, _: &Place, times: i64) {
        let bits = canonical::bits(value);
        match self.0.get_mut(&bits) {
            // Equal states have equal bytes, also where something was taken away.
            Some(count) if *count + times == 0 => drop(self.0.remove(&bits)),
            Some(count) => *count += times,
            None => drop(self.0.insert(bits, times)),
        }
    }

    fn merge(&mut self, other: &Self) {
        for (bits, count) in &other.0 {
            *self.0.entry(bits.clone()).or_insert(0) += count;
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (bits, count) in &self.0 {
            out.extend_from_slice(&count.to_le_bytes());
            write_text(out, bits);
        }
    }

    fn read(mut self, mut input: Input<'_>) -> Option<Self> {
        while !input.is_empty() {
            let count = input.count()?;
            self.0.insert(input.text()?.to_owned(), count);
        }
        Some(self)
    }

    fn size(&self) -> usize {
        self.0.len() * ENTRY_BYTES + self.0.keys().map(Vec::capacity).sum::<usize>()
    }
}
