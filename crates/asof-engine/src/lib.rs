//! Compute over Arrow: files of a source become admitted rows, and history becomes training sets.
//!
//! The crate **must not know** Redis, Kafka, HTTP, or who is asking. It reads label tables and source files, and is
//! handed history as record batches; it never opens a store.
//!
//! Reading order: [`columns`] (Arrow and cells, both ways), [`source`] (files to admitted rows), [`transform`]
//! (the SQL of sources), [`join`] (the
//! point-in-time join), [`training`] (label tables in, training sets out).

pub mod columns;
mod error;
pub mod join;
mod progress;
pub mod source;
pub mod training;
pub mod transform;

pub use error::EngineError;
pub use progress::{NoProgress, Progress};
