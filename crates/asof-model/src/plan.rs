//! What an apply would do: a pure decision over what is recorded and what the files say (SEMANTICS 9).
//!
//! A version accepts only added features. Everything else that can change bytes is refused, with the line to write
//! instead. An object that is missing from the files is kept and reported; it goes only when it is named for removal.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::hash::{self, Fact};
use crate::name::ViewId;
use crate::spec::{Definitions, Join, Service, Source, View};

/// What the registry holds: the definitions of one whole revision, and what was recorded with each view.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// The revision's number. 0: nothing was applied yet.
    pub revision: u64,
    /// The definitions.
    pub definitions: Definitions,
    /// What was recorded with each view of `definitions`.
    pub views: BTreeMap<ViewId, ViewRecord>,
}

/// What is recorded with a view beside its definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewRecord {
    /// The semantic hash as of the last apply.
    pub semantic_hash: String,
    /// Names the view's stored rows: drawn from the hash and the revision at creation, and never changed afterwards.
    /// A view that is removed and created again so never meets the rows of the old one.
    pub identity: String,
}

impl Catalog {
    /// The name under which a view's rows are stored. `None` for a view that is not recorded.
    pub fn table_name(&self, view: &ViewId) -> Option<String> {
        let record = self.views.get(view)?;
        Some(format!("{}/v{}-{}", view.name, view.version, record.identity))
    }
}

/// The kinds of objects, in the order in which they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// An entity.
    Entity,
    /// A source.
    Source,
    /// A version of a view.
    View,
    /// A service.
    Service,
}

impl ObjectKind {
    /// The kind in words, as people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Entity => "entity",
            Self::Source => "source",
            Self::View => "view",
            Self::Service => "service",
        }
    }
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// New.
    Create,
    /// Accepted edit.
    Change,
    /// As recorded.
    Unchanged,
    /// Missing from the files, and kept.
    Keep,
    /// Named for removal.
    Remove,
}

/// One object of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name; for views with the version.
    pub name: String,
    /// What happens to it.
    pub action: Action,
    /// In words: what it is made of, or what changes, a line each.
    pub details: Vec<String>,
}

/// A decision that can be carried out.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Every object, by kind and name.
    pub steps: Vec<Step>,
    /// What the registry will hold: the files' objects and the kept ones, features in order of addition, service
    /// joins resolved. Its `revision` is the one the decision was made on.
    pub outcome: Catalog,
}

impl Plan {
    /// The steps that change the registry.
    pub fn changes(&self) -> impl Iterator<Item = &Step> {
        self.steps
            .iter()
            .filter(|step| matches!(step.action, Action::Create | Action::Change | Action::Remove))
    }
}

/// Why an apply is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// An edit that would change the bytes of a version in use.
    Breaking {
        /// The version.
        view: ViewId,
        /// What differs, a line each.
        differences: Vec<String>,
        /// The next free version, to write instead.
        next: ViewId,
        /// Whether the difference comes from the view's own text, and not from its source or entity.
        own: bool,
    },
    /// A name for removal that the files still define.
    StillDefined(String),
    /// A name for removal that is not recorded.
    NotRecorded(String),
    /// A name for removal that others use.
    InUse {
        /// The object.
        name: String,
        /// Its users.
        users: Vec<String>,
    },
}

/// Decides what an apply of `desired` would do.
///
/// `remove` names objects that are missing from the files and shall go; `active` holds the view versions whose data
/// is complete: a name without version in a new service resolves to the newest of them, or where there is none to
/// the newest version. A service keeps the version that was recorded for a name before.
///
/// # Errors
/// Every reason to refuse, in the order of names.
pub fn decide(
    recorded: &Catalog,
    desired: &Definitions,
    remove: &[String],
    active: &BTreeSet<ViewId>,
) -> Result<Plan, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut steps = Vec::new();
    let old = &recorded.definitions;
    let removed = Removal::read(old, desired, remove, &mut refusals);

    let mut outcome = Definitions {
        entities: kept(&old.entities, &desired.entities, |name| removed.names.contains(name)),
        sources: kept(&old.sources, &desired.sources, |name| removed.names.contains(name)),
        views: kept(&old.views, &desired.views, |id| removed.has_view(id)),
        services: kept(&old.services, &desired.services, |name| removed.names.contains(name)),
    };
    for (id, view) in &mut outcome.views {
        if let Some(before) = old.views.get(id) {
            in_order_of_addition(view, before);
        }
    }
    let versions: BTreeSet<ViewId> = outcome.views.keys().cloned().collect();
    resolve_inputs(&mut outcome, recorded, active);
    for (name, service) in &mut outcome.services {
        resolve(service, old.services.get(name), &versions, active);
    }
    refuse_dangling(&outcome, &removed, &mut refusals);

    for (name, entity) in &outcome.entities {
        let words = vec![
            entity
                .keys
                .iter()
                .map(|k| format!("{}: {}", k.name, k.value_type))
                .collect::<Vec<_>>()
                .join(", "),
        ];
        steps.push(step(
            ObjectKind::Entity,
            name,
            old.entities.get(name),
            entity,
            desired.entities.contains_key(name),
            words,
        ));
    }
    for (name, source) in &outcome.sources {
        let words = source_in_words(source);
        steps.push(step(
            ObjectKind::Source,
            name,
            old.sources.get(name),
            source,
            desired.sources.contains_key(name),
            words,
        ));
    }
    let mut records = BTreeMap::new();
    for (id, view) in &outcome.views {
        let semantic_hash = hash::semantic_hash(view, &outcome);
        let record = match recorded.views.get(id) {
            Some(before) => ViewRecord { semantic_hash, identity: before.identity.clone() },
            None => ViewRecord { identity: identity(&semantic_hash, recorded.revision), semantic_hash },
        };
        records.insert(id.clone(), record);
        let mut words = vec![view_in_words(view)];
        if let Some(before) = old.views.get(id) {
            let (then, now) = (hash::facts(before, old), hash::facts(view, &outcome));
            let differences = Differences::between(&then, &now, view.is_on_demand());
            // Where what the view reads is being removed, that is what is refused.
            let reads = view.entities.iter().chain([&view.source]);
            let uprooted = reads.clone().any(|name| removed.names.contains(name));
            if !differences.breaking.is_empty() && !uprooted {
                refusals.push(Refusal::Breaking {
                    view: id.clone(),
                    own: hash::facts(before, &outcome) != now,
                    differences: differences.breaking,
                    next: ViewId::new(id.name.clone(), next_version(&outcome, &id.name)),
                });
            }
            words = differences.added;
        }
        steps.push(step(
            ObjectKind::View,
            &id.to_string(),
            old.views.get(id),
            view,
            desired.views.contains_key(id),
            words,
        ));
    }
    for (name, service) in &outcome.services {
        let words = service.joins.iter().map(join_in_words).collect();
        steps.push(step(
            ObjectKind::Service,
            name,
            old.services.get(name),
            service,
            desired.services.contains_key(name),
            words,
        ));
    }
    steps.extend(removed.steps);
    steps.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    if refusals.is_empty() {
        let outcome = Catalog { revision: recorded.revision, definitions: outcome, views: records };
        Ok(Plan { steps, outcome })
    } else {
        Err(refusals)
    }
}

/// The name of a new view's stored rows. `revision` is the one that it is created after: no two creations share it.
fn identity(semantic_hash: &str, revision: u64) -> String {
    let hash = blake3::hash(format!("{semantic_hash} {revision}").as_bytes());
    hash.to_hex()[..16].to_owned()
}

/// What was named for removal, sorted out.
struct Removal {
    names: BTreeSet<String>,
    steps: Vec<Step>,
}

impl Removal {
    fn read(
        old: &Definitions,
        desired: &Definitions,
        remove: &[String],
        refusals: &mut Vec<Refusal>,
    ) -> Self {
        let mut found = Self { names: BTreeSet::new(), steps: Vec::new() };
        let (then, now) = (object_names(old), object_names(desired));
        for name in remove {
            // A view's name without version means every version of it.
            let matches = |(kind, full): &&(ObjectKind, String)| {
                full == name || (*kind == ObjectKind::View && full.split('@').next() == Some(name.as_str()))
            };
            if now.iter().any(|each| matches(&each)) {
                refusals.push(Refusal::StillDefined(name.clone()));
                continue;
            }
            let objects: Vec<_> = then.iter().filter(matches).collect();
            if objects.is_empty() {
                refusals.push(Refusal::NotRecorded(name.clone()));
            }
            for (kind, full) in objects {
                if found.names.insert(full.clone()) {
                    found.steps.push(Step {
                        kind: *kind,
                        name: full.clone(),
                        action: Action::Remove,
                        details: vec![],
                    });
                }
            }
        }
        found
    }

    fn has_view(&self, id: &ViewId) -> bool {
        self.names.contains(&id.to_string())
    }
}

/// Every object with its kind and full name.
fn object_names(of: &Definitions) -> Vec<(ObjectKind, String)> {
    let entities = of.entities.keys().map(|name| (ObjectKind::Entity, name.clone()));
    let sources = of.sources.keys().map(|name| (ObjectKind::Source, name.clone()));
    let views = of.views.keys().map(|id| (ObjectKind::View, id.to_string()));
    let services = of.services.keys().map(|name| (ObjectKind::Service, name.clone()));
    entities.chain(sources).chain(views).chain(services).collect()
}

/// The files' objects, and the recorded ones that they lack.
fn kept<K: Ord + Clone, V: Clone>(
    old: &BTreeMap<K, V>,
    desired: &BTreeMap<K, V>,
    removed: impl Fn(&K) -> bool,
) -> BTreeMap<K, V> {
    let mut all: BTreeMap<K, V> = old
        .iter()
        .filter(|(key, _)| !removed(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    all.extend(desired.iter().map(|(key, value)| (key.clone(), value.clone())));
    all
}

/// Puts the features that were there before first, in their old order; new ones follow as written.
fn in_order_of_addition(view: &mut View, before: &View) {
    let place = |name: &str| before.features.iter().position(|f| f.name == name).unwrap_or(usize::MAX);
    view.features.sort_by_key(|feature| place(&feature.name));
}

/// Fills in the versions of names without one.
fn resolve(
    service: &mut Service,
    before: Option<&Service>,
    versions: &BTreeSet<ViewId>,
    active: &BTreeSet<ViewId>,
) {
    for join in service.joins.iter_mut().filter(|join| !join.pinned) {
        let same = |old: &&Join| old.view == join.view && old.alias == join.alias;
        let before = before.and_then(|service| service.joins.iter().find(same)).and_then(|old| old.version);
        let newest =
            |of: &BTreeSet<ViewId>| of.iter().filter(|id| id.name == join.view).map(|id| id.version).max();
        join.version = before
            .filter(|version| versions.contains(&ViewId::new(join.view.clone(), *version)))
            .or_else(|| newest(active))
            .or_else(|| newest(versions));
    }
}

/// Fills in the versions of the inputs of views on demand that are named without one: the one that was recorded before,
/// else the newest of `active`, else the newest.
pub fn resolve_inputs(definitions: &mut Definitions, recorded: &Catalog, active: &BTreeSet<ViewId>) {
    let there: BTreeSet<ViewId> =
        definitions.views.keys().chain(recorded.definitions.views.keys()).cloned().collect();
    for (id, view) in &mut definitions.views {
        let before = recorded.definitions.views.get(id).and_then(|view| view.on_demand.as_ref());
        let inputs = view.on_demand.iter_mut().flat_map(|on_demand| &mut on_demand.inputs);
        for input in inputs.filter(|input| input.version.is_none()) {
            let newest = |of: &BTreeSet<ViewId>| {
                of.iter().filter(|id| id.name == input.view).map(|id| id.version).max()
            };
            let same = before.and_then(|before| before.inputs.iter().find(|each| each.view == input.view));
            input.version =
                same.and_then(|same| same.version).or_else(|| newest(active)).or_else(|| newest(&there));
        }
    }
}

/// Refuses a removal that would leave a name pointing nowhere.
fn refuse_dangling(outcome: &Definitions, removed: &Removal, refusals: &mut Vec<Refusal>) {
    for name in &removed.names {
        let mut users: Vec<String> = Vec::new();
        for (id, view) in &outcome.views {
            let mut inputs = view.on_demand.iter().flat_map(|on_demand| &on_demand.inputs);
            if view.entities.contains(name)
                || view.source == *name
                || inputs.any(|input| input.to_string() == *name)
            {
                users.push(format!("view `{id}`"));
            }
        }
        for (source, spec) in &outcome.sources {
            if spec.meaning().is_some_and(|meaning| meaning.others(source).any(|other| other == name)) {
                users.push(format!("source `{source}`"));
            }
        }
        for (service, spec) in &outcome.services {
            let uses = |join: &Join| join.version.is_some_and(|v| format!("{}@{v}", join.view) == *name);
            let lost = |join: &Join| join.version.is_none() && name.starts_with(&format!("{}@", join.view));
            if spec.joins.iter().any(|join| uses(join) || lost(join)) {
                users.push(format!("service `{service}`"));
            }
        }
        if !users.is_empty() {
            refusals.push(Refusal::InUse { name: name.clone(), users });
        }
    }
}

fn step<T: PartialEq>(
    kind: ObjectKind,
    name: &str,
    old: Option<&T>,
    new: &T,
    in_files: bool,
    details: Vec<String>,
) -> Step {
    let action = match old {
        None => Action::Create,
        Some(_) if !in_files => Action::Keep,
        Some(before) if before == new => Action::Unchanged,
        Some(_) => Action::Change,
    };
    let details = if matches!(action, Action::Create | Action::Change) { details } else { Vec::new() };
    Step { kind, name: name.to_owned(), action, details }
}

/// The differences between two lists of facts.
struct Differences {
    breaking: Vec<String>,
    added: Vec<String>,
}

impl Differences {
    fn between(then: &[Fact], now: &[Fact], on_demand: bool) -> Self {
        let text = |facts: &[Fact], name: &str| {
            facts.iter().find(|fact| fact.name == name).map(|fact| fact.text.clone())
        };
        let mut found = Self { breaking: Vec::new(), added: Vec::new() };
        for old in then {
            match text(now, &old.name) {
                Some(new) if new == old.text => {}
                Some(new) => found.breaking.push(format!("{}: {} -> {new}", old.name, old.text)),
                None => found.breaking.push(format!("{}: {} -> removed", old.name, old.text)),
            }
        }
        let added: Vec<&Fact> = now.iter().filter(|new| text(then, &new.name).is_none()).collect();
        let is_added_feature = |name: &str| name.starts_with("features.") && text(then, name).is_none();
        for new in &added {
            // A column or an expression is new without harm only where it feeds a feature that is itself new. A type is
            // read by what is new, or it would have been there.
            let feeds_added = if on_demand && !new.name.starts_with("features.") {
                // What no feature read before, only a new one reads.
                true
            } else if new.name.starts_with("columns.") {
                // What a view of events reads, and did not: only what is new reads it.
                true
            } else if new.name.starts_with("source.fields.") {
                is_added_feature(&format!("features.{}", new.text))
                    || text(now, &format!("columns.{}", new.text)).is_some()
            } else if let Some(name) = new.name.strip_prefix("source.sql.") {
                is_added_feature(&format!("features.{name}"))
            } else {
                new.name.starts_with("source.columns.") && text(then, "source.sql").is_none()
            };
            if is_added_feature(&new.name) {
                let when = if on_demand { "" } else { ", answers when it is backfilled" };
                found.added.push(format!("{}: {}{when}", new.name, new.text));
            } else if !feeds_added {
                found.breaking.push(format!("{}: none -> {}", new.name, new.text));
            }
        }
        found
    }
}

fn next_version(definitions: &Definitions, name: &str) -> u32 {
    definitions.views.keys().filter(|id| id.name == name).map(|id| id.version).max().unwrap_or(0) + 1
}

/// Where it is, and what its query reads: types as they are recorded.
fn source_in_words(source: &Source) -> Vec<String> {
    let mut words = Vec::new();
    if !source.path.is_empty() {
        words.push(source.path.clone());
    }
    let Some(meaning) = source.meaning() else { return words };
    words.push(match meaning.row_wise {
        true => "row-wise sql".to_owned(),
        false => "sql over all rows".to_owned(),
    });
    for (name, columns) in meaning.inputs.iter().filter(|(_, columns)| !columns.is_empty()) {
        let types: Vec<String> =
            columns.iter().map(|(column, value_type)| format!("{column}: {value_type}")).collect();
        let of = if *name == source.name { String::new() } else { format!(" of `{name}`") };
        words.push(format!("reads{of} {}", types.join(", ")));
    }
    words
}

fn view_in_words(view: &View) -> String {
    let features = match view.features.len() {
        1 => "1 feature".to_owned(),
        n => format!("{n} features"),
    };
    if let Some(on_demand) = &view.on_demand {
        let mut of: Vec<String> = on_demand.inputs.iter().map(|input| format!("`{input}`")).collect();
        of.extend(on_demand.request.iter().map(|field| format!("{}: {}", field.name, field.value_type)));
        return format!("{features}, on demand from {}", of.join(", "));
    }
    let entities = match view.entities.as_slice() {
        [] => "no entity".to_owned(),
        [one] => format!("entity `{one}`"),
        many => {
            format!("entities {}", many.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "))
        }
    };
    let ttl = match (view.aggregates(), view.ttl) {
        (true, _) => match view.retained() {
            Some(most) => format!("over events of the last {most}"),
            None => "over all events".to_owned(),
        },
        (false, None) => "no ttl".to_owned(),
        (false, Some(ttl)) => format!("ttl {ttl}"),
    };
    let in_place = if view.in_place { ", read in place" } else { "" };
    format!("{features}, {entities}, {ttl}{in_place}")
}

fn join_in_words(join: &Join) -> String {
    let version = join.version.map_or_else(String::new, |version| format!("@{version}"));
    let features = match &join.features {
        crate::spec::Selection::All => "every feature".to_owned(),
        crate::spec::Selection::Named(names) => names.join(", "),
    };
    let alias = join.alias.as_ref().map_or_else(String::new, |alias| format!(" as {alias}"));
    format!("{}{version}{alias}: {features}", join.view)
}

#[cfg(test)]
mod tests;
