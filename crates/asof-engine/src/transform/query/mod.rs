//! Queries that are not row-wise: joins, groups, windows, and what puts queries together.
//!
//! Reading order: `plan` (from a query to a plan), `names` (inside of expressions),
//! `relation` (rows on their way), `sets`, `join`, `group`, `window`, `call` (our
//! functions in the plan), `scan` (files as tables), `typing` (what a query says, at apply),
//! `run` (a plan as batches of rows), `whole` (rows of which each must be whole).

mod call;
mod group;
mod join;
mod names;
mod plan;
mod relation;
mod run;
mod scan;
mod sets;
mod typing;
mod whole;
mod window;

pub use run::QueryRun;
pub(crate) use run::{BAD, MARKS_OF};
pub use scan::{EventRange, SourceRows};
pub(crate) use typing::meaning;
pub use whole::WholeRows;
