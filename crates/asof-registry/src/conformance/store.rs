//! What is put is what is read, and what is refused leaves no trace.

use serde_json::{Value, json};

use super::model::Dice;
use super::{Checked, Database, PROJECT, at, put, put_spec, put_view, remove};
use crate::error::RegistryError;
use crate::record::{Change, ObjectKey, ObjectKind, ObjectRecord, Revision, Snapshot};

/// A project to which nothing was applied is at revision 0, without time, objects or history.
pub async fn starts_empty(database: &dyn Database) -> Checked {
    let registry = database.open(PROJECT).await?;
    assert_eq!(registry.revision().await?, 0);
    assert_eq!(registry.snapshot().await?, Snapshot { revision: Revision::none(), objects: Vec::new() });
    assert_eq!(registry.history(10).await?, Vec::new());
    Ok(())
}

/// Objects of every kind come back with all they were given, ordered by kind, name, version.
pub async fn keeps_what_was_put(database: &dyn Database) -> Checked {
    let registry = database.open(PROJECT).await?;
    let changes = [
        put_spec(ObjectKey::service("risk"), json!({ "features": ["trips"] })),
        put_view("trips", 10, "hash-10", "hash-10"),
        put_view("trips", 2, "hash-2", "hash-2"),
        put_spec(ObjectKey::source("trips"), json!({ "path": "trips.csv" })),
        put_spec(ObjectKey::entity("driver"), json!({ "keys": { "driver": "int64" } })),
        put_spec(ObjectKey::entity("Zone"), json!({ "keys": { "zone": "string" } })),
    ];
    let applied = registry.apply(0, &changes, at(1), "ana").await?;
    assert_eq!(applied, Revision { number: 1, applied_at: Some(at(1)), applied_by: "ana".to_owned() });
    let snapshot = registry.snapshot().await?;
    assert_eq!(snapshot.revision, applied);
    assert_eq!(registry.revision().await?, 1);
    let names: Vec<String> =
        snapshot.objects.iter().map(|each| format!("{} {}", each.key.kind, each.key)).collect();
    assert_eq!(
        names,
        ["entity Zone", "entity driver", "source trips", "view trips@2", "view trips@10", "service risk"]
    );
    assert_eq!(
        snapshot.get(&ObjectKey::view("trips", 10)),
        Some(&ObjectRecord {
            key: ObjectKey::view("trips", 10),
            spec: json!({ "features": {} }),
            semantic_hash: "hash-10".to_owned(),
            identity: "hash-10".to_owned(),
            created_revision: 1,
            updated_revision: 1,
            created_at: at(1),
            updated_at: at(1),
        })
    );
    assert_eq!(snapshot.get(&ObjectKey::view("trips", 1)), None);
    Ok(())
}

/// Any JSON comes back as it was: odd letters, numbers to the last bit, members in the order in which they stood.
pub async fn keeps_any_spec(database: &dyn Database) -> Checked {
    let registry = database.open(PROJECT).await?;
    let mut dice = Dice(1);
    let specs: [Value; 7] = [
        json!({ "description": "Größe 値 🦀 e\u{301} \u{202e}rtl\u{0} \"quoted\" 'single' \\ \n\t\u{7f}" }),
        json!({ "ключ": 1, "": { "\u{0}": null }, "a.b": [], "$x": {} }),
        json!([0.1, 5e-324, f64::MAX, 1.000_000_000_000_000_2, 1e22, -1.5]),
        // Readers that round numbers twice miss the last bit of some.
        (0..4096).map(|_| f64::from_bits(dice.bits())).filter(|float| float.is_finite()).collect(),
        json!([i64::MIN, i64::MAX, u64::MAX, 9_007_199_254_740_993_i64]),
        json!("'; DROP TABLE objects; --"),
        Value::Null,
    ];
    for (base, spec) in (0..).zip(&specs) {
        let change = put_spec(ObjectKey::source("odd"), spec.clone());
        registry.apply(base, &[change], at(0), "Zoë 🦀").await?;
        let snapshot = registry.snapshot().await?;
        assert_eq!(snapshot.objects[0].spec, *spec);
        assert_eq!(snapshot.revision.applied_by, "Zoë 🦀");
    }
    let ordered: Vec<(String, Value)> = (0..64).map(|n| (format!("f{}", n * 37 % 64), json!(n))).collect();
    let spec: Value = ordered.into_iter().collect();
    let change = put_spec(ObjectKey::source("odd"), spec.clone());
    registry.apply(specs.len() as u64, &[change], at(0), "ana").await?;
    // Equality of JSON does not look at the order of members; the text does.
    assert_eq!(registry.snapshot().await?.objects[0].spec.to_string(), spec.to_string());
    Ok(())
}

/// A key that is none and a spec that could not be read back are refused, with all that came with them.
pub async fn refuses_what_cannot_be_stored(database: &dyn Database) -> Checked {
    let registry = database.open(PROJECT).await?;
    let deep = (0..1000).fold(Value::Null, |inner, _| json!([inner]));
    let key = |kind, name: &str, version| ObjectKey { kind, name: name.to_owned(), version };
    for wrong in [
        put_view("trips", 0, "hash", "hash"),
        put_spec(key(ObjectKind::Source, "trips", 1), Value::Null),
        put_spec(key(ObjectKind::Entity, "", 0), Value::Null),
        put_spec(key(ObjectKind::Entity, "two words", 0), Value::Null),
        put_spec(key(ObjectKind::Entity, "__ours", 0), Value::Null),
        put_spec(key(ObjectKind::Entity, &"long".repeat(1000), 0), Value::Null),
        put_spec(ObjectKey::entity("deep"), deep),
    ] {
        let refused = registry.apply(0, &[put("good", 1), wrong.clone()], at(0), "ana").await;
        assert!(
            matches!(&refused, Err(RegistryError::InvalidObject { key, .. }) if key == wrong.key()),
            "{refused:?}"
        );
    }
    starts_empty(database).await
}

/// An update keeps the creation and moves the rest; its neighbours stay.
pub async fn updates_in_place(database: &dyn Database) -> Checked {
    let registry = database.open(PROJECT).await?;
    registry.apply(0, &[put("driver", 1), put("zone", 1)], at(1), "ana").await?;
    registry.apply(1, &[put("driver", 2)], at(2), "ben").await?;
    let snapshot = registry.snapshot().await?;
    let driver = &snapshot.objects[0];
    assert_eq!(driver.spec, json!({ "number": 2 }));
    assert_eq!((driver.created_revision, driver.created_at), (1, at(1)));
    assert_eq!((driver.updated_revision, driver.updated_at), (2, at(2)));
    let zone = &snapshot.objects[1];
    assert_eq!((zone.updated_revision, zone.updated_at), (1, at(1)));
    assert_eq!(snapshot.revision.applied_by, "ben");
    Ok(())
}

/// An update may move the semantic hash, never the identity: it names data that is stored.
pub async fn keeps_the_identity(database: &dyn Database) -> Checked {
    let registry = database.open(PROJECT).await?;
    registry.apply(0, &[put_view("trips", 1, "a", "a")], at(1), "ana").await?;
    registry.apply(1, &[put_view("trips", 1, "b", "a")], at(2), "ana").await?;
    let refused = registry.apply(2, &[put_view("trips", 1, "b", "b")], at(3), "ana").await;
    assert!(
        matches!(&refused, Err(RegistryError::IdentityChanged { stored, given, .. }) if stored == "a" && given == "b"),
        "{refused:?}"
    );
    let view = registry.snapshot().await?.objects.remove(0);
    assert_eq!((view.semantic_hash.as_str(), view.identity.as_str()), ("b", "a"));
    Ok(())
}

/// What is removed and created again is a new object, in two revisions or in one.
pub async fn created_again_is_new(database: &dyn Database) -> Checked {
    let registry = database.open(PROJECT).await?;
    let trips = ObjectKey::view("trips", 1);
    let gone = Change::Remove { key: trips.clone() };
    registry.apply(0, &[put_view("trips", 1, "a", "a"), put("driver", 1)], at(1), "ana").await?;
    registry.apply(1, std::slice::from_ref(&gone), at(2), "ana").await?;
    let snapshot = registry.snapshot().await?;
    assert_eq!((snapshot.revision.number, snapshot.objects.len()), (2, 1));
    registry.apply(2, &[put_view("trips", 1, "b", "b")], at(3), "ana").await?;
    let again = registry.snapshot().await?;
    assert_eq!(again.get(&trips).map(|view| (view.created_revision, view.created_at)), Some((3, at(3))));
    registry.apply(3, &[gone, put_view("trips", 1, "c", "c")], at(4), "ana").await?;
    let again = registry.snapshot().await?;
    assert_eq!(again.get(&trips).map(|view| (view.created_revision, view.identity.as_str())), Some((4, "c")));
    Ok(())
}

/// An empty list of changes makes no revision, however often and from whatever base it is applied.
pub async fn nothing_to_do_does_nothing(database: &dyn Database) -> Checked {
    let registry = database.open(PROJECT).await?;
    assert_eq!(registry.apply(0, &[], at(1), "ana").await?, Revision::none());
    let first = registry.apply(0, &[put("driver", 1)], at(2), "ana").await?;
    let before = registry.snapshot().await?;
    for base in [0, 1, 7] {
        assert_eq!(registry.apply(base, &[], at(3), "ben").await?, first);
    }
    assert_eq!(registry.snapshot().await?, before);
    assert_eq!(registry.history(10).await?.len(), 1);
    Ok(())
}

/// A change that fails in the middle takes those before and after it along.
pub async fn a_failing_change_leaves_nothing(database: &dyn Database) -> Checked {
    let registry = database.open(PROJECT).await?;
    registry.apply(0, &[put("driver", 1), put("zone", 1)], at(1), "ana").await?;
    let (before, history) = (registry.snapshot().await?, registry.history(10).await?);
    let changes = [put("driver", 2), put("new", 1), remove("zone"), remove("absent"), put("late", 1)];
    let refused = registry.apply(1, &changes, at(2), "ana").await;
    assert!(
        matches!(&refused, Err(RegistryError::Absent { key }) if *key == ObjectKey::entity("absent")),
        "{refused:?}"
    );
    let twice = registry.apply(1, &[remove("zone"), remove("zone")], at(2), "ana").await;
    assert!(matches!(&twice, Err(RegistryError::Absent { .. })), "{twice:?}");
    // Absent for its kind: names are shared between kinds.
    let other = Change::Remove { key: ObjectKey::service("driver") };
    assert!(matches!(registry.apply(1, &[other], at(2), "ana").await, Err(RegistryError::Absent { .. })));
    assert_eq!(registry.snapshot().await?, before);
    assert_eq!(registry.history(10).await?, history);
    assert_eq!(registry.apply(1, &[put("zone", 2)], at(3), "ana").await?.number, 2);
    Ok(())
}

/// Changes that were planned against another revision than the current one are refused, older or newer.
pub async fn refuses_a_moved_base(database: &dyn Database) -> Checked {
    let (ours, theirs) = (database.open(PROJECT).await?, database.open(PROJECT).await?);
    theirs.apply(0, &[put("driver", 1)], at(1), "ben").await?;
    theirs.apply(1, &[put("driver", 2)], at(2), "ben").await?;
    let before = theirs.snapshot().await?;
    for base in [0, 1, 3, u64::MAX] {
        let refused = ours.apply(base, &[put("driver", 9)], at(3), "ana").await;
        assert!(
            matches!(&refused, Err(RegistryError::Moved { expected, found: 2 }) if *expected == base),
            "{refused:?}"
        );
    }
    assert_eq!(ours.snapshot().await?, before);
    assert_eq!(ours.apply(2, &[put("driver", 9)], at(3), "ana").await?.number, 3);
    Ok(())
}

/// Projects in one database have their own objects, revisions and histories.
pub async fn projects_do_not_meet(database: &dyn Database) -> Checked {
    let (one, other) = (database.open("credit").await?, database.open("Credit").await?);
    one.apply(0, &[put("driver", 1)], at(1), "ana").await?;
    one.apply(1, &[put("zone", 1)], at(2), "ana").await?;
    assert_eq!(other.snapshot().await?, Snapshot { revision: Revision::none(), objects: Vec::new() });
    other.apply(0, &[put("driver", 7)], at(3), "ben").await?;
    let refused = other.apply(1, &[remove("zone")], at(4), "ben").await;
    assert!(matches!(refused, Err(RegistryError::Absent { .. })), "{refused:?}");
    other.apply(1, &[remove("driver")], at(4), "ben").await?;
    assert_eq!(one.revision().await?, 2);
    assert_eq!(one.snapshot().await?.objects.len(), 2);
    assert_eq!(one.snapshot().await?.objects[0].spec, json!({ "number": 1 }));
    assert_eq!((one.history(10).await?.len(), other.history(10).await?.len()), (2, 2));
    Ok(())
}

/// A handle that is opened later finds all that was applied.
pub async fn reopening_keeps_all(database: &dyn Database) -> Checked {
    let first = database.open(PROJECT).await?;
    first.apply(0, &[put("driver", 1), put_view("trips", 1, "a", "a")], at(1), "ana").await?;
    first.apply(1, &[remove("driver"), put("zone", 1)], at(2), "ben").await?;
    let (snapshot, history) = (first.snapshot().await?, first.history(10).await?);
    drop(first);
    let second = database.open(PROJECT).await?;
    assert_eq!(second.revision().await?, 2);
    assert_eq!(second.snapshot().await?, snapshot);
    assert_eq!(second.history(10).await?, history);
    Ok(())
}
