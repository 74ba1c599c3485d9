//! The feature store: the verbs `plan`, `apply`, `materialize`, `train`, `get`, `verify` and those that care for what
//! is kept, each in its own file, wired from the rooms below. Configuration and the clock are injected here.
//!
//! The crate **must not know** a wire format, a terminal, or Python: it takes plain requests and returns plain
//! answers, and reports progress to whoever listens.
//!
//! Reading order: [`project`] (the folder), [`store`] (what is open), [`catalog`] (definitions as recorded),
//! [`journal`] (what was published), then the verbs: [`apply`], [`materialize`], [`push`], [`request`] (what a request means), `windows` (those of views of events), [`on_demand`] (what is computed),
//! [`train`], [`in_place`] (views without a copy), [`get`] and [`answers`] (a sample of them, kept), [`verify`]; and the care of what is kept: [`status`],
//! [`compact`], [`vacuum`], [`forget`].

mod aggregations;
pub mod answers;
pub mod apply;
mod care;
pub mod catalog;
pub mod compact;
mod error;
pub mod forget;
pub mod get;
pub mod in_place;
pub mod journal;
pub mod materialize;
pub mod on_demand;
pub mod project;
pub mod push;
pub mod request;
pub mod status;
pub mod store;
pub mod train;
mod transforms;
pub mod vacuum;
mod verdicts;
pub mod verify;
mod windows;

pub use asof_engine::{NoProgress, Progress};
pub use error::{InPlaceWant, StoreError};
pub use project::Project;
pub use store::{Store, SystemClock};

pub use asof_online::Clock;
pub use asof_online::entry_cache::CacheCounts;
