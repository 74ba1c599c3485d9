//! The laws that every aggregate keeps, and what each function says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod closing;
mod held;
mod laws;
mod results;
mod windows;
