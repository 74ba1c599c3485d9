//! The tests of the log, by public interface and by what it leaves on the disk.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its small functions too"
)]

mod basics;
mod crash;
mod damage;
mod killed;
mod model;
mod pressure;
mod repeats;
mod support;
mod threads;
