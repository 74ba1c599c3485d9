//! Several views in one materialisation: each for itself, a few at a time.

use std::num::NonZeroUsize;

use asof_model::{Kind, Value};
use asof_store::materialize::{MaterializeReport, MaterializeRequest};

use crate::project::{Project, int_keys, present};

/// Views over files of their own and over a shared one.
fn definitions() -> String {
    let mut text = "entities: { id: { keys: { id: int64 } } }\nsources:\n".to_owned();
    for name in ["one", "two", "gone", "three"] {
        text.push_str(&format!("  {name}: {{ path: data/{name}.csv, event: event_timestamp }}\n"));
    }
    text.push_str("feature_views:\n");
    for (view, source) in [("a", "one"), ("b", "gone"), ("c", "two"), ("d", "two"), ("e", "three")] {
        let features = "features: { n: int64 }";
        text.push_str(&format!("  {view}: {{ entities: id, source: {source}, {features} }}\n"));
    }
    text
}

fn project() -> Project {
    let mut project = Project::new(&definitions());
    for (place, name) in ["one", "two", "three"].into_iter().enumerate() {
        let rows: String =
            (0..=place).map(|id| format!("{id},2024-01-01T10:00:00Z,{}\n", 10 * place)).collect();
        project.write(&format!("data/{name}.csv"), format!("id,event_timestamp,n\n{rows}"));
    }
    project.apply();
    project
}

fn load(project: &mut Project, jobs: Option<usize>) -> MaterializeReport {
    let jobs = jobs.and_then(NonZeroUsize::new);
    project.try_materialize(&MaterializeRequest { jobs, ..MaterializeRequest::default() }).unwrap()
}

/// Goal: whatever the number of jobs, each view is loaded, one that fails is reported and loses no other, and the totals
/// are the sums.
#[test]
fn a_failure_loses_no_other_view() {
    for jobs in [Some(1), Some(2), Some(9), None] {
        let mut project = project();
        let report = load(&mut project, jobs);
        let views: Vec<_> = report.views.iter().map(|load| (load.view.as_str(), load.rows_added)).collect();
        assert_eq!(views, [("a@1", 1), ("c@1", 2), ("d@1", 2), ("e@1", 3)]);
        assert_eq!(
            (report.totals.rows_read, report.totals.rows_added, report.totals.units_published),
            (8, 8, 4)
        );
        let failure = &report.failures[0];
        assert_eq!((report.failures.len(), failure.view.as_str(), failure.kind), (1, "b@1", Kind::NotFound));
        assert!(failure.message.contains("gone.csv") && failure.hint.is_some(), "{failure:?}");
        for (feature, right) in [("d:n", 10), ("e:n", 20)] {
            assert_eq!(project.get(&[feature], &int_keys("id", &[1])), [[present(Value::Int64(right))]]);
        }

        project.write("data/gone.csv", "id,event_timestamp,n\n1,2024-01-01T10:00:00Z,5\n");
        let report = load(&mut project, jobs);
        assert_eq!(report.failures, []);
        let unchanged: Vec<bool> = report.views.iter().map(|load| load.unchanged).collect();
        assert_eq!(unchanged, [true, false, true, true, true]);
        // What another process is told of it is what it is.
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<MaterializeReport>(&text).unwrap(), report);
    }
}

/// Goal: a row that is set aside is set aside once, although the load that found it failed and the next one reads its file
/// in other company.
#[test]
fn quarantine_after_a_failed_load() {
    let mut project = project();
    project.define(
        "entities: { id: { keys: { id: int64 } } }
sources: { rows: { path: folder, event: event_timestamp } }
feature_views: { v: { entities: id, source: rows, features: { n: int64 } } }
",
    );
    project.apply();
    project
        .write("folder/b.csv", "id,event_timestamp,n\n1,2024-01-01T10:00:00Z,5\nx,2024-01-01T10:00:00Z,5\n");
    project.write("folder/c.csv", "key,event_timestamp,n\n1,2024-01-01T10:00:00Z,5\n");
    let request = MaterializeRequest { views: vec!["v".to_owned()], ..MaterializeRequest::default() };
    let report = project.try_materialize(&request).unwrap();
    assert!(report.failures[0].message.contains("no column `id`"), "{:?}", report.failures);
    project.write("folder/a.csv", "id,event_timestamp,n\n2,2024-01-01T10:00:00Z,5\n");
    project.write("folder/c.csv", "id,event_timestamp,n\ny,2024-01-01T10:00:00Z,5\n");
    let report = project.try_materialize(&request).unwrap();
    assert_eq!((report.failures.len(), report.views[0].rows_added, report.views[0].rows_bad), (0, 2, 2));
    let folder = std::fs::read_dir(report.views[0].quarantine.as_ref().unwrap()).unwrap();
    let rows = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap().lines().count();
    let aside: usize = folder.map(|entry| rows(entry.unwrap().path())).sum();
    assert_eq!(aside, 2);
}
