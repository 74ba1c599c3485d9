//! What a part gives over a batch: rows, or one cell for all of them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, make_array};
use arrow::buffer::{BooleanBuffer, MutableBuffer, NullBuffer};
use arrow::util::bit_util;
use asof_arrow::{constant, value_at};
use asof_model::{Cell, ValueType};

use super::Column;

/// The results of a part.
#[derive(Debug, Clone)]
pub(super) enum Lane {
    /// One for each row.
    Rows(Rows),
    /// The same one in every row.
    Same(Cell),
}

/// Values and errors of rows.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    pub values: ArrayRef,
    /// At least one row is in error where there are any.
    pub errors: Option<BooleanBuffer>,
}

impl Rows {
    /// Rows whose errors are null among the values.
    pub fn new(values: ArrayRef, errors: Option<BooleanBuffer>) -> Self {
        let errors = errors.filter(|errors| errors.count_set_bits() > 0);
        let Some(errors) = errors else { return Self { values, errors: None } };
        let valid = NullBuffer::union(values.nulls(), Some(&NullBuffer::new(!&errors)));
        let hidden = values.to_data().into_builder().nulls(valid).build();
        // The data differ in their nulls alone, so they build; if not, the errors still count.
        let values = hidden.map_or(values, make_array);
        Self { values, errors: Some(errors) }
    }
}

impl Lane {
    /// The cell of a row.
    pub fn cell(&self, of: ValueType, row: usize) -> Cell {
        match self {
            Self::Same(cell) => cell.clone(),
            Self::Rows(rows) if rows.errors.as_ref().is_some_and(|errors| errors.value(row)) => Cell::Error,
            Self::Rows(rows) => value_at(&rows.values, of, row).map_or(Cell::Null, Cell::Value),
        }
    }

    /// As a column of that type.
    pub fn into_column(self, of: ValueType, rows: usize) -> Column {
        match self {
            Self::Rows(rows) => Column { values: rows.values, errors: rows.errors },
            Self::Same(Cell::Value(value)) => Column::new(constant(of, Some(&value), rows)),
            Self::Same(Cell::Null) => Column::new(constant(of, None, rows)),
            Self::Same(Cell::Error) => {
                let errors = (rows > 0).then(|| BooleanBuffer::new_set(rows));
                Column { values: constant(of, None, rows), errors }
            }
        }
    }

    /// The rows in error.
    pub fn errors(&self, rows: usize) -> Option<BooleanBuffer> {
        match self {
            Self::Rows(rows) => rows.errors.clone(),
            Self::Same(Cell::Error) => Some(BooleanBuffer::new_set(rows)),
            Self::Same(_) => None,
        }
    }

    /// The numbers of a lane, or one for all rows. `None` where it holds no numbers of that Arrow type.
    pub fn numbers<T: ArrowPrimitiveType>(
        &self,
        one: impl Fn(&Cell) -> Option<T::Native>,
    ) -> Option<Numbers<'_, T>> {
        match self {
            Self::Rows(rows) => rows.values.as_primitive_opt::<T>().map(Numbers::Rows),
            Self::Same(Cell::Value(_)) => match self {
                Self::Same(cell) => one(cell).map(Numbers::Same),
                Self::Rows(_) => None,
            },
            // Null or ERROR in every row needs no arithmetic: the row-wise path is as good.
            Self::Same(_) => None,
        }
    }

    /// As one boolean array, for constants too.
    pub fn booleans(&self, rows: usize) -> BooleanArray {
        match self {
            Self::Rows(lane) => match lane.values.as_boolean_opt() {
                Some(array) => array.clone(),
                None => BooleanArray::new_null(rows),
            },
            Self::Same(Cell::Value(asof_model::Value::Bool(v))) => {
                let values = if *v { BooleanBuffer::new_set(rows) } else { BooleanBuffer::new_unset(rows) };
                BooleanArray::new(values, None)
            }
            Self::Same(_) => BooleanArray::new_null(rows),
        }
    }
}

/// Numbers of rows, or one number for all of them.
pub(super) enum Numbers<'a, T: ArrowPrimitiveType> {
    Rows(&'a PrimitiveArray<T>),
    Same(T::Native),
}

impl<T: ArrowPrimitiveType> Numbers<'_, T> {
    /// Which rows are not null.
    pub fn nulls(&self) -> Option<&NullBuffer> {
        match self {
            Self::Rows(array) => array.nulls(),
            Self::Same(_) => None,
        }
    }
}

/// The cells of lanes that are all constant.
pub(super) fn all_same(lanes: &[Lane]) -> Option<Vec<Cell>> {
    let cells = lanes.iter().map(|lane| match lane {
        Lane::Same(cell) => Some(cell.clone()),
        Lane::Rows(_) => None,
    });
    cells.collect()
}

/// The rows in error in either.
pub(super) fn union(a: Option<BooleanBuffer>, b: Option<BooleanBuffer>) -> Option<BooleanBuffer> {
    match (a, b) {
        (Some(a), Some(b)) => Some(&a | &b),
        (a, b) => a.or(b),
    }
}

/// Collects the rows in error.
pub(super) struct Errors {
    bits: Option<MutableBuffer>,
    rows: usize,
}

impl Errors {
    pub fn new(rows: usize) -> Self {
        Self { bits: None, rows }
    }

    /// Marks a row.
    pub fn set(&mut self, row: usize) {
        let rows = self.rows;
        let bits = self.bits.get_or_insert_with(|| MutableBuffer::new_null(rows));
        bit_util::set_bit(bits.as_slice_mut(), row);
    }

    pub fn finish(self) -> Option<BooleanBuffer> {
        self.bits.map(|bits| BooleanBuffer::new(bits.into(), 0, self.rows))
    }
}

/// An array of values with these nulls, as rows.
pub(super) fn rows(values: impl Array + 'static, errors: Option<BooleanBuffer>) -> Lane {
    Lane::Rows(Rows::new(Arc::new(values), errors))
}
