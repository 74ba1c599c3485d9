//! The as-of rule, row by row: what `f(view, key, t)` is (SEMANTICS 3, 4 and 6), so plain that a reader can check it by
//! eye. `asof verify --oracle` and the tests hold the engine and the online store against it.
//!
//! It scans every row for every question and is slow on purpose. It **must not know** the engine, the stores, Arrow,
//! or any other code that computes the same thing: a shared mistake would be invisible.
//!
//! Two modules: [`as_of`] (values), [`windowed`] (which events count).

mod as_of;
pub mod windowed;

pub use as_of::{OracleAnswer, OracleFeature, OracleRow, OracleValue, as_of, as_of_known};
pub use asof_model::knowledge::{KnownAt, Rule};
