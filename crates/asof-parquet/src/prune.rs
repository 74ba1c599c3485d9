//! What of a file can be left out: row groups by their statistics and bloom filters, pages by the page index.
//!
//! A predicate speaks of numbers or bytes as they are stored. What is left is a superset of the rows that meet all
//! predicates; a null meets none. Statistics that can't be trusted for their column leave everything in.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::datatypes::DataType;
use parquet::basic::Type as Physical;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;

use crate::error::ParquetFailure;
use crate::file::ParquetFile;
use crate::selection::Selection;

/// The most values that are looked up in bloom filters.
const BLOOM_VALUES_MAX: usize = 1_024;

/// Rows for each value that is asked for, from which on pages may well hold none of them, so that it is worth looking.
const ROWS_FOR_EACH_VALUE: usize = 64;

/// What the rows of interest have in one column.
#[derive(Debug, Clone)]
pub struct Predicate {
    /// The column, a place in [`ParquetFile::schema`].
    pub column: usize,
    /// What stands there.
    pub wanted: Wanted,
}

/// The values of interest.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// Numbers from one to another.
    Within(RangeInclusive<i64>),
    /// One of these numbers, which ascend.
    Numbers(Arc<[i64]>),
    /// One of these texts, which ascend byte by byte.
    Texts(Arc<[Box<[u8]>]>),
}

/// What is left of a file.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// Row groups to read, in order, each with the rows that may matter.
    pub groups: Vec<(usize, Selection)>,
    /// What was left out, and why.
    pub skipped: Skipped,
}

/// What was left out of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Row groups that hold no number in the range, by their statistics.
    pub groups_out_of_range: u64,
    /// Row groups that hold none of the values, by their statistics.
    pub groups_without_values: u64,
    /// Row groups that hold none of the values, by their bloom filters.
    pub groups_by_bloom_filter: u64,
    /// Rows of all these row groups.
    pub rows_of_groups: u64,
    /// Rows of pages that the page index rules out in the row groups that are left.
    pub rows_of_pages: u64,
}

/// A least and a greatest value.
enum Bounds<'a> {
    Numbers(i64, i64),
    Texts(&'a [u8], &'a [u8]),
}

impl ParquetFile {
    /// The row groups and rows that may meet all of `predicates`. Reads the page index and bloom filters where they can
    /// help.
    ///
    /// # Errors
    /// [`ParquetFailure`].
    pub fn prune(&mut self, predicates: &[Predicate]) -> Result<Pruned, ParquetFailure> {
        let predicates: Vec<(usize, &Wanted)> = predicates
            .iter()
            .filter_map(|each| Some((self.compared_leaf(each.column, &each.wanted)?, &each.wanted)))
            .collect();
        let mut pruned = Pruned::default();
        let mut left = Vec::new();
        let mut index_helps = false;
        for group in 0..self.groups() {
            if self.rows_of(group) == 0 {
                continue;
            }
            let mut reason = None;
            let mut partly = false;
            for (leaf, wanted) in &predicates {
                let bounds = self.chunk(group, *leaf).statistics().and_then(bounds);
                match bounds.map_or(Meets::Some, |bounds| meets(&bounds, wanted)) {
                    Meets::None => reason = reason.or(Some(*wanted)),
                    Meets::Some => {
                        partly |= !matches!(wanted.count(), Some(values) if values * ROWS_FOR_EACH_VALUE > self.rows_of(group));
                    }
                    Meets::All => {}
                }
            }
            match reason {
                Some(Wanted::Within(_)) => pruned.skipped.groups_out_of_range += 1,
                Some(_) => pruned.skipped.groups_without_values += 1,
                None if self.absent_by_bloom_filter(group, &predicates)? => {
                    pruned.skipped.groups_by_bloom_filter += 1;
                }
                None => {
                    index_helps |= partly;
                    left.push((group, partly));
                    continue;
                }
            }
            pruned.skipped.rows_of_groups += self.rows_of(group) as u64;
        }
        if index_helps {
            self.load_page_index()?;
        }
        for (group, partly) in left {
            let rows = u32::try_from(self.rows_of(group)).unwrap_or(u32::MAX);
            let mut ranges: Vec<Range<u32>> = std::iter::once(0..rows).collect();
            for (leaf, wanted) in predicates.iter().filter(|_| partly) {
                if let Some(pages) = self.pages_that_meet(group, *leaf, wanted, rows) {
                    ranges = intersection(&ranges, &pages);
                }
            }
            let selection = Selection::Ranges(ranges);
            pruned.skipped.rows_of_pages += u64::from(rows) - selection.len() as u64;
            if !selection.is_empty() {
                pruned.groups.push((group, selection));
            }
        }
        Ok(pruned)
    }

    /// The leaf of a column whose statistics are in the order that a predicate means.
    fn compared_leaf(&self, column: usize, wanted: &Wanted) -> Option<usize> {
        let numbers = matches!(
            self.native().field(column).data_type(),
            DataType::Int8
                | DataType::Int16
                | DataType::Int32
                | DataType::Int64
                | DataType::Timestamp(..)
                | DataType::Date32
        );
        let texts = matches!(self.schema().field(column).data_type(), DataType::Utf8 | DataType::Binary);
        let fits = match wanted {
            Wanted::Within(_) | Wanted::Numbers(_) => numbers,
            Wanted::Texts(_) => texts,
        };
        // The oldest form of timestamps is compared in no order at all.
        let ordered = |leaf: &usize| self.descriptor().column(*leaf).physical_type() != Physical::INT96;
        self.flat_leaf(column).filter(|_| fits).filter(ordered)
    }

    fn absent_by_bloom_filter(
        &self,
        group: usize,
        predicates: &[(usize, &Wanted)],
    ) -> Result<bool, ParquetFailure> {
        for (leaf, wanted) in predicates {
            if wanted.count().is_none_or(|count| count > BLOOM_VALUES_MAX) {
                continue;
            }
            let Some(filter) = self.bloom_filter(group, *leaf)? else { continue };
            let int32 = self.descriptor().column(*leaf).physical_type() == Physical::INT32;
            let absent = match wanted {
                Wanted::Within(_) => false,
                // What does not fit the stored type is not there.
                Wanted::Numbers(all) if int32 => {
                    !all.iter().any(|value| i32::try_from(*value).is_ok_and(|value| filter.check(&value)))
                }
                Wanted::Numbers(all) => !all.iter().any(|value| filter.check(value)),
                Wanted::Texts(all) => !all.iter().any(|value| filter.check(value.as_ref())),
            };
            if absent {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The rows of pages that may meet a predicate. `None`: nothing is known of the pages.
    fn pages_that_meet(
        &self,
        group: usize,
        leaf: usize,
        wanted: &Wanted,
        rows: u32,
    ) -> Option<Vec<Range<u32>>> {
        let column = self.metadata().column_index()?.get(group)?.get(leaf)?;
        let pages = self.metadata().offset_index()?.get(group)?.get(leaf)?.page_locations();
        // A writer may note where pages are and not what they hold; such an index can't be asked anything.
        let asked = matches!(
            column,
            ColumnIndexMetaData::INT32(_)
                | ColumnIndexMetaData::INT64(_)
                | ColumnIndexMetaData::BYTE_ARRAY(_)
        );
        if !asked || pages.is_empty() || column.num_pages() != pages.len() as u64 {
            return None;
        }
        let first_row = |page: usize| {
            pages.get(page).and_then(|page| u32::try_from(page.first_row_index).ok()).unwrap_or(rows)
        };
        let mut ranges: Vec<Range<u32>> = Vec::new();
        for page in 0..pages.len() {
            let bounds = match column {
                _ if column.is_null_page(page) => continue,
                ColumnIndexMetaData::INT32(index) => index
                    .min_value(page)
                    .zip(index.max_value(page))
                    .map(|(min, max)| Bounds::Numbers((*min).into(), (*max).into())),
                ColumnIndexMetaData::INT64(index) => index
                    .min_value(page)
                    .zip(index.max_value(page))
                    .map(|(min, max)| Bounds::Numbers(*min, *max)),
                ColumnIndexMetaData::BYTE_ARRAY(index) => {
                    index.min_value(page).zip(index.max_value(page)).map(|(min, max)| Bounds::Texts(min, max))
                }
                _ => return None,
            };
            if bounds.is_some_and(|bounds| meets(&bounds, wanted) == Meets::None) {
                continue;
            }
            let (start, end) = (first_row(page), first_row(page + 1));
            match ranges.last_mut() {
                Some(last) if last.end == start => last.end = end,
                _ if start < end => ranges.push(start..end),
                _ => {}
            }
        }
        Some(ranges)
    }
}

impl Wanted {
    /// How many values are asked for, where they are listed.
    fn count(&self) -> Option<usize> {
        match self {
            Self::Within(_) => None,
            Self::Numbers(all) => Some(all.len()),
            Self::Texts(all) => Some(all.len()),
        }
    }
}

/// How many of the values between two bounds a predicate takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meets {
    None,
    Some,
    All,
}

fn meets(bounds: &Bounds<'_>, wanted: &Wanted) -> Meets {
    let any = |any: bool| if any { Meets::Some } else { Meets::None };
    match (bounds, wanted) {
        (Bounds::Numbers(min, max), Wanted::Within(range)) => {
            if max < range.start() || range.end() < min {
                Meets::None
            } else if range.contains(min) && range.contains(max) {
                Meets::All
            } else {
                Meets::Some
            }
        }
        (Bounds::Numbers(min, max), Wanted::Numbers(all)) => {
            any(all.get(all.partition_point(|value| value < min)).is_some_and(|value| value <= max))
        }
        (Bounds::Texts(min, max), Wanted::Texts(all)) => {
            let first = all.get(all.partition_point(|value| value.as_ref() < *min));
            any(first.is_some_and(|value| value.as_ref() <= *max))
        }
        _ => Meets::Some,
    }
}

fn bounds(statistics: &Statistics) -> Option<Bounds<'_>> {
    match statistics {
        Statistics::Int32(range) => {
            Some(Bounds::Numbers((*range.min_opt()?).into(), (*range.max_opt()?).into()))
        }
        Statistics::Int64(range) => Some(Bounds::Numbers(*range.min_opt()?, *range.max_opt()?)),
        // The first writers compared bytes as signed numbers, and said so in other fields.
        Statistics::ByteArray(range) if !statistics.is_min_max_deprecated() => {
            Some(Bounds::Texts(range.min_bytes_opt()?, range.max_bytes_opt()?))
        }
        _ => None,
    }
}

fn intersection(one: &[Range<u32>], other: &[Range<u32>]) -> Vec<Range<u32>> {
    let (mut at, mut both) = (0, Vec::new());
    for range in one {
        while other.get(at).is_some_and(|each| each.end <= range.start) {
            at += 1;
        }
        let overlapping = other[at..].iter().take_while(|each| each.start < range.end);
        both.extend(overlapping.map(|each| each.start.max(range.start)..each.end.min(range.end)));
    }
    both
}
