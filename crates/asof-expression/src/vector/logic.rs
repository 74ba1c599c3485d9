//! Conditions over columns: each is three sets of rows (true, false, ERROR; the rest is null), combined bit by bit.

use arrow::array::{Array, ArrayRef, BooleanArray, Datum, Scalar};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::kernels::cmp;
use asof_arrow::constant;
use asof_model::{Cell, Value, ValueType};

use super::lane::{self, Errors, Lane};
use crate::order::{self, Comparison};

/// A condition as sets of rows.
struct Sets {
    yes: BooleanBuffer,
    no: BooleanBuffer,
    error: Option<BooleanBuffer>,
}

impl Sets {
    fn of(lane: &Lane, rows: usize) -> Self {
        let array = lane.booleans(rows);
        let (values, nulls) = (array.values().clone(), array.nulls().map(|nulls| nulls.inner().clone()));
        let (yes, no) = match nulls {
            None => (values.clone(), !&values),
            Some(valid) => (&values & &valid, &!&values & &valid),
        };
        Self { yes, no, error: lane.errors(rows) }
    }

    fn lane(self) -> Lane {
        let valid = &self.yes | &self.no;
        let nulls = (valid.count_set_bits() < valid.len()).then(|| NullBuffer::new(valid));
        lane::rows(BooleanArray::new(self.yes, nulls), self.error)
    }
}

/// `and` of all parts, from left to right.
pub(super) fn and(parts: impl Iterator<Item = Lane>, rows: usize) -> Lane {
    let mut all = Sets { yes: BooleanBuffer::new_set(rows), no: BooleanBuffer::new_unset(rows), error: None };
    for part in parts {
        let part = Sets::of(&part, rows);
        // Where a false has decided, an ERROR has no say, and the other way round.
        let error = part.error.map(|error| &error & &!&all.no);
        let no = match &all.error {
            None => &all.no | &part.no,
            Some(decided) => &all.no | &(&part.no & &!decided),
        };
        all = Sets { yes: &all.yes & &part.yes, no, error: lane::union(all.error, error) };
    }
    all.lane()
}

/// `or` of all parts, from left to right.
pub(super) fn or(parts: impl Iterator<Item = Lane>, rows: usize) -> Lane {
    let mut any = Sets { yes: BooleanBuffer::new_unset(rows), no: BooleanBuffer::new_set(rows), error: None };
    for part in parts {
        let part = Sets::of(&part, rows);
        let error = part.error.map(|error| &error & &!&any.yes);
        let yes = match &any.error {
            None => &any.yes | &part.yes,
            Some(decided) => &any.yes | &(&part.yes & &!decided),
        };
        any = Sets { yes, no: &any.no & &part.no, error: lane::union(any.error, error) };
    }
    any.lane()
}

/// `not`.
pub(super) fn not(operand: Lane, rows: usize) -> Lane {
    let Sets { yes, no, error } = Sets::of(&operand, rows);
    Sets { yes: no, no: yes, error }.lane()
}

/// `is null` and `is not null`.
pub(super) fn is_null(operand: Lane, negated: bool, rows: usize) -> Lane {
    match operand {
        Lane::Same(Cell::Error) => Lane::Same(Cell::Error),
        Lane::Same(cell) => Lane::Same(Cell::Value(Value::Bool((cell == Cell::Null) != negated))),
        Lane::Rows(lane) => {
            let valid = match lane.values.nulls() {
                Some(nulls) => nulls.inner().clone(),
                None => BooleanBuffer::new_set(rows),
            };
            let values = if negated { valid } else { !&valid };
            lane::rows(BooleanArray::new(values, None), lane.errors)
        }
    }
}

pub(super) fn equal(left: &Lane, right: &Lane, of: ValueType, rows: usize) -> Lane {
    compared(Comparison::Equal, left, right, of, rows)
}

pub(super) fn at_least(left: &Lane, right: &Lane, of: ValueType, rows: usize) -> Lane {
    compared(Comparison::GreaterOrEqual, left, right, of, rows)
}

pub(super) fn at_most(left: &Lane, right: &Lane, of: ValueType, rows: usize) -> Lane {
    compared(Comparison::LessOrEqual, left, right, of, rows)
}

/// A comparison of two lanes of one type. `None` where Arrow has no kernel with our order.
pub(super) fn compare(op: Comparison, left: &Lane, right: &Lane, of: ValueType, rows: usize) -> Option<Lane> {
    // Our order of these is Arrow's: floats are canonical, so its total order has one zero and NaN on top; uuids are
    // lower-case text, whose order is that of their bits.
    if !order::has_order(of) {
        return None;
    }
    let errors = lane::union(left.errors(rows), right.errors(rows));
    let (left, right) = (Side::of(left, of)?, Side::of(right, of)?);
    let result = match op {
        Comparison::Equal => cmp::eq(&left, &right),
        Comparison::NotEqual => cmp::neq(&left, &right),
        Comparison::Less => cmp::lt(&left, &right),
        Comparison::LessOrEqual => cmp::lt_eq(&left, &right),
        Comparison::Greater => cmp::gt(&left, &right),
        Comparison::GreaterOrEqual => cmp::gt_eq(&left, &right),
    };
    // Two constants compare to one row: those are the caller's to fold.
    let result = result.ok().filter(|result| result.len() == rows)?;
    Some(lane::rows(result, errors))
}

fn compared(op: Comparison, left: &Lane, right: &Lane, of: ValueType, rows: usize) -> Lane {
    if let (Lane::Same(left), Lane::Same(right)) = (left, right) {
        return Lane::Same(match (left, right) {
            (Cell::Error, _) | (_, Cell::Error) => Cell::Error,
            (Cell::Value(left), Cell::Value(right)) => {
                Cell::Value(Value::Bool(op.holds(order::compare(left, right))))
            }
            _ => Cell::Null,
        });
    }
    compare(op, left, right, of, rows).unwrap_or_else(|| compared_by_row(op, left, right, of, rows))
}

fn compared_by_row(op: Comparison, left: &Lane, right: &Lane, of: ValueType, rows: usize) -> Lane {
    let mut errors = Errors::new(rows);
    let results: BooleanArray = (0..rows)
        .map(|row| match (left.cell(of, row), right.cell(of, row)) {
            (Cell::Error, _) | (_, Cell::Error) => {
                errors.set(row);
                None
            }
            (Cell::Value(left), Cell::Value(right)) => Some(op.holds(order::compare(&left, &right))),
            _ => None,
        })
        .collect();
    lane::rows(results, errors.finish())
}

/// An operand of Arrow's kernels.
enum Side {
    Rows(ArrayRef),
    Same(Scalar<ArrayRef>),
}

impl Side {
    fn of(lane: &Lane, of: ValueType) -> Option<Self> {
        Some(match lane {
            Lane::Rows(lane) => Self::Rows(lane.values.clone()),
            Lane::Same(cell) => Self::Same(Scalar::new(constant(of, cell.value(), 1))),
        })
    }
}

impl Datum for Side {
    fn get(&self) -> (&dyn Array, bool) {
        match self {
            Self::Rows(array) => (array, false),
            Self::Same(scalar) => scalar.get(),
        }
    }
}
