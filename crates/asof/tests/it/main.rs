//! The program as people run it: real commands in folders of their own; exit code, stdout and stderr as snapshots.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests and their helpers end where they stand"
)]

mod bad_input;
mod beside;
mod care;
mod data_sets;
mod definitions;
mod docs;
mod get;
mod in_place;
mod materialize;
mod metrics;
mod objects;
mod older_stores;
mod on_demand;
mod serve;
mod story;
mod support;
mod train;
mod train_large;
mod usage;
mod verify;
