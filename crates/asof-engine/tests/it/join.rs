//! The point-in-time join against the oracle, and its report against a naive count.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, RecordBatch, StringArray, StringBuilder};
use asof_engine::columns::{ColumnBuilder, KeyColumns, history_schema, value_at};
use asof_engine::join::{
    Absorbed, Interval, LabelIndex, Replaced, UnitFacts, Units, ViewAnswer, ViewJoin, ViewReport,
};
use asof_model::canonical::{row_bytes, write_cell};
use asof_model::entry::to_text;
use asof_model::spec::{About, Feature, JoinKey};
use asof_model::{Age, Cell, Instant, KnownAt, Rule, Status, Value, ValueType};
use asof_oracle::OracleAnswer;
use asof_testkit::world::{Shape, Unit, World, WorldFeature, WorldLabel, WorldRow, small_world};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

/// How a world's history is handed to the join, and what is asked of it.
#[derive(Debug, Clone)]
struct Reading {
    /// Rows in the order in which they are read, some of them twice.
    order: Vec<Arrival>,
    /// Rows in each batch but the last.
    cuts: Vec<usize>,
    /// Places of the asked features, in the asked order.
    asked: Vec<usize>,
    known_at: KnownAt,
    include_expired: bool,
    /// For each unit the range of which it is the first complete load.
    bulk: Vec<Option<Interval>>,
    retained_rows_slack: usize,
}

#[derive(Debug, Clone, Copy)]
struct Arrival {
    /// The place of the row in the world.
    row: usize,
    /// Whether this copy belongs to a unit that was never journaled; then it stands a microsecond later.
    lost: bool,
}

impl Reading {
    /// The whole history in one batch, in the world's order.
    fn plain(world: &World, asked: &[usize], known_at: KnownAt) -> Self {
        Self {
            order: (0..world.rows.len()).map(|row| Arrival { row, lost: false }).collect(),
            cuts: Vec::new(),
            asked: asked.to_vec(),
            known_at,
            include_expired: false,
            bulk: vec![None; world.units.len()],
            retained_rows_slack: 1000,
        }
    }

    fn rule(&self, world: &World) -> Rule {
        world.rule(self.known_at, self.include_expired)
    }
}

/// A world and a reading of it.
fn any_case(shape: Shape) -> impl Strategy<Value = (World, Reading)> {
    small_world(shape).prop_flat_map(|world| {
        let rows = world.rows.len();
        let extra = proptest::collection::vec((any::<Index>(), any::<bool>()), 0..=4);
        let order = extra.prop_flat_map(move |extra| {
            let mut all: Vec<Arrival> = (0..rows).map(|row| Arrival { row, lost: false }).collect();
            if rows > 0 {
                all.extend(extra.iter().map(|(which, lost)| Arrival { row: which.index(rows), lost: *lost }));
            }
            Just(all).prop_shuffle()
        });
        let places: Vec<usize> = (0..world.features.len()).collect();
        let asked = subsequence(places.clone(), 1..=places.len()).prop_shuffle();
        let start = world.units.first().map_or(0, |unit| unit.visible.micros());
        let edge = select(vec![i64::MIN, start - 1, start, start + 1_000, start + 60_000_000, i64::MAX]);
        let interval = (edge.clone(), edge).prop_map(|(from, until)| Interval { from, until });
        let bulk = proptest::collection::vec(proptest::option::of(interval), world.units.len());
        (
            Just(world),
            order,
            proptest::collection::vec(0_usize..5, 0..8),
            asked,
            select(vec![KnownAt::Event, KnownAt::Created, KnownAt::Served]),
            any::<bool>(),
            bulk,
            select(vec![0, 1, 1000]),
        )
            .prop_map(
                |(world, order, cuts, asked, known_at, include_expired, bulk, retained_rows_slack)| {
                    let reading =
                        Reading { order, cuts, asked, known_at, include_expired, bulk, retained_rows_slack };
                    (world, reading)
                },
            )
    })
}

fn keys(world: &World) -> Vec<JoinKey> {
    let key = |(index, of): (usize, &ValueType)| JoinKey { name: format!("key{index}"), value_type: *of };
    world.key_types.iter().enumerate().map(key).collect()
}

fn features(world: &World) -> Vec<Feature> {
    let feature = |(index, of): (usize, &WorldFeature)| Feature {
        name: format!("feature{index}"),
        value_type: of.value_type,
        default: of.default.as_ref().map(to_text),
        about: About::default(),
    };
    world.features.iter().enumerate().map(feature).collect()
}

fn units(world: &World, bulk: &[Option<Interval>]) -> Units {
    let mut units = Units::default();
    for (index, (unit, bulk)) in world.units.iter().zip(bulk).enumerate() {
        if let Some((from, until)) = unit.replaces {
            let range = Interval { from: from.micros(), until: until.micros() };
            units.replace(Replaced { range, visible: unit.visible });
        }
        let facts = UnitFacts {
            visible: unit.visible,
            features: unit.features_held,
            bulk: bulk.iter().copied().collect(),
            replaced: Vec::new(),
        };
        units.add(&format!("unit{index}"), facts);
    }
    units
}

/// A column of a type, one value for each row.
fn array<'a>(of: ValueType, values: impl Iterator<Item = Option<&'a Value>>) -> ArrayRef {
    let mut builder = ColumnBuilder::new(of, 0);
    values.for_each(|value| builder.append(value));
    builder.finish()
}

/// Rows as a history batch.
fn batch(world: &World, rows: &[Arrival]) -> RecordBatch {
    let of = |arrival: &Arrival| -> &WorldRow { &world.rows[arrival.row] };
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (index, key_type) in world.key_types.iter().enumerate() {
        columns.push(array(*key_type, rows.iter().map(|row| of(row).key.get(index))));
    }
    let event = |row: &Arrival| {
        let micros = of(row).event.micros() + i64::from(row.lost);
        Value::Timestamp(Instant::from_micros(micros).unwrap())
    };
    let events: Vec<Value> = rows.iter().map(event).collect();
    let createds: Vec<Value> = rows.iter().map(|row| Value::Timestamp(of(row).created)).collect();
    columns.push(array(ValueType::Timestamp, events.iter().map(Some)));
    columns.push(array(ValueType::Timestamp, createds.iter().map(Some)));
    let unit = |row: &Arrival| if row.lost { "lost".to_owned() } else { format!("unit{}", of(row).unit) };
    columns.push(Arc::new(StringArray::from_iter_values(rows.iter().map(unit))));
    for (index, feature) in world.features.iter().enumerate() {
        let cell = |row| of(row).cells.get(index).and_then(Cell::value);
        columns.push(array(feature.value_type, rows.iter().map(cell)));
    }
    let mut errors = ListBuilder::new(StringBuilder::new());
    for row in rows {
        let cells = of(row).cells.iter().enumerate().filter(|(_, cell)| **cell == Cell::Error);
        let names: Vec<Option<String>> = cells.map(|(index, _)| Some(format!("feature{index}"))).collect();
        errors.append_option((!names.is_empty()).then_some(names));
    }
    columns.push(Arc::new(errors.finish()));
    RecordBatch::try_new(history_schema(&keys(world), &features(world)), columns).unwrap()
}

fn batches(world: &World, reading: &Reading) -> Vec<RecordBatch> {
    let mut rest: &[Arrival] = &reading.order;
    let mut all = Vec::new();
    for size in &reading.cuts {
        let (head, tail) = rest.split_at((*size).min(rest.len()));
        all.push(batch(world, head));
        rest = tail;
    }
    all.push(batch(world, rest));
    all
}

/// Where the join asked for whole rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restarted {
    Never,
    InAbsorb,
    InFinish,
}

/// What the join answers, and whether it needed whole rows for it.
fn run(world: &World, reading: &Reading) -> (ViewAnswer, Restarted) {
    let times: Vec<i64> = world.labels.iter().map(|label| label.t.micros()).collect();
    let parts = |(index, of): (usize, &ValueType)| {
        array(*of, world.labels.iter().map(move |label| label.key[index].as_ref()))
    };
    let label_keys: Vec<ArrayRef> = world.key_types.iter().enumerate().map(parts).collect();
    let label_keys = KeyColumns::new(label_keys.iter().zip(world.key_types.iter().copied()).collect());
    let mut join = ViewJoin::new(
        Arc::new(LabelIndex::new(&label_keys, &times)),
        reading.rule(world),
        &keys(world),
        &features(world),
        &reading.asked,
        Arc::new(units(world, &reading.bulk)),
    )
    .with_retained_rows_slack(reading.retained_rows_slack);
    let batches = batches(world, reading);
    let mut restarted = Restarted::Never;
    loop {
        let columns = join.columns();
        let taken = batches.iter().all(|batch| {
            let places: Vec<usize> =
                columns.iter().map(|name| batch.schema().index_of(name).unwrap()).collect();
            join.absorb(&batch.project(&places).unwrap()).unwrap() == Absorbed::Taken
        });
        match if taken { join.finish(&times).unwrap() } else { None } {
            Some(answer) => return (answer, restarted),
            None => {
                assert_eq!(restarted, Restarted::Never, "whole rows rank every tie");
                restarted = if taken { Restarted::InFinish } else { Restarted::InAbsorb };
                join.whole_rows();
            }
        }
    }
}

fn cell_bytes(of: ValueType, cell: &Cell) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_cell(&mut bytes, of, cell);
    bytes
}

/// What the oracle says of the asked features of a label.
fn right(world: &World, reading: &Reading, label: &WorldLabel, known_at: KnownAt) -> OracleAnswer {
    let mut answer = world.answer(label, known_at, reading.include_expired);
    answer.values = reading.asked.iter().map(|place| answer.values[*place].clone()).collect();
    answer
}

/// Checks values, statuses and events, label by label.
fn check_answer(world: &World, reading: &Reading, answer: &ViewAnswer) -> Result<(), TestCaseError> {
    let columns = answer.columns().unwrap();
    prop_assert_eq!(columns.len(), reading.asked.len());
    let events = answer.events();
    prop_assert_eq!(events.len(), world.labels.len());
    for (row, label) in world.labels.iter().enumerate() {
        let right = right(world, reading, label, reading.known_at);
        prop_assert_eq!(events[row], right.event, "event of label {}: {:?}", row, label);
        for ((column, place), right) in columns.iter().zip(&reading.asked).zip(&right.values) {
            let of = world.features[*place].value_type;
            prop_assert_eq!(&column.feature.name, &format!("feature{place}"));
            prop_assert_eq!(column.values.len(), world.labels.len());
            let cell = value_at(&column.values, of, row).map_or(Cell::Null, Cell::Value);
            prop_assert_eq!(
                (cell_bytes(of, &cell), column.statuses[row]),
                (cell_bytes(of, &right.cell), right.status),
                "feature{} of label {}: {:?}",
                place,
                row,
                label
            );
        }
    }
    Ok(())
}

/// The row that a label meets, by its unit: the greatest, and of equal ones the first that became visible. `whole`
/// says whether equal means in every feature, or in the asked ones.
fn unit_met<'a>(
    world: &'a World,
    reading: &Reading,
    label: &WorldLabel,
    whole: bool,
) -> Option<&'a WorldRow> {
    let key = label.encoded_key();
    let seen = |row: &&WorldRow| {
        let visible = world.units[row.unit].visible;
        let served = reading.known_at == KnownAt::Served;
        let stands = world.replaced_at(row).is_none_or(|replaced| served && label.t < replaced);
        stands
            && Some(asof_model::key::encode_key(&row.key)) == key
            && reading.known_at.from_instant(row.event, row.created, visible) <= label.t
    };
    let rank = |row: &WorldRow| (row.event, row.created, row_bytes(&world.types(), &row.cells));
    let greatest = world.rows.iter().filter(seen).max_by_key(|row| rank(row))?;
    let asked = |row: &WorldRow| -> Vec<Option<Cell>> {
        reading.asked.iter().map(|place| row.cells.get(*place).cloned()).collect()
    };
    let equal = |row: &&WorldRow| {
        let tied = (row.event, row.created) == (greatest.event, greatest.created);
        tied && if whole { row.cells == greatest.cells } else { asked(row) == asked(greatest) }
    };
    world.rows.iter().filter(seen).filter(equal).min_by_key(|row| row.unit)
}

/// The report, counted label by label from the oracle's answers.
fn naive_report(world: &World, reading: &Reading, whole: bool) -> ViewReport {
    let mut report = ViewReport { labels: world.labels.len() as u64, ..ViewReport::default() };
    let (mut differing, mut bulk) = (0, 0);
    let rule = reading.rule(world);
    for label in &world.labels {
        let asked = right(world, reading, label, reading.known_at);
        match asked.event.map(|event| rule.age(event, label.t)) {
            Some(Age::Valid) => report.matched += 1,
            Some(Age::Expired) => report.expired += 1,
            Some(Age::Forgotten) | None => report.missing += 1,
        }
        if asked.values == right(world, reading, label, KnownAt::Served).values {
            continue;
        }
        differing += 1;
        let first = unit_met(world, reading, label, whole).is_some_and(|row| {
            reading.bulk[row.unit].is_some_and(|range| range.contains(row.event.micros()))
        });
        bulk += u64::from(first);
    }
    (report.differs_from_served, report.of_these_bulk) = (Some(differing), Some(bulk));
    report
}

fn check(world: &World, reading: &Reading) -> Result<Restarted, TestCaseError> {
    let (answer, restarted) = run(world, reading);
    check_answer(world, reading, &answer)?;
    let whole = restarted != Restarted::Never;
    prop_assert_eq!(answer.report().unwrap(), naive_report(world, reading, whole));
    Ok(restarted)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Goal: the join and a scan that a reader can check by eye give the same bytes, statuses, events and counts,
    /// however history is cut, shuffled and repeated, and whatever was never published stays invisible.
    #[test]
    fn join_agrees_with_the_oracle((world, reading) in any_case(Shape::default())) {
        check(&world, &reading)?;
    }

    /// Goal: the same where features were added between units, so that earlier rows carry fewer.
    #[test]
    fn join_agrees_with_the_oracle_where_features_were_added(
        (world, reading) in any_case(Shape { added_features: true, replaced_ranges: true }),
    ) {
        check(&world, &reading)?;
    }
}

/// Goal: the random worlds do reach what the properties are about: restarts in both places, bulk differences, and
/// every status.
#[test]
fn worlds_reach_every_path() {
    let (mut in_absorb, mut in_finish, mut differ, mut statuses) = (0, 0, 0, Vec::new());
    for seed in 0..400 {
        let world =
            World::from_seed(seed, Shape { added_features: seed % 2 == 0, replaced_ranges: seed % 3 == 0 });
        for place in 0..world.features.len() {
            for known_at in [KnownAt::Event, KnownAt::Served] {
                let reading = Reading::plain(&world, &[place], known_at);
                match check(&world, &reading).unwrap() {
                    Restarted::Never => {}
                    Restarted::InAbsorb => in_absorb += 1,
                    Restarted::InFinish => in_finish += 1,
                }
                let (answer, _) = run(&world, &reading);
                differ += answer.report().unwrap().differs_from_served.unwrap();
                statuses.extend(answer.columns().unwrap().remove(0).statuses);
            }
        }
    }
    assert!(in_absorb > 0 && in_finish > 0 && differ > 0, "{in_absorb} {in_finish} {differ}");
    for status in [Status::Present, Status::Null, Status::Missing, Status::OutsideTtl, Status::Error] {
        assert!(statuses.contains(&status), "{status}");
    }
}

fn at(micros: i64) -> Instant {
    Instant::from_micros(micros).unwrap()
}

/// A world of two int64 features and one int64 key, without limits. Rows are (key, event, unit, features).
fn world(units: &[(i64, usize)], rows: &[(i64, i64, usize, &[i64])], labels: &[(i64, i64)]) -> World {
    let feature = WorldFeature { value_type: ValueType::Int64, default: None };
    World {
        key_types: vec![ValueType::Int64],
        features: vec![feature.clone(), feature],
        ttl: None,
        keep: None,
        units: units
            .iter()
            .map(|(visible, held)| Unit { visible: at(*visible), features_held: *held, replaces: None })
            .collect(),
        rows: rows
            .iter()
            .map(|(key, event, unit, cells)| WorldRow {
                key: vec![Value::Int64(*key)],
                event: at(*event),
                created: at(*event),
                unit: *unit,
                cells: cells.iter().map(|cell| Cell::Value(Value::Int64(*cell))).collect(),
            })
            .collect(),
        labels: labels
            .iter()
            .map(|(key, t)| WorldLabel { key: vec![Some(Value::Int64(*key))], t: at(*t) })
            .collect(),
    }
}

/// Goal: a tie that only a feature that was not asked can rank is ranked by whole rows, wherever the two rows meet:
/// in one batch, in two, or only when slots are carried forward.
#[test]
fn ties_are_ranked_by_whole_rows() {
    // By its asked feature the second row is greater; by whole rows the first is.
    let rows: [(i64, i64, usize, &[i64]); 2] = [(1, 10, 0, &[2, 7]), (1, 10, 1, &[1, 8])];
    let tied = world(&[(20, 2), (30, 2)], &rows, &[(1, 25), (1, 30)]);
    let one_batch = Reading::plain(&tied, &[1], KnownAt::Event);
    let two_batches = Reading { cuts: vec![1], ..one_batch.clone() };
    let in_finish = Reading { known_at: KnownAt::Served, ..one_batch.clone() };
    for (reading, expected) in [
        (one_batch, Restarted::InAbsorb),
        (two_batches, Restarted::InAbsorb),
        (in_finish, Restarted::InFinish),
    ] {
        assert_eq!(check(&tied, &reading).unwrap(), expected);
        let values = run(&tied, &reading).0.columns().unwrap().remove(0).values;
        assert_eq!(value_at(&values, ValueType::Int64, 1), Some(Value::Int64(7)));
    }
    // All features at hand: no restart. Equal in what is asked: no restart either.
    let all = Reading::plain(&tied, &[1, 0], KnownAt::Event);
    assert_eq!(check(&tied, &all).unwrap(), Restarted::Never);
    let rows: [(i64, i64, usize, &[i64]); 2] = [(1, 10, 0, &[2, 7]), (1, 10, 1, &[1, 7])];
    let tied = world(&[(20, 2), (30, 2)], &rows, &[(1, 25), (1, 30)]);
    let equal = Reading::plain(&tied, &[1], KnownAt::Event);
    assert_eq!(check(&tied, &equal).unwrap(), Restarted::Never);
}

/// Goal: of a row and its repeat the first one visible is met, in whatever order they are read, so that the report
/// does not depend on that order.
#[test]
fn a_repeat_leaves_the_report_alone() {
    let rows: [(i64, i64, usize, &[i64]); 2] = [(1, 10, 0, &[2, 7]), (1, 10, 1, &[2, 7])];
    let repeated = world(&[(20, 2), (30, 2)], &rows, &[(1, 15)]);
    let everything = Some(Interval { from: i64::MIN, until: i64::MAX });
    for order in [[0, 1], [1, 0]] {
        for cuts in [vec![], vec![1]] {
            let reading = Reading {
                order: order.iter().map(|row| Arrival { row: *row, lost: false }).collect(),
                cuts,
                bulk: vec![everything, None],
                ..Reading::plain(&repeated, &[0, 1], KnownAt::Event)
            };
            let report = run(&repeated, &reading).0.report().unwrap();
            assert_eq!((report.differs_from_served, report.of_these_bulk), (Some(1), Some(1)), "{reading:?}");
        }
    }
}

/// Goal: losers are dropped in the middle of reading without losing a winner, a unit or a tie.
#[test]
fn losers_are_dropped_on_the_way() {
    let mut rows: Vec<(i64, i64, usize, &[i64])> = Vec::new();
    for event in 0..200 {
        for key in 0..3 {
            // Rows of the second unit carry one feature more.
            let cells: &[i64] = if event % 2 == 0 { &[1] } else { &[1, 2] };
            rows.push((key, event, usize::from(event % 2 == 1), cells));
        }
    }
    let labels: Vec<(i64, i64)> = (0..4).flat_map(|key| [(key, 50), (key, 99), (key, 300)]).collect();
    let long = world(&[(0, 1), (60, 2)], &rows, &labels);
    for retained_rows_slack in [0, 7] {
        for known_at in [KnownAt::Event, KnownAt::Served] {
            for asked in [vec![0], vec![1, 0]] {
                let reading = Reading {
                    cuts: vec![2; 290],
                    retained_rows_slack,
                    ..Reading::plain(&long, &asked, known_at)
                };
                check(&long, &reading).unwrap();
            }
        }
    }
}

/// Goal: a batch that is not a history batch is an error that names the column, not a panic and not nulls.
#[test]
fn wrong_batches_are_refused() {
    let small = world(&[(0, 2)], &[(1, 10, 0, &[1, 2])], &[(1, 20)]);
    let good = batch(&small, &[Arrival { row: 0, lost: false }]);
    for column in ["key0", "event_timestamp", "created_timestamp", "__unit", "feature1", "__errors"] {
        for gone in [true, false] {
            let label_keys: ArrayRef = array(ValueType::Int64, [Some(&Value::Int64(1))].into_iter());
            let label_keys = KeyColumns::new(vec![(&label_keys, ValueType::Int64)]);
            let mut join = ViewJoin::new(
                Arc::new(LabelIndex::new(&label_keys, &[20])),
                Rule::default(),
                &keys(&small),
                &features(&small),
                &[1],
                Arc::new(units(&small, &[None])),
            );
            let other: ArrayRef = Arc::new(arrow::array::Int16Array::from(vec![1]));
            let schema = good.schema();
            let columns = schema.fields().iter().zip(good.columns()).filter_map(|(field, array)| {
                let at_fault = field.name() == column;
                let array = if at_fault { other.clone() } else { array.clone() };
                (!(at_fault && gone)).then(|| (field.name().clone(), array))
            });
            let bad = RecordBatch::try_from_iter(columns.collect::<Vec<_>>()).unwrap();
            let error = join.absorb(&bad).unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert!(source.contains(column), "{source}");
        }
    }
}
