//! The point-in-time join against the oracle, and its report against a naive count.

use asof_engine::columns::value_at;
use asof_model::canonical::write_cell;
use asof_model::{Age, Cell, Instant, KnownAt, Status, Value, ValueType};
use asof_testkit::world::{Shape, Unit, World, WorldFeature, WorldLabel, WorldRow, small_world};
use asof_training::join::{Interval, ViewReport};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};

use crate::worlds::{Answers, Reading, run};

/// A world and a reading of it.
pub fn any_case(shape: Shape) -> impl Strategy<Value = (World, Reading)> {
    small_world(shape).prop_flat_map(|world| {
        let rows = world.rows.len();
        let again = proptest::collection::vec(any::<Index>(), 0..=4);
        let order = again.prop_flat_map(move |again| {
            let mut all: Vec<usize> = (0..rows).collect();
            if rows > 0 {
                all.extend(again.iter().map(|which| which.index(rows)));
            }
            Just(all).prop_shuffle()
        });
        let places: Vec<usize> = (0..world.features.len()).collect();
        let asked = subsequence(places.clone(), 1..=places.len()).prop_shuffle();
        let start = world.units.first().map_or(0, |unit| unit.visible.micros());
        let edge = select(vec![i64::MIN, start - 1, start, start + 1_000, start + 60_000_000, i64::MAX]);
        let interval = (edge.clone(), edge).prop_map(|(from, until)| Interval { from, until });
        let bulk = proptest::collection::vec(proptest::option::of(interval), world.units.len());
        let labels = world.labels.len();
        let after = select(vec![-60_000_000_i64, -1_000, 0, 0, 1, 1_000, 60_000_000]);
        let knows = prop_oneof![
            Just(Vec::new()),
            after.clone().prop_map(move |after| vec![after; labels]),
            proptest::collection::vec(after, labels),
        ];
        (
            (Just(world), order, proptest::collection::vec(0_usize..5, 0..8), 1_usize..6),
            (asked, select(vec![KnownAt::Event, KnownAt::Created, KnownAt::Served]), any::<[bool; 4]>()),
            (bulk, knows, select(vec![0, 1_000, 4_000, 20_000, 1 << 30]), 1_usize..4),
        )
            .prop_map(
                |(
                    (world, order, cuts, batch_rows),
                    (asked, known_at, flags),
                    (bulk, knows, memory, threads),
                )| {
                    let [later, leaves_out, include_expired, statuses] = flags;
                    let reading = Reading {
                        order,
                        cuts,
                        batch_rows,
                        later,
                        leaves_out,
                        asked,
                        known_at,
                        include_expired,
                        statuses,
                        bulk,
                        knows,
                        memory,
                        threads,
                    };
                    (world, reading)
                },
            )
    })
}

fn cell_bytes(of: ValueType, cell: &Cell) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_cell(&mut bytes, of, cell);
    bytes
}

/// Whether expired rows are told from missing ones.
fn tells(world: &World, reading: &Reading) -> bool {
    world.ttl.is_none() || reading.statuses || reading.include_expired
}

/// Checks values, statuses and events, label by label.
pub fn check_answer(world: &World, reading: &Reading, answers: &Answers) -> Result<(), TestCaseError> {
    prop_assert_eq!(answers.columns.len(), reading.asked.len());
    prop_assert_eq!(answers.events.len(), world.labels.len());
    for (row, label) in world.labels.iter().enumerate() {
        let right = reading.right(world, row, reading.known_at);
        if reading.statuses {
            let event = right.event.map(Instant::micros);
            prop_assert_eq!(answers.events[row], event, "event of label {}: {:?}", row, label);
        }
        for ((column, place), right) in answers.columns.iter().zip(&reading.asked).zip(&right.values) {
            let of = world.features[*place].value_type;
            prop_assert_eq!(&column.feature.name, &format!("feature{place}"));
            prop_assert_eq!(column.values.len(), world.labels.len());
            let cell = value_at(&column.values, of, row).map_or(Cell::Null, Cell::Value);
            let status = match right.status {
                Status::OutsideTtl if !tells(world, reading) => Status::Missing,
                status => status,
            };
            prop_assert_eq!(
                (cell_bytes(of, &cell), column.statuses[row]),
                (cell_bytes(of, &right.cell), status),
                "feature{} of label {}: {:?}",
                place,
                row,
                label
            );
        }
    }
    Ok(())
}

/// The report, counted label by label from the oracle's answers.
fn naive_report(world: &World, reading: &Reading) -> ViewReport {
    let mut report = ViewReport { labels: world.labels.len() as u64, ..ViewReport::default() };
    let (mut differing, mut bulk, mut expired) = (0, 0, 0);
    let rule = world.rule(reading.known_at, reading.include_expired);
    let tells = tells(world, reading);
    // What is past its ttl is as good as missing where nobody tells them apart.
    let seen = |known_at: KnownAt, label: usize| {
        let mut answer = reading.right(world, label, known_at);
        for value in answer.values.iter_mut().filter(|value| value.status == Status::OutsideTtl && !tells) {
            value.status = Status::Missing;
        }
        answer
    };
    for (place, label) in world.labels.iter().enumerate() {
        let asked = seen(reading.known_at, place);
        match asked.event.map(|event| rule.age(event, label.t)) {
            Some(Age::Valid) => report.matched += 1,
            Some(Age::Expired) if tells => expired += 1,
            Some(Age::Expired | Age::Forgotten) | None => report.missing += 1,
        }
        if asked.values == seen(KnownAt::Served, place).values {
            continue;
        }
        differing += 1;
        let first = reading.unit_met(world, place).is_some_and(|row| {
            let known = rule.age(row.event, label.t);
            let met = known == Age::Valid || (known == Age::Expired && tells);
            met && reading.bulk[row.unit].is_some_and(|range| range.contains(row.event.micros()))
        });
        bulk += u64::from(first);
    }
    report.expired = tells.then_some(expired);
    (report.differs_from_served, report.of_these_bulk) = (Some(differing), Some(bulk));
    report
}

fn check(world: &World, reading: &Reading) -> Result<Answers, TestCaseError> {
    let answers = run(world, reading);
    check_answer(world, reading, &answers)?;
    prop_assert_eq!(answers.report, naive_report(world, reading));
    Ok(answers)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    /// Goal: the join and a scan that a reader can check by eye give the same bytes, statuses, events and counts,
    /// however history is cut, shuffled and repeated, in however little memory, on however many threads, and whenever
    /// labels know what they know.
    #[test]
    fn join_agrees_with_the_oracle((world, reading) in any_case(Shape::default())) {
        check(&world, &reading)?;
    }

    /// Goal: the same where features were added between units, so that earlier rows carry fewer, and ranges replaced.
    #[test]
    fn join_agrees_with_the_oracle_where_features_were_added(
        (world, reading) in any_case(Shape { added_features: true, replaced_ranges: true }),
    ) {
        check(&world, &reading)?;
    }
}

/// Goal: the random worlds do reach what the properties are about: differences, every status, and scratch.
#[test]
fn worlds_reach_every_path() {
    let (mut differ, mut spilled, mut statuses) = (0, 0, Vec::new());
    for seed in 0..200 {
        let world =
            World::from_seed(seed, Shape { added_features: seed % 2 == 0, replaced_ranges: seed % 3 == 0 });
        for place in 0..world.features.len() {
            for known_at in [KnownAt::Event, KnownAt::Served] {
                for memory in [0, 1 << 30] {
                    let reading = Reading { memory, ..Reading::plain(&world, &[place], known_at) };
                    let answers = check(&world, &reading).unwrap();
                    differ += answers.report.differs_from_served.unwrap();
                    spilled += u64::from(answers.spilled_bytes > 0);
                    statuses.extend(answers.columns[0].statuses.clone());
                }
            }
        }
    }
    assert!(differ > 0 && spilled > 0, "{differ} {spilled}");
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

/// Goal: a tie that only a feature that was not asked can rank is ranked by whole rows, wherever the two rows meet: in one
/// piece, in two, or only when slots are carried forward; and whether features can be read again or not.
#[test]
fn ties_are_ranked_by_whole_rows() {
    // By its asked feature the second row is greater; by whole rows the first is.
    let rows: [(i64, i64, usize, &[i64]); 2] = [(1, 10, 0, &[2, 7]), (1, 10, 1, &[1, 8])];
    let tied = world(&[(20, 2), (30, 2)], &rows, &[(1, 25), (1, 30)]);
    for later in [true, false] {
        for (cuts, known_at) in [
            (vec![], KnownAt::Event),
            (vec![1], KnownAt::Event),
            (vec![], KnownAt::Served),
            (vec![1], KnownAt::Served),
        ] {
            let reading = Reading { cuts, later, ..Reading::plain(&tied, &[1], known_at) };
            let answers = check(&tied, &reading).unwrap();
            let value = value_at(&answers.columns[0].values, ValueType::Int64, 1);
            assert_eq!(value, Some(Value::Int64(7)), "{reading:?}");
        }
    }
}

/// Goal: of a row and its repeat the first one visible is met, in whatever order they are read, so that the report
/// does not depend on that order.
#[test]
fn a_repeat_leaves_the_report_alone() {
    let rows: [(i64, i64, usize, &[i64]); 2] = [(1, 10, 0, &[2, 7]), (1, 10, 1, &[2, 7])];
    let repeated = world(&[(20, 2), (30, 2)], &rows, &[(1, 15)]);
    let everything = Some(Interval { from: i64::MIN, until: i64::MAX });
    for order in [vec![0, 1], vec![1, 0]] {
        for cuts in [vec![], vec![1]] {
            let reading = Reading {
                order: order.clone(),
                cuts,
                bulk: vec![everything, None],
                ..Reading::plain(&repeated, &[0, 1], KnownAt::Event)
            };
            let report = check(&repeated, &reading).unwrap().report;
            assert_eq!((report.differs_from_served, report.of_these_bulk), (Some(1), Some(1)), "{reading:?}");
        }
    }
}

/// Goal: a key with thousands of labels and rows that all tie, in memory for a few of them, is answered as with
/// plenty: labels are cut, rows put aside, ties ranked on the way, features of several ranges of labels put aside.
#[test]
fn a_hot_key_in_little_memory() {
    let mut rows: Vec<(i64, i64, usize, &[i64])> = Vec::new();
    for event in 0..600 {
        // Every row has a rival at the same instant, which is greater by its second feature.
        rows.push((7, event, 0, &[1, 1]));
        rows.push((7, event, 0, &[1, 2]));
        rows.push((event % 5, event, 0, &[3, 4]));
    }
    let labels: Vec<(i64, i64)> =
        (0..40_000).map(|row| (if row % 9 == 0 { row % 7 } else { 7 }, row * 7_919 % 650)).collect();
    let hot = world(&[(1_000, 2)], &rows, &labels);
    let plenty = run(&hot, &Reading { cuts: vec![500; 3], ..Reading::plain(&hot, &[1, 0], KnownAt::Event) });
    assert_eq!(plenty.spilled_bytes, 0);
    for (later, threads) in [(true, 1), (true, 3), (false, 2)] {
        let reading = Reading {
            cuts: vec![500; 3],
            batch_rows: 100,
            later,
            threads,
            memory: 60_000,
            ..Reading::plain(&hot, &[1, 0], KnownAt::Event)
        };
        let little = run(&hot, &reading);
        assert!(little.spilled_bytes > 100_000, "{}", little.spilled_bytes);
        for (one, other) in plenty.columns.iter().zip(&little.columns) {
            assert_eq!(&one.values, &other.values);
            assert_eq!(one.statuses, other.statuses);
        }
        assert_eq!(plenty.report, little.report);
    }
}
