//! What was lost is said, and never answered as if it had not been.

use asof_model::KnownAt;
use asof_store::StoreError;
use asof_store::materialize::MaterializeRequest;

use crate::project::{Ask, Project, at, features, int_keys, present};
use crate::tables::Column;

const DEFINITIONS: &str = "
entities: { id: { keys: { id: int64 } } }
sources: { rows: { path: data, event: event_timestamp } }
feature_views: { v: { entities: id, source: rows, features: { n: int64 } } }
";

fn loaded() -> Project {
    let mut project = Project::new(DEFINITIONS);
    project.write("data/rows.csv", "id,event_timestamp,n\n1,2024-01-01T10:00:00Z,5\n");
    project.apply();
    project.load(&[]);
    project
}

fn train(project: &mut Project) -> Result<(), StoreError> {
    let labels = [Column::ints("id", [1]), Column::instants("t", [at("2024-01-02T00:00:00Z")])];
    project.try_train(&Ask::of(features(&["v:n"]), KnownAt::Event), &labels).map(|_| ())
}

/// Goal: history that is gone, whole or in part, is refused by training and by the next load.
#[test]
fn lost_history() {
    for lost in ["history", "history/v"] {
        let mut project = loaded();
        project.close();
        std::fs::remove_dir_all(project.root.join(".asof").join(lost)).unwrap();
        let error = train(&mut project).unwrap_err();
        assert!(
            matches!(error, StoreError::NotLoaded { .. } | StoreError::HistoryLost { .. }),
            "{lost}: {error}"
        );
        let report = project.try_materialize(&MaterializeRequest::default()).unwrap();
        let message = &report.failures[0].message;
        assert!(message.contains("1 of its 1 published units are not in"), "{lost}: {message}");
        assert!(train(&mut project).is_err(), "{lost}");
    }
}

/// Goal: an online store that is gone is refused, not answered as MISSING; a load rebuilds it.
#[test]
fn lost_online_store() {
    let mut project = loaded();
    let keys = int_keys("id", &[1]);
    let right = project.get(&["v:n"], &keys);
    assert_eq!(right, [[present(asof_model::Value::Int64(5))]]);
    project.lose_online();
    let ask = Ask::of(features(&["v:n"]), KnownAt::Served);
    let error = project.try_get(&ask, &keys, 1, None, false).unwrap_err();
    assert!(matches!(error, StoreError::OnlineLost { found: 0, .. }), "{error}");
    assert_eq!(project.load(&[]).units_recovered, 3);
    assert_eq!(project.get(&["v:n"], &keys), right);
}

/// Goal: a view that was never loaded can't be trained on.
#[test]
fn never_loaded() {
    let mut project = Project::new(DEFINITIONS);
    project.write("data/rows.csv", "id,event_timestamp,n\n");
    project.apply();
    assert!(matches!(train(&mut project).unwrap_err(), StoreError::NotLoaded { .. }));
    project.load(&[]);
    train(&mut project).unwrap();
}

/// Goal: an output never replaces the labels, nor a file of a source.
#[test]
fn inputs_are_not_replaced() {
    use asof_store::train::{LabelRows, TrainRequest};
    let mut project = loaded();
    project.write("labels.csv", "id,t\n1,2024-01-02T00:00:00Z\n");
    for output in ["labels.csv", "data/rows.csv"] {
        let request = TrainRequest {
            labels: LabelRows::of_files(project.root.join("labels.csv")),
            wanted: features(&["v:n"]),
            output: project.root.join(output),
            timestamp: "t".to_owned(),
            reading: asof_model::entry::Reading::default(),
            naming: Default::default(),
            known_at: KnownAt::Event,
            statuses: false,
            include_expired: false,
            options: Default::default(),
        };
        let before = std::fs::read(&request.output).unwrap();
        let (runtime, store) = project.store();
        let error = runtime.block_on(Box::pin(store.train(&request, &asof_store::NoProgress))).map(|_| ());
        assert!(matches!(error, Err(StoreError::Request { .. })), "{output}: {error:?}");
        assert_eq!(std::fs::read(&request.output).unwrap(), before);
    }
}
