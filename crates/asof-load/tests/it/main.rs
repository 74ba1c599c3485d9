//! Whole runs against servers that are slow, busy, broken or gone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers end where they stand"
)]

mod answers;
mod failures;
mod open;
mod server;
