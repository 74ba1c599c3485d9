//! States of blocks of events, of pairs of blocks, of pairs of pairs, and so on: any run is a few of them, and the events at
//! its ends.

use std::ops::Range;

use asof_model::Cell;

use super::series::fold;
use crate::argument::Argument;
use crate::{Aggregate, State};

/// Events of a block.
const BLOCK: usize = 32;

/// The states, level by level from that of the blocks. A level holds what is whole of it.
#[derive(Debug)]
pub(crate) struct Pyramid(Vec<Vec<State>>);

impl Pyramid {
    pub fn new(aggregate: &Aggregate, of: &Argument<'_>) -> Self {
        let mut pyramid = Self(vec![Vec::new()]);
        pyramid.extend(aggregate, of);
        pyramid
    }

    /// Makes it that of the same events and some behind them.
    pub fn extend(&mut self, aggregate: &Aggregate, of: &Argument<'_>) {
        let known = self.0.first().map_or(0, Vec::len);
        for number in known..of.len() / BLOCK {
            let mut state = aggregate.state();
            fold(aggregate, of, number * BLOCK..(number + 1) * BLOCK, &mut state);
            // A block that is the second of its pair makes a block of the next level.
            for level in 0.. {
                if self.0.len() == level {
                    self.0.push(Vec::new());
                }
                self.0[level].push(state.clone());
                let count = self.0[level].len();
                if count % 2 == 1 {
                    break;
                }
                state.merge(&self.0[level][count - 2]);
            }
        }
    }

    /// The value of a run.
    pub fn read(&self, aggregate: &Aggregate, of: &Argument<'_>, run: &Range<usize>) -> Cell {
        let (mut first, mut last) = (run.start.div_ceil(BLOCK), run.end / BLOCK);
        let mut state = aggregate.state();
        if first >= last {
            fold(aggregate, of, run.clone(), &mut state);
            return aggregate.value(&state);
        }
        fold(aggregate, of, run.start..first * BLOCK, &mut state);
        fold(aggregate, of, last * BLOCK..run.end, &mut state);
        for level in &self.0 {
            if first >= last {
                break;
            }
            // A half of a pair at either end; what is between them is whole pairs.
            if first % 2 == 1 {
                state.merge(&level[first]);
                first += 1;
            }
            if last % 2 == 1 {
                last -= 1;
                state.merge(&level[last]);
            }
            (first, last) = (first / 2, last / 2);
        }
        aggregate.value(&state)
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        self.0.iter().flatten().map(State::size).sum()
    }
}
