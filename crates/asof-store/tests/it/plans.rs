//! A request is compiled into one read for all that it asks: the answer is what asking for each value by itself gives.

use std::cell::RefCell;
use std::collections::BTreeMap;

use asof_model::{Instant, Value};
use asof_store::get::{Answered, GetRequest, OnlinePlan};
use asof_store::request::{Naming, Wanted};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::project::{Entities, Project, features};

const DEFINITIONS: &str = "
entities:
  user: { keys: { user: int64 } }
  item: { keys: { item: string } }
sources:
  users:  { path: data/users.csv, event: at }
  pairs:  { path: data/pairs.csv, event: at }
  clicks: { path: data/clicks.csv, event: at, columns: { user: int64, amount: float64, page: string } }
  world:  { path: data/world.csv, event: at }
feature_views:
  people: { entities: user, source: users, ttl: 2d, features: { age: { type: int64, default: -1 }, name: string, tags: json } }
  bought: { entities: [user, item], source: pairs, features: { units: int32, price: { type: float64, default: 9.5 } } }
  events: { entities: user, source: clicks, features: { n: { aggregate: count(), over: 1d }, pages: { aggregate: 'last_n(page, 2)', over: 3d } } }
  rates:  { source: world, features: { rate: float64 } }
  never:  { entities: user, source: users, features: { age: int64 } }
feature_services:
  everything:
    features:
      - people: [name, age]
      - people: [age]
        as: other
        keys: { user: friend }
      - bought: '*'
      - events: '*'
      - rates: [rate]
";

/// Every feature that can be asked for.
const FEATURES: [&str; 9] = [
    "people:age",
    "people:name",
    "people:tags",
    "bought:units",
    "bought:price",
    "events:n",
    "events:pages",
    "rates:rate",
    "never:age",
];

/// A feature, and its join keys that are columns of another name.
type Single = (&'static str, &'static [(&'static str, &'static str)]);

/// An entity row: user, item and friend.
type Row = (Option<i64>, Option<&'static str>, Option<i64>);

fn project() -> Project {
    let mut project = Project::new(DEFINITIONS);
    project.write(
        "data/users.csv",
        "user,at,age,name,tags\n1,2029-12-31T10:00:00Z,30,Ada,\"{\"\"a\"\":1}\"\n2,2029-12-01T00:00:00Z,41,Bob,\n\
         3,2029-12-31T12:00:00Z,old,,[1]\n1,2029-12-31T12:00:00Z,31,\"A \"\"q\"\"\",\n",
    );
    project.write(
        "data/pairs.csv",
        "user,item,at,units,price\n1,a,2029-12-30T00:00:00Z,1,0.5\n1,b,2029-12-30T00:00:00Z,2,\n2,a,2029-12-30T00:00:00Z,,1e300\n",
    );
    project.write(
        "data/clicks.csv",
        "user,at,amount,page\n1,2029-12-31T20:00:00Z,1,x\n1,2029-12-31T21:00:00Z,2,y\n3,2029-12-29T00:00:00Z,3,z\n",
    );
    project.write("data/world.csv", "at,rate\n2029-12-31T00:00:00Z,0.25\n");
    project.apply();
    project.materialize(&["people", "bought", "events", "rates"]);
    project
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let user = || prop_oneof![1 => Just(None), 6 => (1..5_i64).prop_map(Some)];
    let item = prop_oneof![1 => Just(None), 6 => select(vec!["a", "b", "", "a\u{0}"]).prop_map(Some)];
    prop::collection::vec((user(), item, user()), 1..8)
}

fn entities(rows: &[Row]) -> Entities {
    let user = rows.iter().map(|row| row.0.map(Value::Int64)).collect();
    let item = rows.iter().map(|row| row.1.map(|text| Value::String(text.to_owned()))).collect();
    let friend = rows.iter().map(|row| row.2.map(Value::Int64)).collect();
    BTreeMap::from([("user".to_owned(), user), ("item".to_owned(), item), ("friend".to_owned(), friend)])
}

fn plan(project: &mut Project, wanted: &Wanted, keys: &[(&str, &str)]) -> OnlinePlan {
    let keys = keys.iter().map(|(key, column)| ((*key).to_owned(), (*column).to_owned())).collect();
    let naming = Naming { full_names: true, keys };
    let (runtime, store) = project.store();
    let plan = async {
        let catalog = store.applied_catalog().await.unwrap();
        store.online_plan(&catalog, wanted, &naming).await.unwrap()
    };
    runtime.block_on(Box::pin(plan))
}

fn get(
    project: &mut Project,
    plan: &OnlinePlan,
    rows: &[Row],
    now: Option<Instant>,
    include_expired: bool,
) -> (Instant, Vec<Vec<Answered>>) {
    let request = GetRequest {
        entities: entities(rows),
        fields: Entities::new(),
        rows: rows.len(),
        now,
        include_expired,
        from_history: false,
    };
    let got = project.try_get_planned(plan, &request).unwrap();
    (got.t, got.rows)
}

/// Goal: for any features, entity rows, nulls and repeated keys, one request answers as one request for each value does.
#[test]
fn a_plan_answers_as_a_naive_reader() {
    // The runner's closure is called again and again, and each call needs the store.
    let project = RefCell::new(project());
    let service = Wanted::Service("everything".to_owned());
    let of_service: [Single; 8] = [
        ("people:name", &[]),
        ("people:age", &[]),
        ("people:age", &[("user", "friend")]),
        ("bought:units", &[]),
        ("bought:price", &[]),
        ("events:n", &[]),
        ("events:pages", &[]),
        ("rates:rate", &[]),
    ];
    let asked = prop_oneof![
        3 => subsequence(FEATURES.to_vec(), 1..=FEATURES.len()).prop_shuffle().prop_map(Some),
        1 => Just(None),
    ];
    let strategy = (asked, rows(), any::<bool>());
    let config = Config { cases: 200, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&strategy, |(asked, rows, include_expired)| {
        let project = &mut *project.borrow_mut();
        let (wanted, naive): (Wanted, Vec<Single>) = match &asked {
            Some(names) => (features(names), names.iter().map(|name| (*name, &[][..])).collect()),
            None => (service.clone(), of_service.to_vec()),
        };
        let whole = plan(project, &wanted, &[]);
        let (t, answer) = get(project, &whole, &rows, None, include_expired);
        prop_assert_eq!(answer.len(), rows.len());
        for (place, (name, keys)) in naive.iter().enumerate() {
            let single = plan(project, &features(&[name]), keys);
            for (row, values) in rows.iter().zip(&answer) {
                let (_, alone) = get(project, &single, &[*row], Some(t), include_expired);
                prop_assert_eq!(&values[place], &alone[0][0], "{} of {:?}", name, row);
            }
        }
        Ok(())
    });
    outcome.unwrap();
}
