//! Tests of the engine from outside: the join against the oracle, sources, and training sets.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its small functions too"
)]

mod join;
mod labels;
mod sources;
mod types;
