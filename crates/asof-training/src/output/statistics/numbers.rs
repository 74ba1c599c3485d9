//! Sums, bounds and moments of numbers.

use std::borrow::Cow;

use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray};

/// Values that are worked on side by side: the same sums on every machine, and several at a time where one can.
const LANES: usize = 8;

fn sum(numbers: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let (whole, rest) = numbers.as_chunks::<LANES>();
    for some in whole {
        sums.iter_mut().zip(some).for_each(|(sum, number)| *sum += of(*number));
    }
    sums.iter().sum::<f64>() + rest.iter().map(|number| of(*number)).sum::<f64>()
}

/// The least and the greatest of some values, none of which is NaN.
pub(super) fn bounds<T: Copy + PartialOrd>(values: &[T]) -> Option<(T, T)> {
    let first = *values.first()?;
    let (mut least, mut greatest) = ([first; LANES], [first; LANES]);
    let mut meet = |some: &[T]| {
        for (place, value) in some.iter().enumerate() {
            least[place] = if *value < least[place] { *value } else { least[place] };
            greatest[place] = if *value > greatest[place] { *value } else { greatest[place] };
        }
    };
    let (whole, rest) = values.as_chunks::<LANES>();
    whole.iter().for_each(|some| meet(some));
    meet(rest);
    let less = |one: T, other: T| if other < one { other } else { one };
    let more = |one: T, other: T| if other > one { other } else { one };
    Some((least.into_iter().fold(first, less), greatest.into_iter().fold(first, more)))
}

/// The values that are not null.
pub(super) fn there<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>) -> Cow<'_, [T::Native]> {
    match values.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => Cow::Borrowed(values.values()),
        Some(nulls) => {
            let mut there = Vec::with_capacity(values.len() - nulls.null_count());
            there.extend(nulls.valid_indices().map(|place| values.values()[place]));
            Cow::Owned(there)
        }
    }
}

/// Mean and squared deviations of some numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    pub count: f64,
    pub mean: f64,
    pub squares: f64,
}

impl Moments {
    /// Those of numbers that are all finite.
    pub fn of(numbers: &[f64]) -> Self {
        if numbers.is_empty() {
            return Self::default();
        }
        let count = numbers.len() as f64;
        let mean = sum(numbers, |number| number) / count;
        Self { count, mean, squares: sum(numbers, |number| (number - mean) * (number - mean)) }
    }

    pub fn merge(&mut self, other: Self) {
        if other.count == 0.0 {
            return;
        }
        let count = self.count + other.count;
        let apart = other.mean - self.mean;
        self.squares += other.squares + apart * apart * self.count * other.count / count;
        self.mean += apart * other.count / count;
        self.count = count;
    }
}
