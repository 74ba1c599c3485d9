//! Object stores: a URL becomes a store, configured from the environment, and objects that are read by ranges.
//!
//! Calls block the thread until the store has answered, so that readers of files and of objects are one and the same;
//! the requests themselves run on two threads of their own ([`wait`]). Retries are bounded, secrets are never
//! printed.
//!
//! The crate **must not know** what the bytes mean, or who asks for them.
//!
//! Reading order: `settings` (variables to a store), [`objects`] (lists and finds), [`object`] (reads), [`upload`] (writes),
//! `wait`.

mod error;
pub mod object;
pub mod objects;
mod settings;
pub mod upload;
mod wait;

pub use error::ObjectsError;
pub use object::ObjectFile;
pub use objects::Objects;
pub use upload::ObjectWriter;
pub use wait::wait;
