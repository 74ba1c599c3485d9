//! Parquet files, read by rows: what can be left out, and columns at chosen rows.
//!
//! A point-in-time join reads keys and instants of a whole history, and then the features of the few rows that won. So
//! this crate answers two questions of a file: which rows of which row groups can matter at all, by statistics, page
//! index and bloom filters; and what stands in these columns at these rows. Flat columns in the usual encodings are
//! decoded here, where a value that nobody asked for is not even copied; everything else goes through the decoder of
//! the `parquet` crate, with the same answer.
//!
//! Bytes come from a file of this machine or from an object, in pieces of bounded size. Pages are checked against their
//! checksums where they carry one.
//!
//! The crate **must not know** what a key, an event or a feature is.
//!
//! Reading order: [`chunks`] (bytes by ranges), [`file`] (the footer), [`selection`] (rows), [`prune`] (what can be left out),
//! [`rows`] (columns at rows), `column` (one column, page by page; `levels`, `hybrid`, `values` below it).

pub mod chunks;
mod column;
mod error;
pub mod file;
mod hybrid;
pub mod layout;
mod levels;
pub mod prune;
pub mod rows;
pub mod selection;
mod values;
mod window;

pub use chunks::Chunks;
pub use error::ParquetFailure;
pub use file::ParquetFile;
pub use rows::{GroupRows, RowsBatch};
pub use selection::Selection;
