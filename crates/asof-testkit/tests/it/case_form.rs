//! The form of case files.

use asof_model::knowledge::KnownAt;
use asof_model::{Cell, Status, Value};
use asof_testkit::case::{CasePath, parse_case};

/// Goal: a file becomes what it says, defaults of columns and options included.
#[test]
fn a_case_is_read() {
    let case = parse_case(
        "small",
        "# Goal: to read.
view trips  entity=driver,city  ttl=2h  keep=3d  zone=America/New_York
  driver | city:string | event_timestamp | visible | trips default=-1 | rate:float64
  7      | Bern        | 10:00           | 16:00   | 3                | -0.0  # said
  null   | Bern        | 10:00           | 16:00   | ERROR            | absent

view all
  event_timestamp | created_timestamp | x
  10:00           | 11:00             | 1
  raw:never       | 11:00             | 1

expect
  t     | x | status
  10:00 | 1 | PRESENT

expect  known_at=served  include_expired
  city | driver | t     | rate | rate__status | x    | status
  Bern | 7      | 10:00 | 0.0  | OUTSIDE_TTL  | null | MISSING
",
    )
    .unwrap();
    assert_eq!((case.name.as_str(), case.goal.as_str()), ("small", "to read."));

    let [trips, all] = &case.views[..] else { panic!("two views") };
    assert_eq!((trips.line, trips.keys.len(), trips.features.len(), trips.created_named), (2, 2, 2, false));
    assert_eq!((trips.ttl.unwrap().to_string(), trips.keep.unwrap().to_string()), ("2h".into(), "3d".into()));
    assert_eq!(trips.oracle_feature(0).default, Some(Value::Int64(-1)));
    let first = &trips.rows[0];
    // Ten o'clock in New York, as a source would write it; visible is in UTC.
    assert_eq!(first.event.text.as_deref(), Some("2024-01-01T10:00"));
    assert_eq!(first.event.instant().unwrap().to_string(), "2024-01-01T15:00:00Z");
    assert_eq!((&first.created, first.visible.to_string()), (&first.event, "2024-01-01T16:00:00Z".into()));
    assert_eq!(first.cells[1].cell, Cell::Value(Value::Float64(0.0)));
    assert_eq!(first.cells[1].text.as_deref(), Some("-0.0"));
    assert_eq!((trips.rows[1].bad(), trips.rows[1].cells.len()), (true, 1));
    assert_eq!(trips.oracle_rows().len(), 1);

    assert_eq!((all.keys.len(), all.created_named), (0, true));
    assert_eq!(all.rows[0].visible, all.rows[0].created.instant().unwrap());
    assert!(all.rows[1].bad());

    let [bare, full] = &case.expectations[..] else { panic!("two expectations") };
    assert_eq!((bare.known_at, &bare.paths[..]), (KnownAt::Event, &[CasePath::Training][..]));
    assert_eq!((full.known_at, full.paths.len(), full.include_expired), (KnownAt::Served, 3, true));
    let label = &full.labels[0];
    assert_eq!(full.encoded_key(trips, label), first.encoded_key());
    assert_eq!(full.encoded_key(all, label), Some(vec![]));
    assert_eq!(
        label.expected.iter().map(|each| each.status).collect::<Vec<_>>(),
        [Status::OutsideTtl, Status::Missing]
    );
}

/// Goal: whatever is misspelled or left out is refused with its line, and never turns a test off.
#[test]
fn what_is_not_understood_is_refused() {
    let good = "# Goal: g
view v  entity=k
  k | event_timestamp | x | s:string
  1 | 10:00           | 1 | a
view w  entity=k
  k | event_timestamp | x
  1 | 10:00           | 1
expect  known_at=event  paths=training
  k | t     | v:x | status
  1 | 10:00 | 1   | PRESENT
";
    parse_case("good", good).unwrap();
    for (from, to, expected) in [
        ("# Goal: g", "# Purpose: g", "line 1: the first line is `# Goal:`"),
        (
            "entity=k\n  k | event_timestamp | x | s",
            "entity=q\n  k | event_timestamp | x | s",
            "no column for the join key `q`",
        ),
        ("view v  entity=k", "view v  entity=k  tll=1h", "line 2: `tll=1h`"),
        ("view v  entity=k", "view v  entity=k  ttl=1y", "no duration"),
        ("view w", "view v", "line 5: a second view `v`"),
        ("x | s:string", "x | s:text", "`text` is not a type"),
        ("x | s:string", "x | x", "a second column `x`"),
        ("| 1 | a", "| 1 | ERROR", "line 4: `s`: every text is a string"),
        ("| 1 | a", "| 1.5 | a", "line 4: `x`: `1.5` is not int64"),
        ("| 1 | a", "| absent | a", "line 4: `s` stands after an absent one"),
        ("| 1 | a", "| 1", "line 4: 3 cells"),
        ("expect  known_at=event", "expects  known_at=event", "line 8: `expects`"),
        ("known_at=event", "known_at=seen", "line 8: `seen`"),
        ("paths=training", "paths=trainning", "line 8: `trainning` is not a path"),
        ("paths=training", "paths=serving", "line 8: `serving` answers under known_at=served alone"),
        ("k | t     | v:x", "k | t     | x", "line 9: several views have a feature `x`"),
        ("k | t     | v:x", "k | t     | v:y", "line 9: no view above has a feature `v:y`"),
        ("k | t     | v:x | status", "k | t     | v:x | x__status", "is the status of no column"),
        (
            "k | t     | v:x | status\n  1 | 10:00 | 1   | PRESENT",
            "k | t     | v:x\n  1 | 10:00 | 1",
            "no status for `v:x`",
        ),
        (
            "k | t     | v:x | status\n  1 | 10:00 | 1   | PRESENT",
            "t     | v:x | status\n  10:00 | 1   | PRESENT",
            "no column for the join key `k`",
        ),
        ("1   | PRESENT", "1   | present", "line 10: `present` is not a status"),
        ("1   | PRESENT", "ERROR | ERROR", "line 10: an answer shows null"),
        ("  1 | 10:00 | 1   | PRESENT\n", "", "line 8: an expectation has a row"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        let error = parse_case("bad", &bad).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(expected), "{to}: {error}");
    }
}
