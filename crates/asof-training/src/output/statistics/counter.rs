//! A column, range by range.

use std::borrow::Cow;
use std::hash::BuildHasher;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{cast, max_string, min_string};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use foldhash::quality::FixedState;

use super::numbers::{Moments, bounds, there};
use super::{ColumnStatistics, Quantiles, Told, hash};
use crate::distinct::Distinct;

/// The quantiles that are told.
const QUANTILES: [(&str, f64); 7] =
    [("p1", 0.01), ("p5", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95), ("p99", 0.99)];

/// Counts a column, range by range.
pub(crate) struct ColumnCounter {
    kind: Kind,
    count: u64,
    nulls: u64,
    not_finite: u64,
    moments: Moments,
    distinct: Option<Distinct>,
    integers: Option<(i64, i64)>,
    numbers: Option<(f64, f64)>,
    texts: Option<(String, String)>,
    sample: Vec<f64>,
    whole_sample: Vec<i64>,
}

/// How the values of a column are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As whole numbers: integers, instants, days.
    Integers,
    /// As floating-point numbers: floats, decimals.
    Numbers,
    Flags,
    Texts,
    /// Only nulls are counted.
    Other,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            // Not all of them fit.
            DataType::UInt64 => Self::Numbers,
            of if of.is_integer() => Self::Integers,
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Self::Integers,
            of if of.is_floating() => Self::Numbers,
            DataType::Decimal128(..) | DataType::Decimal256(..) => Self::Numbers,
            DataType::Boolean => Self::Flags,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Texts,
            DataType::Dictionary(_, of) => Self::of(of),
            _ => Self::Other,
        }
    }
}

impl ColumnCounter {
    pub fn new(data_type: &DataType) -> Self {
        let kind = Kind::of(data_type);
        Self {
            kind,
            count: 0,
            nulls: 0,
            not_finite: 0,
            moments: Moments::default(),
            distinct: (!matches!(kind, Kind::Other | Kind::Flags)).then(Distinct::default),
            integers: None,
            numbers: None,
            texts: None,
            sample: Vec::new(),
            whole_sample: Vec::new(),
        }
    }

    /// Adds the values of a range, of which `sampled` rows are sampled.
    pub fn add(&mut self, values: &ArrayRef, sampled: &[u32]) {
        let nulls = values.logical_null_count() as u64;
        self.nulls += nulls;
        self.count += values.len() as u64 - nulls;
        let plain = match self.kind {
            Kind::Integers => cast(values, &DataType::Int64),
            Kind::Numbers => cast(values, &DataType::Float64),
            Kind::Texts => cast(values, &DataType::Utf8),
            Kind::Flags | Kind::Other => Ok(values.clone()),
        };
        let Ok(plain) = plain else { return };
        match self.kind {
            Kind::Integers => self.add_integers(&plain, sampled),
            Kind::Numbers => self.add_numbers(&plain, sampled),
            Kind::Texts => self.add_texts(&plain),
            Kind::Flags => {
                let flags = plain.as_boolean();
                let (count, part) = ((flags.len() - flags.null_count()) as f64, flags.true_count() as f64);
                if count > 0.0 {
                    let mean = part / count;
                    self.moments.merge(Moments { count, mean, squares: count * mean * (1.0 - mean) });
                }
            }
            Kind::Other => {}
        }
    }

    fn add_integers(&mut self, values: &ArrayRef, sampled: &[u32]) {
        let values = values.as_primitive::<Int64Type>();
        let there = there(values);
        if let Some((least, greatest)) = bounds(&there) {
            let before = self.integers.unwrap_or((least, greatest));
            self.integers = Some((before.0.min(least), before.1.max(greatest)));
        }
        self.register(there.iter().map(|value| hash(*value as u64)));
        let numbers: Vec<f64> = there.iter().map(|value| *value as f64).collect();
        self.moments.merge(Moments::of(&numbers));
        let sampled = sampled.iter().map(|row| *row as usize).filter(|row| values.is_valid(*row));
        self.whole_sample.extend(sampled.map(|row| values.value(row)));
    }

    fn add_numbers(&mut self, values: &ArrayRef, sampled: &[u32]) {
        let values = values.as_primitive::<Float64Type>();
        let there = there(values);
        self.register(there.iter().map(|value| hash(value.to_bits())));
        let finite = match there.iter().all(|value| value.is_finite()) {
            true => there,
            false => {
                let finite: Vec<f64> = there.iter().copied().filter(|value| value.is_finite()).collect();
                self.not_finite += (there.len() - finite.len()) as u64;
                Cow::Owned(finite)
            }
        };
        if let Some((least, greatest)) = bounds(&finite) {
            let before = self.numbers.unwrap_or((least, greatest));
            self.numbers = Some((before.0.min(least), before.1.max(greatest)));
        }
        self.moments.merge(Moments::of(&finite));
        let sampled = sampled.iter().map(|row| *row as usize).filter(|row| values.is_valid(*row));
        self.sample.extend(sampled.map(|row| values.value(row)).filter(|value| value.is_finite()));
    }

    fn add_texts(&mut self, values: &ArrayRef) {
        let values = values.as_string::<i32>();
        if let Some((least, greatest)) = min_string(values).zip(max_string(values)) {
            match &mut self.texts {
                Some((before, behind)) => {
                    if least < before.as_str() {
                        *before = least.to_owned();
                    }
                    if greatest > behind.as_str() {
                        *behind = greatest.to_owned();
                    }
                }
                None => self.texts = Some((least.to_owned(), greatest.to_owned())),
            }
        }
        self.register(values.iter().flatten().map(|text| FixedState::default().hash_one(text)));
    }

    fn register(&mut self, hashes: impl Iterator<Item = u64>) {
        if let Some(distinct) = &mut self.distinct {
            hashes.for_each(|hash| distinct.add(hash));
        }
    }

    /// Adds what was counted of the ranges behind those of this one.
    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        self.nulls += other.nulls;
        self.not_finite += other.not_finite;
        self.moments.merge(other.moments);
        if let (Some(own), Some(other)) = (&mut self.distinct, &other.distinct) {
            own.merge(other);
        }
        let wider = |one: (i64, i64), other: (i64, i64)| (one.0.min(other.0), one.1.max(other.1));
        self.integers = joined(self.integers, other.integers, wider);
        let wider = |one: (f64, f64), other: (f64, f64)| (one.0.min(other.0), one.1.max(other.1));
        self.numbers = joined(self.numbers, other.numbers, wider);
        let wider = |one: (String, String), other: (String, String)| (one.0.min(other.0), one.1.max(other.1));
        self.texts = joined(self.texts.take(), other.texts, wider);
        self.sample.extend(other.sample);
        self.whole_sample.extend(other.whole_sample);
    }

    /// What the column holds.
    pub fn told(mut self, field: &Field) -> ColumnStatistics {
        let of = field.data_type();
        let whole = |value: i64| told_integer(of, value);
        let bounds = match self.kind {
            Kind::Integers => self.integers.map(|(least, greatest)| (whole(least), whole(greatest))),
            Kind::Numbers => {
                self.numbers.map(|(least, greatest)| (Told::Number(least), Told::Number(greatest)))
            }
            Kind::Texts => {
                self.texts.take().map(|(least, greatest)| (Told::Text(least), Told::Text(greatest)))
            }
            Kind::Flags | Kind::Other => None,
        };
        // Moments of instants and days are of no use to anybody.
        let numeric = of.is_numeric() || self.kind == Kind::Flags;
        let quantiles = match self.kind {
            Kind::Integers => {
                self.whole_sample.sort_unstable();
                quantiles(&self.whole_sample, whole)
            }
            Kind::Numbers => {
                self.sample.sort_unstable_by(f64::total_cmp);
                quantiles(&self.sample, Told::Number)
            }
            Kind::Flags | Kind::Texts | Kind::Other => None,
        };
        let rows = self.count + self.nulls;
        let moments = self.moments;
        ColumnStatistics {
            column: field.name().clone(),
            data_type: of.to_string(),
            count: self.count,
            nulls: self.nulls,
            null_rate: if rows == 0 { 0.0 } else { self.nulls as f64 / rows as f64 },
            not_finite: of.is_floating().then_some(self.not_finite),
            min: bounds.as_ref().map(|(least, _)| least.clone()),
            max: bounds.map(|(_, greatest)| greatest),
            mean: (numeric && moments.count > 0.0).then_some(moments.mean),
            std: (of.is_numeric() && moments.count > 1.0)
                .then(|| (moments.squares / (moments.count - 1.0)).sqrt()),
            distinct: self.distinct.as_ref().map(|distinct| distinct.estimate().min(self.count)),
            quantiles,
        }
    }
}

fn joined<T>(one: Option<T>, other: Option<T>, join: impl Fn(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(join(one, other)),
        (one, other) => one.or(other),
    }
}

/// A whole number as its type shows it.
fn told_integer(of: &DataType, value: i64) -> Told {
    if of.is_integer() {
        return Told::Integer(value);
    }
    let narrow = match of {
        DataType::Date32 => cast(&arrow::array::Int64Array::from(vec![value]), &DataType::Int32)
            .and_then(|array| cast(&array, of)),
        _ => cast(&arrow::array::Int64Array::from(vec![value]), of),
    };
    let options = FormatOptions::default();
    let shown = narrow.map(|array| asof_engine::source::raw::in_utc(&array)).ok().and_then(|array| {
        let formatter = ArrayFormatter::try_new(array.as_ref(), &options).ok()?;
        formatter.value(0).try_to_string().ok()
    });
    shown.map_or(Told::Integer(value), Told::Text)
}

/// Quantiles of ascending values: each the least value that so many are not greater than.
fn quantiles<T: Copy>(sample: &[T], told: impl Fn(T) -> Told) -> Option<Quantiles> {
    let last = sample.len().checked_sub(1)?;
    let at = |part: f64| sample[((sample.len() as f64 * part).ceil() as usize).saturating_sub(1).min(last)];
    Some(QUANTILES.iter().map(|(name, part)| (*name, told(at(*part)))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::sampled_rows;
    use super::*;
    use arrow::array::{BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use std::sync::Arc;

    fn told(parts: &[ArrayRef]) -> ColumnStatistics {
        let field = Field::new("c", parts[0].data_type().clone(), true);
        let mut all: Option<ColumnCounter> = None;
        for (range, part) in parts.iter().enumerate() {
            let mut counter = ColumnCounter::new(field.data_type());
            counter.add(part, &sampled_rows(range, part.len(), parts.len()));
            match &mut all {
                Some(all) => all.merge(counter),
                None => all = Some(counter),
            }
        }
        all.unwrap().told(&field)
    }

    /// Goal: numbers are those that one computes by hand, over ranges with and without nulls.
    #[test]
    fn numbers() {
        let first: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN), Some(4.0)]));
        let second: ArrayRef = Arc::new(Float64Array::from(vec![Some(7.0), Some(f64::INFINITY)]));
        let found = told(&[first, second]);
        assert_eq!((found.count, found.nulls, found.not_finite), (5, 1, Some(2)));
        assert_eq!((found.min, found.max), (Some(Told::Number(1.0)), Some(Told::Number(7.0))));
        assert_eq!((found.mean, found.std, found.distinct), (Some(4.0), Some(3.0), Some(5)));
        assert_eq!(found.quantiles.unwrap()["p50"], Told::Number(4.0));

        let all: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=1_000));
        let found = told(&[all]);
        assert_eq!(
            (found.min, found.max, found.mean),
            (Some(Told::Integer(1)), Some(Told::Integer(1_000)), Some(500.5))
        );
        let quantiles = found.quantiles.unwrap();
        assert_eq!((&quantiles["p1"], &quantiles["p75"]), (&Told::Integer(10), &Told::Integer(750)));
    }

    /// Goal: texts, flags and instants are told in their own form; a column of nulls has nothing but a count.
    #[test]
    fn other_types() {
        let found = told(&[Arc::new(StringArray::from(vec![Some("b"), None, Some("a"), Some("b")]))]);
        assert_eq!((found.min, found.max), (Some(Told::Text("a".into())), Some(Told::Text("b".into()))));
        assert_eq!((found.distinct, found.mean, found.nulls), (Some(2), None, 1));
        let found = told(&[Arc::new(BooleanArray::from(vec![true, false, true, true]))]);
        assert_eq!((found.mean, found.std, found.min), (Some(0.75), None, None));
        let instants = TimestampMicrosecondArray::from(vec![0, 1_500_000]).with_timezone("UTC");
        let found = told(&[Arc::new(instants)]);
        assert_eq!(found.max, Some(Told::Text("1970-01-01T00:00:01.500Z".into())));
        assert_eq!(found.mean, None);
        let found = told(&[Arc::new(Float64Array::new_null(3))]);
        assert_eq!((found.count, found.null_rate, found.min, found.mean), (0, 1.0, None, None));
    }

    /// Goal: the estimate of distinct values is within a few standard errors, for few and for many; quantiles of a sample
    /// are near those of all.
    #[test]
    fn estimates() {
        for distinct in [10_i64, 1_000, 5_000, 100_000, 1_000_000] {
            let parts: Vec<ArrayRef> = (0..20)
                .map(|part| {
                    let values = (0..100_000).map(|row| (part * 100_000 + row) % distinct);
                    Arc::new(Int64Array::from_iter_values(values)) as ArrayRef
                })
                .collect();
            let found = told(&parts);
            let off = (found.distinct.unwrap() as f64 / distinct as f64 - 1.0).abs();
            assert!(off < 0.06, "{distinct}: {:?}", found.distinct);
            let Told::Integer(median) = found.quantiles.unwrap()["p50"] else { panic!() };
            assert!((median as f64 / distinct as f64 - 0.5).abs() < 0.02, "{distinct}: {median}");
        }
    }
}
