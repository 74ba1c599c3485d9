//! The different values of a column, each with a number.

use std::collections::HashMap;
use std::sync::OnceLock;

use asof_model::Value;
use asof_model::order::compare;

use crate::hashing::Random;

/// Values by number, in order of first appearance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dictionary {
    pub values: Vec<Value>,
    /// By the bytes of text, or the canonical bits of other values.
    numbers: HashMap<Box<[u8]>, u32, Random>,
    /// The numbers in the order of their values, and the place of each there. Made when it is asked for.
    ranks: OnceLock<(Vec<u32>, Vec<u32>)>,
}

impl Dictionary {
    /// The number of a value by its bytes.
    #[inline]
    pub fn find(&self, bytes: &[u8]) -> Option<u32> {
        self.numbers.get(bytes).copied()
    }

    /// The numbers in the order of their values, and the place of each there.
    pub fn ranks(&self) -> &(Vec<u32>, Vec<u32>) {
        self.ranks.get_or_init(|| {
            let mut order: Vec<u32> = (0..self.values.len() as u32).collect();
            order.sort_by(|one, other| compare(&self.values[*one as usize], &self.values[*other as usize]));
            let mut ranks = vec![0; order.len()];
            order.iter().zip(0..).for_each(|(number, rank)| ranks[*number as usize] = rank);
            (order, ranks)
        })
    }

    /// Bytes, about: of each value, of its bytes as a key, and of its numbers.
    pub fn size(&self) -> usize {
        let bytes = self.numbers.keys().map(|bytes| 2 * bytes.len()).sum::<usize>();
        bytes + self.values.len() * (size_of::<Value>() + 2 * size_of::<(Box<[u8]>, u32)>())
    }

    /// The number of a value by its bytes, a new one where it has none.
    pub fn number(&mut self, bits: &[u8], value: impl FnOnce() -> Value) -> u32 {
        if let Some(known) = self.numbers.get(bits) {
            return *known;
        }
        let number = self.values.len() as u32;
        self.ranks = OnceLock::new();
        self.values.push(value());
        self.numbers.insert(bits.into(), number);
        number
    }
}
