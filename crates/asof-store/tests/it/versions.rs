//! Events that have an identity: a repeat changes nothing, or a newer version takes the place of an older one, also under
//! another key; whatever came in which order, by files or pushed, and through kills. The model is a list of all versions.

use std::collections::BTreeMap;

use asof_model::window::{Edge, Span, Window};
use asof_model::{Cell, Duration, Instant, KnownAt, Value, ValueType};
use asof_oracle::windowed::{OracleEvents, OracleWindow, close};
use asof_oracle::{OracleRow, OracleValue};
use asof_store::materialize::Mode;
use asof_store::push::PushRequest;
use asof_window::{Aggregate, Function};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::project::{Ask, Project, at, features, int_keys};
use crate::tables::{Carrier, Column};
use crate::windows::{dying, load, verify};

/// Minutes, and what is `{repeats}`.
const BEGINNING: &str = "2029-12-25T00:00:00Z";
const USERS: i64 = 3;

fn definitions(repeats: &str) -> String {
    format!(
        "
entities: {{ user: {{ keys: {{ user: int64 }} }} }}
sources:
  orders:
    path: data
    event: at
    created: seen
    event_id: id
    {repeats}
    columns: {{ user: int64, id: int64, amount: float64, gone: bool }}
feature_views:
  v:
    entities: user
    source: orders
    retention: 10d
    features:
      orders: {{ aggregate: count(), over: lifetime }}
      total:  {{ aggregate: sum(amount), over: 2d }}
      newest: {{ aggregate: last(amount), over: 7d }}
"
    )
}

/// A version of an order.
#[derive(Debug, Clone, PartialEq)]
struct Order {
    user: i64,
    id: Option<i64>,
    /// Minutes behind [`BEGINNING`].
    at: i64,
    /// When it was seen: minutes behind `at`, and as many microseconds as tell it from all others.
    late: i64,
    number: i64,
    amount: f64,
    gone: bool,
}

fn minutes(behind: i64) -> Instant {
    Instant::from_micros_clamped(at(BEGINNING).micros() + behind * 60_000_000)
}

impl Order {
    fn created(&self) -> Instant {
        // Never at the instant that is asked for: what may be known then is for the store's clock to say, to the microsecond.
        minutes(self.at + self.late).plus(Duration::from_micros(30_000_000 + self.number))
    }

    fn json(&self) -> String {
        format!(
            "{{\"user\":{},\"id\":{},\"at\":\"{}\",\"seen\":\"{}\",\"amount\":{:?},\"gone\":{}}}",
            self.user,
            self.id.map_or_else(|| "null".to_owned(), |id| id.to_string()),
            minutes(self.at),
            self.created(),
            self.amount,
            self.gone
        )
    }

    fn row(&self) -> OracleRow {
        OracleRow {
            key: asof_model::key::encode_key(&[Value::Int64(self.user)]),
            event: minutes(self.at),
            created: self.created(),
            visible: Instant::MIN,
            replaced: None,
            cells: vec![Cell::Value(Value::Float64(self.amount))],
        }
    }
}

fn order() -> impl Strategy<Value = Order> {
    let id = prop::option::weighted(0.9, 0_i64..6);
    let late = prop_oneof![3 => Just(0_i64), 1 => 0_i64..3000];
    let amount = prop::sample::select(vec![0.1, 0.2, 0.3, 1e9]);
    (0..USERS, id, 0_i64..10_000, late, amount, prop::bool::weighted(0.15))
        .prop_map(|(user, id, at, late, amount, gone)| Order { user, id, at, late, number: 0, amount, gone })
}

#[derive(Debug, Clone)]
enum Step {
    /// A file comes.
    File(Vec<Order>),
    /// Orders are pushed, and the process dies after so many steps, unless it is through before.
    Push(Vec<Order>, usize),
    /// All files are loaded, likewise.
    Load(usize),
    /// What came last comes again.
    Again,
    Compact,
    LoseOnline,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let orders = || prop::collection::vec(order(), 1..8);
    let death = || prop_oneof![2 => Just(usize::MAX), 1 => 0_usize..60];
    prop_oneof![
        3 => orders().prop_map(Step::File),
        5 => (orders(), death()).prop_map(|(orders, death)| Step::Push(orders, death)),
        4 => death().prop_map(Step::Load),
        1 => Just(Step::Again),
        1 => Just(Step::Compact),
        1 => Just(Step::LoseOnline),
        1 => Just(Step::Restart),
    ]
}

/// What a test knows of a project.
struct World {
    project: Project,
    replaces: bool,
    /// Every version that came, in order of arrival; under keep_first the ones that count.
    orders: Vec<Order>,
    /// Files that are not loaded yet.
    waiting: Vec<Order>,
    numbers: i64,
}

impl World {
    fn number(&mut self, mut orders: Vec<Order>) -> Vec<Order> {
        for order in &mut orders {
            self.numbers += 1;
            order.number = self.numbers;
        }
        orders
    }

    fn arrive(&mut self, orders: Vec<Order>) {
        for order in orders {
            let known = |known: &Order| order.id.is_some() && known.id == order.id;
            if self.replaces || !self.orders.iter().any(known) {
                self.orders.push(order);
            }
        }
    }

    fn push(&mut self, orders: &[Order], death: usize) {
        let request = PushRequest {
            source: "orders".to_owned(),
            rows: orders.iter().map(Order::json).collect(),
            key: Some(format!("push {}", self.numbers)),
        };
        if dying(&mut self.project, death, async |store| store.push(&request).await).is_none() {
            // Whoever got no answer pushes again.
            dying(&mut self.project, usize::MAX, async |store| store.push(&request).await);
        }
    }

    fn load(&mut self, death: usize) {
        if !load(&mut self.project, Mode::Add, death) {
            load(&mut self.project, Mode::Add, usize::MAX);
        }
        // Of those that come together the one that was seen first.
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_by_key(Order::created);
        self.arrive(waiting);
    }

    /// What stands, of all that was seen until an instant.
    fn standing(&self, until: Instant) -> Vec<OracleRow> {
        let mut newest: BTreeMap<i64, &Order> = BTreeMap::new();
        let mut rows = Vec::new();
        for order in self.orders.iter().filter(|order| order.created() <= until) {
            match order.id {
                None if !order.gone || !self.replaces => rows.push(order.row()),
                None => {}
                Some(id) => {
                    let of_id = newest.entry(id).or_insert(order);
                    if order.created() > of_id.created() {
                        *of_id = order;
                    }
                }
            }
        }
        let stand = newest.values().filter(|order| !order.gone || !self.replaces);
        rows.extend(stand.map(|order| order.row()));
        rows
    }

    fn right(&self, user: i64, t: Instant, known: Instant) -> Vec<OracleValue> {
        let hours = |hours: i64| Duration::from_micros(hours * 3_600_000_000);
        let of = |name: &str, input: ValueType| {
            Aggregate::new(Function::of(name, &[]).unwrap().unwrap(), input).unwrap()
        };
        let feature = |aggregate: Aggregate, span: Span, argument: Option<usize>| OracleWindow {
            aggregate,
            window: Window { span, edge: Edge::Open, delay: Duration::ZERO },
            argument,
            filter: None,
            by: None,
            default: None,
        };
        let sliding = |length: i64| Span::Sliding { length: hours(length), resolution: None };
        let oracle = OracleEvents {
            features: vec![
                feature(of("count", ValueType::Bool), Span::Lifetime, None),
                feature(of("sum", ValueType::Float64), sliding(48), Some(0)),
                feature(of("last", ValueType::Float64), sliding(168), Some(0)),
            ],
            edge: Edge::Open,
            retention: Some(hours(240)),
            delay: Duration::ZERO,
            identity: None,
            repeats: Default::default(),
            withdrawal: None,
        };
        let key = asof_model::key::encode_key(&[Value::Int64(user)]);
        let rows = self.standing(known);
        close(&oracle, &rows, &[ValueType::Float64], Some(&key), (t, t), KnownAt::Event).values
    }

    fn check(&mut self) {
        verify(&mut self.project);
        let now = asof_store::Clock::now(self.project.clock.as_ref());
        let users: Vec<i64> = (0..USERS).collect();
        let found = self.project.get(&["v:orders", "v:total", "v:newest"], &int_keys("user", &users));
        for (user, found) in users.iter().zip(found) {
            assert_eq!(found, self.right(*user, now, now), "user {user} of {:?}", self.orders);
        }
    }

    fn check_trained(&mut self) {
        let labels: Vec<(i64, Instant)> = self
            .orders
            .iter()
            .flat_map(|order| [0, 1, 7_200_000_000].map(|behind| (order, behind)))
            .flat_map(|(order, behind)| {
                let t = order.created().plus(Duration::from_micros(behind));
                (0..USERS).map(move |user| (user, t))
            })
            .collect();
        let users = labels.iter().map(|(user, _)| Some(Value::Int64(*user)));
        let times = labels.iter().map(|(_, t)| Some(Value::Timestamp(*t)));
        let columns = [
            Column::values("user", ValueType::Int64, users),
            Column::values("t", ValueType::Timestamp, times),
        ];
        let shown =
            [("orders", ValueType::Int64), ("total", ValueType::Float64), ("newest", ValueType::Float64)]
                .map(|(name, of)| (name.to_owned(), of));
        for known_at in [KnownAt::Event, KnownAt::Created] {
            let mut ask = Ask::of(features(&["v:orders", "v:total", "v:newest"]), known_at);
            ask.labels = Carrier::Typed;
            let found = self.project.train(&ask, &columns).answers(&shown);
            for ((user, t), found) in labels.iter().zip(found) {
                let known = if known_at == KnownAt::Created { *t } else { Instant::MAX };
                assert_eq!(
                    found,
                    self.right(*user, *t, known),
                    "{user} at {t}, {known_at}: {:?}",
                    self.orders
                );
            }
        }
    }
}

fn whatever_comes(repeats: &str, replaces: bool) {
    let steps = prop::collection::vec(step(), 1..12);
    let config = Config { cases: 16, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&steps, |steps| {
            let mut project = Project::new(&definitions(repeats));
            project.write("data/none.ndjson", "");
            project.apply();
            let mut world = World { project, replaces, orders: Vec::new(), waiting: Vec::new(), numbers: 0 };
            let mut last: Vec<Order> = Vec::new();
            for (name, step) in steps.into_iter().enumerate() {
                match step {
                    Step::File(orders) => {
                        let orders = world.number(orders);
                        let lines: Vec<String> = orders.iter().map(Order::json).collect();
                        world.project.write(&format!("data/{name}.ndjson"), lines.join("\n"));
                        world.waiting.extend(orders.clone());
                        last = orders;
                    }
                    Step::Push(orders, death) => {
                        let orders = world.number(orders);
                        world.push(&orders, death);
                        world.arrive(orders.clone());
                        last = orders;
                    }
                    Step::Again => {
                        // With another key: by what they are, not by how they came, they are known.
                        let again: Vec<Order> =
                            last.iter().filter(|order| order.id.is_some()).cloned().collect();
                        if !again.is_empty() {
                            world.numbers += 1;
                            world.push(&again, usize::MAX);
                            world.arrive(again);
                        }
                    }
                    Step::Load(death) => world.load(death),
                    Step::Compact => drop(world.project.compact()),
                    Step::LoseOnline => {
                        if world.project.root.join(".asof/online").exists() {
                            world.project.lose_online();
                            world.load(usize::MAX);
                        }
                    }
                    Step::Restart => world.project.close(),
                }
                world.check();
            }
            world.load(usize::MAX);
            world.check();
            world.check_trained();
            Ok(())
        })
        .unwrap();
}

/// Goal: of all versions of an order the newest that may be known stands, under its own key and instant, or none where it
/// says that the order is gone; in serving, in training, and through kills.
#[test]
fn newer_versions_replace() {
    whatever_comes("repeats: replace\n    deleted: gone", true);
}

/// Goal: the first of an identity stands, whatever comes later and under whichever key.
#[test]
fn repeats_change_nothing() {
    whatever_comes("repeats: keep_first", false);
}
