//! Views that read their source in place.

use std::path::PathBuf;

use asof_engine::EngineError;
use asof_model::KnownAt;
use asof_store::train::{LabelRows, TrainRequest};
use asof_store::{Progress, StoreError};

use crate::project::{Project, features};

/// Adds a row to a file once it was listed, and before it is read.
struct Meddler(PathBuf);

impl Progress for Meddler {
    fn begin(&self, what: &str, _unit: &str, _total: Option<u64>) {
        if what != "read source `rows` in place" {
            return;
        }
        let text = std::fs::read_to_string(&self.0).unwrap() + "1,2024-01-03T00:00:00Z,9\n";
        std::fs::write(&self.0, text).unwrap();
    }

    fn advance(&self, _what: &str, _amount: u64) {}

    fn finish(&self, _what: &str, _summary: &str) {}
}

/// Goal: a training set is never made of files that change meanwhile.
#[test]
fn a_file_that_changes() {
    let mut project = Project::new(
        "
entities: { id: { keys: { id: int64 } } }
sources: { rows: { path: data, event: at } }
feature_views: { v: { entities: id, source: rows, in_place: true, features: { n: int64 } } }
",
    );
    project.apply();
    project.write("data/rows.csv", "id,at,n\n1,2024-01-01T00:00:00Z,5\n");
    project.write("labels.csv", "id,t\n1,2024-01-02T00:00:00Z\n");
    let request = TrainRequest {
        labels: LabelRows::of_files(project.root.join("labels.csv")),
        wanted: features(&["v:n"]),
        output: project.root.join("training.csv"),
        timestamp: "t".to_owned(),
        reading: asof_model::entry::Reading::default(),
        naming: Default::default(),
        known_at: KnownAt::Event,
        statuses: false,
        include_expired: false,
        options: Default::default(),
    };
    let meddler = Meddler(project.root.join("data/rows.csv"));
    let (runtime, store) = project.store();
    let error = runtime.block_on(Box::pin(store.train(&request, &meddler))).map(|_| ());
    assert!(matches!(error, Err(StoreError::Engine(EngineError::Changed { .. }))), "{error:?}");
    assert!(!request.output.exists());
}
