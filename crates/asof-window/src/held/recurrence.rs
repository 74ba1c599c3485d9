//! How many different values any run holds: those of its events whose value is not there before them in the run.

use std::ops::Range;

use asof_model::{Cell, Value};

use super::wavelet::Wavelet;
use crate::argument::Argument;
use crate::distinct::Numbering;

/// So many events are looked at one by one, and a part of all.
const SCANNED_MAX: usize = 256;
const SCANNED_PART: usize = 32;

/// For each event one more than the event before it that holds the same value; 0: there is none. Of an event without a value
/// one more than itself.
#[derive(Debug)]
pub(crate) struct Recurrence {
    before: Vec<u32>,
    /// Of the first events; the others are looked at one by one.
    sorted: Option<Wavelet>,
    sorted_count: usize,
}

impl Recurrence {
    pub fn new(of: &Argument<'_>) -> Self {
        let mut numbers = Vec::new();
        let different = Numbering::default().fill(of, &mut numbers);
        let mut seen = vec![0_u32; different];
        let before =
            numbers.iter().zip(1..).enumerate().map(|(event, (number, next))| match of.holds(event) {
                true => std::mem::replace(&mut seen[*number as usize], next),
                false => next,
            });
        let mut recurrence = Self { before: before.collect(), sorted: None, sorted_count: 0 };
        recurrence.sort();
        recurrence
    }

    /// Makes it that of the same events and some behind them.
    pub fn extend(&mut self, of: &Argument<'_>) {
        let first = of.within.start;
        for event in self.before.len()..of.len() {
            self.before.push(match of.holds(event) {
                true => {
                    of.column.before(first, first + event).map_or(0, |before| (before - first) as u32 + 1)
                }
                false => event as u32 + 1,
            });
        }
        self.sort();
    }

    fn sort(&mut self) {
        if self.before.len() - self.sorted_count > SCANNED_MAX + self.sorted_count / SCANNED_PART {
            self.sorted = Some(Wavelet::new(self.before.clone()));
            self.sorted_count = self.before.len();
        }
    }

    /// The count of a run.
    pub fn read(&self, run: &Range<usize>) -> Cell {
        let limit = run.start as u32 + 1;
        let middle = self.sorted_count.clamp(run.start, run.end);
        let sorted = self.sorted.as_ref().map_or(0, |sorted| match run.start < middle {
            true => sorted.below(run.start..middle, limit),
            false => 0,
        });
        let scanned = self.before[middle..run.end].iter().filter(|before| **before < limit).count();
        Cell::Value(Value::Int64((sorted + scanned) as i64))
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        self.before.capacity() * size_of::<u32>() + self.sorted.as_ref().map_or(0, Wavelet::size)
    }
}
