//! The SQL of sources over all rows: joins, groups and windows from files to answers, loads in ranges, what is read again.

use asof_model::{KnownAt, Status, Value, ValueType};
use asof_store::StoreError;
use asof_store::materialize::MaterializeRequest;

use crate::project::{Ask, Project, START, at, features, int_keys, present, without_value};
use crate::tables::Column;

const PAYMENTS: &str = "id,at,amount,currency\n\
                        1,2024-01-01T10:00:00Z,10.5,EUR\n\
                        1,2024-01-02T10:00:00Z,0.1,CHF\n\
                        1,2024-01-04T10:00:00Z,0.2,CHF\n\
                        2,2024-01-02T11:00:00Z,7,XXX\n\
                        2,2024-01-03T11:00:00Z,5,EUR\n";

const RATES: &str = "currency,day,rate\nEUR,2024-01-01,2\nCHF,2024-01-01,1\n";

fn defined(sql: &str, more: &str, features: &str) -> String {
    let sql = sql.replace('\n', "\n      ");
    format!(
        "entities: {{ id: {{ keys: {{ id: int64 }} }} }}
sources:
  rates: {{ path: rates.csv, event: day }}
  payments:
    path: payments
    event: at{more}
    sql: |
      {sql}
feature_views: {{ v: {{ entities: id, source: payments, features: {{ {features} }} }} }}
"
    )
}

fn project(sql: &str, more: &str, features: &str) -> Project {
    let mut project = Project::new(&defined(sql, more, features));
    project.write("payments/a.csv", PAYMENTS);
    project.write("rates.csv", RATES);
    project.apply();
    project
}

const DAILY: &str = "select id, max(at) as at, sum(amount * rate) as total, count(*) as n\n\
                     from source p left join rates r on p.currency = r.currency group by id";

/// Goal: a join with a group is served and trained alike; the same inputs are not read again, and a change in any of the
/// sources that it reads runs it anew.
#[test]
fn joined_and_grouped() {
    let mut project = project(DAILY, "", "total: float64, n: int64");
    let load = project.load(&[]);
    assert_eq!((load.files, load.rows_read, load.rows_added, load.rows_bad), (2, 2, 2, 0));
    let float = |value: f64| present(Value::Float64(value));
    let int = |value: i64| present(Value::Int64(value));
    let names = ["v:total", "v:n"];
    let expected =
        [vec![float(21.3), int(3)], vec![float(10.0), int(2)], vec![without_value(Status::Missing); 2]];
    assert_eq!(project.get(&names, &int_keys("id", &[1, 2, 3])), expected);
    // From the stamp of the load on.
    let later = at("2030-01-01T00:01:00Z");
    let labels = [Column::ints("id", [1, 2, 3]), Column::instants("t", [later; 3])];
    let trained = project.train(&Ask::of(features(&names), KnownAt::Served), &labels);
    let columns = [("total".to_owned(), ValueType::Float64), ("n".to_owned(), ValueType::Int64)];
    assert_eq!(trained.answers(&columns), expected);

    assert!(project.load(&[]).unchanged);
    project.set_clock("2030-01-02T00:00:00Z");
    project.write("rates.csv", RATES.replace("EUR,2024-01-01,2", "EUR,2024-01-01,3"));
    let load = project.load(&[]);
    assert_eq!((load.unchanged, load.rows_added, load.conflicts), (false, 2, 0));
    // The created time is that of the snapshot, so the later one stands.
    assert_eq!(project.get(&["v:total"], &int_keys("id", &[1])), [[float(31.8)]]);
    let then = project.train(
        &Ask::of(features(&["v:total"]), KnownAt::Created),
        &[Column::ints("id", [1, 1]), Column::instants("t", [at(START), at("2030-01-02T00:00:00Z")])],
    );
    assert_eq!(then.answers(&columns[..1]), [[float(21.3)], [float(31.8)]]);
    assert!(
        !project.root.join(".asof/scratch").exists()
            || std::fs::read_dir(project.root.join(".asof/scratch")).unwrap().next().is_none()
    );
}

/// Goal: with a lookback, ranges that are loaded one by one, in any order, end with the same rows as a whole load, and read
/// no more than they need.
#[test]
fn loaded_in_ranges() {
    let sql = "select id, at, sum(amount) over (partition by id order by at\n\
               range between interval '2 days' preceding and current row) as recent from source";
    let feature = "recent: float64";
    let mut whole = project(sql, "\n    lookback: 2d", feature);
    whole.load(&[]);
    let mut parts = project(sql, "\n    lookback: 2d", feature);
    let days = ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"];
    for place in [2, 0, 3, 1] {
        let day = |place: usize| Some(at(&format!("{}T00:00:00Z", days[place])));
        let request =
            MaterializeRequest { start: day(place), end: day(place + 1), ..MaterializeRequest::default() };
        let report = parts.try_materialize(&request).unwrap();
        assert_eq!(report.failures, []);
        assert!(report.views[0].rows_read < 5, "{:?}", report.views[0]);
    }
    let instants: Vec<_> = days.iter().map(|day| at(&format!("{day}T12:00:00Z"))).collect();
    let labels = |id: i64| [Column::ints("id", [id; 5]), Column::instants("t", instants.clone())];
    let columns = [("recent".to_owned(), ValueType::Float64)];
    let ask = Ask::of(features(&["v:recent"]), KnownAt::Event);
    for id in [1, 2] {
        let answers = parts.train(&ask, &labels(id)).answers(&columns);
        assert_eq!(answers, whole.train(&ask, &labels(id)).answers(&columns));
        if id == 1 {
            let floats = [10.5, 10.6, 10.6, 0.1 + 0.2, 0.1 + 0.2];
            let expected = floats.map(|value| vec![present(Value::Float64(value))]);
            // The exact sum, rounded once.
            assert_eq!(answers[0], expected[0]);
            assert_eq!(answers[3], expected[3]);
        }
    }
}

/// Goal: a row about which something in ERROR decides, and a row of a file that can't be split, are set aside with their
/// reasons; a value in ERROR is one in its feature.
#[test]
fn bad_rows() {
    let sql = "select p.id, at, 100 / cast(amount as int64) as share from source p\n\
               join rates r on p.currency = r.currency and 1 / (cast(amount as int64) - 5) < 9";
    let mut project = project(sql, "", "share: int64");
    project.write("payments/b.csv", "id,at,amount,currency\n9,2024-01-01T10:00:00Z\n");
    let load = project.load(&[]);
    assert_eq!((load.rows_read, load.rows_bad, load.feature_errors["share"].count), (5, 2, 2), "{load:?}");
    let folder = load.quarantine.unwrap();
    let texts: String = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert!(
        texts.contains("the condition of `on` is in ERROR") && texts.contains("\"amount\"").eq(&false),
        "{texts}"
    );
    assert!(texts.contains("b.csv") && texts.contains("the row has 2 fields"), "{texts}");
    assert_eq!(project.get(&["v:share"], &int_keys("id", &[1])), [[without_value(Status::Error)]]);
}

/// Goal: an edit of the query, its lookback, the types or the reading of a source that it joins is refused; spelling is
/// not an edit; sources that can't be read together are refused.
#[test]
fn edits_and_refusals() {
    let features = "total: float64, n: int64";
    let mut project = project(DAILY, "", features);
    project.define(&defined(
        &DAILY.replace("select", "SELECT").replace("left join", "left  join"),
        "",
        features,
    ));
    assert!(project.apply().plan.changes().all(|step| step.name == "payments"));
    for (old, new) in [
        ("sum(amount * rate)", "sum(amount)"),
        ("    event: at", "    event: at\n    lookback: 5d"),
        ("    event: at", "    event: at\n    columns: { amount: float32 }"),
        ("rates.csv, event: day", "rates.csv, event: day, zone: Europe/Zurich"),
        ("rates.csv, event: day", "rates.csv, event: day, columns: { rate: float64 }"),
    ] {
        project.define(&defined(DAILY, "", features).replace(old, new));
        assert!(matches!(project.try_apply(&[]), Err(StoreError::Refused(_))), "{new}");
    }
    let words = |definitions: &str| {
        let mut project = Project::new(definitions);
        project.write("payments/a.csv", PAYMENTS);
        project.write("rates.csv", RATES);
        project.try_apply(&[]).err().expect("it was accepted").to_string()
    };
    let circle =
        defined(DAILY, "", features).replace("event: day }", "event: day, sql: select * from source }");
    assert!(words(&circle).contains("source `rates` has sql of its own"), "{}", words(&circle));
    let itself = defined("select distinct * from payments", "", features);
    assert!(words(&itself).contains("features.yaml:8:30: source `payments`: source `payments` reads itself"));
    let nowhere = defined("select distinct * from rats", "", features);
    assert!(words(&nowhere).contains("there is no source `rats`"));
    let pathless = defined(DAILY, "", features).replace("    path: payments\n", "");
    assert!(words(&pathless).contains("source `payments` has no files of its own"), "{}", words(&pathless));
    // A source that reads others alone needs none.
    let mut alone = Project::new(
        &defined(
            "select currency as id, max(day) as at, max(rate) as top from rates group by currency",
            "",
            "top: float64",
        )
        .replace("    path: payments\n", "")
        .replace("{ id: int64 }", "{ id: string }"),
    );
    alone.write("rates.csv", RATES);
    alone.apply();
    alone.load(&[]);
    let keys =
        std::collections::BTreeMap::from([("id".to_owned(), vec![Some(Value::String("EUR".to_owned()))])]);
    assert_eq!(alone.get(&["v:top"], &keys), [[present(Value::Float64(2.0))]]);
    // What is read by a query is not removed.
    project.define(&defined(DAILY, "", features).replace("  rates: { path: rates.csv, event: day }\n", ""));
    assert!(matches!(project.try_apply(&["rates"]), Err(StoreError::Refused(_))));
}
