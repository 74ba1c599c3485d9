//! The JSON Schema of definition files, for editors: completion, hints and marks while typing.
//!
//! It is looser than the reader: it knows keys and forms, not names and what they refer to. A file that the reader
//! takes is valid here.

use serde_json::{Map, Value, json};

use crate::types::ValueType;

/// The keys of one mapping: what each is for, and its form.
type Table = &'static [(&'static str, &'static str, Form)];

/// The form of a value.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Duration,
    Instant,
    OneOf(&'static [&'static str]),
    /// One name, or a list of them.
    Names,
    /// Free keys to text.
    Texts,
    /// Free keys to types.
    Types,
    Type,
    /// True or false.
    Flag,
    /// Any scalar.
    Scalar,
    /// A form that this file defines under this name.
    Defined(&'static str),
    /// Free keys to a form that this file defines.
    Each(&'static str),
}

const ENTITY: Table =
    &[("keys", "Join key: type. Several make a composite key.", Form::Types), DESCRIPTION, OWNER, TAGS];

const SOURCE: Table = &[
    (
        "path",
        "A file or a folder, relative to the project; `*` matches in names; or a URL such as s3://.",
        Form::Text,
    ),
    ("push", "Column: type, of rows that are pushed.", Form::Types),
    (
        "format",
        "How files are read, where their suffix does not say it.",
        Form::OneOf(&["parquet", "csv", "json", "delta"]),
    ),
    ("event", "The column of the instant at which a row became true.", Form::Text),
    ("created", "The column of the instant at which the source knew a row. Default: the event.", Form::Text),
    ("event_id", "The column that tells an event from all others.", Form::Text),
    (
        "repeats",
        "What a second event with the identity of a first one does. Default: keep_first.",
        Form::OneOf(&["keep_first", "replace"]),
    ),
    (
        "deleted",
        "The column that says whether a version deletes its event, with `repeats: replace`.",
        Form::Text,
    ),
    ("zone", "The zone of times without offset, such as Europe/London. Default: UTC.", Form::Text),
    ("unit", "The unit of integer times.", Form::OneOf(&["s", "ms", "us", "ns"])),
    ("fields", "Source column: name here.", Form::Texts),
    ("columns", "Column: type, as queries read it. By its name here.", Form::Types),
    ("sql", "The query that makes rows of the files' rows, from `source`.", Form::Text),
    ("lookback", "How far before a row's event the rows lie that it depends on.", Form::Duration),
    DESCRIPTION,
    OWNER,
    TAGS,
];

const VIEW: Table = &[
    ("entities", "Whom the values describe. None: one row for the whole world.", Form::Names),
    ("source", "The source that its rows come from.", Form::Text),
    ("in_place", "Whether files are read anew for each training set, and no copy is kept.", Form::Flag),
    ("ttl", "Past it a value is not used any more: OUTSIDE_TTL.", Form::Duration),
    ("keep", "Past it a row is MISSING everywhere. Default: for ever.", Form::Duration),
    (
        "history_keep",
        "Past it compaction removes rows from history; earlier instants are then refused.",
        Form::Duration,
    ),
    ("online", "What is kept for serving.", Form::Defined("online")),
    (
        "edge",
        "Whether the event at an instant counts at it. Default: open, it does not.",
        Form::OneOf(&["open", "closed"]),
    ),
    ("delay", "How long after their instant events begin to count, in all windows.", Form::Duration),
    ("resolution", "What the old edge of all windows is a multiple of, since 1970.", Form::Duration),
    ("retention", "How far back an event counts at all. Default: as far as windows reach.", Form::Duration),
    ("features", "Feature: type, or a mapping with more.", Form::Each("feature")),
    ("freshness", "How fresh the data promises to be.", Form::Duration),
    ("schedule", "When it is materialised, as a cron line.", Form::Text),
    ("sunset", "From this instant on requests are refused.", Form::Instant),
    ("request", "On demand: field: type, of values that come with a request or a label row.", Form::Types),
    ("inputs", "On demand: the views whose features its expressions read.", Form::Names),
    DESCRIPTION,
    OWNER,
    TAGS,
];

const ONLINE: Table = &[(
    "active_within",
    "Keys whose newest row is older when it is loaded are left to history, which answers for them more slowly.",
    Form::Duration,
)];

const FEATURE: Table = &[
    ("type", "The type of its values, where it carries values.", Form::Type),
    ("aggregate", "A function over events, such as sum(quantity * unit_price).", Form::Text),
    ("over", "Over the last so long, or `lifetime`.", Form::Text),
    ("rows", "Over so many events that come last.", Form::Scalar),
    ("session", "Over the run of events that is going on.", Form::Defined("session")),
    ("tumbling", "Over the bucket that is open, of this length.", Form::Scalar),
    ("offset", "How far buckets begin behind multiples of their length since 1970, in UTC.", Form::Duration),
    ("complete", "Whether the last bucket that is closed is meant.", Form::Flag),
    ("resolution", "What the old edge of the window is a multiple of, since 1970.", Form::Duration),
    ("delay", "How long after their instant events begin to count.", Form::Duration),
    ("where", "Which events count at all.", Form::Text),
    ("by", "By what the value is a map.", Form::Text),
    ("expr", "On demand: the expression over request fields and features of the inputs.", Form::Scalar),
    ("default", "What replaces the value in every state but PRESENT.", Form::Scalar),
    DESCRIPTION,
    OWNER,
    TAGS,
];

const SESSION: Table = &[
    ("gap", "The longest time between two events of it.", Form::Duration),
    ("max", "How far it looks back.", Form::Duration),
];

const SERVICE: Table = &[
    ("features", "Views with the features taken: `view: [a, b]` or `view: \"*\"`.", Form::Defined("joins")),
    DESCRIPTION,
    OWNER,
    TAGS,
];

const DESCRIPTION: (&str, &str, Form) = ("description", "Words for people.", Form::Text);
const OWNER: (&str, &str, Form) = ("owner", "Who answers for it.", Form::Text);
const TAGS: (&str, &str, Form) = ("tags", "Labels, name: value.", Form::Texts);

/// The JSON Schema (draft 2020-12) of a definition file.
pub fn json_schema() -> Value {
    let section = |of: &str, about: &str| {
        json!({
            "description": about,
            "type": ["object", "null"],
            "additionalProperties": { "$ref": format!("#/$defs/{of}") },
        })
    };
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Asof definitions",
        "type": ["object", "null"],
        "additionalProperties": false,
        "properties": {
            "entities": section("entity", "Whom features describe, by name."),
            "sources": section("source", "Where rows come from, by name."),
            "feature_views": section("view", "Features of one source, by name; a second version stands beside as `name@2`."),
            "feature_services": section("service", "What a model reads, by name."),
        },
        "$defs": {
            "entity": mapping(ENTITY, &["keys"]),
            "source": mapping(SOURCE, &["event"]),
            "view": mapping(VIEW, &["features"]),
            "online": mapping(ONLINE, &[]),
            "session": mapping(SESSION, &["gap", "max"]),
            "feature": {
                "anyOf": [form(Form::Type), mapping(FEATURE, &[])],
            },
            "service": mapping(SERVICE, &["features"]),
            "joins": { "type": "array", "items": { "$ref": "#/$defs/join" } },
            "join": {
                "anyOf": [
                    { "type": "string" },
                    {
                        "type": "object",
                        "properties": {
                            "as": { "type": "string", "description": "The prefix in full names." },
                            "keys": {
                                "type": "object",
                                "description": "Join key of the view: column of the request or label table.",
                                "additionalProperties": { "type": "string" },
                            },
                        },
                        "additionalProperties": {
                            "description": "The features taken: a list, or `*` for all.",
                            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
                        },
                    },
                ],
            },
        },
    })
}

/// The types, loosely: a plain name, or a name with something in brackets.
const TYPE_PATTERN: &str = "^ *(int32|int64|float32|float64|string|bool|bytes|timestamp|date|uuid|json|(decimal|list|map|embedding) *[(<].+[)>]) *$";

fn mapping(table: Table, required: &[&str]) -> Value {
    let mut properties = Map::new();
    for (key, about, of) in table {
        let mut schema = form(*of);
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), (*about).into());
        }
        properties.insert((*key).to_owned(), schema);
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn form(of: Form) -> Value {
    match of {
        Form::Text => json!({ "type": ["string", "number", "boolean"] }),
        Form::Duration => json!({
            "type": "string",
            "pattern": "^([0-9]+(w|d|h|m|s|ms|us))+$",
            "examples": ["90d", "12h", "5m"],
        }),
        Form::Instant => json!({ "type": "string", "examples": ["2027-06-01T00:00:00Z"] }),
        Form::OneOf(words) => json!({ "enum": words }),
        Form::Names => json!({
            "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }],
        }),
        Form::Texts => json!({
            "type": "object",
            "additionalProperties": { "type": ["string", "number", "boolean"] },
        }),
        Form::Types => {
            json!({ "type": "object", "additionalProperties": form(Form::Type), "minProperties": 1 })
        }
        Form::Type => json!({
            "type": "string",
            "pattern": TYPE_PATTERN,
            "examples": ValueType::SPELLINGS,
        }),
        Form::Flag => json!({ "type": "boolean" }),
        Form::Scalar => json!({ "type": ["string", "number", "boolean"] }),
        Form::Defined(name) => json!({ "$ref": format!("#/$defs/{name}") }),
        Form::Each(name) => json!({
            "type": "object",
            "additionalProperties": { "$ref": format!("#/$defs/{name}") },
            "minProperties": 1,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::{aggregation, entity, keys::KnownKeys, service, source, view};

    /// Goal: the schema knows the keys that the reader knows, each once, and no others.
    #[test]
    fn the_keys_of_the_reader() {
        let tables: [(&str, Table, &KnownKeys); 7] = [
            ("session", SESSION, &aggregation::SESSION_KEYS),
            ("entity", ENTITY, &entity::KEYS),
            ("source", SOURCE, &source::KEYS),
            ("view", VIEW, &view::KEYS),
            ("feature", FEATURE, &view::FEATURE_KEYS),
            ("online", ONLINE, &view::ONLINE_KEYS),
            ("service", SERVICE, &service::KEYS),
        ];
        for (name, table, known) in tables {
            let mut described: Vec<_> = table.iter().map(|(key, ..)| *key).collect();
            let mut read = known.read.to_vec();
            described.sort_unstable();
            read.sort_unstable();
            assert_eq!(described, read, "{name}");
        }
    }
}
