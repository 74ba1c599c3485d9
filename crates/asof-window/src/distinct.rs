//! How many different values runs hold that ascend: each event comes in and goes out once.

use std::ops::Range;

use asof_model::{Cell, Value};

use crate::argument::Argument;
use crate::events::Values;
use crate::hashing::Random;
use crate::prepared::Prepared;

/// Memory for it, which stays from one key to the next.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    numbering: Numbering,
    numbers: Vec<u32>,
    counts: Vec<u32>,
}

impl Distinct {
    /// The count of each run; the argument is prepared.
    pub fn fold(
        &mut self,
        of: &Argument<'_>,
        prepared: &Prepared,
        runs: &[Range<usize>],
        put: &mut dyn FnMut(usize, Cell),
    ) {
        let different = self.numbering.fill(of, &mut self.numbers);
        self.counts.clear();
        self.counts.resize(different, 0);
        let (numbers, counts) = (&self.numbers, &mut self.counts);
        let whole = of.column.is_whole();
        let (mut head, mut tail, mut distinct) = (0, 0, 0_i64);
        for (place, run) in runs.iter().enumerate() {
            for event in (tail.max(run.start)..run.end).filter(|event| whole || of.holds(*event)) {
                let count = &mut counts[numbers[event] as usize];
                distinct += i64::from(*count == 0);
                *count += 1;
            }
            for event in (head..run.start.min(tail)).filter(|event| whole || of.holds(*event)) {
                let count = &mut counts[numbers[event] as usize];
                *count -= 1;
                distinct -= i64::from(*count == 0);
            }
            (head, tail) = (run.start.max(head), tail.max(run.end).max(run.start));
            let error = prepared.has_error(of, run);
            put(place, if error { Cell::Error } else { Cell::Value(Value::Int64(distinct)) });
        }
    }
}

/// Numbers for different values, in the order in which they are met.
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    /// Slots of values and their numbers, a power of two of them and half of them empty at least.
    slots: Vec<(u64, u32)>,
    random: Random,
}

/// No number.
const EMPTY: u32 = u32::MAX;

impl Numbering {
    /// A number for each event, the same for equal values; any number where there is none. Returns how many numbers there are.
    pub fn fill(&mut self, of: &Argument<'_>, numbers: &mut Vec<u32>) -> usize {
        numbers.clear();
        match of.column.values() {
            // Few values for many events: they are numbered already.
            Values::Codes(codes, dictionary) if dictionary.values.len() <= 4 * of.len() => {
                let codes = codes[of.within.clone()].iter();
                numbers.extend(codes.map(|code| if *code == u32::MAX { 0 } else { *code }));
                dictionary.values.len()
            }
            Values::Codes(codes, _) => {
                self.number(codes[of.within.clone()].iter().map(|code| u64::from(*code)), numbers)
            }
            Values::Integers(values) => {
                self.number(values[of.within.clone()].iter().map(|value| *value as u64), numbers)
            }
            Values::Floats(values) => {
                self.number(values[of.within.clone()].iter().map(|value| value.to_bits()), numbers)
            }
            Values::Events(_) => {
                numbers.resize(of.len(), 0);
                1
            }
        }
    }

    fn number(&mut self, values: impl ExactSizeIterator<Item = u64>, numbers: &mut Vec<u32>) -> usize {
        let random = self.random;
        let slots = (2 * values.len()).next_power_of_two();
        self.slots.clear();
        self.slots.resize(slots, (0, EMPTY));
        let mut next = 0;
        for value in values {
            let mut slot = random.hash(value) as usize & (slots - 1);
            let number = loop {
                match self.slots[slot] {
                    (_, EMPTY) => {
                        self.slots[slot] = (value, next);
                        next += 1;
                        break next - 1;
                    }
                    (known, number) if known == value => break number,
                    _ => slot = (slot + 1) & (slots - 1),
                }
            };
            numbers.push(number);
        }
        next as usize
    }
}
