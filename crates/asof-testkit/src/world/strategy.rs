//! How worlds are drawn.

use asof_model::{Cell, Duration, Instant, Value, ValueType};
use proptest::prelude::*;
use proptest::sample::{Index, select, subsequence};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{Unit, World, WorldFeature, WorldLabel, WorldRow};
use crate::values::{any_cell, any_value};

/// The most rows drawn, before repeats and ties are added.
const ROWS_MAX: usize = 12;
/// The most repeats, and the most ties, that are added.
const TWINS_MAX: usize = 3;
/// The most labels of a world.
const LABELS_MAX: usize = 12;
/// The most keys that have rows.
const KEYS_MAX: usize = 3;
/// The most publication units.
const UNITS_MAX: usize = 3;
/// The most features.
const FEATURES_MAX: usize = 4;

/// Where the clock of a world starts, in microseconds since 1970: 2024, and just before 1970 so that worlds cross it.
const STARTS_MICROS: [i64; 2] = [1_704_067_200_000_000, -60_000_001];
/// The instants of a world, in microseconds after its start.
const STEPS_MICROS: [i64; 6] = [0, 1, 1_000, 60_000_000, 120_000_000, 600_000_000];
/// Limits that are differences of steps, so that their edges are met, and that definitions can spell.
const LIMITS_MICROS: [i64; 5] = [1_000, 60_000_000, 120_000_000, 480_000_000, 600_000_000];

/// What kind of worlds to draw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// Whether features are added between units, so that earlier rows hold fewer, and repeats in later units extend
    /// them. Otherwise every row holds every feature.
    pub added_features: bool,
    /// Whether units behind the first may replace a range of events.
    pub replaced_ranges: bool,
}

/// A small world: up to three keys with rows (and labels that ask for others, or for null), six instants, up to three
/// units, one to four features of any type.
pub fn small_world(shape: Shape) -> impl Strategy<Value = World> {
    let key_types = select(vec![
        vec![],
        vec![ValueType::Int64],
        vec![ValueType::String],
        vec![ValueType::Int64, ValueType::String],
        vec![ValueType::String, ValueType::String],
        vec![ValueType::Uuid],
    ]);
    let start = select(STARTS_MICROS.to_vec());
    let limit = || proptest::option::of(select(LIMITS_MICROS.to_vec()).prop_map(Duration::from_micros));
    let features = proptest::collection::vec(any_feature(), 1..=FEATURES_MAX);
    (key_types, start, limit(), limit(), features)
        .prop_flat_map(move |(key_types, start, ttl, keep, features)| {
            let keys = proptest::collection::vec(any_key(&key_types), 1..=KEYS_MAX);
            (
                Just((key_types, start, ttl, keep)),
                keys,
                any_units(start, features.len(), shape),
                Just(features),
            )
        })
        .prop_flat_map(|((key_types, start, ttl, keep), keys, units, features)| {
            let rows = any_rows(start, &keys, &features, units.len());
            let label = any_label(start, &keys, &key_types, [ttl, keep]);
            let labels = proptest::collection::vec(label, 1..=LABELS_MAX);
            (Just((key_types, ttl, keep, features)), Just(units), rows, labels)
        })
        .prop_map(|((key_types, ttl, keep, features), units, mut rows, labels)| {
            for row in &mut rows {
                row.cells.truncate(units[row.unit].features_held);
            }
            // A unit that replaces a range brings rows of that range and no others.
            rows.retain(|row| {
                let range = units[row.unit].replaces;
                range.is_none_or(|(from, until)| from <= row.event && row.event < until)
            });
            World { key_types, features, ttl, keep, units, rows, labels }
        })
}

/// See [`World::from_seed`].
pub(super) fn from_seed(seed: u64, shape: Shape) -> World {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    #[expect(
        clippy::expect_used,
        reason = "a strategy without filters rejects nothing, and this is test code"
    )]
    small_world(shape).new_tree(&mut runner).expect("nothing is filtered").current()
}

fn any_feature() -> impl Strategy<Value = WorldFeature> {
    select(ValueType::examples()).prop_flat_map(|value_type| {
        proptest::option::of(any_value(value_type))
            .prop_map(move |default| WorldFeature { value_type, default })
    })
}

/// A key out of few; strings are prefixes of each other, so that ("a", "bc") and ("ab", "c") meet.
fn any_key(types: &[ValueType]) -> BoxedStrategy<Vec<Value>> {
    types.iter().map(|of| any_key_part(*of)).collect::<Vec<_>>().boxed()
}

fn any_key_part(of: ValueType) -> BoxedStrategy<Value> {
    match of {
        ValueType::Int64 => select(vec![1, 2, -1, i64::MIN, i64::MAX]).prop_map(Value::Int64).boxed(),
        ValueType::Uuid => select(vec![0, 1, u128::MAX])
            .prop_map(|bits| Value::Uuid(asof_model::Uuid::from_u128(bits)))
            .boxed(),
        _ => select(vec!["a", "ab", "b", "bc", "c", "", "a\0"])
            .prop_map(|text| Value::String(text.to_owned()))
            .boxed(),
    }
}

fn any_instant(start: i64) -> impl Strategy<Value = Instant> + Clone {
    select(STEPS_MICROS.to_vec()).prop_map(move |step| Instant::from_micros_clamped(start + step))
}

fn any_units(start: i64, features: usize, shape: Shape) -> impl Strategy<Value = Vec<Unit>> {
    let held_min = if shape.added_features { 1 } else { features };
    let steps = subsequence(STEPS_MICROS.to_vec(), 1..=UNITS_MAX);
    let held = proptest::collection::vec(held_min..=features, UNITS_MAX);
    let range = proptest::option::weighted(0.6, any_range(start));
    let ranges = proptest::collection::vec(range, UNITS_MAX);
    (steps, held, ranges).prop_map(move |(steps, mut held, ranges)| {
        held.sort_unstable();
        steps
            .into_iter()
            .zip(held)
            .zip(ranges)
            .enumerate()
            .map(|(place, ((step, features_held), replaces))| Unit {
                visible: Instant::from_micros_clamped(start + step),
                features_held,
                replaces: replaces.filter(|_| shape.replaced_ranges && place > 0),
            })
            .collect()
    })
}

/// A range between two instants of the world, or all of time.
fn any_range(start: i64) -> impl Strategy<Value = (Instant, Instant)> {
    let between = subsequence(STEPS_MICROS.to_vec(), 2).prop_map(move |ends| {
        (Instant::from_micros_clamped(start + ends[0]), Instant::from_micros_clamped(start + ends[1]))
    });
    prop_oneof![3 => between, 1 => Just((Instant::MIN, Instant::MAX))]
}

/// Rows with a cell for every feature. Some are repeats of others in the same or another unit, some tie with others
/// in key, event and created.
fn any_rows(
    start: i64,
    keys: &[Vec<Value>],
    features: &[WorldFeature],
    units: usize,
) -> impl Strategy<Value = Vec<WorldRow>> + use<> {
    let cells = features.iter().map(|feature| any_cell(feature.value_type).boxed()).collect::<Vec<_>>();
    let created = prop_oneof![1 => Just(None), 1 => any_instant(start).prop_map(Some)];
    let row = (select(keys.to_vec()), any_instant(start), created, 0..units, cells.clone()).prop_map(
        |(key, event, created, unit, cells)| WorldRow {
            key,
            event,
            created: created.unwrap_or(event),
            unit,
            cells,
        },
    );
    let repeats = proptest::collection::vec((any::<Index>(), 0..units), 0..=TWINS_MAX);
    let ties = proptest::collection::vec((any::<Index>(), 0..units, cells), 0..=TWINS_MAX);
    let order = any::<u64>();
    (proptest::collection::vec(row, 0..=ROWS_MAX), repeats, ties, order).prop_map(
        |(mut rows, repeats, ties, order)| {
            if rows.is_empty() {
                return rows;
            }
            let repeats =
                repeats.iter().map(|(which, unit)| WorldRow { unit: *unit, ..which.get(&rows).clone() });
            let ties = ties.iter().map(|(which, unit, cells): &(Index, usize, Vec<Cell>)| WorldRow {
                unit: *unit,
                cells: cells.clone(),
                ..which.get(&rows).clone()
            });
            let twins: Vec<_> = repeats.chain(ties).collect();
            rows.extend(twins);
            // Twins stand anywhere, not always last.
            let turn = (order % rows.len() as u64) as usize;
            rows.rotate_left(turn);
            rows
        },
    )
}

/// A label at an instant of the world or where one of its limits ends there, or a microsecond beside either.
fn any_label(
    start: i64,
    keys: &[Vec<Value>],
    key_types: &[ValueType],
    limits: [Option<Duration>; 2],
) -> impl Strategy<Value = WorldLabel> + use<> {
    let known = select(keys.to_vec()).prop_map(|key| key.into_iter().map(Some).collect::<Vec<_>>());
    let strange = key_types
        .iter()
        .map(|of| proptest::option::weighted(0.7, any_key_part(*of)).boxed())
        .collect::<Vec<_>>();
    let key = prop_oneof![4 => known.boxed(), 1 => strange.boxed()];
    let mut reaches = vec![Duration::ZERO];
    reaches.extend(limits.into_iter().flatten());
    let beside = select(vec![0, 0, -1, 1]);
    (key, any_instant(start), select(reaches), beside).prop_map(|(key, step, reach, beside)| WorldLabel {
        key,
        t: Instant::from_micros_clamped(step.plus(reach).micros() + beside),
    })
}
