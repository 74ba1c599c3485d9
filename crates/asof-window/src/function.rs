//! Which functions there are, what they are called and what they take beside their argument.

use crate::functions::Definition;
use crate::functions::counts::{ApproxCountDistinct, Count, CountDistinct};
use crate::functions::distribution::{ApproxPercentile, Histogram, MostFrequent};
use crate::functions::extremes::{Extreme, ExtremesOf};
use crate::functions::moments::Variance;
use crate::functions::ranked::RankedOf;
use crate::functions::sums::{Avg, Sum};
use crate::functions::truths::Truth;

/// The most values that a function keeps or tells in a list, and the most parts of a histogram.
pub const ITEMS_MAX: u32 = 10_000;

/// An aggregate function, with what it takes beside its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// How many values are not null: int64.
    Count,
    /// How many different values there are: int64.
    CountDistinct,
    /// About how many, with a standard error of 1.6 %: int64.
    ApproxCountDistinct,
    /// The sum: int64 of integers (ERROR past its range), float64 of floats (exact, rounded once), decimal of decimals.
    Sum,
    /// The exact mean, rounded once: float64, of integers and floats.
    Avg,
    /// The variance of all: float64, of integers and floats.
    VarPop,
    /// The variance of a sample; null for one value.
    VarSamp,
    /// The standard deviation of all.
    StddevPop,
    /// The standard deviation of a sample; null for one value.
    StddevSamp,
    /// The least value; NaN is left out, and null where there is nothing else.
    Min,
    /// The greatest value, likewise.
    Max,
    /// The greatest values, in descending order: a list.
    TopN(u32),
    /// The least values, in ascending order: a list.
    BottomN(u32),
    /// Whether all are true.
    BoolAnd,
    /// Whether one is true.
    BoolOr,
    /// The value of the first event.
    First,
    /// The value of the last event.
    Last,
    /// The values of the first events, the first at the front: a list.
    FirstN(u32),
    /// The values of the last events, the last at the front: a list.
    LastN(u32),
    /// The last values that differ, the last at the front: a list.
    DistinctLastN(u32),
    /// The most frequent values: a list.
    TopK(u32),
    /// Counts of numbers below a range, in equal parts of it, and from its end on: a list of int64.
    Histogram(Bounds, u32),
    /// The number that a part of all are not greater than, within 1 %: float64.
    ApproxPercentile(Number),
}

/// A finite number as part of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(u64);

/// A range of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bounds {
    /// Where it begins.
    pub lower: Number,
    /// Where it ends, behind its last number.
    pub upper: Number,
}

impl Number {
    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

impl From<f64> for Number {
    fn from(number: f64) -> Self {
        Self(number.to_bits())
    }
}

/// By name what a function takes behind its argument, and how it is made of that.
const FUNCTIONS: [(&str, &str, Make); 27] = [
    ("count", "", Make::Plain(Function::Count)),
    ("count_distinct", "", Make::Plain(Function::CountDistinct)),
    ("approx_count_distinct", "", Make::Plain(Function::ApproxCountDistinct)),
    ("sum", "", Make::Plain(Function::Sum)),
    ("avg", "", Make::Plain(Function::Avg)),
    ("var_pop", "", Make::Plain(Function::VarPop)),
    ("var_samp", "", Make::Plain(Function::VarSamp)),
    ("variance", "", Make::Plain(Function::VarSamp)),
    ("stddev_pop", "", Make::Plain(Function::StddevPop)),
    ("stddev_samp", "", Make::Plain(Function::StddevSamp)),
    ("stddev", "", Make::Plain(Function::StddevSamp)),
    ("min", "", Make::Plain(Function::Min)),
    ("max", "", Make::Plain(Function::Max)),
    ("top_n", "n", Make::Items(Function::TopN)),
    ("bottom_n", "n", Make::Items(Function::BottomN)),
    ("all", "", Make::Plain(Function::BoolAnd)),
    ("any", "", Make::Plain(Function::BoolOr)),
    ("bool_and", "", Make::Plain(Function::BoolAnd)),
    ("bool_or", "", Make::Plain(Function::BoolOr)),
    ("first", "", Make::Plain(Function::First)),
    ("last", "", Make::Plain(Function::Last)),
    ("first_n", "n", Make::Items(Function::FirstN)),
    ("last_n", "n", Make::Items(Function::LastN)),
    ("distinct_last_n", "n", Make::Items(Function::DistinctLastN)),
    ("top_k", "n", Make::Items(Function::TopK)),
    ("histogram", "lower, upper, parts", Make::Histogram),
    ("approx_percentile", "part", Make::Percentile),
];

/// How a function is made of its parameters.
#[derive(Clone, Copy)]
enum Make {
    Plain(Function),
    Items(fn(u32) -> Function),
    Histogram,
    Percentile,
}

impl Function {
    /// The function of that name which takes nothing beside its argument. `None`: there is none.
    pub fn named(name: &str) -> Option<Self> {
        Self::of(name, &[])?.ok()
    }

    /// The function of that name with what it takes beside its argument. `None`: there is none of that name.
    ///
    /// # Errors
    /// What it takes, in words.
    pub fn of(name: &str, parameters: &[f64]) -> Option<Result<Self, String>> {
        let (_, takes, make) = FUNCTIONS.into_iter().find(|(known, _, _)| *known == name)?;
        let items = |number: f64| {
            let whole = number.fract() == 0.0 && (1.0..=f64::from(ITEMS_MAX)).contains(&number);
            whole.then_some(number as u32)
        };
        let made = match (make, parameters) {
            (Make::Plain(function), []) => Some(function),
            (Make::Items(function), [n]) => items(*n).map(function),
            (Make::Histogram, [lower, upper, parts]) => {
                let finite = lower.is_finite() && upper.is_finite() && (upper - lower).is_finite();
                let bounds = Bounds { lower: (*lower).into(), upper: (*upper).into() };
                items(*parts).filter(|_| finite && lower < upper).map(|parts| Self::Histogram(bounds, parts))
            }
            (Make::Percentile, [part]) => {
                (0.0..=1.0).contains(part).then(|| Self::ApproxPercentile((*part).into()))
            }
            _ => None,
        };
        Some(made.ok_or_else(|| match make {
            Make::Plain(_) => format!("`{name}` takes its argument alone"),
            Make::Items(_) => format!("`{name}` takes {takes}, a whole number from 1 to {ITEMS_MAX}"),
            Make::Histogram => format!(
                "`{name}` takes {takes}: finite numbers in ascending order, and 1 to {ITEMS_MAX} parts"
            ),
            Make::Percentile => format!("`{name}` takes {takes}, a number from 0 to 1"),
        }))
    }

    /// The names of all functions, each with what it takes beside its argument.
    pub fn names() -> impl Iterator<Item = (&'static str, &'static str)> {
        FUNCTIONS.into_iter().map(|(name, takes, _)| (name, takes))
    }

    /// Calls `with` with what the function is.
    pub(crate) fn with<R>(self, with: impl FnOnce(&dyn Definition) -> R) -> R {
        let ranked = |most, last, distinct| RankedOf { most, last, distinct };
        match self {
            Self::Count => with(&Count),
            Self::CountDistinct => with(&CountDistinct),
            Self::ApproxCountDistinct => with(&ApproxCountDistinct),
            Self::Sum => with(&Sum),
            Self::Avg => with(&Avg),
            Self::VarPop => with(&Variance { sample: false, root: false }),
            Self::VarSamp => with(&Variance { sample: true, root: false }),
            Self::StddevPop => with(&Variance { sample: false, root: true }),
            Self::StddevSamp => with(&Variance { sample: true, root: true }),
            Self::Min => with(&Extreme { greatest: false }),
            Self::Max => with(&Extreme { greatest: true }),
            Self::TopN(most) => with(&ExtremesOf { most, greatest: true }),
            Self::BottomN(most) => with(&ExtremesOf { most, greatest: false }),
            Self::BoolAnd => with(&Truth { all: true }),
            Self::BoolOr => with(&Truth { all: false }),
            Self::First => with(&ranked(None, false, false)),
            Self::Last => with(&ranked(None, true, false)),
            Self::FirstN(most) => with(&ranked(Some(most), false, false)),
            Self::LastN(most) => with(&ranked(Some(most), true, false)),
            Self::DistinctLastN(most) => with(&ranked(Some(most), true, true)),
            Self::TopK(most) => with(&MostFrequent { most }),
            Self::Histogram(Bounds { lower, upper }, parts) => {
                with(&Histogram { lower: lower.get(), upper: upper.get(), parts })
            }
            Self::ApproxPercentile(part) => with(&ApproxPercentile { part: part.get() }),
        }
    }
}
