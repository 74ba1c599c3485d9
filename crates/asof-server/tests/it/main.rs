//! Tests of the HTTP faces: whole answers, over a small store that is built for each test.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic, as tests may")]

mod faces;
mod feast;
mod feast_client;
mod feast_write;
mod fuzz;
mod live;
mod load;
mod native;
mod openapi;
mod past;
mod service;
mod support;
