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
        let block = |number: usize| {
            let mut state = aggregate.state();
            fold(aggregate, of, number * BLOCK..(number + 1) * BLOCK, &mut state);
            state
        };
        let mut levels = vec![(0..of.len() / BLOCK).map(block).collect::<Vec<State>>()];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let pair = |pair: &[State]| {
                let mut both = pair[0].clone();
                both.merge(&pair[1]);
                both
            };
            levels.push(below.chunks_exact(2).map(pair).collect());
        }
        Self(levels)
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
