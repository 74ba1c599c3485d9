//! Tests of the engine from outside: the join against the oracle, sources, and training sets.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its small functions too"
)]

mod delta;
mod join;
mod labels;
mod listing;
mod objects;
mod queries;
mod row_wise;
mod sources;
mod types;

use std::path::Path;

use asof_engine::EngineError;
use asof_engine::source::{self, SourceFile};
use asof_engine::training::LabelTable;
use asof_model::entry::Reading;
use asof_model::spec::FileFormat;
use asof_model::{Location, Zone};
use asof_objects::Objects;

/// No object store: nothing is configured.
fn no_objects() -> Objects {
    Objects::new([])
}

/// The files of a path of this machine.
fn list(what: &str, path: &Path, format: Option<FileFormat>) -> Result<Vec<SourceFile>, EngineError> {
    source::list(what, &Location::Local(path.to_owned()), format, &no_objects())
}

/// The label table of a path of this machine.
fn read_labels(path: &Path, zone: &Zone) -> Result<LabelTable, EngineError> {
    LabelTable::read(
        &Location::Local(path.to_owned()),
        &no_objects(),
        &Reading { zone: zone.clone(), unit: None },
    )
}
