//! The first and the last values of any run of events, found from one value to the next.

use std::ops::Range;

use asof_model::{Cell, Value, canonical};

use crate::argument::Argument;

/// No event.
const NONE: u32 = u32::MAX;

/// For each event the nearest one, itself included, that holds a value: behind it, or before it. Empty where each holds one.
#[derive(Debug, Default)]
pub(crate) struct Nearest(Vec<u32>);

impl Nearest {
    /// Makes it that of an argument; before each event where `last`.
    pub fn fill(&mut self, of: &Argument<'_>, last: bool) {
        self.0.clear();
        self.extend(of, last);
    }

    /// Makes it that of an argument of the same events and some behind them.
    pub fn extend(&mut self, of: &Argument<'_>, last: bool) {
        if of.column.is_whole() {
            return;
        }
        if last {
            let mut nearest = self.0.last().copied().unwrap_or(NONE);
            for event in self.0.len()..of.len() {
                if of.holds(event) {
                    nearest = event as u32;
                }
                self.0.push(nearest);
            }
            return;
        }
        let mut nearest = NONE;
        let known = self.0.len();
        self.0.resize(of.len(), NONE);
        for event in (0..of.len()).rev() {
            // What had a value behind it keeps it.
            if event < known && self.0[event] != NONE {
                break;
            }
            if of.holds(event) {
                nearest = event as u32;
            }
            self.0[event] = nearest;
        }
    }

    /// The first value of a run that holds one, or the last.
    pub fn one(&self, of: &Argument<'_>, run: &Range<usize>, last: bool, kept: &mut Vec<usize>) -> Cell {
        self.keep(of, run, (last, 1), kept);
        kept.first().map_or(Cell::Null, |event| Cell::Value(of.column.value(of.within.start + event)))
    }

    /// The first values of a run that holds one, so many at most, or the last: a list, the one that goes first at the front.
    pub fn list(
        &self,
        of: &Argument<'_>,
        run: &Range<usize>,
        (last, most): (bool, usize),
        kept: &mut Vec<usize>,
    ) -> Cell {
        self.keep(of, run, (last, most), kept);
        let value = |event: &usize| Some(of.column.value(of.within.start + event));
        Cell::Value(Value::List(kept.iter().map(value).collect()))
    }

    /// Keeps the events of those values, in their order: of events at one place that of their bytes.
    fn keep(
        &self,
        of: &Argument<'_>,
        run: &Range<usize>,
        (last, most): (bool, usize),
        kept: &mut Vec<usize>,
    ) {
        kept.clear();
        let mut next = match last {
            true => run.end.checked_sub(1).filter(|event| *event >= run.start),
            false => Some(run.start).filter(|event| *event < run.end),
        };
        let mut any_ties = false;
        while let Some(at) = next {
            let event = match self.0.get(at) {
                Some(&NONE) => break,
                Some(event) => *event as usize,
                None => at,
            };
            if !run.contains(&event) {
                break;
            }
            // All of one place are looked at: their bytes say which of them goes first.
            let ties = kept.last().is_some_and(|before| of.ties(*before, event));
            if kept.len() >= most && !ties {
                break;
            }
            any_ties |= ties;
            kept.push(event);
            next = if last { event.checked_sub(1) } else { Some(event + 1).filter(|at| *at < of.len()) };
        }
        if any_ties {
            for group in kept.chunk_by_mut(|one, other| of.ties(*one, *other)) {
                group.sort_by_cached_key(|event| canonical::bits(&of.column.value(of.within.start + event)));
                if last {
                    group.reverse();
                }
            }
        }
        kept.truncate(most);
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        self.0.capacity() * size_of::<u32>()
    }
}
