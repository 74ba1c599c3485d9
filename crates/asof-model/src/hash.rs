//! The semantic hash: everything about a view version that can change the bytes of a value, and nothing else
//! (SEMANTICS 9).
//!
//! What counts is written down as [`Fact`]s, a flat list of names and texts. The hash is taken over the facts, and an
//! edit is explained by comparing them: so what is hashed and what is shown can't drift apart.
//!
//! In: whether inactive keys are left to history, join keys and their types, the source's name and how it is read (event,
//! created, zone, unit, the column behind each name that the view uses), ttl, keep, whether the source is read in place,
//! features in order of addition with types and defaults, what they aggregate, over which windows with which edge and
//! retention, what tells events apart, and the revision of the engine's semantics. Of the source's query: where it is row-wise, its condition and the expressions behind the
//! names that the view uses; otherwise all of it, its lookback, and how the other sources are read; and the types of
//! the columns that are read there. Of a view on demand the request fields and inputs that its features read, and their
//! expressions in one spelling. A column that a row-wise query passes untouched counts for nothing. Out: where the
//! source's files lie and in which format, descriptions, owners, tags, freshness, schedule, sunset, how long history
//! keeps, the entity's name.

use std::collections::{BTreeMap, BTreeSet};

use crate::on_demand::{OnDemand, Read};
use crate::spec::{Definitions, Feature, Source, View};
use crate::transform::{Meaning, Output};
use crate::types::ValueType;

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
    if let Some(on_demand) = &view.on_demand {
        on_demand_facts(view, on_demand, &mut add);
        return facts;
    }
    let keys = definitions.join_keys(view);
    let written: Vec<_> = keys.iter().map(|key| format!("{}: {}", key.name, key.value_type)).collect();
    add("keys", written.join(", "));
    add("ttl", or_none(view.ttl));
    add("keep", or_none(view.keep));
    if view.active_within.is_some() {
        // How long may change; without it, the keys that were left to history would be missed.
        add("online.active_within", "set".to_owned());
    }
    if view.in_place {
        add("in_place", "true".to_owned());
    }
    if view.aggregates() {
        add("edge", view.edge.as_str().to_owned());
        add("delay", view.smallest_delay().to_string());
        add("retention", view.retained().map_or_else(|| "for ever".to_owned(), |most| most.to_string()));
    }
    add("source", view.source.clone());
    if let Some(source) = definitions.sources.get(&view.source) {
        let mut used: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        match view.aggregates() {
            true => used.extend(view.inputs.iter().flat_map(|input| input.from.keys()).map(String::as_str)),
            false => used.extend(view.features.iter().map(|feature| feature.name.as_str())),
        }
        match source.meaning() {
            Some(meaning) if meaning.row_wise => row_wise_facts(source, meaning, &used, &mut add),
            Some(meaning) => query_facts(source, meaning, definitions, &mut add),
            None => plain_facts(source, &used, &mut add),
        }
    }
    if view.aggregates() {
        event_facts(view, definitions, &mut add);
    }
    for feature in &view.features {
        add(&format!("features.{}", feature.name), feature_text(feature));
    }
    facts
}

/// What a view on demand computes, and of what it reads only what its features do: each input with its version, which
/// never changes what its values are.
fn on_demand_facts(view: &View, on_demand: &OnDemand, add: &mut impl FnMut(&str, String)) {
    let meanings = view.features.iter().filter_map(|feature| feature.computation.as_ref()?.meaning.as_ref());
    let reads: BTreeSet<&Read> = meanings.flat_map(|meaning| &meaning.reads).collect();
    for field in &on_demand.request {
        if reads.contains(&Read::Request(field.name.clone())) {
            add(&format!("request.{}", field.name), field.value_type.to_string());
        }
    }
    for input in &on_demand.inputs {
        let read = |read: &&Read| matches!(read, Read::Feature { view, .. } if *view == input.view);
        if reads.iter().any(read) {
            add(&format!("inputs.{}", input.view), input.to_string());
        }
    }
    for feature in &view.features {
        add(&format!("features.{}", feature.name), feature_text(feature));
    }
}

/// What tells events apart, and the types of the columns that a view reads of them.
fn event_facts(view: &View, definitions: &Definitions, add: &mut impl FnMut(&str, String)) {
    if let Some(source) = definitions.sources.get(&view.source) {
        add("source.event_id", or_none(source.event_id.as_ref()));
        add("source.repeats", source.repeats.as_str().to_owned());
        if let Some(deleted) = &source.deleted {
            add("source.deleted", deleted.clone());
        }
    }
    let types: BTreeMap<&String, &ValueType> = view.inputs.iter().flat_map(|input| &input.from).collect();
    for (column, value_type) in types {
        add(&format!("columns.{column}"), value_type.to_string());
    }
}

/// How the rows of a source without a query are read.
fn plain_facts(source: &Source, used: &[&str], add: &mut impl FnMut(&str, String)) {
    add("source.event", source.column_of(&source.event).to_owned());
    add("source.created", or_none(source.created.as_deref().map(|name| source.column_of(name))));
    reading_facts("source", source, add);
    for name in used {
        let column = source.column_of(name);
        if column != *name {
            add(&format!("source.fields.{column}"), (*name).to_owned());
        }
    }
}

/// The same with a row-wise query: of it only what the view's names come from. A query that passes them untouched
/// gives the facts of a source without one.
fn row_wise_facts(source: &Source, meaning: &Meaning, used: &[&str], add: &mut impl FnMut(&str, String)) {
    let mut computed: Vec<&Output> = meaning.condition.iter().collect();
    let mut origin = |name: &str| match (meaning.passes(name), meaning.outputs.get(name)) {
        (Some(column), _) => Ok(source.column_of(column).to_owned()),
        (None, Some(output)) => {
            computed.push(output);
            Err(output.text.clone())
        }
        (None, None) => Ok(source.column_of(name).to_owned()),
    };
    let either = |origin: Result<String, String>| origin.unwrap_or_else(|text| format!("({text})"));
    add("source.event", either(origin(&source.event)));
    add("source.created", or_none(source.created.as_deref().map(|name| either(origin(name)))));
    reading_facts("source", source, add);
    for name in used {
        match origin(name) {
            Ok(column) if column == *name => {}
            Ok(column) => add(&format!("source.fields.{column}"), (*name).to_owned()),
            Err(text) => add(&format!("source.sql.{name}"), text),
        }
    }
    if let Some(condition) = &meaning.condition {
        add("source.sql where", condition.text.clone());
    }
    let read: BTreeSet<&String> = computed.into_iter().flat_map(|output| &output.from).collect();
    if let Some(types) = meaning.inputs.get(&source.name) {
        for (name, value_type) in types.iter().filter(|(name, _)| read.contains(name)) {
            add(&format!("source.columns.{name}"), column_text(source, name, &value_type.to_string()));
        }
    }
}

/// The same with any other query: all of it.
fn query_facts(
    source: &Source,
    meaning: &Meaning,
    definitions: &Definitions,
    add: &mut impl FnMut(&str, String),
) {
    add("source.event", source.event.clone());
    add("source.created", or_none(source.created.clone()));
    reading_facts("source", source, add);
    add("source.sql", meaning.text.clone());
    add("source.lookback", or_none(source.transform.as_ref().and_then(|transform| transform.lookback)));
    for (name, columns) in &meaning.inputs {
        let Some(read) = definitions.sources.get(name) else { continue };
        let mut prefix = "source".to_owned();
        if read.name != source.name {
            prefix = format!("source.reads.{name}");
            // Another source's event says which of its rows a lookback reaches.
            add(&format!("{prefix}.event"), read.column_of(&read.event).to_owned());
            reading_facts(&prefix, read, add);
        }
        for (name, value_type) in columns {
            add(&format!("{prefix}.columns.{name}"), column_text(read, name, &value_type.to_string()));
        }
    }
}

fn reading_facts(prefix: &str, source: &Source, add: &mut impl FnMut(&str, String)) {
    add(&format!("{prefix}.zone"), source.zone.clone().unwrap_or_else(|| "UTC".to_owned()));
    add(&format!("{prefix}.unit"), or_none(source.unit.map(|unit| unit.as_str())));
}

/// The type of a column, and what it is called in the files where that differs.
fn column_text(source: &Source, name: &str, value_type: &str) -> String {
    match source.column_of(name) {
        column if column == name => value_type.to_owned(),
        column => format!("{value_type}, `{column}` in the files"),
    }
}

/// The semantic hash of a view: 64 hexadecimal digits over its [`facts`].
pub fn semantic_hash(view: &View, definitions: &Definitions) -> String {
    let mut hasher = blake3::Hasher::new();
    for fact in facts(view, definitions) {
        add_fact(&mut hasher, &fact);
    }
    hasher.finalize().to_hex().to_string()
}

/// The hash of how the rows of a view are read: of a view of events without what its features make of them, so that one
/// more feature over the same inputs reads nothing anew. Else the [`semantic_hash`].
pub fn reading_hash(view: &View, definitions: &Definitions) -> String {
    if !view.aggregates() {
        return semantic_hash(view, definitions);
    }
    let made = |fact: &Fact| {
        fact.name.starts_with("features.") || ["edge", "delay", "retention"].contains(&fact.name.as_str())
    };
    let mut hasher = blake3::Hasher::new();
    for fact in facts(view, definitions).into_iter().filter(|fact| !made(fact)) {
        add_fact(&mut hasher, &fact);
    }
    hasher.finalize().to_hex().to_string()
}

fn add_fact(hasher: &mut blake3::Hasher, fact: &Fact) {
    for part in [&fact.name, &fact.text] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
}

fn feature_text(feature: &Feature) -> String {
    let mut text = match (&feature.aggregation, &feature.computation) {
        (Some(aggregation), _) => format!("{aggregation}: {}", feature.value_type),
        (None, Some(computation)) => format!("{computation}: {}", feature.value_type),
        (None, None) => feature.value_type.to_string(),
    };
    if let Some(default) = &feature.default {
        text.push_str(&format!(", default {default:?}"));
    }
    text
}

fn or_none(option: Option<impl ToString>) -> String {
    option.map_or_else(|| "none".to_owned(), |value| value.to_string())
}
