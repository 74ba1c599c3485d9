//! The label table: every row, every column, in order, and the instants at which values are asked.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use asof_engine::columns::arrow_type;
use asof_model::ValueType;

use crate::TrainingError;

mod aside;
mod files;
mod memory;
mod parquet;
mod text;

pub use aside::put_aside;
pub use files::LabelTable;
pub use memory::MemoryLabels;

/// The most label rows of one training set: they are numbered in 32 bits.
pub const LABEL_ROWS_MAX: u64 = u32::MAX as u64 - 2;

/// A label table. It is read twice: for keys and instants, in pieces, and for its columns, from beginning to end.
pub trait Labels: Sync {
    /// How many pieces there are.
    fn pieces(&self) -> usize;

    /// Reads columns of a piece as values of a type. `sink` is given the number of the first row of some, from 0, and a
    /// column for each that was asked for.
    ///
    /// # Errors
    /// [`EngineError::NoColumn`](asof_engine::EngineError::NoColumn);
    /// [`EngineError::Label`](asof_engine::EngineError::Label) for the first row that holds no such value; those of `sink`.
    fn values(
        &self,
        piece: usize,
        columns: &[ValueColumn],
        sink: &mut ValuesSink<'_>,
    ) -> Result<(), TrainingError>;

    /// How many rows there are; 0 where that is not known before every piece was read.
    fn rows(&self) -> u64;

    /// The columns as they go to the output. Known once every piece was read.
    fn schema(&self) -> SchemaRef;

    /// A reader of all columns, and behind them of `values`: columns of the same rows as values of a type.
    ///
    /// # Errors
    /// Those of opening files; [`EngineError::NoColumn`](asof_engine::EngineError::NoColumn).
    fn reader(&self, values: &[ValueColumn]) -> Result<Box<dyn LabelReader + '_>, TrainingError>;
}

/// A column to read as values of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueColumn {
    /// Its name.
    pub name: String,
    /// The type of its values.
    pub value_type: ValueType,
    /// Whether null is refused, as for the instants that are asked for.
    pub required: bool,
}

/// What takes the values of some label rows, with the number of the first.
pub type ValuesSink<'a> = dyn FnMut(u64, Vec<ArrayRef>) -> Result<(), TrainingError> + 'a;

/// Goes through a label table once.
pub trait LabelReader: Send {
    /// The next rows: exactly so many, of which there are as many.
    ///
    /// # Errors
    /// Those of reading files; a file that has changed meanwhile;
    /// [`EngineError::Label`](asof_engine::EngineError::Label) for a row that holds no value of the type that is read.
    fn next(&mut self, rows: usize) -> Result<RecordBatch, TrainingError>;
}

/// The schema of some rows with the columns that are read as values behind it.
fn with_values(own: &Schema, values: &[ValueColumn]) -> SchemaRef {
    let fields = own.fields().iter().map(|field| field.as_ref().clone());
    let read = values.iter().map(|column| Field::new(&column.name, arrow_type(column.value_type), true));
    Arc::new(Schema::new(fields.chain(read).collect::<Vec<_>>()))
}

/// Takes so many rows off the front of what was read, as far as there are so many. `ready_rows` counts them.
fn take_ready(ready: &mut VecDeque<RecordBatch>, ready_rows: &mut usize, rows: usize) -> Vec<RecordBatch> {
    let (mut taken, mut left) = (Vec::new(), rows);
    while left > 0
        && let Some(batch) = ready.pop_front()
    {
        let some = left.min(batch.num_rows());
        taken.push(batch.slice(0, some));
        if some < batch.num_rows() {
            ready.push_front(batch.slice(some, batch.num_rows() - some));
        }
        left -= some;
        *ready_rows -= some;
    }
    taken
}
