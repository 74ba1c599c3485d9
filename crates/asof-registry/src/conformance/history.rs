//! The history tells who did what and when.

use super::{Checked, Database, PROJECT, at, put, put_view, remove};
use crate::record::{ChangeSummary, ObjectKey, Revision, RevisionSummary, Verb};

/// Revisions come newest first, each with its changes in the order in which they were applied, no more than asked for.
pub async fn tells_its_history(database: &dyn Database) -> Checked {
    let registry = database.open(PROJECT).await?;
    registry.apply(0, &[put("zone", 1), put("driver", 1)], at(1), "ana").await?;
    registry
        .apply(1, &[put_view("trips", 2, "a", "a"), remove("zone"), put("driver", 2)], at(2), "ben")
        .await?;
    registry.apply(2, &[put("zone", 1)], at(3), "ana").await?;
    let change = |verb, key| ChangeSummary { verb, key };
    let (zone, driver) = (ObjectKey::entity("zone"), ObjectKey::entity("driver"));
    let expected = [
        summary(3, "ana", vec![change(Verb::Created, zone.clone())]),
        summary(
            2,
            "ben",
            vec![
                change(Verb::Created, ObjectKey::view("trips", 2)),
                change(Verb::Removed, zone.clone()),
                change(Verb::Updated, driver.clone()),
            ],
        ),
        summary(1, "ana", vec![change(Verb::Created, zone), change(Verb::Created, driver)]),
    ];
    for limit in [0, 1, 2, 3, u32::MAX] {
        let told = registry.history(limit).await?;
        assert_eq!(told, expected[..expected.len().min(limit as usize)]);
    }
    Ok(())
}

fn summary(number: u64, by: &str, changes: Vec<ChangeSummary>) -> RevisionSummary {
    let applied_at = Some(at(number as i64));
    RevisionSummary { revision: Revision { number, applied_at, applied_by: by.to_owned() }, changes }
}
