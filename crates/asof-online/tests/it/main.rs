//! The tests of the online store, by public interface.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its small functions too"
)]

mod embedded;
mod events;
mod fold;
mod layout;
