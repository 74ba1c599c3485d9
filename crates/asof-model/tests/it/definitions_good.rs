//! Files that are right.

use asof_model::definition::{self, SourceFile};
use asof_model::plan::ObjectKind;
use asof_model::spec::{Definitions, Selection};
use asof_model::{Duration, ValueType, ViewId};
use insta::assert_snapshot;

use crate::{problems_alone, read};

/// The credit example: two entities, two sources, two views, one service.
const CREDIT: &str = r#"
entities:
  zipcode:
    keys: { zipcode: int64 }
    description: A postal code in the United States
    owner: risk-team
  dob_ssn:
    keys: { dob_ssn: string }

sources:
  zipcode_table:
    path: data/zipcode_table.parquet
    event: event_timestamp
    created: created_timestamp
    zone: America/New_York
    unit: ms
    fields: { pop: population }
  credit_table:
    path: data/credit_history
    format: csv
    event: event_timestamp

feature_views:
  zipcode_features:
    entities: [zipcode]
    source: zipcode_table
    ttl: 3650d
    keep: 20w
    features:
      city: string
      population: { type: int64, description: Inhabitants at the last census, default: 0, tags: { domain: geo } }
    owner: risk-team
    freshness: 1d
    schedule: "0 3 * * *"
    sunset: 2027-06-01T00:00:00+02:00
  credit_history:
    entities: dob_ssn
    source: credit_table
    features: { credit_card_due: int64, "missed_payments_2y": int64 }
  credit_history@2:
    entities: [dob_ssn]
    source: credit_table
    ttl: 0s
    features: { credit_card_due: int64 }
  world:
    source: credit_table
    features: { rate: { type: float64, default: .nan } }

feature_services:
  credit_risk:
    features:
      - zipcode_features: [city, population]
      - credit_history@1: "*"
        as: applicant
        keys: { dob_ssn: applicant_ssn }
      - credit_history: credit_card_due
      - world
"#;

/// Each object as one line of JSON, by kind and name.
fn as_text(definitions: &Definitions) -> String {
    let mut lines = Vec::new();
    lines.extend(definitions.entities.values().map(serde_json::to_string));
    lines.extend(definitions.sources.values().map(serde_json::to_string));
    lines.extend(definitions.views.values().map(serde_json::to_string));
    lines.extend(definitions.services.values().map(serde_json::to_string));
    lines
        .into_iter()
        .map(|line| line.unwrap_or_else(|error| error.to_string()))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Goal: everything that the example says arrives in the objects, and nothing else does.
#[test]
fn credit_example() {
    let read = read(CREDIT).unwrap();
    assert_snapshot!(as_text(&read.definitions), @r#"
    {"name":"dob_ssn","keys":[{"name":"dob_ssn","type":"string"}]}
    {"name":"zipcode","keys":[{"name":"zipcode","type":"int64"}],"description":"A postal code in the United States","owner":"risk-team"}
    {"name":"credit_table","path":"data/credit_history","format":"csv","event":"event_timestamp"}
    {"name":"zipcode_table","path":"data/zipcode_table.parquet","event":"event_timestamp","created":"created_timestamp","zone":"America/New_York","unit":"ms","fields":{"pop":"population"}}
    {"id":{"name":"credit_history","version":1},"entities":["dob_ssn"],"source":"credit_table","features":[{"name":"credit_card_due","type":"int64"},{"name":"missed_payments_2y","type":"int64"}]}
    {"id":{"name":"credit_history","version":2},"entities":["dob_ssn"],"source":"credit_table","ttl":0,"features":[{"name":"credit_card_due","type":"int64"}]}
    {"id":{"name":"world","version":1},"entities":[],"source":"credit_table","features":[{"name":"rate","type":"float64","default":"NaN"}]}
    {"id":{"name":"zipcode_features","version":1},"entities":["zipcode"],"source":"zipcode_table","ttl":315360000000000,"keep":12096000000000,"features":[{"name":"city","type":"string"},{"name":"population","type":"int64","default":"0","description":"Inhabitants at the last census","tags":{"domain":"geo"}}],"freshness":86400000000,"schedule":"0 3 * * *","sunset":1811800800000000,"owner":"risk-team"}
    {"name":"credit_risk","joins":[{"view":"zipcode_features","version":null,"pinned":false,"features":{"named":["city","population"]}},{"view":"credit_history","version":1,"pinned":true,"features":"all","alias":"applicant","keys":{"dob_ssn":"applicant_ssn"}},{"view":"credit_history","version":null,"pinned":false,"features":{"named":["credit_card_due"]}},{"view":"world","version":null,"pinned":false,"features":"all"}]}
    "#);
}

/// Goal: `keep` shorter than `ttl` is allowed and warned of; it is the only warning of the example.
#[test]
fn warnings() {
    assert_snapshot!(problems_alone(CREDIT), @"
    read
    features.yaml:28:11: `keep` (140d) is shorter than `ttl` (3650d), which then has no effect
      hint: past `keep` a row is MISSING, before it could be OUTSIDE_TTL
    ");
}

/// Goal: places lead to objects, to keys, to items, and for what is not written to the nearest thing around it.
#[test]
fn places() {
    let read = read(CREDIT).unwrap();
    let key = |kind, name, path| read.places.key(kind, name, path).map(|place| place.to_string());
    let view = |path| key(ObjectKind::View, "zipcode_features@1", path).unwrap();
    assert_eq!(read.places.object(ObjectKind::Entity, "zipcode").unwrap().to_string(), "features.yaml:3:3");
    assert_eq!(view(""), "features.yaml:24:3");
    assert_eq!(view("ttl"), "features.yaml:27:10");
    assert_eq!(view("features.population"), "features.yaml:31:7");
    assert_eq!(view("features.population.default"), "features.yaml:31:88");
    assert_eq!(view("entities.0"), "features.yaml:25:16");
    assert_eq!(view("description"), view(""));
    assert_eq!(view("features.gone.default"), view("features"));
    let alias = key(ObjectKind::Service, "credit_risk", "features.1.as");
    assert_eq!(alias.as_deref(), Some("features.yaml:54:13"));
    assert_eq!(key(ObjectKind::View, "zipcode_features", "ttl"), None);
}

/// Goal: the forms of a service's items mean what they look like.
#[test]
fn service_items() {
    let text = "
entities: { e: { keys: { k: int64 } } }
sources: { s: { path: p.csv, event: t } }
feature_views:
  v: { entities: e, source: s, features: { a: int64, b: int64 } }
  w: { entities: e, source: s, features: { a: int64, b: int64 } }
feature_services:
  one: { features: [v, 'w:b'] }
  two:
    features:
      - v:b
      - v:a
      - w@1:*
  three:
    features:
      - v: '*'
      - v: [\"*\"]
        as: again
";
    let read = read(text).unwrap();
    let joins = |name: &str| {
        let joins = read.definitions.services[name].joins.iter();
        joins.map(|join| (join.view.clone(), join.version, join.features.clone())).collect::<Vec<_>>()
    };
    let named = |names: &[&str]| Selection::Named(names.iter().map(|&name| name.to_owned()).collect());
    assert_eq!(joins("one"), [("v".into(), None, Selection::All), ("w".into(), None, named(&["b"]))]);
    assert_eq!(joins("two"), [("v".into(), None, named(&["b", "a"])), ("w".into(), Some(1), Selection::All)]);
    assert_eq!(joins("three"), [("v".into(), None, Selection::All), ("v".into(), None, Selection::All)]);
}

/// Goal: objects of several files and documents meet, in whatever order the files come.
#[test]
fn several_files_and_documents() {
    let view = "feature_views: { v: { entities: e, source: s, features: { f: bool } } }\n";
    let rest =
        "entities: { e: { keys: { k: int64 } } }\n---\n---\nsources: { s: { path: p.csv, event: t } }\n";
    let a = SourceFile { path: "a.yaml", text: view };
    let b = SourceFile { path: "b.yaml", text: rest };
    for files in [[a, b], [b, a]] {
        let read = definition::read(&files).unwrap();
        assert_eq!(read.definitions.views[&ViewId::new("v", 1)].features[0].value_type, ValueType::Bool);
        assert_eq!(read.places.object(ObjectKind::Source, "s").unwrap().to_string(), "b.yaml:4:12");
    }
}

/// Goal: files without content define nothing, and a byte-order mark and carriage returns are no content.
#[test]
fn empty_files() {
    for text in
        ["", "\n\n", "# a comment\n", "---\n", "\u{feff}", "\u{feff}# hi\r\n", "entities:\nsources: ~\n"]
    {
        assert_eq!(read(text).unwrap().definitions, Definitions::default(), "{text:?}");
    }
    let marked = "\u{feff}entities:\r\n  e:\r\n    keys: { k: int64 }\r\n";
    let read = read(marked).unwrap();
    assert_eq!(read.places.object(ObjectKind::Entity, "e").unwrap().to_string(), "features.yaml:2:3");
}

/// Goal: an alias repeats what its anchor holds, lists and single values alike.
#[test]
fn aliases() {
    let text = "
entities: { e: { keys: &keys { k: int64 } }, f: { keys: *keys } }
sources: { s: { path: p.csv, event: t } }
feature_views:
  v: { entities: e, source: s, ttl: &ttl 5m, features: &features { a: int64, b: string } }
  w: { entities: f, source: s, ttl: *ttl, features: *features }
";
    let read = read(text).unwrap();
    let [v, w] =
        [("v", 1), ("w", 1)].map(|(name, version)| &read.definitions.views[&ViewId::new(name, version)]);
    assert_eq!(v.features, w.features);
    assert_eq!(w.ttl, Duration::parse("5m"));
}

/// Goal: a default is read as the feature's type and kept in canonical text; text in quotes is text.
#[test]
fn defaults() {
    let default = |value_type: &str, written: &str| {
        let text = format!(
            "sources: {{ s: {{ path: p.csv, event: t }} }}\nfeature_views:\n  v:\n    source: s\n    features:\n      \
             f: {{ type: {value_type}, default: {written} }}\n"
        );
        read(&text).unwrap().definitions.views[&ViewId::new("v", 1)].features[0].default.clone().unwrap()
    };
    for (value_type, written, expected) in [
        ("int64", "007", "7"),
        ("int64", "'7'", "7"),
        ("string", "007", "007"),
        ("string", "''", ""),
        ("string", "'null'", "null"),
        ("string", "\"a\\nb\"", "a\nb"),
        ("float64", "1e3", "1000.0"),
        ("float64", "-0.0", "0.0"),
        ("float32", ".nan", "NaN"),
        ("float64", "-.inf", "-inf"),
        ("bool", "True", "true"),
        ("timestamp", "2020-01-01", "2020-01-01T00:00:00Z"),
        ("timestamp", "2020-01-01T02:00:00+02:00", "2020-01-01T00:00:00Z"),
        ("date", "2020-01-01", "2020-01-01"),
        ("bytes", "aGk=", "aGk="),
    ] {
        assert_eq!(default(value_type, written), expected, "{value_type} {written}");
    }
}
