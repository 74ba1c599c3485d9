//! Aggregates as states that merge: a result is a function of the multiset of values (SEMANTICS 4).
//!
//! Any order, any split over files, threads and hosts gives the same bytes: sums of floats are exact and rounded once,
//! sums of integers overflow only where their final value does. The crate **must not know** where values come from, what
//! time it is, Arrow, or how states travel.
//!
//! Reading order: [`exact`] (the exact sum of floats), [`whole`] (integers as long as they need to be), [`aggregate`] (the
//! functions and their states).

pub mod aggregate;
pub mod exact;
pub mod whole;

pub use aggregate::{Aggregate, Function, State};
pub use exact::ExactSum;
