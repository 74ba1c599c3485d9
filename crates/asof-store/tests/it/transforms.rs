//! The SQL of sources that are row-wise: what is typed and recorded, what an edit of it means, and what becomes of rows.

use asof_model::plan::Action;
use asof_model::{KnownAt, Status, Value, ValueType};
use asof_store::StoreError;

use crate::project::{Ask, Project, at, features, int_keys, present, without_value};
use crate::tables::Column;

/// The definitions of view `v` over a source with that query, with these features.
fn defined(source: &str, features: &str) -> String {
    format!(
        "entities: {{ id: {{ keys: {{ id: int64 }} }} }}
sources:
  rows:
    path: data
    event: event_timestamp
{source}
feature_views: {{ v: {{ entities: id, source: rows, features: {{ {features} }} }} }}
"
    )
}

const ROWS: &str = "id,event_timestamp,a,b,city\n\
                    1,2024-01-01T10:00:00Z,10,4,Bern\n\
                    2,2024-01-01T10:00:00Z,7,0,Genf\n\
                    3,2024-01-01T10:00:00Z,,4,\n\
                    4,2024-01-01T10:00:00Z,3,-1,Chur\n";

const QUERY: &str = "    sql: |\n      select *, a / b as ratio, -- how much\n        upper(city) as shout\n      from source where b >= 0\n";

fn project(source: &str, features: &str) -> Project {
    let mut project = Project::new(&defined(source, features));
    project.write("data/rows.csv", ROWS);
    project.apply();
    project
}

fn refused(project: &mut Project) -> String {
    let error = project.try_apply(&[]).err().expect("it was accepted");
    let hints = error.parts().into_iter().filter_map(|(_, hint)| hint);
    format!("{error}\n{}", hints.collect::<Vec<_>>().join("\n"))
}

/// Goal: what is computed is served and trained alike; a row that the condition leaves out is gone, an expression in
/// ERROR makes its feature ERROR.
#[test]
fn computed_columns() {
    let mut project = project(QUERY, "a: int64, ratio: int64, shout: string");
    let load = project.load(&[]);
    assert_eq!((load.rows_read, load.rows_filtered, load.rows_bad, load.rows_added), (4, 1, 0, 3));
    let names = ["v:a", "v:ratio", "v:shout"];
    let text = |text: &str| present(Value::String(text.to_owned()));
    let expected = [
        vec![present(Value::Int64(10)), present(Value::Int64(2)), text("BERN")],
        vec![present(Value::Int64(7)), without_value(Status::Error), text("GENF")],
        vec![without_value(Status::Null); 3],
        vec![without_value(Status::Missing); 3],
    ];
    assert_eq!(project.get(&names, &int_keys("id", &[1, 2, 3, 4])), expected);
    let now = at(crate::project::START);
    let labels = [Column::ints("id", [1, 2, 3, 4]), Column::instants("t", [now; 4])];
    let trained = project.train(&Ask::of(features(&names), KnownAt::Event), &labels);
    let columns = [
        ("a".to_owned(), ValueType::Int64),
        ("ratio".to_owned(), ValueType::Int64),
        ("shout".to_owned(), ValueType::String),
    ];
    assert_eq!(trained.answers(&columns), expected);
    assert_eq!(load.feature_errors["ratio"].count, 1);
    assert!(load.feature_errors["ratio"].first.contains("rows.csv row 2 (line 3): "), "{load:?}");
}

/// Goal: a condition in ERROR, and a computed key or event in ERROR, make a bad row, set aside with file, row and reason.
#[test]
fn bad_rows() {
    let query = "    sql: select * exclude (id), id / b as id from source where 100 / a > 0\n";
    let mut project = project(query, "city: string");
    project.write("data/more.csv", "id,event_timestamp,a,b,city\n5,2024-01-01T10:00:00Z,0,1,Sion\n");
    let load = project.load(&[]);
    // A null in the condition leaves out, as false does.
    assert_eq!((load.rows_read, load.rows_filtered, load.rows_bad, load.rows_added), (5, 1, 2, 2));
    let folder = load.quarantine.unwrap();
    let mut lines: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .flat_map(|entry| {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    lines.sort();
    assert_eq!(lines.len(), 2);
    assert!(
        lines[0].contains("more.csv") && lines[0].contains("the condition of the sql is in ERROR"),
        "{lines:?}"
    );
    assert!(lines[1].contains("\"row\":2,\"line\":3") && lines[1].contains("the join key: "), "{lines:?}");
    assert_eq!(
        project.get(&["v:city"], &int_keys("id", &[0]))[0][0],
        present(Value::String("Bern".to_owned()))
    );
}

/// Goal: columns that a query only passes on, or renames, have the same bytes as without it, and the same hash: it can be
/// added to a source in use.
#[test]
fn bare_columns() {
    let rows = "id,event_timestamp,zip\n1,2024-01-01T10:00:00Z,00501\n2,2024-01-01T10:00:00Z,1.50\n";
    let mut project = Project::new(&defined("", "zip: string"));
    project.write("data/rows.csv", rows);
    project.apply();
    project.load(&[]);
    let before = project.catalog().views.values().next().unwrap().semantic_hash.clone();
    let passed = |text: &str| vec![present(Value::String(text.to_owned()))];
    assert_eq!(project.get(&["v:zip"], &int_keys("id", &[1, 2])), [passed("00501"), passed("1.50")]);
    for sql in ["select * from source", "select s.zip, ID, event_timestamp from source as s"] {
        project.define(&defined(&format!("    sql: {sql}\n"), "zip: string"));
        project.apply();
        assert_eq!(project.catalog().views.values().next().unwrap().semantic_hash, before, "{sql}");
        assert!(project.load(&[]).unchanged);
    }
    let renamed = rows.replace("zip", "code");
    project.write("data/rows.csv", renamed);
    let mut other = Project::new(&defined("    fields: { code: zip }\n", "zip: string"));
    other.apply();
    let fields = other.catalog().views.values().next().unwrap().semantic_hash.clone();
    let sql = "    sql: select id, event_timestamp, code as zip from source\n";
    let mut other = Project::new(&defined(sql, "zip: string"));
    other.write("data/rows.csv", "id,event_timestamp,code\n1,2024-01-01T10:00:00Z,00501\n");
    other.apply();
    assert_eq!(other.catalog().views.values().next().unwrap().semantic_hash, fields);
    other.load(&[]);
    assert_eq!(other.get(&["v:zip"], &int_keys("id", &[1])), [passed("00501")]);
}

/// Goal: a feature that the query newly computes is an added feature; spelling doesn't count; an edit that changes values
/// is refused.
#[test]
fn edits() {
    let mut project = project(QUERY, "ratio: int64");
    project.load(&[]);
    let spelled = QUERY.replace("select *", "SELECT  * ").replace("-- how much", "").replace("a / b", "A/b");
    project.define(&defined(&spelled, "ratio: int64"));
    assert!(project.apply().plan.changes().all(|step| step.name == "rows"));
    assert!(project.load(&[]).unchanged);

    let added = QUERY.replace("upper(city)", "a + b as total, upper(city)");
    project.define(&defined(&added, "ratio: int64, total: int64"));
    let plan = project.apply().plan;
    let view = plan.changes().find(|step| step.name == "v@1").unwrap();
    assert_eq!(view.action, Action::Change);
    project.load(&[]);
    assert_eq!(project.get(&["v:total"], &int_keys("id", &[1])), [[present(Value::Int64(14))]]);

    for (old, new) in
        [("a / b", "a / (b + 1)"), ("b >= 0", "b > 0"), ("from source where b >= 0", "from source")]
    {
        project.define(&defined(&added.replace(old, new), "ratio: int64, total: int64"));
        assert!(matches!(project.try_apply(&[]), Err(StoreError::Refused(_))), "{new}");
    }
    // Whom nobody reads may change.
    project.define(&defined(&added.replace("upper", "lower"), "ratio: int64, total: int64"));
    project.apply();
}

/// Goal: the type of a column is the recorded one, whatever a file says later; what can't be read as it is ERROR. One
/// that is declared goes first, and changing it is refused.
#[test]
fn recorded_types() {
    let query = "    sql: select *, a * 2 as twice from source\n";
    let mut project = project(query, "twice: int64");
    let recorded = project.catalog().definitions.sources["rows"].meaning().unwrap().clone();
    assert_eq!(recorded.inputs["rows"].get("a"), Some(&ValueType::Int64));
    assert_eq!(recorded.inputs["rows"].len(), 1, "only what is read has a type");
    let from: Vec<&str> = recorded.outputs["twice"].from.iter().map(String::as_str).collect();
    assert_eq!(from, ["a"]);
    project.write("data/rows.csv", ROWS.replace("10,4", "1.5,4"));
    assert_eq!(project.apply().plan.changes().count(), 0);
    project.load(&[]);
    let expected = [[without_value(Status::Error)], [present(Value::Int64(14))]];
    assert_eq!(project.get(&["v:twice"], &int_keys("id", &[1, 2])), expected);

    project.define(&defined(&format!("    columns: {{ a: float64 }}\n{query}"), "twice: int64"));
    let words = refused(&mut project);
    assert!(words.contains("source.columns.a: int64 -> float64"), "{words}");

    // Without files, only what is declared is known.
    let mut empty = Project::new(&defined(query, "twice: int64"));
    let words = refused(&mut empty);
    assert!(words.contains("`a` is not a column here") && words.contains("columns:"), "{words}");
    empty.define(&defined(&format!("    columns: {{ a: int64 }}\n{query}"), "twice: int64"));
    empty.apply();
}

/// Goal: what is wrong in a query is said with its place in the file, in each way to write text in YAML.
#[test]
fn problems_and_places() {
    let cases = [
        (
            "    sql: select a + cyti as x from source\n",
            "features.yaml:6:21: source `rows`: `cyti` is not a column here",
        ),
        ("    sql: \"select a + cyti as x from source\"\n", "features.yaml:6:22: "),
        (
            "    sql: |\n      -- one\n\n      select a + cyti as x\n      from source\n",
            "features.yaml:9:18: ",
        ),
        ("    sql: >-\n      select a\n      + cyti as x from source\n", "features.yaml:7:7: "),
        ("    sql: select a from\n", "features.yaml:6:10: "),
        (
            "    sql: select a + 1 from source\n",
            "features.yaml:6:17: source `rows`: the expression has no name",
        ),
        ("    sql: select random() as x from source\n", "`random` is refused"),
        ("    sql: select a as x from source limit 3\n", "`limit` without `order by`"),
        ("    sql: select * from source where a\n", "`where` takes a condition, and this is int64"),
        ("    sql: select *, 1 as city from source\n", "two columns are named `city`"),
        ("    sql: delete from source\n", "the sql is not one query"),
        (
            "    sql: select a as x, b as y from source\n",
            "the sql of source `rows` gives no column `event_timestamp`",
        ),
        ("    sql: select * from source\n    lookback: 7d\n", "`lookback` says nothing of a row-wise query"),
        ("    lookback: 7d\n", "`lookback` without `sql`"),
    ];
    for (source, expected) in cases {
        let mut project = Project::new(&defined(source, "x: int64"));
        project.write("data/rows.csv", ROWS);
        let words = refused(&mut project);
        assert!(words.contains(expected), "{source}{words}");
    }
}
