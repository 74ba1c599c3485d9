//! What measures: history and labels of any size to train on.
//!
//! The crate **must not know** what is measured: it writes files, and whoever times a command reads them.
//!
//! Reading order: [`workload`] (what is made), [`generate`](fn@generate) (its files), `rows` (what stands in them).

mod error;
mod generate;
mod rows;
pub mod workload;

pub use error::BenchError;
pub use generate::{Generated, generate};
pub use workload::Workload;
