//! The first or the last values by the place of their events.

use std::cmp::Ordering;

use asof_model::{Value, canonical};

use super::{Fold, Input, write_text};
use crate::Place;

/// So many values, in order from the one that goes first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ranked {
    pub kept: Vec<(Place, Vec<u8>)>,
    most: usize,
    last: bool,
    distinct: bool,
}

impl Ranked {
    /// The first values, or the last. `distinct`: each value once, at the place that goes before its others.
    pub fn new(most: u32, last: bool, distinct: bool) -> Self {
        Self { kept: Vec::new(), most: most as usize, last, distinct }
    }

    fn order(&self, one: &(Place, Vec<u8>), other: &(Place, Vec<u8>)) -> Ordering {
        if self.last { other.cmp(one) } else { one.cmp(other) }
    }

    fn insert(&mut self, place: &Place, bits: &[u8]) {
        let one = (place.clone(), bits.to_vec());
        if self.distinct
            && let Some(known) = self.kept.iter().position(|kept| kept.1 == one.1)
        {
            if self.order(&one, &self.kept[known]) != Ordering::Less {
                return;
            }
            self.kept.remove(known);
        }
        let at = self.kept.partition_point(|kept| self.order(kept, &one) == Ordering::Less);
        // What so many others go before can never come up: they stay, or others go before it in their place.
        if at < self.most {
            self.kept.insert(at, one);
            self.kept.truncate(self.most);
        }
    }
}

impl Fold for Ranked {
    const SLIDES: bool = false;

    fn put(&mut self, value: &Value, at: &Place, _: i64) {
        self.insert(at, &canonical::bits(value));
    }

    fn merge(&mut self, other: &Self) {
        other.kept.iter().for_each(|(place, bits)| self.insert(place, bits));
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (place, bits) in &self.kept {
            place.write(out);
            write_text(out, bits);
        }
    }

    fn read(mut self, mut input: Input<'_>) -> Option<Self> {
        while !input.is_empty() {
            self.kept.push((input.place()?, input.text()?.to_owned()));
        }
        (self.kept.len() <= self.most).then_some(self)
    }

    fn size(&self) -> usize {
        let each = size_of::<(Place, Vec<u8>)>();
        self.kept.iter().map(|(place, bits)| each + place.id.len() + bits.capacity()).sum()
    }
}
