//! Definitions and settings as users write them: text in, objects or problems out.

#![allow(clippy::unwrap_used, reason = "the helpers of tests may panic, as tests may")]

mod definitions_bad;
mod definitions_good;
mod definitions_on_demand;
mod definitions_windows;
mod properties;
mod settings;
mod yaml_bad;

use asof_model::definition::{self, Problem, ReadDefinitions, SourceFile};

/// An entity, a source and a view that other files may refer to.
const BASE: &str = "
entities:
  driver: { keys: { driver_id: int64 } }
  place: { keys: { city: string, street: string } }
sources:
  trips_table: { path: trips.parquet, event: event_timestamp }
feature_views:
  trips: { entities: driver, source: trips_table, features: { trips: int64, rating: float64 } }
  trips@2: { entities: driver, source: trips_table, features: { trips: int64, stars: float64 } }
";

/// Reads one file of definitions.
fn read(text: &str) -> Result<ReadDefinitions, Vec<Problem>> {
    definition::read(&[SourceFile { path: "features.yaml", text }])
}

/// The problems of one file, which is read alone.
fn problems_alone(text: &str) -> String {
    shown(read(text).map(|read| read.warnings))
}

/// The problems of one file that is read beside [`BASE`].
fn problems(text: &str) -> String {
    let files = [SourceFile { path: "base.yaml", text: BASE }, SourceFile { path: "features.yaml", text }];
    shown(definition::read(&files).map(|read| read.warnings))
}

/// Each problem on a line, its hint below.
fn shown(result: Result<Vec<Problem>, Vec<Problem>>) -> String {
    let (head, problems) = match result {
        Ok(warnings) => ("read", warnings),
        Err(problems) => ("refused", problems),
    };
    let mut text = head.to_owned();
    for problem in problems {
        text.push_str(&format!("\n{problem}"));
        if let Some(hint) = &problem.hint {
            text.push_str(&format!("\n  hint: {hint}"));
        }
    }
    text
}
