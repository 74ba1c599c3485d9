//! `asof schema`.

use asof_model::definition::json_schema;
use clap::Args;

use crate::failure::Failure;
use crate::{Outcome, output};

/// The name of the file in which a project keeps the schema for editors.
pub(super) const SCHEMA_FILE: &str = "asof.schema.json";

/// Nothing to choose.
#[derive(Debug, Args)]
pub(crate) struct Schema {}

impl Schema {
    pub(crate) fn run(&self) -> Result<Outcome, Failure> {
        output::print(&text())?;
        Ok(Outcome::Done)
    }
}

/// The JSON Schema of definition files.
pub(super) fn text() -> String {
    format!("{:#}\n", json_schema())
}
