//! What functions fold values into: each kind of state in a file of its own, and how any of them is asked.

mod buckets;
mod counted;
mod extremes;
mod moments;
pub(crate) mod quantiles;
mod ranked;
mod registers;
mod sums;
mod truths;
mod values;

pub(crate) use buckets::Buckets;
pub(crate) use counted::Counted;
pub(crate) use extremes::Extremes;
pub(crate) use moments::Moments;
pub(crate) use quantiles::Quantiles;
pub(crate) use ranked::Ranked;
pub(crate) use registers::Registers;
pub(crate) use sums::{Floats, Integers};
pub(crate) use truths::Truths;
pub(crate) use values::Values;

use std::fmt::Debug;

use asof_model::Value;

use crate::Place;

/// A state. Adding and merging commute and associate: a state is a function of the multiset of what was added.
pub(crate) trait Fold: Debug + Clone + PartialEq + Sized {
    /// Whether what was added can be taken away again.
    const SLIDES: bool;

    /// Adds a value, or takes it away where `times` is -1.
    fn put(&mut self, value: &Value, at: &Place, times: i64);

    /// Adds all that another state of the same function holds.
    fn merge(&mut self, other: &Self);

    /// Writes it: equal states have equal bytes.
    fn write(&self, out: &mut Vec<u8>);

    /// Reads all of what was written into an empty state of the same function. `None`: these are not its bytes.
    fn read(self, input: Input<'_>) -> Option<Self>;

    /// Bytes beside its own, about.
    fn size(&self) -> usize;
}

/// One arm for each kind of state.
macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        /// A state of any kind.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) enum Kind {
            $($kind($kind)),*
        }

        impl Kind {
            pub fn slides(&self) -> bool {
                match self { $(Self::$kind(_) => <$kind as Fold>::SLIDES),* }
            }

            pub fn put(&mut self, value: &Value, at: &Place, times: i64) {
                match self { $(Self::$kind(state) => state.put(value, at, times)),* }
            }

            /// False: they are not of one kind.
            pub fn merge(&mut self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$kind(state), Self::$kind(other)) => state.merge(other),)*
                    _ => return false,
                }
                true
            }

            pub fn write(&self, out: &mut Vec<u8>) {
                match self { $(Self::$kind(state) => state.write(out)),* }
            }

            pub fn read(self, input: Input<'_>) -> Option<Self> {
                Some(match self { $(Self::$kind(state) => Self::$kind(state.read(input)?)),* })
            }

            pub fn size(&self) -> usize {
                match self { $(Self::$kind(state) => state.size()),* }
            }
        }

        $(impl From<$kind> for Kind {
            fn from(state: $kind) -> Self {
                Self::$kind(state)
            }
        })*
    };
}

kinds!(Counted, Floats, Integers, Truths, Values, Moments, Ranked, Extremes, Buckets, Registers, Quantiles,);

/// The greatest count of a state that is read, a million million: far more arguments than a window can have.
pub(crate) const COUNT_MAX: u64 = 1 << 40;

/// Bytes that are read from the front.
#[derive(Clone, Copy)]
pub(crate) struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub fn i64(&mut self) -> Option<i64> {
        Some(i64::from_le_bytes(self.array()?))
    }

    /// A count. `None` too for one that no state can come to: sums of counts must not leave their range.
    pub fn count(&mut self) -> Option<i64> {
        self.i64().filter(|count| count.unsigned_abs() <= COUNT_MAX)
    }

    /// Bytes behind their length.
    pub fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u64::from_le_bytes(self.array()?)).ok()?;
        self.bytes(length)
    }

    pub fn place(&mut self) -> Option<Place> {
        Some(Place { event: self.i64()?, created: self.i64()?, id: self.text()?.into() })
    }
}

/// Writes bytes behind their length.
pub(crate) fn write_text(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// A number as a double. `None`: it is none.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int32(value) => Some(f64::from(*value)),
        Value::Int64(value) => Some(*value as f64),
        Value::Float32(value) => Some(f64::from(*value)),
        Value::Float64(value) => Some(*value),
        _ => None,
    }
}
