//! The worlds that are drawn, and laws that the oracle keeps in them.

use asof_model::Status;
use asof_model::canonical::row_bytes;
use asof_model::knowledge::KnownAt;
use asof_testkit::world::{Shape, World, small_world};
use proptest::prelude::*;

const EVERY: [KnownAt; 3] = [KnownAt::Event, KnownAt::Created, KnownAt::Served];

/// Goal: a seed draws the same world each time, and another seed another one.
#[test]
fn seeds_repeat() {
    let shape = Shape { added_features: true, replaced_ranges: true };
    let show = |seed| format!("{:?}", World::from_seed(seed, shape));
    assert_eq!(show(1), show(1));
    assert_ne!(show(1), show(2));
}

/// Goal: the worlds are not too tame: every status, ties that differ in bytes, repeats, waiting rows, null and
/// foreign keys, and rows older than a feature all occur.
#[test]
fn worlds_are_wild() {
    let (mut statuses, mut ties, mut repeats, mut waiting, mut short) = ([0; 5], 0, 0, 0, 0);
    let (mut null_keys, mut differ, mut replaced) = (0, 0, 0);
    for seed in 0..300 {
        let world =
            World::from_seed(seed, Shape { added_features: seed % 2 == 0, replaced_ranges: seed % 3 == 0 });
        let types = world.types();
        replaced += world.oracle_rows().iter().filter(|row| row.replaced.is_some()).count();
        for (place, row) in world.rows.iter().enumerate() {
            assert_eq!(row.cells.len(), world.units[row.unit].features_held);
            short += usize::from(row.cells.len() < types.len());
            waiting += usize::from(row.created > world.units[row.unit].visible);
            for other in &world.rows[..place] {
                if (&other.key, other.event, other.created) == (&row.key, row.event, row.created) {
                    let same = row_bytes(&types, &other.cells) == row_bytes(&types, &row.cells);
                    repeats += usize::from(same);
                    ties += usize::from(!same);
                }
            }
        }
        for label in &world.labels {
            null_keys += usize::from(label.encoded_key().is_none());
            let answers = EVERY.map(|known_at| world.answer(label, known_at, false));
            differ += usize::from(answers[0] != answers[2]);
            for value in &answers[2].values {
                statuses[value.status as usize] += 1;
            }
        }
    }
    let seen = [ties, repeats, waiting, short, null_keys, differ, replaced];
    assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
    assert!(statuses.iter().all(|count| *count > 50), "{statuses:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Goal: the order of rows and repeated rows never matter.
    #[test]
    fn order_and_repeats_never_matter(
        world in small_world(Shape { added_features: true, replaced_ranges: true }),
        seed in any::<u64>(),
    ) {
        let mut other = world.clone();
        let count = other.rows.len();
        for place in 0..count {
            other.rows.swap(place, (seed as usize).wrapping_mul(place + 7) % count);
        }
        other.rows.extend(world.rows.iter().take((seed % 4) as usize).cloned());
        for label in &world.labels {
            for known_at in EVERY {
                let answer = world.answer(label, known_at, false);
                prop_assert_eq!(answer, other.answer(label, known_at, false));
            }
        }
    }

    /// Goal: what `t` may not see never matters: without those rows every answer is the same.
    #[test]
    fn what_is_unseen_never_matters(world in small_world(Shape { added_features: true, replaced_ranges: true })) {
        for label in &world.labels {
            for known_at in EVERY {
                let mut seen = world.clone();
                seen.rows.retain(|row| {
                    let visible = world.units[row.unit].visible;
                    known_at.from_instant(row.event, row.created, visible) <= label.t
                });
                prop_assert_eq!(
                    world.answer(label, known_at, true),
                    seen.answer(label, known_at, true)
                );
            }
        }
    }

    /// Goal: of the three, each sees no newer event than the one before it.
    #[test]
    fn knowing_less_is_never_newer(world in small_world(Shape::default())) {
        let forever = World { keep: None, ..world };
        for label in &forever.labels {
            let [event, created, served] = EVERY.map(|known_at| forever.answer(label, known_at, false).event);
            prop_assert!(event >= created && created >= served, "{:?} {:?} {:?}", event, created, served);
        }
    }

    /// Goal: statuses mean what they say: `include_expired` and defaults change values, never a status.
    #[test]
    fn statuses_stay(world in small_world(Shape { added_features: true, replaced_ranges: true })) {
        for label in &world.labels {
            let plain = world.answer(label, KnownAt::Served, false);
            let expired = world.answer(label, KnownAt::Served, true);
            for ((without, with), feature) in plain.values.iter().zip(&expired.values).zip(&world.features) {
                prop_assert_eq!(without.status, with.status);
                match without.status {
                    Status::Present => prop_assert!(without.cell.value().is_some()),
                    _ => prop_assert_eq!(without.cell.value(), feature.default.as_ref()),
                }
                if without.status != Status::OutsideTtl {
                    prop_assert_eq!(without, with);
                }
            }
        }
    }
}
