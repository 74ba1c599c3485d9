//! Compute over Arrow: files of a source become admitted rows.
//!
//! The crate **must not know** Redis, Kafka, HTTP, or who is asking. It reads files of sources; it never opens a store.
//!
//! Reading order: [`columns`] (Arrow and cells, both ways), [`source`] (files to admitted rows), [`transform`]
//! (the SQL of sources).

pub mod columns;
mod error;
mod progress;
pub mod source;
pub mod transform;

pub use error::EngineError;
pub use progress::{NoProgress, Progress};
