//! Training sets: label tables and history in, features as of each label's time out.
//!
//! The crate **must not know** the registry, Delta tables, stores, or who is asking. It is handed labels and history to
//! read, and told how much memory and how many threads it may take; the answer depends on neither.
//!
//! Reading order: [`labels`] (label tables), [`history`] (what is read of views), [`join`] (the point-in-time join), [`windows`] (windows of events),
//! [`output`] (training sets), then what they stand on: [`memory`], [`scratch`], `buckets`, `pool`, `ipc`,
//! `distinct`; [`explain`].

mod buckets;
mod distinct;
mod error;
pub mod explain;
pub mod history;
mod ipc;
pub mod join;
pub mod labels;
pub mod memory;
pub mod output;
mod pool;
pub mod scratch;
pub mod windows;

pub use error::TrainingError;
pub use memory::Memory;
pub use scratch::Scratch;
