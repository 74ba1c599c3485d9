//! Tests of the engine from outside: sources and their SQL.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its small functions too"
)]

mod delta;
mod listing;
mod objects;
mod queries;
mod row_wise;
mod sources;
mod types;

use std::path::Path;

use asof_engine::EngineError;
use asof_engine::source::{self, SourceFile};
use asof_model::Location;
use asof_model::spec::FileFormat;
use asof_objects::Objects;

/// No object store: nothing is configured.
fn no_objects() -> Objects {
    Objects::new([])
}

/// The files of a path of this machine.
fn list(what: &str, path: &Path, format: Option<FileFormat>) -> Result<Vec<SourceFile>, EngineError> {
    source::list(what, &Location::Local(path.to_owned()), format, &no_objects())
}
