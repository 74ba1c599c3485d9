//! The registry in an SQLite file, from the outside.

#![allow(clippy::unwrap_used, reason = "the helpers of tests fail by panicking, as tests do")]

mod files;

mod suite;
