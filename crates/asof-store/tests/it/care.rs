//! The care of history changes no answer.

use arrow::array::RecordBatch;
use asof_model::{Duration, KnownAt};
use asof_store::NoProgress;
use asof_store::train::{LabelRows, TrainRequest};
use asof_store::verify::VerifyRequest;
use serde_json::Value;

use crate::project::{Project, at, features, int_keys, read_parquet};
use crate::tables::{Carrier, Column};

const DEFINITIONS: &str = "
entities: { id: { keys: { id: int64 } } }
sources: { rows: { path: data, event: event_timestamp, created: created_timestamp } }
feature_views:
  v: { entities: id, source: rows, ttl: 400d, features: { n: int64, s: string } }
  w: { entities: id, source: rows, features: { s: string } }
";

/// Three loads at three instants: new rows, late rows, and rows that say what was there.
fn loaded() -> Project {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    let loads = [
        (
            "2029-03-01T00:00:00Z",
            "1,2029-01-01T10:00:00Z,2029-01-01T10:00:00Z,1,a\n2,2029-01-01T11:00:00Z,2029-01-01T11:00:00Z,,b\n",
        ),
        (
            "2029-06-01T00:00:00Z",
            "1,2029-01-01T10:00:00Z,2029-01-01T10:00:00Z,1,a\n1,2029-01-01T09:00:00Z,2029-04-01T10:00:00Z,3,late\n3,2029-05-01T00:00:00Z,2029-05-01T00:00:00Z,4,\n",
        ),
        (
            "2029-09-01T00:00:00Z",
            "1,2029-01-01T10:00:00Z,2029-08-01T10:00:00Z,5,corrected\n2,2029-01-01T11:00:00Z,2029-01-01T11:00:00Z,,b\n2,2029-08-01T00:00:00Z,2029-08-01T00:00:00Z,6,c\n",
        ),
    ];
    for (place, (now, rows)) in loads.into_iter().enumerate() {
        project.set_clock(now);
        let text = format!("id,event_timestamp,created_timestamp,n,s\n{rows}");
        project.write(&format!("data/{place}.csv"), text);
        project.materialize(&[]);
    }
    project.set_clock("2030-01-01T00:00:00Z");
    project
}

/// A training set and what its report says of each view, rows read aside.
fn training(project: &mut Project, known_at: KnownAt) -> (RecordBatch, Vec<Value>) {
    let times =
        ["2029-01-01T10:30:00Z", "2029-02-01T00:00:00Z", "2029-07-01T00:00:00Z", "2029-12-01T00:00:00Z"];
    let labels = [
        Column::ints("id", times.iter().flat_map(|_| 1..=4)),
        Column::instants("t", times.iter().flat_map(|time| [at(time); 4])),
    ];
    Carrier::Typed.write(&project.root.join("labels.parquet"), &labels);
    let output = project.root.join("training.parquet");
    let request = TrainRequest {
        labels: LabelRows::of_files(project.root.join("labels.parquet")),
        wanted: features(&["v:n", "v:s"]),
        output: output.clone(),
        timestamp: "t".to_owned(),
        reading: asof_model::entry::Reading::default(),
        naming: Default::default(),
        known_at,
        statuses: true,
        include_expired: false,
        options: Default::default(),
    };
    let (runtime, store) = project.store();
    let report = runtime.block_on(Box::pin(store.train(&request, &NoProgress))).unwrap();
    let mut views: Vec<Value> = report.views.iter().map(|view| serde_json::to_value(view).unwrap()).collect();
    for view in &mut views {
        for of_storage in ["history_rows", "history_version"] {
            assert!(view.as_object_mut().unwrap().remove(of_storage).is_some());
        }
    }
    // The file carries the report too, with the rows read.
    let rows = read_parquet(&output);
    let fields = arrow::datatypes::Schema::new(rows.schema().fields().clone());
    (RecordBatch::try_new(fields.into(), rows.columns().to_vec()).unwrap(), views)
}

fn all_trainings(project: &mut Project) -> Vec<(RecordBatch, Vec<Value>)> {
    [KnownAt::Event, KnownAt::Created, KnownAt::Served].map(|known_at| training(project, known_at)).into()
}

fn verified(project: &mut Project) -> (u64, u64) {
    let (runtime, store) = project.store();
    let request = VerifyRequest { names: Vec::new(), sample: 100, oracle: true };
    let report = runtime.block_on(Box::pin(store.verify(&request, &NoProgress))).unwrap();
    (report.values, report.identical)
}

/// Goal: training sets under every rule, with what they report of serving, answers and verification are the same before
/// and after compaction and vacuum; repeats are folded; loading again does nothing, and a lost online store comes back.
#[test]
fn compaction_changes_no_answer() {
    let mut project = loaded();
    let keys = int_keys("id", &[1, 2, 3, 4]);
    let right = (all_trainings(&mut project), project.get(&["v:*"], &keys));
    assert!(right.0[0].1[0]["differs_from_served"].as_u64() > Some(0), "{:?}", right.0[0].1);
    assert_eq!(verified(&mut project), (9, 9));

    let report = project.compact();
    assert_eq!(report.views.iter().map(|view| view.rows_folded).collect::<Vec<_>>(), [2, 2]);
    assert!(report.views.iter().all(|view| view.files_after < view.files_before));
    assert!(report.journal_files > 0);
    let again = project.compact();
    assert!(again.views.iter().all(|view| view.files_before == 0) && again.journal_files == 0);
    let freed = project.vacuum(Duration::ZERO);
    assert!(freed.tables.iter().map(|table| table.files).sum::<u64>() > 0);

    for lost in [false, true] {
        if lost {
            project.lose_online();
            assert!(project.materialize(&[]).iter().all(|load| load.unchanged && load.units_recovered > 0));
        }
        assert!(project.materialize(&[]).iter().all(|load| load.unchanged && load.units_recovered == 0));
        assert_eq!(project.get(&["v:*"], &keys), right.1, "lost: {lost}");
        for (found, right) in all_trainings(&mut project).into_iter().zip(&right.0) {
            assert_eq!(found, *right, "lost: {lost}");
        }
        assert_eq!(verified(&mut project), (9, 9));
    }
}

/// Goal: while one command compacts, vacuums or forgets, another one that would is refused; loads are not.
#[test]
fn one_at_a_time() {
    let mut project = loaded();
    let held = std::fs::File::create(project.root.join(".asof/care.lock")).unwrap();
    held.lock().unwrap();
    let (runtime, store) = project.store();
    let error = runtime.block_on(Box::pin(store.compact(&[], &NoProgress))).unwrap_err();
    assert!(matches!(error, asof_store::StoreError::CareHeld), "{error}");
    project.materialize(&[]);
    held.unlock().unwrap();
    project.compact();
}

/// Goal: what `history_keep` cuts is refused, never answered MISSING; from the cut on every answer stays, under every
/// rule; the row in force at the cut stays, and so does one that was not known yet.
#[test]
fn history_keep_cuts_and_refuses() {
    let mut project = loaded();
    let times = |from: &str| {
        let mut times = vec![at(from)];
        times.extend(["2029-07-01T00:00:00Z", "2029-12-01T00:00:00Z", "2030-01-01T00:00:00Z"].map(at));
        vec![
            Column::ints("id", times.iter().flat_map(|_| 1..=4)),
            Column::instants("t", times.iter().flat_map(|time| [*time; 4])),
        ]
    };
    let rules = [KnownAt::Event, KnownAt::Created, KnownAt::Served];
    let columns =
        [("n".to_owned(), asof_model::ValueType::Int64), ("s".to_owned(), asof_model::ValueType::String)];
    let asked = |project: &mut Project, from: &str| {
        rules.map(|rule| {
            let ask = crate::project::Ask::of(features(&["v:*"]), rule);
            project.try_train(&ask, &times(from)).map(|set| set.answers(&columns))
        })
    };
    // 2030-01-01 less 214 days.
    let cut = "2029-06-01T00:00:00Z";
    let right = asked(&mut project, cut).map(Result::unwrap);
    project.define(&DEFINITIONS.replace("ttl: 400d,", "ttl: 400d, history_keep: 214d,"));
    project.apply();
    let report = project.compact();
    let (v, w) = (&report.views[0], &report.views[1]);
    // Of id 1 the row in force at the cut stays, the late one of 09:00 goes; the correction was not known by then.
    assert_eq!((v.rows_cut, v.cut.as_deref()), (1, Some(cut)));
    assert_eq!((w.rows_cut, &w.cut), (0, &None));
    assert_eq!(asked(&mut project, cut).map(Result::unwrap), right);
    for from in ["2029-05-31T23:59:59.999999Z", "2029-01-01T10:30:00Z"] {
        for refused in asked(&mut project, from) {
            let Err(asof_store::StoreError::HistoryCut { cut: found, label, .. }) = refused.map(|_| ())
            else {
                panic!("{from} was answered")
            };
            assert_eq!((found, label), (at(cut), at(from)));
        }
        let keys = int_keys("id", &[1]);
        let ask = crate::project::Ask::of(features(&["v:n"]), KnownAt::Served);
        let refused = project.try_get(&ask, &keys, 1, Some(at(from)), true).map(|_| ());
        assert!(matches!(refused, Err(asof_store::StoreError::HistoryCut { .. })), "{refused:?}");
    }
    let (values, identical) = verified(&mut project);
    assert_eq!(values, identical);
    project.lose_online();
    project.materialize(&[]);
    assert_eq!(verified(&mut project), (values, values));
    assert_eq!(asked(&mut project, cut).map(Result::unwrap), right);
    // What is not kept any more does not come back, and the cut never goes back.
    project.define(&DEFINITIONS.replace("ttl: 400d,", "ttl: 400d, history_keep: 300d,"));
    project.apply();
    let report = project.compact();
    assert_eq!((report.views[0].rows_cut, report.views[0].cut.as_deref()), (0, Some(cut)));
}
