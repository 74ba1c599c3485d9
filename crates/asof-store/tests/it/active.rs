//! `online: { active_within }`: fewer keys online, the same answers.

use asof_model::KnownAt;
use asof_store::StoreError;
use asof_store::push::PushRequest;

use crate::project::{Ask, Project, answers, features, int_keys};

const DEFINITIONS: &str = "
entities: { id: { keys: { id: int64 } } }
sources: { rows: { path: data, event: event_timestamp, created: created_timestamp } }
feature_views:
  all: { entities: id, source: rows, ttl: 100d, features: { n: int64, s: { type: string, default: none } } }
  active:
    entities: id
    source: rows
    ttl: 100d
    online: { active_within: 30d }
    features: { n: int64, s: { type: string, default: none } }
";

const HEADER: &str = "id,event_timestamp,created_timestamp,n,s\n";

/// What both views answer for keys 0 to 41, which must be the same.
fn same_answers(project: &mut Project) {
    let entities = int_keys("id", &(0..42).collect::<Vec<_>>());
    let [all, active] = ["all:*", "active:*"].map(|wanted| {
        let ask = Ask::of(features(&[wanted]), KnownAt::Served);
        answers(&project.try_get(&ask, &entities, 42, None, true).unwrap())
    });
    assert_eq!(all, active);
}

/// Goal: with fewer keys online, every answer is the one of a twin that keeps all, through late rows, corrections,
/// waiting rows, rows that were put back online, and a lost online store.
#[test]
fn the_answers_of_a_twin() {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    let (mut inactive, mut back) = (0, 0);
    // A few numbers that look like chance, the same every time.
    let mut state: u64 = 42;
    let mut below = |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    for month in 1..=6 {
        project.set_clock(&format!("2030-{month:02}-15T00:00:00Z"));
        let mut rows = HEADER.to_owned();
        for _ in 0..10 {
            let id = below(40);
            let event = format!("2030-{:02}-{:02}T00:00:00Z", 1 + below(month + 1), 1 + below(28));
            let created = format!("2030-{:02}-{:02}T00:00:00Z", 1 + below(month + 1), 1 + below(28));
            rows.push_str(&format!("{id},{event},{created},{},r{}\n", below(5), below(3)));
        }
        project.write(&format!("data/{month}.csv"), rows);
        for load in project.materialize(&[]) {
            inactive += load.rows_inactive;
        }
        same_answers(&mut project);
        // In some months, so that later rows meet both kinds of keys.
        if month % 2 == 0 {
            back += project.bring_back();
            same_answers(&mut project);
        }
    }
    assert!(inactive > 3 && back > 1, "{inactive} {back}");
    project.set_clock("2030-07-30T00:00:00Z");
    same_answers(&mut project);
    project.lose_online();
    project.materialize(&[]);
    same_answers(&mut project);
    project.compact();
    same_answers(&mut project);
}

/// Goal: who may not read history is told that keys are not online, and never that they are missing.
#[test]
fn without_history() {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    project.set_clock("2030-03-01T00:00:00Z");
    project.write(
        "data/rows.csv",
        format!("{HEADER}1,2030-01-01T00:00:00Z,2030-01-01T00:00:00Z,1,a\n2,2030-02-20T00:00:00Z,2030-02-20T00:00:00Z,2,b\n"),
    );
    project.materialize(&[]);
    let ask = Ask::of(features(&["active:*"]), KnownAt::Served);
    let refused = project.try_get(&ask, &int_keys("id", &[1, 2]), 2, None, false);
    assert!(matches!(refused, Err(StoreError::Inactive { rows: 1 })), "{refused:?}");
    assert!(project.try_get(&ask, &int_keys("id", &[2]), 1, None, false).is_ok());
}

/// Goal: a key that history answered for is answered online from then on, with the same values, until the store is lost; one
/// that nobody knows is not.
#[test]
fn asked_for_again() {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    project.set_clock("2030-03-01T00:00:00Z");
    let row = |id: i64| format!("{id},2030-01-01T00:00:00Z,2030-01-01T00:00:00Z,{id},a\n");
    project.write("data/rows.csv", format!("{HEADER}{}{}", row(1), row(2)));
    project.materialize(&[]);
    let ask = Ask::of(features(&["active:*"]), KnownAt::Served);
    let get = |project: &mut Project, id: i64, from_history: bool| {
        project.try_get(&ask, &int_keys("id", &[id]), 1, None, from_history).map(|got| answers(&got))
    };
    assert_eq!(project.bring_back(), 0, "nobody has asked");
    let of_history = get(&mut project, 1, true).unwrap();
    get(&mut project, 7, true).unwrap();
    assert_eq!(project.bring_back(), 1);
    assert_eq!(get(&mut project, 1, false).unwrap(), of_history);
    for unknown in [2, 7] {
        assert!(matches!(get(&mut project, unknown, false), Err(StoreError::Inactive { rows: 1 })));
    }
    assert_eq!(project.bring_back(), 0, "each time it is asked for anew");
    project.lose_online();
    project.materialize(&[]);
    assert!(matches!(get(&mut project, 1, false), Err(StoreError::Inactive { rows: 1 })));
    assert_eq!(get(&mut project, 1, true).unwrap(), of_history);
}

/// Goal: a newer row that was pushed, and left to history as well, is what comes back, although history got it only then.
#[test]
fn pushed_meanwhile() {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    project.set_clock("2030-03-01T00:00:00Z");
    project.write("data/rows.csv", format!("{HEADER}1,2030-01-01T00:00:00Z,2030-01-01T00:00:00Z,1,a\n"));
    project.materialize(&[]);
    let ask = Ask::of(features(&["active:*"]), KnownAt::Served);
    let get = |project: &mut Project, from_history: bool| {
        answers(&project.try_get(&ask, &int_keys("id", &[1]), 1, None, from_history).unwrap())
    };
    let before = get(&mut project, true);
    let row = r#"{"id":1,"event_timestamp":"2030-01-05T00:00:00Z","created_timestamp":"2030-01-05T00:00:00Z","n":2,"s":"b"}"#;
    let push = PushRequest { source: "rows".to_owned(), rows: vec![row.to_owned()], key: None };
    let (runtime, store) = project.store();
    runtime.block_on(Box::pin(store.push(&push))).unwrap();
    assert_eq!(project.bring_back(), 1);
    let back = get(&mut project, false);
    assert_ne!(back, before);
    same_answers(&mut project);
}

/// Goal: how long a key stays active may change; whether it is asked for at all may not, or keys would be missed.
#[test]
fn what_may_change() {
    let mut project = Project::new(DEFINITIONS);
    project.apply();
    project.define(&DEFINITIONS.replace("30d", "60d"));
    project.apply();
    project.define(&DEFINITIONS.replace("    online: { active_within: 30d }\n", ""));
    let refused = project.try_apply(&[]).err().unwrap().to_string();
    assert!(refused.contains("online.active_within"), "{refused}");
}
