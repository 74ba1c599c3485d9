//! Views of events from the outside: what is served is what history says, whatever came in which order, by files or pushed,
//! and through kills; and a training set has what an oracle says of the same events.

use std::collections::BTreeMap;
use std::task::Poll;

use asof_model::window::{Edge, Span, Window};
use asof_model::{Cell, Duration, Instant, KnownAt, Value, ValueType};
use asof_oracle::windowed::{OracleEvents, OracleWindow, close};
use asof_oracle::{OracleRow, OracleValue};
use asof_store::materialize::{MaterializeRequest, Mode};
use asof_store::push::{PushReport, PushRequest};
use asof_store::verify::VerifyRequest;
use asof_store::{NoProgress, StoreError};
use asof_window::{Aggregate, Function};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use crate::project::{Ask, Project, at, features, int_keys};
use crate::tables::{Carrier, Column};

const DEFINITIONS: &str = "
entities: { user: { keys: { user: int64 } } }
sources:
  clicks:
    path: data
    event: at
    created: seen
    columns: { user: int64, amount: float64, page: string, units: int64 }
feature_views:
  v:
    entities: user
    source: clicks
    retention: 20d
    features:
      count_1h:   { aggregate: count(), over: 1h }
      sum_1d:     { aggregate: sum(amount), over: 1d }
      cost_7d:    { aggregate: sum(amount * units), over: 7d, where: units > 1 }
      pages_1d:   { aggregate: count_distinct(page), over: 1d, default: -1 }
      last_7d:    { aggregate: \"last_n(page, 3)\", over: 7d }
      top:        { aggregate: \"top_k(page, 2)\", over: lifetime }
      by_page:    { aggregate: sum(units), over: 7d, by: page }
      today:      { aggregate: count(units), tumbling: 1d, offset: 6h }
      yesterday:  { aggregate: max(amount), tumbling: 1d, complete: true }
      session:    { aggregate: avg(amount), session: { gap: 30m, max: 1d } }
      last_rows:  { aggregate: min(units), rows: 3 }
      floored:    { aggregate: stddev(amount), over: 2d, resolution: 1h }
      late:       { aggregate: approx_count_distinct(page), over: 1d, delay: 10m }
  plain: { entities: user, source: clicks, features: { amount: float64, page: string } }
";

/// An event as a test knows it.
#[derive(Debug, Clone, PartialEq)]
struct Click {
    user: i64,
    /// Minutes behind [`BEGINNING`].
    at: i64,
    /// Minutes that it was seen later.
    late: i64,
    amount: Option<f64>,
    page: Option<&'static str>,
    units: Option<i64>,
}

const BEGINNING: &str = "2029-12-20T00:00:00Z";

fn minutes(behind: i64) -> Instant {
    Instant::from_micros_clamped(at(BEGINNING).micros() + behind * 60_000_000)
}

impl Click {
    fn json(&self) -> String {
        let text =
            |value: Option<&str>| value.map_or_else(|| "null".to_owned(), |text| format!("\"{text}\""));
        let number = |value: Option<String>| value.unwrap_or_else(|| "null".to_owned());
        format!(
            "{{\"user\":{},\"at\":\"{}\",\"seen\":\"{}\",\"amount\":{},\"page\":{},\"units\":{}}}",
            self.user,
            minutes(self.at),
            minutes(self.at + self.late),
            number(self.amount.map(|amount| format!("{amount:?}"))),
            text(self.page),
            number(self.units.map(|units| units.to_string())),
        )
    }

    /// As the oracle takes it: amount, page, units.
    fn row(&self) -> OracleRow {
        let cell = |value: Option<Value>| value.map_or(Cell::Null, Cell::Value);
        OracleRow {
            key: asof_model::key::encode_key(&[Value::Int64(self.user)]),
            event: minutes(self.at),
            created: minutes(self.at + self.late),
            visible: Instant::MIN,
            replaced: None,
            cells: vec![
                cell(self.amount.map(Value::Float64)),
                cell(self.page.map(|page| Value::String(page.to_owned()))),
                cell(self.units.map(Value::Int64)),
            ],
        }
    }
}

fn click() -> impl Strategy<Value = Click> {
    let late = prop_oneof![5 => Just(0_i64), 1 => 0_i64..4000];
    let amount = prop::option::weighted(0.9, select(vec![0.1, 0.2, 1e15, -3.5, 0.3]));
    let page = prop::option::weighted(0.9, select(vec!["a", "b", "c"]));
    (0_i64..4, 0_i64..17_000, late, amount, page, prop::option::weighted(0.9, 0_i64..4))
        .prop_map(|(user, at, late, amount, page, units)| Click { user, at, late, amount, page, units })
}

/// What happens to a project.
#[derive(Debug, Clone)]
enum Step {
    /// A file comes, under a name that may be taken.
    File(u8, Vec<Click>),
    /// A file goes.
    Gone(u8),
    /// Events are pushed, and the process dies after so many steps, unless it is through before.
    Push(Vec<Click>, usize),
    /// All files are loaded, likewise.
    Load(usize),
    /// All that is there takes the place of what was loaded.
    Replace,
    Compact,
    LoseOnline,
    Restart,
    /// So many hours pass.
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let clicks = || prop::collection::vec(click(), 1..12);
    let death = || prop_oneof![2 => Just(usize::MAX), 1 => 0_usize..60];
    prop_oneof![
        3 => (0_u8..4, clicks()).prop_map(|(name, clicks)| Step::File(name, clicks)),
        1 => (0_u8..4).prop_map(Step::Gone),
        4 => (clicks(), death()).prop_map(|(clicks, death)| Step::Push(clicks, death)),
        4 => death().prop_map(Step::Load),
        1 => Just(Step::Replace),
        1 => Just(Step::Compact),
        1 => Just(Step::LoseOnline),
        1 => Just(Step::Restart),
        2 => (0_i64..100).prop_map(Step::Wait),
    ]
}

/// Runs a verb that dies after so many steps. `None`: it died.
pub fn dying<T>(
    project: &mut Project,
    polls: usize,
    verb: impl AsyncFnOnce(&asof_store::Store) -> Result<T, StoreError>,
) -> Option<T> {
    let (runtime, store) = project.store();
    let mut left = polls;
    let done = runtime.block_on(async {
        let mut work = Box::pin(verb(store));
        std::future::poll_fn(|context| {
            if left == 0 {
                return Poll::Ready(None);
            }
            left -= 1;
            work.as_mut().poll(context).map(Some)
        })
        .await
    });
    if done.is_none() {
        project.close();
    }
    done.map(Result::unwrap)
}

fn push(project: &mut Project, rows: &[Click], key: &str, polls: usize) -> Option<PushReport> {
    let request = PushRequest {
        source: "clicks".to_owned(),
        rows: rows.iter().map(Click::json).collect(),
        key: Some(key.to_owned()),
    };
    dying(project, polls, async |store| store.push(&request).await)
}

pub fn load(project: &mut Project, mode: Mode, polls: usize) -> bool {
    let request = MaterializeRequest { mode, ..MaterializeRequest::default() };
    let done = dying(project, polls, async |store| store.materialize(&request, &NoProgress).await);
    done.is_some_and(|report| {
        assert_eq!(report.failures, []);
        true
    })
}

/// Everything that is served is what history says, and the oracle.
pub fn verify(project: &mut Project) {
    let request = VerifyRequest { names: Vec::new(), sample: 100, oracle: true };
    let (runtime, store) = project.store();
    let report = runtime.block_on(Box::pin(store.verify(&request, &NoProgress))).unwrap();
    let differences: Vec<_> = report.views.iter().flat_map(|view| &view.differences).collect();
    assert_eq!(report.values, report.identical, "{differences:?}");
}

/// Goal: through any order of files, pushes, loads, kills and care, what is served is what history says; and at last every
/// event that is there counts once, and none that went.
#[test]
fn whatever_happens() {
    let steps = prop::collection::vec(step(), 1..14);
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&steps, |steps| {
            let mut project = Project::new(DEFINITIONS);
            project.write("data/none.ndjson", "");
            project.apply();
            let mut files: BTreeMap<u8, Vec<Click>> = BTreeMap::new();
            let mut pushed: Vec<Click> = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::File(name, clicks) => {
                        let lines: Vec<String> = clicks.iter().map(Click::json).collect();
                        project.write(&format!("data/{name}.ndjson"), lines.join("\n"));
                        files.insert(name, clicks);
                    }
                    Step::Gone(name) => {
                        if files.remove(&name).is_some() {
                            std::fs::remove_file(project.root.join(format!("data/{name}.ndjson"))).unwrap();
                        }
                    }
                    Step::Push(clicks, death) => {
                        let key = format!("push {number}");
                        if push(&mut project, &clicks, &key, death).is_none() {
                            // Whoever got no answer pushes again.
                            push(&mut project, &clicks, &key, usize::MAX);
                        }
                        pushed.extend(clicks);
                    }
                    Step::Load(death) => {
                        if !load(&mut project, Mode::Add, death) {
                            load(&mut project, Mode::Add, usize::MAX);
                        }
                    }
                    Step::Replace => drop(load(&mut project, Mode::Replace, usize::MAX)),
                    Step::Compact => drop(project.compact()),
                    Step::LoseOnline => {
                        if project.root.join(".asof/online").exists() {
                            project.lose_online();
                            load(&mut project, Mode::Add, usize::MAX);
                        }
                    }
                    Step::Restart => project.close(),
                    Step::Wait(hours) => {
                        let now = asof_store::Clock::now(project.clock.as_ref());
                        project.clock.set(now.plus(Duration::from_micros(hours * 3_600_000_000)));
                    }
                }
                verify(&mut project);
            }
            load(&mut project, Mode::Add, usize::MAX);
            verify(&mut project);
            let there: Vec<Click> = files.into_values().flatten().chain(pushed).collect();
            assert_trained(&mut project, &there);
            Ok(())
        })
        .unwrap();
}

fn window(span: Span) -> Window {
    Window { span, edge: Edge::Open, delay: Duration::ZERO }
}

/// A training set over the events has what the oracle says, for some features.
fn assert_trained(project: &mut Project, clicks: &[Click]) {
    let hours = |hours: i64| Duration::from_micros(hours * 3_600_000_000);
    let of = |name: &str, parameters: &[f64], input: ValueType| {
        Aggregate::new(Function::of(name, parameters).unwrap().unwrap(), input).unwrap()
    };
    let sliding = |length: i64| window(Span::Sliding { length: hours(length), resolution: None });
    let feature = |aggregate: Aggregate, window: Window, argument: Option<usize>| OracleWindow {
        aggregate,
        window,
        argument,
        filter: None,
        by: None,
        default: None,
    };
    let oracle = OracleEvents {
        features: vec![
            feature(of("count", &[], ValueType::Bool), sliding(1), None),
            feature(of("sum", &[], ValueType::Float64), sliding(24), Some(0)),
            feature(of("last_n", &[3.0], ValueType::String), sliding(168), Some(1)),
            feature(of("top_k", &[2.0], ValueType::String), window(Span::Lifetime), Some(1)),
            feature(of("min", &[], ValueType::Int64), window(Span::LastRows(3)), Some(2)),
        ],
        edge: Edge::Open,
        retention: Some(hours(20 * 24)),
        delay: Duration::ZERO,
        identity: None,
        repeats: Default::default(),
        withdrawal: None,
    };
    let names = ["count_1h", "sum_1d", "last_7d", "top", "last_rows"];
    let rows: Vec<OracleRow> = clicks.iter().map(Click::row).collect();
    let mut labels: Vec<(i64, Instant)> = Vec::new();
    for click in clicks {
        let event = minutes(click.at);
        // Right at an event, right behind it, and when others have left.
        labels.extend(
            [0, 1, 3_600_000_000, 7 * 86_400_000_001]
                .map(|behind| (click.user, event.plus(Duration::from_micros(behind)))),
        );
    }
    labels.push((77, minutes(0)));
    let columns = [
        Column::values("user", ValueType::Int64, labels.iter().map(|(user, _)| Some(Value::Int64(*user)))),
        Column::values("t", ValueType::Timestamp, labels.iter().map(|(_, t)| Some(Value::Timestamp(*t)))),
    ];
    let wanted: Vec<String> = names.iter().map(|name| format!("v:{name}")).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    for known_at in [KnownAt::Event, KnownAt::Created] {
        let mut ask = Ask::of(features(&wanted), known_at);
        ask.labels = Carrier::Typed;
        let types = oracle.features.iter().map(|feature| feature.aggregate.result());
        let shown: Vec<(String, ValueType)> =
            names.iter().map(|name| (*name).to_owned()).zip(types).collect();
        let found = project.train(&ask, &columns).answers(&shown);
        for ((user, t), found) in labels.iter().zip(found) {
            let key = asof_model::key::encode_key(&[Value::Int64(*user)]);
            let inputs = [ValueType::Float64, ValueType::String, ValueType::Int64];
            let right: Vec<OracleValue> =
                close(&oracle, &rows, &inputs, Some(&key), (*t, *t), known_at).values;
            assert_eq!(found, right, "{user} at {t}, known at {known_at}");
        }
    }
}

/// Goal: identical events are two, also in files that are equal; the same push sent twice is one; a key that was quiet falls
/// to 0 and then to MISSING; an event of the future waits.
#[test]
fn what_others_get_wrong() {
    let mut project = Project::new(DEFINITIONS);
    project.write("data/none.ndjson", "");
    project.apply();
    let click = Click { user: 1, at: 17_270, late: 0, amount: Some(0.1), page: Some("a"), units: Some(2) };
    let two = [click.clone(), click.clone()];
    let lines: Vec<String> = two.iter().map(Click::json).collect();
    project.write("data/one.ndjson", lines.join("\n"));
    project.write("data/other.ndjson", lines.join("\n"));
    load(&mut project, Mode::Add, usize::MAX);
    let future = Click { at: 20_000_000, ..click.clone() };
    push(&mut project, &[click.clone(), future], "k", usize::MAX);
    let again =
        push(&mut project, &[click.clone(), Click { at: 20_000_000, ..click.clone() }], "k", usize::MAX);
    assert!(again.unwrap().repeat);
    // START is 17,280 minutes behind the beginning.
    let keys = int_keys("user", &[1]);
    let shown = |project: &mut Project| -> Vec<String> {
        let row = project.get(&["v:count_1h", "v:sum_1d", "v:pages_1d"], &keys).remove(0);
        row.iter().map(|value| format!("{:?} {}", value.cell.value(), value.status)).collect()
    };
    assert_eq!(
        shown(&mut project),
        ["Some(Int64(5)) PRESENT", "Some(Float64(0.5)) PRESENT", "Some(Int64(1)) PRESENT"]
    );
    project.set_clock("2030-01-01T02:00:00Z");
    assert_eq!(shown(&mut project)[0], "Some(Int64(0)) PRESENT");
    project.set_clock("2030-01-05T00:00:00Z");
    assert_eq!(shown(&mut project), ["Some(Int64(0)) PRESENT", "None NULL", "Some(Int64(0)) PRESENT"]);
    project.set_clock("2030-02-05T00:00:00Z");
    assert_eq!(shown(&mut project), ["None MISSING", "None MISSING", "Some(Int64(-1)) MISSING"]);
    verify(&mut project);
}

/// Goal: a feature over what is there answers at once; one that reads more answers when its range was loaded anew; one
/// that looks back further needs a new version.
#[test]
fn added_features() {
    let before = "
entities: { user: { keys: { user: int64 } } }
sources: { clicks: { path: data, event: at, columns: { user: int64, amount: float64, units: int64 } } }
feature_views:
  v:
    entities: user
    source: clicks
    features:
      sum_30d: { aggregate: sum(amount), over: 30d }
";
    let mut project = Project::new(before);
    project.write(
        "data/a.csv",
        "user,at,amount,units\n1,2029-12-31T00:00:00Z,0.5,3\n1,2029-12-31T00:00:00Z,0.5,3\n",
    );
    project.apply();
    load(&mut project, Mode::Add, usize::MAX);
    project.define(&format!("{before}      max_1d: {{ aggregate: max(amount), over: 2d }}\n"));
    project.apply();
    let keys = int_keys("user", &[1]);
    let shown = |project: &mut Project, names: &[&str]| -> Vec<Option<Value>> {
        project.get(names, &keys).remove(0).iter().map(|value| value.cell.value().cloned()).collect()
    };
    let (half, one) = (Some(Value::Float64(0.5)), Some(Value::Float64(1.0)));
    assert_eq!(shown(&mut project, &["v:sum_30d", "v:max_1d"]), [one.clone(), half.clone()]);
    load(&mut project, Mode::Add, usize::MAX);
    assert_eq!(
        shown(&mut project, &["v:sum_30d", "v:max_1d"]),
        [one.clone(), half.clone()],
        "nothing is doubled"
    );

    let more = format!(
        "{before}      max_1d: {{ aggregate: max(amount), over: 2d }}\n      units: {{ aggregate: sum(units), over: 2d }}\n"
    );
    project.define(&more);
    project.apply();
    let refused = project.try_plan(&Ask::of(features(&["v:units"]), KnownAt::Served)).map(|_| ());
    assert!(matches!(refused, Err(StoreError::NotBackfilled { .. })), "{refused:?}");
    load(&mut project, Mode::Add, usize::MAX);
    assert_eq!(
        shown(&mut project, &["v:sum_30d", "v:max_1d", "v:units"]),
        [one, half, Some(Value::Int64(6))]
    );
    verify(&mut project);

    project.define(&format!("{more}      far: {{ aggregate: count(), over: 90d }}\n"));
    let refused = project.try_apply(&[]).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("retention: 30d -> 90d"), "{refused}");
}

/// Goal: what is pushed while others are folded is folded once, whenever it becomes durable.
#[test]
fn pushes_while_folding() {
    const PUSHES: i64 = 60;
    let mut project = Project::new(DEFINITIONS);
    project.write("data/none.ndjson", "");
    project.apply();
    let catalog = project.catalog();
    let (runtime, store) = project.store();
    runtime.block_on(async {
        let admit = async {
            for number in 0..PUSHES {
                let click = Click {
                    user: 1,
                    at: 17_000 + number,
                    late: 0,
                    amount: Some(1.0),
                    page: None,
                    units: None,
                };
                let request =
                    PushRequest { source: "clicks".to_owned(), rows: vec![click.json()], key: None };
                store.admit(&catalog, &request).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let fold = async {
            for _ in 0..PUSHES {
                store.fold_pushed().await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        Box::pin(async { tokio::join!(admit, fold) }).await;
        store.fold_pushed().await.unwrap();
    });
    let found = project.get(&["v:count_1h", "v:sum_1d"], &int_keys("user", &[1])).remove(0);
    assert_eq!(found[1].cell, Cell::Value(Value::Float64(PUSHES as f64)));
    verify(&mut project);
}
