//! Columns that are computed of label columns and of features, range by range.
//!
//! Who says what is computed stands above: an output brings the inputs of a range together, and
//! takes what comes of them.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use asof_model::Status;

use crate::TrainingError;
use crate::join::Entering;
use crate::labels::ValueColumn;

/// What an output computes.
pub struct Computed {
    /// The label column with the times.
    pub time: String,
    /// The label columns that are read, as values of these types.
    pub request: Vec<ValueColumn>,
    /// The features that are read.
    pub features: Vec<FeaturePlace>,
    /// What computes.
    pub by: Arc<dyn Compute>,
}

/// A feature among those that were asked of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeaturePlace {
    /// The place of its view in the join.
    pub view: usize,
    /// The place of the feature among those that were asked of the view.
    pub feature: usize,
}

/// The inputs of a range, a row for each label.
pub struct ComputeInputs<'i> {
    /// How many labels the range has.
    pub rows: usize,
    /// The label times.
    pub times: &'i TimestampMicrosecondArray,
    /// The columns of [`Computed::request`].
    pub request: &'i [ArrayRef],
    /// The columns of [`Computed::features`].
    pub features: &'i [Entering],
}

/// Computes columns.
pub trait Compute: Send + Sync {
    /// The columns of a range, each of the type that it is declared with. A row depends on its own inputs alone.
    ///
    /// # Errors
    /// [`TrainingError::Computed`]: a defect of ours.
    fn compute(&self, inputs: &ComputeInputs<'_>) -> Result<Vec<ComputedColumn>, TrainingError>;
}

/// One column that was computed, a row for each label.
#[derive(Debug, Clone)]
pub struct ComputedColumn {
    /// After defaults; null where there is no value.
    pub values: ArrayRef,
    /// Why each value is what it is: PRESENT, NULL or ERROR.
    pub statuses: Vec<Status>,
}
