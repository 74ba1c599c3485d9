//! The tests of the store on Redis. Each starts servers of its own, and ends them.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its small functions too"
)]

mod access;
mod cut;
mod differential;
mod failover;
mod load;
mod proxy;
mod servers;
mod suite;
