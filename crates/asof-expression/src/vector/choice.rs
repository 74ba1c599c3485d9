//! `case` and `coalesce` over columns: which part each row takes, and then all rows at once.

use arrow::array::{Array, ArrayRef};
use arrow::compute::interleave;
use asof_arrow::{ColumnBuilder, constant};
use asof_model::{Cell, ValueType};

use super::lane::{Errors, Lane, Rows};

/// `case`: in each row the result of the first condition that is true. The last result is that of `else`.
pub(super) fn case(conditions: &[Lane], results: &[Lane], of: ValueType, rows: usize) -> Lane {
    let otherwise = conditions.len();
    let mut chosen: Vec<Option<usize>> = vec![Some(otherwise); rows];
    let mut open: Vec<usize> = (0..rows).collect();
    for (place, condition) in conditions.iter().enumerate() {
        let values = condition.booleans(rows);
        let errors = condition.errors(rows);
        open.retain(|row| {
            if errors.as_ref().is_some_and(|errors| errors.value(*row)) {
                chosen[*row] = None;
                return false;
            }
            let selected = values.is_valid(*row) && values.value(*row);
            if selected {
                chosen[*row] = Some(place);
            }
            !selected
        });
    }
    gather(results, &chosen, of)
}

/// `coalesce`: in each row the first part that is not null.
pub(super) fn coalesce(parts: &[Lane], of: ValueType, rows: usize) -> Lane {
    // A row that is null everywhere takes the null of any part.
    let mut chosen: Vec<Option<usize>> = vec![Some(0); rows];
    let mut open: Vec<usize> = (0..rows).collect();
    for (place, part) in parts.iter().enumerate() {
        open.retain(|row| {
            let is_null = match part {
                Lane::Same(cell) => *cell == Cell::Null,
                Lane::Rows(lane) => {
                    lane.values.is_null(*row)
                        && !lane.errors.as_ref().is_some_and(|errors| errors.value(*row))
                }
            };
            if !is_null {
                chosen[*row] = Some(place);
            }
            is_null
        });
    }
    gather(parts, &chosen, of)
}

/// Each row from the part that it has chosen; `None` is ERROR.
fn gather(parts: &[Lane], chosen: &[Option<usize>], of: ValueType) -> Lane {
    let rows = chosen.len();
    let mut errors = Errors::new(rows);
    let mut sources: Vec<ArrayRef> = parts
        .iter()
        .map(|part| match part {
            Lane::Rows(lane) => lane.values.clone(),
            Lane::Same(cell) => constant(of, cell.value(), 1),
        })
        .collect();
    let nothing = sources.len();
    sources.push(constant(of, None, 1));
    let mut indices = Vec::with_capacity(rows);
    for (row, choice) in chosen.iter().enumerate() {
        let from = match choice.and_then(|place| Some((place, parts.get(place)?))) {
            Some((place, Lane::Rows(lane))) => {
                if lane.errors.as_ref().is_some_and(|errors| errors.value(row)) {
                    errors.set(row);
                }
                (place, row)
            }
            Some((place, Lane::Same(cell))) => {
                if *cell == Cell::Error {
                    errors.set(row);
                }
                (place, 0)
            }
            None => {
                errors.set(row);
                (nothing, 0)
            }
        };
        indices.push(from);
    }
    let arrays: Vec<&dyn Array> = sources.iter().map(AsRef::as_ref).collect();
    match interleave(&arrays, &indices) {
        Ok(values) => Lane::Rows(Rows::new(values, errors.finish())),
        // Arrays of one type interleave, unless their text passes 2 GiB: row by row says the same.
        Err(_) => Lane::Rows(Rows::new(by_row(parts, chosen, of), errors.finish())),
    }
}

fn by_row(parts: &[Lane], chosen: &[Option<usize>], of: ValueType) -> ArrayRef {
    let mut builder = ColumnBuilder::new(of, chosen.len());
    for (row, choice) in chosen.iter().enumerate() {
        let cell = choice.and_then(|place| parts.get(place)).map(|part| part.cell(of, row));
        builder.append(cell.as_ref().and_then(Cell::value));
    }
    builder.finish()
}
