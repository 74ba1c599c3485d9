//! The writers of answers against the library, the interface as others have it, and services that answer with bytes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests may panic, as tests may")]

mod given;
mod interface;
mod messages;
mod random;
mod services;
mod writers;
