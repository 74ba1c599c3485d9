//! Several handles at once: writers take turns, readers see whole revisions.

use futures::future::try_join_all;
use serde_json::json;

use super::{Checked, Database, PROJECT, at, put};
use crate::error::RegistryError;
use crate::record::Change;

/// How many objects carry the same number in each revision.
const OBJECTS: usize = 8;

/// Of two applies from one base, one makes the next revision and the other is told that it moved.
pub async fn one_of_two_applies_wins(database: &dyn Database) -> Checked {
    let (ours, theirs) = (database.open(PROJECT).await?, database.open(PROJECT).await?);
    for base in 0..20 {
        let (left, right) = ([put("left", base), put("both", base)], [put("right", base), put("both", base)]);
        let (mine, other) =
            futures::join!(ours.apply(base, &left, at(1), "ana"), theirs.apply(base, &right, at(1), "ben"));
        let (won, lost) = if mine.is_ok() { (mine, other) } else { (other, mine) };
        assert_eq!(won?.number, base + 1);
        assert!(
            matches!(&lost, Err(RegistryError::Moved { expected, found }) if (*expected, *found) == (base, base + 1)),
            "{lost:?}"
        );
        let snapshot = ours.snapshot().await?;
        let side = if snapshot.revision.applied_by == "ana" { "left" } else { "right" };
        let updated: Vec<&str> = snapshot
            .objects
            .iter()
            .filter(|each| each.updated_revision == base + 1)
            .map(|each| each.key.name.as_str())
            .collect();
        assert_eq!(updated, ["both", side]);
    }
    Ok(())
}

/// Writers that plan again when the base moved all get through, each with a revision of its own.
pub async fn all_who_plan_again_get_through(database: &dyn Database) -> Checked {
    const WRITERS: usize = 6;
    let writers = (0..WRITERS).map(|writer| async move {
        let registry = database.open(PROJECT).await?;
        // Somebody gets through in every round, so a writer loses at most to each of the others.
        for _ in 0..WRITERS {
            let base = registry.revision().await?;
            let change = [put(&format!("writer_{writer}"), base)];
            match registry.apply(base, &change, at(1), "ana").await {
                Err(RegistryError::Moved { .. }) => {}
                other => return other.map(|revision| revision.number),
            }
        }
        Ok(0)
    });
    let mut numbers = try_join_all(writers).await?;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=WRITERS as u64).collect::<Vec<_>>());
    assert_eq!(database.open(PROJECT).await?.snapshot().await?.objects.len(), WRITERS);
    Ok(())
}

/// While revisions are applied, a reader sees each of them whole: never objects of two at once.
pub async fn a_snapshot_is_whole(database: &dyn Database) -> Checked {
    const REVISIONS: u64 = 40;
    let (writer, reader) = (database.open(PROJECT).await?, database.open(PROJECT).await?);
    let write = async {
        for base in 0..REVISIONS {
            let changes: Vec<Change> = (0..OBJECTS).map(|each| put(&format!("e{each}"), base + 1)).collect();
            writer.apply(base, &changes, at(1), "ana").await?;
        }
        Ok::<(), RegistryError>(())
    };
    let read = async {
        let mut last = 0;
        while last < REVISIONS {
            let polled = reader.revision().await?;
            let snapshot = reader.snapshot().await?;
            let number = snapshot.revision.number;
            assert!(last <= polled && polled <= number, "revisions never go back");
            assert_eq!(snapshot.objects.len(), if number == 0 { 0 } else { OBJECTS });
            for object in &snapshot.objects {
                assert_eq!((object.updated_revision, &object.spec), (number, &json!({ "number": number })));
            }
            let newest = reader.history(1).await?;
            assert!(newest.iter().all(|each| each.changes.len() == OBJECTS), "{newest:?}");
            last = number;
        }
        Ok::<(), RegistryError>(())
    };
    futures::try_join!(write, read)?;
    Ok(())
}
