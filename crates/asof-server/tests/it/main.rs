//! Tests of the HTTP faces: whole answers, over a small store that is built for each test.

mod feast;
mod fuzz;
mod live;
mod native;
mod support;
