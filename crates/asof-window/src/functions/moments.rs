//! Variance and standard deviation.

use asof_model::value::canonical_f64;
use asof_model::{Cell, Value, ValueType};

use super::{Definition, Folded};
use crate::states::{Kind, Moments};

/// The variance of integers or floats: float64. The sum of squared distances from the mean is exact and rounded once; then
/// it is divided by the count (or one less), then the root is taken.
pub(crate) struct Variance {
    /// Of a sample: divided by one less than the count, and null for one value.
    pub sample: bool,
    /// The root of it: the standard deviation.
    pub root: bool,
}

impl Definition for Variance {
    fn result(&self, input: ValueType) -> Option<ValueType> {
        use ValueType::{Float32, Float64, Int32, Int64};
        matches!(input, Int32 | Int64 | Float32 | Float64).then_some(Float64)
    }

    fn empty(&self, _: ValueType) -> Kind {
        Moments::default().into()
    }

    fn value(&self, folded: &Folded<'_>) -> Cell {
        let Kind::Moments(moments) = folded.state else { return Cell::Error };
        let divisor = folded.count - u64::from(self.sample);
        if divisor == 0 {
            return Cell::Null;
        }
        let variance = moments.squared_distances(folded.count) / divisor as f64;
        let value = if self.root { variance.sqrt() } else { variance };
        Cell::Value(Value::Float64(canonical_f64(value)))
    }
}
