//! How many different values any run holds: those of its events whose value is not there before them in the run.

use std::ops::Range;

use asof_model::{Cell, Value};

use super::wavelet::Wavelet;
use crate::argument::Argument;
use crate::distinct::Numbering;

/// So many events are looked at one by one.
const SCANNED_MAX: usize = 256;

/// For each event one more than the event before it that holds the same value; 0: there is none.
#[derive(Debug)]
pub(crate) enum Recurrence {
    Few(Vec<u32>),
    Many(Wavelet),
}

impl Recurrence {
    pub fn new(of: &Argument<'_>) -> Self {
        let mut numbers = Vec::new();
        let different = Numbering::default().fill(of, &mut numbers);
        let mut seen = vec![0_u32; different];
        // What holds no value recurs behind everything.
        let none = of.len() as u32 + 1;
        let before = numbers.iter().enumerate().map(|(event, number)| match of.holds(event) {
            true => std::mem::replace(&mut seen[*number as usize], event as u32 + 1),
            false => none,
        });
        let before: Vec<u32> = before.collect();
        if before.len() <= SCANNED_MAX { Self::Few(before) } else { Self::Many(Wavelet::new(before)) }
    }

    /// The count of a run.
    pub fn read(&self, run: &Range<usize>) -> Cell {
        let limit = run.start as u32 + 1;
        let count = match self {
            Self::Few(before) => before[run.clone()].iter().filter(|before| **before < limit).count(),
            Self::Many(wavelet) => wavelet.below(run.clone(), limit),
        };
        Cell::Value(Value::Int64(count as i64))
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        match self {
            Self::Few(before) => before.capacity() * size_of::<u32>(),
            Self::Many(wavelet) => wavelet.size(),
        }
    }
}
