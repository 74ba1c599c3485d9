//! The control plane: which definitions a project has, in numbered revisions.
//!
//! A registry holds definitions as records (a key, a JSON spec, hashes) and moves from one whole revision to the
//! next in one transaction. It **must not know** feature values, nor what a spec says: reading one, and deciding
//! what an edit means, is the business of `asof-model` and of the caller.
//!
//! Reading order: the things that are stored ([`record`]), what a registry does ([`registry`]) and how it fails
//! ([`error`]), the registry in a file ([`sqlite`]), and the suite that every registry passes (`conformance`,
//! behind the feature of that name).

pub mod record;

pub mod registry;

pub mod error;

pub mod sqlite;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use error::RegistryError;
pub use record::{
    Change, ChangeSummary, ObjectKey, ObjectKind, ObjectRecord, Revision, RevisionSummary, Snapshot, Verb,
};
pub use registry::Registry;
pub use sqlite::{SqliteOptions, SqliteRegistry};
