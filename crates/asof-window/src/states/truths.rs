//! How many values are true.

use asof_model::Value;

use super::{Fold, Input};
use crate::Place;

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Truths(pub i64);

impl Fold for Truths {
    const SLIDES: bool = true;

    fn put(&mut self, value: &Value, _: &Place, times: i64) {
        self.0 += i64::from(*value == Value::Bool(true)) * times;
    }

    fn merge(&mut self, other: &Self) {
        self.0 += other.0;
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    fn read(self, mut input: Input<'_>) -> Option<Self> {
        let trues = input.count()?;
        input.is_empty().then_some(Self(trues))
    }

    fn size(&self) -> usize {
        0
    }
}
