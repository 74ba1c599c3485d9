//! Reads a source.

use std::collections::BTreeMap;
use std::path::Path;

use super::collector::{Collector, Object};
use super::keys::{self, Fields, KnownKeys, listed};
use super::node::{Entry, Position, quoted};
use crate::location::Location;
use crate::spec::{FileFormat, Repeats, Source};
use crate::time::{TimeUnit, Zone};
use crate::transform::Transform;
use crate::types::ValueType;

pub(super) const KEYS: KnownKeys = KnownKeys {
    read: &[
        "path",
        "push",
        "format",
        "event",
        "created",
        "event_id",
        "repeats",
        "deleted",
        "zone",
        "unit",
        "fields",
        "columns",
        "sql",
        "lookback",
        "description",
        "owner",
        "tags",
    ],
};

/// Reads a source. What could not be read is left out, with a problem.
pub(super) fn read(object: &Object, entry: &Entry, out: &mut Collector) -> Source {
    let mut source = Source { name: object.name.clone(), ..Source::default() };
    let Some(fields) = Fields::open(object, &object.to_string(), "", entry, &KEYS, out) else {
        return source;
    };
    for (key, example) in [("path", "data/trips.parquet"), ("event", "event_timestamp")] {
        // A query may read other sources alone, and rows may be pushed.
        let needed = key != "path" || (fields.entry("sql").is_none() && fields.entry("push").is_none());
        if fields.entry(key).is_none() && needed {
            let hint = Some(format!("add a line such as `{key}: {example}`"));
            out.problem(entry.key.at, format!("{object} has no `{key}`"), hint);
        }
    }
    if let Some((path, at)) = fields.filled_text("path", out) {
        check_path(path, at, out);
        source.path = path.to_owned();
    }
    source.format = fields.text("format", out).and_then(|(name, at)| format(name, at, out));
    source.zone = fields.text("zone", out).map(|(name, at)| {
        if Zone::named(name).is_none() {
            let hint = "zones have IANA names, such as `Europe/London`, or `UTC`".to_owned();
            out.problem(at, format!("unknown zone {}", quoted(name)), Some(hint));
        }
        name.to_owned()
    });
    source.unit = fields.text("unit", out).and_then(|(name, at)| unit(name, at, out));
    source.fields = renamed(&fields, out);
    source.columns = columns("columns", &fields, out);
    source.pushed = fields.entry("push").is_some();
    for (name, value_type) in columns("push", &fields, out) {
        if source.columns.insert(name.clone(), value_type).is_some() {
            let message = format!("`columns` and `push` both name column {}", quoted(&name));
            out.problem_in(object, &format!("push.{name}"), message, Some("name it once".to_owned()));
        }
    }
    for (name, _) in source.columns.iter() {
        if let Some(here) =
            source.fields.get(name).filter(|_| !source.fields.values().any(|each| each == name))
        {
            let message = format!("`columns` names column {}, which `fields` renames", quoted(name));
            out.problem_in(object, &format!("columns.{name}"), message, Some(format!("write `{here}`")));
        }
    }
    source.transform = transform(&fields, out);
    // With a query they name what it gives.
    let renamed = if source.transform.is_some() { BTreeMap::new() } else { source.fields.clone() };
    if let Some((event, at)) = fields.filled_text("event", out) {
        check_column("event", event, at, &renamed, out);
        source.event = event.to_owned();
    }
    if let Some((created, at)) = fields.filled_text("created", out) {
        check_column("created", created, at, &renamed, out);
        if created == source.event {
            let message = format!("`created` names the same column as `event`: {}", quoted(created));
            let hint = "leave `created` out where the source does not say when it knew a row".to_owned();
            out.problem(at, message, Some(hint));
        }
        source.created = Some(created.to_owned());
    }
    if let Some((id, at)) = fields.filled_text("event_id", out) {
        check_column("event_id", id, at, &renamed, out);
        source.event_id = Some(id.to_owned());
    }
    if let Some((repeats, at)) = fields.text("repeats", out) {
        match repeats {
            "keep_first" => source.repeats = Repeats::KeepFirst,
            "replace" => source.repeats = Repeats::Replace,
            other => {
                let message =
                    format!("`repeats` is `keep_first` or `replace`, and {} is neither", quoted(other));
                out.problem(at, message, None);
            }
        }
        if fields.entry("event_id").is_none() {
            let hint = "name the column that tells events apart: `event_id: order_line`".to_owned();
            out.problem(at, "`repeats` says nothing without `event_id`".to_owned(), Some(hint));
        }
    }
    if let Some((deleted, at)) = fields.filled_text("deleted", out) {
        check_column("deleted", deleted, at, &renamed, out);
        if source.event_id.is_none() || source.repeats != Repeats::Replace {
            let hint = "write `repeats: replace`, and name the column that tells events apart: `event_id: order_line`";
            let message = "`deleted` says nothing without `event_id` and `repeats: replace`".to_owned();
            out.problem(at, message, Some(hint.to_owned()));
        }
        source.deleted = Some(deleted.to_owned());
    }
    source.about = fields.about(out);
    source
}

fn check_path(path: &str, at: Position, out: &mut Collector) {
    if let Err(error) = Location::parse(path, Path::new("")) {
        out.problem(at, error.to_string(), Some(error.hint()));
    }
}

fn format(name: &str, at: Position, out: &mut Collector) -> Option<FileFormat> {
    let found = FileFormat::parse(name);
    if found.is_none() {
        let hint = out.suggestion(name, FileFormat::ALL.map(FileFormat::as_str));
        out.problem(at, format!("unknown format {}", quoted(name)), hint);
    }
    found
}

fn unit(name: &str, at: Position, out: &mut Collector) -> Option<TimeUnit> {
    let found = TimeUnit::parse(name);
    if found.is_none() {
        let hint = format!("a unit is one of {}", listed(TimeUnit::ALL.map(TimeUnit::as_str)));
        out.problem(at, format!("unknown unit {}", quoted(name)), Some(hint));
    }
    found
}

/// `fields`: source column to name here. No two columns have the same name here.
fn renamed(fields: &Fields<'_>, out: &mut Collector) -> BTreeMap<String, String> {
    let mut renamed: BTreeMap<String, String> = BTreeMap::new();
    for field in fields.map("fields", "{ column_of_source: name_here }", out) {
        let column = &field.key.text;
        if column.is_empty() {
            out.problem(field.key.at, "a column of the source has a name", None);
        }
        let what = format!("the new name of column {}", quoted(column));
        let Some(name) = keys::text(&field.value, &what, field.key.at, out) else { continue };
        out.check_name(name, "column name", field.value.at);
        if let Some((other, _)) = renamed.iter().find(|(_, taken)| *taken == name) {
            let message =
                format!("columns {} and {} are both named {}", quoted(other), quoted(column), quoted(name));
            out.problem(field.value.at, message, None);
        }
        renamed.insert(column.clone(), name.to_owned());
    }
    renamed
}

/// `columns` or `push`: name here to type.
fn columns(key: &str, fields: &Fields<'_>, out: &mut Collector) -> BTreeMap<String, ValueType> {
    let mut types = BTreeMap::new();
    for column in fields.map(key, "{ population: int64 }", out) {
        let what = format!("the type of column {}", quoted(&column.key.text));
        let Some(name) = keys::text(&column.value, &what, column.key.at, out) else { continue };
        if let Some(value_type) = keys::value_type(name, column.value.at, out) {
            types.insert(column.key.text.clone(), value_type);
        }
    }
    types
}

/// `sql` and `lookback`. What the query says is found out when it is applied.
fn transform(fields: &Fields<'_>, out: &mut Collector) -> Option<Transform> {
    let lookback = fields.duration("lookback", false, out);
    let written = fields.filled_text("sql", out);
    if let (None, Some(entry)) = (&written, fields.entry("lookback"))
        && fields.entry("sql").is_none()
    {
        let hint = "it says how far back the query in `sql` reads; leave it out".to_owned();
        out.problem(entry.key.at, "`lookback` without `sql`", Some(hint));
    }
    let (sql, _) = written?;
    Some(Transform { sql: sql.to_owned(), lookback, meaning: None })
}

/// `event` and `created` name columns as they are called after `fields`.
fn check_column(
    key: &str,
    column: &str,
    at: Position,
    fields: &BTreeMap<String, String>,
    out: &mut Collector,
) {
    if let Some(name) = fields.get(column)
        && !fields.values().any(|here| here == column)
    {
        let message = format!("`{key}` names column {}, which `fields` renames", quoted(column));
        out.problem(at, message, Some(format!("write `{key}: {name}`")));
    }
}
