//! Definitions as the registry records them, and as the verbs use them.

use std::collections::BTreeMap;

use asof_model::ViewId;
use asof_model::name::{self, ViewRef};
use asof_model::plan::{Catalog, Plan, ViewRecord};
use asof_model::spec::{Entity, Service, Source, View};
use asof_registry::{Change, ObjectKey, ObjectKind, ObjectRecord, Snapshot};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Store, StoreError};

impl Store {
    /// What the registry holds; empty where nothing was applied yet.
    ///
    /// # Errors
    /// Those of the registry; [`StoreError::Corrupt`] for a record that is not understood.
    pub async fn catalog(&self) -> Result<Catalog, StoreError> {
        match self.existing_registry().await? {
            Some(registry) => from_snapshot(registry.snapshot().await?),
            None => Ok(Catalog::default()),
        }
    }

    /// What the registry holds, for verbs that need something to work on.
    ///
    /// # Errors
    /// [`StoreError::NothingApplied`]; as [`Store::catalog`].
    pub async fn applied_catalog(&self) -> Result<Catalog, StoreError> {
        let catalog = self.catalog().await?;
        if catalog.revision == 0 {
            return Err(StoreError::NothingApplied { project: self.project().settings.project.clone() });
        }
        Ok(catalog)
    }

    /// The number of the registry's current revision; 0 where nothing was applied.
    ///
    /// # Errors
    /// Those of the registry.
    pub async fn revision(&self) -> Result<u64, StoreError> {
        match self.existing_registry().await? {
            Some(registry) => Ok(registry.revision().await?),
            None => Ok(0),
        }
    }
}

/// Reads records back into definitions.
pub(crate) fn from_snapshot(snapshot: Snapshot) -> Result<Catalog, StoreError> {
    let mut catalog = Catalog { revision: snapshot.revision.number, ..Catalog::default() };
    let all = &mut catalog.definitions;
    for record in snapshot.objects {
        match record.key.kind {
            ObjectKind::Entity => {
                let entity: Entity = read(&record)?;
                all.entities.insert(entity.name.clone(), entity);
            }
            ObjectKind::Source => {
                let source: Source = read(&record)?;
                all.sources.insert(source.name.clone(), source);
            }
            ObjectKind::View => {
                let view: View = read(&record)?;
                let recorded = ViewRecord { semantic_hash: record.semantic_hash, identity: record.identity };
                catalog.views.insert(view.id.clone(), recorded);
                all.views.insert(view.id.clone(), view);
            }
            ObjectKind::Service => {
                let service: Service = read(&record)?;
                all.services.insert(service.name.clone(), service);
            }
        }
    }
    Ok(catalog)
}

fn read<T: DeserializeOwned>(record: &ObjectRecord) -> Result<T, StoreError> {
    serde_json::from_value(record.spec.clone()).map_err(|error| {
        StoreError::Corrupt(format!("the registry's record of `{}` cannot be read: {error}", record.key))
    })
}

/// The edits that turn `before` into the plan's outcome.
pub(crate) fn changes(before: &Catalog, plan: &Plan) -> Result<Vec<Change>, StoreError> {
    let (old, new) = (&before.definitions, &plan.outcome.definitions);
    let mut changes = Vec::new();
    let no_hash = |_: &String| (String::new(), String::new());
    diff(&old.entities, &new.entities, |name| ObjectKey::entity(name.clone()), no_hash, &mut changes)?;
    diff(&old.sources, &new.sources, |name| ObjectKey::source(name.clone()), no_hash, &mut changes)?;
    let hashes = |id: &ViewId| {
        let record = plan.outcome.views.get(id);
        record.map_or_else(Default::default, |each| (each.semantic_hash.clone(), each.identity.clone()))
    };
    diff(&old.views, &new.views, |id| ObjectKey::view(id.name.clone(), id.version), hashes, &mut changes)?;
    diff(&old.services, &new.services, |name| ObjectKey::service(name.clone()), no_hash, &mut changes)?;
    // A view's hash can change without its own record: a source may map one more of its columns.
    for (id, record) in &plan.outcome.views {
        let hash_moved = before.views.get(id).is_some_and(|old| old.semantic_hash != record.semantic_hash);
        let key = ObjectKey::view(id.name.clone(), id.version);
        if let (true, Some(view)) = (hash_moved, new.views.get(id))
            && !changes.iter().any(|change| *change.key() == key)
        {
            let (semantic_hash, identity) = hashes(id);
            changes.push(Change::Put { key, spec: to_json(view)?, semantic_hash, identity });
        }
    }
    Ok(changes)
}

fn diff<K: Ord, V: PartialEq + Serialize>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    key: impl Fn(&K) -> ObjectKey,
    hashes: impl Fn(&K) -> (String, String),
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    changes.extend(
        old.keys().filter(|name| !new.contains_key(name)).map(|name| Change::Remove { key: key(name) }),
    );
    for (name, spec) in new.iter().filter(|(name, spec)| old.get(name) != Some(*spec)) {
        let (semantic_hash, identity) = hashes(name);
        changes.push(Change::Put { key: key(name), spec: to_json(spec)?, semantic_hash, identity });
    }
    Ok(())
}

fn to_json(spec: &impl Serialize) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(spec)
        .map_err(|error| StoreError::Corrupt(format!("a definition cannot be stored: {error}")))
}

/// The view that a name with or without version means; without one the newest version of those in `active`, or
/// where none is, the newest.
///
/// # Errors
/// [`StoreError::Unknown`] with the nearest name.
pub(crate) fn find_view<'a>(
    catalog: &'a Catalog,
    wanted: &ViewRef,
    active: impl Fn(&ViewId) -> bool,
) -> Result<&'a View, StoreError> {
    let views = &catalog.definitions.views;
    let versions = || views.values().filter(|view| view.id.name == wanted.name);
    let found = match wanted.version {
        Some(version) => views.get(&ViewId::new(wanted.name.clone(), version)),
        None => versions().rfind(|view| active(&view.id)).or_else(|| versions().next_back()),
    };
    found.ok_or_else(|| {
        let names = views.keys().map(|id| id.name.as_str());
        let hint = match versions().next() {
            Some(_) => {
                let all: Vec<String> = versions().map(|view| format!("`{}`", view.id)).collect();
                Some(format!("there is {}", all.join(", ")))
            }
            None => name::suggestion(&wanted.name, names),
        };
        StoreError::Unknown { kind: "view", name: wanted.to_string(), hint }
    })
}
