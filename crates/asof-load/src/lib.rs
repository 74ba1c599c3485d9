//! What drives a feature server: a mix of requests, sent over connections that stay open, and what came back.
//!
//! The crate **must not know** how a value is computed or what a store is: it speaks HTTP to any server of either shape. It
//! measures with as little work of its own as it can, since it often shares a machine with the server.
//!
//! - **Closed runs** ask as fast as answers come: what a server can do at most.
//! - **Open runs** ask on a schedule of their own, and count latency from when a request was to be sent. So a server that stops
//!   for a second is charged with every request of that second, not with one for each connection.
//!
//! ```no_run
//! use std::time::Duration;
//! use asof_load::{
//!     Asked, Entities, KeySpec, Keys, LoadPlan, Mode, Popularity, Shape, TIMEOUT_DEFAULT, Target, What, run,
//! };
//!
//! # fn main() -> Result<(), asof_load::LoadError> {
//! let plan = LoadPlan {
//!     targets: vec![Target::parse("http://127.0.0.1:6566")?],
//!     shape: Shape::Native,
//!     headers: vec![],
//!     asked: vec![Asked { what: What::Service("churn".to_owned()), weight: 1 }],
//!     entities: Entities::parse_mix("1:8,10:2")?,
//!     keys: Keys::new(vec![KeySpec::parse("customer_id", "int:0..1000000")?], None)?,
//!     popularity: Popularity::Zipf { exponent: 0.99 },
//!     connections: 16,
//!     threads: 1,
//!     mode: Mode::Closed,
//!     wait: Duration::ZERO,
//!     warm_up: Duration::from_secs(2),
//!     duration: Duration::from_secs(10),
//!     timeout: TIMEOUT_DEFAULT,
//!     seed: 1,
//! };
//! let report = run(&plan, &mut |_| true)?;
//! println!("{} answers/s, p99 {} us", report.all.answers_per_second, report.all.latency.p99_us);
//! # Ok(())
//! # }
//! ```
//!
//! Reading order: [`plan`] (what a run is), [`target`], [`keys`], [`keys_file`] and [`pick`] (whom it asks, and for which keys),
//! [`zipf`]; `request` (bodies), `schedule` and `alarm` (when), `line` (HTTP), `sender` and [`run`](mod@run) (all together),
//! [`histogram`], `tally`, [`statuses`] and [`report`] (what is counted and told).

mod alarm;
mod error;
pub mod histogram;
pub mod keys;
pub mod keys_file;
mod line;
pub mod pick;
pub mod plan;
pub mod report;
mod request;
pub mod run;
mod schedule;
mod sender;
pub mod statuses;
mod tally;
pub mod target;
pub mod zipf;

pub use error::LoadError;
pub use keys::{KeySpec, Keys};
pub use keys_file::KeysFile;
pub use line::ANSWER_BYTES_MAX;
pub use pick::Popularity;
pub use plan::{Arrivals, Asked, Entities, LoadPlan, Mode, Shape, TIMEOUT_DEFAULT, WAITING_DEFAULT, What};
pub use report::{LoadReport, Measured};
pub use run::{SoFar, run};
pub use target::Target;
