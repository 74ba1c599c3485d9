//! A held key says what a look at all of its events says, whatever it was asked before.

use std::sync::Arc;

use asof_window::held::{ClosedAt, HeldKey, HeldPlan};
use asof_window::{Ask, Closed};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::closing::{World, any_large_world, any_world};
use crate::laws::same;

/// Asks a held key and closes the same asks, in the order that is given.
fn agrees(world: &World, asked: &[usize], order: &[Index]) -> Result<(), TestCaseError> {
    let events = world.events();
    let arguments = world.closing.arguments(&events);
    let held = HeldKey::new(Arc::new(HeldPlan::new(world.closing.clone())), events.clone());
    let (mut right, mut found) = (Closed::default(), ClosedAt::default());
    for index in order {
        let ask: &Ask = index.get(&world.asks);
        world.closing.close(&events, &arguments, 0..events.len(), &[*ask], &mut right);
        held.close(asked, *ask, &mut found);
        prop_assert_eq!(found.newest, right.newest[0], "{:?}", ask);
        if found.newest.is_none() {
            prop_assert!(found.cells.is_empty());
            continue;
        }
        prop_assert_eq!(found.cells.len(), asked.len());
        for (place, found) in asked.iter().zip(&found.cells) {
            let right = &right.cells[*place][0];
            let feature = world.closing.features[*place];
            prop_assert!(same(found, right), "{:?} at {:?}: {:?}, not {:?}", feature, ask, found, right);
        }
    }
    prop_assert!(held.memory_bytes() > 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// Goal: a few events of every kind, with late knowledge, replaced ranges and repeats.
    #[test]
    fn a_held_key_is_the_kernel(world in any_world(), order in prop::collection::vec(any::<Index>(), 1..12)) {
        let asked: Vec<usize> = (0..world.closing.features.len()).rev().collect();
        agrees(&world, &asked, &order)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Goal: so many events that none of them is looked at one by one.
    #[test]
    fn many_events(world in any_large_world(), order in prop::collection::vec(any::<Index>(), 1..12)) {
        let asked: Vec<usize> = (0..world.closing.features.len()).collect();
        agrees(&world, &asked, &order)?;
    }
}
