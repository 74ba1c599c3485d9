//! Training sets against the oracle, at every size.

// Helpers outside of test functions may panic too: it is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod folders;
mod join;
mod outputs;
mod sources;
mod support;
mod worlds;
