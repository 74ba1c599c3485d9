//! Random changes, against a registry and against a map that is too simple to be wrong.

use std::collections::BTreeMap;

use asof_model::Instant;

use super::{Checked, Database, PROJECT, at, put_view};
use crate::error::RegistryError;
use crate::record::{Change, ObjectKey, ObjectRecord};

/// How many lists of changes are applied.
const APPLIES: u64 = 120;

/// After any list of changes a registry holds what a map holds, and a list that fails on one fails on the other.
/// Few names, so that updates, removals and failures are common.
pub async fn agrees_with_a_map(database: &dyn Database) -> Checked {
    for seed in 0..3 {
        let mut dice = Dice(seed);
        let project = format!("{PROJECT}-{seed}");
        let mut registry = database.open(&project).await?;
        let (mut map, mut number) = (BTreeMap::new(), 0);
        for step in 0..APPLIES {
            let changes: Vec<Change> = (0..1 + dice.roll(4)).map(|_| any_change(&mut dice)).collect();
            let expected = apply_to_map(&map, &changes, number + 1, at(step as i64));
            let applied = registry.apply(number, &changes, at(step as i64), "ana").await;
            let refused =
                matches!(applied, Err(RegistryError::Absent { .. } | RegistryError::IdentityChanged { .. }));
            assert_eq!(refused, expected.is_none(), "seed {seed}, step {step}: {changes:?}: {applied:?}");
            if let Some(next) = expected {
                (map, number) = (next, number + 1);
                assert_eq!(applied?.number, number);
            }
            if dice.roll(10) == 0 {
                registry = database.open(&project).await?;
            }
            let snapshot = registry.snapshot().await?;
            assert_eq!(snapshot.revision.number, number, "seed {seed}, step {step}");
            assert!(snapshot.objects.iter().eq(map.values()), "seed {seed}, step {step}: {snapshot:?}");
        }
    }
    Ok(())
}

type Map = BTreeMap<ObjectKey, ObjectRecord>;

/// The map after the changes; `None` where one of them fails.
fn apply_to_map(map: &Map, changes: &[Change], number: u64, now: Instant) -> Option<Map> {
    let mut map = map.clone();
    for change in changes {
        match change {
            Change::Remove { key } => {
                map.remove(key)?;
            }
            Change::Put { key, spec, semantic_hash, identity } => {
                let old = map.get(key);
                if old.is_some_and(|old| old.identity != *identity) {
                    return None;
                }
                let record = ObjectRecord {
                    key: key.clone(),
                    spec: spec.clone(),
                    semantic_hash: semantic_hash.clone(),
                    identity: identity.clone(),
                    created_revision: old.map_or(number, |old| old.created_revision),
                    updated_revision: number,
                    created_at: old.map_or(now, |old| old.created_at),
                    updated_at: now,
                };
                map.insert(key.clone(), record);
            }
        }
    }
    Some(map)
}

fn any_change(dice: &mut Dice) -> Change {
    let name = ["trips", "ratings"][dice.roll(2)];
    let version = 1 + dice.roll(2) as u32;
    match dice.roll(3) {
        0 => Change::Remove { key: ObjectKey::view(name, version) },
        _ => put_view(name, version, ["a", "b", "c"][dice.roll(3)], ["a", "a", "b"][dice.roll(3)]),
    }
}

/// The same numbers on every run: a failure names its seed. (SplitMix64.)
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> usize {
        (self.bits() % sides) as usize
    }

    /// Any number.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
