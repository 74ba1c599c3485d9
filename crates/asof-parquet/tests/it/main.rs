//! Columns at chosen rows, and what is left out, against a plain reading of the whole file.

// Helpers outside of test functions may panic too: it is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// What is expected is a list that happens to have one range.
#![allow(clippy::single_range_in_vec_init)]

mod prune;
mod rows;
mod written;
