//! The online store on Redis or Valkey: one server, a primary that sentinels watch, or a cluster.
//!
//! The crate knows the trait of `asof-online` and its codecs, and **must not know** anything else of Asof. Rows are folded
//! by the same code as in the embedded store; the servers compare and set.
//!
//! What is promised beyond the trait:
//!
//! - **A read is exact**, also over several nodes and from replicas: `t` is drawn first, every value says from when on it
//!   answers, and every bucket says how many calls it holds (`read`).
//! - **Nothing acknowledged is lost while the writer lives.** A server that comes back without its last writes, or a replica
//!   that is promoted without them, gets them again out of memory, each once (`writer`). Where memory does not reach back,
//!   or the writer died too, the loss is found out, and the store begins empty, to be rebuilt from history and log (`open`).
//! - **A unit comes whole.** It is readable from the one call that commits it; what an unfinished one wrote is taken back
//!   (`flight`).
//! - **One process writes.** Another one that was away too long is refused by every script (`hold`).
//!
//! Reading order: [`settings`], `keys`, `value` and `events` (what stands where), `scripts` and `calls` (how it is
//! written), `journal`, `link` (the way to the servers), `writer`, `flight`, `fold`, `publish`, `read`, `store`.

mod calls;
mod erase;
mod events;
mod fetch;
mod flight;
mod fold;
mod hold;
mod identities;
mod journal;
mod keys;
mod link;
mod listing;
mod loading;
mod open;
mod publish;
mod read;
mod restore;
mod runtime;
mod scripts;
pub mod settings;
mod settle;
mod store;
mod value;
mod writer;

pub use settings::{Deployment, ReadFrom, RedisSettings, SettingsError};
pub use store::RedisStore;
