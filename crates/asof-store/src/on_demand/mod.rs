//! Views on demand (SEMANTICS 5): features that are computed of request fields and of other features, by one expression
//! for training and for serving.
//!
//! An apply types each expression and records it with its view ([`typing`]). A request is compiled once: the expressions
//! of what is asked for, in the order in which they depend on each other, and which features and request columns they read
//! (`compile`, into an [`OnDemandPlan`]). The plan is evaluated over columns, for training (`columns`), and row by row, for
//! serving ([`rows`]); a property test holds one to the other.
//!
//! Reading order: [`typing`], [`plan`], `compile`, [`rows`], `columns`.

mod columns;
mod compile;
pub mod plan;
pub mod rows;
pub(crate) mod typing;

pub(crate) use columns::ComputeColumns;
pub(crate) use compile::{Compiling, Need};
pub use plan::{Input, OnDemandPlan, RequestColumn, Step};
pub use rows::ComputedCells;
