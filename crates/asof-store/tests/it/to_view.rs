//! Rows that are written to one view by the names of its features.

use asof_model::{Explain, Status, Value};
use asof_store::NoProgress;
use asof_store::forget::ForgetRequest;
use asof_store::push::{PushReport, PushRequest};

use crate::project::{Project, int_keys, present, without_value};
use crate::windows::{dying, verify};

const DEFINITIONS: &str = "
entities: { car: { keys: { car: int64 } } }
sources:
  readings: { path: data, event: at, fields: { when: at, rpm: speed, no: car } }
  fast: { path: data, event: at, fields: { when: at, rpm: speed, no: car }, columns: { speed: int64 }, sql: select * from source where speed > 100 }
feature_views:
  speeds: { entities: car, source: readings, features: { speed: int64 } }
  levels: { entities: car, source: readings, features: { level: int64 } }
  counts: { entities: car, source: readings, features: { n: { aggregate: count(), over: lifetime } } }
  fastest: { entities: car, source: fast, features: { speed: int64 } }
  read_in_place: { entities: car, source: readings, in_place: true, features: { speed: int64 } }
";

const LATER: &str =
    "  later: { entities: car, source: readings, features: { speed: int64, level: int64 } }\n";

/// Writes rows to a view, folded at once or not.
fn write(project: &mut Project, view: &str, rows: &[&str], fold: bool) -> PushReport {
    let rows: Vec<String> = rows.iter().map(|row| (*row).to_owned()).collect();
    let catalog = project.catalog();
    dying(project, usize::MAX, async |store| {
        let columns = store.view_columns(&catalog, view).await?;
        let report = store.admit_to_view(&catalog, &columns.view, &rows, None).await?;
        if fold {
            store.fold_pushed().await?;
        }
        Ok(report)
    })
    .unwrap()
}

fn push(project: &mut Project, row: &str) {
    let request = PushRequest { source: "readings".to_owned(), rows: vec![row.to_owned()], key: None };
    dying(project, usize::MAX, async |store| store.push(&request).await).unwrap();
}

/// What is served of a feature for the cars 1, 2 and 3, without event times.
fn served(project: &mut Project, feature: &str) -> Vec<Option<i64>> {
    let rows = project.get(&[feature], &int_keys("car", &[1, 2, 3]));
    let value = |row: &Vec<asof_oracle::OracleValue>| match row[0].cell.value() {
        Some(Value::Int64(value)) => Some(*value),
        _ => None,
    };
    rows.iter().map(value).collect()
}

/// Goal: rows written to one view reach it and no other, when they are folded at once, when they are read from the log,
/// after they came into history, and in a view that is defined later; erasing a key finds them.
#[test]
fn one_view_alone() {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    project.write("data/0.csv", "no,when,rpm,level\n");
    push(&mut project, r#"{"no":1,"when":"2029-12-30T00:00:00Z","rpm":10,"level":7}"#);
    let report = write(&mut project, "speeds", &[r#"{"no":1,"when":"2029-12-30T00:00:01Z","rpm":11}"#], true);
    assert_eq!(
        (report.accepted, report.views, report.source.as_str()),
        (1, vec!["speeds@1".to_owned()], "readings")
    );
    assert_eq!(served(&mut project, "speeds:speed"), [Some(11), None, None]);
    assert_eq!(served(&mut project, "levels:level"), [Some(7), None, None]);
    assert_eq!(served(&mut project, "counts:n"), [Some(1), None, None]);
    let missing = project.get(&["levels:level"], &int_keys("car", &[2]));
    assert_eq!(missing[0][0].cell, without_value(Status::Missing).cell);
    assert_eq!(
        project.get(&["speeds:speed"], &int_keys("car", &[1]))[0][0].cell,
        present(Value::Int64(11)).cell
    );

    // What a process took and did not fold is read from the log by the next one.
    write(&mut project, "levels@1", &[r#"{"no":2,"when":"2029-12-30T00:00:02Z","level":8}"#], false);
    project.close();
    assert_eq!(served(&mut project, "levels:level"), [Some(7), Some(8), None]);
    assert_eq!(served(&mut project, "speeds:speed"), [Some(11), None, None]);
    verify(&mut project);
    project.close();
    // From history, which it is rebuilt from.
    project.lose_online();
    project.materialize(&["speeds", "levels", "counts"]);
    assert_eq!(served(&mut project, "levels:level"), [Some(7), Some(8), None]);
    assert_eq!(served(&mut project, "speeds:speed"), [Some(11), None, None]);
    assert_eq!(served(&mut project, "counts:n"), [Some(1), None, None]);

    project.define(&format!("{DEFINITIONS}{LATER}"));
    project.apply();
    write(&mut project, "later", &[r#"{"no":3,"when":"2029-12-30T00:00:03Z","rpm":12,"level":9}"#], true);
    assert_eq!(served(&mut project, "later:speed"), [Some(10), None, Some(12)]);
    assert_eq!(served(&mut project, "later:level"), [Some(7), None, Some(9)]);
    verify(&mut project);

    let request = ForgetRequest { entity: "car".to_owned(), keys: vec![("car".to_owned(), "1".to_owned())] };
    let report =
        dying(&mut project, usize::MAX, async |store| store.forget(&request, &NoProgress).await).unwrap();
    assert_eq!(report.log_entries, 2);
    assert_eq!(served(&mut project, "later:speed"), [None, None, Some(12)]);
    assert_eq!(served(&mut project, "speeds:speed"), [None, None, None]);
    verify(&mut project);
}

/// Goal: rows are taken all or none, and the first that can't be is named.
#[test]
fn all_or_none() {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    let rows = [
        r#"{"no":1,"when":"2029-12-30T00:00:00Z","rpm":1}"#,
        r#"{"no":"one","when":"2029-12-30T00:00:00Z","rpm":1}"#,
        r#"{"no":1,"when":"soon","rpm":1}"#,
    ];
    let report = write(&mut project, "speeds", &rows, true);
    assert_eq!((report.accepted, report.rejected, report.positions), (0, 2, None));
    assert_eq!(report.reasons.iter().map(|reason| reason.row).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(served(&mut project, "speeds:speed"), [None, None, None]);
}

/// Goal: a view says how it and its source call its columns; one whose rows are computed says where rows go instead.
#[test]
fn columns() {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    let catalog = project.catalog();
    let (runtime, store) = project.store();
    let of = |view: &str| runtime.block_on(store.view_columns(&catalog, view));
    let columns = of("speeds").unwrap();
    let names: Vec<(&str, &str, bool)> =
        columns.columns.iter().map(|each| (each.name.as_str(), each.in_source.as_str(), each.key)).collect();
    assert_eq!(names, [("car", "no", true), ("speed", "rpm", false)]);
    assert_eq!((columns.event.as_str(), columns.created), ("when", None));
    let refused = |view: &str| {
        let error = of(view).unwrap_err();
        format!("{:?}: {error} ({})", error.kind(), error.hint().unwrap_or_default())
    };
    assert_eq!(
        ["counts", "fastest", "read_in_place", "speds", "speeds@2", "no view"].map(refused),
        [
            "Invalid: view `counts@1` aggregates events, so its features can't be written (push rows to source `readings`)",
            "Invalid: view `fastest@1` has what the sql of its source makes of rows, so its features can't be written (push rows to source `fast`)",
            "Invalid: view `read_in_place@1` reads its source in place: nothing of it is loaded (train with it as it is)",
            "NotFound: there is no view `speds` (did you mean `speeds`?)",
            "NotFound: there is no view `speeds@2` (there is `speeds@1`)",
            "Invalid: `no view` is not the name of a view (write `view` or `view@2`)",
        ]
    );
}
