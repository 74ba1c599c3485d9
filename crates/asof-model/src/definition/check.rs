//! Checks what objects say about each other, once all files are read.

use std::collections::{BTreeMap, BTreeSet};

use super::collector::{Collector, Object};
use super::keys::listed;
use super::node::quoted;
use crate::name::{ViewId, ViewRef};
use crate::on_demand::OnDemand;
use crate::plan::ObjectKind;
use crate::spec::{Definitions, Join, Selection, Service, View};
use crate::types::ValueType;

/// Checks every view and every service.
pub(super) fn all(definitions: &Definitions, out: &mut Collector) {
    for view in definitions.views.values() {
        check_view(definitions, view, out);
    }
    for service in definitions.services.values() {
        check_service(definitions, service, out);
    }
}

fn check_view(definitions: &Definitions, view: &View, out: &mut Collector) {
    let object = Object::view(&view.id);
    if let Some(on_demand) = &view.on_demand {
        check_on_demand(definitions, on_demand, &object, out);
        return;
    }
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for (index, name) in view.entities.iter().enumerate() {
        let path = format!("entities.{index}");
        let Some(entity) = definitions.entities.get(name) else {
            missing(&object, &path, "entity", name, definitions.entities.keys(), out);
            continue;
        };
        for key in &entity.keys {
            if let Some(other) = owners.insert(&key.name, name) {
                let message = format!(
                    "entities {} and {} both have the join key {}",
                    quoted(other),
                    quoted(name),
                    quoted(&key.name)
                );
                let hint = "give one of the two join keys another name".to_owned();
                out.problem_in(&object, &path, message, Some(hint));
            }
        }
    }
    if !view.source.is_empty() && !definitions.sources.contains_key(&view.source) {
        missing(&object, "source", "source", &view.source, definitions.sources.keys(), out);
    }
    let source = definitions.sources.get(&view.source);
    if view.in_place && source.is_some_and(|source| source.path.is_empty() && source.transform.is_none()) {
        let message = format!("{object} reads source {} in place, which has no files", quoted(&view.source));
        out.problem_in(
            &object,
            "in_place",
            message,
            Some("leave out `in_place`, or give the source a `path`".to_owned()),
        );
    }
    let mut folded: BTreeMap<String, &str> = owners.keys().map(|key| (key.to_lowercase(), *key)).collect();
    for feature in &view.features {
        let twin = folded.insert(feature.name.to_lowercase(), &feature.name);
        if let Some(twin) = twin.filter(|twin| *twin != feature.name) {
            let (one, other) = (quoted(twin), quoted(&feature.name));
            let message = format!("columns {one} and {other} differ in letter case alone");
            let hint = "tables that other engines read tell no letter case apart; rename one".to_owned();
            out.problem_in(&object, &format!("features.{}", feature.name), message, Some(hint));
        }
        if let Some(entity) = owners.get(feature.name.as_str()) {
            let message = format!("feature {} is a join key of the view", quoted(&feature.name));
            let hint = format!("it comes from entity {}; remove the feature", quoted(entity));
            out.problem_in(&object, &format!("features.{}", feature.name), message, Some(hint));
        }
    }
    if let (Some(keep), Some(ttl)) = (view.keep, view.ttl)
        && keep < ttl
    {
        let message = format!("`keep` ({keep}) is shorter than `ttl` ({ttl}), which then has no effect");
        let hint = "past `keep` a row is MISSING, before it could be OUTSIDE_TTL".to_owned();
        out.warning_in(&object, "keep", message, Some(hint));
    }
}

/// Checks that the inputs of a view on demand are there, and that no column of a request would need two types.
fn check_on_demand(definitions: &Definitions, on_demand: &OnDemand, object: &Object, out: &mut Collector) {
    let mut columns: BTreeMap<String, (ValueType, String)> = BTreeMap::new();
    for field in &on_demand.request {
        columns.insert(field.name.clone(), (field.value_type, "a request field".to_owned()));
    }
    for (index, input) in on_demand.inputs.iter().enumerate() {
        let path = format!("inputs.{index}");
        let reference = ViewRef { name: input.view.clone(), version: input.version };
        let Some(view) = named_view(definitions, &reference, object, &path, out) else { continue };
        for key in definitions.request_keys(view) {
            let of = format!("a join key of `{}`", view.id);
            match columns.get(&key.name) {
                Some((known, first)) if *known != key.value_type => {
                    let (name, other) = (quoted(&key.name), key.value_type);
                    let message = format!("{name} is {first}, {known}, and {of}, {other}");
                    let hint = "a request has one column of that name; give one of both another".to_owned();
                    out.problem_in(object, &path, message, Some(hint));
                }
                _ => drop(columns.insert(key.name, (key.value_type, of))),
            }
        }
    }
}

fn missing<'a>(
    object: &Object,
    path: &str,
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'a String>,
    out: &mut Collector,
) {
    if out.complete() {
        let hint = out.suggestion(name, known.map(String::as_str));
        let hint = hint.or_else(|| Some(format!("the project defines no {kind}")));
        out.problem_in(object, path, format!("there is no {kind} {}", quoted(name)), hint);
    }
}

fn check_service(definitions: &Definitions, service: &Service, out: &mut Collector) {
    let object = Object::new(ObjectKind::Service, &service.name);
    let mut prefixes: BTreeMap<&str, &Join> = BTreeMap::new();
    for (index, join) in service.joins.iter().enumerate() {
        let path = format!("features.{index}");
        check_join(definitions, join, &object, &path, out);
        let prefix = join.alias.as_deref().unwrap_or(&join.view);
        if let Some(first) = prefixes.get(prefix) {
            let (message, path) = match &join.alias {
                Some(alias) => {
                    (format!("{} names two joins of {object}", quoted(alias)), format!("{path}.as"))
                }
                None => (format!("view {} is joined twice by {object}", quoted(&join.view)), path),
            };
            let hint = if first.view == join.view && first.version == join.version {
                "list its features in one item, or give one of the two another name with `as`"
            } else {
                "give one of the two another name with `as`"
            };
            out.problem_in(&object, &path, message, Some(hint.to_owned()));
        } else {
            prefixes.insert(prefix, join);
        }
    }
}

fn check_join(definitions: &Definitions, join: &Join, object: &Object, path: &str, out: &mut Collector) {
    let reference = ViewRef { name: join.view.clone(), version: join.version };
    let Some(view) = named_view(definitions, &reference, object, path, out) else { return };
    let known = || view.features.iter().map(|feature| feature.name.as_str());
    // A view whose features could not be read has none here, and a message already.
    if let (Selection::Named(names), false) = (&join.features, view.features.is_empty()) {
        for (index, name) in names.iter().enumerate() {
            if !known().any(|each| each == name) {
                let hint = out.suggestion(name, known());
                let message = format!("view `{}` has no feature {}", view.id, quoted(name));
                out.problem_in(object, &format!("{path}.features.{index}"), message, hint);
            }
        }
    }
    // Nor are the join keys known where an entity is not.
    if !keys_known(definitions, view) {
        return;
    }
    let join_keys = definitions.request_keys(view);
    for key in join.keys.keys() {
        if !join_keys.iter().any(|each| each.name == *key) {
            let hint = out.suggestion(key, join_keys.iter().map(|each| each.name.as_str()));
            let hint = hint.or_else(|| Some("the view has no entities, so no join keys".to_owned()));
            let message = format!("view `{}` has no join key {}", view.id, quoted(key));
            out.problem_in(object, &format!("{path}.keys.{key}"), message, hint);
        }
    }
}

/// Whether every join key of a view is known: its entities could be read, and those of all that it reads.
fn keys_known(definitions: &Definitions, view: &View) -> bool {
    let (mut seen, mut left) = (BTreeSet::new(), vec![view]);
    while let Some(view) = left.pop() {
        let mut entities = view.entities.iter().map(|name| definitions.entities.get(name));
        if entities.any(|entity| entity.is_none_or(|entity| entity.keys.is_empty())) {
            return false;
        }
        if !seen.insert(&view.id) {
            continue;
        }
        for input in view.on_demand.iter().flat_map(|on_demand| &on_demand.inputs) {
            let Some(view) = definitions.input(input) else { return false };
            left.push(view);
        }
    }
    true
}

/// The view that a name means: the pinned version, otherwise the highest one here. Which version answers a name
/// without version is decided when it is applied.
fn named_view<'a>(
    definitions: &'a Definitions,
    wanted: &ViewRef,
    object: &Object,
    path: &str,
    out: &mut Collector,
) -> Option<&'a View> {
    let of_name = ViewId::new(&*wanted.name, 0)..=ViewId::new(&*wanted.name, u32::MAX);
    let versions: Vec<&View> = definitions.views.range(of_name).map(|(_, view)| view).collect();
    let found = match wanted.version {
        None => versions.last().copied(),
        Some(version) => versions.iter().copied().find(|view| view.id.version == version),
    };
    if found.is_none() && out.view_complete(&wanted.name) {
        if versions.is_empty() {
            let mut names: Vec<&String> = definitions.views.keys().map(|id| &id.name).collect();
            names.dedup();
            missing(object, path, "view", &wanted.name, names.into_iter(), out);
        } else {
            let ids: Vec<String> = versions.iter().map(|view| view.id.to_string()).collect();
            let version = wanted.version.unwrap_or_default();
            let message = format!("view `{}` has no version {version}", wanted.name);
            let hint = format!("there is {}", listed(ids.iter().map(String::as_str)));
            out.problem_in(object, path, message, Some(hint));
        }
    }
    found
}
