//! `plan`, `apply`, `list` and `show`: definition files become a revision of the registry.

use std::collections::BTreeSet;

use asof_model::ViewId;
use asof_model::definition::{Places, Problem, ReadDefinitions};
use asof_model::name;
use asof_model::plan::{self, Catalog, ObjectKind, Plan, Refusal, Step};
use asof_model::spec::Definitions;
use serde::Serialize;

use crate::error::Refused;
use crate::on_demand::typing::type_on_demand;
use crate::{Store, StoreError, catalog};

/// A plan and what the reader of the files remarked.
pub struct Planned {
    /// What an apply would do.
    pub plan: Plan,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
}

/// What an apply did.
pub struct Applied {
    /// The steps, as planned.
    pub plan: Plan,
    /// The registry's revision now.
    pub revision: u64,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Problem>,
}

/// One object of the registry, for a listing.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name; for views with the version.
    pub name: String,
    /// What it is made of.
    pub summary: String,
    /// Who answers for it.
    pub owner: Option<String>,
    /// What it is.
    pub description: Option<String>,
}

impl Store {
    /// Decides what an apply would do, and does nothing.
    ///
    /// # Errors
    /// [`StoreError::Definitions`], [`StoreError::Refused`]; those of the registry.
    pub async fn plan(&self, remove: &[String]) -> Result<Planned, StoreError> {
        let mut read = self.project().definitions()?;
        let recorded = self.catalog().await?;
        let plan = self.understand_and_decide(&recorded, &mut read, remove).await?;
        Ok(Planned { plan, warnings: read.warnings })
    }

    /// Makes the files' definitions the registry's next revision, in one transaction; nothing where nothing changes.
    ///
    /// # Errors
    /// As [`Store::plan`]; [`asof_registry::RegistryError::Moved`] where somebody else applied in between.
    pub async fn apply(&self, remove: &[String], by: &str) -> Result<Applied, StoreError> {
        let mut read = self.project().definitions()?;
        let recorded = self.catalog().await?;
        let plan = self.understand_and_decide(&recorded, &mut read, remove).await?;
        let changes = catalog::changes(&recorded, &plan)?;
        let registry = self.registry().await?;
        let revision = registry.apply(recorded.revision, &changes, self.now(), by).await?;
        Ok(Applied { plan, revision: revision.number, warnings: read.warnings })
    }

    /// Finds out what queries, aggregations and expressions say, and decides.
    async fn understand_and_decide(
        &self,
        recorded: &Catalog,
        read: &mut ReadDefinitions,
        remove: &[String],
    ) -> Result<Plan, StoreError> {
        self.type_transforms(recorded, read)?;
        self.type_aggregations(recorded, read)?;
        let mut active = self.active(recorded, recorded, &read.definitions).await?;
        type_on_demand(recorded, read, &active)?;
        // Views on demand that are new are complete where what they read is.
        let mut known = recorded.clone();
        known.definitions.views.extend(read.definitions.views.clone());
        active.extend(self.active(&known, recorded, &read.definitions).await?);
        plan::decide(recorded, &read.definitions, remove, &active).map_err(|refusals| {
            StoreError::Refused(refusals.iter().map(|each| in_words(each, &read.places, recorded)).collect())
        })
    }

    /// The views of `of` whose data is complete, where a name could mean several versions: only there does it matter.
    async fn active(
        &self,
        of: &Catalog,
        recorded: &Catalog,
        new: &Definitions,
    ) -> Result<BTreeSet<ViewId>, StoreError> {
        let mut active: BTreeSet<ViewId> = BTreeSet::new();
        for id in of.definitions.views.keys() {
            let all = recorded.definitions.views.keys().chain(new.views.keys());
            let several = all.filter(|each| each.name == id.name).any(|each| each != id);
            if several && self.is_active(of, id).await? {
                active.insert(id.clone());
            }
        }
        Ok(active)
    }

    /// Every object of the registry, by kind and name.
    ///
    /// # Errors
    /// [`StoreError::NothingApplied`]; those of the registry.
    pub async fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let catalog = self.applied_catalog().await?;
        // What there is, is what a first apply would create.
        let plan = plan::decide(&Catalog::default(), &catalog.definitions, &[], &BTreeSet::new())
            .map_err(|_| StoreError::Corrupt("the registry contradicts itself".to_owned()))?;
        Ok(plan.steps.into_iter().map(|step| listed(step, &catalog)).collect())
    }

    /// The registry's records of every object of that name, as JSON: all kinds, all versions.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest name; those of the registry.
    pub async fn show(&self, wanted: &str) -> Result<Vec<serde_json::Value>, StoreError> {
        let catalog = self.applied_catalog().await?;
        let Some(registry) = self.existing_registry().await? else { return Ok(Vec::new()) };
        let snapshot = registry.snapshot().await?;
        let mut found = Vec::new();
        for record in
            snapshot.objects.iter().filter(|each| each.key.to_string() == wanted || each.key.name == wanted)
        {
            let mut json = serde_json::json!({
                "kind": record.key.kind.as_str(),
                "name": record.key.to_string(),
                "definition": record.spec,
                "created_revision": record.created_revision,
                "updated_revision": record.updated_revision,
                "created_at": record.created_at.to_string(),
                "updated_at": record.updated_at.to_string(),
            });
            let id = ViewId::new(record.key.name.clone(), record.key.version);
            if let (ObjectKind::View, Some(table)) = (kind_of(record.key.kind), catalog.table_name(&id)) {
                let journal = self.view_journal(&catalog, &id).await?;
                json["semantic_hash"] = record.semantic_hash.clone().into();
                if catalog.definitions.views.get(&id).is_some_and(|view| view.in_place || view.is_on_demand())
                {
                    found.push(json);
                    continue;
                }
                json["history"] = self.project().history_path().join(table).display().to_string().into();
                json["active"] = journal.is_active().into();
                json["last_update"] = journal.last_visible.map(|at| at.to_string()).into();
            }
            found.push(json);
        }
        if found.is_empty() {
            let names: Vec<&str> = snapshot.objects.iter().map(|each| each.key.name.as_str()).collect();
            let hint = name::suggestion(wanted, names);
            return Err(StoreError::Unknown { kind: "object", name: wanted.to_owned(), hint });
        }
        Ok(found)
    }
}

/// The names of everything that is recorded; a view's without its version.
fn recorded_names(catalog: &Catalog) -> Vec<&str> {
    let all = &catalog.definitions;
    let plain = all.entities.keys().chain(all.sources.keys()).chain(all.services.keys());
    plain.chain(all.views.keys().map(|id| &id.name)).map(String::as_str).collect()
}

fn kind_of(kind: asof_registry::ObjectKind) -> ObjectKind {
    match kind {
        asof_registry::ObjectKind::Entity => ObjectKind::Entity,
        asof_registry::ObjectKind::Source => ObjectKind::Source,
        asof_registry::ObjectKind::View => ObjectKind::View,
        asof_registry::ObjectKind::Service => ObjectKind::Service,
    }
}

fn listed(step: Step, catalog: &Catalog) -> Listed {
    let all = &catalog.definitions;
    let about = match step.kind {
        ObjectKind::Entity => all.entities.get(&step.name).map(|each| &each.about),
        ObjectKind::Source => all.sources.get(&step.name).map(|each| &each.about),
        ObjectKind::View => {
            all.views.values().find(|each| each.id.to_string() == step.name).map(|each| &each.about)
        }
        ObjectKind::Service => all.services.get(&step.name).map(|each| &each.about),
    };
    Listed {
        kind: step.kind,
        summary: step.details.join("; "),
        owner: about.and_then(|about| about.owner.clone()),
        description: about.and_then(|about| about.description.clone()),
        name: step.name,
    }
}

/// A refusal as a sentence with its place in the files, and the line to write instead.
fn in_words(refusal: &Refusal, places: &Places, recorded: &Catalog) -> Refused {
    match refusal {
        Refusal::Breaking { view, differences, next, own } => {
            let place = places.object(ObjectKind::View, &view.to_string());
            let at = place.map_or_else(String::new, |place| format!("{place}: "));
            let mut message = format!("{at}view `{view}` is applied and would change:");
            for difference in differences {
                message.push_str(&format!("\n  {difference}"));
            }
            let hint = if *own {
                format!("keep `{view}` as it was and write the change as a new version beside it: `{next}:`")
            } else {
                format!(
                    "the change comes from its source or entity: give the new one a name of its own, and read it in \
                     a new version: `{next}:`"
                )
            };
            Refused { message, hint: Some(hint) }
        }
        Refusal::StillDefined(name) => Refused {
            message: format!("`{name}` is still defined in the files"),
            hint: Some("delete it there first, then remove it".to_owned()),
        },
        Refusal::NotRecorded(name) => Refused {
            message: format!("there is no object `{name}` to remove"),
            hint: name::suggestion(name, recorded_names(recorded)),
        },
        Refusal::InUse { name, users } => Refused {
            message: format!("`{name}` can't be removed: it is used by {}", users.join(", ")),
            hint: Some("remove those in the same apply, or change them first".to_owned()),
        },
    }
}
