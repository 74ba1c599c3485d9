//! The semantic hash: everything about a view version that can change the bytes of a value, and nothing else
//! (SEMANTICS 9).
//!
//! What counts is written down as [`Fact`]s, a flat list of names and texts. The hash is taken over the facts, and an
//! edit is explained by comparing them: so what is hashed and what is shown can't drift apart.
//!
//! In: join keys and their types, the source's name and how it is read (event, created, zone, unit, the column behind
//! each name that the view uses), ttl, keep, features in order of addition with types and defaults, and the revision
//! of the engine's semantics. Out: where the source's files lie and in which format, descriptions, owners, tags,
//! freshness, schedule, sunset, how long history keeps, the entity's name.

use crate::spec::{Definitions, Feature, View};

/// The revision of the rules in the code that can change bytes. Raised only together with a way to read what was
/// written before.
pub const SEMANTICS_REVISION: u32 = 1;

/// One thing about a view version that can change bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Where it is written, such as `ttl`, `source.zone` or `features.population`.
    pub name: String,
    /// What is written there; absent options are `none`.
    pub text: String,
}

/// The facts of a view, in a fixed order. Missing entities or sources (which the reader of definitions refuses) are
/// left out.
pub fn facts(view: &View, definitions: &Definitions) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut add = |name: &str, text: String| facts.push(Fact { name: name.to_owned(), text });
    add("semantics", SEMANTICS_REVISION.to_string());
    let keys = definitions.join_keys(view);
    let written: Vec<_> = keys.iter().map(|key| format!("{}: {}", key.name, key.value_type)).collect();
    add("keys", written.join(", "));
    add("ttl", or_none(view.ttl));
    add("keep", or_none(view.keep));
    add("source", view.source.clone());
    if let Some(source) = definitions.sources.get(&view.source) {
        add("source.event", source.column_of(&source.event).to_owned());
        add("source.created", or_none(source.created.as_deref().map(|name| source.column_of(name))));
        add("source.zone", source.zone.clone().unwrap_or_else(|| "UTC".to_owned()));
        add("source.unit", or_none(source.unit.map(|unit| unit.as_str())));
        let used = keys.iter().map(|key| &key.name).chain(view.features.iter().map(|feature| &feature.name));
        for name in used {
            let column = source.column_of(name);
            if column != name {
                add(&format!("source.fields.{column}"), name.clone());
            }
        }
    }
    for feature in &view.features {
        add(&format!("features.{}", feature.name), feature_text(feature));
    }
    facts
}

/// The semantic hash of a view: 64 hexadecimal digits over its [`facts`].
pub fn semantic_hash(view: &View, definitions: &Definitions) -> String {
    let mut hasher = blake3::Hasher::new();
    for fact in facts(view, definitions) {
        for part in [&fact.name, &fact.text] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
    }
    hasher.finalize().to_hex().to_string()
}

fn feature_text(feature: &Feature) -> String {
    match &feature.default {
        Some(default) => format!("{}, default {default:?}", feature.value_type),
        None => feature.value_type.to_string(),
    }
}

fn or_none(option: Option<impl ToString>) -> String {
    option.map_or_else(|| "none".to_owned(), |value| value.to_string())
}
