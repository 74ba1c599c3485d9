//! HTTP serving: the verb `get` of the feature store behind two faces, one that speaks Feast's shape and one of our
//! own.
//!
//! The crate is a thin face. It reads requests, keeps compiled plans for the registry's current revision, and writes
//! answers. It **must not know** how a value is found or chosen, what a source is, or where data lies: it asks
//! `asof-store` and translates what it says, errors included.
//!
//! Reading order: [`Server`] (bind, run, stop), `connections` and `front` (which thread answers what), `http` (routes and bounds), `serving` (catalog and plans), `workers`
//! (threads for long work), `past` (what only history can answer), `watch`, `metrics` and `ready` (how the server is),
//! `strict`, `entity` and `json` (requests and values in and out), then the faces `feast` and `native`, `openapi` (all of it described), and [`beside`]
//! (commands that let a running server work for them).

mod arrow;
pub mod beside;
mod connections;
mod encoding;
mod entity;
mod error;
mod feast;
mod front;
mod grpc;
mod http;
mod json;
mod load;
mod metrics;
mod native;
mod openapi;
mod past;
mod push;
mod ready;
mod required;
mod server;
mod serving;
mod strict;
mod watch;
mod workers;

pub use connections::{CONNECTIONS_MAX, HEAD_WAIT, STREAMS_MAX};
pub use encoding::PACKED_BYTES_MIN;
pub use error::ServerError;
pub use http::{BODY_BYTES_MAX, BODY_WAIT, REQUEST_ID_BYTES_MAX, TIMEOUT_MS_MAX, router};
pub use load::{LONG_WAITS_MIN, QUEUE_WAIT_MAX, REQUESTS_IN_FLIGHT_MAX};
pub use past::{PAST_ANSWERS_MAX, PAST_FEATURES_MAX, PAST_ROWS_MAX, PAST_WAIT};
pub use ready::READY_SERVICES_MAX;
pub use server::{SHUTDOWN_WAIT, Server, serve};
pub use serving::{PLANS_MAX, REVISION_POLL, UNSETTLED_PLAN_AGE_MAX};
pub use watch::LOOK_EVERY;
