//! The label table: every row, every column, in order, and the instants at which values are asked.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use asof_model::ValueType;

use crate::TrainingError;

mod memory;

pub use memory::MemoryLabels;

/// The most label rows of one training set: they are numbered in 32 bits.
pub const LABEL_ROWS_MAX: u64 = u32::MAX as u64 - 2;

/// A label table. It is read twice: for keys and instants, in pieces, and for its columns, from beginning to end.
pub trait Labels: Sync {
    /// How many pieces there are.
    fn pieces(&self) -> usize;

    /// Reads columns of a piece as values of a type. `sink` is given the number of the first row of some, from 0, and a
    /// column for each that was asked for; the instants (timestamps) are never null.
    ///
    /// # Errors
    /// [`EngineError::NoColumn`](asof_engine::EngineError::NoColumn);
    /// [`EngineError::Label`](asof_engine::EngineError::Label) for the first row that holds no such value; those of `sink`.
    fn values(
        &self,
        piece: usize,
        columns: &[(String, ValueType)],
        sink: &mut dyn FnMut(u64, Vec<ArrayRef>) -> Result<(), TrainingError>,
    ) -> Result<(), TrainingError>;

    /// How many rows there are; 0 where that is not known before every piece was read.
    fn rows(&self) -> u64;

    /// The columns as they go to the output. Known once every piece was read.
    fn schema(&self) -> SchemaRef;

    /// A reader of all columns.
    ///
    /// # Errors
    /// Those of opening files.
    fn reader(&self) -> Result<Box<dyn LabelReader + '_>, TrainingError>;
}

/// Goes through a label table once.
pub trait LabelReader: Send {
    /// The next rows: exactly so many, of which there are as many.
    ///
    /// # Errors
    /// Those of reading files; a file that has changed meanwhile.
    fn next(&mut self, rows: usize) -> Result<RecordBatch, TrainingError>;
}
