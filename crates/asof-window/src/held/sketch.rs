//! About how many different values any run of events holds: the registers of blocks, of pairs of blocks, and so on, and those
//! that the events at its ends raise.

use std::ops::Range;

use asof_model::{Cell, Value};

use crate::argument::Argument;
use crate::cardinality::{self, REGISTERS};
use crate::distinct::Numbering;
use crate::states::Registers;

/// Events of a block: as many as a merge of two blocks costs.
const BLOCK: usize = 1024;

/// What the events of a run raise registers to.
#[derive(Debug)]
pub(crate) struct Sketch {
    /// For each event its register and what that holds at least then; 0 where there is no value.
    raised: Vec<(u16, u8)>,
    /// The registers of each block, one after the other, then those of pairs, and so on. A level holds what is whole of it.
    levels: Vec<Vec<u8>>,
}

impl Sketch {
    pub fn new(of: &Argument<'_>) -> Self {
        let mut numbers = Vec::new();
        let different = Numbering::default().fill(of, &mut numbers);
        // A value is hashed once.
        let mut known: Vec<Option<(u16, u8)>> = vec![None; different];
        let raised = numbers.iter().enumerate().map(|(event, number)| match of.holds(event) {
            true => *known[*number as usize].get_or_insert_with(|| place(of, event)),
            false => (0, 0),
        });
        let mut sketch = Self { raised: raised.collect(), levels: vec![Vec::new()] };
        sketch.merge_blocks();
        sketch
    }

    /// Makes it that of the same events and some behind them.
    pub fn extend(&mut self, of: &Argument<'_>) {
        let more = self.raised.len()..of.len();
        self.raised.extend(more.map(|event| if of.holds(event) { place(of, event) } else { (0, 0) }));
        self.merge_blocks();
    }

    /// Makes the registers of all whole blocks that have none.
    fn merge_blocks(&mut self) {
        let known = self.levels.first().map_or(0, |blocks| blocks.len() / REGISTERS);
        for events in self.raised.chunks_exact(BLOCK).skip(known) {
            let mut registers = vec![0; REGISTERS];
            raise(&mut registers, events);
            // A block that is the second of its pair makes a block of the next level.
            for level in 0.. {
                if self.levels.len() == level {
                    self.levels.push(Vec::new());
                }
                self.levels[level].extend_from_slice(&registers);
                let count = self.levels[level].len() / REGISTERS;
                if count % 2 == 1 {
                    break;
                }
                let first = (count - 2) * REGISTERS;
                merge(&mut registers, &self.levels[level][first..first + REGISTERS]);
            }
        }
    }

    /// The estimate of a run.
    pub fn read(&self, run: &Range<usize>) -> Cell {
        let mut registers = [0; REGISTERS];
        let (mut first, mut last) = (run.start.div_ceil(BLOCK), run.end / BLOCK);
        if first >= last {
            raise(&mut registers, &self.raised[run.clone()]);
        } else {
            raise(&mut registers, &self.raised[run.start..first * BLOCK]);
            raise(&mut registers, &self.raised[last * BLOCK..run.end]);
        }
        for level in &self.levels {
            if first >= last {
                break;
            }
            let of = |number: usize| &level[number * REGISTERS..(number + 1) * REGISTERS];
            // A half of a pair at either end; what is between them is whole pairs.
            if first % 2 == 1 {
                merge(&mut registers, of(first));
                first += 1;
            }
            if last % 2 == 1 {
                last -= 1;
                merge(&mut registers, of(last));
            }
            (first, last) = (first / 2, last / 2);
        }
        Cell::Value(Value::Int64(cardinality::estimate_of(&registers) as i64))
    }

    /// Bytes beside its own.
    pub fn size(&self) -> usize {
        let levels = self.levels.iter().map(Vec::capacity).sum::<usize>();
        levels + self.raised.capacity() * size_of::<(u16, u8)>()
    }
}

/// The register that an event raises, and to what.
fn place(of: &Argument<'_>, event: usize) -> (u16, u8) {
    Registers::place(&of.column.value(of.within.start + event))
}

fn raise(registers: &mut [u8], events: &[(u16, u8)]) {
    for (register, rank) in events {
        let held = &mut registers[usize::from(*register)];
        *held = (*held).max(*rank);
    }
}

fn merge(registers: &mut [u8], others: &[u8]) {
    registers.iter_mut().zip(others).for_each(|(held, other)| *held = (*held).max(*other));
}

#[cfg(test)]
mod tests {
    use asof_model::ValueType;
    use proptest::prelude::*;

    use super::*;
    use crate::Place;
    use crate::events::{Column, Events, Mark};
    use crate::states::Fold;

    fn column(values: &[Option<i64>]) -> Column {
        let mut column = Column::new(ValueType::Int64);
        for value in values {
            match value {
                Some(value) => column.push_integer(*value),
                None => column.push_mark(Mark::Null),
            }
        }
        column
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Goal: over blocks and pairs of blocks the estimate of any run is that of its values one by one, also where some
        /// events came later.
        #[test]
        fn any_run(
            seed in any::<u64>(), count in 0_usize..9_000, most in 1_u64..20_000,
            first in 0.0..=1.0_f64, from in 0.0..=1.0_f64, until in 0.0..=1.0_f64,
        ) {
            let value = |event: u64| (event ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let values = (0..count as u64).map(|event| (event % 17 > 0).then(|| (value(event) % most) as i64));
            let values: Vec<Option<i64>> = values.collect();
            let place = |part: f64| (part * count as f64) as usize;
            let events = Events::default();
            let argument = |column, count| Argument { events: &events, column, within: 0..count };
            let (some, all) = (column(&values[..place(first)]), column(&values));
            let mut sketch = Sketch::new(&argument(&some, place(first)));
            sketch.extend(&argument(&all, count));
            let run = place(from.min(until))..place(from.max(until));
            let mut registers = Registers::default();
            for value in values[run.clone()].iter().flatten() {
                registers.put(&Value::Int64(*value), &Place::default(), 1);
            }
            prop_assert_eq!(sketch.read(&run), Cell::Value(Value::Int64(registers.estimate() as i64)));
        }
    }
}
