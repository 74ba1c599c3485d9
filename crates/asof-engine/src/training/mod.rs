//! Label tables in, training sets out.
//!
//! [`labels`] reads the label table with all its columns, [`infer`] gives the columns of a CSV label table types where
//! the output has types, [`output`] writes labels and features side by side, whole or not at all.

pub(crate) mod infer;
pub mod labels;
pub mod output;

pub use labels::LabelTable;
pub use output::OutputColumn;
