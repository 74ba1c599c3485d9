//! Which rows of a row group are meant.

use std::ops::Range;
use std::sync::Arc;

use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

/// Rows of a row group, counted from 0, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// These ranges: ascending, apart from each other, none of them empty.
    Ranges(Vec<Range<u32>>),
    /// These rows: ascending, each once.
    Rows(Arc<[u32]>),
}

/// Rows that are read together: the next of a [`Selection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows<'a> {
    Range(u32, u32),
    List(&'a [u32]),
}

impl Selection {
    /// All of so many rows.
    pub fn all(rows: u32) -> Self {
        Self::Ranges(if rows == 0 { Vec::new() } else { std::iter::once(0..rows).collect() })
    }

    /// How many rows are meant.
    pub fn len(&self) -> usize {
        match self {
            Self::Ranges(ranges) => ranges.iter().map(|range| (range.end - range.start) as usize).sum(),
            Self::Rows(rows) => rows.len(),
        }
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The part of ranges that lies in `within`. A list is left as it is.
    pub fn clipped(self, within: Range<u32>) -> Self {
        match self {
            Self::Ranges(ranges) => {
                let clip = |range: Range<u32>| range.start.max(within.start)..range.end.min(within.end);
                Self::Ranges(ranges.into_iter().map(clip).filter(|range| !range.is_empty()).collect())
            }
            rows => rows,
        }
    }

    /// As the decoder of the `parquet` crate takes it, for a row group of `rows` rows.
    pub(crate) fn for_decoder(&self, rows: usize) -> RowSelection {
        match self {
            Self::Ranges(ranges) => {
                let ranges = ranges.iter().map(|range| range.start as usize..range.end as usize);
                RowSelection::from_consecutive_ranges(ranges, rows)
            }
            Self::Rows(list) => {
                let mut selectors = Vec::new();
                let mut next = 0;
                for row in list.iter().map(|row| *row as usize) {
                    match selectors.last_mut() {
                        Some(RowSelector { row_count, skip: false }) if row == next => *row_count += 1,
                        _ => {
                            if row > next {
                                selectors.push(RowSelector::skip(row - next));
                            }
                            selectors.push(RowSelector::select(1));
                        }
                    }
                    next = row + 1;
                }
                selectors.into()
            }
        }
    }
}

/// Goes through a selection in steps.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    selection: Selection,
    /// The range, or the place in the list, that comes next.
    at: usize,
    /// Rows of that range that were given out.
    within: u32,
}

impl Steps {
    pub fn new(selection: Selection) -> Self {
        Self { selection, at: 0, within: 0 }
    }

    /// The next rows, at most so many: of several ranges as many as fit. Empty: there is none any more.
    pub fn peek(&self, rows_max: usize) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut room = rows_max.max(1);
        match &self.selection {
            Selection::Ranges(ranges) => {
                let mut within = self.within;
                for range in &ranges[self.at..] {
                    let start = range.start + std::mem::take(&mut within);
                    let end = range.end.min(start.saturating_add(u32::try_from(room).unwrap_or(u32::MAX)));
                    steps.push(Step::Range(start, end));
                    room -= (end - start) as usize;
                    if room == 0 {
                        break;
                    }
                }
            }
            Selection::Rows(rows) => {
                let end = rows.len().min(self.at + room);
                if end > self.at {
                    steps.push(Step::List(rows.clone(), self.at..end));
                }
            }
        }
        steps
    }

    /// Passes so many rows.
    pub fn advance(&mut self, mut rows: usize) {
        match &self.selection {
            Selection::Ranges(ranges) => {
                while let Some(range) = ranges.get(self.at).filter(|_| rows > 0) {
                    let left = (range.end - range.start - self.within) as usize;
                    if rows < left {
                        self.within += rows as u32;
                        return;
                    }
                    rows -= left;
                    (self.at, self.within) = (self.at + 1, 0);
                }
            }
            Selection::Rows(list) => self.at = list.len().min(self.at + rows),
        }
    }
}

/// Some consecutive rows of a selection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Range(u32, u32),
    List(Arc<[u32]>, Range<usize>),
}

impl Step {
    pub fn rows(&self) -> Rows<'_> {
        match self {
            Self::Range(start, end) => Rows::Range(*start, *end),
            Self::List(rows, range) => Rows::List(&rows[range.clone()]),
        }
    }
}

impl Rows<'_> {
    pub fn len(self) -> usize {
        match self {
            Self::Range(start, end) => (end - start) as usize,
            Self::List(rows) => rows.len(),
        }
    }

    pub fn first(self) -> Option<u32> {
        match self {
            Self::Range(start, end) => (start < end).then_some(start),
            Self::List(rows) => rows.first().copied(),
        }
    }

    /// Those before `row`, and the rest.
    pub fn split_at_row(self, row: u32) -> (Self, Self) {
        match self {
            Self::Range(start, end) => {
                let cut = row.clamp(start, end);
                (Self::Range(start, cut), Self::Range(cut, end))
            }
            Self::List(rows) => {
                let (head, tail) = rows.split_at(rows.partition_point(|each| *each < row));
                (Self::List(head), Self::List(tail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: steps give every row of a selection once, in order, whatever their size and however many of them are
    /// taken, and never more than asked for.
    #[test]
    fn steps_give_every_row() {
        let ranges = Selection::Ranges(vec![0..3, 5..6, 10..20]);
        let ranged: Vec<u32> = [0..3, 5..6, 10..20].into_iter().flatten().collect();
        let listed: Vec<u32> = vec![1, 2, 7, 8, 9, 30];
        for (selection, rows) in [(ranges, ranged), (Selection::Rows(listed.clone().into()), listed)] {
            for (size, taken) in
                (1..=rows.len() + 1).flat_map(|size| (1..=size).map(move |taken| (size, taken)))
            {
                let mut steps = Steps::new(selection.clone());
                let mut seen: Vec<u32> = Vec::new();
                loop {
                    let mut next: Vec<u32> = Vec::new();
                    for step in &steps.peek(size) {
                        match step.rows() {
                            Rows::Range(start, end) => next.extend(start..end),
                            Rows::List(rows) => next.extend(rows),
                        }
                    }
                    if next.is_empty() {
                        break;
                    }
                    assert!(next.len() <= size);
                    next.truncate(taken);
                    steps.advance(next.len());
                    seen.extend(next);
                }
                assert_eq!(seen, rows, "{size} {taken}");
            }
        }
    }
}
