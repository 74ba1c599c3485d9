//! The feature store from the outside: real projects in temporary folders, real files, real verbs.

// Helpers outside of test functions may panic too: it is how a test fails.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod active;
mod answers;
mod apply;
mod beginning_late;
mod care;
mod cases;
mod definitions;
mod driver_stats;
mod engines;
mod forget;
mod in_place;
mod increments;
mod kill;
mod kill_pushes;
mod lost;
mod on_demand;
mod parity;
mod plans;
mod project;
mod queries;
mod redis;
mod sources;
mod tables;
mod to_view;
mod transforms;
mod versions;
mod views;
mod window_cases;
mod windows;
