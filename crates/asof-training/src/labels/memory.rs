//! Labels that are in memory, such as those of a request.

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use asof_engine::EngineError;

use super::{LabelReader, Labels, ValueColumn, ValuesSink, with_values};
use crate::TrainingError;

/// A label table whose columns have the types that are asked for already.
pub struct MemoryLabels(RecordBatch);

impl MemoryLabels {
    /// These rows.
    pub fn new(rows: RecordBatch) -> Self {
        Self(rows)
    }

    fn columns(&self, columns: &[ValueColumn]) -> Result<Vec<ArrayRef>, TrainingError> {
        let column = |ValueColumn { name, .. }: &ValueColumn| {
            self.0.column_by_name(name).cloned().ok_or_else(|| EngineError::NoColumn {
                what: "labels".to_owned(),
                path: "request".into(),
                column: name.clone(),
                hint: None,
            })
        };
        Ok(columns.iter().map(column).collect::<Result<Vec<_>, _>>()?)
    }
}

impl Labels for MemoryLabels {
    fn pieces(&self) -> usize {
        1
    }

    fn values(
        &self,
        _piece: usize,
        columns: &[ValueColumn],
        sink: &mut ValuesSink<'_>,
    ) -> Result<(), TrainingError> {
        sink(0, self.columns(columns)?)
    }

    fn rows(&self) -> u64 {
        self.0.num_rows() as u64
    }

    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn reader(&self, values: &[ValueColumn]) -> Result<Box<dyn LabelReader + '_>, TrainingError> {
        let mut columns = self.0.columns().to_vec();
        columns.extend(self.columns(values)?);
        let options = RecordBatchOptions::new().with_row_count(Some(self.0.num_rows()));
        let schema = with_values(&self.0.schema(), values);
        Ok(Box::new(MemoryReader {
            rows: RecordBatch::try_new_with_options(schema, columns, &options)?,
            next: 0,
        }))
    }
}

struct MemoryReader {
    rows: RecordBatch,
    next: usize,
}

impl LabelReader for MemoryReader {
    fn next(&mut self, rows: usize) -> Result<RecordBatch, TrainingError> {
        let batch = self.rows.slice(self.next, rows.min(self.rows.num_rows() - self.next));
        self.next += batch.num_rows();
        Ok(batch)
    }
}
