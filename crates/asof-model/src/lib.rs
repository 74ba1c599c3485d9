//! What things are: instants, values, keys, names, and the definitions that users write.
//!
//! Everything here is a plain value or a pure function. The crate **must not know** async code, clocks, files
//! or the network: text comes in as `&str`, the present comes in as an [`Instant`].
//!
//! Reading order: [`time`] and [`types`], [`value`] and [`decimal`], their [`order`] and [`canonical`] bytes, [`key`], how raw input
//! becomes a value ([`entry`], [`json`]), which events count ([`window`], [`aggregation`]), what is computed on demand
//! ([`on_demand`]), then names, where files are ([`location`]), [`spec`] and
//! [`transform`], how definitions are read ([`definition`], [`settings`]) and what an edit of them means ([`hash`],
//! [`plan`]).

pub mod aggregation;
pub mod canonical;
pub mod decimal;
pub mod definition;
pub mod entry;
pub mod explain;
pub mod hash;
pub mod json;
pub mod key;
pub mod knowledge;
pub mod location;
pub mod name;
pub mod on_demand;
pub mod order;
pub mod plan;
pub mod settings;
pub mod spec;
pub mod status;
pub mod time;
pub mod transform;
pub mod types;
pub mod value;
pub mod window;

pub use decimal::Decimal;
pub use explain::{Explain, Kind};
pub use key::EncodedKey;
pub use knowledge::{Age, KnownAt, Rule};
pub use location::{Location, ObjectUrl};
pub use name::ViewId;
pub use status::Status;
pub use time::{Duration, Instant, InstantText, TimeUnit, Zone};
pub use types::{DecimalType, ScalarType, ValueType};
pub use uuid::Uuid;
pub use value::{Cell, Value};
