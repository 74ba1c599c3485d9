//! The two evaluations of a plan against each other, and against one that a reader can check by eye.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use arrow::array::{ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::TimestampMicrosecondType;
use asof_engine::columns::{ColumnBuilder, value_at};
use asof_expression::Expression;
use asof_model::definition::{SourceFile, read};
use asof_model::plan::{self, Catalog};
use asof_model::spec::{Selection, View};
use asof_model::{Cell, Instant, Status, Value, ValueType, ViewId, canonical};
use asof_training::join::Entering;
use asof_training::output::computed::{Compute, ComputeInputs};
use proptest::prelude::*;

use super::typing::{scope, type_on_demand};
use super::{Compiling, ComputeColumns, Need, OnDemandPlan};
use crate::StoreError;
use crate::request::default_of;

const DEFINITIONS: &str = "
entities: { driver: { keys: { driver: int64 } } }
sources: { trips_file: { path: trips.csv, event: at } }
feature_views:
  trips:
    entities: driver
    source: trips_file
    features:
      n: int64
      r: { type: float64, default: 0.5 }
      s: string
      seen: timestamp
      tags: list(string)
  ratios:
    request: { a: int64, f: float64, w: string, z: timestamp, N: int32 }
    inputs: [trips]
    features:
      later: { type: bool, expr: z > request_timestamp() }
      added: { type: int64, expr: a + n }
      part: { type: int64, expr: a / trips.n, default: -1 }
      share: { type: float64, expr: f / r }
      wide: { type: float64, expr: a }
      small: { type: float64, expr: \"N\" }
      word: { type: string, expr: \"coalesce(s, w, 'none')\" }
      age: { type: int64, expr: \"date_diff('second', seen, request_timestamp())\" }
      chosen: { type: int64, expr: case when later then added else part end, default: 7 }
      chained: { type: int64, expr: part + chosen + ratios.added }
      nine: { type: string, expr: \"concat(cast(a as string), cast(n as string), cast(f as string), cast(r as string), s, w, cast(z as string), cast(seen as string), cast(later as string))\" }
  top:
    inputs: [ratios@1, trips]
    features:
      same: { type: bool, expr: word = s }
      more: { type: int64, expr: ratios.chained + n }
      tagged: { type: string, expr: \"tags[1]\" }
";

/// What an apply of these definitions records.
fn applied(text: &str) -> Result<Catalog, StoreError> {
    let read = read(&[SourceFile { path: "features.yaml", text }]);
    let mut read = read.map_err(StoreError::Definitions)?;
    type_on_demand(&Catalog::default(), &mut read, &BTreeSet::new())?;
    let plan = plan::decide(&Catalog::default(), &read.definitions, &[], &BTreeSet::new());
    Ok(plan.unwrap().outcome)
}

/// What is computed for all features of these views.
fn compiled(catalog: &Catalog, views: &[&str]) -> (OnDemandPlan, Vec<Need>) {
    let mut compiling = Compiling::new(catalog, Instant::MIN);
    for view in views {
        let id = ViewId::new(*view, 1);
        let view = &catalog.definitions.views[&id];
        let all: BTreeMap<ViewId, usize> =
            compiling.stored_inputs(view).unwrap().into_iter().map(|id| (id, usize::MAX)).collect();
        for feature in compiling.selected(view, &Selection::All, &all).unwrap() {
            compiling.step(&id, feature, &BTreeMap::new()).unwrap();
        }
    }
    compiling.finish()
}

/// A cell, from few values of its type: overflows, zeros, nulls and errors are frequent.
fn cell(of: ValueType) -> BoxedStrategy<Cell> {
    let some = |values: Vec<Value>| {
        let values = proptest::sample::select(values).prop_map(Cell::Value);
        prop_oneof![6 => values, 1 => Just(Cell::Null), 1 => Just(Cell::Error)].boxed()
    };
    let texts = ["", "none", "ä", "7"].map(|text| Value::String(text.to_owned()));
    let instants = [-1, 0, 1, 86_400_000_000].map(|at| Value::Timestamp(Instant::from_micros_clamped(at)));
    some(match of {
        ValueType::Int32 => [i32::MIN, -1, 0, 3].map(Value::Int32).into(),
        ValueType::Int64 => [i64::MIN, -1, 0, 1, 7, i64::MAX].map(Value::Int64).into(),
        ValueType::Float64 => [f64::NAN, f64::INFINITY, -2.5, 0.0, 1e300].map(Value::float64).into(),
        ValueType::Timestamp => instants.into(),
        ValueType::List(_) => {
            vec![Value::List(Vec::new()), Value::List(vec![None]), Value::List(vec![Some(texts[1].clone())])]
        }
        _ => texts.into(),
    })
}

/// One row of inputs and request columns, and its instant.
#[derive(Debug, Clone)]
struct Row {
    t: Instant,
    inputs: Vec<Cell>,
    request: Vec<Cell>,
}

fn rows(plan: &OnDemandPlan) -> BoxedStrategy<Vec<Row>> {
    let inputs: Vec<_> = plan.inputs.iter().map(|input| cell(input.value_type)).collect();
    // What a request brings is a value or null.
    let or_null = |cell: Cell| if cell == Cell::Error { Cell::Null } else { cell };
    let request: Vec<_> =
        plan.request.iter().map(|column| cell(column.value_type).prop_map(or_null)).collect();
    let t = prop_oneof![Just(-1), Just(0), Just(1), Just(1_700_000_000_000_001_i64)];
    let row = (t, inputs, request).prop_map(|(t, inputs, request)| Row {
        t: Instant::from_micros_clamped(t),
        inputs,
        request,
    });
    proptest::collection::vec(row, 0..20).boxed()
}

fn column<'c>(of: ValueType, cells: impl Iterator<Item = &'c Cell>) -> Entering {
    let mut builder = ColumnBuilder::new(of, 0);
    let mut errors = Vec::new();
    for cell in cells {
        builder.append(cell.value());
        errors.push(*cell == Cell::Error);
    }
    let any = errors.contains(&true);
    Entering { values: builder.finish(), errors: any.then(|| BooleanBuffer::from(errors)) }
}

/// What columns say of each step: a value after its default, and its status.
fn by_columns(plan: &OnDemandPlan, rows: &[Row]) -> Vec<Vec<(Cell, Status)>> {
    let features: Vec<Entering> = (0..plan.inputs.len())
        .map(|place| column(plan.inputs[place].value_type, rows.iter().map(|row| &row.inputs[place])))
        .collect();
    let request: Vec<ArrayRef> = (0..plan.request.len())
        .map(|place| {
            column(plan.request[place].value_type, rows.iter().map(|row| &row.request[place])).values
        })
        .collect();
    let times: Vec<Cell> = rows.iter().map(|row| Cell::Value(Value::Timestamp(row.t))).collect();
    let times = column(ValueType::Timestamp, times.iter()).values;
    let given = ComputeInputs {
        rows: rows.len(),
        times: times.as_primitive::<TimestampMicrosecondType>(),
        request: &request,
        features: &features,
    };
    let made = ComputeColumns(plan.clone()).compute(&given).unwrap();
    let of_step = |(step, made): (&super::Step, &asof_training::output::computed::ComputedColumn)| {
        let value = |row: usize| {
            let value = value_at(made.values.as_ref(), step.feature.value_type, row);
            (value.map_or(Cell::Null, Cell::Value), made.statuses[row])
        };
        (0..rows.len()).map(value).collect()
    };
    plan.steps.iter().zip(&made).map(of_step).collect()
}

/// What one row says of a feature: by name, with no plan at all.
fn by_eye(catalog: &Catalog, view: &View, feature: &str, row: &impl Fn(&str) -> Cell, t: Instant) -> Cell {
    let on_demand = view.on_demand.as_ref().unwrap();
    let views = &catalog.definitions.views;
    let spec = view.features.iter().find(|each| each.name == feature).unwrap();
    let scope = scope(view, on_demand, |id| views.get(id));
    let expression = Expression::parse(&spec.computation.as_ref().unwrap().expr, &scope).unwrap();
    let expression = expression.widened_to(spec.value_type).unwrap();
    let cells: Vec<Cell> = expression
        .columns()
        .iter()
        .map(|name| {
            let Some((of, feature)) = name.split_once('.') else { return row(name) };
            let of = &views[&ViewId::new(of, 1)];
            if !of.is_on_demand() {
                return row(name);
            }
            let spec = of.features.iter().find(|each| each.name == feature).unwrap();
            match (by_eye(catalog, of, feature, row, t), default_of(spec)) {
                (Cell::Value(value), _) | (_, Some(value)) => Cell::Value(value),
                (cell, None) => cell,
            }
        })
        .collect();
    expression.evaluate_row(&cells, t)
}

fn bytes(of: ValueType, cell: &Cell) -> Vec<u8> {
    let mut bytes = Vec::new();
    canonical::write_cell(&mut bytes, of, cell);
    bytes
}

/// All of it, and what it computes.
static ALL: LazyLock<(Catalog, (OnDemandPlan, Vec<Need>))> = LazyLock::new(|| {
    let catalog = applied(DEFINITIONS).unwrap();
    let compiled = compiled(&catalog, &["top", "ratios"]);
    (catalog, compiled)
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Goal: columns, as in training, rows, as in serving, and each expression by itself give the same bytes and statuses,
    /// whatever stands beside a row.
    #[test]
    fn evaluations_agree(
        rows in rows(&ALL.1.0),
        split in 0_usize..20,
    ) {
        let (catalog, (plan, needs)) = &*ALL;
        prop_assert_eq!(plan.steps.len(), 14);
        let columns = by_columns(plan, &rows);
        let (first, second) = rows.split_at(split.min(rows.len()));
        let parts = [by_columns(plan, first), by_columns(plan, second)];
        let all = plan.evaluate_at(
            |row| rows[row].t,
            rows.len(),
            |place, row| rows[row].inputs[place].clone(),
            |place, row| rows[row].request[place].clone(),
        );
        for (place, step) in plan.steps.iter().enumerate() {
            let of = step.feature.value_type;
            let together: Vec<_> = parts[0][place].iter().chain(&parts[1][place]).collect();
            prop_assert_eq!(together, columns[place].iter().collect::<Vec<_>>());
            for (number, row) in rows.iter().enumerate() {
                let input = |place: usize, _: usize| row.inputs[place].clone();
                let request = |place: usize, _: usize| row.request[place].clone();
                let computed = plan.evaluate(row.t, 1, input, request);
                prop_assert_eq!(computed.cell(place, 0), all.cell(place, number));
                let (value, status) = computed.answered(plan, place, 0);
                let value = value.cloned().map_or(Cell::Null, Cell::Value);
                let (in_column, status_in_column) = &columns[place][number];
                prop_assert_eq!(bytes(of, &value), bytes(of, in_column), "{} of {:?}", step.feature.name, row);
                prop_assert_eq!(status, *status_in_column);

                let by_name = |name: &str| match name.split_once('.') {
                    None => {
                        let place = plan.request.iter().position(|column| column.name == name).unwrap();
                        row.request[place].clone()
                    }
                    Some((view, feature)) => {
                        let of = |need: &Need| {
                            let view = &catalog.definitions.views[&need.view];
                            (view.id.name.clone(), view.features[need.feature].name.clone())
                        };
                        let wanted = (view.to_owned(), feature.to_owned());
                        row.inputs[needs.iter().position(|need| of(need) == wanted).unwrap()].clone()
                    }
                };
                let view = &catalog.definitions.views[&step.view];
                let seen = by_eye(catalog, view, &step.feature.name, &by_name, row.t);
                prop_assert_eq!(bytes(of, computed.cell(place, 0)), bytes(of, &seen), "{}", step.feature.name);
            }
        }
    }
}

/// Goal: many rows of one request are answered as each alone, row by row and step by step.
#[test]
fn rows_of_a_request() {
    let catalog = applied(DEFINITIONS).unwrap();
    let (plan, _) = compiled(&catalog, &["top"]);
    let input = |place: usize, row: usize| match plan.inputs[place].value_type {
        ValueType::Int64 => Cell::Value(Value::Int64(row as i64)),
        _ => Cell::Null,
    };
    let request = |place: usize, row: usize| match plan.request[place].value_type {
        ValueType::Int64 => Cell::Value(Value::Int64(10 * row as i64)),
        _ => Cell::Null,
    };
    let t = Instant::from_micros_clamped(0);
    let all = plan.evaluate(t, 5, input, request);
    assert_eq!(all.rows(), 5);
    for row in 0..5 {
        let one = plan.evaluate(t, 1, |place, _| input(place, row), |place, _| request(place, row));
        for step in 0..plan.steps.len() {
            assert_eq!(all.cell(step, row), one.cell(step, 0));
        }
    }
    let more = plan.steps.iter().position(|step| step.feature.name == "more").unwrap();
    // part = 10, chosen = part as `later` is null, added = 33, and n = 3.
    assert_eq!(all.answered(&plan, more, 3), (Some(&Value::Int64(10 + 10 + 33 + 3)), Status::Present));
    // Division by zero: `part` is -1, and so is `chosen`.
    assert_eq!(all.answered(&plan, more, 0), (Some(&Value::Int64(-2)), Status::Present));
}

/// Goal: only what is asked for is computed, and what is below it; each once, behind what it reads.
#[test]
fn what_is_computed() {
    let catalog = applied(DEFINITIONS).unwrap();
    let mut compiling = Compiling::new(&catalog, Instant::MIN);
    let top = ViewId::new("top", 1);
    let more = compiling.step(&top, 1, &BTreeMap::new()).unwrap();
    assert_eq!(compiling.step(&top, 1, &BTreeMap::new()).unwrap(), more);
    let (plan, needs) = compiling.finish();
    let names: Vec<&str> = plan.steps.iter().map(|step| step.feature.name.as_str()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    assert_eq!(names[more], "more");
    let place = |name: &str| names.iter().position(|each| *each == name).unwrap();
    assert!(place("part") < place("chosen") && place("later") < place("chosen"));
    assert!(place("chosen") < place("chained") && place("chained") < place("more"));
    let request: Vec<&str> = plan.request.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(BTreeSet::from_iter(request), BTreeSet::from(["a", "z"]));
    assert_eq!(needs, [Need { view: ViewId::new("trips", 1), feature: 0, keys: BTreeMap::new() }]);
}

/// Goal: an input enters after its default, as its status says: an expired value is none although it may be shown, and an
/// error without a default stays one.
#[test]
fn what_enters() {
    let seven = || Some(Value::Int64(7));
    let (plan, _) = compiled(&applied(DEFINITIONS).unwrap(), &["ratios"]);
    let input = plan.inputs.iter().find(|input| input.value_type == ValueType::Int64).unwrap();
    for (value, status, enters) in [
        (seven(), Status::Present, Cell::Value(Value::Int64(7))),
        (seven(), Status::OutsideTtl, Cell::Null),
        (None, Status::OutsideTtl, Cell::Null),
        (None, Status::Null, Cell::Null),
        (None, Status::Missing, Cell::Null),
        (None, Status::Error, Cell::Error),
    ] {
        assert_eq!(input.entering(value, status), enters, "{status}");
    }
    let input = plan.inputs.iter().find(|input| input.default.is_some()).unwrap();
    let default = Cell::Value(Value::float64(0.5));
    for status in [Status::OutsideTtl, Status::Null, Status::Missing, Status::Error] {
        assert_eq!(input.entering(Some(Value::float64(0.5)), status), default, "{status}");
        assert_eq!(input.entering(Some(Value::float64(3.0)), status), default, "{status}");
    }
    assert_eq!(input.entering(Some(Value::float64(3.0)), Status::Present), Cell::Value(Value::float64(3.0)));
}

/// Goal: a long way down is no deep recursion.
#[test]
fn deep_chains() {
    let mut text = "feature_views:\n  chain:\n    request: { a: int64 }\n    features:\n".to_owned();
    text.push_str("      f0: { type: int64, expr: a + 1 }\n");
    for place in 1..2_000 {
        text.push_str(&format!("      f{place}: {{ type: int64, expr: f{} + 1 }}\n", place - 1));
    }
    let catalog = applied(&text).unwrap();
    let mut compiling = Compiling::new(&catalog, Instant::MIN);
    let last = compiling.step(&ViewId::new("chain", 1), 1_999, &BTreeMap::new()).unwrap();
    let (plan, _) = compiling.finish();
    assert_eq!((plan.steps.len(), last), (2_000, 1_999));
    let one = |_: usize, _: usize| Cell::Value(Value::Int64(1));
    let computed = plan.evaluate(Instant::MIN, 1, one, one);
    assert_eq!(*computed.cell(last, 0), Cell::Value(Value::Int64(2_001)));
}

/// Goal: what was recorded is computed, although a name that was clear then could mean two features by now.
#[test]
fn features_added_to_inputs() {
    let catalog = applied(DEFINITIONS).unwrap();
    let mut changed = catalog.clone();
    let trips = changed.definitions.views.get_mut(&ViewId::new("trips", 1)).unwrap();
    let mut added = trips.features[0].clone();
    added.name = "word".to_owned();
    trips.features.push(added);
    let steps = |catalog: &Catalog| compiled(catalog, &["top"]).0.steps.len();
    assert_eq!(steps(&changed), steps(&catalog));
    let id = ViewId::new("top", 1);
    let meaning = changed.definitions.views[&id].features[0].computation.as_ref().unwrap();
    assert_eq!(meaning.to_string(), "(ratios.word = trips.s)");
}
