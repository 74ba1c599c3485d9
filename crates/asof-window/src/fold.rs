//! The values of a function over runs of the events of a key: read where something was prepared, swept where not.

use std::ops::Range;

use asof_model::Cell;

use crate::argument::Argument;
use crate::distinct::Distinct;
use crate::function::Function;
use crate::prepared::Prepared;
use crate::{Aggregate, State, sweep};

/// Memory that stays from one key to the next.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    distinct: Distinct,
    kept: Vec<usize>,
}

/// The values of an aggregate over runs, which begin and end in ascending order. `prepared` is that of the argument so far.
pub(crate) fn fold(
    aggregate: &Aggregate,
    of: &Argument<'_>,
    prepared: &mut Prepared,
    runs: &[Range<usize>],
    memory: &mut Memory,
    put: &mut dyn FnMut(usize, Cell),
) {
    if let Some(reading) = prepared.prepare(of, aggregate.function()) {
        for (place, run) in runs.iter().enumerate() {
            put(place, prepared.read(of, reading, run, &mut memory.kept));
        }
    } else if aggregate.function() == Function::CountDistinct {
        memory.distinct.fold(of, prepared, runs, put);
    } else {
        let into = |state: &mut State, event: usize, by: i64| {
            aggregate.put(state, &of.column.cell(of.within.start + event), &of.place(event), by);
        };
        sweep::runs(aggregate, 0, runs, &into, put);
    }
}
