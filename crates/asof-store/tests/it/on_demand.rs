//! Views on demand from the outside: what an apply says of them, and what training makes of them.

use std::path::PathBuf;

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type};
use asof_model::plan::Action;
use asof_model::{Instant, KnownAt, Status, Value, ValueType};
use asof_oracle::OracleValue;
use asof_store::materialize::MaterializeRequest;
use asof_store::request::{Naming, Wanted};
use asof_store::train::{LabelRows, TrainOptions, TrainRequest};
use asof_store::verify::VerifyRequest;
use asof_store::{NoProgress, StoreError};

use crate::project::{Ask, Project, at, features, present, read_parquet, without_value};
use crate::tables::{Carrier, Column};

const DEFINITIONS: &str = "
entities: { driver: { keys: { driver: int64 } } }
sources:
  trips_file: { path: data/trips, event: at, created: seen }
  clicks: { path: data/clicks, event: at, columns: { driver: int64 } }
feature_views:
  trips:
    entities: driver
    source: trips_file
    ttl: 2d
    features: { n: int64, rate: { type: float64, default: 0.5 } }
  recent: { entities: driver, source: clicks, features: { clicks: { aggregate: count(), over: 1h } } }
  ratios:
    request: { amount: int64, note: string }
    inputs: [trips, recent]
    features:
      each: { type: int64, expr: amount / n, default: -1 }
      paid: { type: float64, expr: amount * rate }
      marked: { type: string, expr: \"concat(note, '!')\" }
      quick: { type: bool, expr: clicks > 1 and amount is not null }
      day: { type: date, expr: cast(request_timestamp() as date) }
  top: { inputs: [ratios, trips@1], features: { sum: { type: int64, expr: ratios.each + trips.n } } }
";

const TRIPS: &str = "driver,at,seen,n,rate\n\
                     1,2024-01-01T10:00:00Z,2024-01-01T12:00:00Z,4,2.5\n\
                     2,2024-01-01T10:00:00Z,2024-01-01T10:00:00Z,0,\n\
                     3,2024-01-01T10:00:00Z,2024-01-01T10:00:00Z,x,y\n";

const CLICKS: &str = "driver,at\n1,2024-01-01T11:00:00Z\n1,2024-01-01T11:10:00Z\n2,2024-01-01T11:00:00Z\n";

/// A project whose views are loaded.
fn loaded() -> Project {
    let mut project = Project::new(DEFINITIONS);
    project.write("data/trips/a.csv", TRIPS);
    project.write("data/clicks/a.csv", CLICKS);
    project.apply();
    let loads = project.materialize(&[]);
    assert_eq!(loads.len(), 2, "views on demand are left out");
    project
}

fn int(value: i64) -> OracleValue {
    present(Value::Int64(value))
}

fn float(value: f64) -> OracleValue {
    present(Value::float64(value))
}

fn text(value: &str) -> OracleValue {
    present(Value::String(value.to_owned()))
}

fn defaulted(value: Value, status: Status) -> OracleValue {
    OracleValue { status, ..present(value) }
}

const COLUMNS: [(&str, ValueType); 6] = [
    ("each", ValueType::Int64),
    ("paid", ValueType::Float64),
    ("marked", ValueType::String),
    ("quick", ValueType::Bool),
    ("day", ValueType::Date),
    ("sum", ValueType::Int64),
];

const WANTED: [&str; 6] =
    ["ratios:each", "ratios:paid", "ratios:marked", "ratios:quick", "ratios:day", "top:sum"];

fn columns() -> Vec<(String, ValueType)> {
    COLUMNS.iter().map(|(name, of)| ((*name).to_owned(), *of)).collect()
}

/// Labels of some drivers at an instant, each with an amount and a note.
fn labels(t: &str, rows: &[(i64, Option<i64>, Option<&str>)]) -> Vec<Column> {
    let amounts = rows.iter().map(|(_, amount, _)| amount.map(Value::Int64));
    let notes = rows.iter().map(|(.., note)| note.map(|note| Value::String(note.to_owned())));
    vec![
        Column::ints("driver", rows.iter().map(|(driver, ..)| *driver)),
        Column::instants("t", rows.iter().map(|_| at(t))),
        Column::values("amount", ValueType::Int64, amounts),
        Column::values("note", ValueType::String, notes),
    ]
}

/// Goal: request fields come from the labels, features enter after their defaults, errors pass on, and what comes of it has
/// a status and a default like any other feature; in CSV as in Parquet.
#[test]
fn values_and_statuses() {
    let mut project = loaded();
    let rows =
        [(1, Some(10), Some("007")), (2, Some(10), None), (3, Some(10), Some("b")), (9, None, Some("c"))];
    let day = || present(Value::Date(19_723));
    let expected = [
        vec![int(2), float(25.0), text("007!"), present(Value::Bool(true)), day(), int(6)],
        // A division by zero; `rate` is null, and so its default; one click.
        vec![
            defaulted(Value::Int64(-1), Status::Error),
            float(5.0),
            text("!"),
            present(Value::Bool(false)),
            day(),
            int(-1),
        ],
        // `n` can't be read and has no default; `rate` has one; nobody ever clicked.
        vec![
            defaulted(Value::Int64(-1), Status::Error),
            float(5.0),
            text("b!"),
            without_value(Status::Null),
            day(),
            without_value(Status::Error),
        ],
        // Nothing is known of the driver, and the amount is null.
        vec![
            defaulted(Value::Int64(-1), Status::Null),
            without_value(Status::Null),
            text("c!"),
            present(Value::Bool(false)),
            day(),
            without_value(Status::Null),
        ],
    ];
    for carrier in [Carrier::Csv, Carrier::Text, Carrier::Typed] {
        let ask = Ask { labels: carrier, ..Ask::of(features(&WANTED), KnownAt::Event) };
        let trained = project.train(&ask, &labels("2024-01-01T11:30:00Z", &rows));
        assert_eq!(trained.answers(&columns()), expected, "{carrier:?}");
        let own = ["driver", "t", "amount", "note"];
        let names = trained.names();
        assert_eq!(names[..4], own);
        assert_eq!(names[4..6], ["each", "each__status"], "nothing that is only read");
        assert_eq!(names.len(), 4 + 2 * WANTED.len());
    }
}

/// Goal: an input that has expired is null or its default, also where expired values are asked for.
#[test]
fn expired_inputs() {
    let mut project = loaded();
    let wanted = features(&["trips:n", "ratios:each", "ratios:paid", "top:sum"]);
    let ask = Ask { include_expired: true, ..Ask::of(wanted, KnownAt::Event) };
    let trained = project.train(&ask, &labels("2024-01-03T10:00:00.000001Z", &[(1, Some(10), None)]));
    let columns =
        [("n", ValueType::Int64), COLUMNS[0], COLUMNS[1], COLUMNS[5]].map(|(name, of)| (name.to_owned(), of));
    let expected = vec![
        defaulted(Value::Int64(4), Status::OutsideTtl),
        defaulted(Value::Int64(-1), Status::Null),
        float(5.0),
        without_value(Status::Null),
    ];
    assert_eq!(trained.answers(&columns), [expected]);
}

/// Goal: what is known at a label is known of the inputs, under each rule.
#[test]
fn rules_of_knowledge() {
    let mut project = loaded();
    for (known_at, t, expected) in [
        (KnownAt::Event, "2024-01-01T11:30:00Z", int(2)),
        (KnownAt::Created, "2024-01-01T11:30:00Z", defaulted(Value::Int64(-1), Status::Null)),
        (KnownAt::Created, "2024-01-01T12:00:00Z", int(2)),
        (KnownAt::Served, "2024-01-01T12:00:00Z", defaulted(Value::Int64(-1), Status::Null)),
    ] {
        let ask = Ask::of(features(&["ratios:each"]), known_at);
        let trained = project.train(&ask, &labels(t, &[(1, Some(10), None)]));
        assert_eq!(trained.answers(&columns()[..1]), [vec![expected]], "{known_at:?}");
    }
}

/// Goal: a service takes a view on demand under two aliases with keys of their own, and its columns in the order listed.
#[test]
fn services_with_aliases() {
    let mut project = loaded();
    project.define(&format!(
        "{DEFINITIONS}feature_services:
  pair:
    features:
      - ratios: [paid, each]
        as: giver
        keys: {{ driver: from }}
      - trips: n
      - ratios: each
        as: taker
        keys: {{ driver: to }}
"
    ));
    project.apply();
    let ask = Ask { full_names: true, ..Ask::of(Wanted::Service("pair".to_owned()), KnownAt::Event) };
    let mut labels = labels("2024-01-01T11:30:00Z", &[(1, Some(8), None), (2, Some(8), None)]);
    labels.push(Column::ints("from", [2, 1]));
    labels.push(Column::ints("to", [1, 9]));
    let trained = project.train(&ask, &labels);
    let columns = [
        ("giver__paid", ValueType::Float64),
        ("giver__each", ValueType::Int64),
        ("trips__n", ValueType::Int64),
        ("taker__each", ValueType::Int64),
    ];
    let names: Vec<String> =
        trained.names().into_iter().skip(6).filter(|name| !name.ends_with("__status")).collect();
    assert_eq!(names, columns.map(|(name, _)| name));
    let columns = columns.map(|(name, of)| (name.to_owned(), of));
    assert_eq!(
        trained.answers(&columns),
        [
            vec![float(4.0), defaulted(Value::Int64(-1), Status::Error), int(4), int(2)],
            vec![float(20.0), int(2), int(0), defaulted(Value::Int64(-1), Status::Null)],
        ]
    );
}

/// Goal: a label table without a request column, or with a bad value in one, is refused before history is read, and says
/// which column and why.
#[test]
fn bad_labels() {
    let mut project = loaded();
    let ask = Ask { labels: Carrier::Csv, ..Ask::of(features(&["top:sum"]), KnownAt::Event) };
    let mut columns = labels("2024-01-01T11:30:00Z", &[(1, Some(10), Some("a")), (2, None, Some("b"))]);
    // Nobody asks for what reads `note`.
    columns.truncate(3);
    project.train(&ask, &columns);
    columns[2].name = "ammount".to_owned();
    let error = project.try_train(&ask, &columns).map(|_| ()).unwrap_err();
    let StoreError::MissingField { hint, .. } = &error else { panic!("{error:?}") };
    assert_eq!(
        error.to_string(),
        "the request lacks the field `amount`, which view `ratios@1` computes with"
    );
    assert_eq!(hint.as_deref(), Some("there is `ammount`; call it `amount`"));
    columns[2] = Column::values(
        "amount",
        ValueType::String,
        ["7", "ten"].map(|text| Some(Value::String(text.into()))),
    );
    let error = project.try_train(&ask, &columns).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("`amount`") && error.to_string().contains("row 2"), "{error}");
}

fn refused(definitions: &str) -> String {
    let mut project = Project::new(definitions);
    let error = project.try_apply(&[]).err().expect("it was accepted");
    let parts = error.parts().into_iter().map(|(problem, hint)| match hint {
        Some(hint) => format!("{problem}\n  hint: {hint}\n"),
        None => format!("{problem}\n"),
    });
    parts.collect()
}

/// Goal: each expression is typed when it is applied, and what is wrong stands at its place with what to write.
#[test]
fn refused_expressions() {
    let definitions = "\
entities: { driver: { keys: { driver: int64 } } }
sources: { rows: { path: data, event: at } }
feature_views:
  trips: { entities: driver, source: rows, features: { n: int64, rate: float64 } }
  rides: { entities: driver, source: rows, features: { n: int64 } }
  v:
    request: { amount: int64 }
    inputs: [trips, rides]
    features:
      a: { type: float64, expr: amount / ratee }
      b: { type: float64, expr: \"n / 2\" }
      c: { type: int64, expr: amount * rate }
      d: { type: timestamp, expr: amount > 0 }
      e:
        type: float64
        expr: |
          amount
            + trip.n
      f: { type: float64, expr: amount + }
      g: { type: float64, expr: random() }
      h: { type: int64, expr: h + 1 }
      i: { type: int64, expr: v.j + 1 }
      j: { type: int64, expr: i + 1 }
      k: { type: string, expr: 'null' }
";
    let expected = "\
features.yaml:10:42: view `v@1`, feature `a`: `ratee` is neither a request field nor a feature of an input
  hint: did you mean `rate`?
features.yaml:11:34: view `v@1`, feature `b`: `n` could be any of `trips.n`, `rides.n`
  hint: write which one is meant, such as `trips.n`
features.yaml:12:31: view `v@1`, feature `c`: its expression is float64, and it is declared int64
  hint: write `cast(amount * rate as int64)`, or declare `type: float64`
features.yaml:13:35: view `v@1`, feature `d`: its expression is bool, and it is declared timestamp
  hint: declare `type: bool`
features.yaml:18:15: view `v@1`, feature `e`: `trip.n` is neither a request field nor a feature of an input
  hint: did you mean `trips`?
features.yaml:19:40: view `v@1`, feature `f`: expected an expression, found its end
features.yaml:20:33: view `v@1`, feature `g`: `random` is refused: it gives another value each time, so training and serving would differ
  hint: write `hash_bucket(key, n)` for a choice that is the same everywhere
features.yaml:21:31: view `v@1`: feature `h` reads itself
  hint: a feature is computed of others, which must be known before
features.yaml:22:31: view `v@1`: features read each other: `i` -> `j` -> `i`
  hint: a feature is computed of others, which must be known before
features.yaml:24:33: view `v@1`, feature `k`: a null without a type can't be used in an expression
  hint: write `cast(null as ...)` with a type
";
    assert_eq!(refused(definitions), expected);
}

/// Goal: views that read each other are refused with the way around, once for each circle.
#[test]
fn circles() {
    let view = |name: &str, inputs: &str| {
        format!(
            "  {name}: {{ inputs: [{inputs}], features: {{ {name}_x: {{ type: int64, expr: {}_x }} }} }}\n",
            inputs.split(['@', ',']).next().unwrap()
        )
    };
    let views = [
        view("a", "b"),
        view("b", "c@1, d"),
        view("c", "a"),
        view("d", "c"),
        view("e", "e2"),
        view("e2", "e"),
    ];
    let definitions = format!("feature_views:\n{}", views.concat());
    let problems = refused(&definitions);
    let circles: Vec<&str> =
        problems.lines().filter_map(|line| Some(line.split_once("other: ")?.1)).collect();
    assert!(circles.contains(&"`e@1` -> `e2@1` -> `e@1`"), "{problems}");
    assert!(circles.contains(&"`a@1` -> `b@1` -> `c@1` -> `a@1`"), "{problems}");
    assert!(problems.contains("features.yaml:2:17: views read each other: `a@1`"), "{problems}");
}

/// Goal: what an edit of a view on demand means: another spelling is nothing, one more feature is added and answers at once,
/// anything else is a new version.
#[test]
fn edits() {
    let mut project = loaded();
    project.define(
        &DEFINITIONS
            .replace("amount / n,", "\"( AMOUNT/trips.n )\",")
            .replace("[trips, recent]", "[recent, trips@1]"),
    );
    let applied = project.apply();
    let step = applied.plan.steps.iter().find(|step| step.name == "ratios@1").unwrap();
    assert_eq!((step.action, step.details.len()), (Action::Change, 0), "{step:?}");
    let hash = |project: &mut Project| {
        project.catalog().views[&asof_model::ViewId::new("ratios", 1)].semantic_hash.clone()
    };
    let before = hash(&mut project);
    project.define(&DEFINITIONS.replace(
        "    request: { amount: int64, note: string }\n    inputs: [trips, recent]\n    features:\n",
        "    request: { amount: int64, note: string, tip: int64 }\n    inputs: [trips, recent]\n    features:\n      tipped: { type: int64, expr: tip + n }\n",
    ));
    let applied = project.apply();
    let step = applied.plan.steps.iter().find(|step| step.name == "ratios@1").unwrap();
    assert_eq!(step.details, ["features.tipped: (tip + trips.n): int64"]);
    assert_ne!(hash(&mut project), before);
    let mut columns = labels("2024-01-01T11:30:00Z", &[(1, Some(10), Some("a"))]);
    columns.push(Column::ints("tip", [3]));
    let trained = project.train(&Ask::of(features(&["ratios:tipped"]), KnownAt::Event), &columns);
    assert_eq!(trained.answers(&[("tipped".to_owned(), ValueType::Int64)]), [vec![int(7)]]);
    // Who asks for nothing that reads the new field needs none.
    columns.pop();
    project.train(&Ask::of(features(&["ratios:each"]), KnownAt::Event), &columns);

    project.define(&DEFINITIONS.replace("amount / n,", "amount / n + 1,"));
    let error = project.try_apply(&[]).err().unwrap().to_string();
    let difference = "features.each: (amount / trips.n): int64, default \"-1\" -> ((amount / trips.n) + 1): int64, default \"-1\"";
    assert!(error.contains(difference), "{error}");
    assert!(error.contains("features.tipped: (tip + trips.n): int64 -> removed"), "{error}");
}

/// Goal: a feature that reads one which is not backfilled does not answer either, and nobody else notices.
#[test]
fn inputs_that_do_not_answer() {
    let mut project = loaded();
    let definitions = DEFINITIONS
        .replace("features: { n: int64,", "features: { m: int64, n: int64,")
        .replace("      each:", "      more: { type: int64, expr: amount + m }\n      each:");
    project.define(&definitions);
    project.apply();
    let columns = labels("2024-01-01T11:30:00Z", &[(1, Some(10), Some("a"))]);
    let named = Ask::of(features(&["ratios:more"]), KnownAt::Event);
    let error = project.try_train(&named, &columns).map(|_| ()).unwrap_err();
    assert!(
        matches!(&error, StoreError::NotBackfilled { view, feature } if view.name == "trips" && feature == "m"),
        "{error:?}"
    );
    let all = Ask::of(features(&["ratios:*"]), KnownAt::Event);
    let names = project.train(&all, &columns).names();
    assert!(names.contains(&"each".to_owned()) && !names.contains(&"more".to_owned()), "{names:?}");
    project.write(
        "data/trips/a.csv",
        TRIPS
            .replace(",n,", ",m,n,")
            .replace("Z,4,", "Z,5,4,")
            .replace("Z,0,", "Z,5,0,")
            .replace("Z,x,", "Z,5,x,"),
    );
    project.materialize(&["trips"]);
    let trained = project.train(&named, &columns);
    assert_eq!(trained.answers(&[("more".to_owned(), ValueType::Int64)]), [vec![int(15)]]);
}

/// Goal: verbs that work on stored rows leave a view on demand out, and refuse one that is named, with what to name
/// instead; verifying one verifies what it reads.
#[test]
fn no_rows_of_its_own() {
    let mut project = loaded();
    let request = MaterializeRequest { views: vec!["top".to_owned()], ..Default::default() };
    let error = project.try_materialize(&request).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "view `top@1` is computed on demand, and has no rows of its own to load");
    assert_eq!(
        asof_model::Explain::hint(&error).as_deref(),
        Some("name what it reads: `ratios@1`, `trips@1`")
    );
    let compacted = project.compact();
    assert_eq!(compacted.views.len(), 2);
    let (runtime, store) = project.store();
    let named = ["ratios".to_owned()];
    let status = runtime.block_on(Box::pin(store.status(&[]))).unwrap();
    let views: Vec<&str> = status.views.iter().map(|view| view.view.as_str()).collect();
    assert_eq!(views, ["recent@1", "trips@1"]);
    let error = runtime.block_on(Box::pin(store.status(&named))).map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::OnDemand { doing: "count", .. }), "{error:?}");
    let shown = runtime.block_on(Box::pin(store.show("ratios"))).unwrap();
    assert!(shown[0].get("history").is_none() && shown[0]["semantic_hash"].is_string());
    assert_eq!(shown[0]["definition"]["on_demand"]["inputs"][0]["version"], 1);
    for names in [vec![], vec!["top".to_owned()]] {
        let request = VerifyRequest { names, sample: 10, oracle: true };
        let verified = runtime.block_on(Box::pin(store.verify(&request, &NoProgress))).unwrap();
        let views: Vec<&str> = verified.views.iter().map(|view| view.view.as_str()).collect();
        assert_eq!(views, ["recent@1", "trips@1"]);
        assert_eq!(verified.values, verified.identical);
    }
}

/// Goal: many labels are computed range by range, on any number of threads and in little memory, each row of its own.
#[test]
fn many_labels() {
    const ROWS: i64 = 50_000;
    let mut project = loaded();
    let trips: Vec<String> = (0..1_000)
        .map(|key| format!("{key},2024-01-01T11:00:00Z,2024-01-01T11:00:00Z,{},1.5\n", key % 7))
        .collect();
    project.write("data/trips/a.csv", format!("driver,at,seen,n,rate\n{}", trips.concat()));
    project.materialize(&["trips"]);
    let columns = [
        Column::ints("driver", (0..ROWS).map(|row| row % 1_500)),
        Column::instants("t", (0..ROWS).map(|row| Instant::from_micros_clamped(1_704_110_400_000_000 + row))),
        Column::ints("amount", (0..ROWS).map(|row| row * 3)),
    ];
    let path = project.root.join("labels.parquet");
    Carrier::Typed.write(&path, &columns);
    let mut outputs: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for (threads, memory) in [(1, None), (4, None), (3, Some(32 << 20))] {
        let output = project.root.join(format!("training-{}.parquet", outputs.len()));
        let request = TrainRequest {
            labels: LabelRows::of_files(&path),
            wanted: features(&["ratios:paid", "top:sum", "ratios:each"]),
            output: output.clone(),
            timestamp: "t".to_owned(),
            reading: Default::default(),
            naming: Naming::default(),
            known_at: KnownAt::Event,
            statuses: true,
            include_expired: false,
            options: TrainOptions { threads: Some(threads), memory, ..TrainOptions::default() },
        };
        let (runtime, store) = project.store();
        runtime.block_on(Box::pin(store.train(&request, &NoProgress))).unwrap();
        let bytes = std::fs::read(&output).unwrap();
        outputs.push((output, bytes));
    }
    assert!(outputs.iter().all(|(_, bytes)| *bytes == outputs[0].1), "the same bytes");
    let rows = read_parquet(&outputs[0].0);
    assert_eq!(rows.num_rows() as i64, ROWS);
    let ints = |name: &str| rows.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
    let (sums, each) = (ints("sum"), ints("each"));
    let paid = rows.column_by_name("paid").unwrap().as_primitive::<Float64Type>().clone();
    for row in 0..ROWS {
        let (place, driver, amount) = (row as usize, row % 1_500, row * 3);
        let n = (driver < 1_000).then_some(driver % 7);
        let share = n.filter(|n| *n != 0).map_or(-1, |n| amount / n);
        assert_eq!(each.value(place), share, "row {row}");
        let sum = n.map(|n| share + n);
        assert_eq!(arrow::array::Array::is_valid(&sums, place).then(|| sums.value(place)), sum, "row {row}");
        let rate = if n.is_some() { 1.5 } else { 0.5 };
        assert_eq!(paid.value(place), amount as f64 * rate, "row {row}");
    }
}

/// Goal: a view that reads nothing but the request needs no history and no key.
#[test]
fn request_alone() {
    let mut project = Project::new(
        "feature_views: { v: { request: { a: int64 }, features: { b: { type: int64, expr: a + 1 } } } }\n",
    );
    project.apply();
    let columns = [Column::instants("t", [at("2024-01-01T00:00:00Z"); 2]), Column::ints("a", [1, i64::MAX])];
    let trained = project.train(&Ask::of(features(&["v:b"]), KnownAt::Served), &columns);
    let expected = [vec![int(2)], vec![without_value(Status::Error)]];
    assert_eq!(trained.answers(&[("b".to_owned(), ValueType::Int64)]), expected);
}
