//! History tables and their journal, through the public surface and on a real folder.

// Helpers outside of test functions may panic too: it is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod append;
mod compact;
mod damage;
mod evolve;
mod journal;
mod prune;
mod support;
