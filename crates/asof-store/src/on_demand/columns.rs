//! The evaluation of columns, for training: a range of labels at a time.

use asof_expression::{Column, RequestTimestamps};
use asof_training::TrainingError;
use asof_training::join::Entering;
use asof_training::output::computed::{Compute, ComputeInputs, ComputedColumn};

use super::plan::{OnDemandPlan, Slot};

/// A plan as what computes the columns of an output: one for each step.
pub(crate) struct ComputeColumns(pub OnDemandPlan);

impl Compute for ComputeColumns {
    fn compute(&self, given: &ComputeInputs<'_>) -> Result<Vec<ComputedColumn>, TrainingError> {
        let mut made = Vec::with_capacity(self.0.steps.len());
        // What each step is to those behind it.
        let mut entering: Vec<Column> = Vec::with_capacity(self.0.steps.len());
        for step in &self.0.steps {
            let column = |slot: &Slot| match *slot {
                Slot::Input(place) => given.features.get(place).map(column),
                Slot::Request(place) => given.request.get(place).cloned().map(Column::new),
                Slot::Step(place) => entering.get(place).cloned(),
            };
            let lost = || TrainingError::Computed(format!("`{}` lacks an input", step.feature.name));
            let columns: Option<Vec<Column>> = step.reads.iter().map(column).collect();
            let columns = columns.ok_or_else(lost)?;
            let times = RequestTimestamps::Each(given.times);
            let column = step.expression.evaluate(&columns, given.rows, times);
            let Column { values, errors } =
                column.map_err(|error| TrainingError::Computed(error.sentence()))?;
            let raw = Entering { values, errors };
            let statuses = raw.statuses();
            let default = step.default.as_ref().and_then(asof_model::Cell::value);
            let shown = raw.or_default(default, step.feature.value_type)?;
            made.push(ComputedColumn { values: shown.values.clone(), statuses });
            entering.push(column_of(shown));
        }
        Ok(made)
    }
}

fn column(entering: &Entering) -> Column {
    column_of(entering.clone())
}

fn column_of(entering: Entering) -> Column {
    Column { values: entering.values, errors: entering.errors }
}
