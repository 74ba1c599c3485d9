//! Labels that are in memory, such as those of a request.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use asof_engine::EngineError;

use super::{LabelReader, Labels, ValueColumn, ValuesSink};
use crate::TrainingError;

/// A label table whose columns have the types that are asked for already.
pub struct MemoryLabels(RecordBatch);

impl MemoryLabels {
    /// These rows.
    pub fn new(rows: RecordBatch) -> Self {
        Self(rows)
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
        let column = |ValueColumn { name, .. }: &ValueColumn| {
            self.0.column_by_name(name).cloned().ok_or_else(|| EngineError::NoColumn {
                what: "labels".to_owned(),
                path: "request".into(),
                column: name.clone(),
                hint: None,
            })
        };
        sink(0, columns.iter().map(column).collect::<Result<Vec<_>, _>>()?)
    }

    fn rows(&self) -> u64 {
        self.0.num_rows() as u64
    }

    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn reader(&self) -> Result<Box<dyn LabelReader + '_>, TrainingError> {
        Ok(Box::new(MemoryReader { rows: &self.0, next: 0 }))
    }
}

struct MemoryReader<'a> {
    rows: &'a RecordBatch,
    next: usize,
}

impl LabelReader for MemoryReader<'_> {
    fn next(&mut self, rows: usize) -> Result<RecordBatch, TrainingError> {
        let batch = self.rows.slice(self.next, rows.min(self.rows.num_rows() - self.next));
        self.next += batch.num_rows();
        Ok(batch)
    }
}
