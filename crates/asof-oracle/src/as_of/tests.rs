//! Each sentence of the rule, as a table. The case files hold the same rule in the reader's words.

use super::*;

const TYPES: [ValueType; 2] = [ValueType::Int64, ValueType::Int64];

fn at(micros: i64) -> Instant {
    Instant::from_micros(micros).unwrap()
}

fn int(value: i64) -> Cell {
    Cell::Value(Value::Int64(value))
}

fn row(event: i64, created: i64, visible: i64, cells: &[Cell]) -> OracleRow {
    OracleRow {
        key: vec![7],
        event: at(event),
        created: at(created),
        visible: at(visible),
        replaced: None,
        cells: cells.to_vec(),
    }
}

fn rule(known_at: KnownAt) -> Rule {
    Rule { known_at, ttl: None, keep: None, include_expired: false }
}

fn feature(index: usize, default: Option<i64>) -> OracleFeature {
    OracleFeature { index, value_type: ValueType::Int64, default: default.map(Value::Int64) }
}

fn ask(rows: &[OracleRow], t: i64, rule: &Rule, default: Option<i64>) -> (Cell, Status) {
    let answer = as_of(rows, &TYPES, Some(&vec![7]), at(t), rule, &[feature(0, default)]);
    let [value] = &answer.values[..] else { panic!("one feature, one value") };
    (value.cell.clone(), value.status)
}

/// Goal: each `known_at` hides a row until its last instant that counts, and not a microsecond longer.
#[test]
fn who_may_see_a_row() {
    let rows = [row(10, 20, 30, &[int(1)])];
    for (known_at, from) in [(KnownAt::Event, 10), (KnownAt::Created, 20), (KnownAt::Served, 30)] {
        assert_eq!(
            ask(&rows, from - 1, &rule(known_at), None),
            (Cell::Null, Status::Missing),
            "{known_at:?}"
        );
        assert_eq!(ask(&rows, from, &rule(known_at), None), (int(1), Status::Present), "{known_at:?}");
    }
    // Created and published before its event: the event still has to come.
    let early = [row(10, 2, 1, &[int(1)])];
    for known_at in [KnownAt::Event, KnownAt::Created, KnownAt::Served] {
        assert_eq!(ask(&early, 9, &rule(known_at), None).1, Status::Missing, "{known_at:?}");
        assert_eq!(ask(&early, 10, &rule(known_at), None).1, Status::Present, "{known_at:?}");
    }
    // Published before its created instant: that still has to come too.
    let announced = [row(10, 20, 5, &[int(1)])];
    assert_eq!(ask(&announced, 19, &rule(KnownAt::Served), None).1, Status::Missing);
    assert_eq!(ask(&announced, 20, &rule(KnownAt::Served), None).1, Status::Present);
}

/// Goal: a row that was replaced is seen under `served` alone, until just before its replacement.
#[test]
fn replaced_rows() {
    let before = OracleRow { replaced: Some(at(40)), ..row(10, 10, 20, &[int(1)]) };
    let rows = [row(5, 5, 5, &[int(0)]), before, row(8, 8, 40, &[int(2)])];
    for known_at in [KnownAt::Event, KnownAt::Created] {
        assert_eq!(ask(&rows, 10, &rule(known_at), None).0, int(2), "{known_at:?}");
    }
    let served = [(19, 0), (20, 1), (39, 1), (40, 2)];
    for (t, right) in served {
        assert_eq!(ask(&rows, t, &rule(KnownAt::Served), None).0, int(right), "{t}");
    }
}

/// Goal: event decides before created, created before bytes, and visible never.
#[test]
fn which_row_wins() {
    let pairs = [
        (row(11, 11, 11, &[int(1)]), row(10, 99, 99, &[int(9)])),
        (row(10, 12, 12, &[int(1)]), row(10, 11, 11, &[int(9)])),
        // Little-endian bytes: 9 is greater than 256, and 256 is greater than null.
        (row(10, 10, 10, &[int(9)]), row(10, 10, 99, &[int(256)])),
        (row(10, 10, 10, &[int(256)]), row(10, 10, 99, &[Cell::Null])),
        (row(10, 10, 10, &[Cell::Error]), row(10, 10, 99, &[Cell::Null])),
        // A row that holds one feature more extends the same row without it.
        (row(10, 10, 99, &[int(1), int(0)]), row(10, 10, 10, &[int(1)])),
    ];
    for (winner, loser) in pairs {
        for rows in [[winner.clone(), loser.clone()], [loser.clone(), winner.clone()]] {
            let answer = as_of(
                &rows,
                &TYPES,
                Some(&vec![7]),
                at(100),
                &rule(KnownAt::Event),
                &[feature(0, None), feature(1, None)],
            );
            let alone = as_of(
                std::slice::from_ref(&winner),
                &TYPES,
                Some(&vec![7]),
                at(100),
                &rule(KnownAt::Event),
                &[feature(0, None), feature(1, None)],
            );
            assert_eq!(answer, alone, "{winner:?} beats {loser:?}");
        }
    }
}

/// Goal: exactly ttl and exactly keep are within; keep outranks ttl; the event instant stays with an expired row.
#[test]
fn limits_are_inclusive() {
    let rows = [row(10, 10, 10, &[int(1)])];
    let limits = Rule {
        ttl: Some(Duration::from_micros(5)),
        keep: Some(Duration::from_micros(8)),
        ..rule(KnownAt::Event)
    };
    for (t, status, event) in [
        (15, Status::Present, Some(at(10))),
        (16, Status::OutsideTtl, Some(at(10))),
        (18, Status::OutsideTtl, Some(at(10))),
        (19, Status::Missing, None),
    ] {
        let answer = as_of(&rows, &TYPES, Some(&vec![7]), at(t), &limits, &[feature(0, None)]);
        assert_eq!((answer.values[0].status, answer.event), (status, event), "t={t}");
    }
    let expired = Rule { include_expired: true, ..limits };
    assert_eq!(ask(&rows, 18, &expired, None), (int(1), Status::OutsideTtl));
    assert_eq!(ask(&rows, 19, &expired, None), (Cell::Null, Status::Missing));
}

/// Goal: a default replaces the value in every state but PRESENT, and `include_expired` beats it.
#[test]
fn defaults() {
    let ttl = Rule { ttl: Some(Duration::from_micros(5)), ..rule(KnownAt::Event) };
    let expired = Rule { include_expired: true, ..ttl };
    for (cell, t, rule, value, status) in [
        (int(1), 10, ttl, int(1), Status::Present),
        (Cell::Null, 10, ttl, int(-5), Status::Null),
        (Cell::Error, 10, ttl, int(-5), Status::Error),
        (int(1), 9, ttl, int(-5), Status::Missing),
        (int(1), 16, ttl, int(-5), Status::OutsideTtl),
        (Cell::Null, 16, ttl, int(-5), Status::OutsideTtl),
        (Cell::Error, 16, ttl, int(-5), Status::OutsideTtl),
        (int(1), 16, expired, int(1), Status::OutsideTtl),
        (Cell::Null, 16, expired, Cell::Null, Status::OutsideTtl),
        (Cell::Error, 16, expired, Cell::Null, Status::OutsideTtl),
        (Cell::Null, 10, expired, int(-5), Status::Null),
        (int(1), 9, expired, int(-5), Status::Missing),
    ] {
        let rows = [row(10, 10, 10, std::slice::from_ref(&cell))];
        assert_eq!(ask(&rows, t, &rule, Some(-5)), (value, status), "{cell:?} at {t}");
    }
}

/// Goal: a null key and a foreign key meet nothing, also where the view has no entities.
#[test]
fn keys() {
    let rows = [row(10, 10, 10, &[int(1)]), OracleRow { key: vec![], ..row(10, 10, 10, &[int(2)]) }];
    for (key, cell, status) in [
        (Some(vec![7]), int(1), Status::Present),
        (Some(vec![]), int(2), Status::Present),
        (Some(vec![7, 7]), Cell::Null, Status::Missing),
        (None, Cell::Null, Status::Missing),
    ] {
        let answer = as_of(&rows, &TYPES, key.as_ref(), at(10), &rule(KnownAt::Event), &[feature(0, None)]);
        assert_eq!(answer.values, [OracleValue { cell, status }], "{key:?}");
    }
}

/// Goal: a feature newer than the row it meets is MISSING with its default, whatever the row's age.
#[test]
fn features_newer_than_the_row() {
    let rows = [row(10, 10, 10, &[int(1)])];
    let rule = Rule { ttl: Some(Duration::from_micros(5)), include_expired: true, ..rule(KnownAt::Event) };
    for t in [10, 16] {
        let answer = as_of(&rows, &TYPES, Some(&vec![7]), at(t), &rule, &[feature(1, Some(4))]);
        assert_eq!(answer.values, [OracleValue { cell: int(4), status: Status::Missing }]);
        assert_eq!(answer.event, Some(at(10)));
    }
}
