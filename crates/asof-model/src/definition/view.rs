//! Reads a view.

use super::aggregation::{self, Shared};
use super::collector::{Collector, Object};
use super::keys::{self, Fields, KnownKeys, listed};
use super::node::{Content, Entry, Key, Position, quoted};
use super::on_demand;
use crate::entry::{self, EntryError};
use crate::name::{ViewId, ViewRef};
use crate::spec::{About, Feature, View};
use crate::time::{Duration, Instant, Zone};
use crate::types::ValueType;
use crate::window::Edge;

/// Columns that every table of history has, so that no feature or join key can have their names.
pub(super) const RESERVED_COLUMNS: [&str; 2] = ["event_timestamp", "created_timestamp"];

pub(super) const KEYS: KnownKeys = KnownKeys {
    read: &[
        "entities",
        "source",
        "in_place",
        "ttl",
        "keep",
        "history_keep",
        "online",
        "edge",
        "delay",
        "resolution",
        "retention",
        "features",
        "description",
        "owner",
        "tags",
        "freshness",
        "schedule",
        "sunset",
        "request",
        "inputs",
    ],
};

pub(super) const ONLINE_KEYS: KnownKeys = KnownKeys { read: &["active_within"] };

pub(super) const FEATURE_KEYS: KnownKeys = KnownKeys {
    read: &[
        "type",
        "aggregate",
        "over",
        "rows",
        "session",
        "tumbling",
        "offset",
        "complete",
        "resolution",
        "delay",
        "where",
        "by",
        "description",
        "default",
        "tags",
        "owner",
        "expr",
    ],
};

/// The name and version that a key of `feature_views` writes: a name alone is version 1. `None`, and a problem, where
/// there is no version to be had from it.
pub(super) fn id(key: &Key, out: &mut Collector) -> Option<ViewId> {
    let (name, version) = match key.text.split_once('@') {
        None => (key.text.as_str(), Some(1)),
        // The version is read with a name that is one, so that a bad name is reported as such.
        Some((name, version)) => {
            (name, ViewRef::parse(&format!("x@{version}")).and_then(|read| read.version))
        }
    };
    out.check_name(name, "view name", key.at);
    if version.is_none() {
        let message = format!("{} is not a version of a view", quoted(&key.text));
        out.problem(key.at, message, Some(format!("a version is a number from 1 on: `{name}@2`")));
        out.view_unreadable(name);
    }
    Some(ViewId::new(name, version?))
}

/// Reads a view. What could not be read is left out, with a problem.
pub(super) fn read(id: ViewId, object: &Object, entry: &Entry, out: &mut Collector) -> View {
    let mut view = View {
        id,
        entities: Vec::new(),
        source: String::new(),
        in_place: false,
        ttl: None,
        keep: None,
        history_keep: None,
        active_within: None,
        retention: None,
        edge: Edge::Open,
        features: Vec::new(),
        inputs: Vec::new(),
        on_demand: None,
        freshness: None,
        schedule: None,
        sunset: None,
        about: About::default(),
    };
    let Some(fields) = Fields::open(object, &object.to_string(), "", entry, &KEYS, out) else {
        return view;
    };
    if on_demand::is_meant(&fields) {
        on_demand::read(&mut view, object, entry, &fields, out);
        return view;
    }
    view.entities = entities(object, &fields, out);
    match fields.filled_text("source", out) {
        Some((source, _)) => view.source = source.to_owned(),
        None if fields.entry("source").is_none() => {
            let hint = Some("name one of the section `sources`: `source: trips_table`".to_owned());
            out.problem(entry.key.at, format!("{object} has no `source`"), hint);
        }
        None => {}
    }
    view.in_place = fields.flag("in_place", out);
    view.ttl = fields.duration("ttl", true, out);
    view.keep = fields.duration("keep", false, out);
    view.history_keep = fields.duration("history_keep", false, out);
    view.active_within = fields.entry("online").and_then(|entry| online(object, entry, out));
    for (key, what) in [("history_keep", "history to keep"), ("online", "row online")] {
        if let (true, Some(entry)) = (view.in_place, fields.entry(key)) {
            let message = format!("{object} reads its source in place, so it has no {what}");
            out.problem(entry.key.at, message, Some(format!("leave out `{key}`, or `in_place`")));
        }
    }
    view.freshness = fields.duration("freshness", false, out);
    view.schedule = fields.filled_text("schedule", out).map(|(line, at)| {
        if !is_cron(line) {
            let hint = "five parts: minute, hour, day of month, month, day of week, such as `0 3 * * *`";
            let message = format!("`schedule` is a cron line, and {} is not", quoted(line));
            out.problem(at, message, Some(hint.to_owned()));
        }
        line.to_owned()
    });
    view.sunset = fields.text("sunset", out).and_then(|(text, at)| sunset(text, at, out));
    view.edge = edge(&fields, out);
    view.retention = fields.duration("retention", false, out);
    let shared = Shared {
        edge: view.edge,
        delay: fields.duration("delay", true, out),
        resolution: fields.duration("resolution", false, out),
    };
    let feature = |entry: &Entry, out: &mut Collector| feature(object, entry, shared, out);
    view.features = features(object, entry, &fields, "{ city: string }", feature, out);
    check_kind(object, &view, &fields, out);
    view.about = fields.about(out);
    view
}

/// `edge`: whether the event at the instant itself counts.
fn edge(fields: &Fields<'_>, out: &mut Collector) -> Edge {
    match fields.text("edge", out) {
        None | Some(("open", _)) => Edge::Open,
        Some(("closed", _)) => Edge::Closed,
        Some((other, at)) => {
            let message = format!("`edge` is `open` or `closed`, and {} is neither", quoted(other));
            let hint = "`open`: the event at an instant does not count at it; `closed`: it does".to_owned();
            out.problem(at, message, Some(hint));
            Edge::Open
        }
    }
}

/// A view carries values or aggregates events, and what it says goes with that.
fn check_kind(object: &Object, view: &View, fields: &Fields<'_>, out: &mut Collector) {
    if view.features.is_empty() {
        return;
    }
    if !view.aggregates() {
        // Features that could not be read were reported.
        let meant = view.features.len() == fields.map("features", "{ city: string }", out).len();
        for key in ["edge", "delay", "resolution", "retention"] {
            if let (Some(entry), true) = (fields.entry(key), meant) {
                let message =
                    format!("`{key}` is for views that aggregate events, and {object} carries values");
                out.problem(entry.key.at, message, Some(format!("leave out `{key}`")));
            }
        }
        return;
    }
    let entries = fields.map("features", "{ city: string }", out);
    let written = |feature: &&Feature| {
        let entry = entries.iter().find(|entry| entry.key.text == feature.name);
        // One that could not be read was reported.
        !entry.is_some_and(|entry| match entry.value.content() {
            Content::Map(keys) => {
                keys.iter().any(|key| aggregation::AGGREGATE_KEYS.contains(&key.key.text.as_str()))
            }
            _ => false,
        })
    };
    let mut carried = view.features.iter().filter(|feature| feature.aggregation.is_none());
    if let Some(carried) = carried.find(written) {
        let message =
            format!("{object} aggregates events, and feature {} carries a value", quoted(&carried.name));
        let hint =
            "move it to a view of its own, or write `aggregate: last(column)` with a window".to_owned();
        out.problem_in(object, &format!("features.{}", carried.name), message, Some(hint));
    }
    for (key, instead) in [
        ("ttl", "windows say how old an event may be"),
        ("keep", "`retention` says how long events count"),
        ("history_keep", "history keeps every event"),
        ("online", "`retention` says what is kept for serving"),
    ] {
        if let Some(entry) = fields.entry(key) {
            let message = format!("`{key}` is for views that carry values, and {object} aggregates events");
            out.problem(entry.key.at, message, Some(instead.to_owned()));
        }
    }
    if let Some(retention) = view.retention {
        for feature in &view.features {
            let Some(aggregation) = &feature.aggregation else { continue };
            let short = match aggregation.window.reach() {
                Some(reach) => retention < reach,
                // Of all time only what is retained can count.
                None => false,
            };
            if short {
                // Written in whole seconds.
                let seconds = aggregation.window.reach().unwrap_or(retention).micros().div_euclid(1_000_000);
                let exact = Duration::from_micros(seconds.saturating_mul(1_000_000));
                let reach = match aggregation.window.reach() {
                    Some(reach) if reach > exact => {
                        Duration::from_micros(exact.micros().saturating_add(1_000_000))
                    }
                    _ => exact,
                };
                let message =
                    format!("feature {} looks back {reach}, further than `retention`", quoted(&feature.name));
                let hint = format!("write `retention: {reach}` or longer, or leave it out");
                out.problem_in(object, &format!("features.{}", feature.name), message, Some(hint));
            }
        }
    }
}

/// `online`: what of the view is kept for serving.
fn online(object: &Object, entry: &Entry, out: &mut Collector) -> Option<Duration> {
    let fields = Fields::open(object, "`online`", "online", entry, &ONLINE_KEYS, out)?;
    fields.duration("active_within", false, out)
}

/// `entities`: a list of names, or one name. Missing or empty: one row for the whole world.
fn entities(object: &Object, fields: &Fields<'_>, out: &mut Collector) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let Some(entry) = fields.entry("entities") else { return names };
    let Content::List(items) = entry.value.content() else {
        let one = keys::text(&entry.value, "`entities`", entry.key.at, out);
        return one.map(str::to_owned).into_iter().collect();
    };
    for item in items {
        let Some(name) = keys::text(item, "an item of `entities`", item.at, out) else { continue };
        if names.iter().any(|seen| seen == name) {
            out.problem(item.at, format!("entity {} is listed twice", quoted(name)), None);
            continue;
        }
        out.note(object, format!("entities.{}", names.len()), item.at);
        names.push(name.to_owned());
    }
    names
}

pub(super) fn features(
    object: &Object,
    entry: &Entry,
    fields: &Fields<'_>,
    example: &str,
    read: impl Fn(&Entry, &mut Collector) -> Feature,
    out: &mut Collector,
) -> Vec<Feature> {
    let Some(written) = fields.entry("features") else {
        let hint = Some(format!("name at least one with its type: `features: {example}`"));
        out.problem(entry.key.at, format!("{object} has no `features`"), hint);
        return Vec::new();
    };
    let entries = fields.map("features", example, out);
    if entries.is_empty() && written.value.described() == "a mapping" {
        let hint = Some(format!("name at least one with its type: `features: {example}`"));
        out.problem(written.key.at, format!("{object} has no feature"), hint);
    }
    entries.iter().map(|each| read(each, out)).collect()
}

/// A feature of that name, before anything else is known of it.
pub(super) fn named(entry: &Entry, out: &mut Collector) -> Feature {
    let name = &entry.key.text;
    out.check_name(name, "feature name", entry.key.at);
    if RESERVED_COLUMNS.contains(&name.as_str()) {
        let message = format!("feature {} has the name of a column of history", quoted(name));
        let hint = format!("history has {} of its own", listed(RESERVED_COLUMNS));
        out.problem(entry.key.at, message, Some(hint));
    }
    Feature {
        name: name.clone(),
        // Stands where the type could not be read.
        value_type: ValueType::String,
        default: None,
        aggregation: None,
        computation: None,
        about: About::default(),
    }
}

fn feature(object: &Object, entry: &Entry, shared: Shared, out: &mut Collector) -> Feature {
    let name = &entry.key.text;
    let mut feature = named(entry, out);
    let subject = format!("feature {}", quoted(name));
    let type_of = format!("the type of feature {}", quoted(name));
    if !matches!(entry.value.content(), Content::Map(_)) {
        let known = keys::text(&entry.value, &type_of, entry.key.at, out)
            .and_then(|text| keys::value_type(text, entry.value.at, out));
        feature.value_type = known.unwrap_or(ValueType::String);
        return feature;
    }
    let path = format!("features.{name}");
    let Some(fields) = Fields::open(object, &subject, &path, entry, &FEATURE_KEYS, out) else {
        return feature;
    };
    if let Some(entry) = fields.entry("expr") {
        let message = format!("`expr` is for views on demand, and {object} has a source");
        let hint = "a view on demand has `inputs` or `request`, and no `source`; what is computed of a row of the \
                    source belongs to its `sql`";
        out.problem(entry.key.at, message, Some(hint.to_owned()));
        feature.about = fields.about(out);
        return feature;
    }
    feature.aggregation = aggregation::read(object, &subject, entry, &fields, shared, out);
    if fields.entry("aggregate").is_some() {
        // Its type follows from what it aggregates, and is known where it is applied; so is what its default means.
        if let Some(entry) = fields.entry("type") {
            let message = format!("the type of {subject} follows from what it aggregates");
            out.problem(entry.key.at, message, Some("leave out `type`".to_owned()));
        }
        feature.default = written_default(name, &fields, out).map(|(text, _)| text.to_owned());
        feature.about = fields.about(out);
        return feature;
    }
    let known = fields.text("type", out).and_then(|(text, at)| keys::value_type(text, at, out));
    if fields.entry("type").is_none() {
        let hint = Some(format!("write `{name}: {{ type: string }}`"));
        out.problem(entry.key.at, format!("{subject} has no `type`"), hint);
    }
    if let Some(value_type) = known {
        feature.value_type = value_type;
        feature.default = default(name, value_type, &fields, out);
    }
    feature.about = fields.about(out);
    feature
}

/// The canonical text of `default`. It is read as the feature's type, in quotes or not.
pub(super) fn default(
    name: &str,
    value_type: ValueType,
    fields: &Fields<'_>,
    out: &mut Collector,
) -> Option<String> {
    let (written, at) = written_default(name, fields, out)?;
    canonical_default(written, value_type)
        .map_err(|(reason, hint)| {
            out.problem(at, format!("feature {} cannot have this default: {reason}", quoted(name)), hint);
        })
        .ok()
}

/// The text of `default`, which is one value.
fn written_default<'n>(name: &str, fields: &Fields<'n>, out: &mut Collector) -> Option<(&'n str, Position)> {
    let entry = fields.entry("default")?;
    if entry.value.is_null() {
        let hint = "leave `default` out: a value that is not there is null anyway".to_owned();
        out.problem(entry.key.at, format!("the default of feature {} is null", quoted(name)), Some(hint));
        return None;
    }
    let Some(written) = entry.value.text() else {
        let message = format!("a default is one value, and this is {}", entry.value.described());
        out.problem(entry.value.at, message, None);
        return None;
    };
    Some((written, entry.value.at))
}

/// The canonical text of a default of that type, or why there is none, with a hint.
pub fn canonical_default(written: &str, value_type: ValueType) -> Result<String, (String, Option<String>)> {
    let text = match value_type {
        ValueType::Float32 | ValueType::Float64 => yaml_float(written),
        _ => written,
    };
    match entry::from_text(text, value_type, &Zone::utc()) {
        Ok(value) => Ok(entry::to_text(&value)),
        Err(EntryError::NoUnit { found }) => {
            let hint = "write RFC 3339, such as `2027-06-01T00:00:00Z`".to_owned();
            Err((format!("{found} is not an instant"), Some(hint)))
        }
        Err(other) => Err((other.to_string(), None)),
    }
}

/// YAML spells floats that are no numbers with a dot in front.
fn yaml_float(text: &str) -> &str {
    match text {
        ".nan" | ".NaN" | ".NAN" => "NaN",
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => "inf",
        "-.inf" | "-.Inf" | "-.INF" => "-inf",
        _ => text,
    }
}

pub(super) fn sunset(text: &str, at: Position, out: &mut Collector) -> Option<Instant> {
    // An instant without offset would be read too, as UTC; here it has to be said.
    let instant = text.parse::<jiff::Timestamp>().ok().and_then(|_| Instant::parse(text, &Zone::utc()));
    if instant.is_none() {
        let hint = "write RFC 3339 with an offset or `Z`, such as `2027-06-01T00:00:00Z`".to_owned();
        out.problem(at, format!("`sunset` is an instant, and {} is not", quoted(text)), Some(hint));
    }
    instant
}

/// Whether a line has the form of a cron line. The values of its parts are the scheduler's to check.
fn is_cron(line: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'/' | b',' | b'-');
    line.split_ascii_whitespace().count() == 5
        && line.split_ascii_whitespace().all(|part| part.bytes().all(allowed))
}
