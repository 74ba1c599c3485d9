//! The greatest or the least values.

use std::cmp::Ordering;

use asof_model::{Value, ValueType, canonical};

use super::{Fold, Input, write_text};
use crate::Place;
use asof_model::order::compare;

/// So many values, the one that goes first at the front; equal ones as often as they come. NaN is none of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Extremes {
    pub kept: Vec<Value>,
    most: usize,
    greatest: bool,
    of: ValueType,
}

impl Extremes {
    /// The greatest values of a type, or the least.
    pub fn new(most: u32, greatest: bool, of: ValueType) -> Self {
        Self { kept: Vec::new(), most: most as usize, greatest, of }
    }

    fn insert(&mut self, value: &Value) {
        let before = |kept: &Value| {
            let order = compare(kept, value);
            if self.greatest { order != Ordering::Less } else { order != Ordering::Greater }
        };
        let at = self.kept.partition_point(before);
        if at < self.most {
            self.kept.insert(at, value.clone());
            self.kept.truncate(self.most);
        }
    }
}

impl Fold for Extremes {
    const SLIDES: bool = false;

    fn put(&mut self, value: &Value, _: &Place, _: i64) {
        if !value.is_nan() {
            self.insert(value);
        }
    }

    fn merge(&mut self, other: &Self) {
        other.kept.iter().for_each(|value| self.insert(value));
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.kept.iter().for_each(|value| write_text(out, &canonical::bits(value)));
    }

    fn read(mut self, mut input: Input<'_>) -> Option<Self> {
        while !input.is_empty() {
            self.kept.push(canonical::read_bits(self.of, input.text()?)?);
        }
        (self.kept.len() <= self.most).then_some(self)
    }

    fn size(&self) -> usize {
        self.kept.capacity() * size_of::<Value>()
    }
}
