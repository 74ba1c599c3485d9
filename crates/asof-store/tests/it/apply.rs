//! `apply` over time: the same again, edits that are refused, objects that go, features and versions that come.

use asof_model::plan::Action;
use asof_model::{Explain, KnownAt, Status, Value, ValueType};
use asof_store::StoreError;
use asof_store::request::Wanted;

use crate::project::{Ask, Project, at, features, int_keys, present, without_value};
use crate::tables::Column;

const TRIPS: &str = "
entities: { driver: { keys: { driver: int64 } } }
sources: { rows: { path: data, event: event_timestamp } }
feature_views:
  trips: { entities: driver, source: rows, ttl: 30d, features: { trips: int64 } }
";

const ROWS: &str = "driver,event_timestamp,trips,rating\n\
                    7,2029-12-31T10:00:00Z,3,4.5\n\
                    7,2029-12-31T12:00:00Z,5,\n\
                    8,2029-12-31T10:00:00Z,9,2.5\n";

fn project() -> Project {
    let mut project = Project::new(TRIPS);
    project.write("data/rows.csv", ROWS);
    project.apply();
    project
}

/// What would be said of an error: itself and its hints.
fn words(error: &StoreError) -> String {
    let hints = error.parts().into_iter().filter_map(|(_, hint)| hint).chain(error.hint());
    format!("{error}\n{}", hints.collect::<Vec<_>>().join("\n"))
}

/// Goal: an apply of the same files changes nothing, whatever their layout; `plan` does nothing at all.
#[test]
fn again() {
    let mut project = project();
    assert_eq!(project.catalog().revision, 1);
    let again = project.apply();
    assert_eq!((again.revision, again.plan.changes().count()), (1, 0));
    let moved = format!("# Moved.\n{}", TRIPS.replace("  trips:", "\n  # The same view.\n  trips:"));
    project.define("");
    project.write("deep/er/views.yaml", moved);
    let again = project.apply();
    assert_eq!((again.revision, again.plan.changes().count()), (1, 0));
}

/// Goal: an edit that would change values is refused with its place and the line to write, and leaves the registry and
/// all answers as they were; an edit of words alone is accepted and needs no new load.
#[test]
fn edits() {
    let mut project = project();
    project.load(&[]);
    let edits = [
        ("ttl: 30d", "ttl: 31d"),
        ("trips: int64 }", "trips: float64 }"),
        ("trips: int64 }", "trips: { type: int64, default: 0 } }"),
        ("keys: { driver: int64 }", "keys: { driver: string }"),
        ("event: event_timestamp", "event: event_timestamp, zone: Europe/Zurich"),
    ];
    for (old, new) in edits {
        project.define(&TRIPS.replace(old, new));
        let refused = project.try_apply(&[]).err().unwrap_or_else(|| panic!("`{new}` was accepted"));
        assert!(matches!(refused, StoreError::Refused(_)), "{refused}");
        let words = words(&refused);
        assert!(words.contains("trips@2") && words.contains("features.yaml:"), "{words}");
    }
    assert_eq!(project.catalog().revision, 1);
    project.define(&TRIPS.replace("ttl: 30d", "ttl: 30d, owner: risk, description: Trips a day"));
    assert_eq!(project.apply().revision, 2);
    assert!(project.load(&[]).unchanged);
    assert_eq!(project.get(&["trips:trips"], &int_keys("driver", &[7])), [[present(Value::Int64(5))]]);
}

/// Goal: what is missing from the files is kept and still answers; it goes when it is named, with its users or not at
/// all; a name that is still defined or unknown is refused.
#[test]
fn removal() {
    let mut project = project();
    project.load(&[]);
    let (without_view, _) = TRIPS.split_once("feature_views").unwrap();
    project.define(without_view);
    let kept = project.apply();
    assert!(kept.plan.steps.iter().any(|step| step.name == "trips@1" && step.action == Action::Keep));
    assert_eq!(project.get(&["trips:trips"], &int_keys("driver", &[8])), [[present(Value::Int64(9))]]);

    project.define("");
    for (name, reason) in [("driver", "trips@1"), ("nobody", "nobody")] {
        let refused = project.try_apply(&[name]).err().unwrap();
        assert!(words(&refused).contains(reason), "{}", words(&refused));
    }
    project.define(TRIPS);
    assert!(words(&project.try_apply(&["trips"]).err().unwrap()).contains("still defined"));

    project.define("");
    let removed = project.try_apply(&["trips", "rows", "driver"]).unwrap();
    assert_eq!(removed.plan.changes().filter(|step| step.action == Action::Remove).count(), 3);
    let ask = Ask::of(features(&["trips:trips"]), KnownAt::Served);
    let gone = project.try_get(&ask, &int_keys("driver", &[7]), 1, None, false).err().unwrap();
    assert!(matches!(&gone, StoreError::Unknown { name, .. } if name == "trips"), "{gone}");

    // A view that is created again is a new one: it never meets the rows of the one that was removed.
    project.define(TRIPS);
    project.apply();
    assert_eq!(project.get(&["trips:trips"], &int_keys("driver", &[7])), [[without_value(Status::Missing)]]);
    assert!(!project.load(&[]).unchanged);
    assert_eq!(project.get(&["trips:trips"], &int_keys("driver", &[7])), [[present(Value::Int64(5))]]);
}

/// Goal: an added feature is refused until its backfill is complete, and nobody else notices; then it answers, and for
/// instants before the backfill it is MISSING under `served` and has its value under `event`.
#[test]
fn added_feature() {
    let mut project = project();
    project.load(&[]);
    let before = project.get(&["trips:*"], &int_keys("driver", &[7, 8]));
    project.define(
        &TRIPS.replace("{ trips: int64 }", "{ rating: { type: float64, default: -1 }, trips: int64 }"),
    );
    project.apply();

    let keys = int_keys("driver", &[7, 8]);
    let ask = |names: &[&str]| Ask::of(features(names), KnownAt::Served);
    let refused =
        project.try_get(&ask(&["trips:trips", "trips:rating"]), &keys, 2, None, false).err().unwrap();
    assert!(
        matches!(&refused, StoreError::NotBackfilled { feature, .. } if feature == "rating"),
        "{refused}"
    );
    let labels = [
        Column::ints("driver", [7, 8, 8]),
        Column::instants(
            "t",
            ["2030-01-01T12:00:00Z", "2030-01-01T12:00:00Z", "2030-01-02T12:00:00Z"].map(at),
        ),
    ];
    assert!(matches!(
        project.try_train(&ask(&["trips:rating"]), &labels),
        Err(StoreError::NotBackfilled { .. })
    ));
    // `*` is what answers.
    assert_eq!(project.get(&["trips:*"], &keys), before);
    assert_eq!(project.get(&["trips:trips"], &keys), before);

    // A part of what was loaded is no backfill.
    project.set_clock("2030-01-02T00:00:00Z");
    let part = asof_store::materialize::MaterializeRequest {
        start: Some(at("2029-12-31T11:00:00Z")),
        ..Default::default()
    };
    assert_eq!(project.try_materialize(&part).unwrap().failures, []);
    let refused = project.try_get(&ask(&["trips:rating"]), &keys, 2, None, false).err().unwrap();
    assert!(matches!(refused, StoreError::NotBackfilled { .. }), "{refused}");

    let load = project.load(&[]);
    assert!(!load.unchanged && load.conflicts == 0, "{load:?}");
    let rating = |rating: f64| present(Value::float64(rating));
    let default = |status| asof_oracle::OracleValue { status, ..rating(-1.0) };
    let found = project.get(&["trips:trips", "trips:rating"], &keys);
    assert_eq!(
        found,
        [[present(Value::Int64(5)), default(Status::Null)], [present(Value::Int64(9)), rating(2.5)],]
    );
    let columns = [("trips".to_owned(), ValueType::Int64), ("rating".to_owned(), ValueType::Float64)];
    let served = project.train(&ask(&["trips:*"]), &labels).answers(&columns);
    assert_eq!(
        served,
        [
            [present(Value::Int64(5)), default(Status::Missing)],
            [present(Value::Int64(9)), default(Status::Missing)],
            [present(Value::Int64(9)), rating(2.5)],
        ]
    );
    let event = project.train(&Ask::of(features(&["trips:*"]), KnownAt::Event), &labels).answers(&columns);
    assert_eq!(
        event,
        [
            [present(Value::Int64(5)), default(Status::Null)],
            [present(Value::Int64(9)), rating(2.5)],
            [present(Value::Int64(9)), rating(2.5)],
        ]
    );

    // The online store is rebuilt with both kinds of rows.
    let online = project.get(&["trips:*"], &keys);
    project.lose_online();
    assert!(project.load(&[]).units_recovered > 0);
    assert_eq!(project.get(&["trips:*"], &keys), online);
}

/// Goal: a name without version means the newest version whose data is complete; a service keeps what its name meant
/// when it was applied; a version that is written is that version.
#[test]
fn versions() {
    let service = "feature_services:\n  early: { features: [trips] }\n  pinned: { features: ['trips@2'] }\n";
    let second = "  trips@2: { entities: driver, source: rows, ttl: 30d, features: { trips: float64 } }\n";
    let mut project = project();
    project.load(&[]);
    project.define(&format!("{TRIPS}{second}{service}"));
    project.apply();
    let keys = int_keys("driver", &[7]);
    let answer = |project: &mut Project, wanted: Wanted| {
        let ask = Ask::of(wanted, KnownAt::Served);
        let answer = project.try_get(&ask, &keys, 1, None, false).unwrap();
        crate::project::answers(&answer).remove(0).remove(0)
    };
    let named = |name: &str| Wanted::Service(name.to_owned());
    let (first, newest) = (present(Value::Int64(5)), present(Value::float64(5.0)));
    // The second version holds no data yet.
    assert_eq!(answer(&mut project, features(&["trips:trips"])), first);
    assert_eq!(answer(&mut project, named("early")), first);
    assert_eq!(answer(&mut project, named("pinned")), without_value(Status::Missing));

    assert_eq!(project.materialize(&["trips@2"]).len(), 1);
    let late = "  late: { features: [trips] }\n";
    project.define(&format!("{TRIPS}{second}{service}{late}"));
    project.apply();
    assert_eq!(answer(&mut project, features(&["trips:trips"])), newest);
    assert_eq!(answer(&mut project, features(&["trips@1:trips"])), first);
    assert_eq!(answer(&mut project, named("early")), first);
    assert_eq!(answer(&mut project, named("late")), newest);
    assert_eq!(answer(&mut project, named("pinned")), newest);
    assert_eq!(project.materialize(&["trips"]).len(), 2, "a bare name loads every version");
}

/// Goal: columns stand in the order in which features are asked, also where views take turns.
#[test]
fn request_order() {
    let views = "
entities: { driver: { keys: { driver: int64 } } }
sources: { rows: { path: data, event: event_timestamp } }
feature_views:
  a: { entities: driver, source: rows, features: { trips: int64 } }
  b: { entities: driver, source: rows, features: { rating: float64, late: { type: int64, default: 1 } } }
";
    let mut project = Project::new(views);
    project
        .write("data/rows.csv", "driver,event_timestamp,trips,rating,late\n7,2029-12-31T10:00:00Z,3,4.5,2\n");
    project.apply();
    project.materialize(&[]);
    let wanted = ["b:late", "a:trips", "b:rating"];
    let right = [present(Value::Int64(2)), present(Value::Int64(3)), present(Value::float64(4.5))];
    assert_eq!(project.get(&wanted, &int_keys("driver", &[7])), std::slice::from_ref(&right));
    let labels = [Column::ints("driver", [7]), Column::instants("t", [at("2030-01-01T12:00:00Z")])];
    let set = project.train(&Ask::of(features(&wanted), KnownAt::Event), &labels);
    let names = ["driver", "t", "late", "late__status", "trips", "trips__status", "rating", "rating__status"];
    assert_eq!(set.names(), names);
    let columns = [("late", ValueType::Int64), ("trips", ValueType::Int64), ("rating", ValueType::Float64)];
    assert_eq!(set.answers(&columns.map(|(name, of)| (name.to_owned(), of))), [right]);
}
