//! What enters expressions, and what comes out of them: columns with rows that are ERROR (SEMANTICS 5).

use arrow::array::{Array, ArrayRef, BooleanArray, Scalar};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::zip::zip;
use asof_engine::columns::constant;
use asof_model::{Status, Value, ValueType};

use crate::TrainingError;

/// A column with the rows that are ERROR: what enters an expression, or comes out of it.
#[derive(Debug, Clone)]
pub struct Entering {
    /// The values, after defaults where they are features; null where a row is null or ERROR.
    pub values: ArrayRef,
    /// Which rows are ERROR. `None`: none is.
    pub errors: Option<BooleanBuffer>,
}

impl Entering {
    /// The same with `default` in every row that holds no value: what it is to others, and what is shown of it.
    ///
    /// # Errors
    /// [`TrainingError::Arrow`], a defect of ours.
    pub fn or_default(&self, default: Option<&Value>, of: ValueType) -> Result<Self, TrainingError> {
        let (Some(default), true) = (default, self.values.null_count() > 0) else { return Ok(self.clone()) };
        let keep = match self.values.nulls() {
            Some(nulls) => BooleanArray::new(nulls.inner().clone(), None),
            None => return Ok(self.clone()),
        };
        let default = Scalar::new(constant(of, Some(default), 1));
        Ok(Self { values: zip(&keep, &self.values, &default)?, errors: None })
    }

    /// Why each row is what it is.
    pub fn statuses(&self) -> Vec<Status> {
        let error = |row: usize| self.errors.as_ref().is_some_and(|errors| errors.value(row));
        let status = |row: usize| match (error(row), self.values.is_null(row)) {
            (true, _) => Status::Error,
            (false, true) => Status::Null,
            (false, false) => Status::Present,
        };
        (0..self.values.len()).map(status).collect()
    }
}
